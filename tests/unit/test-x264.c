/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "content.h"
#include "convert.h"
#include "decode.h"
#include "encoder.h"
#include "rate.h"
#include "test.h"
#include "util.h"

#define FRAME_NS (NSEC_PER_SEC / 60)

/* A screen, an encoder of it, and somebody who watches. */
struct rig {
	struct canvas canvas;
	struct surface surface;
	struct rect view;
	struct picture *picture;
	struct converter *converter;
	struct encoder *encoder;
	struct decoder *decoder;
	struct access_unit *au; // the last one
	struct decoded shown;
	uint64_t pts_ns;
};

static const struct encoder_config defaults = {
	.fps = 60, .quality = ENCODER_QUALITY_DEFAULT, .threads = 1, .use_damage = true};

static void ignore(struct surface *s) {
	(void)s;
}

static void rig_init(
	struct rig *r, uint32_t width, uint32_t height, const struct encoder_config *config) {
	*r = (struct rig){.view = {0, 0, width, height}};
	r->canvas = (struct canvas){.width = width,
		.height = height,
		.stride = width * SURFACE_BYTES_PER_PIXEL,
		.order = PIXEL_ORDER_BGRA};
	r->canvas.pixels = calloc(height, r->canvas.stride);
	r->surface = (struct surface){.refs = 1,
		.width = width,
		.height = height,
		.stride = r->canvas.stride,
		.order = r->canvas.order,
		.pixels = r->canvas.pixels,
		.release = ignore};
	r->picture = picture_create(width, height);
	r->converter = converter_create(width);
	r->decoder = decode_create();
	check(r->canvas.pixels && r->picture && r->converter && r->decoder);
	struct encoder_config c = *config;
	c.width = r->picture->width;
	c.height = r->picture->height;
	check_ok(encoder_x264.create(&c, &r->encoder));
	r->pts_ns = 123456789;
}

static void rig_finish(struct rig *r) {
	access_unit_unref(r->au);
	encoder_x264.destroy(r->encoder);
	decode_destroy(r->decoder);
	converter_destroy(r->converter);
	picture_destroy(r->picture);
	free(r->canvas.pixels);
}

static int rig_convert(struct rig *r) {
	int changed = converter_update(
		r->converter, r->picture, &r->surface, &r->view, &r->view, NULL, 0);
	check_ok(changed);
	return changed;
}

/* Encodes and decodes one picture; every time exactly one comes out, and of the right kind. */
static size_t rig_encode(struct rig *r, bool idr, unsigned refine) {
	bool first = r->au == NULL;
	struct encode_request request = {
		.picture = r->picture, .pts_ns = r->pts_ns, .idr = idr, .refine = refine};
	access_unit_unref(r->au);
	r->au = NULL;
	check_ok(encoder_x264.encode(r->encoder, &request, &r->au));
	check_int(r->au->pts_ns, ==, r->pts_ns);
	check_int(r->au->keyframe, ==, idr || first);
	check_int(r->au->refine, ==, refine);
	check_int(r->au->width, ==, r->picture->width);
	check_int(r->au->height, ==, r->picture->height);
	check(r->au->encoded_ns > 0);
	r->pts_ns += FRAME_NS;
	check_ok(decode_feed(r->decoder, r->au->data, r->au->size, &r->shown));
	check_int(r->shown.key, ==, r->au->keyframe);
	check_int(r->shown.width, ==, r->picture->width);
	check_int(r->shown.height, ==, r->picture->height);
	check(r->shown.bt709_limited);
	return r->au->size;
}

static size_t rig_frame(struct rig *r) {
	(void)rig_convert(r);
	return rig_encode(r, false, 0);
}

/* Until the encoder says it is done; the bytes of all passes. */
static size_t rig_refine(struct rig *r, unsigned most_passes) {
	size_t bytes = 0;
	unsigned pass = 0;
	while (encoder_x264.refine_passes(r->encoder) > 0) {
		check_int(pass, <, most_passes);
		bytes += rig_encode(r, false, ++pass);
	}
	return bytes;
}

static double rig_psnr(const struct rig *r) {
	const struct picture *p = r->picture;
	return decode_psnr(r->shown.y, r->shown.y_stride, p->y, p->stride, p->width, p->height);
}

/* How far a rectangle of one colour is off: the worst channel, of its mean or of its worst pixel. */
static double colour_error(const struct rig *r, struct rect flat, uint32_t colour, int *ret_pixel) {
	double sum[3] = {0}, worst = 0;
	*ret_pixel = 0;
	for (uint32_t y = flat.y; y < flat.y + flat.height; y++) {
		for (uint32_t x = flat.x; x < flat.x + flat.width; x++) {
			uint8_t rgb[3];
			decode_pixel(&r->shown, x, y, rgb);
			for (unsigned i = 0; i < 3; i++) {
				int want = (int)(colour >> (16 - 8 * i) & 255);
				sum[i] += rgb[i] - want;
				*ret_pixel = MAX(*ret_pixel, abs(rgb[i] - want));
			}
		}
	}
	for (unsigned i = 0; i < 3; i++) {
		worst = fmax(worst, fabs(sum[i]) / (flat.width * flat.height));
	}
	return worst;
}

TEST(by_name) {
	check(encoder_by_name("x264") == &encoder_x264);
	check(encoder_by_name("") == NULL);
	check(encoder_by_name("x26") == NULL);
	encoder_x264.destroy(NULL);
}

TEST(config_is_checked) {
	const struct encoder_config good = {.width = 640,
		.height = 480,
		.fps = 60,
		.quality = ENCODER_QUALITY_DEFAULT,
		.threads = 1,
		.use_damage = true};
	struct encoder *encoder = NULL;
	struct encoder_config bad[10];
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		bad[i] = good;
	}
	bad[0].width = 0;
	bad[1].width = 641;
	bad[2].height = 479;
	bad[3].quality = 0;
	bad[4].quality = 52;
	bad[5].threads = 0;
	bad[6].width = bad[6].height = 8192; /* 262,144 macroblocks; level 6.2 has 139,264 */
	bad[7].width = 8194;
	bad[8].height = UINT32_MAX - 1;
	bad[9].threads = 255;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		check_int(encoder_x264.create(&bad[i], &encoder), ==, -EINVAL);
		check(encoder == NULL);
	}
	check_ok(encoder_x264.create(&good, &encoder));
	/* A picture of another size is not for this encoder. */
	struct picture *p = picture_create(640, 482);
	struct access_unit *au = NULL;
	struct encode_request request = {.picture = p, .pts_ns = 1};
	check_int(encoder_x264.encode(encoder, &request, &au), ==, -EINVAL);
	check(au == NULL);
	picture_destroy(p);
	encoder_x264.destroy(encoder);
}

/* What browsers and decoders need to read in an IDR to show each picture at once (lossless order). */
static void check_stream(const struct rig *r, uint8_t level) {
	static const uint8_t order[] = {NAL_TYPE_SPS, NAL_TYPE_PPS, NAL_TYPE_IDR};
	const uint8_t *nal;
	size_t pos = 0, size, n = 0;
	unsigned code;
	while (decode_next_nal(r->au->data, r->au->size, &pos, &nal, &size, &code)) {
		check_int(code, ==, 4);
		check_int(nal[0] & 31, ==, order[MIN(n, ARRAY_SIZE(order) - 1)]);
		n++;
	}
	check_int(pos, ==, r->au->size);
	check_int(n, >=, ARRAY_SIZE(order));

	struct stream_info s;
	check_ok(decode_stream_info(r->au->data, r->au->size, &s));
	check_int(s.profile_idc, ==, 66);
	check_int(s.constraint_flags & 0x40, ==, 0x40); /* Constrained Baseline: A.2.1.1 */
	check_int(s.level_idc, ==, level);
	check_int(s.width, ==, r->picture->width);
	check_int(s.height, ==, r->picture->height);
	check_int(s.num_ref_frames, ==, 1);
	check_int(s.pic_order_cnt_type, ==, 2); /* output order is decoding order */
	check(s.has_colour && !s.full_range);
	check_int(s.primaries, ==, 1);
	check_int(s.transfer, ==, 1);
	check_int(s.matrix, ==, 1);
	check(s.has_restriction);
	check_int(s.num_reorder_frames, ==, 0);
	check_int(s.max_dec_frame_buffering, ==, 1);
	check(!s.cabac && !s.weighted_pred && !s.transform_8x8);
}

TEST_TIMEOUT(all_sizes, 240) {
	static const struct {
		uint32_t width, height;
		uint8_t level; /* Table A-1 at 60 frames/s */
	} sizes[] = {{16, 16, 10}, {18, 34, 10}, {639, 479, 31}, {1366, 768, 42}, {1920, 1080, 42},
		{3840, 2160, 52}};
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct rig r;
		rig_init(&r, sizes[i].width, sizes[i].height, &defaults);
		content_desktop(&r.canvas, 1);
		(void)rig_frame(&r);
		check_stream(&r, sizes[i].level);
		check_int(r.au->dirty_mbs, ==, r.picture->mb_width * r.picture->mb_height);
		check(rig_psnr(&r) > 34);

		canvas_text(&r.canvas, 1, 1, "x", 0xff0000, 0xffffff);
		(void)rig_frame(&r);
		check_int(r.au->dirty_mbs, >=, 1);
		check_int(r.au->dirty_mbs, <=, 2);
		(void)rig_refine(&r, 4);
		check(rig_psnr(&r) >= 45);
		rig_finish(&r);
	}
}

/* No cap on the rate must not give a level that decoders refuse. */
TEST(level_of_any_rate) {
	static const uint32_t rates[] = {0, 1, 240, 1000, UINT32_MAX};
	static const uint8_t levels[] = {42, 40, 52, 52, 52};
	for (size_t i = 0; i < ARRAY_SIZE(rates); i++) {
		struct encoder_config config = defaults;
		config.fps = rates[i];
		struct rig r;
		rig_init(&r, 1920, 1080, &config);
		(void)rig_frame(&r);
		check_stream(&r, levels[i]);
		rig_finish(&r);
	}
}

/* An IDR carries the parameter sets; nothing else does. A later one starts anew for a joiner. */
TEST(idr_on_demand) {
	struct rig r;
	rig_init(&r, 640, 480, &defaults);
	content_desktop(&r.canvas, 2);
	(void)rig_frame(&r);
	check_stream(&r, 31);
	for (unsigned i = 0; i < 5; i++) {
		canvas_text(&r.canvas, 8 + 8 * i, 64, "x", 0, 0xffffff);
		(void)rig_frame(&r);
		struct stream_info s;
		check_int(decode_stream_info(r.au->data, r.au->size, &s), ==, -ENODATA);
	}
	(void)rig_encode(&r, true, 0);
	check_stream(&r, 31);
	decode_destroy(r.decoder);
	r.decoder = decode_create();
	(void)rig_encode(&r, true, 0);
	check(rig_psnr(&r) > 34);
	(void)rig_refine(&r, 4);
	check(rig_psnr(&r) >= 45);
	rig_finish(&r);
}

/* Each picture that is shown is the one that was given, however often damage came before. */
static void random_sequence(const struct encoder_config *config, unsigned frames) {
	struct rig r;
	rig_init(&r, 1366, 768, config);
	content_desktop(&r.canvas, 5);
	(void)rig_frame(&r);
	uint32_t random = 1;
	for (unsigned i = 0; i < frames; i++) {
		random = random * 1664525u + 1013904223u;
		uint32_t x = (random >> 8) % 1366, y = (random >> 12) % 768;
		struct rect d = {x, y, 16 + (random >> 5) % 300, 16 + (random >> 3) % 200};
		switch (random >> 24 & 3) {
		case 0:
			content_page(&r.canvas, d, random, 0x101010, 0xf0f0f0);
			break;
		case 1:
			canvas_fill(&r.canvas, d, random & 0xffffff);
			break;
		case 2:
			canvas_scroll(&r.canvas, d, 16);
			break;
		default:
			canvas_text(&r.canvas, x, y, "hello, world", 0xffff00, 0x000080);
			break;
		}
		(void)rig_frame(&r);
		check(rig_psnr(&r) > 34);
		if (i % 16 == 15) {
			(void)rig_refine(&r, 4);
			check(rig_psnr(&r) >= 45);
		}
	}
	rig_finish(&r);
}

TEST_TIMEOUT(never_drifts, 240) {
	random_sequence(&defaults, 120);
}

TEST_TIMEOUT(never_drifts_without_damage, 240) {
	struct encoder_config config = defaults;
	config.use_damage = false;
	random_sequence(&config, 48);
}

TEST_TIMEOUT(never_drifts_with_threads, 240) {
	struct encoder_config config = defaults;
	config.threads = 2;
	random_sequence(&config, 48);
}

TEST_TIMEOUT(static_screen_costs_nothing, 120) {
	struct rig r;
	rig_init(&r, 1920, 1080, &defaults);
	content_desktop(&r.canvas, 1);
	(void)rig_frame(&r);
	check_int(encoder_x264.refine_passes(r.encoder), >, 0);
	check_int(rig_frame(&r), <, 64);
	check_int(r.au->dirty_mbs, ==, 0);
	check(rect_empty(&r.au->damage));
	check_int(rig_refine(&r, 4), >, 1000);
	double psnr = rig_psnr(&r);
	check(psnr >= 45);
	check_int(rig_frame(&r), <, 64);
	check_int(encoder_x264.refine_passes(r.encoder), ==, 0);
	check(rig_psnr(&r) == psnr);

	/* A key on a refined screen: small, good at once. */
	canvas_text(&r.canvas, 400, 304, "k", 0xc8e0c8, 0x101418);
	check_int(rig_convert(&r), <=, 2);
	check_int(rig_encode(&r, false, 0), <, 500);
	check_int(r.au->damage.width, <=, 32);
	check_int(encoder_x264.refine_passes(r.encoder), ==, 0);
	check(rig_psnr(&r) >= 45);

	/* A window on it: what is refined then is the window, not the screen. */
	content_window(&r.canvas, (struct rect){200, 200, 320, 240}, "new", 9);
	size_t coarse = rig_frame(&r);
	check_int(encoder_x264.refine_passes(r.encoder), >, 0);
	check_int(rig_refine(&r, 4), <, 2 * coarse);
	check(rig_psnr(&r) >= 45);

	/* An IDR is coarse again, and refined again. */
	(void)rig_encode(&r, true, 0);
	check_int(encoder_x264.refine_passes(r.encoder), >, 0);
	check_int(rig_refine(&r, 4), >, 1000);
	check(rig_psnr(&r) >= 45);
	rig_finish(&r);
}

TEST_TIMEOUT(refined_photo, 120) {
	struct rig r;
	rig_init(&r, 640, 480, &defaults);
	canvas_photo(&r.canvas, r.view, 3);
	(void)rig_frame(&r);
	(void)rig_refine(&r, 4);
	check(rig_psnr(&r) >= 45);
	rig_finish(&r);
}

TEST_TIMEOUT(refined_colours, 120) {
	struct rig r;
	rig_init(&r, 1024, 640, &defaults);
	uint32_t random = 7;
	uint32_t colours[32 * 20];
	for (uint32_t i = 0; i < ARRAY_SIZE(colours); i++) {
		random = random * 1664525u + 1013904223u;
		colours[i] = random >> 8;
		canvas_fill(&r.canvas, (struct rect){i % 32 * 32, i / 32 * 32, 32, 32}, colours[i]);
	}
	(void)rig_frame(&r);
	(void)rig_refine(&r, 4);
	unsigned n_pixels = 0;
	for (uint32_t i = 0; i < ARRAY_SIZE(colours); i++) {
		struct rect flat = {i % 32 * 32, i / 32 * 32, 32, 32};
		int pixel;
		double error = colour_error(&r, flat, colours[i], &pixel);
		if (error > 3 || pixel > 6) {
			fail("colour %06x is off by %f, a pixel by %d", colours[i], error, pixel);
		}
		n_pixels += pixel > 3;
	}
	check_int(n_pixels, <=, ARRAY_SIZE(colours) / 25);
	/* Changed when all is refined: written at final quality at once. */
	canvas_fill(&r.canvas, (struct rect){96, 64, 32, 32}, 0x4080c0);
	(void)rig_frame(&r);
	check_int(encoder_x264.refine_passes(r.encoder), ==, 0);
	int pixel;
	check(colour_error(&r, (struct rect){96, 64, 32, 32}, 0x4080c0, &pixel) <= 3);
	check_int(pixel, <=, 4);
	rig_finish(&r);
}

TEST_TIMEOUT(counters_are_readable, 120) {
	struct rig r;
	rig_init(&r, 800, 602, &defaults);
	uint32_t value;
	(void)rig_frame(&r);
	check_int(decode_read_counters(&r.shown, &value), ==, -ENOENT);
	for (uint32_t i = 0; i < 40; i++) {
		uint32_t want = i * 0x9e3779b9u;
		canvas_photo(&r.canvas, r.view, i);
		canvas_counters(&r.canvas, want);
		(void)rig_frame(&r);
		check_ok(decode_read_counters(&r.shown, &value));
		check_int(value, ==, want);
	}
	canvas_counter(&r.canvas, COUNTER_X, COUNTER_TOP_Y, 1);
	(void)rig_frame(&r);
	check_int(decode_read_counters(&r.shown, &value), ==, -EILSEQ);
	rig_finish(&r);
}

/* The largest sum of bytes in any second of a sequence at 60 frames/s. */
static double worst_second(const size_t *sizes, size_t n) {
	size_t worst = 0;
	for (size_t i = 0; i + 60 <= n; i++) {
		size_t sum = 0;
		for (size_t k = 0; k < 60; k++) {
			sum += sizes[i + k];
		}
		worst = MAX(worst, sum);
	}
	return (double)worst * 8;
}

TEST_TIMEOUT(bitrate_is_kept, 240) {
	enum {
		FRAMES = 300
	};
	struct encoder_config config = defaults;
	config.bitrate = 4000000;
	struct rig r;
	rig_init(&r, 1280, 720, &config);
	size_t sizes[FRAMES];
	content_desktop(&r.canvas, 1);
	/* A second of stillness, then a video in a window, a flood of text, stillness again. */
	for (unsigned i = 0; i < FRAMES; i++) {
		if (i >= 60 && i < 150) {
			canvas_photo(&r.canvas, (struct rect){100, 100, 480, 270}, i);
		} else if (i >= 150 && i < 240) {
			struct rect page = {640, 100, 480, 480};
			content_page(&r.canvas, page, i * 100, 0xf0f0f0, 0x202020);
		}
		unsigned refine = 0;
		if (rig_convert(&r) == 0 && i > 0) {
			refine = encoder_x264.refine_passes(r.encoder) > 0;
		}
		sizes[i] = rig_encode(&r, false, refine);
		check(rig_psnr(&r) > 16);
	}
	double worst = worst_second(sizes, FRAMES);
	if (worst > 1.5 * config.bitrate) {
		fail("a second has %.0f bits, with a bitrate of %u", worst, config.bitrate);
	}
	/* And it is used: refined within seconds, though bit by bit. */
	(void)rig_refine(&r, 200);
	check(rig_psnr(&r) >= 45);
	rig_finish(&r);
}

TEST_TIMEOUT(bitrate_changes_without_idr, 240) {
	struct rig r;
	rig_init(&r, 1280, 720, &defaults);
	(void)rig_frame(&r);
	size_t sizes[4][60];
	static const uint32_t bitrates[] = {0, 2000000, 8000000, 0};
	for (unsigned k = 0; k < ARRAY_SIZE(bitrates); k++) {
		check_ok(encoder_x264.set_bitrate(r.encoder, bitrates[k]));
		for (unsigned i = 0; i < 60; i++) {
			canvas_photo(&r.canvas, (struct rect){0, 0, 640, 360}, k * 100 + i);
			sizes[k][i] = rig_frame(&r); /* checks that it is no IDR */
		}
	}
	double seen[4];
	for (unsigned k = 0; k < ARRAY_SIZE(bitrates); k++) {
		seen[k] = worst_second(sizes[k], 60);
	}
	check(seen[0] > 16e6 && seen[3] > 16e6);
	check(seen[1] < 3e6 && seen[1] > 1e6);
	check(seen[2] < 12e6 && seen[2] > 4e6);
	rig_finish(&r);
}

/* A picture that starts its count anew is another one. */
TEST(another_picture) {
	struct rig r;
	rig_init(&r, 320, 240, &defaults);
	content_desktop(&r.canvas, 1);
	for (unsigned i = 0; i < 5; i++) {
		canvas_text(&r.canvas, 0, i * 16, "text", 0xff, 0);
		(void)rig_frame(&r);
	}
	picture_destroy(r.picture);
	r.picture = picture_create(320, 240);
	(void)rig_encode(&r, false, 0);
	check_int(r.au->dirty_mbs, ==, 300);
	check(rig_psnr(&r) > 40);
	rig_finish(&r);
}

TEST(rate_without_bound) {
	struct rate r;
	rate_init(&r, 0);
	struct rate_load load = {.fixed = 1e12};
	check_int(rate_choose(&r, RATE_NEW, &load, 23), ==, 23);
	rate_spend(&r, RATE_NEW, &load, 23, 1u << 30);
	check_int(rate_choose(&r, RATE_IDR, &load, 12), ==, 12);
}

TEST(rate_drains_with_time) {
	struct rate r;
	rate_init(&r, 1000000);
	rate_advance(&r, NSEC_PER_SEC);
	struct rate_load load = {.fixed = 1000};
	check_int(rate_choose(&r, RATE_NEW, &load, 23), ==, 23);
	rate_spend(&r, RATE_NEW, &load, 23, 300000);
	/* More than the bucket holds is in it: nothing fits until 50 ms and more went by. */
	check_int(rate_choose(&r, RATE_NEW, &load, 23), ==, QP_MAX);
	rate_advance(&r, NSEC_PER_SEC + NSEC_PER_SEC / 25);
	check_int(rate_choose(&r, RATE_NEW, &load, 23), ==, QP_MAX);
	rate_advance(&r, NSEC_PER_SEC); /* time does not go back */
	rate_advance(&r, 3 * NSEC_PER_SEC);
	/* Such content was seen to be dear. */
	uint8_t qp = rate_choose(&r, RATE_NEW, &load, 23);
	check_int(qp, >, 23);
	check_int(qp, <, QP_MAX);
	/* What is held well enough is not written again. */
	load = (struct rate_load){0};
	load.above[30] = 1e9;
	check_int(rate_choose(&r, RATE_REFINE, &load, 12), ==, 30);
}
