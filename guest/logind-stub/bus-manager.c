/* SPDX-License-Identifier: GPL-2.0-or-later */
/* org.freedesktop.login1.Manager. */
#include <string.h>

#include "bus.h"

int bus_check_session(const char *id, sd_bus_error *error) {
	static const char *const names[] = {SESSION_ID, "self", ""};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(id, names[i]) == 0) {
			return 0;
		}
	}
	return sd_bus_error_setf(error, ERROR_NO_SUCH_SESSION, "No session '%.64s' known", id);
}

int bus_check_seat(const char *id, sd_bus_error *error) {
	static const char *const names[] = {SEAT_ID, "self", "auto", ""};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(id, names[i]) == 0) {
			return 0;
		}
	}
	return sd_bus_error_setf(error, ERROR_NO_SUCH_SEAT, "No seat '%.64s' known", id);
}

/* logind takes UINT32_MAX for the caller's own. */
int bus_check_user(const struct bus_face *f, uint32_t uid, sd_bus_error *error) {
	return uid == f->session->uid || uid == UINT32_MAX
		? 0
		: sd_bus_error_setf(error, ERROR_NO_SUCH_USER,
			  "User ID %u is not logged in or lingering", (unsigned)uid);
}

static int method_get_session(sd_bus_message *m, void *data, sd_bus_error *error) {
	const char *id;
	int r = sd_bus_message_read(m, "s", &id);
	if (r >= 0) {
		r = bus_check_session(id, error);
	}
	return r < 0 ? r : sd_bus_reply_method_return(m, "o", SESSION_PATH);
}

/* Every process of the container belongs to it. */
static int check_pid(sd_bus_message *m, sd_bus_error *error) {
	uint32_t pid;
	int r = sd_bus_message_read(m, "u", &pid);
	if (r >= 0 && pid > INT32_MAX) {
		r = sd_bus_error_set_const(error, SD_BUS_ERROR_INVALID_ARGS, "Not a process");
	}
	return r;
}

static int method_get_session_by_pid(sd_bus_message *m, void *data, sd_bus_error *error) {
	int r = check_pid(m, error);
	return r < 0 ? r : sd_bus_reply_method_return(m, "o", SESSION_PATH);
}

static int method_get_user(sd_bus_message *m, void *data, sd_bus_error *error) {
	const struct bus_face *f = data;
	uint32_t uid;
	int r = sd_bus_message_read(m, "u", &uid);
	if (r >= 0) {
		r = bus_check_user(f, uid, error);
	}
	return r < 0 ? r : sd_bus_reply_method_return(m, "o", f->user_path);
}

static int method_get_user_by_pid(sd_bus_message *m, void *data, sd_bus_error *error) {
	const struct bus_face *f = data;
	int r = check_pid(m, error);
	return r < 0 ? r : sd_bus_reply_method_return(m, "o", f->user_path);
}

static int method_get_seat(sd_bus_message *m, void *data, sd_bus_error *error) {
	const char *id;
	int r = sd_bus_message_read(m, "s", &id);
	if (r >= 0) {
		r = bus_check_seat(id, error);
	}
	return r < 0 ? r : sd_bus_reply_method_return(m, "o", SEAT_PATH);
}

static int method_list_sessions(sd_bus_message *m, void *data, sd_bus_error *error) {
	const struct bus_face *f = data;
	return sd_bus_reply_method_return(m, "a(susso)", 1, SESSION_ID, (uint32_t)f->session->uid,
		f->session->user_name, SEAT_ID, SESSION_PATH);
}

static int method_list_users(sd_bus_message *m, void *data, sd_bus_error *error) {
	const struct bus_face *f = data;
	return sd_bus_reply_method_return(
		m, "a(uso)", 1, (uint32_t)f->session->uid, f->session->user_name, f->user_path);
}

static int method_list_seats(sd_bus_message *m, void *data, sd_bus_error *error) {
	return sd_bus_reply_method_return(m, "a(so)", 1, SEAT_ID, SEAT_PATH);
}

/* Activate, lock, unlock by the session's id. */
static int method_session(sd_bus_message *m, void *data, sd_bus_error *error) {
	const char *id, *member = sd_bus_message_get_member(m);
	int r = sd_bus_message_read(m, "s", &id);
	if (r >= 0) {
		r = bus_check_session(id, error);
	}
	if (r >= 0 && strcmp(member, "ActivateSession") != 0) {
		r = bus_emit_lock(data, strcmp(member, "LockSession") == 0);
	}
	return r < 0 ? r : sd_bus_reply_method_return(m, NULL);
}

static int method_activate_on_seat(sd_bus_message *m, void *data, sd_bus_error *error) {
	const char *id, *seat;
	int r = sd_bus_message_read(m, "ss", &id, &seat);
	if (r >= 0) {
		r = bus_check_session(id, error);
	}
	if (r >= 0) {
		r = bus_check_seat(seat, error);
	}
	return r < 0 ? r : sd_bus_reply_method_return(m, NULL);
}

static int method_lock_all(sd_bus_message *m, void *data, sd_bus_error *error) {
	int r = bus_emit_lock(data, strcmp(sd_bus_message_get_member(m), "LockSessions") == 0);
	return r < 0 ? r : sd_bus_reply_method_return(m, NULL);
}

/* Whether one can suspend, power off and the like. */
static int method_can(sd_bus_message *m, void *data, sd_bus_error *error) {
	return sd_bus_reply_method_return(m, "s", "no");
}

static int method_cancel_shutdown(sd_bus_message *m, void *data, sd_bus_error *error) {
	return sd_bus_reply_method_return(m, "b", false);
}

static int method_inhibit(sd_bus_message *m, void *data, sd_bus_error *error) {
	struct bus_face *f = data;
	const char *what, *who, *why, *mode;
	int fd CLEANUP_CLOSE = -1;
	int r = sd_bus_message_read(m, "ssss", &what, &who, &why, &mode);
	if (r < 0) {
		return r;
	}
	r = inhibitors_add(&f->inhibitors, what, who, why, mode, &fd);
	switch (r) {
	case -EINVAL:
		return sd_bus_error_set_const(error, SD_BUS_ERROR_INVALID_ARGS,
			"Not a list of what can be inhibited, or not a mode");
	case -EOPNOTSUPP:
		return sd_bus_error_set_const(
			error, SD_BUS_ERROR_INVALID_ARGS, "Only shutdown and sleep can be delayed");
	case -E2BIG:
		return sd_bus_error_set_const(
			error, SD_BUS_ERROR_INVALID_ARGS, "The text is too long");
	case -ENOSPC:
		return sd_bus_error_setf(error, SD_BUS_ERROR_LIMITS_EXCEEDED,
			"There are %u inhibitors already", INHIBITORS_MAX);
	default:
		return r < 0 ? r : sd_bus_reply_method_return(m, "h", fd);
	}
}

static int method_list_inhibitors(sd_bus_message *m, void *data, sd_bus_error *error) {
	const struct bus_face *f = data;
	const struct inhibitor *one;
	sd_bus_message *reply = NULL;
	int r = sd_bus_message_new_method_return(m, &reply);
	if (r >= 0) {
		r = sd_bus_message_open_container(reply, 'a', "(ssssuu)");
	}
	list_for_each(one, &f->inhibitors.list, link) {
		char what[INHIBIT_WHAT_MAX];
		inhibit_mask_to_string(one->what, what);
		/* Whose process it is was never asked. */
		if (r >= 0) {
			r = sd_bus_message_append(reply, "(ssssuu)", what, one->who, one->why,
				one->delay ? "delay" : "block", (uint32_t)f->session->uid, 0);
		}
	}
	if (r >= 0) {
		r = sd_bus_message_close_container(reply);
	}
	if (r >= 0) {
		r = sd_bus_send(NULL, reply, NULL);
	}
	sd_bus_message_unref(reply);
	return r;
}

static int get_inhibited(sd_bus *bus, const char *path, const char *interface, const char *property,
	sd_bus_message *reply, void *data, sd_bus_error *error) {
	const struct bus_face *f = data;
	char what[INHIBIT_WHAT_MAX];
	inhibit_mask_to_string(
		inhibitors_mask(&f->inhibitors, strcmp(property, "DelayInhibited") == 0), what);
	return sd_bus_message_append(reply, "s", what);
}

static int get_count(sd_bus *bus, const char *path, const char *interface, const char *property,
	sd_bus_message *reply, void *data, sd_bus_error *error) {
	const struct bus_face *f = data;
	uint64_t n = strcmp(property, "InhibitorsMax") == 0   ? INHIBITORS_MAX
		: strcmp(property, "NCurrentInhibitors") == 0 ? f->inhibitors.n
							      : 1;
	return sd_bus_message_append(reply, "t", n);
}

static int get_no_names(sd_bus *bus, const char *path, const char *interface, const char *property,
	sd_bus_message *reply, void *data, sd_bus_error *error) {
	return sd_bus_message_append(reply, "as", 0);
}

static int get_handle(sd_bus *bus, const char *path, const char *interface, const char *property,
	sd_bus_message *reply, void *data, sd_bus_error *error) {
	return sd_bus_message_append(reply, "s", "ignore");
}

static int get_schedule(sd_bus *bus, const char *path, const char *interface, const char *property,
	sd_bus_message *reply, void *data, sd_bus_error *error) {
	return sd_bus_message_append(reply, "(st)", "", UINT64_C(0));
}

#define CAN(name)                \
	SD_BUS_METHOD_WITH_ARGS( \
		name, SD_BUS_NO_ARGS, SD_BUS_RESULT("s", result), method_can, ANYBODY)
#define REFUSE(name, ...)        \
	SD_BUS_METHOD_WITH_ARGS( \
		name, SD_BUS_ARGS(__VA_ARGS__), SD_BUS_NO_RESULT, bus_method_refuse, ANYBODY)
#define BY_SESSION(name)         \
	SD_BUS_METHOD_WITH_ARGS( \
		name, SD_BUS_ARGS("s", session_id), SD_BUS_NO_RESULT, method_session, ANYBODY)

const sd_bus_vtable bus_manager_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("EnableWallMessages", "b", bus_get_false, 0, CONSTANT),
	SD_BUS_PROPERTY("WallMessage", "s", bus_get_empty, 0, CONSTANT),
	SD_BUS_PROPERTY("NAutoVTs", "u", bus_get_zero32, 0, CONSTANT),
	SD_BUS_PROPERTY("KillOnlyUsers", "as", get_no_names, 0, CONSTANT),
	SD_BUS_PROPERTY("KillExcludeUsers", "as", get_no_names, 0, CONSTANT),
	SD_BUS_PROPERTY("KillUserProcesses", "b", bus_get_false, 0, CONSTANT),
	SD_BUS_PROPERTY("RebootParameter", "s", bus_get_empty, 0, 0),
	SD_BUS_PROPERTY("RebootToFirmwareSetup", "b", bus_get_false, 0, 0),
	SD_BUS_PROPERTY("RebootToBootLoaderMenu", "t", bus_get_zero64, 0, 0),
	SD_BUS_PROPERTY("RebootToBootLoaderEntry", "s", bus_get_empty, 0, 0),
	SD_BUS_PROPERTY("BootLoaderEntries", "as", get_no_names, 0, CONSTANT),
	SD_BUS_PROPERTY("IdleHint", "b", bus_get_idle_hint, 0, CHANGES),
	SD_BUS_PROPERTY("IdleSinceHint", "t", bus_get_idle_since, 0, CHANGES),
	SD_BUS_PROPERTY("IdleSinceHintMonotonic", "t", bus_get_idle_since, 0, CHANGES),
	SD_BUS_PROPERTY("BlockInhibited", "s", get_inhibited, 0, CHANGES),
	SD_BUS_PROPERTY("DelayInhibited", "s", get_inhibited, 0, CHANGES),
	SD_BUS_PROPERTY("InhibitDelayMaxUSec", "t", bus_get_zero64, 0, CONSTANT),
	SD_BUS_PROPERTY("UserStopDelayUSec", "t", bus_get_zero64, 0, CONSTANT),
	SD_BUS_PROPERTY("HandlePowerKey", "s", get_handle, 0, CONSTANT),
	SD_BUS_PROPERTY("HandlePowerKeyLongPress", "s", get_handle, 0, CONSTANT),
	SD_BUS_PROPERTY("HandleRebootKey", "s", get_handle, 0, CONSTANT),
	SD_BUS_PROPERTY("HandleRebootKeyLongPress", "s", get_handle, 0, CONSTANT),
	SD_BUS_PROPERTY("HandleSuspendKey", "s", get_handle, 0, CONSTANT),
	SD_BUS_PROPERTY("HandleSuspendKeyLongPress", "s", get_handle, 0, CONSTANT),
	SD_BUS_PROPERTY("HandleHibernateKey", "s", get_handle, 0, CONSTANT),
	SD_BUS_PROPERTY("HandleHibernateKeyLongPress", "s", get_handle, 0, CONSTANT),
	SD_BUS_PROPERTY("HandleLidSwitch", "s", get_handle, 0, CONSTANT),
	SD_BUS_PROPERTY("HandleLidSwitchExternalPower", "s", get_handle, 0, CONSTANT),
	SD_BUS_PROPERTY("HandleLidSwitchDocked", "s", get_handle, 0, CONSTANT),
	SD_BUS_PROPERTY("HoldoffTimeoutUSec", "t", bus_get_zero64, 0, CONSTANT),
	SD_BUS_PROPERTY("IdleAction", "s", get_handle, 0, CONSTANT),
	SD_BUS_PROPERTY("IdleActionUSec", "t", bus_get_zero64, 0, CONSTANT),
	SD_BUS_PROPERTY("PreparingForShutdown", "b", bus_get_false, 0, CONSTANT),
	SD_BUS_PROPERTY("PreparingForSleep", "b", bus_get_false, 0, CONSTANT),
	SD_BUS_PROPERTY("ScheduledShutdown", "(st)", get_schedule, 0, CONSTANT),
	SD_BUS_PROPERTY("Docked", "b", bus_get_false, 0, CONSTANT),
	SD_BUS_PROPERTY("LidClosed", "b", bus_get_false, 0, CONSTANT),
	SD_BUS_PROPERTY("OnExternalPower", "b", bus_get_false, 0, CONSTANT),
	SD_BUS_PROPERTY("RemoveIPC", "b", bus_get_false, 0, CONSTANT),
	SD_BUS_PROPERTY("RuntimeDirectorySize", "t", bus_get_zero64, 0, CONSTANT),
	SD_BUS_PROPERTY("RuntimeDirectoryInodesMax", "t", bus_get_zero64, 0, CONSTANT),
	SD_BUS_PROPERTY("InhibitorsMax", "t", get_count, 0, CONSTANT),
	SD_BUS_PROPERTY("NCurrentInhibitors", "t", get_count, 0, CHANGES),
	SD_BUS_PROPERTY("SessionsMax", "t", get_count, 0, CONSTANT),
	SD_BUS_PROPERTY("NCurrentSessions", "t", get_count, 0, CONSTANT),
	SD_BUS_PROPERTY("StopIdleSessionUSec", "t", bus_get_zero64, 0, CONSTANT),

	SD_BUS_METHOD_WITH_ARGS("GetSession", SD_BUS_ARGS("s", session_id),
		SD_BUS_RESULT("o", object_path), method_get_session, ANYBODY),
	SD_BUS_METHOD_WITH_ARGS("GetSessionByPID", SD_BUS_ARGS("u", pid),
		SD_BUS_RESULT("o", object_path), method_get_session_by_pid, ANYBODY),
	SD_BUS_METHOD_WITH_ARGS("GetUser", SD_BUS_ARGS("u", uid), SD_BUS_RESULT("o", object_path),
		method_get_user, ANYBODY),
	SD_BUS_METHOD_WITH_ARGS("GetUserByPID", SD_BUS_ARGS("u", pid),
		SD_BUS_RESULT("o", object_path), method_get_user_by_pid, ANYBODY),
	SD_BUS_METHOD_WITH_ARGS("GetSeat", SD_BUS_ARGS("s", seat_id),
		SD_BUS_RESULT("o", object_path), method_get_seat, ANYBODY),
	SD_BUS_METHOD_WITH_ARGS("ListSessions", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(susso)", sessions),
		method_list_sessions, ANYBODY),
	SD_BUS_METHOD_WITH_ARGS("ListUsers", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(uso)", users),
		method_list_users, ANYBODY),
	SD_BUS_METHOD_WITH_ARGS("ListSeats", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(so)", seats),
		method_list_seats, ANYBODY),
	SD_BUS_METHOD_WITH_ARGS("ListInhibitors", SD_BUS_NO_ARGS,
		SD_BUS_RESULT("a(ssssuu)", inhibitors), method_list_inhibitors, ANYBODY),
	SD_BUS_METHOD_WITH_ARGS("Inhibit", SD_BUS_ARGS("s", what, "s", who, "s", why, "s", mode),
		SD_BUS_RESULT("h", pipe_fd), method_inhibit, ANYBODY),

	BY_SESSION("ActivateSession"),
	BY_SESSION("LockSession"),
	BY_SESSION("UnlockSession"),
	SD_BUS_METHOD_WITH_ARGS("ActivateSessionOnSeat", SD_BUS_ARGS("s", session_id, "s", seat_id),
		SD_BUS_NO_RESULT, method_activate_on_seat, ANYBODY),
	SD_BUS_METHOD_WITH_ARGS(
		"LockSessions", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_lock_all, ANYBODY),
	SD_BUS_METHOD_WITH_ARGS(
		"UnlockSessions", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_lock_all, ANYBODY),

	CAN("CanPowerOff"),
	CAN("CanReboot"),
	CAN("CanHalt"),
	CAN("CanSuspend"),
	CAN("CanHibernate"),
	CAN("CanHybridSleep"),
	CAN("CanSuspendThenHibernate"),
	CAN("CanRebootParameter"),
	CAN("CanRebootToFirmwareSetup"),
	CAN("CanRebootToBootLoaderMenu"),
	CAN("CanRebootToBootLoaderEntry"),

	REFUSE("PowerOff", "b", interactive),
	REFUSE("PowerOffWithFlags", "t", flags),
	REFUSE("Reboot", "b", interactive),
	REFUSE("RebootWithFlags", "t", flags),
	REFUSE("Halt", "b", interactive),
	REFUSE("HaltWithFlags", "t", flags),
	REFUSE("Suspend", "b", interactive),
	REFUSE("SuspendWithFlags", "t", flags),
	REFUSE("Hibernate", "b", interactive),
	REFUSE("HibernateWithFlags", "t", flags),
	REFUSE("HybridSleep", "b", interactive),
	REFUSE("HybridSleepWithFlags", "t", flags),
	REFUSE("SuspendThenHibernate", "b", interactive),
	REFUSE("SuspendThenHibernateWithFlags", "t", flags),
	REFUSE("ScheduleShutdown", "s", type, "t", usec),
	SD_BUS_METHOD_WITH_ARGS("CancelScheduledShutdown", SD_BUS_NO_ARGS,
		SD_BUS_RESULT("b", cancelled), method_cancel_shutdown, ANYBODY),
	REFUSE("SetRebootParameter", "s", parameter),
	REFUSE("SetRebootToFirmwareSetup", "b", enable),
	REFUSE("SetRebootToBootLoaderMenu", "t", timeout),
	REFUSE("SetRebootToBootLoaderEntry", "s", boot_loader_entry),
	REFUSE("SetWallMessage", "s", wall_message, "b", enable),
	REFUSE("SetUserLinger", "u", uid, "b", enable, "b", interactive),
	REFUSE("AttachDevice", "s", seat_id, "s", sysfs_path, "b", interactive),
	REFUSE("FlushDevices", "b", interactive),
	REFUSE("KillSession", "s", session_id, "s", who, "i", signal_number),
	REFUSE("KillUser", "u", uid, "i", signal_number),
	REFUSE("TerminateSession", "s", session_id),
	REFUSE("TerminateUser", "u", uid),
	REFUSE("TerminateSeat", "s", seat_id),
	REFUSE("ReleaseSession", "s", session_id),

	SD_BUS_SIGNAL_WITH_ARGS("SessionNew", SD_BUS_ARGS("s", session_id, "o", object_path), 0),
	SD_BUS_SIGNAL_WITH_ARGS(
		"SessionRemoved", SD_BUS_ARGS("s", session_id, "o", object_path), 0),
	SD_BUS_SIGNAL_WITH_ARGS("UserNew", SD_BUS_ARGS("u", uid, "o", object_path), 0),
	SD_BUS_SIGNAL_WITH_ARGS("UserRemoved", SD_BUS_ARGS("u", uid, "o", object_path), 0),
	SD_BUS_SIGNAL_WITH_ARGS("SeatNew", SD_BUS_ARGS("s", seat_id, "o", object_path), 0),
	SD_BUS_SIGNAL_WITH_ARGS("SeatRemoved", SD_BUS_ARGS("s", seat_id, "o", object_path), 0),
	SD_BUS_SIGNAL_WITH_ARGS("PrepareForShutdown", SD_BUS_ARGS("b", start), 0),
	SD_BUS_SIGNAL_WITH_ARGS("PrepareForSleep", SD_BUS_ARGS("b", start), 0),
	SD_BUS_VTABLE_END,
};
