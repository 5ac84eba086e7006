/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The interfaces of logind-stub against those of systemd's own logind, if that is installed: each
 * method, signal and property that logind has is there with the same types.
 */
#include <string.h>

#include "logind-bus.h"
#include "test.h"
#include "util.h"

#define MEMBERS_MAX 512u
#define MEMBER_SIZE 512u

struct interface {
	char members[MEMBERS_MAX][MEMBER_SIZE];
	unsigned n;
};

/* The value of an attribute; "" if the element has none such. */
static const char *attribute(const char *element, const char *name, char *ret, size_t size) {
	char pattern[32];
	(void)snprintf(pattern, sizeof(pattern), " %s=\"", name);
	const char *p = strstr(element, pattern);
	p = p ? p + strlen(pattern) : "";
	(void)snprintf(ret, size, "%.*s", (int)strcspn(p, "\""), p);
	return ret;
}

static void append(char *member, const char *text) {
	size_t used = strlen(member);
	check_int(snprintf(member + used, MEMBER_SIZE - used, "%s", text), <, MEMBER_SIZE - used);
}

/* "org.freedesktop.login1.Seat method SwitchTo in:u". Both sides' XML is written by sd-bus. */
static void parse(char *xml, struct interface *ret) {
	char interface[64] = "", value[64], *rest = NULL, *member = NULL;
	for (char *e = strtok_r(xml, "<", &rest); e; e = strtok_r(NULL, "<", &rest)) {
		const char *kind = strncmp(e, "method", 6) == 0 ? "method"
			: strncmp(e, "signal", 6) == 0          ? "signal"
			: strncmp(e, "property", 8) == 0        ? "property"
								: NULL;
		if (strncmp(e, "interface", 9) == 0) {
			(void)attribute(e, "name", interface, sizeof(interface));
		} else if (kind && strncmp(interface, LOGIN, strlen(LOGIN)) == 0) {
			check_int(ret->n, <, MEMBERS_MAX);
			member = ret->members[ret->n++];
			(void)snprintf(member, MEMBER_SIZE, "%s %s %s", interface, kind,
				attribute(e, "name", value, sizeof(value)));
			append(member, " ");
			append(member, attribute(e, "type", value, sizeof(value)));
		} else if (member && strncmp(e, "arg", 3) == 0) {
			append(member, " ");
			append(member, attribute(e, "direction", value, sizeof(value)));
			append(member, ":");
			append(member, attribute(e, "type", value, sizeof(value)));
		} else if (e[0] == '/' && strncmp(e, "/annotation", 11) != 0) {
			member = NULL;
		}
	}
}

static bool has(const struct interface *i, const char *member) {
	for (unsigned k = 0; k < i->n; k++) {
		if (strcmp(i->members[k], member) == 0) {
			return true;
		}
	}
	return false;
}

TEST_TIMEOUT(has_all_that_logind_has, 120) {
	static const char program[] = "/lib/systemd/systemd-logind";
	static const struct {
		const char *theirs, *ours;
	} paths[] = {{LOGIN_PATH, LOGIN_PATH}, {LOGIN_PATH "/seat", SEAT_PATH},
		{LOGIN_PATH "/session", SESSION_PATH},
		{LOGIN_PATH "/user", LOGIN_PATH "/user/self"}};
	static struct interface theirs, ours;
	static char xml[256 * 1024];
	struct logind_bus b;
	if (access(program, X_OK) < 0) {
		skip("systemd-logind is not installed");
	}
	logind_bus_start(&b);
	logind_bus_start_stub(&b);
	sd_bus *bus = logind_bus_connect(&b);
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		char command[128];
		sd_bus_message *m = NULL;
		const char *text;
		(void)snprintf(command, sizeof(command), "%s --bus-introspect=%s", program,
			paths[i].theirs);
		FILE *f = popen(command, "re");
		check(f != NULL);
		xml[fread(xml, 1, sizeof(xml) - 1, f)] = '\0';
		check_int(pclose(f), ==, 0);
		parse(xml, &theirs);
		check_ok(sd_bus_call_method(bus, LOGIN, paths[i].ours,
			"org.freedesktop.DBus.Introspectable", "Introspect", NULL, &m, NULL));
		check_ok(sd_bus_message_read(m, "s", &text));
		(void)snprintf(xml, sizeof(xml), "%s", text);
		sd_bus_message_unref(m);
		parse(xml, &ours);
	}
	unsigned n_missing = 0, n_extra = 0;
	for (unsigned i = 0; i < theirs.n; i++) {
		/* Sessions are not made here. */
		if (!has(&ours, theirs.members[i]) && !strstr(theirs.members[i], "CreateSession")) {
			printf("# only in logind: %s\n", theirs.members[i]);
			n_missing++;
		}
	}
	for (unsigned i = 0; i < ours.n; i++) {
		n_extra += !has(&theirs, ours.members[i]);
	}
	printf("# %u members of logind, %u of ours, %u not in logind\n", theirs.n, ours.n, n_extra);
	check_int(theirs.n, >, 150);
	sd_bus_close_unref(bus);
	logind_bus_stop(&b);
	/* A later logind has more, but what is known here has not changed. */
	check_int(n_extra, ==, 0);
	if (n_missing > 0) {
		skip("this logind has more than that of systemd 252");
	}
}
