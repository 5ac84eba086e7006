/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The whole way: an unmodified QEMU, a Linux guest that flips pages, helix-frame-export as its GPU,
 * and viewers that decode what it sends. Also what happens when any of the three goes away.
 */
#include <math.h>
#include <signal.h>
#include <sys/wait.h>

#include "flipper-draw.h"
#include "test.h"
#include "viewer.h"
#include "vm.h"

static const struct vm_config export_gpu = {.gpu = VM_GPU_EXPORT};
/* Output 0 is always on, with the mode that the exporter was started with. */
static const char *const small_args[] = {"--mode", "640x480", NULL};
static const struct vm_config export_small = {.gpu = VM_GPU_EXPORT, .export_args = small_args};

static const char *monitor_line(const char *list, uint32_t scanout) {
	char name[32];
	(void)snprintf(name, sizeof(name), "Virtual-%u ", scanout + 1);
	return strstr(list, name);
}

static bool is_connected(const char *list, uint32_t scanout) {
	const char *line = monitor_line(list, scanout);
	return line && strncmp(strchr(line, ' '), " connected ", 11) == 0;
}

/* The preferred mode of an output, as "drm-flipper --list" prints it. */
static void check_preferred(
	const char *list, uint32_t scanout, unsigned width, unsigned height, unsigned hz) {
	const char *line = monitor_line(list, scanout), *end = NULL;
	check(line);
	for (line = strchr(line, '\n'); line && strncmp(line, "\n    ", 5) == 0; line = end) {
		unsigned w, h;
		double rate;
		end = strchr(line + 1, '\n');
		const char *preferred = strstr(line, " preferred\n");
		if (!preferred || preferred + strlen(" preferred") != end) {
			continue;
		}
		check_int(sscanf(line, "\n    %ux%u@%lf", &w, &h, &rate), ==, 3);
		if (w != width || h != height || fabs(rate - hz) > 0.2) {
			fail("output %u prefers %ux%u@%.2f, not %ux%u@%u", scanout, w, h, rate,
				width, height, hz);
		}
		return;
	}
	fail("output %u has no preferred mode", scanout);
}

struct asked {
	unsigned width, height, hz;
};

/* By scanout; among them sizes that are no multiple of 8 or 16, and uneven rates. */
static const struct asked asked[16] = {
	[1] = {1920, 1080, 60},
	[2] = {1280, 720, 75},
	[3] = {1366, 768, 60},
	[4] = {2560, 1440, 30},
	[5] = {800, 600, 60},
	[6] = {1024, 768, 120},
	[7] = {640, 480, 24},
	[8] = {1600, 900, 50},
	[9] = {720, 1280, 60},
	[10] = {1440, 900, 60},
	[11] = {1280, 800, 48},
	[12] = {1920, 1200, 60},
	[13] = {1024, 600, 60},
	[14] = {1680, 1050, 60},
	[15] = {1922, 1082, 60},
};

TEST_TIMEOUT(outputs_are_plugged_as_asked, 300) {
	struct vm *vm = vm_create(&export_gpu);
	sd_event *loop;
	struct viewer v;
	char text[64];
	check_ok(sd_event_new(&loop));
	viewer_init(&v, loop, vm, 1);

	const char *list = vm_run_ok(vm, 20, "drm-flipper --list");
	check(monitor_line(list, 15) && is_connected(list, 0));
	for (uint32_t i = 1; i < 16; i++) {
		check(!is_connected(list, i));
	}

	uint32_t job = vm_spawn(vm, "drm-flipper --follow --rate 1");
	vm_job_expect(vm, job, "Virtual-1: ", 20);
	for (uint32_t i = 1; i < 16; i++) {
		const struct asked *a = &asked[i];
		v.scanout = i;
		viewer_enable(&v, loop, a->width, a->height, a->hz);
		(void)snprintf(
			text, sizeof(text), "Virtual-%u: %ux%u@", i + 1, a->width, a->height);
		vm_job_expect(vm, job, text, 20);
	}
	/* One that is on already gets another size. */
	v.scanout = 5;
	viewer_enable(&v, loop, 1152, 864, 60);
	vm_job_expect(vm, job, "Virtual-6: 1152x864@", 20);
	viewer_enable(&v, loop, 800, 600, 60);
	vm_job_signal(vm, job, SIGTERM);
	check_int(vm_job_wait(vm, job, 20), ==, 0);

	list = vm_run_ok(vm, 20, "drm-flipper --list");
	for (uint32_t i = 1; i < 16; i++) {
		check(is_connected(list, i));
		check_preferred(list, i, asked[i].width, asked[i].height, asked[i].hz);
	}
	/* Up to 8K; nothing need be shown on it. */
	v.scanout = 7;
	viewer_enable(&v, loop, 7680, 4320, 60);
	/* The guest may not have asked yet; if it lost the event, it hears of it again soon. */
	vm_run_ok(vm, 30,
		"for i in $(seq 40); do drm-flipper --list | grep -q 7680x4320 && exit 0; "
		"sleep 0.25; done; exit 1");
	check_preferred(vm_run_ok(vm, 20, "drm-flipper --list"), 7, 7680, 4320, 60);
	viewer_enable(&v, loop, 640, 480, 60);

	job = vm_spawn(vm, "drm-flipper --follow --modeset-only");
	vm_job_expect(vm, job, "Virtual-16: ", 20);
	for (uint32_t i = 1; i < 16; i++) {
		v.scanout = i;
		viewer_disable(&v, loop);
		(void)snprintf(text, sizeof(text), "Virtual-%u: unplugged", i + 1);
		vm_job_expect(vm, job, text, 20);
	}
	vm_job_signal(vm, job, SIGTERM);
	(void)vm_job_wait(vm, job, 20);
	list = vm_run_ok(vm, 20, "drm-flipper --list");
	check(is_connected(list, 0));
	for (uint32_t i = 1; i < 16; i++) {
		check(!is_connected(list, i));
	}
	viewer_finish(&v);
	sd_event_unref(loop);
	vm_destroy(vm);
}

static void check_truth(const struct viewer *v, uint64_t frames) {
	check(!v->closed);
	check_int(v->broken, ==, 0);
	check_int(v->counted, >=, frames);
	check_int(v->torn, ==, 0);
	check_int(v->backwards, ==, 0);
}

/*
 * Every frame that arrives shows one moment of the guest. At a rate that the guest keeps easily,
 * and as fast as it can; with two buffers, which are drawn into again as soon as the flip is done.
 */
TEST_TIMEOUT(frames_are_whole_and_in_order, 300) {
	static const char *const args[] = {"--rate 30", "--rate 0", "--rate 0 --buffers 3",
		"--rate 30 --pattern onechar --counter", "--rate 0 --pattern solid --counter"};
	struct vm *vm = vm_create(&export_gpu);
	sd_event *loop;
	struct viewer v[2];
	check_ok(sd_event_new(&loop));
	viewer_init(&v[0], loop, vm, 0);
	viewer_init(&v[1], loop, vm, 3);
	viewer_enable(&v[1], loop, 1024, 768, 60);
	for (size_t i = 0; i < ARRAY_SIZE(args); i++) {
		uint32_t job = vm_spawn(vm, "drm-flipper %s", args[i]);
		vm_job_expect(vm, job, "Virtual-4: 1024x768@", 20);
		run_loop(loop, 500); /* what was there before */
		for (size_t k = 0; k < 2; k++) {
			viewer_reset_counts(&v[k]);
		}
		run_loop(loop, 8000);
		for (size_t k = 0; k < 2; k++) {
			(void)fprintf(stderr,
				"# %s, output %u: %llu frames in 8 s, %llu kB, counter %u, "
				"%llu torn\n",
				args[i], v[k].scanout, (unsigned long long)v[k].frames,
				(unsigned long long)v[k].bytes / 1000, v[k].counter,
				(unsigned long long)v[k].torn);
			check_truth(&v[k], 20);
		}
		vm_job_signal(vm, job, SIGTERM);
		check_int(vm_job_wait(vm, job, 20), ==, 0);
		vm_job_forget(vm, job);
	}
	viewer_finish(&v[0]);
	viewer_finish(&v[1]);
	sd_event_unref(loop);
	vm_destroy(vm);
}

/* The same through the tool that people use. */
TEST_TIMEOUT(stream_tool_agrees, 180) {
	const char *tool = getenv("HELIX_STREAM_TEST");
	if (!tool) {
		skip("HELIX_STREAM_TEST is not set to the program scanout-stream-test");
	}
	struct vm *vm = vm_create(&export_gpu);
	uint32_t job = vm_spawn(vm, "drm-flipper --follow --rate 20");
	vm_job_expect(vm, job, "Virtual-1: ", 20);
	const char *const argv[] = {tool, "--connect", vm->address, "--scanout", "4", "--enable",
		"800x600@60", "--frames", "60", "--seconds", "60", "--check-counter", NULL};
	char *output;
	int status = vm_host_run(vm, 90, &output, argv);
	if (status != 0) {
		fail("scanout-stream-test: %d: %.300s", status, output);
	}
	check(strstr(output, "800x600"));
	free(output);
	vm_destroy(vm);
}

TEST_TIMEOUT(sixteen_outputs_to_sixteen_viewers, 300) {
	struct vm *vm = vm_create(&export_small);
	static struct viewer v[16];
	char text[64];
	sd_event *loop;
	check_ok(sd_event_new(&loop));
	uint32_t job = vm_spawn(vm, "drm-flipper --follow --rate 5");
	for (uint32_t i = 0; i < 16; i++) {
		viewer_init(&v[i], loop, vm, i);
		if (i > 0) {
			viewer_enable(&v[i], loop, 640, 480, 60);
		}
		(void)snprintf(text, sizeof(text), "Virtual-%u: 640x480@", i + 1);
		vm_job_expect(vm, job, text, 20);
	}
	for (uint32_t i = 0; i < 16; i++) {
		viewer_reset_counts(&v[i]);
	}
	run_loop(loop, 10000);
	for (uint32_t i = 0; i < 16; i++) {
		check_truth(&v[i], 20);
		check(v[i].picture.width == 640 && v[i].picture.height == 480);
		viewer_finish(&v[i]);
	}
	sd_event_unref(loop);
	vm_destroy(vm);
}

/*
 * The colour card
 */
#define CARD_WIDTH  1280u
#define CARD_HEIGHT 720u

/* The card as the guest drew it, and its luma by ITU-R BT.709, limited range. */
static void make_card(uint32_t **ret_pixels, uint8_t **ret_luma) {
	uint32_t *pixels = calloc(CARD_WIDTH * CARD_HEIGHT, 4);
	uint8_t *luma = calloc(CARD_WIDTH * CARD_HEIGHT, 1);
	check(pixels && luma);
	struct canvas canvas = {
		pixels, CARD_WIDTH, CARD_HEIGHT, CARD_WIDTH, pixel_layout_from_string("XR24")};
	draw_frame(&canvas, PATTERN_STATIC, false, 0);
	for (size_t i = 0; i < CARD_WIDTH * CARD_HEIGHT; i++) {
		double r = pixels[i] >> 16 & 255, g = pixels[i] >> 8 & 255, b = pixels[i] & 255;
		luma[i] = (uint8_t)(16.5 + (0.2126 * r + 0.7152 * g + 0.0722 * b) * 219 / 255);
	}
	*ret_pixels = pixels;
	*ret_luma = luma;
}

static void check_colours(const struct decoded *p, const uint32_t *pixels) {
	static const unsigned rows[] = {
		3 * CARD_HEIGHT / 16, 9 * CARD_HEIGHT / 16, CARD_HEIGHT / 16};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (unsigned x = 80; x < CARD_WIDTH; x += 160) {
			uint8_t seen[3];
			uint32_t sent = pixels[rows[i] * CARD_WIDTH + x];
			decode_pixel(p, x, rows[i], seen);
			for (int c = 0; c < 3; c++) {
				int off = (int)seen[c] - (int)(sent >> (16 - 8 * c) & 255);
				if (off < -3 || off > 3) {
					fail("(%u, %u) is %u,%u,%u, not %06x", x, rows[i], seen[0],
						seen[1], seen[2], sent & 0xffffff);
				}
			}
		}
	}
}

static void wait_quiet(struct viewer *v, sd_event *loop) {
	uint64_t deadline = now_ns() + 30 * NSEC_PER_SEC, seen;
	do {
		seen = v->frames;
		run_loop(loop, 2000);
		check(now_ns() < deadline);
	} while (v->frames != seen);
}

TEST_TIMEOUT(static_screen_is_exact_and_costs_nothing, 300) {
	struct vm *vm = vm_create(&export_gpu);
	uint32_t *pixels;
	uint8_t *luma;
	sd_event *loop;
	struct viewer v, late;
	make_card(&pixels, &luma);
	check_ok(sd_event_new(&loop));
	viewer_init(&v, loop, vm, 2);
	viewer_enable(&v, loop, CARD_WIDTH, CARD_HEIGHT, 60);
	uint32_t job = vm_spawn(vm, "drm-flipper -c Virtual-3 -p static --modeset-only");
	vm_job_expect(vm, job, "Virtual-3: 1280x720@", 20);
	run_loop_until(loop, &v.frames, 1, 10000, "first frame");
	wait_quiet(&v, loop);

	double psnr = decode_psnr(
		v.picture.y, v.picture.y_stride, luma, CARD_WIDTH, CARD_WIDTH, CARD_HEIGHT);
	(void)fprintf(stderr, "# refined: %llu frames, %llu bytes, luma PSNR %.1f dB\n",
		(unsigned long long)v.frames, (unsigned long long)v.bytes, psnr);
	check(psnr >= 45);
	check_colours(&v.picture, pixels);

	viewer_reset_counts(&v);
	uint64_t cpu = process_cpu_ms(&vm->gpu);
	run_loop(loop, 10000);
	cpu = process_cpu_ms(&vm->gpu) - cpu;
	(void)fprintf(stderr, "# static for 10 s: %llu bytes, %llu ms of CPU\n",
		(unsigned long long)v.bytes, (unsigned long long)cpu);
	check_int(v.bytes, ==, 0);
	check_int(cpu, <=, 20);

	/* Somebody who comes now sees it at once. The best of five: others use this machine too. */
	uint64_t best = UINT64_MAX;
	for (int i = 0; i < 5; i++) {
		uint64_t begin = now_ns();
		viewer_init(&late, loop, vm, 2);
		run_loop_until(loop, &late.frames, 1, 5000, "frame for a late viewer");
		best = MIN(best, late.first_ns - begin);
		check_int(late.broken, ==, 0);
		check_int(late.keys, >=, 1);
		check_colours(&late.picture, pixels);
		viewer_finish(&late);
	}
	(void)fprintf(stderr, "# a late viewer waits %.1f ms\n", (double)best / 1e6);
	check_int(best, <=, 200 * NSEC_PER_MSEC);
	wait_quiet(&v, loop);

	/* Flips that change nothing. */
	vm_job_signal(vm, job, SIGTERM);
	(void)vm_job_wait(vm, job, 20);
	job = vm_spawn(vm, "drm-flipper -c Virtual-3 -p static --rate 30");
	vm_job_expect(vm, job, "Virtual-3: 1280x720@", 20);
	wait_quiet(&v, loop);
	viewer_reset_counts(&v);
	viewer_get_stats(&v, loop);
	uint64_t flips = v.stats.flips;
	cpu = process_cpu_ms(&vm->gpu);
	run_loop(loop, 10000);
	cpu = process_cpu_ms(&vm->gpu) - cpu;
	viewer_get_stats(&v, loop);
	(void)fprintf(stderr, "# %llu flips without a change: %llu bytes, %llu ms of CPU\n",
		(unsigned long long)(v.stats.flips - flips), (unsigned long long)v.bytes,
		(unsigned long long)cpu);
	check_int(v.stats.flips - flips, >=, 100);
	check_int(v.bytes, ==, 0);
	viewer_finish(&v);
	sd_event_unref(loop);
	free(pixels);
	free(luma);
	vm_destroy(vm);
}

TEST_TIMEOUT(nothing_is_done_without_viewers, 180) {
	struct vm *vm = vm_create(&export_gpu);
	sd_event *loop;
	struct viewer v;
	check_ok(sd_event_new(&loop));
	vm_run_ok(vm, 30, "drm-flipper --rate 0 --seconds 5");
	viewer_init(&v, loop, vm, 15); /* watches another output */
	v.scanout = 0;
	viewer_get_stats(&v, loop);
	(void)fprintf(stderr, "# %llu flips without a viewer\n", (unsigned long long)v.stats.flips);
	check_int(v.stats.flips, >=, 50);
	check_int(v.stats.captured, ==, 0);
	check_int(v.stats.encoded, ==, 0);
	check_int(v.stats.convert_ns, ==, 0);
	viewer_finish(&v);
	sd_event_unref(loop);
	vm_destroy(vm);
}

/*
 * Going away and coming back
 */
struct watched {
	sd_event *loop;
	struct viewer v[3]; /* of outputs 0, 1, 2 */
};

static void watch(struct watched *w, struct vm *vm) {
	check_ok(sd_event_new(&w->loop));
	for (uint32_t i = 0; i < 3; i++) {
		viewer_init(&w->v[i], w->loop, vm, i);
	}
}

static void unwatch(struct watched *w) {
	for (uint32_t i = 0; i < 3; i++) {
		viewer_finish(&w->v[i]);
	}
	sd_event_unref(w->loop);
}

/* Plugs 1 and 2 in, and sees frames of all three. */
static void see_all(struct watched *w, struct vm *vm) {
	uint32_t job = vm_spawn(vm, "drm-flipper --follow --rate 10");
	vm_job_expect(vm, job, "Virtual-1: ", 20);
	viewer_enable(&w->v[1], w->loop, 1024, 768, 60);
	viewer_enable(&w->v[2], w->loop, 800, 600, 60);
	vm_job_expect(vm, job, "Virtual-2: 1024x768@", 20);
	vm_job_expect(vm, job, "Virtual-3: 800x600@", 20);
	for (uint32_t i = 0; i < 3; i++) {
		viewer_reset_counts(&w->v[i]);
	}
	for (uint32_t i = 0; i < 3; i++) {
		run_loop_until(w->loop, &w->v[i].counted, 10, 20000, "frames of all outputs");
		check_int(w->v[i].broken, ==, 0);
		check_int(w->v[i].torn, ==, 0);
	}
}

/* Output 0 alone is left, and the viewers are all still there. */
static void check_fresh(struct watched *w, struct vm *vm) {
	const char *list = vm_run_ok(vm, 20, "drm-flipper --list");
	check(is_connected(list, 0));
	for (uint32_t i = 1; i < 16; i++) {
		if (is_connected(list, i)) {
			fail("output %u is still plugged in", i);
		}
	}
	run_loop(w->loop, 200);
	for (uint32_t i = 0; i < 3; i++) {
		check(!w->v[i].closed);
	}
}

TEST_TIMEOUT(guest_reboot_keeps_viewers, 300) {
	struct vm *vm = vm_create(&export_gpu);
	struct watched w;
	watch(&w, vm);
	for (int round = 0; round < 2; round++) {
		see_all(&w, vm);
		vm_reboot(vm);
		check_fresh(&w, vm);
	}
	see_all(&w, vm);
	unwatch(&w);
	vm_destroy(vm);
}

TEST_TIMEOUT(qemu_restart_keeps_viewers, 300) {
	struct vm *vm = vm_create(&export_gpu);
	struct watched w;
	watch(&w, vm);
	see_all(&w, vm);
	vm_kill_qemu(vm);
	run_loop(w.loop, 1000);
	check(process_alive(&vm->gpu));
	vm_start_qemu(vm);
	vm_wait_boot(vm, VM_BOOT_TIMEOUT);
	check_fresh(&w, vm);
	see_all(&w, vm);
	unwatch(&w);
	vm_destroy(vm);
}

TEST_TIMEOUT(guest_survives_the_exporter, 180) {
	struct vm *vm = vm_create(&export_gpu);
	struct watched w;
	watch(&w, vm);
	see_all(&w, vm);
	process_kill(&vm->gpu, SIGKILL);
	run_loop(w.loop, 500);
	for (uint32_t i = 0; i < 3; i++) {
		check(w.v[i].closed);
	}
	check(process_alive(&vm->qemu));
	/* Work that has nothing to do with the GPU goes on. */
	for (int i = 0; i < 5; i++) {
		vm_run_ok(vm, 20, "dd if=/dev/urandom bs=1024 count=1000 2>/dev/null | sha256sum");
		check_int(strlen(vm_output(vm)), >, 64);
	}
	check(process_alive(&vm->qemu));
	unwatch(&w);
	vm_destroy(vm);
}

/* SIGTERM ends it properly, in the middle of everything. */
TEST_TIMEOUT(exporter_ends_cleanly, 180) {
	struct vm *vm = vm_create(&export_gpu);
	struct watched w;
	watch(&w, vm);
	see_all(&w, vm);
	check(kill(vm->gpu.pid, SIGTERM) == 0);
	check_int(process_wait(&vm->gpu, 5000), ==, 0);
	unwatch(&w);
	vm_destroy(vm);
}
