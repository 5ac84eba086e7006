/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Desktops in containers, in a VM with 3D: what draws them, and that it draws right. */
#include <linux/input-event-codes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "farm.h"
#include "test.h"

/* A second; the terminal counts three times in that. */
#define MOVING_FRAMES 3u

/* What a program of its container draws with. */
static void check_driver(struct desktop *d) {
	const char *text = desktop_run(d, 180,
		"/usr/bin/eglinfo.* -B -p surfaceless 2>/dev/null | grep renderer: | head -n 1");
	(void)fprintf(stderr, "# %s: %s", d->name, text);
	if (!strstr(text, "virgl")) {
		fail("%s: its programs draw with %s", d->name, text);
	}
}

/* Mesa's software driver has threads, which are named after it. */
static void check_compositor(struct desktop *d, const char *compositor) {
	char command[256];
	(void)snprintf(command, sizeof(command),
		"cat /proc/$(pgrep -x %s)/task/*/comm | grep -c -e llvmpipe -e swrast; true",
		compositor);
	check_str(desktop_run(d, 60, command), "0\n");
}

static void check_moving(struct desktop *d, const char *when) {
	run_loop_until(
		d->farm->loop, &d->viewer.frames, d->viewer.frames + MOVING_FRAMES, 60000, when);
	check_int(d->viewer.broken, ==, 0);
}

/* Nobody watches by the bridge, which so has no picture to know the size by. */
static void check_positions(struct desktop *d) {
	uint32_t width = d->viewer.picture.width, height = d->viewer.picture.height;
	desktop_point(d, width / 4, height / 4);
	desktop_point(d, width / 2, height / 2);
	desktop_point(d, width - 10, height - 10);
}

static void see_and_type(struct desktop *d) {
	desktop_watch(d);
	desktop_expect(d, farm_red, 10, FARM_START_SECONDS, "terminal");
	desktop_key(d, KEY_G);
	desktop_expect(d, farm_green, 10, 180, "key-g");
}

/* What a program draws with GL is a buffer of its context, which the compositor has beside its own. */
static void check_program_seen(struct desktop *d) {
	static const uint8_t gear[3] = {196, 26, 0};
	uint32_t job = vm_spawn(d->farm->vm,
		"exec podman exec --env WAYLAND_DISPLAY=wayland-0 %s "
		"sh -c 'exec timeout 120 /usr/bin/es2gears_wayland.*'",
		d->name);
	desktop_expect(d, gear, 1, 50, "gears");
	check_moving(d, "frames of a program");
	(void)desktop_run(d, 60, "pkill es2gears");
	(void)vm_job_wait(d->farm->vm, job, 20);
	vm_job_forget(d->farm->vm, job);
}

/* Programs with GL come and go, by their own will or not; the compositor has a context beside theirs. */
static void check_programs_end(struct desktop *d) {
	for (unsigned i = 0; i < 4; i++) {
		char command[256];
		(void)snprintf(command, sizeof(command),
			"timeout -s %s 6 /usr/bin/es2gears_wayland.* >/dev/null 2>&1; true",
			i % 2 ? "KILL" : "TERM");
		(void)vm_run(d->farm->vm, 120,
			"podman exec --env WAYLAND_DISPLAY=wayland-0 %s sh -c '%s'", d->name,
			command);
		check_moving(d, "frames after a program's end");
	}
}

TEST_TIMEOUT(mutter_draws_by_3d, 1800) {
	struct farm f;
	struct desktop d;
	farm_start_gl(&f, true);
	desktop_start(&d, &f, 1, "mutter", "1280x720");
	see_and_type(&d);
	check_positions(&d);
	desktop_tap(&d, farm_green);
	desktop_expect(&d, farm_yellow, 10, 60, "tap");
	check_compositor(&d, "mutter");
	check_driver(&d);
	check_program_seen(&d);
	check_programs_end(&d);
	desktop_end(&d);
	farm_stop(&f);
}

TEST_TIMEOUT(weston_draws_by_3d, 1800) {
	struct farm f;
	struct desktop d;
	farm_start_gl(&f, false);
	desktop_start(&d, &f, 1, "weston", "1024x768");
	see_and_type(&d);
	check_compositor(&d, "weston");
	check(strstr(
		vm_run_ok(f.vm, 60,
			"journalctl -b -o cat -u helix-desktop@%s | grep -i 'GL renderer'", d.name),
		"virgl"));
	check_driver(&d);
	check_program_seen(&d);
	check_programs_end(&d);
	desktop_end(&d);
	farm_stop(&f);
}

/*
 * A compositor that has lost its 3D is not told by the kernel, and draws on unseen; so its lease
 * ends, and it starts again.
 */
TEST_TIMEOUT(desktops_come_back_after_the_renderer, 1800) {
	static const char *const compositors[] = {"mutter", "weston"};
	struct farm f;
	struct desktop d[ARRAY_SIZE(compositors)];
	farm_start_gl(&f, true);
	for (unsigned i = 0; i < ARRAY_SIZE(d); i++) {
		desktop_start(&d[i], &f, i + 1, compositors[i], "800x600");
		see_and_type(&d[i]);
	}
	uint64_t start = now_ns();
	test_kill_children(f.vm->gpu.pid);
	for (unsigned i = 0; i < ARRAY_SIZE(d); i++) {
		desktop_expect(&d[i], farm_red, 10, FARM_START_SECONDS, "terminal-again");
		(void)fprintf(stderr, "# %s: back after %.1f s\n", compositors[i],
			(double)(now_ns() - start) / 1e9);
		check_compositor(&d[i], compositors[i]);
		check_moving(&d[i], "frames of the new compositor");
	}
	for (unsigned i = 0; i < ARRAY_SIZE(d); i++) {
		desktop_end(&d[i]);
	}
	farm_stop(&f);
}
