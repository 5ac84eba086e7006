/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the launcher was told by options and environment. */
#ifndef HELIX_LAUNCHER_OPTIONS_H
#define HELIX_LAUNCHER_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include <helix/lease-client.h>

#include "options.h"

#define COMPOSITOR_ARGS_MAX 32u

enum launcher_action {
	ACTION_RUN,
	ACTION_CHECK,  /* up to the login stub, say what is wrong, end */
	ACTION_RESIZE, /* tell the one that runs */
	ACTION_STATUS, /* ask the one that runs */
};

/* When the session program ends. */
enum session_policy {
	SESSION_KEEP,    /* the desktop goes on; a failure (not 0) starts it again */
	SESSION_RESTART, /* always again */
	SESSION_END,     /* everything ends, with its status */
};

struct launcher_config {
	enum launcher_action action;
	struct lease_wish wish;
	uint32_t resize_width, resize_height, resize_refresh;

	const char *compositor; /* a preset, or a command line */
	const char *compositor_args[COMPOSITOR_ARGS_MAX];
	unsigned n_compositor_args;
	const char *wayland_display; /* NULL: by preset */

	const char *card;         /* NULL: the node in /dev/dri of the lease's card */
	const char *udev_dir;     /* of the udev database */
	const char *system_bus;   /* "auto", "private" or an address */
	const char *input_socket; /* of the input manager, for the stub */
	const char *stub, *bridge;
	bool no_bridge, no_pipewire;

	char *const *session; /* program and arguments; NULL: none */
	const char *exec;     /* or a line for the shell; NULL: none */
	enum session_policy session_policy;

	unsigned restarts;         /* of the compositor and what it needs, in a row */
	unsigned start_timeout_ms; /* of the compositor; other parts are quicker */
	unsigned stop_timeout_ms;  /* of each part, until it is killed */
	bool print_times, force;
};

/* `ret` refers to strings of argv and the environment. */
enum options_result launcher_options_parse(int argc, char *argv[], struct launcher_config *ret);

#endif
