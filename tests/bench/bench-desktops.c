/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How long a desktop takes from `systemctl start` in the VM to its first frame at a subscriber on the
 * host, and which step takes how much of that. Needs HELIX_TEST_VM_IMAGE, as tests/vm/farm.h does.
 */
#include <stdio.h>
#include <string.h>

#include "farm.h"
#include "test.h"

/* Of mutter-lease-launcher(1), in their order. */
static const char *const steps[] = {
	"lease", "system-bus", "session-bus", "stub", "pipewire", "compositor", "session"};

/* The time that a step needed, ms; -1 if it did not happen. */
static double step_ms(struct desktop *d, const char *step) {
	double ms = -1;
	const char *line = vm_run_ok(d->farm->vm, 60,
		"journalctl -b -o cat -u helix-desktop@%s | grep 'launcher: %s: ready after' | tail -n 1; "
		"true",
		d->name, step);
	const char *found = strstr(line, "ready after ");
	if (found) {
		(void)sscanf(found, "ready after %lf", &ms);
	}
	return ms;
}

static void print_row(struct desktop *d, const char *what, double container, double lease,
	double first, double shown) {
	printf("%-16s %9.0f", what, container);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		double ms = step_ms(d, steps[i]);
		if (ms < 0) {
			printf(" %11s", "-");
		} else {
			printf(" %11.0f", ms);
		}
	}
	printf(" %9.0f %9.0f %9.0f\n", lease, first, shown);
	(void)fflush(stdout);
}

/* Starts one and measures, from before the container. */
static void measure(struct farm *f, unsigned number, const char *compositor, const char *label) {
	struct desktop d;
	uint64_t start = now_ns();
	desktop_start(&d, f, number, compositor, "1280x720");
	uint64_t container = now_ns();
	desktop_watch(&d);
	uint64_t lease = now_ns();
	run_loop_until(f->loop, &d.viewer.frames, 1, FARM_START_SECONDS * 1000, "a frame");
	uint64_t first = now_ns();
	desktop_expect(&d, farm_red, 10, FARM_START_SECONDS, "terminal");
	print_row(&d, label, (double)(container - start) / 1e6, (double)(lease - start) / 1e6,
		(double)(first - start) / 1e6, (double)(now_ns() - start) / 1e6);
	desktop_end(&d);
	vm_run_ok(f->vm, 60, "systemctl stop helix-desktop@%s", d.name);
}

static bool has_gnome(struct farm *f) {
	return vm_run(f->vm, 60, "podman image exists localhost/helix-desktop:gnome") == 0;
}

TEST_TIMEOUT(start_of_a_desktop, 3000) {
	struct farm f;
	farm_start(&f, false);
	printf("# ms at 1280x720; container, leased, frame and terminal are seen from the host, since\n"
	       "# systemctl start; the others are the launcher's steps\n");
	printf("%-16s %9s", "", "container");
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		printf(" %11s", steps[i]);
	}
	printf(" %9s %9s %9s\n", "leased", "frame", "terminal");
	measure(&f, 1, "weston", "weston, first");
	measure(&f, 1, "weston", "weston, again");
	if (has_gnome(&f)) {
		measure(&f, 2, "mutter", "mutter, first");
		measure(&f, 2, "mutter", "mutter, again");
		measure(&f, 3, "gnome", "gnome, first");
		measure(&f, 3, "gnome", "gnome, again");
	}
	farm_stop(&f);
}
