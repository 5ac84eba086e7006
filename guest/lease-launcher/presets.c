/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>

#include "presets.h"
#include "util.h"

static const struct preset presets[] = {
	{
		.name = "gnome",
		.program = "gnome-shell",
		.package = "gnome-shell",
		.args = {"--wayland", "--display-server", "--no-x11"},
		.display_arg = "--wayland-display=",
		.bus_name = "org.gnome.Shell",
		.desktop = "GNOME",
		.needs_udev = true,
		.needs_pipewire = true,
	},
	{
		.name = "mutter",
		.program = "mutter",
		.package = "mutter",
		.args = {"--wayland", "--display-server", "--no-x11"},
		.display_arg = "--wayland-display=",
		.bus_name = "org.gnome.Mutter.DisplayConfig",
		.desktop = "GNOME",
		.needs_udev = true,
		.needs_pipewire = true,
	},
	{
		.name = "weston",
		.program = "weston",
		.package = "weston",
		/*
		 * Without the second it would give up where there is no input device; the third
		 * keeps the picture of a desktop that nobody touches. Its GL on the CPU would be
		 * slower than pixman.
		 */
		.args = {"--backend=drm", "--continue-without-input", "--idle-time=0"},
		.arg_2d = "--renderer=pixman",
		.arg_3d = "--renderer=gl",
		.display_arg = "--socket=",
		.card_arg = "--drm-device=",
		.keeps_mode = true,
	},
};

const struct preset *preset_find(const struct launcher_config *config) {
	for (unsigned i = 0; i < ARRAY_SIZE(presets); i++) {
		if (strcmp(presets[i].name, config->compositor) == 0) {
			return &presets[i];
		}
	}
	return NULL;
}

void preset_command(const struct launcher_config *config, const char *display, const char *card,
	bool has_3d, struct command *ret) {
	const struct preset *p = preset_find(config);
	size_t n = 0;
	*ret = (struct command){0};
	if (!p) {
		ret->argv[n++] = (char *)"sh";
		ret->argv[n++] = (char *)"-c";
		ret->argv[n++] = (char *)config->compositor;
		return;
	}
	ret->argv[n++] = (char *)p->program;
	for (size_t i = 0; i < PRESET_ARGS_MAX && p->args[i]; i++) {
		ret->argv[n++] = (char *)p->args[i];
	}
	if (p->arg_2d) {
		ret->argv[n++] = (char *)(has_3d ? p->arg_3d : p->arg_2d);
	}
	(void)snprintf(ret->display, sizeof(ret->display), "%s%s", p->display_arg, display);
	ret->argv[n++] = ret->display;
	const char *slash = strrchr(card, '/');
	const char *name = slash ? slash + 1 : card;
	/* What it takes by itself, also where it cannot look devices up. */
	if (p->card_arg && strcmp(name, "card0") != 0) {
		(void)snprintf(ret->card, sizeof(ret->card), "%s%s", p->card_arg, name);
		ret->argv[n++] = ret->card;
	}
	for (unsigned i = 0; i < config->n_compositor_args; i++) {
		ret->argv[n++] = (char *)config->compositor_args[i];
	}
}
