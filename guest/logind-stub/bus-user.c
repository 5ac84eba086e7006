/* SPDX-License-Identifier: GPL-2.0-or-later */
/* org.freedesktop.login1.User: the one whose session it is. */
#include <stdio.h>
#include <string.h>

#include "bus.h"

static int get_id(sd_bus *bus, const char *path, const char *interface, const char *property,
	sd_bus_message *reply, void *data, sd_bus_error *error) {
	const struct bus_face *f = data;
	uint32_t id = strcmp(property, "UID") == 0 ? f->session->uid : f->session->gid;
	return sd_bus_message_append(reply, "u", id);
}

static int get_text(sd_bus *bus, const char *path, const char *interface, const char *property,
	sd_bus_message *reply, void *data, sd_bus_error *error) {
	const struct bus_face *f = data;
	const struct session *s = f->session;
	char unit[64];
	const char *value = unit;
	if (strcmp(property, "Name") == 0) {
		value = s->user_name;
	} else if (strcmp(property, "RuntimePath") == 0) {
		value = s->runtime_dir;
	} else if (strcmp(property, "State") == 0) {
		value = session_state(s);
	} else if (strcmp(property, "Service") == 0) {
		(void)snprintf(unit, sizeof(unit), "user@%u.service", (unsigned)s->uid);
	} else {
		(void)snprintf(unit, sizeof(unit), "user-%u.slice", (unsigned)s->uid);
	}
	return sd_bus_message_append(reply, "s", value);
}

const sd_bus_vtable bus_user_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("UID", "u", get_id, 0, CONSTANT),
	SD_BUS_PROPERTY("GID", "u", get_id, 0, CONSTANT),
	SD_BUS_PROPERTY("Name", "s", get_text, 0, CONSTANT),
	SD_BUS_PROPERTY("Timestamp", "t", bus_get_timestamp, 0, CONSTANT),
	SD_BUS_PROPERTY("TimestampMonotonic", "t", bus_get_timestamp, 0, CONSTANT),
	SD_BUS_PROPERTY("RuntimePath", "s", get_text, 0, CONSTANT),
	SD_BUS_PROPERTY("Service", "s", get_text, 0, CONSTANT),
	SD_BUS_PROPERTY("Slice", "s", get_text, 0, CONSTANT),
	SD_BUS_PROPERTY("Display", "(so)", bus_get_session, 0, CHANGES),
	SD_BUS_PROPERTY("State", "s", get_text, 0, 0),
	SD_BUS_PROPERTY("Sessions", "a(so)", bus_get_sessions, 0, CHANGES),
	SD_BUS_PROPERTY("IdleHint", "b", bus_get_idle_hint, 0, CHANGES),
	SD_BUS_PROPERTY("IdleSinceHint", "t", bus_get_idle_since, 0, CHANGES),
	SD_BUS_PROPERTY("IdleSinceHintMonotonic", "t", bus_get_idle_since, 0, CHANGES),
	SD_BUS_PROPERTY("Linger", "b", bus_get_false, 0, CONSTANT),

	SD_BUS_METHOD_WITH_ARGS(
		"Terminate", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, bus_method_refuse, ANYBODY),
	SD_BUS_METHOD_WITH_ARGS("Kill", SD_BUS_ARGS("i", signal_number), SD_BUS_NO_RESULT,
		bus_method_refuse, ANYBODY),
	SD_BUS_VTABLE_END,
};
