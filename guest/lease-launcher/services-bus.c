/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "services.h"
#include "util.h"

LOG_MODULE("launcher");

#define STANDARD_SYSTEM_BUS "/run/dbus/system_bus_socket"
#define LOGIN_NAME          "org.freedesktop.login1"
#define BUS_FD              3 /* where a bus prints its address */

static void handle_address(const char *line, void *data) {
	struct step *s = data;
	struct launcher *l = s->launcher;
	if (!line) {
		/* Its end says more. */
		return;
	}
	bool system = s == &l->steps[STEP_SYSTEM_BUS];
	if (setenv(system ? "DBUS_SYSTEM_BUS_ADDRESS" : "DBUS_SESSION_BUS_ADDRESS", line, 1) < 0) {
		step_failed(s, strerror(errno));
		return;
	}
	step_met(s, UNTIL_LINE);
}

static int start_bus(struct step *s, char *const argv[]) {
	int line[2];
	if (pipe2(line, O_CLOEXEC) < 0) {
		return -errno;
	}
	struct process_spec spec = {.fds = {{line[1], BUS_FD}}, .n_fds = 1};
	int r = spawn(s, "dbus-daemon", argv, &spec);
	(void)close_fd(line[1]);
	if (r < 0) {
		(void)close_fd(line[0]);
		return r;
	}
	s->pending = UNTIL_LINE;
	return line_reader_create(s->launcher->loop, line[0], handle_address, s, &s->line);
}

/* Everything is allowed, to those who may connect: this user and root. */
static int start_private_system_bus(struct launcher *l, struct step *s) {
	char text[1024], path[PATH_MAX], argument[PATH_MAX + 32];
	int n = snprintf(text, sizeof(text),
		"<busconfig>\n"
		"  <listen>unix:path=%s/" SYSTEM_BUS_SOCKET "</listen>\n"
		"  <auth>EXTERNAL</auth>\n"
		"  <policy context=\"default\">\n"
		"    <allow own=\"*\"/>\n"
		"    <allow send_destination=\"*\" eavesdrop=\"false\"/>\n"
		"    <allow receive_sender=\"*\" eavesdrop=\"false\"/>\n"
		"  </policy>\n"
		"</busconfig>\n",
		l->runtime_dir);
	if (n < 0 || (size_t)n >= sizeof(text)) {
		return -ENAMETOOLONG;
	}
	int r = file_write(l->runtime_dir, SYSTEM_BUS_CONFIG, 0600, text);
	if (r < 0) {
		return r;
	}
	(void)snprintf(argument, sizeof(argument), "--config-file=%s",
		in_runtime_dir(l, SYSTEM_BUS_CONFIG, path));
	char *const argv[] = {(char *)"dbus-daemon", argument, (char *)"--nofork",
		(char *)"--nopidfile", (char *)"--print-address=3", NULL};
	return start_bus(s, argv);
}

static void handle_system_bus_tried(const char *problem, void *data) {
	struct step *s = data;
	struct launcher *l = s->launcher;
	l->system_bus_decided = true;
	bus_errand_destroy(s->errand);
	s->errand = NULL;
	s->pending &= ~(unsigned)UNTIL_PROBED;
	if (!problem) {
		log_info("system-bus: the one at %s will do", l->external_system_bus);
		(void)setenv("DBUS_SYSTEM_BUS_ADDRESS", l->external_system_bus, 1);
		s->pending |= UNTIL_PROBED;
		step_met(s, UNTIL_PROBED);
		return;
	}
	log_info("system-bus: not the one at %s (%s); starting one", l->external_system_bus,
		problem);
	l->external_system_bus = NULL;
	int r = start_private_system_bus(l, s);
	if (r < 0) {
		step_failed(s, strerror(-r));
	}
}

int start_system_bus(struct launcher *l, struct step *s) {
	if (l->system_bus_decided) {
		return l->external_system_bus ? 0 : start_private_system_bus(l, s);
	}
	s->pending = UNTIL_PROBED;
	int r = bus_try_name(l->loop, l->external_system_bus, LOGIN_NAME, handle_system_bus_tried,
		s, &s->errand);
	if (r < 0) {
		handle_system_bus_tried(strerror(-r), s);
	}
	return 0;
}

void system_bus_stopped(struct launcher *l, struct step *s) {
	char path[PATH_MAX];
	(void)unlink(in_runtime_dir(l, SYSTEM_BUS_CONFIG, path));
	(void)unlink(in_runtime_dir(l, SYSTEM_BUS_SOCKET, path));
}

int start_session_bus(struct launcher *l, struct step *s) {
	char argument[PATH_MAX + 32], path[PATH_MAX];
	if (l->external_session_bus) {
		return 0;
	}
	(void)snprintf(argument, sizeof(argument), "--address=unix:path=%s",
		in_runtime_dir(l, "bus", path));
	char *const argv[] = {(char *)"dbus-daemon", (char *)"--session", (char *)"--nofork",
		(char *)"--nopidfile", (char *)"--print-address=3", argument, NULL};
	return start_bus(s, argv);
}

void buses_find(struct launcher *l) {
	const char *wanted = l->config.system_bus;
	const char *environment = getenv("DBUS_SYSTEM_BUS_ADDRESS");
	const char *session = getenv("DBUS_SESSION_BUS_ADDRESS");
	if (strcmp(wanted, "auto") != 0) {
		l->system_bus_decided = true;
		if (strcmp(wanted, "private") != 0) {
			l->external_system_bus = wanted;
			(void)setenv("DBUS_SYSTEM_BUS_ADDRESS", wanted, 1);
		}
	} else if (environment && *environment) {
		l->external_system_bus = environment;
	} else if (socket_answers(STANDARD_SYSTEM_BUS)) {
		l->external_system_bus = "unix:path=" STANDARD_SYSTEM_BUS;
	} else {
		l->system_bus_decided = true;
	}
	l->external_session_bus = session && *session ? session : NULL;
}
