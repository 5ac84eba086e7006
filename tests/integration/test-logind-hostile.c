/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The real logind-stub on a bus with clients who send anything, all the time, and vanish. */
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>

#include "logind-bus.h"
#include "test.h"
#include "util.h"

#define MANY 5000u
/* What the bus daemon leaves unread for a client is bounded; the stub's own is nearly nothing. */
#define RSS_MARGIN (8u * 1024 * 1024)

static uint32_t random_state = 1;

static uint32_t next_random(void) {
	random_state = random_state * 1664525u + 1013904223u;
	return random_state >> 8;
}

static void check_rss(struct logind_bus *b, size_t before) {
#ifndef __SANITIZE_ADDRESS__ /* which keeps what was freed */
	check_int(logind_bus_rss(b), <, before + RSS_MARGIN);
#endif
}

static int call(sd_bus *bus, const char *path, const char *interface, const char *member,
	const char *types, ...) {
	va_list args;
	va_start(args, types);
	int r = sd_bus_call_methodv(bus, LOGIN, path, interface, member, NULL, NULL, types, args);
	va_end(args);
	return r;
}

/* It serves whoever behaves. Whoever had control before is gone, or soon will be. */
static void check_serves(struct logind_bus *b) {
	sd_bus *bus = logind_bus_connect(b);
	sd_bus_message *m = NULL;
	int fd, inactive;
	logind_bus_check_alive(b);
	while (call(bus, SESSION_PATH, LOGIN_SESSION, "TakeControl", "b", false) < 0) {
	}
	check_ok(sd_bus_call_method(
		bus, LOGIN, SESSION_PATH, LOGIN_SESSION, "TakeDevice", NULL, &m, "uu", 1, 3));
	check_ok(sd_bus_message_read(m, "hb", &fd, &inactive));
	sd_bus_message_unref(m);
	check_ok(call(bus, SESSION_PATH, LOGIN_SESSION, "ReleaseControl", NULL));
	sd_bus_close_unref(bus);
}

/* Descriptors that belong to connections go when the stub hears of their end: wait for that. */
static void check_fds(struct logind_bus *b, unsigned before) {
	while (logind_bus_fds(b) > before) {
		check_serves(b);
	}
}

TEST_TIMEOUT(thousands_of_devices_and_inhibitors, 120) {
	struct logind_bus b;
	unsigned refused = 0;
	logind_bus_start(&b);
	logind_bus_start_stub(&b);
	check_serves(&b);
	unsigned fds = logind_bus_fds(&b);
	size_t rss = logind_bus_rss(&b);
	sd_bus *bus = logind_bus_connect(&b);
	check_ok(call(bus, SESSION_PATH, LOGIN_SESSION, "TakeControl", "b", false));
	for (unsigned i = 0; i < MANY; i++) {
		check_ok(call(bus, SESSION_PATH, LOGIN_SESSION, "TakeDevice", "uu", 1, 3));
	}
	/* All kept: there is a limit. */
	sd_bus_message *kept[MANY / 10] = {0};
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		refused += sd_bus_call_method(bus, LOGIN, LOGIN_PATH, LOGIN_MANAGER, "Inhibit",
				   NULL, &kept[i], "ssss", "sleep", "x", "y", "block") < 0;
	}
	check_int(refused, >, 0);
	check_int(logind_bus_fds(&b), <, fds + 80);
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		sd_bus_message_unref(kept[i]);
	}
	for (unsigned i = 0; i < MANY; i++) {
		(void)call(bus, LOGIN_PATH, LOGIN_MANAGER, "Inhibit", "ssss", "sleep", "x", "y",
			"block");
	}
	sd_bus_close_unref(bus);
	check_serves(&b);
	check_fds(&b, fds);
	check_rss(&b, rss);
	logind_bus_stop(&b);
}

static void append_anything(sd_bus_message *m) {
	static const char *const texts[] = {"", "auto", "seat0", "sleep", "block", "sleep:idle",
		"../..", "%s%n", "x11", ":::::"};
	for (unsigned n = next_random() % 5; n > 0; n--) {
		switch (next_random() % 8) {
		case 0:
			check_ok(sd_bus_message_append(m, "u", next_random() % 300));
			break;
		case 1:
			check_ok(sd_bus_message_append(m, "b", next_random() % 2));
			break;
		case 2:
			check_ok(sd_bus_message_append(m, "t", UINT64_MAX - next_random()));
			break;
		case 3:
			check_ok(sd_bus_message_append(m, "a{sv}", 1, "a", "v", "(ii)", 1, 2));
			break;
		case 4:
			check_ok(sd_bus_message_append(m, "h", STDERR_FILENO));
			break;
		case 5:
			check_ok(sd_bus_message_append(m, "o", SESSION_PATH));
			break;
		default:
			check_ok(sd_bus_message_append(
				m, "s", texts[next_random() % ARRAY_SIZE(texts)]));
			break;
		}
	}
}

/* Every method and property of every object, with anything for arguments, unanswered. */
TEST_TIMEOUT(anything_to_everything, 120) {
	static const struct {
		const char *path, *interface;
	} objects[] = {{LOGIN_PATH, LOGIN_MANAGER}, {SESSION_PATH, LOGIN_SESSION},
		{SEAT_PATH, LOGIN_SEAT}, {LOGIN_PATH "/user/self", LOGIN_USER},
		{LOGIN_PATH, "org.freedesktop.DBus.Properties"},
		{SESSION_PATH, "org.freedesktop.DBus.Properties"}};
	static const char *const methods[] = {"TakeControl", "ReleaseControl", "TakeDevice",
		"ReleaseDevice", "PauseDeviceComplete", "SetType", "SetIdleHint", "SetLockedHint",
		"Activate", "Lock", "Unlock", "Kill", "Terminate", "SetBrightness", "SwitchTo",
		"ActivateSession", "GetSession", "GetSessionByPID", "GetUser", "GetSeat",
		"ListSessions", "ListUsers", "ListSeats", "ListInhibitors", "Inhibit", "PowerOff",
		"CanSuspend", "Get", "Set", "GetAll", "Introspect", "CreateSession", "LockSession"};
	struct logind_bus b;
	logind_bus_start(&b);
	logind_bus_start_stub(&b);
	check_serves(&b);
	unsigned fds = logind_bus_fds(&b);
	size_t rss = logind_bus_rss(&b);
	for (unsigned round = 0; round < 20; round++) {
		sd_bus *bus = logind_bus_connect(&b);
		for (unsigned i = 0; i < MANY / 10; i++) {
			unsigned o = next_random() % ARRAY_SIZE(objects);
			sd_bus_message *m = NULL;
			check_ok(sd_bus_message_new_method_call(bus, &m, LOGIN, objects[o].path,
				objects[o].interface,
				methods[next_random() % ARRAY_SIZE(methods)]));
			append_anything(m);
			check_ok(sd_bus_message_set_expect_reply(m, next_random() % 2));
			if (sd_bus_send(bus, m, NULL) < 0) {
				/* The bus cut us off. */
				sd_bus_message_unref(m);
				break;
			}
			sd_bus_message_unref(m);
		}
		/* Some wait for an answer to the last, and some just vanish. */
		if (round % 2) {
			(void)call(bus, LOGIN_PATH, LOGIN_MANAGER, "ListSeats", NULL);
		}
		sd_bus_close_unref(bus);
		logind_bus_check_alive(&b);
	}
	check_serves(&b);
	check_fds(&b, fds);
	check_rss(&b, rss);
	logind_bus_stop(&b);
}

/* The one in control dies; the next one waits no longer than the bus takes to say so. */
TEST_TIMEOUT(controllers_that_die, 120) {
	struct logind_bus b;
	logind_bus_start(&b);
	logind_bus_start_stub(&b);
	for (unsigned i = 0; i < 200; i++) {
		sd_bus *bus = logind_bus_connect(&b), *other = logind_bus_connect(&b);
		while (call(bus, SESSION_PATH, LOGIN_SESSION, "TakeControl", "b", false) < 0) {
		}
		check_int(
			call(other, SESSION_PATH, LOGIN_SESSION, "TakeControl", "b", false), <, 0);
		sd_bus_close_unref(bus);
		while (call(other, SESSION_PATH, LOGIN_SESSION, "TakeControl", "b", false) < 0) {
		}
		sd_bus_close_unref(other);
	}
	/* And one that is gone before the stub has even heard its call. */
	for (unsigned i = 0; i < 200; i++) {
		sd_bus *bus = logind_bus_connect(&b);
		sd_bus_message *m = NULL;
		check_ok(sd_bus_message_new_method_call(
			bus, &m, LOGIN, SESSION_PATH, LOGIN_SESSION, "TakeControl"));
		check_ok(sd_bus_message_append(m, "b", false));
		check_ok(sd_bus_send(bus, m, NULL));
		check_ok(sd_bus_flush(bus));
		sd_bus_message_unref(m);
		sd_bus_close_unref(bus);
	}
	check_serves(&b);
	logind_bus_stop(&b);
}

/* The name is somebody's already, and is taken over only if that one lets it go. */
TEST_TIMEOUT(second_stub_is_refused, 60) {
	struct logind_bus b;
	logind_bus_start(&b);
	sd_bus *bus = logind_bus_connect(&b);
	check_ok(sd_bus_request_name(bus, LOGIN, 0));
	char command[256];
	(void)snprintf(command, sizeof(command),
		"'%s' --lease-fd=3 --card=/dev/null 3</dev/null 2>&1 | grep -q 'somebody else'",
		getenv("HELIX_LOGIND_STUB"));
	check_int(system(command), ==, 0);
	sd_bus_close_unref(bus);
	logind_bus_stop(&b);
}

/* Killed, it leaves a socket behind; the next one takes its place. */
TEST_TIMEOUT(next_stub_after_a_kill, 60) {
	struct logind_bus b;
	int status;
	logind_bus_start(&b);
	logind_bus_start_stub(&b);
	check_int(kill(b.service, SIGKILL), ==, 0);
	check_int(waitpid(b.service, &status, 0), ==, b.service);
	(void)close(b.control);
	check_int(access(b.seatd_socket, F_OK), ==, 0);
	logind_bus_start_stub(&b);
	check_serves(&b);
	logind_bus_stop(&b);
}

/* Without its bus a stub is of no use: it ends, and says so by its status. */
TEST_TIMEOUT(bus_that_ends, 60) {
	struct logind_bus b;
	int status;
	logind_bus_start(&b);
	logind_bus_start_stub(&b);
	check_int(kill(b.daemon, SIGKILL), ==, 0);
	check_int(waitpid(b.daemon, &status, 0), ==, b.daemon);
	check_int(waitpid(b.service, &status, 0), ==, b.service);
	check(WIFEXITED(status));
	check_int(WEXITSTATUS(status), ==, 1);
	(void)close(b.control);
	char path[96];
	(void)snprintf(path, sizeof(path), "%s/bus", b.dir);
	(void)unlink(path);
	(void)snprintf(path, sizeof(path), "%s/bus.conf", b.dir);
	(void)unlink(path);
	(void)snprintf(path, sizeof(path), "%s/notify", b.dir);
	(void)unlink(path);
	check_int(rmdir(b.dir), ==, 0);
}
