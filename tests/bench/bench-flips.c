/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Flips per second of a guest, free running on one output of 1920 by 1080, with different devices
 * behind it. Prints a table; as a test it only fails if something does not work. The figures of
 * one machine compare with each other, not with those of another.
 *
 *   BENCH_SECONDS   of each run, default 5
 */
#include <stdio.h>

#include "display.h"
#include "test.h"
#include "viewer.h"
#include "vm.h"

static const char *const patterns[] = {"static", "onechar", "bars"};
#define N_PATTERNS ARRAY_SIZE(patterns)

#define DEVICE_MODE ",xres=1920,yres=1080"

static const char *const export_args[] = {"--mode", "1920x1080", "--fps-cap", "0", NULL};
static const char *const capped_args[] = {"--mode", "1920x1080", "--fps-cap", "60", NULL};

static unsigned run_seconds(void) {
	const char *value = getenv("BENCH_SECONDS");
	unsigned seconds = value ? (unsigned)strtoul(value, NULL, 10) : 0;
	return seconds ? seconds : 5;
}

static void print_head(void) {
	static bool done;
	if (done) {
		return;
	}
	done = true;
	printf("# drm-flipper --mode 1920x1080 --rate 0 --seconds %u --pattern ...: flips/s, and in "
	       "brackets CPU ms a second of the device's process\n",
		run_seconds());
	printf("# %-34s", "");
	for (size_t i = 0; i < N_PATTERNS; i++) {
		printf(" %19s", patterns[i]);
	}
	printf("\n");
}

static double flips_per_second(const char *output) {
	const char *s = strstr(output, " s, ");
	double rate = 0;
	check(s && sscanf(s, " s, %lf flips/s", &rate) == 1);
	return rate;
}

/* The device's process: QEMU's own, if the device is in it. */
static const struct process *device(const struct vm *vm) {
	return vm->config.gpu == VM_GPU_QEMU ? &vm->qemu : &vm->gpu;
}

/* Runs every pattern; with a loop, that goes on meanwhile, and `v` counts what arrives. */
static void bench(struct vm *vm, const char *title, sd_event *loop, struct viewer *v) {
	double frames[N_PATTERNS] = {0}, bytes[N_PATTERNS] = {0};
	uint64_t keys[N_PATTERNS] = {0};
	print_head();
	printf("# %-34s", title);
	for (size_t i = 0; i < N_PATTERNS; i++) {
		unsigned seconds = run_seconds();
		uint64_t cpu = process_cpu_ms(device(vm));
		if (v) {
			viewer_reset_counts(v);
		}
		uint32_t job =
			vm_spawn(vm, "drm-flipper -c Virtual-1 -m 1920x1080 -r 0 -s %u -p %s",
				seconds, patterns[i]);
		if (loop) {
			run_loop(loop, seconds * 1000);
			frames[i] = (double)v->frames / seconds;
			keys[i] = v->keys;
			bytes[i] = (double)v->bytes / (double)MAX(v->frames, 1u);
		}
		check_int(vm_job_wait(vm, job, seconds + 30), ==, 0);
		cpu = process_cpu_ms(device(vm)) - cpu;
		printf("  %11.0f (%4.0f)", flips_per_second(vm_job_output(vm, job)),
			(double)cpu / seconds);
		(void)fflush(stdout);
		vm_job_forget(vm, job);
	}
	printf("\n");
	if (v) {
		printf("# %-34s", "  received/s, bytes each, IDRs");
		for (size_t i = 0; i < N_PATTERNS; i++) {
			printf(" %7.0f %8.0f %2llu", frames[i], bytes[i],
				(unsigned long long)keys[i]);
		}
		printf("\n");
	}
}

TEST_TIMEOUT(qemu_virtio_gpu, 600) {
	struct vm_config config = {.gpu = VM_GPU_QEMU, .device_args = DEVICE_MODE};
	struct vm *vm = vm_create(&config);
	bench(vm, "QEMU virtio-gpu-pci, no listener", NULL, NULL);
	struct display *d = display_open(vm);
	display_listen(d, 0);
	bench(vm, "the same, D-Bus listener discards", NULL, NULL);
	check(display_updates(d) > 0);
	display_close(d);
	vm_destroy(vm);
}

TEST_TIMEOUT(contrib_vhost_user_gpu, 600) {
	struct vm_config config = {.gpu = VM_GPU_CONTRIB, .device_args = DEVICE_MODE};
	struct vm *vm = vm_create(&config);
	bench(vm, "QEMU contrib vhost-user-gpu", NULL, NULL);
	vm_destroy(vm);
}

static void bench_export(const char *const args[], const char *title, bool watched) {
	struct vm_config config = {.gpu = VM_GPU_EXPORT, .export_args = args};
	struct vm *vm = vm_create(&config);
	sd_event *loop;
	struct viewer v;
	check_ok(sd_event_new(&loop));
	viewer_init(&v, loop, vm, watched ? 0 : 1);
	v.blind = true;
	bench(vm, title, watched ? loop : NULL, watched ? &v : NULL);
	viewer_finish(&v);
	sd_event_unref(loop);
	vm_destroy(vm);
}

TEST_TIMEOUT(export_without_viewer, 600) {
	bench_export(export_args, "helix-frame-export, no viewer", false);
}

TEST_TIMEOUT(export_with_viewer, 600) {
	bench_export(export_args, "helix-frame-export, viewer, no cap", true);
}

TEST_TIMEOUT(export_with_viewer_capped, 600) {
	bench_export(capped_args, "helix-frame-export, viewer, cap 60", true);
}
