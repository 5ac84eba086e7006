/* SPDX-License-Identifier: GPL-2.0-or-later */
/* logind-stub's manager on D-Bus: what there is, inhibitors, and callers who send anything. */
#include <fcntl.h>
#include <string.h>

#include "inhibit.h"
#include "logind-fixture.h"
#include "test.h"

#define ERROR_SIZE SD_BUS_MAXIMUM_NAME_LENGTH

TEST(lists) {
	struct logind_fixture f = {0};
	sd_bus_message *m = NULL;
	const char *id, *name, *seat, *path;
	uint32_t uid;
	logind_start(&f, true);
	check_ok(logind_call(&f, NULL, LOGIN_PATH, LOGIN_MANAGER, "ListSessions", NULL, &m, NULL));
	check_int(sd_bus_message_enter_container(m, 'a', "(susso)"), >, 0);
	check_int(sd_bus_message_read(m, "(susso)", &id, &uid, &name, &seat, &path), >, 0);
	check_str(id, "auto");
	check_int(uid, ==, 1000);
	check_str(name, "somebody");
	check_str(seat, "seat0");
	check_str(path, SESSION_PATH);
	check_int(sd_bus_message_at_end(m, false), >, 0);
	m = sd_bus_message_unref(m);
	check_ok(logind_call(&f, NULL, LOGIN_PATH, LOGIN_MANAGER, "ListUsers", NULL, &m, NULL));
	check_int(sd_bus_message_enter_container(m, 'a', "(uso)"), >, 0);
	check_int(sd_bus_message_read(m, "(uso)", &uid, &name, &path), >, 0);
	check_int(uid, ==, 1000);
	check_str(path, LOGIN_PATH "/user/_1000");
	m = sd_bus_message_unref(m);
	check_ok(logind_call(&f, NULL, LOGIN_PATH, LOGIN_MANAGER, "ListSeats", NULL, &m, NULL));
	check_int(sd_bus_message_enter_container(m, 'a', "(so)"), >, 0);
	check_int(sd_bus_message_read(m, "(so)", &seat, &path), >, 0);
	check_str(seat, "seat0");
	check_str(path, SEAT_PATH);
	m = sd_bus_message_unref(m);
	logind_stop(&f);
}

TEST(look_ups) {
	struct logind_fixture f = {0};
	char error[ERROR_SIZE];
	static const struct {
		const char *method, *type, *text, *answer; /* a path, or the error's name */
		uint32_t number;
		bool good;
	} asked[] = {
		{"GetSession", "s", "auto", SESSION_PATH, 0, true},
		{"GetSession", "s", "self", SESSION_PATH, 0, true},
		{"GetSession", "s", "", SESSION_PATH, 0, true},
		{"GetSession", "s", "c1", ERROR_NO_SUCH_SESSION, 0, false},
		{"GetSeat", "s", "seat0", SEAT_PATH, 0, true},
		{"GetSeat", "s", "auto", SEAT_PATH, 0, true},
		{"GetSeat", "s", "seat1", ERROR_NO_SUCH_SEAT, 0, false},
		{"GetUser", "u", NULL, LOGIN_PATH "/user/_1000", 1000, true},
		{"GetUser", "u", NULL, LOGIN_PATH "/user/_1000", UINT32_MAX, true},
		{"GetUser", "u", NULL, ERROR_NO_SUCH_USER, 0, false},
		{"GetSessionByPID", "u", NULL, SESSION_PATH, 0, true},
		{"GetSessionByPID", "u", NULL, SESSION_PATH, 12345, true},
		{"GetSessionByPID", "u", NULL, SD_BUS_ERROR_INVALID_ARGS, UINT32_MAX, false},
		{"GetUserByPID", "u", NULL, LOGIN_PATH "/user/_1000", 1, true},
	};
	logind_start(&f, true);
	for (size_t i = 0; i < ARRAY_SIZE(asked); i++) {
		sd_bus_message *m = NULL;
		const char *path;
		int r = asked[i].text ? logind_call(&f, NULL, LOGIN_PATH, LOGIN_MANAGER,
						asked[i].method, error, &m, "s", asked[i].text)
				      : logind_call(&f, NULL, LOGIN_PATH, LOGIN_MANAGER,
						asked[i].method, error, &m, "u", asked[i].number);
		check_int(r >= 0, ==, asked[i].good);
		if (r >= 0) {
			check_ok(sd_bus_message_read(m, "o", &path));
		}
		check_str(r >= 0 ? path : error, asked[i].answer);
		sd_bus_message_unref(m);
	}
	logind_stop(&f);
}

TEST(nothing_can_be_suspended) {
	static const char *const methods[] = {"CanPowerOff", "CanReboot", "CanHalt", "CanSuspend",
		"CanHibernate", "CanHybridSleep", "CanSuspendThenHibernate",
		"CanRebootToFirmwareSetup", "CanRebootToBootLoaderMenu"};
	struct logind_fixture f = {0};
	logind_start(&f, true);
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		sd_bus_message *m = NULL;
		const char *answer;
		check_ok(logind_call(
			&f, NULL, LOGIN_PATH, LOGIN_MANAGER, methods[i], NULL, &m, NULL));
		check_ok(sd_bus_message_read(m, "s", &answer));
		check_str(answer, "no");
		sd_bus_message_unref(m);
	}
	logind_stop(&f);
}

static int inhibit(struct logind_fixture *f, const char *what, const char *mode, char *error) {
	sd_bus_message *m = NULL;
	int fd;
	int r = logind_call(f, NULL, LOGIN_PATH, LOGIN_MANAGER, "Inhibit", error, &m, "ssss", what,
		"a test", "it must", mode);
	if (r < 0) {
		return r;
	}
	check_ok(sd_bus_message_read(m, "h", &fd));
	fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	check(fd >= 0);
	sd_bus_message_unref(m);
	return fd;
}

static uint64_t n_inhibitors(struct logind_fixture *f) {
	uint64_t n;
	check_ok(sd_bus_get_property_trivial(f->bus, "org.freedesktop.login1", LOGIN_PATH,
		LOGIN_MANAGER, "NCurrentInhibitors", NULL, 't', &n));
	return n;
}

static void check_inhibited(struct logind_fixture *f, const char *property, const char *what) {
	char *value = NULL;
	check_ok(sd_bus_get_property_string(f->bus, "org.freedesktop.login1", LOGIN_PATH,
		LOGIN_MANAGER, property, NULL, &value));
	check_str(value, what);
	free(value);
}

TEST(inhibitors) {
	struct logind_fixture f = {0};
	sd_bus_message *m = NULL;
	const char *what, *who, *why, *mode;
	uint32_t uid, pid;
	int idle = 0;
	logind_start(&f, true);
	int a = inhibit(&f, "sleep:shutdown", "delay", NULL);
	int b = inhibit(&f, "idle:handle-lid-switch", "block", NULL);
	int copy = fcntl(b, F_DUPFD_CLOEXEC, 3);
	check_inhibited(&f, "DelayInhibited", "shutdown:sleep");
	check_inhibited(&f, "BlockInhibited", "idle:handle-lid-switch");
	check_ok(
		logind_call(&f, NULL, LOGIN_PATH, LOGIN_MANAGER, "ListInhibitors", NULL, &m, NULL));
	check_int(sd_bus_message_enter_container(m, 'a', "(ssssuu)"), >, 0);
	check_int(sd_bus_message_read(m, "(ssssuu)", &what, &who, &why, &mode, &uid, &pid), >, 0);
	check_str(what, "shutdown:sleep");
	check_str(who, "a test");
	check_str(why, "it must");
	check_str(mode, "delay");
	check_int(sd_bus_message_read(m, "(ssssuu)", &what, &who, &why, &mode, &uid, &pid), >, 0);
	check_str(mode, "block");
	check_int(sd_bus_message_at_end(m, false), >, 0);
	sd_bus_message_unref(m);

	/* Idle is inhibited. */
	check_ok(logind_call(
		&f, NULL, SESSION_PATH, LOGIN_SESSION, "SetIdleHint", NULL, NULL, "b", true));
	check_ok(sd_bus_get_property_trivial(f.bus, "org.freedesktop.login1", LOGIN_PATH,
		LOGIN_MANAGER, "IdleHint", NULL, 'b', &idle));
	check(!idle);

	/* What its owner writes into it does not matter; its last copy ends it. */
	check_int(write(a, "x", 1), ==, 1);
	check_int(n_inhibitors(&f), ==, 2);
	(void)close(b);
	check_int(n_inhibitors(&f), ==, 2);
	(void)close(copy);
	while (n_inhibitors(&f) != 1) {
		sd_bus_message_unref(logind_wait_signal(&f, "PropertiesChanged"));
	}
	check_inhibited(&f, "BlockInhibited", "");
	check_ok(sd_bus_get_property_trivial(f.bus, "org.freedesktop.login1", LOGIN_PATH,
		LOGIN_MANAGER, "IdleHint", NULL, 'b', &idle));
	check(idle);
	(void)close(a);
	logind_stop(&f);
}

TEST(inhibitors_that_are_refused) {
	static const struct {
		const char *what, *mode;
	} bad[] = {{"", "block"}, {"sleep:", "block"}, {":sleep", "block"},
		{"sleep::idle", "block"}, {"slee", "block"}, {"sleepy", "block"}, {"sleep", ""},
		{"sleep", "blocks"}, {"idle", "delay"}, {"sleep:handle-power-key", "delay"}};
	struct logind_fixture f = {0};
	char error[ERROR_SIZE], *text = calloc(1, 1 << 20);
	int fds[INHIBITORS_MAX];
	logind_start(&f, true);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		check_int(inhibit(&f, bad[i].what, bad[i].mode, error), <, 0);
		check_str(error, SD_BUS_ERROR_INVALID_ARGS);
	}
	memset(text, 'x', (1 << 20) - 1);
	check_int(logind_call(&f, NULL, LOGIN_PATH, LOGIN_MANAGER, "Inhibit", error, NULL, "ssss",
			  "sleep", text, "", "block"),
		<, 0);
	check_str(error, SD_BUS_ERROR_INVALID_ARGS);
	check_int(n_inhibitors(&f), ==, 0);
	for (unsigned i = 0; i < INHIBITORS_MAX; i++) {
		fds[i] = inhibit(&f, "sleep", "block", NULL);
	}
	check_int(inhibit(&f, "sleep", "block", error), <, 0);
	check_str(error, SD_BUS_ERROR_LIMITS_EXCEEDED);
	for (unsigned i = 0; i < INHIBITORS_MAX; i++) {
		(void)close(fds[i]);
	}
	while (n_inhibitors(&f) != 0) {
		sd_bus_message_unref(logind_wait_signal(&f, "PropertiesChanged"));
	}
	free(text);
	logind_stop(&f);
}

TEST(what_can_be_inhibited_goes_round) {
	for (uint32_t mask = 1; mask < 256; mask++) {
		char text[INHIBIT_WHAT_MAX];
		uint32_t again = 0;
		inhibit_mask_to_string(mask, text);
		check_int(inhibit_mask_from_string(text, &again), ==, 0);
		check_int(again, ==, mask);
	}
}

/* Calls with other types than the method's: an error each, and nothing else. */
TEST(wrong_types) {
	static const char *const methods[] = {"TakeControl", "TakeDevice", "ReleaseDevice",
		"PauseDeviceComplete", "SetType", "SetIdleHint", "SetLockedHint", "SetBrightness",
		"Kill"};
	static const char *const managers[] = {"GetSession", "GetUser", "GetSeat",
		"GetSessionByPID", "Inhibit", "LockSession", "PowerOff", "ActivateSessionOnSeat"};
	struct logind_fixture f = {0};
	char error[ERROR_SIZE];
	logind_start(&f, true);
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		check_int(logind_call(&f, NULL, SESSION_PATH, LOGIN_SESSION, methods[i], error,
				  NULL, "t", UINT64_C(1)),
			<, 0);
		check_str(error, SD_BUS_ERROR_INVALID_ARGS);
		check_int(logind_call(&f, NULL, SESSION_PATH, LOGIN_SESSION, methods[i], error,
				  NULL, "a{sv}", 0),
			<, 0);
		check_str(error, SD_BUS_ERROR_INVALID_ARGS);
	}
	for (size_t i = 0; i < ARRAY_SIZE(managers); i++) {
		check_int(logind_call(&f, NULL, LOGIN_PATH, LOGIN_MANAGER, managers[i], error, NULL,
				  "(dd)", 1.0, 2.0),
			<, 0);
		check_str(error, SD_BUS_ERROR_INVALID_ARGS);
	}
	check_int(logind_call(
			  &f, NULL, LOGIN_PATH, LOGIN_MANAGER, "CreateSession", error, NULL, NULL),
		<, 0);
	check_str(error, SD_BUS_ERROR_UNKNOWN_METHOD);
	check_int(logind_call(&f, NULL, LOGIN_PATH "/session/c1", LOGIN_SESSION, "Lock", error,
			  NULL, NULL),
		<, 0);
	check_str(error, SD_BUS_ERROR_UNKNOWN_OBJECT);
	logind_stop(&f);
}

/* A client that sends and sends, hears nothing of it, and breaks off. */
TEST(flood_that_breaks_off) {
	struct logind_fixture f = {0};
	logind_start(&f, true);
	check_ok(logind_take_control(&f, NULL, NULL));
	for (unsigned i = 0; i < 5000; i++) {
		sd_bus_message *m = NULL;
		check_ok(sd_bus_message_new_method_call(f.bus, &m, "org.freedesktop.login1",
			i % 2 ? SESSION_PATH : LOGIN_PATH, i % 2 ? LOGIN_SESSION : LOGIN_MANAGER,
			i % 2 ? "TakeDevice" : "Inhibit"));
		if (i % 2) {
			check_ok(sd_bus_message_append(m, "uu", CARD_MAJOR, CARD_MINOR));
		} else {
			check_ok(sd_bus_message_append(m, "ssss", "sleep", "x", "x", "block"));
		}
		check_ok(sd_bus_send(f.bus, m, NULL));
		sd_bus_message_unref(m);
	}
	f.bus = sd_bus_close_unref(f.bus);
	/* The other face goes on, and gets the session that the bus client had. */
	int fd = seatd_open(&f);
	(void)close(fd);
	logind_stop(&f);
}
