/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How large a real compositor says that its screen is. */
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "test.h"
#include "util.h"
#include "wayland/output.h"
#include "wlroots-desk.h"

#define TIMEOUT_NS (20 * NSEC_PER_SEC)

struct seen {
	struct desk desk;
	struct wayland_output *output;
	uint32_t width, height; /* what was told last */
};

static void handle_size(uint32_t width, uint32_t height, void *data) {
	struct seen *s = data;
	s->width = width;
	s->height = height;
}

static void expect(struct seen *s, uint32_t width, uint32_t height) {
	uint32_t w, h;
	for (uint64_t deadline = now_ns() + TIMEOUT_NS;;) {
		wayland_output_size(s->output, &w, &h);
		if (w == width && h == height) {
			break;
		}
		if (now_ns() > deadline) {
			fail("%u by %u, not %u by %u", w, h, width, height);
		}
		check_ok(sd_event_run(s->desk.loop, 10000));
	}
	check(!width || (s->width == width && s->height == height));
}

static void tell_sway(struct seen *s, const char *what) {
	char command[256];
	const char *sh[] = {"sh", "-c", command, NULL};
	int status;
	(void)snprintf(command, sizeof(command),
		"swaymsg -s \"$XDG_RUNTIME_DIR\"/sway-ipc.*.sock %s", what);
	pid_t pid = desk_run(&s->desk, sh, "/dev/null", "/dev/null");
	check_int(waitpid(pid, &status, 0), ==, pid);
	check_int(status, ==, 0);
}

TEST(size_of_a_desktop) {
	struct seen s = {0};
	desk_init(&s.desk, "sway", "us");
	check_ok(wayland_output_create(s.desk.loop, handle_size, &s, &s.output));
	expect(&s, 0, 0);
	desk_start(&s.desk);
	expect(&s, 1280, 720);
	tell_sway(&s, "output HEADLESS-1 resolution 1024x600");
	expect(&s, 1024, 600);
	tell_sway(&s, "output HEADLESS-1 transform 90");
	expect(&s, 600, 1024);
	tell_sway(&s, "output HEADLESS-1 transform 180");
	expect(&s, 1024, 600);
	/* The newer output is the one that stays. */
	tell_sway(&s, "create_output");
	expect(&s, 1920, 1080);
	desk_stop(&s.desk, SIGKILL);
	expect(&s, 0, 0);
	desk_start(&s.desk);
	expect(&s, 1280, 720);
	wayland_output_destroy(s.output);
	desk_finish(&s.desk);
}
