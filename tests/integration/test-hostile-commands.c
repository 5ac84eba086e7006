/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands that are well-formed and mean harm: sizes, rectangles, lifetimes, hoarding. */
#include <stdlib.h>

#include "capture/content.h"
#include "exporter.h"
#include "test.h"
#include "util.h"
#include "viewer.h"

#define XRGB  VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM
#define OK    VIRTIO_GPU_RESP_OK_NODATA
#define BAD   VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER
#define NO_ID VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID
#define FULL  VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY

static const struct virtio_gpu_rect r64 = {0, 0, 64, 64};

struct rig {
	struct exporter e;
	struct frontend *fe;
	struct guest_buffer *b; /* 64 by 64 pixels */
};

static void rig_start(struct rig *g, const char *const *args) {
	exporter_start(&g->e, args);
	g->fe = exporter_start_guest(&g->e, NULL);
	check_ok(guest_buffer_create(g->fe, 4 * 64 * 64, GUEST_CONTIGUOUS, &g->b));
}

static void rig_stop(struct rig *g) {
	guest_buffer_destroy(g->b);
	frontend_destroy(g->fe);
	exporter_check_serves(&g->e);
	exporter_stop(&g->e);
}

/* A resource of 64 by 64 with its pages. */
static void create64(struct rig *g, uint32_t id) {
	check_int(gpu_resource_create_2d(g->fe, id, XRGB, 64, 64), ==, OK);
	check_int(gpu_resource_attach_backing(g->fe, id, g->b->pieces, g->b->n_pieces), ==, OK);
}

TEST(giant_resources_are_refused) {
	static const uint32_t sizes[][2] = {{65536, 32768}, {32768, 65536}, {UINT32_MAX, 1},
		{1, UINT32_MAX}, {UINT32_MAX, UINT32_MAX}, {0x80000000, 0x80000000}, {65536, 65536},
		{0x40000001, 4}};
	struct rig g;
	rig_start(&g, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		int r = gpu_resource_create_2d(g.fe, 1, XRGB, sizes[i][0], sizes[i][1]);
		check(r == BAD || r == FULL);
	}
	/* As large as it may be, but with pages for a corner only: nothing beyond them is read. */
	sd_event *loop;
	struct viewer v;
	check_ok(sd_event_new(&loop));
	viewer_open(&v, &g.e, loop, 0);
	struct virtio_gpu_rect big = {0, 0, 8192, 8192};
	if (gpu_resource_create_2d(g.fe, 1, XRGB, 8192, 8192) == OK) {
		check_int(gpu_resource_attach_backing(g.fe, 1, g.b->pieces, 1), ==, OK);
		(void)gpu_set_scanout(g.fe, 0, 1, &big);
		(void)gpu_transfer(g.fe, 1, &big, 0);
		(void)gpu_transfer(g.fe, 1, &r64, 4096);
		check_int(gpu_flush(g.fe, 1, &big, true, NULL), >=, OK);
		loop_run_ms(loop, 100);
		check_int(v.frames, ==, 0);
	}
	viewer_close(&v);
	sd_event_unref(loop);
	rig_stop(&g);
}

TEST(rectangles_stay_inside) {
	static const struct virtio_gpu_rect bad[] = {
		{0, 0, 65, 64},
		{0, 0, 64, 65},
		{64, 0, 1, 1},
		{0, 64, 1, 1},
		{1, 0, 64, 64},
		{0, 1, 64, 64},
		{UINT32_MAX, 0, 1, 1},
		{UINT32_MAX, 0, 2, 1},
		{UINT32_MAX - 31, 0, 64, 64},
		{0, UINT32_MAX - 31, 64, 64},
		{0x80000000, 0x80000000, 0x80000000, 0x80000000},
		{1, 1, UINT32_MAX, UINT32_MAX},
		{32, 32, UINT32_MAX - 31, 1},
	};
	struct rig g;
	rig_start(&g, NULL);
	create64(&g, 1);
	check_int(gpu_set_scanout(g.fe, 0, 1, &r64), ==, OK);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		check_int(gpu_set_scanout(g.fe, 0, 1, &bad[i]), ==, BAD);
		check_int(gpu_transfer(g.fe, 1, &bad[i], 0), ==, BAD);
		check_int(gpu_flush(g.fe, 1, &bad[i], true, NULL), ==, BAD);
	}
	/* Empty ones: refused or ignored, as one likes. */
	static const struct virtio_gpu_rect empty[] = {{0, 0, 0, 0}, {64, 64, 0, 0}, {0, 0, 64, 0}};
	for (size_t i = 0; i < ARRAY_SIZE(empty); i++) {
		check_int(gpu_set_scanout(g.fe, 1, 1, &empty[i]), >=, OK);
		check_int(gpu_transfer(g.fe, 1, &empty[i], 0), >=, OK);
		check_int(gpu_flush(g.fe, 1, &empty[i], true, NULL), >=, OK);
	}
	rig_stop(&g);
}

TEST(offsets_do_not_overflow) {
	static const uint64_t offsets[] = {1, 3, 4096, 4 * 64 * 64, 4 * 64 * 64 - 1, UINT32_MAX,
		UINT64_MAX, UINT64_MAX - 4 * 64 * 64 + 1, UINT64_C(1) << 63};
	struct rig g;
	rig_start(&g, NULL);
	create64(&g, 1);
	check_int(gpu_set_scanout(g.fe, 0, 1, &r64), ==, OK);
	for (size_t i = 0; i < ARRAY_SIZE(offsets); i++) {
		check_int(gpu_transfer(g.fe, 1, &r64, offsets[i]), >=, OK);
		check_int(
			gpu_transfer(g.fe, 1, &(struct virtio_gpu_rect){60, 63, 4, 1}, offsets[i]),
			>=, OK);
		check_int(gpu_flush(g.fe, 1, &r64, true, NULL), ==, OK);
	}
	/* Blobs: stride and offset. */
	if (g.fe->features & FEATURE(VIRTIO_GPU_F_RESOURCE_BLOB)) {
		static const uint32_t bad[][4] = {/* width, height, stride, offset */
			{64, 64, 255, 0}, {64, 64, 256, 1}, {64, 64, 256, UINT32_MAX},
			{64, 65, 256, 0}, {64, 64, UINT32_MAX, 0}, {16384, 16384, 65536, 0},
			{UINT32_MAX, 1, UINT32_MAX, 0}, {0x40000001, 1, 4, 0}, {0, 0, 0, 0}};
		check_int(gpu_resource_create_blob(g.fe, 2, 4 * 64 * 64, g.b->pieces, 1), ==, OK);
		for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
			check_int(gpu_set_scanout_blob(g.fe, 0, 2,
					  &(struct virtio_gpu_rect){0, 0, bad[i][0], bad[i][1]},
					  XRGB, bad[i][0], bad[i][1], bad[i][2], bad[i][3]),
				==, BAD);
		}
		check_int(gpu_flush(g.fe, 2, &r64, true, NULL), >=, OK);
		/* More size than pages, no pages, a size that no memory has. */
		check_int(gpu_resource_create_blob(g.fe, 3, 4 * 64 * 64 + 4097, g.b->pieces, 1), ==,
			BAD);
		check_int(gpu_resource_create_blob(g.fe, 3, 4096, NULL, 0), ==, BAD);
		check_int(gpu_resource_create_blob(g.fe, 3, UINT64_MAX, g.b->pieces, 1), ==, BAD);
	}
	rig_stop(&g);
}

TEST(nothing_works_on_what_is_gone) {
	struct rig g;
	rig_start(&g, NULL);
	create64(&g, 1);
	check_int(gpu_set_scanout(g.fe, 0, 1, &r64), ==, OK);
	check_int(gpu_set_scanout(g.fe, 1, 1, &r64), ==, OK);
	check_int(gpu_flush(g.fe, 1, &r64, true, NULL), ==, OK);
	/* While two scanouts show it. */
	check_int(gpu_resource_unref(g.fe, 1), ==, OK);
	for (int i = 0; i < 2; i++) {
		check_int(gpu_flush(g.fe, 1, &r64, true, NULL), ==, NO_ID);
		check_int(gpu_transfer(g.fe, 1, &r64, 0), ==, NO_ID);
		check_int(gpu_set_scanout(g.fe, 0, 1, &r64), ==, NO_ID);
		check_int(gpu_resource_attach_backing(g.fe, 1, g.b->pieces, 1), ==, NO_ID);
		check_int(gpu_resource_detach_backing(g.fe, 1), ==, NO_ID);
		check_int(gpu_resource_unref(g.fe, 1), ==, NO_ID);
	}
	/* The number may be used again; the scanouts do not remember it. */
	create64(&g, 1);
	check_int(gpu_flush(g.fe, 1, &r64, true, NULL), ==, OK);
	/* Shown without pages. */
	check_int(gpu_set_scanout(g.fe, 0, 1, &r64), ==, OK);
	check_int(gpu_resource_detach_backing(g.fe, 1), ==, OK);
	check_int(gpu_flush(g.fe, 1, &r64, true, NULL), >=, OK);
	check_int(gpu_transfer(g.fe, 1, &r64, 0), >=, OK);
	check_int(gpu_resource_attach_backing(g.fe, 1, g.b->pieces, 1), ==, OK);
	check_int(gpu_flush(g.fe, 1, &r64, true, NULL), ==, OK);
	rig_stop(&g);
}

TEST(cursors_of_nothing_and_of_giants) {
	struct rig g;
	rig_start(&g, NULL);
	check_int(gpu_update_cursor(g.fe, 0, 77, 1, 1, 0, 0), ==, OK);
	check_int(gpu_update_cursor(g.fe, 99, 0, 1, 1, 0, 0), ==, OK);
	check_int(gpu_update_cursor(g.fe, UINT32_MAX, 77, 1, 1, 0, 0), ==, OK);
	check_int(gpu_move_cursor(g.fe, UINT32_MAX, UINT32_MAX, UINT32_MAX), ==, OK);
	static const uint32_t sizes[][2] = {{1, 1}, {16384, 1}, {1, 16384}, {8192, 8192}, {65, 63}};
	for (uint32_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		check_int(gpu_resource_create_2d(g.fe, 10 + i, XRGB, sizes[i][0], sizes[i][1]), ==,
			OK);
		check_int(gpu_update_cursor(g.fe, 0, 10 + i, 1, 1, 0, 0), ==, OK);
		check_int(gpu_resource_attach_backing(g.fe, 10 + i, g.b->pieces, 1), ==, OK);
		check_int(gpu_update_cursor(g.fe, 0, 10 + i, UINT32_MAX, 1, UINT32_MAX, UINT32_MAX),
			==, OK);
	}
	/* Shown as cursor, then taken away. */
	create64(&g, 20);
	check_int(gpu_update_cursor(g.fe, 0, 20, 5, 5, 1, 1), ==, OK);
	check_int(gpu_resource_unref(g.fe, 20), ==, OK);
	check_int(gpu_move_cursor(g.fe, 0, 6, 6), ==, OK);
	check_int(gpu_update_cursor(g.fe, 0, 20, 5, 5, 1, 1), ==, OK);
	rig_stop(&g);
}

TEST_TIMEOUT(page_lists_without_end_are_refused, 120) {
	struct rig g;
	struct frontend_options options = {.ram_size = UINT64_C(512) << 20};
	exporter_start(&g.e, NULL);
	g.fe = exporter_start_guest(&g.e, &options);
	check_ok(guest_buffer_create(g.fe, 4 * 64 * 64, GUEST_CONTIGUOUS, &g.b));
	check_int(gpu_resource_create_2d(g.fe, 1, XRGB, 64, 64), ==, OK);

	const uint32_t n = 1000000;
	struct guest_piece *pieces = calloc(n, sizeof(*pieces));
	check(pieces);
	for (uint32_t i = 0; i < n; i++) {
		pieces[i] = (struct guest_piece){g.b->pieces[0].address + i % 4096, 1 + i % 3};
	}
	int r = gpu_resource_attach_backing(g.fe, 1, pieces, n);
	check(r == OK || r == BAD || r == FULL);
	if (r == OK) {
		check_int(gpu_resource_detach_backing(g.fe, 1), ==, OK);
	}
	/* As many as are taken, all odd, and then shown. */
	r = gpu_resource_attach_backing(g.fe, 1, pieces, 100000);
	check(r == OK || r == FULL);
	check_int(gpu_set_scanout(g.fe, 0, 1, &r64), ==, OK);
	check_int(gpu_transfer(g.fe, 1, &r64, 0), >=, OK);
	check_int(gpu_flush(g.fe, 1, &r64, true, NULL), ==, OK);
	if (r == OK) {
		check_int(gpu_resource_detach_backing(g.fe, 1), ==, OK);
	}
	free(pieces);

	/* A list that is announced and not there. */
	static const uint32_t counts[] = {
		1, 2, 1000000, 0x10000000, 0x10000001, 0x80000000, UINT32_MAX};
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		struct virtio_gpu_resource_attach_backing request = {
			.resource_id = 1, .nr_entries = counts[i]};
		struct virtio_gpu_ctrl_hdr response;
		gpu_header(&request.hdr, VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING, 0);
		r = gpu_command(g.fe, FRONTEND_CONTROL, &request, sizeof(request), &response,
			sizeof(response));
		check(r == BAD || r == FULL);
	}
	/* Pages that are nowhere. */
	const struct guest_piece wrong[] = {{0, 0}, {g.fe->ram_size, 4096}, {UINT64_MAX, 4096},
		{g.fe->ram_size - 4096, 8192}, {GUEST_LOW_END, 4096}, {4096, UINT32_MAX},
		{UINT64_MAX - 4095, 4096}};
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		check_int(gpu_resource_attach_backing(g.fe, 1, &wrong[i], 1), ==, BAD);
	}
	rig_stop(&g);
}

/* Creates resources 1 … n, many in flight; returns how many were. Other answers must be FULL. */
static uint32_t create_many(struct frontend *fe, uint32_t n) {
	struct gpu_call *calls[64];
	uint32_t submitted = 0, created = 0;
	for (uint32_t done = 0; done < n; done++) {
		for (; submitted < n && submitted < done + ARRAY_SIZE(calls); submitted++) {
			struct virtio_gpu_resource_create_2d request = {
				.resource_id = submitted + 1,
				.format = XRGB,
				.width = 64,
				.height = 64};
			gpu_header(&request.hdr, VIRTIO_GPU_CMD_RESOURCE_CREATE_2D, 0);
			check_ok(gpu_submit(fe, FRONTEND_CONTROL, &request, sizeof(request),
				sizeof(struct virtio_gpu_ctrl_hdr), 0,
				&calls[submitted % ARRAY_SIZE(calls)]));
		}
		gpu_kick(fe, FRONTEND_CONTROL);
		struct gpu_call *call = calls[done % ARRAY_SIZE(calls)];
		check_ok(gpu_wait(call, FRONTEND_TIMEOUT_MS));
		int r = gpu_call_type(call);
		check(r == OK || r == FULL);
		created += r == OK;
		gpu_call_destroy(call);
	}
	return created;
}

TEST_TIMEOUT(a_hundred_thousand_resources, 120) {
	struct rig g;
	rig_start(&g, NULL);
	size_t rss = exporter_rss(&g.e);
	uint32_t n = create_many(g.fe, 100000);
	size_t grown = exporter_rss(&g.e) - rss;
	/* The default budget; the bound on what it counts is the bound on what is used. */
	check_int(grown, <, 256 << 20);
	check_int(n, >, 10000);
	check_ok(frontend_reset(g.fe));
	check_ok(frontend_start(g.fe));
	check_int(create_many(g.fe, 100000), ==, n);
	rig_stop(&g);
}

TEST(resources_stop_at_the_memory_budget) {
	static const char *const args[] = {"--memory-budget", "1", NULL};
	struct rig g;
	rig_start(&g, args);
	uint32_t n = create_many(g.fe, 100000);
	check_int(n, >, 100);
	check_int(n, <, 50000);
	/* Full is full, also for page lists; what was there works, and room comes back. */
	check_int(gpu_resource_create_2d(g.fe, 200000, XRGB, 64, 64), ==, FULL);
	check_int(gpu_set_scanout(g.fe, 0, 1, &r64), ==, OK);
	for (uint32_t id = 1; id <= n; id++) {
		check_int(gpu_resource_unref(g.fe, id), ==, OK);
	}
	check_int(create_many(g.fe, 100000), ==, n);
	rig_stop(&g);
}

TEST(page_lists_count_on_the_budget) {
	static const char *const args[] = {"--memory-budget", "2", NULL};
	struct rig g;
	rig_start(&g, args);
	struct guest_piece *pieces = calloc(20000, sizeof(*pieces));
	check(pieces);
	for (uint32_t i = 0; i < 20000; i++) {
		pieces[i] = (struct guest_piece){g.b->pieces[0].address + i % 2 * 7, 3};
	}
	size_t rss = exporter_rss(&g.e);
	int r = OK;
	uint32_t n = 0;
	while (r == OK && n < 1000) {
		n++;
		check_int(gpu_resource_create_2d(g.fe, n, XRGB, 64, 64), ==, OK);
		r = gpu_resource_attach_backing(g.fe, n, pieces, 20000);
	}
	check_int(r, ==, FULL);
	check_int(exporter_rss(&g.e), <, rss + (16 << 20));
	for (uint32_t id = 1; id <= n; id++) {
		check_int(gpu_resource_unref(g.fe, id), ==, OK);
	}
	check_int(gpu_resource_create_2d(g.fe, 1, XRGB, 64, 64), ==, OK);
	check_int(gpu_resource_attach_backing(g.fe, 1, pieces, 20000), ==, OK);
	free(pieces);
	rig_stop(&g);
}

/* Transfers laid out as no driver does it make the host keep a copy: that counts too. */
TEST(host_copies_count_on_the_budget) {
	static const char *const args[] = {"--memory-budget", "16", NULL};
	struct rig g;
	struct guest_buffer *b;
	rig_start(&g, args);
	size_t rss = exporter_rss(&g.e);
	check_ok(guest_buffer_create(g.fe, 4 * 1024 * 1024 + 4096, GUEST_CONTIGUOUS, &b));
	const struct virtio_gpu_rect all = {0, 0, 1024, 1024};
	bool full = false;
	for (uint32_t id = 1; id <= 50; id++) {
		check_int(gpu_resource_create_2d(g.fe, id, XRGB, 1024, 1024), ==, OK);
		check_int(gpu_resource_attach_backing(g.fe, id, b->pieces, 1), ==, OK);
		int r = gpu_transfer(g.fe, id, &all, 4096);
		check(r == OK || r == FULL);
		full = full || r == FULL;
	}
	check(full);
	check_int(exporter_rss(&g.e), <, rss + (32 << 20));
	guest_buffer_destroy(b);
	rig_stop(&g);
}

/* Takes resources away just while their pixels are being read. */
static void take_away(bool unref) {
	struct rig g;
	sd_event *loop;
	struct viewer v;
	static const char *const args[] = {"--fps-cap", "0", NULL};
	rig_start(&g, args);
	check_ok(sd_event_new(&loop));
	viewer_open_counting(&v, &g.e, loop, 0);
	const struct virtio_gpu_rect all = {0, 0, 1920, 1080};
	struct guest_buffer *b;
	check_ok(guest_buffer_create(g.fe, 4 * 1920 * 1080, GUEST_SCATTERED, &b));
	for (uint32_t i = 0; i < 150; i++) {
		uint32_t id = unref ? 1 + i : 1;
		if (unref || i == 0) {
			check_int(gpu_resource_create_2d(g.fe, id, XRGB, 1920, 1080), ==, OK);
		}
		check_int(gpu_resource_attach_backing(g.fe, id, b->pieces, b->n_pieces), ==, OK);
		check_int(gpu_set_scanout(g.fe, 0, id, &all), ==, OK);
		memset(b->pixels, (int)i, b->size);
		struct virtio_gpu_resource_flush request = gpu_flush_request(id, &all, i + 1);
		struct gpu_call *flush;
		check_ok(gpu_submit(g.fe, FRONTEND_CONTROL, &request, sizeof(request),
			sizeof(struct virtio_gpu_ctrl_hdr), 0, &flush));
		gpu_kick(g.fe, FRONTEND_CONTROL);
		if (i % 13) {
			loop_run_ms(loop, i % 13);
		}
		uint64_t before = now_ns();
		check_int(unref ? gpu_resource_unref(g.fe, id)
				: gpu_resource_detach_backing(g.fe, id),
			==, OK);
		check_int(now_ns() - before, <, NSEC_PER_SEC);
		check_ok(gpu_wait(flush, FRONTEND_TIMEOUT_MS));
		check_int(gpu_call_type(flush), ==, OK);
		gpu_call_destroy(flush);
		loop_run_ms(loop, 1);
	}
	check_int(v.frames, >, 0);
	guest_buffer_destroy(b);
	viewer_close(&v);
	sd_event_unref(loop);
	rig_stop(&g);
}

TEST(unref_while_being_captured) {
	take_away(true);
}

TEST(detach_while_being_captured) {
	take_away(false);
}

TEST(memory_table_changes_while_being_captured) {
	struct rig g;
	sd_event *loop;
	struct viewer v;
	struct fake_screen *s;
	static const char *const args[] = {"--fps-cap", "0", NULL};
	rig_start(&g, args);
	check_ok(sd_event_new(&loop));
	viewer_open(&v, &g.e, loop, 0);
	check_ok(fake_screen_create(g.fe, 0, 1280, 720, XRGB, 2, GUEST_SCATTERED, &s));
	for (uint32_t i = 0; i < 60; i++) {
		struct canvas c = {fake_screen_back(s), 1280, 720, 4 * 1280, PIXEL_ORDER_BGRA};
		canvas_counters(&c, i);
		check_ok(fake_screen_submit(s, NULL));
		check_ok(frontend_send_memory(g.fe));
		check_int(fake_screen_finish(s, NULL), ==, OK);
		loop_run_ms(loop, i % 4);
	}
	v.reads_counters = true;
	check(viewer_run_counter(&v, 59, 3000));
	fake_screen_destroy(s);
	viewer_close(&v);
	sd_event_unref(loop);
	rig_stop(&g);
}
