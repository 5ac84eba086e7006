/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "fake-mutter.h"
#include "session-bus.h"
#include "test.h"

#define RD "org.gnome.Mutter.RemoteDesktop"
#define SC "org.gnome.Mutter.ScreenCast"

static void note(struct fake_mutter *m, const char *call) {
	if (m->note) {
		m->note(m, call);
	}
}

static int create_rd(sd_bus_message *msg, void *data, sd_bus_error *error) {
	struct fake_mutter *m = data;
	m->sessions++;
	note(m, "RemoteDesktop.CreateSession");
	return sd_bus_reply_method_return(msg, "o", FAKE_SESSION);
}

static int create_sc(sd_bus_message *msg, void *data, sd_bus_error *error) {
	const char *key, *id;
	check_ok(sd_bus_message_enter_container(msg, 'a', "{sv}"));
	check_ok(sd_bus_message_enter_container(msg, 'e', "sv"));
	check_ok(sd_bus_message_read(msg, "sv", &key, "s", &id));
	check_str(key, "remote-desktop-session-id");
	check_str(id, "id-1");
	note(data, "ScreenCast.CreateSession");
	return sd_bus_reply_method_return(msg, "o", "/sc/session");
}

static int get_parameters(sd_bus *bus, const char *path, const char *interface,
	const char *property, sd_bus_message *reply, void *data, sd_bus_error *error) {
	return sd_bus_message_append(reply, "a{sv}", 0);
}

static const sd_bus_vtable sc_stream[] = {SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Parameters", "a{sv}", get_parameters, 0, 0), SD_BUS_VTABLE_END};

static int record_monitor(sd_bus_message *msg, void *data, sd_bus_error *error) {
	const char *connector;
	check_ok(sd_bus_message_read(msg, "s", &connector));
	check_str(connector, "");
	struct fake_mutter *m = data;
	char path[32];
	note(m, "RecordMonitor");
	if (m->no_monitor) {
		return sd_bus_error_set(
			error, "org.freedesktop.DBus.Error.Failed", "Unknown monitor");
	}
	m->streams++;
	m->stream = sd_bus_slot_unref(m->stream);
	(void)snprintf(path, sizeof(path), "/sc/stream%u", m->streams);
	check_ok(sd_bus_add_object_vtable(m->bus, &m->stream, path, SC ".Stream", sc_stream, m));
	return sd_bus_reply_method_return(msg, "o", path);
}

/* The monitor goes, and with it the stream; or only something of it is another. */
void fake_mutter_change_monitors(struct fake_mutter *m, bool stream_ends, bool no_monitor) {
	if (stream_ends) {
		m->stream = sd_bus_slot_unref(m->stream);
	}
	m->no_monitor = no_monitor;
	check_ok(sd_bus_emit_signal(m->bus, "/org/gnome/Mutter/DisplayConfig",
		"org.gnome.Mutter.DisplayConfig", "MonitorsChanged", ""));
}

int fake_mutter_get_id(sd_bus *bus, const char *path, const char *interface, const char *property,
	sd_bus_message *reply, void *data, sd_bus_error *error) {
	return sd_bus_message_append(reply, "s", "id-1");
}

static const sd_bus_vtable rd[] = {SD_BUS_VTABLE_START(0),
	FAKE_METHOD("CreateSession", "", "o", create_rd), SD_BUS_VTABLE_END};
static const sd_bus_vtable sc[] = {SD_BUS_VTABLE_START(0),
	FAKE_METHOD("CreateSession", "a{sv}", "o", create_sc), SD_BUS_VTABLE_END};
static const sd_bus_vtable sc_session[] = {SD_BUS_VTABLE_START(0),
	FAKE_METHOD("RecordMonitor", "sa{sv}", "o", record_monitor), SD_BUS_VTABLE_END};

void fake_mutter_init(struct fake_mutter *m) {
	m->daemon = session_bus_start();
	check_ok(sd_event_new(&m->loop));
}

void fake_mutter_come(struct fake_mutter *m) {
	check_ok(sd_bus_open_user(&m->bus));
	check_ok(sd_bus_attach_event(m->bus, m->loop, 0));
	check_ok(sd_bus_add_object_vtable(
		m->bus, NULL, "/org/gnome/Mutter/RemoteDesktop", RD, rd, m));
	check_ok(sd_bus_add_object_vtable(m->bus, NULL, "/org/gnome/Mutter/ScreenCast", SC, sc, m));
	check_ok(sd_bus_add_object_vtable(
		m->bus, NULL, "/sc/session", SC ".Session", sc_session, m));
	check_ok(sd_bus_add_object_vtable(
		m->bus, NULL, FAKE_SESSION, FAKE_SESSION_INTERFACE, m->vtable, m));
	check_ok(sd_bus_request_name(m->bus, "org.gnome.Mutter.DisplayConfig", 0));
	check_ok(sd_bus_request_name(m->bus, SC, 0));
	check_ok(sd_bus_request_name(m->bus, RD, 0));
}

void fake_mutter_go(struct fake_mutter *m) {
	m->stream = sd_bus_slot_unref(m->stream);
	(void)sd_bus_flush(m->bus);
	(void)sd_bus_detach_event(m->bus);
	m->bus = sd_bus_close_unref(m->bus);
}

void fake_mutter_finish(struct fake_mutter *m) {
	if (m->bus) {
		fake_mutter_go(m);
	}
	sd_event_unref(m->loop);
	(void)kill(m->daemon, SIGTERM);
	(void)waitpid(m->daemon, NULL, 0);
}
