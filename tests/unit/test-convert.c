/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "content.h"
#include "convert.h"
#include "rgb-nv12.h"
#include "test.h"
#include "util.h"

#define BPP SURFACE_BYTES_PER_PIXEL

/* Which byte is red, green and blue, written again rather than taken from what is tested. */
static const unsigned red_at[] = {2, 1, 0, 3};
static const unsigned green_at[] = {1, 2, 1, 2};
static const unsigned blue_at[] = {0, 3, 2, 1};

static void put_pixel(uint8_t *p, enum pixel_order order, const uint8_t rgb[static 3]) {
	memset(p, 0xa5, BPP);
	p[red_at[order]] = rgb[0];
	p[green_at[order]] = rgb[1];
	p[blue_at[order]] = rgb[2];
}

static uint32_t random_state = 1;

static uint32_t next_random(void) {
	random_state = random_state * 1664525u + 1013904223u;
	return random_state >> 8;
}

/* A surface in memory of its own, full of noise. */
struct box {
	struct surface s;
	uint8_t *memory;
};

static void ignore(struct surface *s) {
	(void)s;
}

static void box_init(
	struct box *b, uint32_t width, uint32_t height, uint32_t stride, enum pixel_order order) {
	size_t size = (size_t)(height - 1) * stride + (size_t)width * BPP;
	b->memory = malloc(size);
	for (size_t i = 0; i < size; i++) {
		b->memory[i] = (uint8_t)next_random();
	}
	b->s = (struct surface){.refs = 1,
		.width = width,
		.height = height,
		.stride = stride,
		.order = order,
		.pixels = b->memory,
		.release = ignore};
}

static void box_finish(struct box *b) {
	free(b->memory);
}

/* Real values of 3.2 to 3.5 of BT.709, unrounded; r, g, b may be means. */
static void exact(double r, double g, double b, double yuv[static 3]) {
	double y = 0.2126 * r + 0.7152 * g + 0.0722 * b;
	yuv[0] = 16 + y * 219 / 255;
	yuv[1] = 128 + (b - y) / 1.8556 * 224 / 255;
	yuv[2] = 128 + (r - y) / 1.5748 * 224 / 255;
}

/*
 * The picture must be that of the viewport, to within `tolerance` of the exactly rounded value,
 * with rows and columns beyond the viewport repeating its last.
 */
static void check_picture(const struct picture *p, const struct surface *s,
	const struct rect *viewport, int tolerance) {
	const uint8_t *base = s->pixels;
	uint32_t last_x = viewport->width - 1, last_y = viewport->height - 1;
	for (uint32_t y = 0; y < p->mb_height * MB_SIZE; y++) {
		for (uint32_t x = 0; x < p->mb_width * MB_SIZE; x++) {
			const uint8_t *px = base +
				(size_t)(viewport->y + MIN(y, last_y)) * s->stride +
				(size_t)(viewport->x + MIN(x, last_x)) * BPP;
			uint8_t yuv[3];
			convert_pixel(px[red_at[s->order]], px[green_at[s->order]],
				px[blue_at[s->order]], yuv);
			int d = p->y[(size_t)y * p->stride + x] - yuv[0];
			if (abs(d) > tolerance) {
				fail("luma of (%u, %u) is off by %d", x, y, d);
			}
		}
	}
	for (uint32_t y = 0; y < p->mb_height * MB_SIZE; y += 2) {
		for (uint32_t x = 0; x < p->mb_width * MB_SIZE; x += 2) {
			if (y > last_y || x > last_x) {
				continue; /* padding; its luma was looked at */
			}
			double sum[3] = {0}, yuv[3];
			for (unsigned i = 0; i < 4; i++) {
				const uint8_t *px = base +
					(size_t)(viewport->y + MIN(y + i / 2, last_y)) * s->stride +
					(size_t)(viewport->x + MIN(x + i % 2, last_x)) * BPP;
				sum[0] += px[red_at[s->order]] / 4.0;
				sum[1] += px[green_at[s->order]] / 4.0;
				sum[2] += px[blue_at[s->order]] / 4.0;
			}
			exact(sum[0], sum[1], sum[2], yuv);
			const uint8_t *uv = p->uv + (size_t)(y / 2) * p->stride + x;
			check_int(abs(uv[0] - (int)lround(yuv[1])), <=, tolerance);
			check_int(abs(uv[1] - (int)lround(yuv[2])), <=, tolerance);
		}
	}
}

/* Converts everything; returns how many macroblocks changed. */
static int update_all(struct picture *p, const struct surface *s, const struct rect *viewport) {
	struct converter *c = converter_create(p->width);
	check(c != NULL);
	struct rect all = {0, 0, UINT32_MAX, UINT32_MAX};
	int r = converter_update(c, p, s, viewport, &all, NULL, 0);
	converter_destroy(c);
	return r;
}

TEST(pixel_is_exact) {
	static const uint8_t cases[][6] = {{0, 0, 0, 16, 128, 128}, {255, 255, 255, 235, 128, 128},
		{255, 0, 0, 63, 102, 240}, {0, 255, 0, 173, 42, 26}, {0, 0, 255, 32, 240, 118},
		{128, 128, 128, 126, 128, 128}};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint8_t yuv[3];
		convert_pixel(cases[i][0], cases[i][1], cases[i][2], yuv);
		check_int(yuv[0], ==, cases[i][3]);
		check_int(yuv[1], ==, cases[i][4]);
		check_int(yuv[2], ==, cases[i][5]);
	}
}

/* Runs one kernel over 2×16 pixels of one colour. */
static void one_colour(rgb_nv12_kernel kernel, enum pixel_order order, const uint8_t rgb[static 3],
	uint8_t ret_yuv[static 3]) {
	uint8_t row[16 * BPP], y[2][16], uv[16];
	for (unsigned x = 0; x < 16; x++) {
		put_pixel(row + x * BPP, order, rgb);
	}
	kernel(order, row, row, 1, y[0], y[1], uv);
	for (unsigned x = 0; x < 16; x++) {
		if (y[0][x] != y[0][0] || y[1][x] != y[0][0] || uv[x] != uv[x % 2]) {
			fail("pixel %u of a flat block differs", x);
		}
	}
	ret_yuv[0] = y[0][0];
	ret_yuv[1] = uv[0];
	ret_yuv[2] = uv[1];
}

static void check_all_colours(rgb_nv12_kernel kernel) {
	unsigned off[3] = {0}, n = 0;
	for (int order = 0; order < _PIXEL_ORDER_MAX; order++) {
		for (unsigned i = 0; i < 256; i++) {
			uint8_t grey[3] = {(uint8_t)i, (uint8_t)i, (uint8_t)i}, got[3], want[3];
			one_colour(kernel, (enum pixel_order)order, grey, got);
			convert_pixel(grey[0], grey[1], grey[2], want);
			check_int(abs(got[0] - want[0]), <=, i == 0 || i == 255 ? 0 : 1);
			check_int(got[1], ==, 128);
			check_int(got[2], ==, 128);
		}
		/* Every third value of each channel, 255 among them. */
		for (unsigned i = 0; i < 86 * 86 * 86; i++) {
			uint8_t rgb[3] = {(uint8_t)(i % 86 * 3), (uint8_t)(i / 86 % 86 * 3),
				(uint8_t)(i / 86 / 86 * 3)};
			uint8_t got[3], want[3];
			one_colour(kernel, (enum pixel_order)order, rgb, got);
			convert_pixel(rgb[0], rgb[1], rgb[2], want);
			for (unsigned k = 0; k < 3; k++) {
				if (abs(got[k] - want[k]) > 1) {
					fail("%u %u %u: component %u is %u, not %u", rgb[0], rgb[1],
						rgb[2], k, got[k], want[k]);
				}
				off[k] += got[k] != want[k];
			}
			n++;
		}
	}
	/* What rgb-nv12.h says of itself. */
	check_int(off[0] * 100u, <, n * 8u);
	check_int(off[1] * 100u, <, n);
	check_int(off[2] * 100u, <, n);
}

TEST_TIMEOUT(all_colours_c, 120) {
	check_all_colours(rgb_nv12_c);
}

TEST_TIMEOUT(all_colours_best, 120) {
	check_all_colours(rgb_nv12_best());
}

TEST(kernels_agree) {
	enum {
		N = 37
	};
	uint8_t rows[2][N * 16 * BPP], y[2][2][N * 16], uv[2][N * 16];
	for (unsigned round = 0; round < 200; round++) {
		for (size_t i = 0; i < sizeof(rows[0]); i++) {
			/* Extremes as often as anything between. */
			rows[0][i] = next_random() & 1 ? (uint8_t)next_random() : 255;
			rows[1][i] = next_random() & 1 ? (uint8_t)next_random() : 0;
		}
		enum pixel_order order = (enum pixel_order)(round % _PIXEL_ORDER_MAX);
		rgb_nv12_c(order, rows[0], rows[1], N, y[0][0], y[0][1], uv[0]);
		rgb_nv12_best()(order, rows[0], rows[1], N, y[1][0], y[1][1], uv[1]);
		check_int(memcmp(y[0], y[1], sizeof(y[0])), ==, 0);
		check_int(memcmp(uv[0], uv[1], sizeof(uv[0])), ==, 0);
	}
}

TEST_TIMEOUT(noise_of_all_sizes, 120) {
	static const uint32_t sizes[][2] = {{1, 1}, {2, 2}, {15, 17}, {16, 16}, {33, 31},
		{639, 479}, {640, 480}, {1366, 768}, {130, 1}, {1, 130}, {255, 9}};
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		for (int order = 0; order < _PIXEL_ORDER_MAX; order++) {
			struct box b;
			box_init(&b, sizes[i][0], sizes[i][1], sizes[i][0] * BPP + 12,
				(enum pixel_order)order);
			struct rect v = {0, 0, sizes[i][0], sizes[i][1]};
			struct picture *p = picture_create(sizes[i][0], sizes[i][1]);
			check_int(update_all(p, &b.s, &v), ==, p->mb_width * p->mb_height);
			check_int(p->update, ==, 2);
			check_picture(p, &b.s, &v, 1);
			/* Again: nothing changes, no update begins. */
			check_int(update_all(p, &b.s, &v), ==, 0);
			check_int(p->update, ==, 2);
			picture_destroy(p);
			box_finish(&b);
		}
	}
}

TEST(viewport_inside_surface) {
	struct box b;
	box_init(&b, 500, 300, 500 * BPP, PIXEL_ORDER_RGBA);
	static const struct rect views[] = {
		{0, 0, 100, 100}, {401, 203, 99, 97}, {7, 5, 160, 64}, {499, 299, 1, 1}};
	for (size_t i = 0; i < ARRAY_SIZE(views); i++) {
		struct picture *p = picture_create(views[i].width, views[i].height);
		check_int(update_all(p, &b.s, &views[i]), ==, p->mb_width * p->mb_height);
		check_picture(p, &b.s, &views[i], 1);
		picture_destroy(p);
	}
	box_finish(&b);
}

TEST(viewport_is_checked) {
	struct box b;
	box_init(&b, 64, 64, 64 * BPP, PIXEL_ORDER_BGRA);
	struct picture *p = picture_create(64, 64);
	struct converter *c = converter_create(64);
	struct rect all = {0, 0, 64, 64};
	static const struct rect bad[] = {{1, 0, 64, 64}, {0, 1, 64, 64}, {0, 0, 62, 64},
		{0, 0, 64, 62}, {0, 0, 66, 64}, {0, 0, 0, 0}, {UINT32_MAX, 0, 64, 64},
		{0, UINT32_MAX - 10, 64, 64}, {0, 0, UINT32_MAX, 64}};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		check_int(converter_update(c, p, &b.s, &bad[i], &all, NULL, 0), ==, -EINVAL);
	}
	check_int(p->update, ==, 1);
	b.s.order = _PIXEL_ORDER_MAX;
	check_int(converter_update(c, p, &b.s, &all, &all, NULL, 0), ==, -EINVAL);
	converter_destroy(c);
	/* A converter for less than the picture is wide. */
	b.s.order = PIXEL_ORDER_BGRA;
	picture_destroy(p);
	p = picture_create(1024, 16);
	c = converter_create(640);
	struct box wide;
	box_init(&wide, 1024, 16, 1024 * BPP, PIXEL_ORDER_BGRA);
	struct rect v = {0, 0, 1024, 16};
	check_int(converter_update(c, p, &wide.s, &v, &v, NULL, 0), ==, -EINVAL);
	converter_destroy(c);
	picture_destroy(p);
	box_finish(&b);
	box_finish(&wide);
	check(converter_create(0) == NULL);
	check(converter_create(PICTURE_MAX_SIDE + 1) == NULL);
	converter_destroy(NULL);
}

/* One changed pixel: one macroblock, whatever damage says, as long as damage covers it. */
TEST(damage_is_exact) {
	struct box b;
	box_init(&b, 320, 200, 320 * BPP, PIXEL_ORDER_BGRA);
	struct rect v = {0, 0, 320, 200};
	struct picture *p = picture_create(320, 200);
	struct converter *c = converter_create(320);
	(void)update_all(p, &b.s, &v);
	uint8_t *px = b.memory + (100 * 320 + 50) * BPP;
	px[0] ^= 0x80;
	px[1] ^= 0x80;

	static const struct rect misses[] = {{0, 0, 48, 200}, {64, 0, 256, 200}, {0, 0, 320, 96},
		{0, 112, 320, 88}, {50, 100, 0, 5}, {320, 0, 10, 200}, {0, 200, 320, 1},
		{UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX}};
	for (size_t i = 0; i < ARRAY_SIZE(misses); i++) {
		check_int(converter_update(c, p, &b.s, &v, &misses[i], NULL, 0), ==, 0);
	}
	check_int(p->update, ==, 2);
	struct rect hit = {50, 100, UINT32_MAX, UINT32_MAX}; /* clipped without overflow */
	check_int(converter_update(c, p, &b.s, &v, &hit, NULL, 0), ==, 1);
	check_int(p->update, ==, 3);
	for (uint32_t i = 0; i < p->mb_width * p->mb_height; i++) {
		check_int(p->mb_update[i], ==, i == 6 * 20 + 3 ? 3 : 2);
	}
	check_picture(p, &b.s, &v, 1);
	converter_destroy(c);
	picture_destroy(p);
	box_finish(&b);
}

/* Two colours of the same luma: what changes is chroma alone, and that counts. */
TEST(chroma_alone_counts) {
	const uint32_t red = 0x800000, green = 0x002600;
	uint8_t a[3], b[3];
	convert_pixel(red >> 16, 0, 0, a);
	convert_pixel(0, green >> 8, 0, b);
	check_int(a[0], ==, b[0]);
	struct box box;
	box_init(&box, 64, 32, 64 * BPP, PIXEL_ORDER_BGRA);
	struct canvas canvas = {box.memory, 64, 32, 64 * BPP, PIXEL_ORDER_BGRA};
	struct rect all = {0, 0, 64, 32}, spot = {20, 6, 2, 2};
	canvas_fill(&canvas, all, red);
	struct picture *p = picture_create(64, 32);
	check_int(update_all(p, &box.s, &all), ==, 8);
	canvas_fill(&canvas, spot, green);
	check_int(update_all(p, &box.s, &all), ==, 1);
	check_int(p->mb_update[1], ==, 3);
	check_picture(p, &box.s, &all, 1);
	picture_destroy(p);
	box_finish(&box);
}

/* Random rectangles change and are damaged; the picture must always be the surface's. */
TEST(random_damage) {
	struct box b;
	box_init(&b, 301, 203, 301 * BPP, PIXEL_ORDER_ABGR);
	struct rect v = {0, 0, 301, 203};
	struct picture *p = picture_create(301, 203);
	struct converter *c = converter_create(301);
	(void)update_all(p, &b.s, &v);
	for (unsigned round = 0; round < 60; round++) {
		struct rect d = {next_random() % 301, next_random() % 203, 1 + next_random() % 80,
			1 + next_random() % 80};
		struct rect inside = rect_intersect(&d, &v);
		for (uint32_t y = 0; y < inside.height; y++) {
			for (uint32_t x = 0; x < inside.width * BPP; x++) {
				b.memory[(inside.y + y) * 301 * BPP + inside.x * BPP + x] =
					(uint8_t)next_random();
			}
		}
		check_int(converter_update(c, p, &b.s, &v, &d, NULL, 0), >, 0);
		check_picture(p, &b.s, &v, 1);
	}
	converter_destroy(c);
	picture_destroy(p);
	box_finish(&b);
}

TEST(surface_in_pieces) {
	const uint32_t width = 333, height = 77, stride = 333 * BPP + 20;
	struct box b;
	box_init(&b, width, height, stride, PIXEL_ORDER_ARGB);
	const size_t total = (size_t)(height - 1) * stride + width * BPP;
	static const size_t chunks[] = {1, 3, 97, 1352, 4096, 100000, SIZE_MAX};
	static const struct rect views[] = {{0, 0, 333, 77}, {5, 3, 300, 70}, {100, 60, 17, 17}};

	for (size_t i = 0; i < ARRAY_SIZE(chunks); i++) {
		size_t n = 0, at = 0;
		struct iovec *pieces = calloc(total + 1, sizeof(*pieces));
		while (at < total) {
			size_t len = MIN(chunks[i], total - at);
			/* Memory of its own, so that a step over the end is seen. */
			pieces[n].iov_base = memcpy(malloc(len), b.memory + at, len);
			pieces[n].iov_len = len;
			at += len;
			n++;
		}
		for (size_t k = 0; k < ARRAY_SIZE(views); k++) {
			struct surface s = b.s;
			s.pixels = NULL;
			s.pieces = pieces;
			s.n_pieces = n;
			struct picture *p = picture_create(views[k].width, views[k].height);
			check_int(update_all(p, &s, &views[k]), ==, p->mb_width * p->mb_height);
			check_picture(p, &b.s, &views[k], 1);
			picture_destroy(p);
		}
		for (size_t k = 0; k < n; k++) {
			free(pieces[k].iov_base);
		}
		free(pieces);
	}
	box_finish(&b);
}

/* Pieces that hold less than they should give black, not what lies behind them. */
TEST(pieces_too_short) {
	uint8_t bytes[100];
	memset(bytes, 0xff, sizeof(bytes));
	struct iovec piece = {bytes, sizeof(bytes)};
	struct surface s = {.refs = 1,
		.width = 16,
		.height = 16,
		.stride = 64,
		.pieces = &piece,
		.n_pieces = 1,
		.release = ignore};
	uint8_t scratch[16 * 16 * BPP];
	memset(scratch, 0x55, sizeof(scratch));
	uint32_t stride;
	struct rect all = {0, 0, 16, 16};
	check(surface_rows(&s, &all, scratch, &stride) == scratch);
	check_int(stride, ==, 64);
	for (size_t i = 0; i < sizeof(scratch); i++) {
		check_int(scratch[i], ==, i < sizeof(bytes) ? 0xff : 0);
	}
}

/* Guest surfaces end where the mapping does: forbidden pages right before and right behind. */
TEST(stays_inside_the_surface) {
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	static const uint32_t sizes[][2] = {{33, 17}, {16, 16}, {61, 3}, {1, 1}, {1366, 5}};
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint32_t width = sizes[i][0], height = sizes[i][1];
		size_t size = (size_t)width * height * BPP, room = (size + page - 1) / page * page;
		uint8_t *map =
			mmap(NULL, room + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		check(map != MAP_FAILED);
		check_int(mprotect(map + page, room, PROT_READ | PROT_WRITE), ==, 0);
		for (int at_end = 0; at_end < 2; at_end++) {
			uint8_t *pixels = map + page + (at_end ? room - size : 0);
			for (size_t k = 0; k < size; k++) {
				pixels[k] = (uint8_t)next_random();
			}
			struct surface s = {.refs = 1,
				.width = width,
				.height = height,
				.stride = width * BPP,
				.order = PIXEL_ORDER_BGRA,
				.pixels = pixels,
				.release = ignore};
			struct rect v = {0, 0, width, height};
			struct picture *p = picture_create(width, height);
			check_int(update_all(p, &s, &v), ==, p->mb_width * p->mb_height);
			check_picture(p, &s, &v, 1);
			picture_destroy(p);
		}
		check_int(munmap(map, room + 2 * page), ==, 0);
	}
}

TEST(cancel) {
	struct box b;
	box_init(&b, 64, 64, 64 * BPP, PIXEL_ORDER_BGRA);
	struct rect v = {0, 0, 64, 64};
	struct picture *p = picture_create(64, 64);
	struct converter *c = converter_create(64);
	atomic_uint generation = 7;
	check_int(converter_update(c, p, &b.s, &v, &v, &generation, 8), ==, -ECANCELED);
	check_int(p->update, ==, 1);
	check_int(converter_update(c, p, &b.s, &v, &v, &generation, 7), ==, 16);
	check_picture(p, &b.s, &v, 1);
	converter_destroy(c);
	picture_destroy(p);
	box_finish(&b);
}

static void count_release(struct surface *s) {
	s->n_pieces++;
}

TEST(surface_references) {
	struct surface s = {.refs = 1, .release = count_release};
	check(surface_ref(&s) == &s);
	surface_unref(&s);
	check_int(s.n_pieces, ==, 0);
	surface_unref(&s);
	check_int(s.n_pieces, ==, 1);
	surface_unref(NULL);
}

/* What is drawn for tests is drawn inside the canvas, in every order, also at sizes that hold little. */
TEST(content_is_clipped) {
	static const uint32_t sizes[][2] = {{1, 1}, {17, 9}, {64, 40}, {640, 480}, {801, 601}};
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		for (int order = 0; order < _PIXEL_ORDER_MAX; order++) {
			struct canvas c = {.width = sizes[i][0],
				.height = sizes[i][1],
				.stride = sizes[i][0] * BPP,
				.order = (enum pixel_order)order};
			c.pixels = calloc(c.height, c.stride);
			content_desktop(&c, 3);
			canvas_counters(&c, 0x80000001);
			canvas_scroll(&c, (struct rect){0, 0, UINT32_MAX, UINT32_MAX}, 16);
			canvas_fill(&c, (struct rect){UINT32_MAX, 0, 5, 5}, 0xffffff);
			free(c.pixels);
		}
	}
}
