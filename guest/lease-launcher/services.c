/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "log.h"
#include "services.h"
#include "util.h"

LOG_MODULE("launcher");

const char *in_runtime_dir(const struct launcher *l, const char *name, char ret[PATH_MAX]) {
	/* check_runtime_dir() has left room for it. */
	(void)snprintf(ret, PATH_MAX, "%.*s/%s", PATH_MAX - 64, l->runtime_dir, name);
	return ret;
}

/* Finds `name` and starts it; `argv[0]` may be anything. */
int spawn(struct step *s, const char *name, char *const argv[], struct process_spec *spec) {
	char path[PATH_MAX];
	int r = process_find(name, path, sizeof(path));
	if (r < 0) {
		log_err_errno(r, "%s: %s", s->spec->name, name);
		return r;
	}
	spec->path = path;
	spec->argv = argv;
	r = process_start(spec, &s->pid);
	if (r == 0) {
		log_debug("%s: %s is process %d", s->spec->name, path, (int)s->pid);
	}
	return r;
}

const struct step_spec step_specs[_STEP_MAX] = {
	[STEP_LEASE] = {.name = "lease",
		.timeout_ms = UINT32_MAX, /* the keeper has its own */
		.start = start_lease,
		.stopped = lease_stopped},
	[STEP_SYSTEM_BUS] = {.name = "system-bus",
		.timeout_ms = 10000,
		.start = start_system_bus,
		.stopped = system_bus_stopped},
	/* Not `needs`: it takes another lease over. */
	[STEP_STUB] = {.name = "stub",
		.needs = STEP_BIT(STEP_SYSTEM_BUS),
		.after = STEP_BIT(STEP_LEASE),
		.timeout_ms = 20000,
		.start = start_stub,
		.stopped = stub_stopped},
	[STEP_SESSION_BUS] = {.name = "session-bus",
		.timeout_ms = 10000,
		.start = start_session_bus},
	[STEP_PIPEWIRE] = {.name = "pipewire",
		.after = STEP_BIT(STEP_SESSION_BUS),
		.policy = POLICY_ALONE,
		.timeout_ms = 20000,
		.start = start_pipewire},
	[STEP_WIREPLUMBER] = {.name = "wireplumber",
		.needs = STEP_BIT(STEP_PIPEWIRE),
		.after = STEP_BIT(STEP_SESSION_BUS),
		.policy = POLICY_ALONE,
		.timeout_ms = 20000,
		.start = start_wireplumber},
	[STEP_PIPEWIRE_PULSE] = {.name = "pipewire-pulse",
		.needs = STEP_BIT(STEP_PIPEWIRE),
		.after = STEP_BIT(STEP_SESSION_BUS),
		.policy = POLICY_ALONE,
		.timeout_ms = 20000,
		.start = start_pipewire_pulse},
	[STEP_COMPOSITOR] = {.name = "compositor",
		.needs = STEP_BIT(STEP_LEASE) | STEP_BIT(STEP_STUB) | STEP_BIT(STEP_SESSION_BUS),
		.after = STEP_BIT(STEP_PIPEWIRE) | STEP_BIT(STEP_WIREPLUMBER),
		.start = start_compositor,
		.stopped = compositor_stopped},
	[STEP_BRIDGE] = {.name = "bridge",
		.needs = STEP_BIT(STEP_COMPOSITOR),
		.policy = POLICY_ALONE,
		.timeout_ms = 20000,
		.start = start_bridge},
	[STEP_SESSION] = {.name = "session",
		.needs = STEP_BIT(STEP_COMPOSITOR),
		.policy = POLICY_SESSION,
		.timeout_ms = 20000,
		.start = start_session},
};

static void check_before(struct launcher *l) {
	const struct launcher_config *c = &l->config;
	const struct preset *p = l->preset;
	struct report *r = &l->report;
	check_user(r, geteuid());
	check_manager(r, c->wish.socket ? c->wish.socket : LEASE_SOCKET_DEFAULT);
	check_program(r, "dbus-daemon", "dbus-daemon", NULL);
	check_program(r, c->stub, "helix-scanout", NULL);
	if (p) {
		check_program(r, p->program, p->package, NULL);
	}
	if (!c->no_pipewire) {
		const char *lost = p && p->needs_pipewire
			? "no sound, and no remote control of the pointer"
			: "no sound";
		check_program(r, "pipewire", "pipewire", lost);
		check_program(r, "wireplumber", "wireplumber", "no sound");
	}
}

static int prepare_environment(struct launcher *l) {
	static const char *const unwanted[] = {"XDG_SESSION_ID", "XDG_VTNR", "WAYLAND_DISPLAY",
		"WAYLAND_SOCKET", "DISPLAY", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES",
		"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"};
	char path[PATH_MAX];
	int r = 0;
	for (size_t i = 0; i < ARRAY_SIZE(unwanted); i++) {
		(void)unsetenv(unwanted[i]);
	}
	r |= setenv("XDG_RUNTIME_DIR", l->runtime_dir, 1);
	r |= setenv("XDG_SESSION_TYPE", "wayland", 1);
	r |= setenv("XDG_SEAT", "seat0", 1);
	r |= setenv("LIBSEAT_BACKEND", "seatd", 1);
	r |= setenv("SEATD_SOCK", in_runtime_dir(l, SEATD_SOCKET, path), 1);
	return r ? -ENOMEM : 0;
}

int services_init(struct launcher *l) {
	char path[PATH_MAX];
	const char *notify = getenv("NOTIFY_SOCKET");
	l->stub_control = -1;
	l->preset = preset_find(&l->config);
	l->notify_address = notify ? strdup(notify) : NULL;
	l->report.print = l->config.action == ACTION_CHECK;
	check_runtime_dir(&l->report, l->runtime_dir);
	if (l->report.problems > 0) {
		return -EINVAL;
	}
	check_before(l);
	if (l->report.problems > 0 && !l->config.force && l->config.action != ACTION_CHECK) {
		return -EINVAL;
	}
	buses_find(l);
	int r = prepare_environment(l);
	if (r == 0) {
		r = dir_watch_create(
			l->loop, l->runtime_dir, services_handle_file, l, &l->dir_watch);
	}
	if (r == 0) {
		r = notify_socket_create(l->loop, in_runtime_dir(l, NOTIFY_SOCKET, path),
			services_handle_ready, l, &l->notify);
	}
	return r;
}

void services_finish(struct launcher *l) {
	dir_watch_destroy(l->dir_watch);
	notify_socket_destroy(l->notify);
	free((char *)l->notify_address);
	l->dir_watch = NULL;
	l->notify = NULL;
	l->notify_address = NULL;
}

/* In the environment only for the moment: children must not speak for us. */
static void notify(const struct launcher *l, const char *text) {
	if (l->notify_address && setenv("NOTIFY_SOCKET", l->notify_address, 1) == 0) {
		(void)sd_notify(true, text);
	}
}

static void print_times(const struct launcher *l) {
	printf("%-15s %10s %10s %10s\n", "STEP", "STARTED", "READY", "TOOK ms");
	for (unsigned i = 0; i < _STEP_MAX; i++) {
		const struct step *s = &l->steps[i];
		if (s->first_ready_ns > 0) {
			printf("%-15s %10.1f %10.1f %10.1f\n", s->spec->name,
				(double)(s->first_started_ns - l->started_ns) / 1e6,
				(double)(s->first_ready_ns - l->started_ns) / 1e6,
				(double)(s->first_ready_ns - s->first_started_ns) / 1e6);
		}
	}
	printf("%-15s %10s %10.1f\n", "ready", "", (double)(l->all_ready_ns - l->started_ns) / 1e6);
	(void)fflush(stdout);
}

void services_announce(struct launcher *l) {
	if (l->config.action == ACTION_CHECK) {
		steps_end(l, l->report.problems > 0 ? 1 : 0);
		return;
	}
	log_info("all is up%s%s%s", l->announced ? " again" : "", l->display[0] ? ": " : "",
		l->display);
	if (!l->announced) {
		log_info("ready after %.1f ms", (double)(l->all_ready_ns - l->started_ns) / 1e6);
		if (l->config.print_times) {
			print_times(l);
		}
		notify(l, "READY=1");
	}
	l->announced = true;
}
