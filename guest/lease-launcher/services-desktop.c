/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "services.h"
#include "util.h"

LOG_MODULE("launcher");

#define PIPEWIRE_SOCKET "pipewire-0"
#define AGAIN_USEC      2000
#define ACCURACY_USEC   500

/* What programs that the session bus starts must know. */
static const char *const exported[] = {
	"DBUS_SYSTEM_BUS_ADDRESS",
	"WAYLAND_DISPLAY",
	"XDG_CURRENT_DESKTOP",
	"XDG_RUNTIME_DIR",
	"XDG_SESSION_DESKTOP",
	"XDG_SESSION_TYPE",
	NULL,
};

static bool is_installed(const char *name) {
	char path[PATH_MAX];
	return process_find(name, path, sizeof(path)) == 0;
}

static int start_simple(struct step *s, const char *name) {
	char *const argv[] = {(char *)name, NULL};
	struct process_spec spec = {0};
	return spawn(s, name, argv, &spec);
}

/* What a process that was killed left: nobody answers, and no other would be made. */
static void remove_stale_socket(struct launcher *l, const char *name) {
	char path[PATH_MAX];
	if (!socket_answers(in_runtime_dir(l, name, path))) {
		(void)unlink(path);
	}
}

int start_pipewire(struct launcher *l, struct step *s) {
	char path[PATH_MAX];
	if (l->config.no_pipewire || !is_installed("pipewire")) {
		step_off(s);
		return 0;
	}
	if (socket_answers(in_runtime_dir(l, PIPEWIRE_SOCKET, path))) {
		log_info("pipewire: one is running already");
		l->external_pipewire = true;
		return 0;
	}
	remove_stale_socket(l, PIPEWIRE_SOCKET);
	s->pending = UNTIL_SOCKET;
	return start_simple(s, "pipewire");
}

static int start_beside_pipewire(struct launcher *l, struct step *s, const char *name) {
	if (l->external_pipewire || !is_installed(name)) {
		step_off(s);
		return 0;
	}
	return start_simple(s, name);
}

int start_wireplumber(struct launcher *l, struct step *s) {
	return start_beside_pipewire(l, s, "wireplumber");
}

/* For programs that only know PulseAudio. */
int start_pipewire_pulse(struct launcher *l, struct step *s) {
	return start_beside_pipewire(l, s, "pipewire-pulse");
}

/* "wayland-7", but not its lock. */
static bool is_wayland_name(const char *name) {
	static const char prefix[] = "wayland-";
	size_t n = sizeof(prefix) - 1;
	return strncmp(name, prefix, n) == 0 && name[n] &&
		strspn(name + n, "0123456789") == strlen(name + n);
}

static const char *wanted_display(const struct launcher *l) {
	return l->config.wayland_display ? l->config.wayland_display
		: l->preset              ? "wayland-0"
					 : NULL;
}

static bool is_our_display(const struct launcher *l, const char *name) {
	const char *wanted = wanted_display(l);
	return wanted ? strcmp(name, wanted) == 0 : is_wayland_name(name);
}

static void remove_stale_displays(struct launcher *l) {
	DIR *dir = opendir(l->runtime_dir);
	for (struct dirent *e; dir && (e = readdir(dir));) {
		if (is_our_display(l, e->d_name)) {
			remove_stale_socket(l, e->d_name);
		}
	}
	if (dir) {
		(void)closedir(dir);
	}
}

static void handle_shell_name(const char *problem, void *data) {
	struct step *s = data;
	bus_errand_destroy(s->errand);
	s->errand = NULL;
	if (problem) {
		step_failed(s, problem);
	} else {
		step_met(s, UNTIL_NAME);
	}
}

static void handle_exported(const char *problem, void *data) {
	struct step *s = data;
	bus_errand_destroy(s->exporter);
	s->exporter = NULL;
	if (problem) {
		log_warn("programs that the session bus starts will not find the desktop: %s",
			problem);
	}
	step_met(s, UNTIL_EXPORTED);
}

static void display_appeared(struct step *s) {
	struct launcher *l = s->launcher;
	(void)setenv("WAYLAND_DISPLAY", l->display, 1);
	s->pending |= UNTIL_EXPORTED;
	step_met(s, UNTIL_SOCKET);
	int r = bus_export_environment(l->loop, getenv("DBUS_SESSION_BUS_ADDRESS"), exported,
		handle_exported, s, &s->exporter);
	if (r < 0) {
		handle_exported(strerror(-r), s);
	}
}

int start_compositor(struct launcher *l, struct step *s) {
	const struct preset *p = l->preset;
	struct process_spec spec = {0};
	(void)unsetenv("WAYLAND_DISPLAY");
	remove_stale_displays(l);
	if (p && p->desktop) {
		(void)setenv("XDG_CURRENT_DESKTOP", p->desktop, 1);
		(void)setenv("XDG_SESSION_DESKTOP", "gnome", 1);
		(void)setenv("DESKTOP_SESSION", "gnome", 1);
	}
	preset_command(&l->config, p ? wanted_display(l) : "", l->card, l->has_3d, &l->compositor);
	s->pending = UNTIL_SOCKET | (p && p->bus_name ? UNTIL_NAME : 0);
	int r = spawn(s, p ? p->program : "sh", l->compositor.argv, &spec);
	if (r == 0 && p && p->bus_name) {
		r = bus_wait_name(l->loop, getenv("DBUS_SESSION_BUS_ADDRESS"), p->bus_name,
			handle_shell_name, s, &s->errand);
	}
	return r;
}

void compositor_stopped(struct launcher *l, struct step *s) {
	/* It may have made one that was not seen yet. */
	remove_stale_displays(l);
	l->display[0] = '\0';
	(void)unsetenv("WAYLAND_DISPLAY");
}

static void look_at_socket(struct step *s, const char *name);

static int handle_again(sd_event_source *source, uint64_t usec, void *data) {
	struct step *s = data;
	struct launcher *l = s->launcher;
	s->again = sd_event_source_disable_unref(s->again);
	look_at_socket(s, s == &l->steps[STEP_PIPEWIRE] ? PIPEWIRE_SOCKET : l->display);
	return 0;
}

/* It appears when it gets its name, and listens a moment later, of which no event tells. */
static void look_at_socket(struct step *s, const char *name) {
	struct launcher *l = s->launcher;
	char path[PATH_MAX];
	if (!(s->pending & UNTIL_SOCKET) || s->again) {
		return;
	}
	if (!socket_answers(in_runtime_dir(l, name, path))) {
		(void)sd_event_add_time_relative(l->loop, &s->again, CLOCK_MONOTONIC, AGAIN_USEC,
			ACCURACY_USEC, handle_again, s);
	} else if (s == &l->steps[STEP_COMPOSITOR]) {
		display_appeared(s);
	} else {
		step_met(s, UNTIL_SOCKET);
	}
}

void services_handle_file(const char *name, void *data) {
	struct launcher *l = data;
	struct step *compositor = &l->steps[STEP_COMPOSITOR];
	if (strcmp(name, PIPEWIRE_SOCKET) == 0) {
		look_at_socket(&l->steps[STEP_PIPEWIRE], name);
	} else if ((compositor->pending & UNTIL_SOCKET) && is_our_display(l, name)) {
		(void)snprintf(l->display, sizeof(l->display), "%s", name);
		look_at_socket(compositor, name);
	}
}

int start_bridge(struct launcher *l, struct step *s) {
	const char *name = l->config.bridge ? l->config.bridge : "desktop-bridge";
	if (l->config.no_bridge || (!l->config.bridge && !is_installed(name))) {
		step_off(s);
		return 0;
	}
	return start_simple(s, name);
}

int start_session(struct launcher *l, struct step *s) {
	const struct launcher_config *c = &l->config;
	char *const line[] = {(char *)"sh", (char *)"-c", (char *)c->exec, NULL};
	struct process_spec spec = {0};
	if (!c->session && !c->exec) {
		step_off(s);
		return 0;
	}
	return spawn(s, c->exec ? "sh" : c->session[0], c->exec ? line : c->session, &spec);
}
