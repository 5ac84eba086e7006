/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A private bus daemon, and on it the real logind-stub or python3-dbusmock's logind template. All
 * functions end the test when something that must hold does not.
 */
#ifndef HELIX_TESTS_LOGIND_BUS_H
#define HELIX_TESTS_LOGIND_BUS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <systemd/sd-bus.h>

#define LOGIN         "org.freedesktop.login1"
#define LOGIN_PATH    "/org/freedesktop/login1"
#define LOGIN_MANAGER "org.freedesktop.login1.Manager"
#define LOGIN_SESSION "org.freedesktop.login1.Session"
#define LOGIN_SEAT    "org.freedesktop.login1.Seat"
#define LOGIN_USER    "org.freedesktop.login1.User"
#define SESSION_PATH  "/org/freedesktop/login1/session/auto"
#define SEAT_PATH     "/org/freedesktop/login1/seat/seat0"

/* One that no user database has. */
#define LOGIND_UID  64123u
#define LOGIND_USER "64123"

struct logind_bus {
	char dir[64];
	char address[128];
	char seatd_socket[96];
	pid_t daemon;
	pid_t service; /* 0: none */
	int control;   /* the supervisor's end of the stub's line; -1: none */
};

/* Skips the test if there is no dbus-daemon. */
void logind_bus_start(struct logind_bus *b);
void logind_bus_stop(struct logind_bus *b);

/* Returns when it said that it is ready. Its card and lease are /dev/null; its user is LOGIND_UID. */
void logind_bus_start_stub(struct logind_bus *b);
/* The lease goes; there is a new one, of /dev/zero. */
void logind_bus_pause(struct logind_bus *b);
void logind_bus_resume(struct logind_bus *b);
/* With one session like the stub's. Skips the test if there is no python3-dbusmock. */
void logind_bus_start_mock(struct logind_bus *b);
/* SIGTERM; the stub must end well, with status 0 (so no sanitizer complained). */
void logind_bus_stop_service(struct logind_bus *b, bool check_status);

/* A connection of its own. */
sd_bus *logind_bus_connect(const struct logind_bus *b);

/* From /proc, of the service. */
unsigned logind_bus_fds(const struct logind_bus *b);
size_t logind_bus_rss(const struct logind_bus *b);
void logind_bus_check_alive(const struct logind_bus *b);

#endif
