/* SPDX-License-Identifier: GPL-2.0-or-later */
/* logind-stub's session on D-Bus: control, devices, hints, and the lease that goes and comes. */
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "logind-fixture.h"
#include "test.h"

#define ERROR_SIZE SD_BUS_MAXIMUM_NAME_LENGTH

/* What mutter asks, in its order. */
TEST(what_mutter_asks) {
	struct logind_fixture f = {0};
	sd_bus_message *reply = NULL;
	const char *path, *id;
	int active = 0;
	logind_start(&f, true);
	check_ok(logind_call(&f, NULL, LOGIN_PATH, "org.freedesktop.DBus.Properties", "GetAll",
		NULL, NULL, "s", LOGIN_MANAGER));
	check_ok(logind_call(
		&f, NULL, LOGIN_PATH, LOGIN_MANAGER, "GetSessionByPID", NULL, &reply, "u", 0));
	check_ok(sd_bus_message_read(reply, "o", &path));
	check_str(path, SESSION_PATH);
	reply = sd_bus_message_unref(reply);
	check_ok(logind_call(&f, NULL, SESSION_PATH, "org.freedesktop.DBus.Properties", "GetAll",
		NULL, NULL, "s", LOGIN_SESSION));
	check_ok(sd_bus_get_property_trivial(f.bus, "org.freedesktop.login1", SESSION_PATH,
		LOGIN_SESSION, "Active", NULL, 'b', &active));
	check(active);
	/* A structure, not an array: compositors are exact about that. */
	check_ok(sd_bus_get_property(f.bus, "org.freedesktop.login1", SESSION_PATH, LOGIN_SESSION,
		"Seat", NULL, &reply, "(so)"));
	check_ok(sd_bus_message_read(reply, "(so)", &id, &path));
	check_str(id, "seat0");
	check_str(path, SEAT_PATH);
	reply = sd_bus_message_unref(reply);
	check_ok(sd_bus_get_property(
		f.bus, "org.freedesktop.login1", SEAT_PATH, LOGIN_SEAT, "Id", NULL, &reply, "s"));
	check_ok(sd_bus_message_read(reply, "s", &id));
	check_str(id, "seat0");
	sd_bus_message_unref(reply);
	check_ok(logind_take_control(&f, NULL, NULL));
	int fd = logind_take_card(&f, NULL, NULL);
	check_int(fd_minor(fd), ==, CARD_MINOR);
	(void)close(fd);
	logind_stop(&f);
}

TEST(session_properties) {
	struct logind_fixture f = {0};
	sd_bus_message *reply = NULL;
	uint32_t uid, number;
	uint64_t since = 0;
	const char *text;
	logind_start(&f, true);
	check_ok(sd_bus_get_property(f.bus, "org.freedesktop.login1", SESSION_PATH, LOGIN_SESSION,
		"User", NULL, &reply, "(uo)"));
	check_ok(sd_bus_message_read(reply, "(uo)", &uid, &text));
	check_int(uid, ==, 1000);
	check_str(text, LOGIN_PATH "/user/_1000");
	reply = sd_bus_message_unref(reply);
	const struct {
		const char *name, *value;
	} texts[] = {{"Id", "auto"}, {"Name", "somebody"}, {"TTY", ""}, {"Display", ""},
		{"RemoteHost", ""}, {"RemoteUser", ""}, {"Service", "helix"}, {"Desktop", ""},
		{"Scope", "session-auto.scope"}, {"Type", "wayland"}, {"Class", "user"},
		{"State", "active"}};
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		char *value = NULL;
		check_ok(sd_bus_get_property_string(f.bus, "org.freedesktop.login1", SESSION_PATH,
			LOGIN_SESSION, texts[i].name, NULL, &value));
		check_str(value, texts[i].value);
		free(value);
	}
	check_ok(sd_bus_get_property_trivial(f.bus, "org.freedesktop.login1", SESSION_PATH,
		LOGIN_SESSION, "Leader", NULL, 'u', &number));
	check_int(number, ==, getpid());
	check_ok(sd_bus_get_property_trivial(f.bus, "org.freedesktop.login1", SESSION_PATH,
		LOGIN_SESSION, "Timestamp", NULL, 't', &since));
	check(since / 1000000 <= (uint64_t)time(NULL) &&
		since / 1000000 + 60 > (uint64_t)time(NULL));
	logind_stop(&f);
}

TEST(one_controller) {
	struct logind_fixture f = {0};
	char error[ERROR_SIZE];
	logind_start(&f, true);
	/* Nothing without control. */
	const char *const methods[] = {"TakeDevice", "ReleaseDevice", "PauseDeviceComplete"};
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		check_int(logind_call(&f, ":1.1", SESSION_PATH, LOGIN_SESSION, methods[i], error,
				  NULL, "uu", CARD_MAJOR, CARD_MINOR),
			<, 0);
		check_str(error, ERROR_NOT_IN_CONTROL);
	}
	check_int(logind_call(&f, ":1.1", SESSION_PATH, LOGIN_SESSION, "ReleaseControl", error,
			  NULL, NULL),
		<, 0);
	check_str(error, ERROR_NOT_IN_CONTROL);
	check_int(logind_call(&f, ":1.1", SESSION_PATH, LOGIN_SESSION, "SetType", error, NULL, "s",
			  "x11"),
		<, 0);
	check_str(error, ERROR_NOT_IN_CONTROL);

	check_ok(logind_take_control(&f, ":1.1", NULL));
	check_ok(logind_take_control(&f, ":1.1", NULL));
	check_int(logind_take_control(&f, ":1.2", error), <, 0);
	check_str(error, "System.Error.EBUSY");
	check_int(logind_call(&f, ":1.2", SESSION_PATH, LOGIN_SESSION, "TakeControl", error, NULL,
			  "b", true),
		<, 0);
	check_str(error, SD_BUS_ERROR_ACCESS_DENIED);
	check_int(logind_take_card(&f, ":1.2", error), <, 0);
	check_str(error, ERROR_NOT_IN_CONTROL);
	(void)close(logind_take_card(&f, ":1.1", NULL));

	/* With control go the devices. */
	check_ok(logind_call(
		&f, ":1.1", SESSION_PATH, LOGIN_SESSION, "ReleaseControl", NULL, NULL, NULL));
	check_ok(logind_take_control(&f, ":1.2", NULL));
	check_int(logind_call(&f, ":1.2", SESSION_PATH, LOGIN_SESSION, "ReleaseDevice", error, NULL,
			  "uu", CARD_MAJOR, CARD_MINOR),
		<, 0);
	check_str(error, ERROR_NOT_TAKEN);
	logind_stop(&f);
}

static void tell_owner_changed(struct logind_fixture *f, const char *name) {
	sd_bus_message *m = NULL;
	check_ok(sd_bus_message_new_signal(
		f->bus, &m, "/org/freedesktop/DBus", "org.freedesktop.DBus", "NameOwnerChanged"));
	check_ok(sd_bus_message_set_sender(m, "org.freedesktop.DBus"));
	check_ok(sd_bus_message_append(m, "sss", name, name, ""));
	check_ok(sd_bus_send(f->bus, m, NULL));
	sd_bus_message_unref(m);
}

TEST(controller_leaves_the_bus) {
	struct logind_fixture f = {0};
	char error[ERROR_SIZE];
	logind_start(&f, true);
	check_ok(logind_take_control(&f, ":1.1", NULL));
	tell_owner_changed(&f, ":1.9");
	check_int(logind_take_control(&f, ":1.2", error), <, 0);
	tell_owner_changed(&f, ":1.1");
	check_ok(logind_take_control(&f, ":1.2", NULL));
	/* The one before is forgotten altogether. */
	tell_owner_changed(&f, ":1.1");
	(void)close(logind_take_card(&f, ":1.2", NULL));
	logind_stop(&f);
}

TEST(devices) {
	struct logind_fixture f = {0};
	char error[ERROR_SIZE];
	int fds[3];
	logind_start(&f, true);
	check_ok(logind_take_control(&f, NULL, NULL));
	/* As often as asked. */
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = logind_take_card(&f, NULL, NULL);
		check_int(fd_minor(fds[i]), ==, CARD_MINOR);
	}
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		(void)close(fds[i]);
	}
	check_ok(logind_call(&f, NULL, SESSION_PATH, LOGIN_SESSION, "PauseDeviceComplete", NULL,
		NULL, "uu", CARD_MAJOR, CARD_MINOR));
	check_ok(logind_call(&f, NULL, SESSION_PATH, LOGIN_SESSION, "ReleaseDevice", NULL, NULL,
		"uu", CARD_MAJOR, CARD_MINOR));
	check_int(logind_call(&f, NULL, SESSION_PATH, LOGIN_SESSION, "ReleaseDevice", error, NULL,
			  "uu", CARD_MAJOR, CARD_MINOR),
		<, 0);
	check_str(error, ERROR_NOT_TAKEN);
	/* Others', by number: render nodes, input, memory, nonsense. */
	const uint32_t others[][2] = {{226, 0}, {226, 128}, {13, 64}, {1, 1}, {1, NEXT_MINOR},
		{0, 0}, {UINT32_MAX, UINT32_MAX}};
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		check_int(logind_call(&f, NULL, SESSION_PATH, LOGIN_SESSION, "TakeDevice", error,
				  NULL, "uu", others[i][0], others[i][1]),
			<, 0);
		check_str(error, "System.Error.ENODEV");
	}
	logind_stop(&f);
}

/* PropertiesChanged of the session: "Active" and "State" as it says. */
static void expect_active(struct logind_fixture *f, bool active) {
	const char *interface, *name, *type;
	bool seen = false;
	sd_bus_message *m = logind_wait_signal(f, "PropertiesChanged");
	check_ok(sd_bus_message_read(m, "s", &interface));
	check_str(interface, LOGIN_SESSION);
	check_int(sd_bus_message_enter_container(m, 'a', "{sv}"), >, 0);
	while (sd_bus_message_enter_container(m, 'e', "sv") > 0) {
		int value;
		check_ok(sd_bus_message_read(m, "s", &name));
		if (strcmp(name, "Active") == 0) {
			check_ok(sd_bus_message_read(m, "v", "b", &value));
			check_int(value, ==, active);
			seen = true;
		} else {
			check_str(name, "State");
			check_ok(sd_bus_message_read(m, "v", "s", &type));
			check_str(type, active ? "active" : "online");
		}
		check_ok(sd_bus_message_exit_container(m));
	}
	check(seen);
	sd_bus_message_unref(m);
}

TEST(lease_goes_and_comes) {
	struct logind_fixture f = {0};
	char error[ERROR_SIZE];
	uint32_t major, minor;
	const char *type;
	int fd;
	logind_start(&f, true);
	check_ok(logind_take_control(&f, NULL, NULL));
	(void)close(logind_take_card(&f, NULL, NULL));

	logind_pause(&f);
	sd_bus_message *m = logind_wait_signal(&f, "PauseDevice");
	check_ok(sd_bus_message_read(m, "uus", &major, &minor, &type));
	check_int(major, ==, CARD_MAJOR);
	check_int(minor, ==, CARD_MINOR);
	check_str(type, "gone");
	sd_bus_message_unref(m);
	expect_active(&f, false);
	check_int(logind_take_card(&f, NULL, error), <, 0);
	check_str(error, "System.Error.ENODEV");

	logind_resume(&f);
	m = logind_wait_signal(&f, "ResumeDevice");
	check_ok(sd_bus_message_read(m, "uuh", &major, &minor, &fd));
	check_int(minor, ==, CARD_MINOR);
	check_int(fd_minor(fd), ==, NEXT_MINOR);
	sd_bus_message_unref(m);
	expect_active(&f, true);
	fd = logind_take_card(&f, NULL, NULL);
	check_int(fd_minor(fd), ==, NEXT_MINOR);
	(void)close(fd);
	logind_stop(&f);
}

/* Who never took the card, or gave it back, is told of the session only. */
TEST(only_the_taken_are_paused) {
	struct logind_fixture f = {0};
	logind_start(&f, true);
	check_ok(logind_take_control(&f, NULL, NULL));
	(void)close(logind_take_card(&f, NULL, NULL));
	check_ok(logind_call(&f, NULL, SESSION_PATH, LOGIN_SESSION, "ReleaseDevice", NULL, NULL,
		"uu", CARD_MAJOR, CARD_MINOR));
	logind_pause(&f);
	expect_active(&f, false);
	logind_resume(&f);
	expect_active(&f, true);
	logind_stop(&f);
}

TEST(supervisor_that_talks_nonsense) {
	struct logind_fixture f = {0};
	int fds[2];
	logind_start(&f, true);
	check_int(send(f.control, "X", 1, 0), ==, 1);
	check_int(send(f.control, "R", 1, 0), ==, 1); /* without a descriptor */
	check_int(send(f.control, "PPPP", 4, 0), ==, 4);
	expect_active(&f, false);
	check_ok(logind_take_control(&f, NULL, NULL));
	/* More descriptors than wanted are closed, or the fixture would count them. */
	check_int(pipe(fds), ==, 0);
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(2 * sizeof(int))];
	} control = {.header = {.cmsg_level = SOL_SOCKET,
			     .cmsg_type = SCM_RIGHTS,
			     .cmsg_len = CMSG_LEN(2 * sizeof(int))}};
	struct iovec iov = {(char[]){'P'}, 1};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control.space)};
	memcpy(CMSG_DATA(&control.header), fds, sizeof(fds));
	check_int(sendmsg(f.control, &msg, 0), ==, 1);
	(void)close(fds[0]);
	(void)close(fds[1]);
	logind_resume(&f);
	expect_active(&f, true);
	logind_stop(&f);
}

TEST(hints) {
	struct logind_fixture f = {0};
	char error[ERROR_SIZE];
	int value = 0;
	uint64_t since = 0;
	static const struct {
		const char *path, *interface;
	} idle[] = {{SESSION_PATH, LOGIN_SESSION}, {SEAT_PATH, LOGIN_SEAT},
		{LOGIN_PATH "/user/_1000", LOGIN_USER}, {LOGIN_PATH, LOGIN_MANAGER}};
	logind_start(&f, true);
	check_ok(logind_call(
		&f, NULL, SESSION_PATH, LOGIN_SESSION, "SetLockedHint", NULL, NULL, "b", true));
	sd_bus_message_unref(logind_wait_signal(&f, "PropertiesChanged"));
	check_ok(sd_bus_get_property_trivial(f.bus, "org.freedesktop.login1", SESSION_PATH,
		LOGIN_SESSION, "LockedHint", NULL, 'b', &value));
	check(value);
	check_ok(logind_call(
		&f, NULL, SESSION_PATH, LOGIN_SESSION, "SetIdleHint", NULL, NULL, "b", true));
	for (size_t i = 0; i < ARRAY_SIZE(idle); i++) {
		sd_bus_message_unref(logind_wait_signal(&f, "PropertiesChanged"));
		check_ok(sd_bus_get_property_trivial(f.bus, "org.freedesktop.login1", idle[i].path,
			idle[i].interface, "IdleHint", NULL, 'b', &value));
		check(value);
		check_ok(sd_bus_get_property_trivial(f.bus, "org.freedesktop.login1", idle[i].path,
			idle[i].interface, "IdleSinceHint", NULL, 't', &since));
		check(since > 0);
	}
	check_ok(logind_take_control(&f, NULL, NULL));
	check_ok(logind_call(
		&f, NULL, SESSION_PATH, LOGIN_SESSION, "SetType", NULL, NULL, "s", "x11"));
	check_int(logind_call(&f, NULL, SESSION_PATH, LOGIN_SESSION, "SetType", error, NULL, "s",
			  "w11"),
		<, 0);
	check_str(error, SD_BUS_ERROR_INVALID_ARGS);
	logind_stop(&f);
}

TEST(lock_and_unlock_are_signals) {
	struct logind_fixture f = {0};
	static const struct {
		const char *path, *interface, *method, *id, *signal;
	} calls[] = {
		{SESSION_PATH, LOGIN_SESSION, "Lock", NULL, "Lock"},
		{SESSION_PATH, LOGIN_SESSION, "Unlock", NULL, "Unlock"},
		{LOGIN_PATH, LOGIN_MANAGER, "LockSession", "auto", "Lock"},
		{LOGIN_PATH, LOGIN_MANAGER, "UnlockSession", "auto", "Unlock"},
		{LOGIN_PATH, LOGIN_MANAGER, "LockSessions", NULL, "Lock"},
		{LOGIN_PATH, LOGIN_MANAGER, "UnlockSessions", NULL, "Unlock"},
	};
	logind_start(&f, true);
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		check_ok(logind_call(&f, NULL, calls[i].path, calls[i].interface, calls[i].method,
			NULL, NULL, calls[i].id ? "s" : NULL, calls[i].id));
		sd_bus_message *m = logind_wait_signal(&f, calls[i].signal);
		check_str(sd_bus_message_get_path(m), SESSION_PATH);
		sd_bus_message_unref(m);
	}
	logind_stop(&f);
}

TEST(what_a_container_cannot_do_is_refused) {
	struct logind_fixture f = {0};
	char error[ERROR_SIZE];
	logind_start(&f, true);
	check_int(
		logind_call(&f, NULL, SESSION_PATH, LOGIN_SESSION, "Terminate", error, NULL, NULL),
		<, 0);
	check_str(error, SD_BUS_ERROR_NOT_SUPPORTED);
	check_int(logind_call(&f, NULL, SESSION_PATH, LOGIN_SESSION, "SetBrightness", error, NULL,
			  "ssu", "backlight", "intel", 3),
		<, 0);
	check_str(error, SD_BUS_ERROR_NOT_SUPPORTED);
	check_int(logind_call(&f, NULL, SEAT_PATH, LOGIN_SEAT, "SwitchTo", error, NULL, "u", 2), <,
		0);
	check_str(error, SD_BUS_ERROR_NOT_SUPPORTED);
	check_int(logind_call(
			  &f, NULL, LOGIN_PATH, LOGIN_MANAGER, "PowerOff", error, NULL, "b", false),
		<, 0);
	check_str(error, SD_BUS_ERROR_NOT_SUPPORTED);
	check_ok(logind_call(&f, NULL, SESSION_PATH, LOGIN_SESSION, "Activate", NULL, NULL, NULL));
	check_int(logind_call(&f, NULL, SESSION_PATH, "org.freedesktop.DBus.Properties", "Set",
			  error, NULL, "ssv", LOGIN_SESSION, "Active", "b", false),
		<, 0);
	check_str(error, SD_BUS_ERROR_PROPERTY_READ_ONLY);
	logind_stop(&f);
}
