/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A service that behaves as Mutter's remote desktop and screen cast interfaces do up to a session, on a bus
 * of the test's own. What the session does is the test's.
 */
#ifndef HELIX_TESTS_FAKE_MUTTER_H
#define HELIX_TESTS_FAKE_MUTTER_H

#include <stdbool.h>
#include <sys/types.h>
#include <systemd/sd-bus.h>

#define FAKE_SESSION           "/rd/session"
#define FAKE_SESSION_INTERFACE "org.gnome.Mutter.RemoteDesktop.Session"

/* First member of the test's own. */
struct fake_mutter {
	pid_t daemon; /* of the bus */
	sd_event *loop;
	sd_bus *bus;                // NULL: it is not there
	unsigned sessions, streams; /* made so far */
	sd_bus_slot *stream;        /* the last one: /sc/stream1, …; NULL: it has ended */
	bool no_monitor;
	/* Of the session; begins with FAKE_MUTTER_SESSION, and its handlers get the fake_mutter. */
	const sd_bus_vtable *vtable;
	void (*note)(struct fake_mutter *m, const char *call); // may be NULL
};

int fake_mutter_get_id(sd_bus *bus, const char *path, const char *interface, const char *property,
	sd_bus_message *reply, void *data, sd_bus_error *error);

#define FAKE_METHOD(name, in, out, f) SD_BUS_METHOD(name, in, out, f, SD_BUS_VTABLE_UNPRIVILEGED)
#define FAKE_MUTTER_SESSION                                                                     \
	SD_BUS_VTABLE_START(0),                                                                 \
		SD_BUS_PROPERTY(                                                                \
			"SessionId", "s", fake_mutter_get_id, 0, SD_BUS_VTABLE_PROPERTY_CONST), \
		SD_BUS_SIGNAL("Closed", "", 0)

/* The bus, whose address goes into the environment, and the loop. Skips the test without dbus-daemon. */
void fake_mutter_init(struct fake_mutter *m);
void fake_mutter_finish(struct fake_mutter *m);
/* Mutter comes to the bus, and goes. */
void fake_mutter_come(struct fake_mutter *m);
void fake_mutter_go(struct fake_mutter *m);
/* Another size, or no monitor at all; where the stream ends, nobody is told so. */
void fake_mutter_change_monitors(struct fake_mutter *m, bool stream_ends, bool no_monitor);

#endif
