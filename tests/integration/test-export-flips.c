/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From the guest's flips to frames: in order, whole, and no more of them than there is to show. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "capture/content.h"
#include "exporter.h"
#include "test.h"
#include "util.h"
#include "viewer.h"

#define XRGB VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM
#define OK   VIRTIO_GPU_RESP_OK_NODATA

#define RUN_MS 4000u

struct rig {
	struct exporter e;
	struct frontend *fe;
	sd_event *loop;
	struct viewer v;
};

static void rig_start(struct rig *g, const char *const *args) {
	exporter_start(&g->e, args);
	g->fe = exporter_start_guest(&g->e, NULL);
	check_ok(sd_event_new(&g->loop));
	viewer_open(&g->v, &g->e, g->loop, 0);
}

static void rig_stop(struct rig *g) {
	viewer_close(&g->v);
	sd_event_unref(g->loop);
	frontend_destroy(g->fe);
	exporter_stop(&g->e);
}

static struct canvas canvas_of(struct fake_screen *s, uint8_t *pixels) {
	return (struct canvas){pixels, s->width, s->height, 4 * s->width, PIXEL_ORDER_BGRA};
}

/* A guest that draws and flips on a thread of its own. */
struct guest {
	struct fake_screen *screen;
	atomic_bool stop;
	unsigned pause_ms; /* between flips; 0: as fast as it goes */
	unsigned frames;   /* drawn */
	unsigned bad;      /* flips with another answer than OK */
	uint64_t max_ns;   /* longest wait for an answer */
	pthread_t thread;
};

/* The upper counter, some more to draw, the lower counter: half-drawn pictures are found out. */
static void draw_frame(const struct canvas *c, uint32_t n) {
	const struct rect bar = {(n * 8) % (c->width - 64), 100, 64, c->height - 200};
	canvas_counter(c, COUNTER_X, COUNTER_TOP_Y, n);
	canvas_fill(c, (struct rect){0, 100, c->width, c->height - 200}, 0x404040);
	canvas_fill(c, bar, 0xd0d0d0);
	canvas_counter(c, COUNTER_X, counter_bottom_y(c->height), n);
}

static void *run_guest(void *data) {
	struct guest *g = data;
	struct fake_screen *s = g->screen;
	while (!atomic_load(&g->stop)) {
		struct canvas c = canvas_of(s, fake_screen_back(s));
		uint64_t ns = 0;
		draw_frame(&c, ++g->frames);
		g->bad += fake_screen_flip(s, NULL, &ns) != OK;
		g->max_ns = MAX(g->max_ns, ns);
		if (g->pause_ms) {
			sleep_ms(g->pause_ms);
		}
	}
	return NULL;
}

/*
 * The next frame is drawn while the flip to the last one is still under way, as by a driver that
 * takes a flip for done when it was sent.
 */
static void *run_hasty_guest(void *data) {
	struct guest *g = data;
	struct fake_screen *s = g->screen;
	while (!atomic_load(&g->stop)) {
		struct canvas c = canvas_of(s, fake_screen_back(s));
		uint64_t ns = 0;
		draw_frame(&c, ++g->frames);
		if (s->calls[2]) {
			g->bad += fake_screen_finish(s, &ns) != OK;
			g->max_ns = MAX(g->max_ns, ns);
		}
		g->bad += fake_screen_submit(s, NULL) != 0;
		if (g->pause_ms) {
			sleep_ms(g->pause_ms);
		}
	}
	g->bad += fake_screen_finish(s, NULL) != OK;
	return NULL;
}

/* Commands sent and not looked after any more; answered in whatever order. */
#define CARELESS_CALLS 48u

static void submit_careless(
	struct guest *g, struct gpu_call **slot, const void *request, size_t size) {
	struct frontend *fe = g->screen->fe;
	if (*slot) {
		g->bad += gpu_wait(*slot, FRONTEND_TIMEOUT_MS) != 0 || gpu_call_type(*slot) != OK;
		gpu_call_destroy(*slot);
		*slot = NULL;
	}
	g->bad += gpu_submit(fe, FRONTEND_CONTROL, request, size,
			  sizeof(struct virtio_gpu_ctrl_hdr), 0, slot) != 0;
}

/*
 * Draws into the buffer that it flipped away from without waiting for any answer: it may just be
 * being read. No fence keeps such a guest from that; what was read then must not be shown.
 */
static void *run_careless_guest(void *data) {
	struct guest *g = data;
	struct fake_screen *s = g->screen;
	const struct virtio_gpu_rect all = {0, 0, s->width, s->height};
	struct gpu_call *calls[CARELESS_CALLS] = {0};
	unsigned n = 0;
	while (!atomic_load(&g->stop)) {
		struct canvas c = canvas_of(s, fake_screen_back(s));
		draw_frame(&c, ++g->frames);
		s->front = s->front >= s->n_buffers ? 0 : (s->front + 1) % s->n_buffers;
		uint32_t id = s->ids[s->front];
		struct virtio_gpu_set_scanout set = gpu_set_scanout_request(s->scanout, id, &all);
		struct virtio_gpu_resource_flush flush = gpu_flush_request(id, &all, 0);
		submit_careless(g, &calls[n++ % CARELESS_CALLS], &set, sizeof(set));
		submit_careless(g, &calls[n++ % CARELESS_CALLS], &flush, sizeof(flush));
		gpu_kick(s->fe, FRONTEND_CONTROL);
		if (g->pause_ms) {
			sleep_ms(g->pause_ms);
		}
	}
	for (unsigned i = 0; i < CARELESS_CALLS; i++) {
		if (calls[i]) {
			g->bad += gpu_wait(calls[i], FRONTEND_TIMEOUT_MS) != 0;
		}
		gpu_call_destroy(calls[i]);
	}
	return NULL;
}

static void free_run(unsigned cap, bool fenced, unsigned n_buffers, unsigned pause_ms,
	void *(*run)(void *data)) {
	char cap_text[16];
	(void)snprintf(cap_text, sizeof(cap_text), "%u", cap);
	const char *args[] = {"--fps-cap", cap_text, NULL};
	struct rig g;
	struct guest guest = {.pause_ms = pause_ms};
	rig_start(&g, args);
	check_ok(fake_screen_create(
		g.fe, 0, 1280, 720, XRGB, n_buffers, GUEST_CONTIGUOUS, &guest.screen));
	guest.screen->fenced = fenced;
	g.v.reads_counters = true;
	check_int(pthread_create(&guest.thread, NULL, run, &guest), ==, 0);
	loop_run_ms(g.loop, RUN_MS);
	uint64_t during = g.v.frames, repeated = g.v.counter_latest;
	atomic_store(&guest.stop, true);
	(void)pthread_join(guest.thread, NULL);

	/* The last one drawn is the last one shown, whatever was skipped. */
	check(viewer_run_counter(&g.v, guest.frames, 3000));
	check_int(guest.bad, ==, 0);
	check_int(repeated, <=, 1);
	check_int(g.v.sequence_gaps, ==, 0);
	fprintf(stderr, "# %u flips, %" PRIu64 " frames, longest answer %.1f ms\n", guest.frames,
		during, (double)guest.max_ns / 1e6);
	check_int(guest.max_ns, <, 500 * NSEC_PER_MSEC);
	/* It must keep going: software encoding of 720p does far more than this. */
	check_int(during, >, 40);
	if (cap != 0) {
		check_int(during, <=, cap * (RUN_MS + 500) / 1000);
	}
	fake_screen_destroy(guest.screen);
	rig_stop(&g);
}

TEST(fenced_flips_of_two_buffers_are_whole_and_in_order) {
	free_run(60, true, 2, 0, run_guest);
}

TEST(fenced_flips_without_a_cap_are_whole_and_in_order) {
	free_run(0, true, 2, 0, run_guest);
}

TEST(unfenced_flips_are_whole_and_in_order) {
	free_run(60, false, 2, 0, run_guest);
}

TEST(hasty_flips_of_two_buffers_are_whole_and_in_order) {
	free_run(60, false, 2, 0, run_hasty_guest);
}

TEST(hasty_flips_of_three_buffers_are_whole_and_in_order) {
	free_run(60, true, 3, 0, run_hasty_guest);
}

TEST(hasty_flips_at_a_display_s_rate_are_whole_and_in_order) {
	free_run(60, true, 2, 15, run_hasty_guest);
}

TEST(careless_flips_are_whole_and_in_order) {
	free_run(60, false, 2, 1, run_careless_guest);
}

TEST(careless_flips_without_a_cap_are_whole_and_in_order) {
	free_run(0, false, 2, 2, run_careless_guest);
}

TEST(cap_bounds_the_frame_rate) {
	free_run(20, true, 2, 0, run_guest);
}

/* A desktop in both buffers, shown, refined. */
static struct fake_screen *static_desktop(struct rig *g, uint32_t width, uint32_t height) {
	struct fake_screen *s;
	check_ok(fake_screen_create(g->fe, 0, width, height, XRGB, 2, GUEST_CONTIGUOUS, &s));
	for (int i = 0; i < 2; i++) {
		struct canvas c = canvas_of(s, fake_screen_back(s));
		content_desktop(&c, 3);
		check_int(fake_screen_flip(s, NULL, NULL), ==, OK);
	}
	viewer_run_refined(&g->v);
	return s;
}

TEST_TIMEOUT(one_character_is_one_or_two_macroblocks, 120) {
	struct rig g;
	rig_start(&g, NULL);
	struct fake_screen *s = static_desktop(&g, 1920, 1080);
	for (unsigned i = 0; i < 12; i++) {
		char text[2] = {(char)('A' + i), 0};
		/* Both buffers get it: the second flip of a pair shows nothing new. */
		for (int k = 0; k < 2; k++) {
			struct canvas c = canvas_of(s, fake_screen_back(s));
			canvas_text(&c, 480 + 8 * i, 400 + 7 * i, text, 0xffffff, 0x202020);
			uint64_t fresh = g.v.new_content;
			check_int(fake_screen_flip(s, NULL, NULL), ==, OK);
			if (k == 0) {
				check(loop_run_until(g.loop, &g.v.new_content, fresh + 1, 2000));
				check_int(g.v.flip.dirty_mbs, >=, 1);
				check_int(g.v.flip.dirty_mbs, <=, 4);
				check_int(g.v.flip.damage_width, <=, 32);
				check_int(g.v.flip.damage_height, <=, 32);
				check_int(g.v.last_size, <, 1500);
			} else {
				loop_run_ms(g.loop, 50);
				check_int(g.v.new_content, ==, fresh);
			}
		}
	}
	viewer_run_quiet(&g.v, 400, 20000);
	double psnr =
		viewer_psnr(&g.v, fake_screen_front(s), PIXEL_ORDER_BGRA, 1920, 1080, 4 * 1920);
	check(psnr >= 45);
	fake_screen_destroy(s);
	rig_stop(&g);
}

TEST(static_flips_make_no_frames) {
	struct rig g;
	struct hxfr_stats before, after;
	rig_start(&g, NULL);
	struct fake_screen *s = static_desktop(&g, 1280, 720);
	viewer_get_stats(&g.v, 0, &before);
	uint64_t bytes = g.v.bytes;
	for (int i = 0; i < 100; i++) {
		check_int(fake_screen_flip(s, NULL, NULL), ==, OK);
		loop_run_ms(g.loop, 10);
	}
	loop_run_ms(g.loop, 500);
	viewer_get_stats(&g.v, 0, &after);
	check_int(g.v.bytes, ==, bytes);
	check_int(after.encoded, ==, before.encoded);
	check_int(after.flips, ==, before.flips + 100);
	fake_screen_destroy(s);
	rig_stop(&g);
}

TEST(static_screen_costs_nothing) {
	struct rig g;
	rig_start(&g, NULL);
	struct fake_screen *s = static_desktop(&g, 1920, 1080);
	uint64_t bytes = g.v.bytes, cpu = exporter_cpu_ns(&g.e);
	loop_run_ms(g.loop, 10000);
	cpu = exporter_cpu_ns(&g.e) - cpu;
	check_int(g.v.bytes, ==, bytes);
	fprintf(stderr, "# CPU in 10 s: %.2f ms\n", (double)cpu / 1e6);
	check_int(cpu, <, 10 * NSEC_PER_MSEC);
	fake_screen_destroy(s);
	rig_stop(&g);
}

TEST(nobody_looks_and_nothing_is_done) {
	struct exporter e;
	sd_event *loop;
	struct viewer v;
	struct fake_screen *s;
	struct hxfr_stats before, after;
	exporter_start(&e, NULL);
	struct frontend *fe = exporter_start_guest(&e, NULL);
	check_ok(sd_event_new(&loop));
	/* Connected, but subscribed to nothing. */
	viewer_open(&v, &e, loop, UINT32_MAX);
	check_ok(fake_screen_create(fe, 0, 1920, 1080, XRGB, 2, GUEST_CONTIGUOUS, &s));
	viewer_get_stats(&v, 0, &before);
	uint64_t longest = 0;
	for (uint32_t i = 0; i < 500; i++) {
		struct canvas c = canvas_of(s, fake_screen_back(s));
		uint64_t ns = 0;
		canvas_counters(&c, i);
		check_int(fake_screen_flip(s, NULL, &ns), ==, OK);
		longest = MAX(longest, ns);
	}
	viewer_get_stats(&v, 0, &after);
	check_int(after.flips, ==, before.flips + 500);
	check_int(after.captured, ==, 0);
	check_int(after.encoded, ==, 0);
	check_int(after.convert_ns, ==, 0);
	check_int(after.encode_ns, ==, 0);
	fprintf(stderr, "# longest answer %.2f ms\n", (double)longest / 1e6);
	fake_screen_destroy(s);
	viewer_close(&v);
	sd_event_unref(loop);
	frontend_destroy(fe);
	exporter_stop(&e);
}

TEST(nothing_is_done_any_more_when_the_last_viewer_went) {
	struct rig g;
	struct hxfr_stats before, after;
	struct viewer other;
	rig_start(&g, NULL);
	struct fake_screen *s = static_desktop(&g, 1280, 720);
	viewer_close(&g.v);
	viewer_open(&other, &g.e, g.loop, UINT32_MAX);
	loop_run_ms(g.loop, 100);
	viewer_get_stats(&other, 0, &before);
	for (uint32_t i = 0; i < 100; i++) {
		struct canvas c = canvas_of(s, fake_screen_back(s));
		canvas_counters(&c, i);
		check_int(fake_screen_flip(s, NULL, NULL), ==, OK);
	}
	viewer_get_stats(&other, 0, &after);
	check_int(after.watching, ==, 0);
	check_int(after.captured, ==, before.captured);
	check_int(after.encoded, ==, before.encoded);

	/* And who comes then sees the last of them at once, though nothing flips. */
	viewer_open(&g.v, &g.e, g.loop, 0);
	g.v.reads_counters = true;
	check(viewer_run_counter(&g.v, 99, 1000));
	viewer_close(&other);
	fake_screen_destroy(s);
	rig_stop(&g);
}

TEST(cursor_reaches_the_viewer_beside_the_picture) {
	struct rig g;
	struct guest_buffer *b;
	rig_start(&g, NULL);
	struct fake_screen *s = static_desktop(&g, 640, 480);
	check_ok(guest_buffer_create(g.fe, 4 * 64 * 64, GUEST_SCATTERED, &b));
	for (uint32_t i = 0; i < 4 * 64 * 64; i++) {
		b->pixels[i] = (uint8_t)(i * 7);
	}
	check_int(
		gpu_resource_create_2d(g.fe, 90, VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM, 64, 64), ==, OK);
	check_int(gpu_resource_attach_backing(g.fe, 90, b->pieces, b->n_pieces), ==, OK);
	check_int(gpu_transfer(g.fe, 90, &(struct virtio_gpu_rect){0, 0, 64, 64}, 0), ==, OK);
	uint64_t bytes = g.v.bytes, images = g.v.n_cursor_images;
	check_int(gpu_update_cursor(g.fe, 0, 90, 100, 50, 3, 4), ==, OK);
	check(loop_run_until(g.loop, &g.v.n_cursor_images, images + 1, 2000));
	check_int(g.v.cursor.visible, ==, 1);
	check_int(g.v.cursor.width, ==, 64);
	check_int(g.v.cursor.height, ==, 64);
	check_int(g.v.cursor.hot_x, ==, 3);
	check_int(g.v.cursor.hot_y, ==, 4);
	check_int(g.v.cursor.x, ==, 100);
	check_int(g.v.cursor.y, ==, 50);
	check(memcmp(g.v.cursor_pixels, b->pixels, 4 * 64 * 64) == 0);

	check_int(gpu_move_cursor(g.fe, 0, 300, 200), ==, OK);
	check(loop_run_until(g.loop, &g.v.n_cursor_positions, 1, 2000));
	check_int(g.v.cursor_position.x, ==, 300);
	check_int(g.v.cursor_position.y, ==, 200);
	images = g.v.n_cursor_images;
	check_int(gpu_update_cursor(g.fe, 0, 0, 0, 0, 0, 0), ==, OK);
	check(loop_run_until(g.loop, &g.v.n_cursor_images, images + 1, 2000));
	check_int(g.v.cursor.visible, ==, 0);
	/* None of it is in the video. */
	check_int(g.v.bytes, ==, bytes);
	guest_buffer_destroy(b);
	fake_screen_destroy(s);
	rig_stop(&g);
}
