/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every command is answered once and soon, whatever encoders and viewers do. */
#include <stdlib.h>

#include "capture/content.h"
#include "exporter.h"
#include "test.h"
#include "util.h"
#include "viewer.h"

#define XRGB VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM
#define OK   VIRTIO_GPU_RESP_OK_NODATA

/*
 * A guest's kernel gives up on a fenced flush after 50 ms. Twice that is for a machine that does
 * other things too; and where those take all of it, one answer in five may be later still.
 */
#define ANSWER_LIMIT_NS (100 * NSEC_PER_MSEC)
#define HANG_NS         (1000 * NSEC_PER_MSEC)

struct answers {
	unsigned n, late;
	uint64_t longest;
};

static void note_answer(struct answers *a, uint64_t ns) {
	a->n++;
	a->late += ns >= ANSWER_LIMIT_NS;
	a->longest = MAX(a->longest, ns);
}

static void check_answers(const struct answers *a) {
	fprintf(stderr, "# longest of %u answers: %.1f ms\n", a->n, (double)a->longest / 1e6);
	check_int(a->longest, <, HANG_NS);
	check_int(a->late, <=, a->n / 5);
}

struct rig {
	struct exporter e;
	struct frontend *fe;
	sd_event *loop;
};

static void rig_start(struct rig *g, const char *const *args) {
	struct frontend_options options = {.ram_size = UINT64_C(768) << 20};
	exporter_start(&g->e, args);
	g->fe = exporter_start_guest(&g->e, &options);
	check_ok(sd_event_new(&g->loop));
}

static void rig_stop(struct rig *g) {
	sd_event_unref(g->loop);
	frontend_destroy(g->fe);
	exporter_stop(&g->e);
}

static struct fake_screen *screen(
	struct rig *g, uint32_t scanout, uint32_t width, uint32_t height) {
	struct fake_screen *s;
	check_ok(fake_screen_create(g->fe, scanout, width, height, XRGB, 2, GUEST_CONTIGUOUS, &s));
	return s;
}

/* New noise all over: as slow to convert and encode as it gets. */
static void draw_noise(struct fake_screen *s, uint32_t seed) {
	uint32_t *p = (uint32_t *)(void *)fake_screen_back(s);
	for (size_t i = 0; i < (size_t)s->width * s->height; i++) {
		seed = seed * 1664525 + 1013904223;
		p[i] = seed;
	}
}

TEST(flushes_are_bounded_with_a_slow_encoder) {
	struct rig g;
	struct viewer v;
	rig_start(&g, NULL);
	struct fake_screen *s = screen(&g, 0, 3840, 2160);
	viewer_open_counting(&v, &g.e, g.loop, 0);
	struct answers answers = {0};
	for (uint32_t i = 0; i < 25; i++) {
		uint64_t ns;
		draw_noise(s, i);
		check_int(fake_screen_flip(s, NULL, &ns), ==, OK);
		note_answer(&answers, ns);
		loop_run_ms(g.loop, 1);
	}
	check_answers(&answers);
	fake_screen_destroy(s);
	viewer_close(&v);
	rig_stop(&g);
}

TEST(flushes_are_bounded_with_viewers_that_do_not_read) {
	struct rig g;
	struct viewer v[4];
	rig_start(&g, NULL);
	struct fake_screen *s = screen(&g, 0, 1280, 720);
	for (unsigned i = 0; i < ARRAY_SIZE(v); i++) {
		viewer_open_counting(&v[i], &g.e, g.loop, 0);
		hxfr_client_set_read_budget(v[i].client, 0);
	}
	struct answers answers = {0};
	for (uint32_t i = 0; i < 100; i++) {
		uint64_t ns;
		draw_noise(s, i);
		check_int(fake_screen_flip(s, NULL, &ns), ==, OK);
		note_answer(&answers, ns);
	}
	check_answers(&answers);
	fake_screen_destroy(s);
	for (unsigned i = 0; i < ARRAY_SIZE(v); i++) {
		viewer_close(&v[i]);
	}
	rig_stop(&g);
}

TEST(one_scanout_does_not_wait_for_another) {
	struct rig g;
	struct viewer v[2];
	rig_start(&g, NULL);
	struct fake_screen *slow = screen(&g, 0, 3840, 2160), *fast = screen(&g, 1, 320, 240);
	viewer_open_counting(&v[0], &g.e, g.loop, 0);
	viewer_open_counting(&v[1], &g.e, g.loop, 1);
	struct answers commands = {0}, flushes = {0};
	unsigned overtaken = 0;
	for (uint32_t i = 0; i < 20; i++) {
		draw_noise(slow, i);
		draw_noise(fast, i);
		uint64_t start = now_ns();
		check_ok(fake_screen_submit(slow, NULL));
		struct virtio_gpu_resp_display_info info;
		check_int(gpu_get_display_info(g.fe, &info), ==, VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
		note_answer(&commands, now_ns() - start);
		overtaken += !slow->calls[2]->done;
		uint64_t ns, slow_ns;
		check_int(fake_screen_flip(fast, NULL, &ns), ==, OK);
		note_answer(&flushes, ns);
		check_int(fake_screen_finish(slow, &slow_ns), ==, OK);
		note_answer(&flushes, slow_ns);
		loop_run_ms(g.loop, 20);
	}
	check_answers(&commands);
	check_answers(&flushes);
	/* Else this test has shown nothing. */
	fprintf(stderr, "# %u of 20 flushes were overtaken by another command\n", overtaken);
	check_int(overtaken, >, 0);
	fake_screen_destroy(slow);
	fake_screen_destroy(fast);
	viewer_close(&v[0]);
	viewer_close(&v[1]);
	rig_stop(&g);
}

/* As many flips in flight as the ring holds, on all scanouts; each command is answered once. */
TEST(sixteen_scanouts_flip_at_once) {
	struct exporter e;
	sd_event *loop;
	struct viewer v[16];
	struct fake_screen *s[16];
	struct frontend_options options = {.queue_size = {256, 16}};
	exporter_start(&e, NULL);
	struct frontend *fe = exporter_start_guest(&e, &options);
	check_ok(sd_event_new(&loop));
	for (uint32_t i = 0; i < 16; i++) {
		check_ok(fake_screen_create(fe, i, 640, 480, XRGB, 2, GUEST_CONTIGUOUS, &s[i]));
		viewer_open_counting(&v[i], &e, loop, i);
	}
	struct answers answers = {0};
	for (uint32_t n = 0; n < 40; n++) {
		for (uint32_t i = 0; i < 16; i++) {
			struct canvas c = {
				fake_screen_back(s[i]), 640, 480, 4 * 640, PIXEL_ORDER_BGRA};
			canvas_counters(&c, n);
			s[i]->fenced = (i + n) % 2;
			check_ok(fake_screen_submit(s[i], NULL));
		}
		for (uint32_t i = 0; i < 16; i++) {
			uint64_t ns;
			check_int(fake_screen_finish(s[i], &ns), ==, OK);
			note_answer(&answers, ns);
		}
		loop_run_ms(loop, 5);
	}
	check_answers(&answers);
	check_int(fe->queues[0].n_in_flight, ==, 0);
	check_int(gpu_reap(fe, FRONTEND_CONTROL), ==, 0);
	loop_run_ms(loop, 300);
	for (uint32_t i = 0; i < 16; i++) {
		check_int(v[i].frames, >, 5);
		check_int(v[i].sequence_gaps, ==, 0);
		fake_screen_destroy(s[i]);
		viewer_close(&v[i]);
	}
	sd_event_unref(loop);
	frontend_destroy(fe);
	exporter_stop(&e);
}

/* Several flushes of one scanout in flight: the older ones are answered as superseded. */
TEST(superseded_flushes_are_answered) {
	struct rig g;
	struct viewer v;
	rig_start(&g, NULL);
	struct fake_screen *s = screen(&g, 0, 1920, 1080);
	viewer_open_counting(&v, &g.e, g.loop, 0);
	check_int(fake_screen_flip(s, NULL, NULL), ==, OK);
	const struct virtio_gpu_rect all = {0, 0, 1920, 1080};
	struct answers answers = {0};
	for (uint32_t round = 0; round < 30; round++) {
		struct gpu_call *calls[12];
		draw_noise(s, round);
		for (uint32_t i = 0; i < ARRAY_SIZE(calls); i++) {
			struct virtio_gpu_resource_flush request =
				gpu_flush_request(s->ids[s->front], &all, 1 + i);
			check_ok(gpu_submit(g.fe, FRONTEND_CONTROL, &request, sizeof(request),
				sizeof(struct virtio_gpu_ctrl_hdr), 0, &calls[i]));
			gpu_kick(g.fe, FRONTEND_CONTROL);
		}
		for (uint32_t i = 0; i < ARRAY_SIZE(calls); i++) {
			check_ok(gpu_wait(calls[i], FRONTEND_TIMEOUT_MS));
			check_int(gpu_call_type(calls[i]), ==, OK);
			note_answer(&answers, calls[i]->done_ns - calls[i]->submitted_ns);
			gpu_call_destroy(calls[i]);
		}
		loop_run_ms(g.loop, 1);
	}
	check_answers(&answers);
	fake_screen_destroy(s);
	viewer_close(&v);
	rig_stop(&g);
}

TEST(stopping_answers_what_is_under_way) {
	struct rig g;
	struct viewer v;
	rig_start(&g, NULL);
	struct fake_screen *s = screen(&g, 0, 3840, 2160);
	viewer_open_counting(&v, &g.e, g.loop, 0);
	for (uint32_t i = 0; i < 10; i++) {
		draw_noise(s, i);
		check_ok(fake_screen_submit(s, NULL));
		uint64_t start = now_ns();
		check_ok(frontend_stop(g.fe));
		check_int(now_ns() - start, <, HANG_NS);
		/* What was not even read from the ring is still there when it goes on. */
		check_ok(frontend_resume(g.fe));
		check_int(fake_screen_finish(s, NULL), ==, OK);
		loop_run_ms(g.loop, 5);
	}
	fake_screen_destroy(s);
	viewer_close(&v);
	rig_stop(&g);
}
