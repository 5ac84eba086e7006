/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the guest draws is what a viewer decodes, whatever way it is laid out and shown. */
#include <stdlib.h>

#include "capture/content.h"
#include "exporter.h"
#include "test.h"
#include "util.h"
#include "viewer.h"

#define XRGB VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM
#define OK   VIRTIO_GPU_RESP_OK_NODATA

/* The bound for a static picture that was refined. */
#define PSNR_REFINED 45.0
/* Levels of 255 that a decoded colour may be off. */
#define COLOUR_LEVELS 3

struct rig {
	struct exporter e;
	struct frontend *fe;
	sd_event *loop;
	struct viewer v;
};

static void rig_start(struct rig *g, uint32_t scanout) {
	struct frontend_options options = {.ram_size = UINT64_C(512) << 20};
	exporter_start(&g->e, NULL);
	g->fe = exporter_start_guest(&g->e, &options);
	check_ok(sd_event_new(&g->loop));
	viewer_open(&g->v, &g->e, g->loop, scanout);
}

static void rig_stop(struct rig *g) {
	viewer_close(&g->v);
	sd_event_unref(g->loop);
	frontend_destroy(g->fe);
	exporter_stop(&g->e);
}

static struct canvas canvas_of(
	uint8_t *pixels, uint32_t width, uint32_t height, enum pixel_order order) {
	return (struct canvas){pixels, width, height, 4 * width, order};
}

/* Patches of flat colours, one for each third of each channel, below a desktop. */
#define PATCH 32u
static uint32_t patch_colour(unsigned i) {
	static const uint32_t levels[3] = {0, 128, 255};
	return levels[i / 9 % 3] << 16 | levels[i / 3 % 3] << 8 | levels[i % 3];
}

static struct rect patch_at(unsigned i, uint32_t width) {
	unsigned across = width / PATCH;
	return (struct rect){i % across * PATCH, i / across * PATCH, PATCH, PATCH};
}

static void draw(const struct canvas *c) {
	content_desktop(c, 7);
	for (unsigned i = 0; i < 27; i++) {
		canvas_fill(c, patch_at(i, c->width), patch_colour(i));
	}
}

static void check_patches(const struct decoded *d, uint32_t width) {
	for (unsigned i = 0; i < 27; i++) {
		struct rect r = patch_at(i, width);
		uint8_t rgb[3];
		decode_pixel(d, r.x + PATCH / 2, r.y + PATCH / 2, rgb);
		for (unsigned k = 0; k < 3; k++) {
			int wanted = (int)(patch_colour(i) >> (16 - 8 * k) & 0xff);
			check_int(abs((int)rgb[k] - wanted), <=, COLOUR_LEVELS);
		}
	}
}

static void check_good(struct viewer *v, const struct canvas *c) {
	double psnr = viewer_psnr(v, c->pixels, c->order, c->width, c->height, c->stride);
	if (psnr < PSNR_REFINED) {
		fail("PSNR is %.1f dB after %" PRIu64 " frames", psnr, v->frames);
	}
}

TEST_TIMEOUT(all_formats_have_the_right_colours, 120) {
	static const struct {
		uint32_t format;
		enum pixel_order order;
	} formats[] = {
		{VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM, PIXEL_ORDER_BGRA},
		{VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, PIXEL_ORDER_BGRA},
		{VIRTIO_GPU_FORMAT_A8R8G8B8_UNORM, PIXEL_ORDER_ARGB},
		{VIRTIO_GPU_FORMAT_X8R8G8B8_UNORM, PIXEL_ORDER_ARGB},
		{VIRTIO_GPU_FORMAT_R8G8B8A8_UNORM, PIXEL_ORDER_RGBA},
		{VIRTIO_GPU_FORMAT_R8G8B8X8_UNORM, PIXEL_ORDER_RGBA},
		{VIRTIO_GPU_FORMAT_A8B8G8R8_UNORM, PIXEL_ORDER_ABGR},
		{VIRTIO_GPU_FORMAT_X8B8G8R8_UNORM, PIXEL_ORDER_ABGR},
	};
	struct rig g;
	rig_start(&g, 0);
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		struct fake_screen *s;
		check_ok(fake_screen_create(
			g.fe, 0, 640, 480, formats[i].format, 1, GUEST_CONTIGUOUS, &s));
		struct canvas c = canvas_of(fake_screen_back(s), 640, 480, formats[i].order);
		draw(&c);
		check_int(fake_screen_flip(s, NULL, NULL), ==, OK);
		viewer_run_refined(&g.v);
		check_patches(&g.v.picture, 640);
		check_good(&g.v, &c);
		fake_screen_destroy(s);
	}
	rig_stop(&g);
}

TEST(pages_may_lie_anywhere) {
	static const enum guest_layout layouts[] = {
		GUEST_CONTIGUOUS, GUEST_SCATTERED, GUEST_UNALIGNED};
	/* Odd sizes too: 4:2:0 has only even ones. */
	static const uint32_t sizes[][2] = {{800, 600}, {641, 479}};
	struct rig g;
	rig_start(&g, 0);
	for (size_t i = 0; i < ARRAY_SIZE(layouts) * ARRAY_SIZE(sizes); i++) {
		const uint32_t *size = sizes[i / ARRAY_SIZE(layouts)];
		struct fake_screen *s;
		check_ok(fake_screen_create(
			g.fe, 0, size[0], size[1], XRGB, 1, layouts[i % ARRAY_SIZE(layouts)], &s));
		struct canvas c =
			canvas_of(fake_screen_back(s), size[0], size[1], PIXEL_ORDER_BGRA);
		draw(&c);
		check_int(fake_screen_flip(s, NULL, NULL), ==, OK);
		viewer_run_refined(&g.v);
		check_patches(&g.v.picture, size[0]);
		check_good(&g.v, &c);
		fake_screen_destroy(s);
	}
	rig_stop(&g);
}

TEST(memory_above_4_gib_is_memory) {
	struct exporter e;
	exporter_start(&e, NULL);
	struct frontend_options options = {.high_ram_size = 16 << 20};
	struct frontend *fe = exporter_start_guest(&e, &options);
	sd_event *loop;
	struct viewer v;
	check_ok(sd_event_new(&loop));
	viewer_open(&v, &e, loop, 0);
	struct canvas c = canvas_of(fe->high + 8192, 640, 480, PIXEL_ORDER_BGRA);
	draw(&c);
	const struct virtio_gpu_rect all = {0, 0, 640, 480};
	struct guest_piece piece = {GUEST_HIGH_START + 8192, 4 * 640 * 480};
	check_int(gpu_resource_create_2d(fe, 1, XRGB, 640, 480), ==, OK);
	check_int(gpu_resource_attach_backing(fe, 1, &piece, 1), ==, OK);
	check_int(gpu_set_scanout(fe, 0, 1, &all), ==, OK);
	check_int(gpu_transfer(fe, 1, &all, 0), ==, OK);
	check_int(gpu_flush(fe, 1, &all, true, NULL), ==, OK);
	viewer_run_refined(&v);
	check_good(&v, &c);
	viewer_close(&v);
	sd_event_unref(loop);
	frontend_destroy(fe);
	exporter_stop(&e);
}

/* A resource of 1600 by 1000 that several scanouts show parts of. */
struct shared {
	struct guest_buffer *buffer;
	struct canvas canvas;
};

static const struct virtio_gpu_rect shared_all = {0, 0, 1600, 1000};

static void shared_create(struct shared *s, struct frontend *fe, uint32_t id) {
	check_ok(guest_buffer_create(fe, 4 * 1600 * 1000, GUEST_SCATTERED, &s->buffer));
	s->canvas = canvas_of(s->buffer->pixels, 1600, 1000, PIXEL_ORDER_BGRA);
	draw(&s->canvas);
	check_int(gpu_resource_create_2d(fe, id, XRGB, 1600, 1000), ==, OK);
	check_int(gpu_resource_attach_backing(fe, id, s->buffer->pieces, s->buffer->n_pieces), ==,
		OK);
	check_int(gpu_transfer(fe, id, &shared_all, 0), ==, OK);
}

static struct canvas part(const struct shared *s, const struct virtio_gpu_rect *r) {
	struct canvas c = s->canvas;
	c.pixels += 4 * ((size_t)r->y * 1600 + r->x);
	c.width = r->width;
	c.height = r->height;
	return c;
}

TEST(viewport_may_lie_inside_a_larger_resource) {
	static const struct virtio_gpu_rect viewports[] = {
		{0, 0, 640, 480},
		{333, 211, 640, 480},
		{960, 520, 640, 480},
		{1, 999 - 241, 321, 241},
	};
	struct rig g;
	struct shared s;
	rig_start(&g, 0);
	shared_create(&s, g.fe, 5);
	for (size_t i = 0; i < ARRAY_SIZE(viewports); i++) {
		check_int(gpu_set_scanout(g.fe, 0, 5, &viewports[i]), ==, OK);
		check_int(gpu_flush(g.fe, 5, &shared_all, true, NULL), ==, OK);
		viewer_run_refined(&g.v);
		struct canvas c = part(&s, &viewports[i]);
		check_good(&g.v, &c);
	}
	guest_buffer_destroy(s.buffer);
	rig_stop(&g);
}

TEST(several_scanouts_may_show_one_resource) {
	static const struct virtio_gpu_rect viewports[3] = {
		{0, 0, 640, 480}, {800, 0, 640, 480}, {400, 300, 640, 480}};
	struct rig g;
	struct shared s;
	struct viewer others[2];
	rig_start(&g, 0);
	struct viewer *v[3] = {&g.v, &others[0], &others[1]};
	viewer_open(v[1], &g.e, g.loop, 1);
	viewer_open(v[2], &g.e, g.loop, 2);
	shared_create(&s, g.fe, 5);
	for (uint32_t i = 0; i < 3; i++) {
		check_int(gpu_set_scanout(g.fe, i, 5, &viewports[i]), ==, OK);
	}
	check_int(gpu_flush(g.fe, 5, &shared_all, true, NULL), ==, OK);
	for (unsigned i = 0; i < 3; i++) {
		check(loop_run_until(g.loop, &v[i]->frames, 1, 3000));
	}
	for (unsigned i = 0; i < 3; i++) {
		viewer_run_quiet(v[i], 400, 20000);
	}
	for (unsigned i = 0; i < 3; i++) {
		struct canvas c = part(&s, &viewports[i]);
		check_good(v[i], &c);
	}

	/* What only one of them shows reaches only that one. */
	uint64_t before[3] = {v[0]->frames, v[1]->frames, v[2]->frames};
	canvas_fill(&s.canvas, (struct rect){1400, 8, 8, 8}, 0x112233);
	const struct virtio_gpu_rect small = {1400, 8, 8, 8};
	check_int(gpu_transfer(g.fe, 5, &small, 4 * (8 * 1600 + 1400)), ==, OK);
	check_int(gpu_flush(g.fe, 5, &small, true, NULL), ==, OK);
	check(loop_run_until(g.loop, &v[1]->frames, before[1] + 1, 3000));
	check_int(v[1]->flip.damage_x, <=, 600);
	check_int(v[1]->flip.dirty_mbs, <=, 2);
	viewer_run_quiet(v[1], 400, 20000);
	check_int(v[0]->frames, ==, before[0]);
	check_int(v[2]->frames, ==, before[2]);
	struct canvas c = part(&s, &viewports[1]);
	check_good(v[1], &c);

	guest_buffer_destroy(s.buffer);
	viewer_close(v[1]);
	viewer_close(v[2]);
	rig_stop(&g);
}

TEST(blob_in_guest_memory_is_shown) {
	/* 800 pixels a row of which 640 are shown, after 12 KiB of something else. */
	const uint32_t stride = 3200, offset = 12288;
	struct rig g;
	struct guest_buffer *b;
	rig_start(&g, 0);
	if (!(g.fe->features & FEATURE(VIRTIO_GPU_F_RESOURCE_BLOB))) {
		skip("RESOURCE_BLOB is not offered");
	}
	check_ok(guest_buffer_create(g.fe, offset + stride * 480, GUEST_SCATTERED, &b));
	struct canvas c = {b->pixels + offset, 640, 480, stride, PIXEL_ORDER_BGRA};
	draw(&c);
	const struct virtio_gpu_rect all = {0, 0, 640, 480};
	check_int(gpu_resource_create_blob(g.fe, 3, b->size, b->pieces, b->n_pieces), ==, OK);
	check_int(gpu_set_scanout_blob(g.fe, 0, 3, &all, XRGB, 640, 480, stride, offset), ==, OK);
	check_int(gpu_flush(g.fe, 3, &all, true, NULL), ==, OK);
	viewer_run_refined(&g.v);
	check_good(&g.v, &c);
	check_int(gpu_set_scanout_blob(g.fe, 0, 3, &all, XRGB, 640, 480, stride, offset + 641), ==,
		VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER);
	check_int(gpu_resource_unref(g.fe, 3), ==, OK);
	guest_buffer_destroy(b);
	rig_stop(&g);
}

TEST(transfer_may_come_from_elsewhere_in_the_backing) {
	/* Legal, though no driver known does it: the pixels lie 8 KiB into the pages. */
	const uint32_t offset = 8192;
	struct rig g;
	struct guest_buffer *b;
	rig_start(&g, 0);
	check_ok(guest_buffer_create(g.fe, offset + 4 * 640 * 480, GUEST_SCATTERED, &b));
	struct canvas c = canvas_of(b->pixels + offset, 640, 480, PIXEL_ORDER_BGRA);
	draw(&c);
	const struct virtio_gpu_rect all = {0, 0, 640, 480};
	check_int(gpu_resource_create_2d(g.fe, 3, XRGB, 640, 480), ==, OK);
	check_int(gpu_resource_attach_backing(g.fe, 3, b->pieces, b->n_pieces), ==, OK);
	check_int(gpu_set_scanout(g.fe, 0, 3, &all), ==, OK);
	check_int(gpu_transfer(g.fe, 3, &all, offset), ==, OK);
	check_int(gpu_flush(g.fe, 3, &all, true, NULL), ==, OK);
	viewer_run_refined(&g.v);
	check_good(&g.v, &c);
	guest_buffer_destroy(b);
	rig_stop(&g);
}

TEST_TIMEOUT(size_changes_reach_the_viewer, 120) {
	static const uint32_t sizes[][2] = {{640, 480}, {1920, 1080}, {200, 120}, {1366, 768},
		{1367, 769}, {3840, 2160}, {640, 480}};
	struct rig g;
	rig_start(&g, 0);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint64_t keyframes = g.v.keyframes;
		struct fake_screen *s;
		check_ok(fake_screen_create(
			g.fe, 0, sizes[i][0], sizes[i][1], XRGB, 1, GUEST_CONTIGUOUS, &s));
		struct canvas c =
			canvas_of(fake_screen_back(s), sizes[i][0], sizes[i][1], PIXEL_ORDER_BGRA);
		content_desktop(&c, (uint32_t)i);
		check_int(fake_screen_flip(s, NULL, NULL), ==, OK);
		viewer_run_refined(&g.v);
		check_int(g.v.keyframes, >, keyframes);
		check_good(&g.v, &c);
		fake_screen_destroy(s);
	}
	rig_stop(&g);
}

TEST_TIMEOUT(a_screen_of_8k_is_shown, 180) {
	struct rig g;
	struct fake_screen *s;
	rig_start(&g, 0);
	check_ok(fake_screen_create(g.fe, 0, 7680, 4320, XRGB, 1, GUEST_SCATTERED, &s));
	struct canvas c = canvas_of(fake_screen_back(s), 7680, 4320, PIXEL_ORDER_BGRA);
	canvas_gradient(&c, (struct rect){0, 0, 7680, 4320}, 0x203040, 0x8090a0);
	canvas_counters(&c, 4711);
	check_int(fake_screen_flip(s, NULL, NULL), ==, OK);
	check(loop_run_until(g.loop, &g.v.frames, 1, 20000));
	viewer_run_quiet(&g.v, 1500, 60000);
	check_good(&g.v, &c);
	fake_screen_destroy(s);
	rig_stop(&g);
}
