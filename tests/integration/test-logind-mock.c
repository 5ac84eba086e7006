/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The same client against logind-stub and against python3-dbusmock's logind template, each on a bus
 * of its own: where both implement a call or a property, types agree, and values do unless a reason
 * is given here why not.
 */
#include <stdarg.h>
#include <string.h>

#include "logind-bus.h"
#include "test.h"
#include "util.h"

#define ANSWER_MAX 4096u

enum {
	STUB,
	MOCK,
	N_BOTH,
};

static struct logind_bus both[N_BOTH];
static sd_bus *bus[N_BOTH];
static const char *const names[N_BOTH] = {"stub", "mock"};

static void start(void) {
	for (int i = 0; i < N_BOTH; i++) {
		logind_bus_start(&both[i]);
		if (i == STUB) {
			logind_bus_start_stub(&both[i]);
		} else {
			logind_bus_start_mock(&both[i]);
		}
		bus[i] = logind_bus_connect(&both[i]);
	}
}

static void stop(void) {
	for (int i = 0; i < N_BOTH; i++) {
		bus[i] = sd_bus_close_unref(bus[i]);
		logind_bus_stop_service(&both[i], i == STUB);
		logind_bus_stop(&both[i]);
	}
}

struct answer {
	char text[ANSWER_MAX];
	size_t used;
};

static void say(struct answer *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void say(struct answer *a, const char *fmt, ...) {
	va_list args;
	va_start(args, fmt);
	int n = vsnprintf(a->text + a->used, sizeof(a->text) - a->used, fmt, args);
	va_end(args);
	check_int(n, >=, 0);
	a->used += (size_t)n;
	check_int(a->used, <, sizeof(a->text));
}

static void say_number(struct answer *a, sd_bus_message *m, char type) {
	union {
		int b;
		int32_t i;
		uint32_t u;
		uint64_t t;
	} v;
	check_int(sd_bus_message_read_basic(m, type, &v), >, 0);
	if (type == SD_BUS_TYPE_UINT64) {
		say(a, "%" PRIu64, v.t);
	} else if (type == SD_BUS_TYPE_UNIX_FD) {
		say(a, "fd");
	} else {
		say(a, "%" PRIu32, v.u);
	}
}

/* The values of a message as text, structures and all; `types` only: types. */
static void say_values(struct answer *a, sd_bus_message *m) {
	const char *contents, *text;
	char type;
	while (sd_bus_message_peek_type(m, &type, &contents) > 0) {
		switch (type) {
		case SD_BUS_TYPE_STRING:
		case SD_BUS_TYPE_OBJECT_PATH:
			check_int(sd_bus_message_read_basic(m, type, &text), >, 0);
			say(a, "'%s'", text);
			break;
		case SD_BUS_TYPE_ARRAY:
		case SD_BUS_TYPE_STRUCT:
		case SD_BUS_TYPE_VARIANT:
		case SD_BUS_TYPE_DICT_ENTRY:
			check_int(sd_bus_message_enter_container(m, type, contents), >, 0);
			say(a, "(");
			say_values(a, m);
			say(a, ")");
			check_ok(sd_bus_message_exit_container(m));
			break;
		default:
			say_number(a, m, type);
			break;
		}
		say(a, " ");
	}
}

static void ask(int which, const char *path, const char *interface, const char *member,
	const char *types, const char *text, uint32_t number, struct answer *ret) {
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *m = NULL, *reply = NULL;
	check_ok(sd_bus_message_new_method_call(bus[which], &m, LOGIN, path, interface, member));
	for (const char *t = types; *t; t++) {
		check_ok(*t == 's' ? sd_bus_message_append(m, "s", text)
				   : sd_bus_message_append(m, (char[]){*t, 0}, number));
	}
	*ret = (struct answer){0};
	if (sd_bus_call(bus[which], m, 0, &error, &reply) < 0) {
		say(ret, "error %s: %s", error.name, error.message);
	} else {
		const char *signature = sd_bus_message_get_signature(reply, true);
		say(ret, "[%s]", signature ? signature : "");
		say_values(ret, reply);
	}
	sd_bus_error_free(&error);
	sd_bus_message_unref(m);
	sd_bus_message_unref(reply);
}

TEST_TIMEOUT(methods, 120) {
	static const struct {
		const char *path, *interface, *member, *types, *text;
		uint32_t number;
	} same[] = {
		{LOGIN_PATH, LOGIN_MANAGER, "CanPowerOff", "", NULL, 0},
		{LOGIN_PATH, LOGIN_MANAGER, "CanReboot", "", NULL, 0},
		{LOGIN_PATH, LOGIN_MANAGER, "CanSuspend", "", NULL, 0},
		{LOGIN_PATH, LOGIN_MANAGER, "CanHibernate", "", NULL, 0},
		{LOGIN_PATH, LOGIN_MANAGER, "CanHybridSleep", "", NULL, 0},
		{LOGIN_PATH, LOGIN_MANAGER, "CanSuspendThenHibernate", "", NULL, 0},
		{LOGIN_PATH, LOGIN_MANAGER, "GetSession", "s", "auto", 0},
		{LOGIN_PATH, LOGIN_MANAGER, "GetSeat", "s", "seat0", 0},
		{LOGIN_PATH, LOGIN_MANAGER, "ListSessions", "", NULL, 0},
		{LOGIN_PATH, LOGIN_MANAGER, "ListSeats", "", NULL, 0},
		{LOGIN_PATH, LOGIN_MANAGER, "ListInhibitors", "", NULL, 0},
		{LOGIN_PATH, LOGIN_MANAGER, "ActivateSession", "s", "auto", 0},
		{LOGIN_PATH, LOGIN_MANAGER, "LockSession", "s", "auto", 0},
		{LOGIN_PATH, LOGIN_MANAGER, "UnlockSession", "s", "auto", 0},
		{LOGIN_PATH, LOGIN_MANAGER, "LockSessions", "", NULL, 0},
		{LOGIN_PATH, LOGIN_MANAGER, "UnlockSessions", "", NULL, 0},
		{SESSION_PATH, LOGIN_SESSION, "Activate", "", NULL, 0},
		{SESSION_PATH, LOGIN_SESSION, "Lock", "", NULL, 0},
		{SESSION_PATH, LOGIN_SESSION, "Unlock", "", NULL, 0},
		{SESSION_PATH, LOGIN_SESSION, "SetIdleHint", "b", NULL, 0},
		{SESSION_PATH, LOGIN_SESSION, "SetLockedHint", "b", NULL, 1},
		{SEAT_PATH, LOGIN_SEAT, "ActivateSession", "s", "auto", 0},
		/* Of wrong types: both refuse. */
		{LOGIN_PATH, LOGIN_MANAGER, "GetSession", "", NULL, 0},
	};
	unsigned n = 0;
	start();
	for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
		struct answer answers[N_BOTH];
		for (int j = 0; j < N_BOTH; j++) {
			ask(j, same[i].path, same[i].interface, same[i].member, same[i].types,
				same[i].text, same[i].number, &answers[j]);
		}
		bool errors = strncmp(answers[STUB].text, "error", 5) == 0 &&
			strncmp(answers[MOCK].text, "error", 5) == 0;
		if (!errors && strcmp(answers[STUB].text, answers[MOCK].text) != 0) {
			fail("%s: %s against %s", same[i].member, answers[STUB].text,
				answers[MOCK].text);
		}
		n++;
	}
	/* The mock's users have other paths than logind's (and its GetUser only fails). */
	for (int j = 0; j < N_BOTH; j++) {
		struct answer a;
		ask(j, LOGIN_PATH, LOGIN_MANAGER, "ListUsers", "", NULL, 0, &a);
		check(strncmp(a.text, "[a(uso)](", 9) == 0);
	}
	n++;
	printf("# %u calls are answered alike\n", n);
	stop();
}

struct property {
	char name[64], type[32];
	struct answer value;
};

static unsigned get_all(
	int which, const char *path, const char *interface, struct property *ret, unsigned max) {
	sd_bus_message *m = NULL;
	const char *name, *contents;
	unsigned n = 0;
	check_ok(sd_bus_call_method(bus[which], LOGIN, path, "org.freedesktop.DBus.Properties",
		"GetAll", NULL, &m, "s", interface));
	check_int(sd_bus_message_enter_container(m, 'a', "{sv}"), >, 0);
	while (sd_bus_message_enter_container(m, 'e', "sv") > 0) {
		check_int(n, <, max);
		struct property *p = &ret[n++];
		*p = (struct property){0};
		check_int(sd_bus_message_read(m, "s", &name), >, 0);
		check_int(sd_bus_message_peek_type(m, NULL, &contents), >, 0);
		(void)snprintf(p->name, sizeof(p->name), "%s", name);
		(void)snprintf(p->type, sizeof(p->type), "%s", contents);
		check_int(sd_bus_message_enter_container(m, 'v', contents), >, 0);
		say_values(&p->value, m);
		check_ok(sd_bus_message_exit_container(m));
		check_ok(sd_bus_message_exit_container(m));
	}
	sd_bus_message_unref(m);
	return n;
}

/* Of these only the type is compared. */
static bool may_differ(const char *name) {
	static const char *const free_names[] = {
		"Timestamp",
		"TimestampMonotonic", /* when it was started */
		"Leader",
		"VTNr", /* the mock has a terminal */
		"Service",
		"Type",
		"Display", /* what the mock calls itself */
		"User",    /* its users' paths are not logind's */
		"CanMultiSession",
		"CanGraphical", /* its seats cannot */
		"RuntimePath",
		"GID",
		"IdleActionUSec",
	};
	for (size_t i = 0; i < ARRAY_SIZE(free_names); i++) {
		if (strcmp(name, free_names[i]) == 0) {
			return true;
		}
	}
	return false;
}

TEST_TIMEOUT(properties, 120) {
	static struct property found[N_BOTH][64];
	static const struct {
		const char *paths[N_BOTH], *interface;
		unsigned least; /* that both have */
	} objects[] = {
		{{LOGIN_PATH, LOGIN_PATH}, LOGIN_MANAGER, 7},
		{{SESSION_PATH, SESSION_PATH}, LOGIN_SESSION, 23},
		{{SEAT_PATH, SEAT_PATH}, LOGIN_SEAT, 8},
		{{LOGIN_PATH "/user/_" LOGIND_USER, LOGIN_PATH "/user/" LOGIND_USER}, LOGIN_USER,
			15},
	};
	unsigned total = 0;
	start();
	for (size_t i = 0; i < ARRAY_SIZE(objects); i++) {
		unsigned n[N_BOTH], common = 0;
		for (int j = 0; j < N_BOTH; j++) {
			n[j] = get_all(j, objects[i].paths[j], objects[i].interface, found[j], 64);
		}
		for (unsigned k = 0; k < n[STUB] * n[MOCK]; k++) {
			const struct property *a = &found[STUB][k % n[STUB]];
			const struct property *b = &found[MOCK][k / n[STUB]];
			if (strcmp(a->name, b->name) != 0) {
				continue;
			}
			common++;
			if (strcmp(a->type, b->type) != 0) {
				fail("%s is %s, not %s", a->name, a->type, b->type);
			}
			if (!may_differ(a->name) && strcmp(a->value.text, b->value.text) != 0) {
				fail("%s: %s against %s", a->name, a->value.text, b->value.text);
			}
		}
		check_int(common, >=, objects[i].least);
		total += common;
	}
	printf("# %u properties are alike\n", total);
	stop();
}

/* An inhibitor is listed until its descriptor is closed. */
TEST_TIMEOUT(inhibitor, 120) {
	start();
	for (int i = 0; i < N_BOTH; i++) {
		const char *expected = "'sleep' 'somebody' 'for good reason' 'delay'";
		sd_bus_message *m = NULL;
		struct answer a;
		int fd;
		check_ok(sd_bus_call_method(bus[i], LOGIN, LOGIN_PATH, LOGIN_MANAGER, "Inhibit",
			NULL, &m, "ssss", "sleep", "somebody", "for good reason", "delay"));
		check_ok(sd_bus_message_read(m, "h", &fd));
		ask(i, LOGIN_PATH, LOGIN_MANAGER, "ListInhibitors", "", NULL, 0, &a);
		check(strncmp(a.text, "[a(ssssuu)](", 12) == 0);
		if (!strstr(a.text, expected)) {
			fail("%s: %s", names[i], a.text);
		}
		/* It is the message's. */
		sd_bus_message_unref(m);
		do {
			ask(i, LOGIN_PATH, LOGIN_MANAGER, "ListInhibitors", "", NULL, 0, &a);
		} while (strstr(a.text, expected));
	}
	stop();
}

static sd_bus_message *wait_signal(int which, const char *member) {
	for (;;) {
		sd_bus_message *m = NULL;
		int r = sd_bus_process(bus[which], &m);
		check_ok(r);
		if (m && sd_bus_message_is_signal(m, NULL, member)) {
			return m;
		}
		sd_bus_message_unref(m);
		if (r == 0) {
			check_int(sd_bus_wait(bus[which], 20 * 1000 * 1000), >, 0);
		}
	}
}

TEST_TIMEOUT(signals, 120) {
	static const struct {
		const char *method, *types, *signal;
	} calls[] = {{"Lock", "", "Lock"}, {"Unlock", "", "Unlock"},
		{"SetLockedHint", "b", "PropertiesChanged"}};
	start();
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		struct answer answers[N_BOTH] = {0};
		for (int j = 0; j < N_BOTH; j++) {
			struct answer reply;
			check_ok(sd_bus_match_signal(bus[j], NULL, LOGIN, SESSION_PATH, NULL,
				calls[i].signal, NULL, NULL));
			ask(j, SESSION_PATH, LOGIN_SESSION, calls[i].method, calls[i].types, NULL,
				1, &reply);
			sd_bus_message *m = wait_signal(j, calls[i].signal);
			say(&answers[j], "%s %s ", sd_bus_message_get_interface(m),
				sd_bus_message_get_path(m));
			say_values(&answers[j], m);
			sd_bus_message_unref(m);
		}
		check_str(answers[STUB].text, answers[MOCK].text);
	}
	stop();
}
