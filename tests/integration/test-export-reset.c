/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guests that reboot, front ends that die, viewers that come and go: for ever, at no cost. */
#include <stdlib.h>

#include "capture/content.h"
#include "exporter.h"
#include "test.h"
#include "util.h"
#include "viewer.h"

#define XRGB VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM
#define OK   VIRTIO_GPU_RESP_OK_NODATA

/* What allocators keep for later is not a leak; this much over thousands of rounds is. */
#define RSS_SLACK (size_t)(6 << 20)

struct rig {
	struct exporter e;
	struct frontend *fe;
	sd_event *loop;
	struct viewer v; /* of scanout 1 */
};

/* No QEMU is there to be told of outputs; what is asked for is remembered all the same. */
static const char *const hotplug_args[] = {"--qmp", "/nonexistent/qmp", NULL};

static void rig_start(struct rig *g) {
	exporter_start(&g->e, hotplug_args);
	g->fe = exporter_start_guest(&g->e, NULL);
	check_ok(sd_event_new(&g->loop));
	viewer_open(&g->v, &g->e, g->loop, 1);
}

static void rig_stop(struct rig *g) {
	viewer_close(&g->v);
	sd_event_unref(g->loop);
	frontend_destroy(g->fe);
	exporter_stop(&g->e);
}

/* Shows a picture with this counter on scanout 1, as a guest that has just come up. */
static void show(struct rig *g, uint32_t n) {
	struct fake_screen *s;
	check_ok(fake_screen_create(g->fe, 1, 640, 480, XRGB, 1, GUEST_CONTIGUOUS, &s));
	struct canvas c = {fake_screen_back(s), 640, 480, 4 * 640, PIXEL_ORDER_BGRA};
	canvas_counters(&c, n);
	check_int(fake_screen_flip(s, NULL, NULL), ==, OK);
	check(viewer_run_counter(&g->v, n, 3000));
	/* It stays shown: what tells of the end is the reset. */
	for (unsigned i = 0; i < s->n_buffers; i++) {
		guest_buffer_destroy(s->buffers[i]);
		s->buffers[i] = NULL;
		s->ids[i] = 0;
	}
	s->front = s->n_buffers;
	fake_screen_destroy(s);
}

static void check_outputs(struct rig *g, unsigned wanted) {
	struct virtio_gpu_resp_display_info info;
	check_int(gpu_get_display_info(g->fe, &info), ==, VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
	for (unsigned i = 0; i < 16; i++) {
		check_int(info.pmodes[i].enabled, ==, wanted >> i & 1);
	}
}

static bool state_is(struct rig *g, uint32_t scanout, uint32_t generation, bool enabled) {
	const struct hxfr_scanout_state *s = &g->v.states[scanout];
	return s->generation == generation && !!(s->flags & HXFR_STATE_ENABLED) == enabled;
}

static void run_until_state(struct rig *g, uint32_t scanout, uint32_t generation, bool enabled) {
	for (int i = 0; i < 300 && !state_is(g, scanout, generation, enabled); i++) {
		loop_run_ms(g->loop, 10);
	}
	const struct hxfr_scanout_state *s = &g->v.states[scanout];
	check_int(s->generation, ==, generation);
	check_int(!!(s->flags & HXFR_STATE_ENABLED), ==, enabled);
}

TEST(enabled_outputs_are_what_the_guest_is_told) {
	struct rig g;
	rig_start(&g);
	check_outputs(&g, 1);
	viewer_enable(&g.v, 1, 1600, 900);
	viewer_enable(&g.v, 15, 800, 600);
	check_outputs(&g, 0x8003);
	struct virtio_gpu_resp_display_info info;
	check_int(gpu_get_display_info(g.fe, &info), ==, VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
	check_int(info.pmodes[1].r.width, ==, 1600);
	check_int(info.pmodes[1].r.height, ==, 900);
	viewer_enable(&g.v, 1, 1024, 768);
	viewer_disable(&g.v, 15);
	check_outputs(&g, 0x3);
	check_int(gpu_get_display_info(g.fe, &info), ==, VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
	check_int(info.pmodes[1].r.width, ==, 1024);
	rig_stop(&g);
}

TEST(reset_keeps_viewers_and_turns_outputs_off) {
	struct rig g;
	rig_start(&g);
	g.v.reads_counters = true;
	viewer_enable(&g.v, 1, 640, 480);
	show(&g, 1);
	run_until_state(&g, 1, g.v.states[1].generation, true);
	uint32_t generation = g.v.states[1].generation;
	for (uint32_t i = 2; i < 7; i++) {
		check_ok(frontend_reset(g.fe));
		run_until_state(&g, 1, ++generation, false);
		check_ok(frontend_start(g.fe));
		check_outputs(&g, 1);
		viewer_enable(&g.v, 1, 640, 480);
		check_outputs(&g, 3);
		uint64_t keyframes = g.v.keyframes;
		show(&g, i);
		/* The chain starts anew; the viewer need not have done anything. */
		check_int(g.v.keyframes, >, keyframes);
		check(!g.v.closed);
	}
	rig_stop(&g);
}

static void run_until_width(struct rig *g, uint32_t scanout, uint32_t width) {
	for (int i = 0; i < 300 && g->v.states[scanout].width != width; i++) {
		loop_run_ms(g->loop, 10);
	}
	check_int(g->v.states[scanout].width, ==, width);
}

/* What was on an output is not for whoever has it next, though the guest leaves it there. */
TEST(unplugged_output_shows_nothing) {
	struct rig g;
	struct fake_screen *s;
	rig_start(&g);
	viewer_enable(&g.v, 1, 640, 480);
	check_ok(fake_screen_create(g.fe, 1, 640, 480, XRGB, 2, GUEST_CONTIGUOUS, &s));
	check_int(fake_screen_flip(s, NULL, NULL), ==, OK);
	run_until_width(&g, 1, 640);
	viewer_disable(&g.v, 1);
	run_until_width(&g, 1, 0);
	viewer_enable(&g.v, 1, 640, 480);
	loop_run_ms(g.loop, 100);
	run_until_width(&g, 1, 0);
	check_int(fake_screen_flip(s, NULL, NULL), ==, OK);
	run_until_width(&g, 1, 640);
	fake_screen_destroy(s);
	rig_stop(&g);
}

TEST(a_pause_is_no_reset) {
	struct rig g;
	rig_start(&g);
	g.v.reads_counters = true;
	viewer_enable(&g.v, 1, 640, 480);
	show(&g, 1);
	loop_run_ms(g.loop, 50);
	uint32_t generation = g.v.states[1].generation;
	for (int i = 0; i < 5; i++) {
		check_ok(frontend_stop(g.fe));
		check_ok(frontend_resume(g.fe));
	}
	loop_run_ms(g.loop, 200);
	check_outputs(&g, 3);
	check(state_is(&g, 1, generation, true));
	rig_stop(&g);
}

TEST(a_driver_that_starts_is_no_reset) {
	/* QEMU resets the device at power-on and when the driver comes: nobody used it yet. */
	struct rig g;
	exporter_start(&g.e, hotplug_args);
	check_ok(sd_event_new(&g.loop));
	viewer_open(&g.v, &g.e, g.loop, 1);
	viewer_enable(&g.v, 1, 640, 480);
	loop_run_ms(g.loop, 50);
	uint32_t generation = g.v.states[1].generation;
	g.fe = exporter_start_guest(&g.e, NULL);
	loop_run_ms(g.loop, 100);
	check(state_is(&g, 1, generation, true));
	check_outputs(&g, 3);
	rig_stop(&g);
}

TEST(a_front_end_dies_and_the_next_goes_on_with_the_viewers) {
	struct rig g;
	rig_start(&g);
	g.v.reads_counters = true;
	viewer_enable(&g.v, 1, 640, 480);
	show(&g, 1);
	loop_run_ms(g.loop, 50);
	uint32_t generation = g.v.states[1].generation;
	for (uint32_t i = 2; i < 7; i++) {
		frontend_destroy(g.fe);
		run_until_state(&g, 1, ++generation, false);
		g.fe = exporter_start_guest(&g.e, NULL);
		check_outputs(&g, 1);
		show(&g, i);
		check(!g.v.closed);
	}
	rig_stop(&g);
}

/* Memory and fds after a warm-up must be memory and fds at the end. */
struct footprint {
	size_t rss;
	unsigned fds;
};

static struct footprint measure(struct rig *g) {
	struct footprint f = {0};
	/* The last viewers' threads and buffers go a moment after they do. */
	loop_run_ms(g->loop, 300);
	f.rss = exporter_rss(&g->e);
	f.fds = exporter_fds(&g->e);
	return f;
}

static void check_flat(struct rig *g, const struct footprint *before) {
	struct footprint now = measure(g);
	fprintf(stderr, "# RSS %zu to %zu KiB, fds %u to %u\n", before->rss >> 10, now.rss >> 10,
		before->fds, now.fds);
	check_int(now.fds, ==, before->fds);
#ifndef __SANITIZE_ADDRESS__
	check_int(now.rss, <, before->rss + RSS_SLACK);
#endif
}

/* Says what the server thinks of a viewer that got nothing. */
static _Noreturn void fail_without_frame(struct rig *g, struct viewer *v, unsigned cycle) {
	struct hxfr_stats a, b;
	viewer_get_stats(v, 1, &a);
	loop_run_ms(g->loop, 3000);
	viewer_get_stats(v, 1, &b);
	fail("cycle %u: no frame in 3 s, %" PRIu64 " in 3 s more; %u watch, %u are ready; %" PRIu64
	     " and %" PRIu64 " units were made, %" PRIu64 " and %" PRIu64 " keyframes",
		cycle, v->frames, b.watching, b.ready, a.encoded, b.encoded, a.keyframes,
		b.keyframes);
}

/* Every `wait`-th stays until it has a picture: IDRs are rationed while others look, too. */
static void subscribe_cycles(struct rig *g, unsigned n, unsigned wait) {
	for (unsigned i = 0; i < n; i++) {
		struct viewer v;
		viewer_open_counting(&v, &g->e, g->loop, 1);
		if (i % wait == 0) {
			if (!loop_run_until(g->loop, &v.frames, 1, 3000)) {
				fail_without_frame(g, &v, i);
			}
		}
		viewer_close(&v);
	}
}

TEST_TIMEOUT(a_thousand_viewers_come_and_go, 300) {
	struct rig g;
	rig_start(&g);
	g.v.reads_counters = true;
	show(&g, 1);
	subscribe_cycles(&g, 100, 10);
	struct footprint before = measure(&g);
	subscribe_cycles(&g, 1000, 20);
	check_flat(&g, &before);
	/* The same with nobody else there: encoder and picture come and go with each. */
	viewer_close(&g.v);
	subscribe_cycles(&g, 50, 2);
	before = measure(&g);
	subscribe_cycles(&g, 200, 2);
	check_flat(&g, &before);
	viewer_open(&g.v, &g.e, g.loop, 1);
	rig_stop(&g);
}

static void change_sizes(struct rig *g, unsigned n) {
	for (unsigned i = 0; i < n; i++) {
		uint32_t width = 320 + i * 37 % 1000, height = 240 + i * 91 % 700;
		struct fake_screen *s;
		check_ok(fake_screen_create(g->fe, 1, width, height, XRGB, 2,
			i % 3 ? GUEST_SCATTERED : GUEST_CONTIGUOUS, &s));
		check_int(fake_screen_flip(s, NULL, NULL), ==, OK);
		check_int(fake_screen_flip(s, NULL, NULL), ==, OK);
		/* A last frame of the size before may still come. */
		uint64_t deadline = now_ns() + 3 * NSEC_PER_SEC;
		while (g->v.picture.width != ALIGN_UP(width, 2u)) {
			check(now_ns() < deadline);
			loop_run_ms(g->loop, 2);
		}
		fake_screen_destroy(s);
	}
}

TEST_TIMEOUT(two_hundred_size_changes, 300) {
	struct rig g;
	rig_start(&g);
	change_sizes(&g, 30);
	struct footprint before = measure(&g);
	change_sizes(&g, 200);
	check_flat(&g, &before);
	rig_stop(&g);
}

static void reset_guests(struct rig *g, unsigned n) {
	for (unsigned i = 0; i < n; i++) {
		check_ok(frontend_reset(g->fe));
		check_ok(frontend_start(g->fe));
		show(g, g->v.counter + 1);
	}
}

TEST_TIMEOUT(fifty_guest_resets, 300) {
	struct rig g;
	rig_start(&g);
	g.v.reads_counters = true;
	reset_guests(&g, 5);
	struct footprint before = measure(&g);
	reset_guests(&g, 50);
	check_flat(&g, &before);
	/* And as many front ends. */
	for (unsigned i = 0; i < 50; i++) {
		frontend_destroy(g.fe);
		g.fe = exporter_start_guest(&g.e, NULL);
		show(&g, g.v.counter + 1);
	}
	check_flat(&g, &before);
	rig_stop(&g);
}
