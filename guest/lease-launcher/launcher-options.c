/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>

#include "launcher-options.h"
#include "parse.h"
#include "util.h"

#define DEFAULT_WIDTH   1920u
#define DEFAULT_HEIGHT  1080u
#define DEFAULT_REFRESH 60u

static int set_string(const char *value, const char **ret) {
	*ret = value;
	return value[0] ? 0 : -EINVAL;
}

static int set_size(const char *value, void *data) {
	struct lease_wish *w = &((struct launcher_config *)data)->wish;
	return parse_mode(value, &w->width, &w->height, &w->refresh);
}

static int set_refresh(const char *value, void *data) {
	return parse_u32(value, 1, 1000, &((struct launcher_config *)data)->wish.refresh);
}

static int set_name(const char *value, void *data) {
	((struct launcher_config *)data)->wish.name = value;
	return strlen(value) < LEASE_NAME_SIZE ? 0 : -ERANGE;
}

static int set_scanout(const char *value, void *data) {
	return parse_u32(value, 1, 255, &((struct launcher_config *)data)->wish.scanout);
}

static int set_wait(const char *value, void *data) {
	uint32_t seconds;
	int r = parse_u32(value, 0, 86400, &seconds);
	((struct launcher_config *)data)->wish.wait_ms = r < 0 ? 0 : seconds * 1000;
	return r;
}

static int set_socket(const char *value, void *data) {
	return set_string(value, &((struct launcher_config *)data)->wish.socket);
}

static int set_compositor(const char *value, void *data) {
	return set_string(value, &((struct launcher_config *)data)->compositor);
}

static int set_compositor_arg(const char *value, void *data) {
	struct launcher_config *c = data;
	if (c->n_compositor_args == COMPOSITOR_ARGS_MAX) {
		return -ERANGE;
	}
	c->compositor_args[c->n_compositor_args++] = value;
	return 0;
}

static int set_wayland_display(const char *value, void *data) {
	struct launcher_config *c = data;
	c->wayland_display = value;
	return value[0] && !strchr(value, '/') && strlen(value) < 64 ? 0 : -EINVAL;
}

static int set_card(const char *value, void *data) {
	return set_string(value, &((struct launcher_config *)data)->card);
}

static int set_udev_dir(const char *value, void *data) {
	return set_string(value, &((struct launcher_config *)data)->udev_dir);
}

static int set_system_bus(const char *value, void *data) {
	((struct launcher_config *)data)->system_bus = value;
	return strcmp(value, "auto") == 0 || strcmp(value, "private") == 0 || strchr(value, ':')
		? 0
		: -EINVAL;
}

static int set_input_socket(const char *value, void *data) {
	return set_string(value, &((struct launcher_config *)data)->input_socket);
}

static int set_stub(const char *value, void *data) {
	return set_string(value, &((struct launcher_config *)data)->stub);
}

static int set_bridge(const char *value, void *data) {
	return set_string(value, &((struct launcher_config *)data)->bridge);
}

static int set_no_bridge(const char *value, void *data) {
	((struct launcher_config *)data)->no_bridge = true;
	return 0;
}

static int set_no_pipewire(const char *value, void *data) {
	((struct launcher_config *)data)->no_pipewire = true;
	return 0;
}

static int set_exec(const char *value, void *data) {
	return set_string(value, &((struct launcher_config *)data)->exec);
}

static int set_session_exit(const char *value, void *data) {
	static const char *const names[] = {"keep", "restart", "end"};
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(value, names[i]) == 0) {
			((struct launcher_config *)data)->session_policy = (enum session_policy)i;
			return 0;
		}
	}
	return -EINVAL;
}

static int set_restarts(const char *value, void *data) {
	return parse_u32(value, 0, 1000000, &((struct launcher_config *)data)->restarts);
}

static int set_start_timeout(const char *value, void *data) {
	return parse_u32(value, 1, 3600000, &((struct launcher_config *)data)->start_timeout_ms);
}

static int set_stop_timeout(const char *value, void *data) {
	return parse_u32(value, 1, 3600000, &((struct launcher_config *)data)->stop_timeout_ms);
}

static int set_check(const char *value, void *data) {
	((struct launcher_config *)data)->action = ACTION_CHECK;
	return 0;
}

static int set_force(const char *value, void *data) {
	((struct launcher_config *)data)->force = true;
	return 0;
}

static int set_resize(const char *value, void *data) {
	struct launcher_config *c = data;
	c->action = ACTION_RESIZE;
	return parse_mode(value, &c->resize_width, &c->resize_height, &c->resize_refresh);
}

static int set_status(const char *value, void *data) {
	((struct launcher_config *)data)->action = ACTION_STATUS;
	return 0;
}

static int set_print_times(const char *value, void *data) {
	((struct launcher_config *)data)->print_times = true;
	return 0;
}

static const struct option_spec options[] = {
	{"size", 'm', "WxH[@HZ]", "size of the desktop (default 1920x1080@60)", set_size},
	{"refresh", 'r', "HZ", "refresh rate of the desktop (default 60)", set_refresh},
	{"name", 'n', "NAME", "name of the desktop (default: the host's name)", set_name},
	{"scanout", 0, "N", "this output and no other", set_scanout},
	{"wait", 'w', "SECONDS", "wait so long for an output to become free (default 0)", set_wait},
	{"socket", 's', "PATH", "the DRM manager's (default " LEASE_SOCKET_DEFAULT ")", set_socket},
	{"compositor", 'c', "NAME|CMD", "gnome, mutter, weston or a command (default gnome)",
		set_compositor},
	{"compositor-arg", 0, "ARG", "one more argument for a preset; repeatable",
		set_compositor_arg},
	{"wayland-display", 0, "NAME", "socket of the compositor (default wayland-0; CMD: any)",
		set_wayland_display},
	{"card", 0, "PATH", "node of the card (default: the lease's, in /dev/dri)", set_card},
	{"udev-dir", 0, "DIR", "of the udev database (default /run/udev)", set_udev_dir},
	{"system-bus", 0, "BUS", "auto, private or an address (default auto)", set_system_bus},
	{"input-socket", 0, "PATH", "the input manager's (default /run/helix-input/input.sock)",
		set_input_socket},
	{"stub", 0, "PATH", "the login stub (default logind-stub)", set_stub},
	{"bridge", 0, "PATH", "the bridge (default desktop-bridge, if installed)", set_bridge},
	{"no-bridge", 0, NULL, "start no bridge", set_no_bridge},
	{"no-pipewire", 0, NULL, "start neither PipeWire nor WirePlumber", set_no_pipewire},
	{"exec", 'e', "CMD", "session program, as a line for the shell", set_exec},
	{"session-exit", 0, "WHAT", "when the session program ends: keep, restart or end (keep)",
		set_session_exit},
	{"restarts", 0, "N", "how often the compositor is started again in a row (default 3)",
		set_restarts},
	{"start-timeout", 0, "MS", "time limit for the compositor to come up (default 90000)",
		set_start_timeout},
	{"stop-timeout", 0, "MS", "time limit for each part to end (default 2000)",
		set_stop_timeout},
	{"check", 0, NULL, "find out what is missing, say what to do, and end", set_check},
	{"force", 0, NULL, "go on whatever the checks find", set_force},
	{"resize", 0, "WxH[@HZ]", "resize the desktop of this container and exit", set_resize},
	{"status", 0, NULL, "print the state of this container's desktop and exit", set_status},
	{"print-times", 0, NULL, "print how long each part took, once all is up", set_print_times},
	{"log-level", 0, "LEVEL", "error, warn, info or debug (default info)",
		options_set_log_level},
	{0},
};

static int read_number(const char *name, uint32_t min, uint32_t max, uint32_t *ret) {
	const char *value = getenv(name);
	if (!value || !*value) {
		return 0;
	}
	int r = parse_u32(value, min, max, ret);
	if (r < 0) {
		(void)fprintf(stderr, "mutter-lease-launcher: %s: not valid: '%s'\n", name, value);
	}
	return r;
}

static const char *environment_or(const char *name, const char *fallback) {
	const char *value = getenv(name);
	return value && *value ? value : fallback;
}

static int read_environment(struct launcher_config *c) {
	struct lease_wish *w = &c->wish;
	int r = read_number("GAMESCOPE_WIDTH", 1, UINT16_MAX, &w->width);
	if (r == 0) {
		r = read_number("GAMESCOPE_HEIGHT", 1, UINT16_MAX, &w->height);
	}
	if (r == 0) {
		r = read_number("GAMESCOPE_REFRESH", 1, 1000, &w->refresh);
	}
	const char *size = getenv("HELIX_SIZE");
	if (r == 0 && size && *size && (r = set_size(size, c)) < 0) {
		(void)fprintf(stderr, "mutter-lease-launcher: HELIX_SIZE: not valid: '%s'\n", size);
	}
	if (r == 0) {
		r = read_number("HELIX_REFRESH", 1, 1000, &w->refresh);
	}
	w->socket = environment_or("HELIX_LEASE_SOCKET", NULL);
	c->compositor = environment_or("HELIX_COMPOSITOR", "gnome");
	c->exec = environment_or("HELIX_EXEC", NULL);
	return r;
}

enum options_result launcher_options_parse(int argc, char *argv[], struct launcher_config *ret) {
	static const struct program_spec program = {
		.name = "mutter-lease-launcher",
		.summary = "Runs a desktop on a leased output: lease, buses, compositor, session.",
		.arguments = "[--] [PROGRAM [ARG]...]",
		.options = options,
	};
	static char host[LEASE_NAME_SIZE];
	*ret = (struct launcher_config){
		.wish = {.width = DEFAULT_WIDTH,
			.height = DEFAULT_HEIGHT,
			.refresh = DEFAULT_REFRESH,
			.name = host},
		.udev_dir = "/run/udev",
		.system_bus = "auto",
		.input_socket = "/run/helix-input/input.sock",
		.stub = "logind-stub",
		.restarts = 3,
		.start_timeout_ms = 90000,
		.stop_timeout_ms = 2000,
	};
	(void)gethostname(host, sizeof(host) - 1);
	if (read_environment(ret) < 0) {
		return OPTIONS_ERROR;
	}
	int index;
	enum options_result result = options_parse(&program, argc, argv, ret, &index);
	if (result == OPTIONS_RUN && index < argc) {
		ret->session = argv + index;
	}
	if (ret->session && ret->exec == getenv("HELIX_EXEC")) {
		ret->exec = NULL;
	}
	if (result == OPTIONS_RUN && ret->session && ret->exec) {
		(void)fprintf(stderr,
			"mutter-lease-launcher: --exec and a PROGRAM do not go "
			"together\n");
		return OPTIONS_ERROR;
	}
	return result;
}
