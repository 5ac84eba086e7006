/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The D-Bus face: org.freedesktop.login1 with its Manager, Session, Seat and User objects, as
 * org.freedesktop.login1(5) describes them and docs/protocol/seat.md says how far. On a bus, or on a
 * connection straight to one client.
 */
#ifndef HELIX_LOGIND_STUB_BUS_H
#define HELIX_LOGIND_STUB_BUS_H

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "inhibit.h"
#include "session.h"

#define LOGIN_NAME      "org.freedesktop.login1"
#define LOGIN_PATH      "/org/freedesktop/login1"
#define LOGIN_MANAGER   "org.freedesktop.login1.Manager"
#define LOGIN_SESSION   "org.freedesktop.login1.Session"
#define LOGIN_SEAT      "org.freedesktop.login1.Seat"
#define LOGIN_USER      "org.freedesktop.login1.User"
#define LOGIN_PATH_SIZE 64u

#define SESSION_PATH LOGIN_PATH "/session/" SESSION_ID
#define SEAT_PATH    LOGIN_PATH "/seat/" SEAT_ID

#define DBUS_NAME_SIZE 256u /* D-Bus specification: names have at most 255 bytes */

/* Names of logind's errors. */
#define ERROR_NO_SUCH_SESSION "org.freedesktop.login1.NoSuchSession"
#define ERROR_NO_SUCH_SEAT    "org.freedesktop.login1.NoSuchSeat"
#define ERROR_NO_SUCH_USER    "org.freedesktop.login1.NoSuchUser"
#define ERROR_NOT_IN_CONTROL  "org.freedesktop.login1.NotInControl"
#define ERROR_IS_TAKEN        "org.freedesktop.login1.DeviceIsTaken"
#define ERROR_NOT_TAKEN       "org.freedesktop.login1.DeviceNotTaken"

/* Flags of the vtables. */
#define CONSTANT SD_BUS_VTABLE_PROPERTY_CONST
#define CHANGES  SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE
#define ANYBODY  SD_BUS_VTABLE_UNPRIVILEGED

/* A device that the controller took. `gone`: its lease ended, and no new one came yet. */
struct taken {
	uint32_t major, minor;
	bool gone;
};

struct bus_face {
	sd_event *loop;
	sd_bus *bus;
	struct session *session;
	struct inhibitors inhibitors;
	struct session_listener listener;
	char user_path[LOGIN_PATH_SIZE];
	bool peer_to_peer;
	/* The name is ours, or there is only a peer: requests are answered now. May be NULL. */
	void (*ready)(void *data);
	void *ready_data;

	/* Whoever called TakeControl. */
	struct controller control;
	char controller[DBUS_NAME_SIZE]; /* its unique name; "" if there is none */
	sd_bus_slot *watch, *ask;        // may be NULL
	struct taken taken[DEVICES_MAX];
	unsigned n_taken;
};

/* `address`: "system", or a D-Bus address. 0: the name was asked for; it ends the loop if refused. */
int bus_face_init(struct bus_face *f, sd_event *loop, struct session *session, const char *address);
/* Peer to peer over `fd`, which is consumed. */
int bus_face_init_peer(struct bus_face *f, sd_event *loop, struct session *session, int fd);
void bus_face_finish(struct bus_face *f);

/* The rest is shared by the face's files. */

extern const sd_bus_vtable bus_manager_vtable[];
extern const sd_bus_vtable bus_session_vtable[];
extern const sd_bus_vtable bus_seat_vtable[];
extern const sd_bus_vtable bus_user_vtable[];

/* bus-control.c */
extern const struct controller_ops bus_controller_ops;
/* Unique name of who sent it; a fixed one peer to peer. */
const char *bus_sender(sd_bus_message *m);
bool bus_in_control(const struct bus_face *f, sd_bus_message *m);
int bus_method_take_control(sd_bus_message *m, void *data, sd_bus_error *error);
int bus_method_release_control(sd_bus_message *m, void *data, sd_bus_error *error);
int bus_method_take_device(sd_bus_message *m, void *data, sd_bus_error *error);
int bus_method_release_device(sd_bus_message *m, void *data, sd_bus_error *error);
int bus_method_pause_complete(sd_bus_message *m, void *data, sd_bus_error *error);
void bus_drop_controller(struct bus_face *f);

/* A method that logind has and this does not: a clear NotSupported. */
int bus_method_refuse(sd_bus_message *m, void *data, sd_bus_error *error);
/* A method without a reply that there is nothing to do for. */
int bus_method_ignore(sd_bus_message *m, void *data, sd_bus_error *error);
/* 0, or an error reply's: "", "self", "auto" and the session's id are it. */
int bus_check_session(const char *id, sd_bus_error *error);
int bus_check_seat(const char *id, sd_bus_error *error);
int bus_check_user(const struct bus_face *f, uint32_t uid, sd_bus_error *error);
/* logind's Lock and Unlock: the session's signal, that a screen shield follows. */
int bus_emit_lock(struct bus_face *f, bool lock);
/* Idle by the session's hint, unless somebody inhibits that. */
bool bus_is_idle(const struct bus_face *f);

/* Properties that never have another value. */
int bus_get_false(sd_bus *bus, const char *path, const char *interface, const char *property,
	sd_bus_message *reply, void *data, sd_bus_error *error);
int bus_get_empty(sd_bus *bus, const char *path, const char *interface, const char *property,
	sd_bus_message *reply, void *data, sd_bus_error *error);
int bus_get_zero32(sd_bus *bus, const char *path, const char *interface, const char *property,
	sd_bus_message *reply, void *data, sd_bus_error *error);
int bus_get_zero64(sd_bus *bus, const char *path, const char *interface, const char *property,
	sd_bus_message *reply, void *data, sd_bus_error *error);
/* (so), a(so): the session. */
int bus_get_session(sd_bus *bus, const char *path, const char *interface, const char *property,
	sd_bus_message *reply, void *data, sd_bus_error *error);
int bus_get_sessions(sd_bus *bus, const char *path, const char *interface, const char *property,
	sd_bus_message *reply, void *data, sd_bus_error *error);
/* Of Manager, Seat and User alike. */
int bus_get_idle_hint(sd_bus *bus, const char *path, const char *interface, const char *property,
	sd_bus_message *reply, void *data, sd_bus_error *error);
int bus_get_idle_since(sd_bus *bus, const char *path, const char *interface, const char *property,
	sd_bus_message *reply, void *data, sd_bus_error *error);
int bus_get_timestamp(sd_bus *bus, const char *path, const char *interface, const char *property,
	sd_bus_message *reply, void *data, sd_bus_error *error);

#endif
