/* SPDX-License-Identifier: GPL-2.0-or-later */
/* org.freedesktop.login1.Seat: seat0, which has no virtual terminals. */
#include <string.h>

#include "bus.h"

static int get_id(sd_bus *bus, const char *path, const char *interface, const char *property,
	sd_bus_message *reply, void *data, sd_bus_error *error) {
	return sd_bus_message_append(reply, "s", SEAT_ID);
}

static int get_can(sd_bus *bus, const char *path, const char *interface, const char *property,
	sd_bus_message *reply, void *data, sd_bus_error *error) {
	return sd_bus_message_append(reply, "b", strcmp(property, "CanGraphical") == 0);
}

static int method_activate_session(sd_bus_message *m, void *data, sd_bus_error *error) {
	const char *id;
	int r = sd_bus_message_read(m, "s", &id);
	if (r >= 0) {
		r = bus_check_session(id, error);
	}
	return r < 0 ? r : sd_bus_reply_method_return(m, NULL);
}

const sd_bus_vtable bus_seat_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Id", "s", get_id, 0, CONSTANT),
	SD_BUS_PROPERTY("ActiveSession", "(so)", bus_get_session, 0, CHANGES),
	SD_BUS_PROPERTY("CanTTY", "b", get_can, 0, CONSTANT),
	SD_BUS_PROPERTY("CanGraphical", "b", get_can, 0, CHANGES),
	SD_BUS_PROPERTY("Sessions", "a(so)", bus_get_sessions, 0, CHANGES),
	SD_BUS_PROPERTY("IdleHint", "b", bus_get_idle_hint, 0, CHANGES),
	SD_BUS_PROPERTY("IdleSinceHint", "t", bus_get_idle_since, 0, CHANGES),
	SD_BUS_PROPERTY("IdleSinceHintMonotonic", "t", bus_get_idle_since, 0, CHANGES),

	SD_BUS_METHOD_WITH_ARGS(
		"Terminate", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, bus_method_refuse, ANYBODY),
	SD_BUS_METHOD_WITH_ARGS("ActivateSession", SD_BUS_ARGS("s", session_id), SD_BUS_NO_RESULT,
		method_activate_session, ANYBODY),
	SD_BUS_METHOD_WITH_ARGS(
		"SwitchTo", SD_BUS_ARGS("u", vtnr), SD_BUS_NO_RESULT, bus_method_refuse, ANYBODY),
	SD_BUS_METHOD_WITH_ARGS(
		"SwitchToNext", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, bus_method_refuse, ANYBODY),
	SD_BUS_METHOD_WITH_ARGS(
		"SwitchToPrevious", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, bus_method_refuse, ANYBODY),
	SD_BUS_VTABLE_END,
};
