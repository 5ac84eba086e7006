/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How each compositor is started, and how it tells that it is up. */
#ifndef HELIX_LAUNCHER_PRESETS_H
#define HELIX_LAUNCHER_PRESETS_H

#include <stdbool.h>

#include "launcher-options.h"

#define PRESET_ARGS_MAX 12u

struct preset {
	const char *name;
	const char *program, *package;
	const char *args[PRESET_ARGS_MAX]; /* ends with NULL */
	const char *display_arg;           /* to which the name of the socket is appended */
	const char *card_arg;              /* likewise the card's, if it is not card0; or NULL */
	const char *arg_2d, *arg_3d;       /* one of them, as the card can; or NULL */
	const char *bus_name;              /* owned on the session bus once it is up; or NULL */
	const char *desktop;               /* XDG_CURRENT_DESKTOP; NULL: none */
	bool needs_udev;                   /* finds its card by the tag `seat` alone */
	bool needs_pipewire;
	bool keeps_mode; /* another size of its output shows after its next start */
};

/* The one that `config` asks for; NULL: it is a command line. */
const struct preset *preset_find(const struct launcher_config *config);

/* A command line as argv, ending with NULL; strings in it belong to it. */
struct command {
	char *argv[PRESET_ARGS_MAX + COMPOSITOR_ARGS_MAX + 8];
	char display[96], card[160];
};

/*
 * `display`: name of the Wayland socket that is wished for. `card`: path of its node; `has_3d`: it
 * draws.
 */
void preset_command(const struct launcher_config *config, const char *display, const char *card,
	bool has_3d, struct command *ret);

#endif
