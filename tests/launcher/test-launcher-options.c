/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher-options.h"
#include "presets.h"
#include "test.h"
#include "util.h"

static struct launcher_config config;

static enum options_result parse(const char *const args[]) {
	/* The configuration refers to it. */
	static char *argv[32];
	int argc = 1;
	argv[0] = (char *)"launcher";
	while (args[argc - 1]) {
		argv[argc] = (char *)args[argc - 1];
		argc++;
	}
	argv[argc] = NULL;
	return launcher_options_parse(argc, argv, &config);
}

#define PARSE(...) parse((const char *const[]){__VA_ARGS__, NULL})

static void clear(void) {
	static const char *const names[] = {"GAMESCOPE_WIDTH", "GAMESCOPE_HEIGHT",
		"GAMESCOPE_REFRESH", "HELIX_SIZE", "HELIX_REFRESH", "HELIX_COMPOSITOR",
		"HELIX_LEASE_SOCKET", "HELIX_EXEC"};
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		(void)unsetenv(names[i]);
	}
}

TEST(size_by_default_environment_and_option) {
	clear();
	check_int(PARSE("--name=x"), ==, OPTIONS_RUN);
	check_int(config.wish.width, ==, 1920);
	check_int(config.wish.height, ==, 1080);
	check_int(config.wish.refresh, ==, 60);
	(void)setenv("GAMESCOPE_WIDTH", "1280", 1);
	(void)setenv("GAMESCOPE_HEIGHT", "720", 1);
	(void)setenv("GAMESCOPE_REFRESH", "30", 1);
	check_int(PARSE("--name=x"), ==, OPTIONS_RUN);
	check_int(config.wish.width, ==, 1280);
	check_int(config.wish.height, ==, 720);
	check_int(config.wish.refresh, ==, 30);
	(void)setenv("HELIX_SIZE", "1600x900", 1);
	check_int(PARSE("--name=x"), ==, OPTIONS_RUN);
	check_int(config.wish.width, ==, 1600);
	check_int(config.wish.refresh, ==, 30);
	check_int(PARSE("--size=800x600@75"), ==, OPTIONS_RUN);
	check_int(config.wish.width, ==, 800);
	check_int(config.wish.refresh, ==, 75);
	check_int(PARSE("--size=800x600", "--refresh=50"), ==, OPTIONS_RUN);
	check_int(config.wish.refresh, ==, 50);
	(void)setenv("GAMESCOPE_WIDTH", "wide", 1);
	check_int(PARSE("--name=x"), ==, OPTIONS_ERROR);
	clear();
	check_int(PARSE("--size=800"), ==, OPTIONS_ERROR);
}

TEST(actions_and_sessions) {
	clear();
	check_int(PARSE("--resize=1x2@3"), ==, OPTIONS_RUN);
	check_int(config.action, ==, ACTION_RESIZE);
	check_int(config.resize_height, ==, 2);
	check_int(PARSE("--check"), ==, OPTIONS_RUN);
	check_int(config.action, ==, ACTION_CHECK);
	check_int(PARSE("--wait=7", "--", "foot", "-e"), ==, OPTIONS_RUN);
	check_int(config.wish.wait_ms, ==, 7000);
	check_str(config.session[0], "foot");
	check_str(config.session[1], "-e");
	check_int(PARSE("--exec=a", "b"), ==, OPTIONS_ERROR);
	(void)setenv("HELIX_EXEC", "foot -m", 1);
	check_int(PARSE("--wait=7"), ==, OPTIONS_RUN);
	check_str(config.exec, "foot -m");
	check_int(PARSE("b"), ==, OPTIONS_RUN);
	check(!config.exec);
	check_int(PARSE("--session-exit=end"), ==, OPTIONS_RUN);
	check_int(config.session_policy, ==, SESSION_END);
	check_int(PARSE("--session-exit=never"), ==, OPTIONS_ERROR);
	check_int(PARSE("--wayland-display=a/b"), ==, OPTIONS_ERROR);
	check_int(PARSE("--system-bus=any"), ==, OPTIONS_ERROR);
	check_int(PARSE("--system-bus=unix:path=/x"), ==, OPTIONS_RUN);
}

static void check_command(const char *card, bool has_3d, const char *wanted) {
	struct command c;
	char text[512] = "";
	preset_command(&config, "wayland-5", card, has_3d, &c);
	for (unsigned i = 0; c.argv[i]; i++) {
		size_t n = strlen(text);
		(void)snprintf(text + n, sizeof(text) - n, "%s%s", i > 0 ? " " : "", c.argv[i]);
	}
	check_str(text, wanted);
}

TEST(commands_of_presets) {
	clear();
	check_int(PARSE("--compositor=gnome", "--compositor-arg=--unsafe-mode"), ==, OPTIONS_RUN);
	check_str(preset_find(&config)->bus_name, "org.gnome.Shell");
	check_command("/dev/dri/card1", true,
		"gnome-shell --wayland --display-server --no-x11 --wayland-display=wayland-5 "
		"--unsafe-mode");
	check_int(PARSE("--compositor=weston"), ==, OPTIONS_RUN);
	check_command("/dev/dri/card0", false,
		"weston --backend=drm --continue-without-input --idle-time=0 --renderer=pixman "
		"--socket=wayland-5");
	check_command("/dev/dri/card1", true,
		"weston --backend=drm --continue-without-input --idle-time=0 --renderer=gl "
		"--socket=wayland-5 --drm-device=card1");
	(void)setenv("HELIX_COMPOSITOR", "labwc -s foot", 1);
	check_int(PARSE("--wait=0"), ==, OPTIONS_RUN);
	check(!preset_find(&config));
	check_command("/dev/dri/card1", true, "sh -c labwc -s foot");
}
