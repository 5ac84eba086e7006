/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a viewer gets of a desktop that draws much, with the guest's own llvmpipe and with 3D that
 * this machine draws, and the CPU time of QEMU, exporter and renderer together. Needs
 * HELIX_TEST_VM_IMAGE with GNOME, as tests/vm/farm.h says.
 */
#include <linux/input-event-codes.h>
#include <stdio.h>
#include <string.h>

#include "farm.h"
#include "test.h"

#define SECONDS        15u
#define SETTLE_SECONDS 5u

/* Scrolls for ever in all of the screen, or stands there. */
static const char scroll[] = "foot --maximized sh -c \"while :; do seq 1 20000; done\"";
static const char still[] = "foot --window-size-chars=80x24 sh -c \"seq 1 20; sleep 1000000\"";

static const struct load {
	const char *compositor, *size, *terminal;
	bool drag;
	const char *name;
} loads[] = {
	{"mutter", "1280x720", scroll, false, "mutter 1280x720, scrolling"},
	{"mutter", "1280x720", still, true, "mutter 1280x720, dragging"},
	{"mutter", "1920x1080", scroll, false, "mutter 1920x1080, scrolling"},
	{"mutter", "1920x1080", still, true, "mutter 1920x1080, dragging"},
	{"gnome", "1280x720", scroll, false, "gnome 1280x720, scrolling"},
	{"gnome", "1280x720", still, true, "gnome 1280x720, dragging"},
	{"gnome", "1920x1080", scroll, false, "gnome 1920x1080, scrolling"},
	{"gnome", "1920x1080", still, true, "gnome 1920x1080, dragging"},
};

struct result {
	double frames, flips, cpu; /* all per second */
};

static uint64_t cpu_ms(const struct vm *vm) {
	pid_t renderers[TEST_CHILDREN_MAX];
	uint64_t sum = process_cpu_ms(&vm->qemu) + process_cpu_ms(&vm->gpu);
	for (unsigned i = 0, n = test_children_of(vm->gpu.pid, renderers); i < n; i++) {
		sum += process_cpu_ms(&(struct process){.pidfd = -1, .pid = renderers[i]});
	}
	return sum;
}

/* HELIX_BENCH_ONLY: those whose names have it in them. */
static bool wanted(const struct load *load) {
	const char *only = getenv("HELIX_BENCH_ONLY");
	return !only || strstr(load->name, only);
}

static void leave_overview(struct desktop *d) {
	desktop_key(d, KEY_ESC);
	run_loop(d->farm->loop, SETTLE_SECONDS * 1000);
}

static void measure(struct farm *f, unsigned number, const struct load *load, struct result *ret) {
	struct desktop d;
	vm_run_ok(f->vm, 60, "printf '#!/bin/sh\\nexec %%s\\n' '%s' >/etc/helix/terminal",
		load->terminal);
	desktop_start(&d, f, number, load->compositor, load->size);
	desktop_watch(&d);
	run_loop_until(f->loop, &d.viewer.frames, 1, FARM_START_SECONDS * 1000, "a frame");
	vm_run_ok(f->vm, FARM_START_SECONDS,
		"until journalctl -b -o cat -u helix-desktop@%s | grep -q 'all is up'; do sleep 1; "
		"done",
		d.name);
	run_loop(f->loop, SETTLE_SECONDS * 1000);
	if (strcmp(load->compositor, "gnome") == 0) {
		leave_overview(&d);
	}
	viewer_get_stats(&d.viewer, f->loop);
	uint64_t flips = d.viewer.stats.flips, cpu = cpu_ms(f->vm), start = now_ns();
	viewer_reset_counts(&d.viewer);
	if (load->drag) {
		desktop_drag(&d, SECONDS);
	} else {
		run_loop(f->loop, SECONDS * 1000);
	}
	uint64_t frames = d.viewer.frames;
	double seconds = (double)(now_ns() - start) / 1e9;
	cpu = cpu_ms(f->vm) - cpu;
	viewer_get_stats(&d.viewer, f->loop);
	check_int(d.viewer.broken, ==, 0);
	*ret = (struct result){
		.frames = (double)frames / seconds,
		.flips = (double)(d.viewer.stats.flips - flips) / seconds,
		.cpu = (double)cpu / 1000 / seconds,
	};
	desktop_save(&d, load->name);
	desktop_end(&d);
	vm_run_ok(f->vm, 120, "systemctl stop helix-desktop@%s", d.name);
}

TEST_TIMEOUT(desktops_with_and_without_3d, 5400) {
	struct result results[2][ARRAY_SIZE(loads)];
	for (unsigned gl = 0; gl < 2; gl++) {
		struct farm f;
		(gl ? farm_start_gl : farm_start)(&f, true);
		for (unsigned i = 0; i < ARRAY_SIZE(loads); i++) {
			if (!wanted(&loads[i])) {
				continue;
			}
			measure(&f, i + 1, &loads[i], &results[gl][i]);
			(void)fprintf(stderr, "# %s, %s: %.2f frames/s\n", loads[i].name,
				gl ? "3D" : "llvmpipe", results[gl][i].frames);
		}
		farm_stop(&f);
	}
	printf("# frames/s at a viewer, refinements included, flips/s of the guest, cores of this\n"
	       "# machine in use; times: of flips\n"
	       "# %-30s %27s %27s\n# %-30s %9s %8s %8s %9s %8s %8s %8s\n",
		"", "guest's llvmpipe", "3D by this machine", "", "frames", "flips", "cores",
		"frames", "flips", "cores", "times");
	for (unsigned i = 0; i < ARRAY_SIZE(loads); i++) {
		const struct result *a = &results[0][i], *b = &results[1][i];
		if (!wanted(&loads[i])) {
			continue;
		}
		printf("# %-30s %9.2f %8.2f %8.2f %9.2f %8.2f %8.2f %8.1f\n", loads[i].name,
			a->frames, a->flips, a->cpu, b->frames, b->flips, b->cpu,
			a->flips > 0 ? b->flips / a->flips : 0);
	}
	(void)fflush(stdout);
}
