/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the daemon spends on a frame, at 1920 by 1080, with a fake front end in place of a VM: CPU
 * time of each stage and bytes on the wire. A line for what a desktop does, with damage known to
 * the encoder and, for comparison, with plain x264 (--no-damage).
 *
 * device   the device thread: virtqueues, virtio-gpu
 * convert  RGB to NV12 and finding out what changed
 * encode   x264
 * send     the main thread: server and sockets
 *
 * A frame is drawn when the one before has arrived, so nothing is skipped. Stages of the encoder
 * threads are the daemon's own counters (CPU time of the thread); the others are the kernel's.
 */
#include <stdlib.h>

#include "capture/content.h"
#include "exporter.h"
#include "parse.h"
#include "test.h"
#include "util.h"
#include "viewer.h"

#define WIDTH  1920u
#define HEIGHT 1080u
#define XRGB   VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM
#define OK     VIRTIO_GPU_RESP_OK_NODATA

#define MAIN_THREAD   "helix-frame-exp" /* the kernel keeps 15 characters */
#define DEVICE_THREAD "device"

static unsigned n_frames(void) {
	uint32_t n = 200;
	(void)parse_u32(getenv("HELIX_BENCH_FRAMES"), 1, 1000000, &n);
	return n;
}

/* What is drawn, in memory of its own: a guest's buffers only get copies. */
struct desktop {
	struct canvas shown, base;
};

static struct canvas canvas_create(void) {
	struct canvas c = {calloc(4, WIDTH * HEIGHT), WIDTH, HEIGHT, 4 * WIDTH, PIXEL_ORDER_BGRA};
	check(c.pixels);
	return c;
}

static const struct rect everything = {0, 0, WIDTH, HEIGHT};

static void step_static(struct desktop *d, unsigned n) {
	(void)d;
	(void)n;
}

static void step_cursor(struct desktop *d, unsigned n) {
	canvas_fill(&d->shown, (struct rect){600, 416, 8, 16}, n % 2 ? 0xe0e0e0 : 0x202020);
}

static void step_typing(struct desktop *d, unsigned n) {
	char text[2] = {(char)('a' + n * 7 % 26), 0};
	canvas_text(
		&d->shown, 400 + n % 100 * 8, 300 + n / 100 % 20 * 16, text, 0xffffff, 0x202020);
}

static void step_scroll(struct desktop *d, unsigned n) {
	const struct rect terminal = {300, 140, 960, 800};
	char line[121];
	canvas_scroll(&d->shown, terminal, 16);
	content_line(n, line, sizeof(line));
	canvas_fill(&d->shown, (struct rect){300, 140 + 784, 960, 16}, 0x101010);
	canvas_text(&d->shown, 300, 140 + 784, line, 0xd0d0d0, 0x101010);
}

static void step_drag(struct desktop *d, unsigned n) {
	canvas_copy(&d->shown, &d->base, everything);
	const struct rect window = {100 + n * 7 % 1100, 80 + n * 3 % 500, 640, 480};
	content_window(&d->shown, window, "A window", 4);
}

static void step_desktop(struct desktop *d, unsigned n) {
	content_desktop(&d->shown, 100 + n);
}

static void step_photo(struct desktop *d, unsigned n) {
	canvas_photo(&d->shown, everything, n);
}

static const struct scenario {
	const char *name;
	void (*step)(struct desktop *d, unsigned n);
	unsigned divisor; /* of the number of frames: the slow ones get fewer */
} scenarios[] = {
	{"static flip", step_static, 1},
	{"blinking cursor", step_cursor, 1},
	{"typing", step_typing, 1},
	{"terminal scroll 960x800", step_scroll, 2},
	{"window drag 640x480", step_drag, 2},
	{"full change, desktop", step_desktop, 4},
	{"full change, photo", step_photo, 8},
};

struct rig {
	struct exporter e;
	struct frontend *fe;
	sd_event *loop;
	unsigned n_screens;
	struct fake_screen *screens[16];
	struct viewer viewers[16];
	struct desktop desktop;
};

static void rig_start(struct rig *g, unsigned n_screens, const char *extra) {
	const char *args[] = {"--fps-cap", "0", extra, NULL};
	struct frontend_options options = {
		.ram_size = UINT64_C(640) << 20, .queue_size = {256, 16}};
	*g = (struct rig){.n_screens = n_screens};
	exporter_start(&g->e, args);
	g->fe = exporter_start_guest(&g->e, &options);
	check_ok(sd_event_new(&g->loop));
	for (uint32_t i = 0; i < n_screens; i++) {
		check_ok(fake_screen_create(
			g->fe, i, WIDTH, HEIGHT, XRGB, 2, GUEST_SCATTERED, &g->screens[i]));
		viewer_open_counting(&g->viewers[i], &g->e, g->loop, i);
	}
	g->desktop = (struct desktop){canvas_create(), canvas_create()};
	content_desktop(&g->desktop.base, 1);
}

static void rig_stop(struct rig *g) {
	for (unsigned i = 0; i < g->n_screens; i++) {
		fake_screen_destroy(g->screens[i]);
		viewer_close(&g->viewers[i]);
	}
	free(g->desktop.shown.pixels);
	free(g->desktop.base.pixels);
	sd_event_unref(g->loop);
	frontend_destroy(g->fe);
	exporter_stop(&g->e);
}

/* One frame on all screens; with `wait`, until everybody has it. */
static void flip_all(struct rig *g, bool wait) {
	uint64_t flipped[16];
	for (unsigned i = 0; i < g->n_screens; i++) {
		memcpy(fake_screen_back(g->screens[i]), g->desktop.shown.pixels,
			(size_t)4 * WIDTH * HEIGHT);
		flipped[i] = now_ns();
		check_ok(fake_screen_submit(g->screens[i], NULL));
	}
	for (unsigned i = 0; i < g->n_screens; i++) {
		check_int(fake_screen_finish(g->screens[i], NULL), ==, OK);
	}
	uint64_t deadline = now_ns() + 20 * NSEC_PER_SEC;
	for (unsigned i = 0; wait && i < g->n_screens; i++) {
		while (g->viewers[i].flip.flip_ns < flipped[i]) {
			check(now_ns() < deadline);
			check_ok(sd_event_run(g->loop, 100000));
		}
	}
}

struct costs {
	uint64_t device, send, convert, encode, bytes, frames;
};

static struct costs read_costs(struct rig *g) {
	struct costs c = {
		.device = exporter_thread_ns(&g->e, DEVICE_THREAD),
		.send = exporter_thread_ns(&g->e, MAIN_THREAD),
	};
	for (uint32_t i = 0; i < g->n_screens; i++) {
		struct hxfr_stats s;
		viewer_get_stats(&g->viewers[i], i, &s);
		c.convert += s.convert_ns;
		c.encode += s.encode_ns;
		c.bytes += s.encoded_bytes;
		c.frames += s.encoded;
	}
	return c;
}

static void print_head(const char *what) {
	printf("# %s\n# %-26s %8s %8s %8s %8s %8s | %9s %7s\n", what, "CPU us per flip", "device",
		"convert", "encode", "send", "total", "bytes", "frames");
}

static void run_scenario(struct rig *g, const struct scenario *s) {
	unsigned n = MAX(n_frames() / s->divisor / MAX(g->n_screens / 4, 1u), 5u);
	bool moves = s->step != step_static;
	canvas_copy(&g->desktop.shown, &g->desktop.base, everything);
	flip_all(g, false);
	flip_all(g, false);
	/* The refinement of what is shown first is not what is measured. */
	for (unsigned i = 0; i < g->n_screens; i++) {
		viewer_run_quiet(&g->viewers[i], 500, 120000);
	}
	struct costs a = read_costs(g);
	for (unsigned i = 1; i <= n; i++) {
		s->step(&g->desktop, i);
		flip_all(g, moves);
		if (!moves) {
			loop_run_ms(g->loop, 5);
		}
	}
	struct costs b = read_costs(g);
	double flips = (double)n * g->n_screens, us = 1e3 * flips;
	double device = (double)(b.device - a.device) / us, send = (double)(b.send - a.send) / us,
	       convert = (double)(b.convert - a.convert) / us,
	       encode = (double)(b.encode - a.encode) / us;
	printf("# %-26s %8.0f %8.0f %8.0f %8.0f %8.0f | %9.0f %7" PRIu64 "\n", s->name, device,
		convert, encode, send, device + convert + encode + send,
		(double)(b.bytes - a.bytes) / flips, b.frames - a.frames);
	(void)fflush(stdout);
}

static void run_all(unsigned n_screens, const char *extra, const char *title) {
	struct rig g;
	rig_start(&g, n_screens, extra);
	print_head(title);
	for (size_t i = 0; i < ARRAY_SIZE(scenarios); i++) {
		/* Sixteen photographs at once tell nothing that one does not. */
		if (n_screens == 1 || scenarios[i].divisor <= 2) {
			run_scenario(&g, &scenarios[i]);
		}
	}
	rig_stop(&g);
}

TEST_TIMEOUT(one_output, 600) {
	run_all(1, NULL, "one output, 1920x1080");
}

TEST_TIMEOUT(one_output_without_damage, 600) {
	run_all(1, "--no-damage", "one output, 1920x1080, plain x264 (--no-damage)");
}

TEST_TIMEOUT(sixteen_outputs, 900) {
	run_all(16, NULL, "16 outputs at once, 1920x1080 each; per flip of one output");
}
