/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>

#include "bus.h"
#include "log.h"

LOG_MODULE("bus");

#define SEND_PROPERTIES(f, path, interface, ...) \
	(void)sd_bus_emit_properties_changed((f)->bus, path, interface, __VA_ARGS__, NULL)

static void handle_changed(struct session_listener *l, uint32_t what) {
	struct bus_face *f = container_of(l, struct bus_face, listener);
	if (what & SESSION_CHANGED_ACTIVE) {
		SEND_PROPERTIES(f, SESSION_PATH, LOGIN_SESSION, "Active", "State");
	}
	if (what & SESSION_CHANGED_LOCKED) {
		SEND_PROPERTIES(f, SESSION_PATH, LOGIN_SESSION, "LockedHint");
	}
	if (what & SESSION_CHANGED_TYPE) {
		SEND_PROPERTIES(f, SESSION_PATH, LOGIN_SESSION, "Type");
	}
	if (what & SESSION_CHANGED_IDLE) {
		const char *since = "IdleSinceHint", *monotonic = "IdleSinceHintMonotonic";
		SEND_PROPERTIES(f, SESSION_PATH, LOGIN_SESSION, "IdleHint", since, monotonic);
		SEND_PROPERTIES(f, SEAT_PATH, LOGIN_SEAT, "IdleHint", since, monotonic);
		SEND_PROPERTIES(f, f->user_path, LOGIN_USER, "IdleHint", since, monotonic);
		SEND_PROPERTIES(f, LOGIN_PATH, LOGIN_MANAGER, "IdleHint", since, monotonic);
	}
}

static void handle_inhibitors(void *data) {
	struct bus_face *f = data;
	SEND_PROPERTIES(f, LOGIN_PATH, LOGIN_MANAGER, "BlockInhibited", "DelayInhibited",
		"NCurrentInhibitors", "IdleHint");
}

static int handle_disconnected(sd_bus_message *m, void *data, sd_bus_error *error) {
	struct bus_face *f = data;
	if (f->peer_to_peer) {
		bus_drop_controller(f);
		return 0;
	}
	log_err("the bus is gone");
	return sd_event_exit(f->loop, EXIT_FAILURE);
}

static int handle_name(sd_bus_message *m, void *data, sd_bus_error *error) {
	struct bus_face *f = data;
	uint32_t result = 0;
	if (sd_bus_message_is_method_error(m, NULL)) {
		log_err("the bus does not let us have the name " LOGIN_NAME ": %s",
			sd_bus_message_get_error(m)->message);
		return sd_event_exit(f->loop, EXIT_FAILURE);
	}
	int r = sd_bus_message_read(m, "u", &result);
	/* D-Bus specification, RequestName: 1 primary owner, 4 already owner. */
	if (r < 0 || (result != 1 && result != 4)) {
		log_err("somebody else owns the name " LOGIN_NAME);
		return sd_event_exit(f->loop, EXIT_FAILURE);
	}
	if (f->ready) {
		f->ready(f->ready_data);
	}
	return 0;
}

static int add_objects(struct bus_face *f) {
	const struct {
		const char *path, *interface;
		const sd_bus_vtable *vtable;
	} objects[] = {
		{LOGIN_PATH, LOGIN_MANAGER, bus_manager_vtable},
		{SESSION_PATH, LOGIN_SESSION, bus_session_vtable},
		{LOGIN_PATH "/session/self", LOGIN_SESSION, bus_session_vtable},
		{SEAT_PATH, LOGIN_SEAT, bus_seat_vtable},
		{LOGIN_PATH "/seat/self", LOGIN_SEAT, bus_seat_vtable},
		{LOGIN_PATH "/seat/auto", LOGIN_SEAT, bus_seat_vtable},
		{f->user_path, LOGIN_USER, bus_user_vtable},
		{LOGIN_PATH "/user/self", LOGIN_USER, bus_user_vtable},
	};
	int r = 0;
	for (size_t i = 0; i < ARRAY_SIZE(objects) && r >= 0; i++) {
		r = sd_bus_add_object_vtable(
			f->bus, NULL, objects[i].path, objects[i].interface, objects[i].vtable, f);
	}
	return r;
}

static void init(struct bus_face *f, sd_event *loop, struct session *session) {
	*f = (struct bus_face){
		.loop = loop,
		.session = session,
		.listener.changed = handle_changed,
		.control.ops = &bus_controller_ops,
	};
	(void)snprintf(
		f->user_path, sizeof(f->user_path), LOGIN_PATH "/user/_%u", (unsigned)session->uid);
	inhibitors_init(&f->inhibitors, loop);
	f->inhibitors.changed = handle_inhibitors;
	f->inhibitors.data = f;
	session_listen(session, &f->listener);
}

static int start(struct bus_face *f) {
	int r = sd_bus_match_signal(f->bus, NULL, NULL, "/org/freedesktop/DBus/Local",
		"org.freedesktop.DBus.Local", "Disconnected", handle_disconnected, f);
	if (r >= 0) {
		r = add_objects(f);
	}
	if (r >= 0) {
		r = sd_bus_start(f->bus);
	}
	if (r >= 0) {
		r = sd_bus_attach_event(f->bus, f->loop, SD_EVENT_PRIORITY_NORMAL);
	}
	return r;
}

int bus_face_init(
	struct bus_face *f, sd_event *loop, struct session *session, const char *address) {
	init(f, loop, session);
	if (strcmp(address, "system") == 0) {
		/* DBUS_SYSTEM_BUS_ADDRESS, or the usual socket. */
		address = getenv("DBUS_SYSTEM_BUS_ADDRESS");
		address = address && *address ? address : "unix:path=/run/dbus/system_bus_socket";
	}
	int r = sd_bus_new(&f->bus);
	if (r >= 0) {
		r = sd_bus_set_address(f->bus, address);
	}
	if (r >= 0) {
		r = sd_bus_set_bus_client(f->bus, true);
	}
	if (r >= 0) {
		r = sd_bus_negotiate_fds(f->bus, true);
	}
	if (r >= 0) {
		r = start(f);
	}
	if (r >= 0) {
		r = sd_bus_request_name_async(
			f->bus, NULL, LOGIN_NAME, SD_BUS_NAME_REPLACE_EXISTING, handle_name, f);
	}
	if (r < 0) {
		bus_face_finish(f);
	}
	return MIN(r, 0);
}

int bus_face_init_peer(struct bus_face *f, sd_event *loop, struct session *session, int fd) {
	sd_id128_t id;
	init(f, loop, session);
	f->peer_to_peer = true;
	int r = sd_bus_new(&f->bus);
	if (r >= 0) {
		r = sd_bus_set_fd(f->bus, fd, fd);
	}
	if (r < 0) {
		(void)close_fd(fd);
		bus_face_finish(f);
		return r;
	}
	r = sd_id128_randomize(&id);
	if (r >= 0) {
		r = sd_bus_set_server(f->bus, true, id);
	}
	if (r >= 0) {
		r = sd_bus_negotiate_fds(f->bus, true);
	}
	if (r >= 0) {
		r = start(f);
	}
	if (r < 0) {
		bus_face_finish(f);
		return r;
	}
	return 0;
}

void bus_face_finish(struct bus_face *f) {
	if (!f->loop) {
		return;
	}
	f->ready = NULL;
	bus_drop_controller(f);
	f->inhibitors.changed = NULL;
	inhibitors_finish(&f->inhibitors);
	list_remove(&f->listener.link);
	/* Not flushed: that would wait for a bus that does not read. */
	f->bus = sd_bus_close_unref(f->bus);
	f->loop = NULL;
}
