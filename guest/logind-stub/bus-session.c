/* SPDX-License-Identifier: GPL-2.0-or-later */
/* org.freedesktop.login1.Session, and what it has in common with Manager, Seat and User. */
#include <string.h>

#include "bus.h"

int bus_method_refuse(sd_bus_message *m, void *data, sd_bus_error *error) {
	return sd_bus_error_setf(error, SD_BUS_ERROR_NOT_SUPPORTED,
		"%s is not possible in a desktop container", sd_bus_message_get_member(m));
}

int bus_method_ignore(sd_bus_message *m, void *data, sd_bus_error *error) {
	return sd_bus_reply_method_return(m, NULL);
}

int bus_emit_lock(struct bus_face *f, bool lock) {
	return sd_bus_emit_signal(
		f->bus, SESSION_PATH, LOGIN_SESSION, lock ? "Lock" : "Unlock", NULL);
}

bool bus_is_idle(const struct bus_face *f) {
	uint32_t inhibited = inhibitors_mask(&f->inhibitors, false);
	return f->session->idle && !(inhibited & INHIBIT_IDLE);
}

int bus_get_false(sd_bus *bus, const char *path, const char *interface, const char *property,
	sd_bus_message *reply, void *data, sd_bus_error *error) {
	return sd_bus_message_append(reply, "b", false);
}

int bus_get_empty(sd_bus *bus, const char *path, const char *interface, const char *property,
	sd_bus_message *reply, void *data, sd_bus_error *error) {
	return sd_bus_message_append(reply, "s", "");
}

int bus_get_zero32(sd_bus *bus, const char *path, const char *interface, const char *property,
	sd_bus_message *reply, void *data, sd_bus_error *error) {
	return sd_bus_message_append(reply, "u", 0);
}

int bus_get_zero64(sd_bus *bus, const char *path, const char *interface, const char *property,
	sd_bus_message *reply, void *data, sd_bus_error *error) {
	return sd_bus_message_append(reply, "t", UINT64_C(0));
}

int bus_get_session(sd_bus *bus, const char *path, const char *interface, const char *property,
	sd_bus_message *reply, void *data, sd_bus_error *error) {
	return sd_bus_message_append(reply, "(so)", SESSION_ID, SESSION_PATH);
}

int bus_get_sessions(sd_bus *bus, const char *path, const char *interface, const char *property,
	sd_bus_message *reply, void *data, sd_bus_error *error) {
	return sd_bus_message_append(reply, "a(so)", 1, SESSION_ID, SESSION_PATH);
}

int bus_get_idle_hint(sd_bus *bus, const char *path, const char *interface, const char *property,
	sd_bus_message *reply, void *data, sd_bus_error *error) {
	const struct bus_face *f = data;
	return sd_bus_message_append(reply, "b", bus_is_idle(f));
}

int bus_get_idle_since(sd_bus *bus, const char *path, const char *interface, const char *property,
	sd_bus_message *reply, void *data, sd_bus_error *error) {
	const struct bus_face *f = data;
	bool monotonic = strcmp(property, "IdleSinceHintMonotonic") == 0;
	return sd_bus_message_append(reply, "t",
		monotonic ? f->session->idle_since_monotonic_us : f->session->idle_since_us);
}

int bus_get_timestamp(sd_bus *bus, const char *path, const char *interface, const char *property,
	sd_bus_message *reply, void *data, sd_bus_error *error) {
	const struct bus_face *f = data;
	bool monotonic = strcmp(property, "TimestampMonotonic") == 0;
	return sd_bus_message_append(
		reply, "t", monotonic ? f->session->since_monotonic_us : f->session->since_us);
}

static int get_text(sd_bus *bus, const char *path, const char *interface, const char *property,
	sd_bus_message *reply, void *data, sd_bus_error *error) {
	const struct bus_face *f = data;
	const struct session *s = f->session;
	const struct {
		const char *property, *value;
	} texts[] = {
		{"Id", SESSION_ID},
		{"Name", s->user_name},
		{"Service", "helix"},
		{"Desktop", s->desktop},
		{"Scope", "session-" SESSION_ID ".scope"},
		{"Type", s->type},
		{"Class", "user"},
		{"State", session_state(s)},
	};
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		if (strcmp(texts[i].property, property) == 0) {
			return sd_bus_message_append(reply, "s", texts[i].value);
		}
	}
	return -EINVAL;
}

static int get_flag(sd_bus *bus, const char *path, const char *interface, const char *property,
	sd_bus_message *reply, void *data, sd_bus_error *error) {
	const struct bus_face *f = data;
	const struct session *s = f->session;
	bool value = strcmp(property, "Active") == 0 ? s->active
		: strcmp(property, "IdleHint") == 0  ? s->idle
						     : s->locked;
	return sd_bus_message_append(reply, "b", value);
}

static int get_user(sd_bus *bus, const char *path, const char *interface, const char *property,
	sd_bus_message *reply, void *data, sd_bus_error *error) {
	const struct bus_face *f = data;
	return sd_bus_message_append(reply, "(uo)", (uint32_t)f->session->uid, f->user_path);
}

static int get_seat(sd_bus *bus, const char *path, const char *interface, const char *property,
	sd_bus_message *reply, void *data, sd_bus_error *error) {
	return sd_bus_message_append(reply, "(so)", SEAT_ID, SEAT_PATH);
}

static int get_leader(sd_bus *bus, const char *path, const char *interface, const char *property,
	sd_bus_message *reply, void *data, sd_bus_error *error) {
	const struct bus_face *f = data;
	return sd_bus_message_append(reply, "u", (uint32_t)f->session->leader);
}

static int method_lock(sd_bus_message *m, void *data, sd_bus_error *error) {
	int r = bus_emit_lock(data, strcmp(sd_bus_message_get_member(m), "Lock") == 0);
	return r < 0 ? r : sd_bus_reply_method_return(m, NULL);
}

static int method_set_hint(sd_bus_message *m, void *data, sd_bus_error *error) {
	struct bus_face *f = data;
	int value;
	int r = sd_bus_message_read(m, "b", &value);
	if (r < 0) {
		return r;
	}
	if (strcmp(sd_bus_message_get_member(m), "SetIdleHint") == 0) {
		session_set_idle(f->session, value);
	} else {
		session_set_locked(f->session, value);
	}
	return sd_bus_reply_method_return(m, NULL);
}

static int method_set_type(sd_bus_message *m, void *data, sd_bus_error *error) {
	struct bus_face *f = data;
	const char *type;
	int r = sd_bus_message_read(m, "s", &type);
	if (r < 0) {
		return r;
	}
	if (!bus_in_control(f, m)) {
		return sd_bus_error_set_const(error, ERROR_NOT_IN_CONTROL,
			"You must be in control of this session to set its type");
	}
	if (session_set_type(f->session, type) < 0) {
		return sd_bus_error_set_const(
			error, SD_BUS_ERROR_INVALID_ARGS, "Not a type of sessions");
	}
	return sd_bus_reply_method_return(m, NULL);
}

const sd_bus_vtable bus_session_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Id", "s", get_text, 0, CONSTANT),
	SD_BUS_PROPERTY("User", "(uo)", get_user, 0, CONSTANT),
	SD_BUS_PROPERTY("Name", "s", get_text, 0, CONSTANT),
	SD_BUS_PROPERTY("Timestamp", "t", bus_get_timestamp, 0, CONSTANT),
	SD_BUS_PROPERTY("TimestampMonotonic", "t", bus_get_timestamp, 0, CONSTANT),
	SD_BUS_PROPERTY("VTNr", "u", bus_get_zero32, 0, CONSTANT),
	SD_BUS_PROPERTY("Seat", "(so)", get_seat, 0, CONSTANT),
	SD_BUS_PROPERTY("TTY", "s", bus_get_empty, 0, CONSTANT),
	SD_BUS_PROPERTY("Display", "s", bus_get_empty, 0, CONSTANT),
	SD_BUS_PROPERTY("Remote", "b", bus_get_false, 0, CONSTANT),
	SD_BUS_PROPERTY("RemoteHost", "s", bus_get_empty, 0, CONSTANT),
	SD_BUS_PROPERTY("RemoteUser", "s", bus_get_empty, 0, CONSTANT),
	SD_BUS_PROPERTY("Service", "s", get_text, 0, CONSTANT),
	SD_BUS_PROPERTY("Desktop", "s", get_text, 0, CONSTANT),
	SD_BUS_PROPERTY("Scope", "s", get_text, 0, CONSTANT),
	SD_BUS_PROPERTY("Leader", "u", get_leader, 0, CONSTANT),
	SD_BUS_PROPERTY("Audit", "u", bus_get_zero32, 0, CONSTANT),
	SD_BUS_PROPERTY("Type", "s", get_text, 0, CHANGES),
	SD_BUS_PROPERTY("Class", "s", get_text, 0, CONSTANT),
	SD_BUS_PROPERTY("Active", "b", get_flag, 0, CHANGES),
	SD_BUS_PROPERTY("State", "s", get_text, 0, CHANGES),
	SD_BUS_PROPERTY("IdleHint", "b", get_flag, 0, CHANGES),
	SD_BUS_PROPERTY("IdleSinceHint", "t", bus_get_idle_since, 0, CHANGES),
	SD_BUS_PROPERTY("IdleSinceHintMonotonic", "t", bus_get_idle_since, 0, CHANGES),
	SD_BUS_PROPERTY("LockedHint", "b", get_flag, 0, CHANGES),

	SD_BUS_METHOD_WITH_ARGS("TakeControl", SD_BUS_ARGS("b", force), SD_BUS_NO_RESULT,
		bus_method_take_control, ANYBODY),
	SD_BUS_METHOD_WITH_ARGS("ReleaseControl", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT,
		bus_method_release_control, ANYBODY),
	SD_BUS_METHOD_WITH_ARGS("TakeDevice", SD_BUS_ARGS("u", major, "u", minor),
		SD_BUS_RESULT("h", fd, "b", inactive), bus_method_take_device, ANYBODY),
	SD_BUS_METHOD_WITH_ARGS("ReleaseDevice", SD_BUS_ARGS("u", major, "u", minor),
		SD_BUS_NO_RESULT, bus_method_release_device, ANYBODY),
	SD_BUS_METHOD_WITH_ARGS("PauseDeviceComplete", SD_BUS_ARGS("u", major, "u", minor),
		SD_BUS_NO_RESULT, bus_method_pause_complete, ANYBODY),
	SD_BUS_METHOD_WITH_ARGS(
		"SetType", SD_BUS_ARGS("s", type), SD_BUS_NO_RESULT, method_set_type, ANYBODY),
	SD_BUS_METHOD_WITH_ARGS(
		"SetIdleHint", SD_BUS_ARGS("b", idle), SD_BUS_NO_RESULT, method_set_hint, ANYBODY),
	SD_BUS_METHOD_WITH_ARGS("SetLockedHint", SD_BUS_ARGS("b", locked), SD_BUS_NO_RESULT,
		method_set_hint, ANYBODY),
	SD_BUS_METHOD_WITH_ARGS(
		"Activate", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, bus_method_ignore, ANYBODY),
	SD_BUS_METHOD_WITH_ARGS("Lock", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_lock, ANYBODY),
	SD_BUS_METHOD_WITH_ARGS("Unlock", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_lock, ANYBODY),
	SD_BUS_METHOD_WITH_ARGS(
		"Terminate", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, bus_method_refuse, ANYBODY),
	SD_BUS_METHOD_WITH_ARGS("Kill", SD_BUS_ARGS("s", who, "i", signal_number), SD_BUS_NO_RESULT,
		bus_method_refuse, ANYBODY),
	SD_BUS_METHOD_WITH_ARGS("SetDisplay", SD_BUS_ARGS("s", display), SD_BUS_NO_RESULT,
		bus_method_refuse, ANYBODY),
	SD_BUS_METHOD_WITH_ARGS("SetBrightness",
		SD_BUS_ARGS("s", subsystem, "s", name, "u", brightness), SD_BUS_NO_RESULT,
		bus_method_refuse, ANYBODY),

	SD_BUS_SIGNAL_WITH_ARGS("PauseDevice", SD_BUS_ARGS("u", major, "u", minor, "s", type), 0),
	SD_BUS_SIGNAL_WITH_ARGS("ResumeDevice", SD_BUS_ARGS("u", major, "u", minor, "h", fd), 0),
	SD_BUS_SIGNAL_WITH_ARGS("Lock", SD_BUS_NO_ARGS, 0),
	SD_BUS_SIGNAL_WITH_ARGS("Unlock", SD_BUS_NO_ARGS, 0),
	SD_BUS_VTABLE_END,
};
