/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The model: the one session of this container, on its one seat. No I/O. Both faces (D-Bus and
 * seatd) look at it and change it, and hear of changes as listeners.
 *
 * At most one controller (a compositor, through either face) has the session at a time. The session
 * is active while there is a lease to draw on.
 */
#ifndef HELIX_LOGIND_STUB_SESSION_H
#define HELIX_LOGIND_STUB_SESSION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "devices.h"
#include "list.h"

#define SESSION_ID "auto"
#define SEAT_ID    "seat0"

/* What changed, for listeners. */
enum {
	SESSION_CHANGED_ACTIVE = 1 << 0,
	SESSION_CHANGED_LOCKED = 1 << 1,
	SESSION_CHANGED_IDLE = 1 << 2,
	SESSION_CHANGED_TYPE = 1 << 3,
};

struct controller;

struct controller_ops {
	/* The lease is gone: stop drawing. */
	void (*pause)(struct controller *c);
	/* There is a new lease. */
	void (*resume)(struct controller *c);
	/* This input device is about to be forgotten. */
	void (*device_gone)(struct controller *c, const struct device *device);
};

/* Embedded in whoever may take control. */
struct controller {
	const struct controller_ops *ops;
};

struct session_listener {
	struct list link;                                           // session.listeners
	void (*changed)(struct session_listener *l, uint32_t what); /* may be NULL */
	void (*released)(struct session_listener *l); /* nobody has control; may be NULL */
};

struct session {
	char user_name[64];
	uid_t uid;
	gid_t gid;
	pid_t leader;
	const char *type; /* one of logind's session types, a literal */
	const char *desktop;
	const char *runtime_dir;
	uint64_t since_us;           /* CLOCK_REALTIME */
	uint64_t since_monotonic_us; /* CLOCK_MONOTONIC */

	bool active;
	bool locked;
	bool idle;
	uint64_t idle_since_us,
		idle_since_monotonic_us; /* of the last change of `idle`; 0: never */

	struct devices *devices;
	struct controller *controller; // may be NULL
	struct list listeners;         // struct session_listener.link
};

void session_init(struct session *s, struct devices *devices);

void session_listen(struct session *s, struct session_listener *l);

/* 0, also if `c` has it already; -EBUSY if another one has. */
int session_take(struct session *s, struct controller *c);
/* Does nothing if it is not `c` that has control. */
void session_release(struct session *s, struct controller *c);

/* The lease went: its device is emptied, the controller paused. */
void session_pause(struct session *s);
/* `fd` is the new lease: consumed. */
void session_resume(struct session *s, int fd);
/* The input devices went, all at once: the controller is told, then they are forgotten. */
void session_drop_input(struct session *s);

void session_set_locked(struct session *s, bool locked);
void session_set_idle(struct session *s, bool idle);
/* -EINVAL for a type that logind does not know. */
int session_set_type(struct session *s, const char *type);

/* logind's State: "active" or "online". */
const char *session_state(const struct session *s);

#endif
