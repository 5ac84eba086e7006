/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Parameter sets before and after. They are written here bit by bit as ITU-T H.264 7.3.2.1 has
 * them, and read back by the tests' own reader (stream-info.c).
 */
#include <stdlib.h>

#include "decode.h"
#include "proto/h264-sps.h"
#include "test.h"
#include "util.h"

struct writer {
	uint8_t data[6000];
	size_t bits;
};

static void put(struct writer *w, uint32_t v, unsigned n) {
	while (n-- > 0) {
		if (v >> n & 1) {
			w->data[w->bits / 8] |= (uint8_t)(0x80 >> w->bits % 8);
		}
		w->bits++;
	}
}

static void put_ue(struct writer *w, uint32_t v) {
	unsigned n = 31u - (unsigned)__builtin_clz(v + 1);
	put(w, 0, n);
	put(w, v + 1, n + 1);
}

/* What a set says besides the usual. */
struct spec {
	uint8_t profile, flags, level;
	uint32_t refs;
	uint32_t poc_type, offsets;
	bool scaling, crop, vui, colour, timing, hrd, restriction;
	uint32_t tick; /* of the timing; 0 needs emulation prevention */
	uint32_t reorder, buffering;
};

static void put_hrd(struct writer *w) {
	put_ue(w, 1);
	put(w, 0x12, 8);
	for (unsigned i = 0; i < 2; i++) {
		put_ue(w, 1000 + i);
		put_ue(w, 2000 + i);
		put(w, i, 1);
	}
	put(w, 0x12345, 20);
}

static void put_vui(struct writer *w, const struct spec *s) {
	put(w, 1, 1); /* aspect ratio, extended */
	put(w, 255, 8);
	put(w, 4, 16);
	put(w, 3, 16);
	put(w, 3, 2); /* overscan */
	put(w, s->colour, 1);
	if (s->colour) {
		put(w, 5 << 1 | 0, 4);
		put(w, 1, 1);
		put(w, 0x010101, 24);
	}
	put(w, 1, 1); /* chroma locations */
	put_ue(w, 1);
	put_ue(w, 2);
	put(w, s->timing, 1);
	if (s->timing) {
		put(w, s->tick, 32);
		put(w, 120, 32);
		put(w, 1, 1);
	}
	put(w, s->hrd, 1);
	if (s->hrd) {
		put_hrd(w);
	}
	put(w, s->hrd, 1);
	if (s->hrd) {
		put_hrd(w);
		put(w, 1, 1);
	}
	put(w, 1, 1); /* pic_struct_present_flag */
	put(w, s->restriction, 1);
	if (s->restriction) {
		put(w, 1, 1);
		put_ue(w, 2);
		put_ue(w, 1);
		put_ue(w, 16);
		put_ue(w, 16);
		put_ue(w, s->reorder);
		put_ue(w, s->buffering);
	}
}

/* The set as a NAL unit; returns its size. */
static size_t make_sps(const struct spec *s, uint8_t *nal) {
	struct writer w = {0};
	put(&w, 0x67, 8);
	put(&w, s->profile, 8);
	put(&w, s->flags, 8);
	put(&w, s->level, 8);
	put_ue(&w, 0);
	if (s->profile == 100) {
		put_ue(&w, 1);
		put_ue(&w, 0);
		put_ue(&w, 0);
		put(&w, 0, 1);
		put(&w, s->scaling, 1);
		if (s->scaling) {
			put(&w, 0, 8);
		}
	}
	put_ue(&w, 4);
	put_ue(&w, s->poc_type);
	if (s->poc_type == 0) {
		put_ue(&w, 6);
	} else if (s->poc_type == 1) {
		put(&w, 1, 1);
		put_ue(&w, 3);
		put_ue(&w, 4);
		put_ue(&w, s->offsets);
		for (uint32_t i = 0; i < s->offsets; i++) {
			put_ue(&w, i * 1000);
		}
	}
	put_ue(&w, s->refs);
	put(&w, 0, 1);
	put_ue(&w, 119);
	put_ue(&w, 67);
	put(&w, 3, 2); /* frame_mbs_only_flag, direct_8x8_inference_flag */
	put(&w, s->crop, 1);
	if (s->crop) {
		put_ue(&w, 0);
		put_ue(&w, 0);
		put_ue(&w, 0);
		put_ue(&w, 4);
	}
	put(&w, s->vui, 1);
	if (s->vui) {
		put_vui(&w, s);
	}
	put(&w, 1, 1);
	size_t n = 0, zeros = 0;
	for (size_t i = 0; i < DIV_ROUND_UP(w.bits, 8); i++) {
		if (zeros == 2 && w.data[i] <= 3) {
			nal[n++] = 3;
			zeros = 0;
		}
		zeros = w.data[i] == 0 ? zeros + 1 : 0;
		nal[n++] = w.data[i];
	}
	return n;
}

static const uint8_t pps[] = {0x68, 0xce, 0x38, 0x80};

static int read_info(const uint8_t *sps, size_t n, struct stream_info *ret) {
	uint8_t au[7000] = {0, 0, 0, 1};
	memcpy(au + 4, sps, n);
	memcpy(au + 4 + n, "\0\0\0\1", 4);
	memcpy(au + 8 + n, pps, sizeof(pps));
	return decode_stream_info(au, 8 + n + sizeof(pps), ret);
}

/* Compares what both say but for the promise, and that this is made. */
static void check_rewritten(const struct spec *s) {
	uint8_t in[6000], out[6000];
	struct stream_info a, b;
	size_t n = make_sps(s, in);
	size_t m = h264_sps_rewrite(out, in, n);
	check_int(m, <=, n + H264_SPS_GROWTH);
	check_ok(read_info(in, n, &a));
	check_ok(read_info(out, m, &b));
	check_int(b.profile_idc, ==, s->profile);
	check_int(b.constraint_flags, ==, s->flags | 0x10);
	check_int(b.level_idc, ==, s->level);
	check_int(b.width, ==, 1920);
	check_int(b.height, ==, s->crop ? 1080 : 1088);
	check_int(b.num_ref_frames, ==, s->refs);
	check_int(b.has_colour, ==, s->vui && s->colour);
	check_int(b.full_range, ==, a.full_range);
	check_int(b.matrix, ==, a.matrix);
	check(b.has_restriction);
	check_int(b.num_reorder_frames, ==, 0);
	check_int(b.max_dec_frame_buffering, ==, MAX(1u, s->refs));
	/* Again: it is kept as it is. */
	uint8_t again[6000];
	check_int(h264_sps_rewrite(again, out, m), ==, m);
	check(memcmp(again, out, m) == 0);
	/* And what the same encoder would have written with the promise in the first place. */
	if (s->vui) {
		struct spec good = *s;
		good.flags |= 0x10;
		good.restriction = true;
		good.reorder = 0;
		good.buffering = MAX(1u, s->refs);
		check_int(make_sps(&good, again), ==, m);
		check(memcmp(again, out, m) == 0);
	}
}

TEST(every_kind) {
	for (unsigned i = 0; i < 1u << 8; i++) {
		for (uint32_t refs = 0; refs <= 4; refs++) {
			struct spec s = {
				.profile = i & 1 ? 100 : 66,
				.flags = i & 1 ? 0 : 0xc0,
				.level = 40,
				.refs = refs,
				.poc_type = i & 2 ? 0 : 2,
				.crop = i & 4,
				.vui = i & 8,
				.colour = i & 16,
				.timing = i & 32,
				.tick = refs, /* with 0 and 1: emulation prevention */
				.hrd = i & 64,
				.restriction = i & 128,
				.reorder = refs / 2,
				.buffering = 4,
			};
			check_rewritten(&s);
		}
	}
}

TEST(golden) {
	/* 1920x1080 Baseline, level 4.0, one reference, no VUI. */
	static const uint8_t in[] = {
		0x67, 0x42, 0xc0, 0x28, 0x95, 0xa0, 0x1e, 0x00, 0x89, 0xf9, 0x50};
	static const uint8_t want[] = {0x67, 0x42, 0xd0, 0x28, 0x95, 0xa0, 0x1e, 0x00, 0x89, 0xf9,
		0x60, 0x1b, 0x41, 0x10, 0x8d, 0x40};
	uint8_t out[64];
	struct stream_info info;
	check_ok(read_info(in, sizeof(in), &info));
	check_int(info.width, ==, 1920);
	check_int(info.height, ==, 1080);
	check_int(h264_sps_rewrite(out, in, sizeof(in)), ==, sizeof(want));
	check(memcmp(out, want, sizeof(want)) == 0);
}

TEST(order_counts) {
	struct spec s = {.profile = 66, .level = 40, .refs = 1, .poc_type = 1, .offsets = 255};
	uint8_t in[6000], out[6000];
	size_t n = make_sps(&s, in);
	size_t m = h264_sps_rewrite(out, in, n);
	check_int(m, >, n);
	check_int(out[2], ==, 0x10);
	check_int(h264_sps_rewrite(in, out, m), ==, m);
	check(memcmp(in, out, m) == 0);
}

static void check_only_flag(const uint8_t *in, size_t n) {
	uint8_t out[6000], want[6000];
	memcpy(want, in, n);
	if (n > 2) {
		want[2] |= 0x10;
	}
	check_int(h264_sps_rewrite(out, in, n), ==, n);
	check(memcmp(out, want, n) == 0);
}

TEST(what_cannot_be_parsed) {
	struct spec s = {.profile = 66, .level = 40, .refs = 1, .vui = true, .timing = true};
	uint8_t nal[6000] = {0};
	size_t n = make_sps(&s, nal);
	for (size_t i = 1; i < n; i++) {
		check_only_flag(nal, i); /* cut off */
	}
	nal[n] = 0x80; /* more behind the end */
	check_only_flag(nal, n + 1);
	memset(nal + n, 0xff, sizeof(nal) - n);
	check_only_flag(nal, 4097); /* longer than any */

	struct spec scaling = {.profile = 100, .level = 40, .refs = 1, .scaling = true};
	check_only_flag(nal, make_sps(&scaling, nal));
	struct spec refs = {.profile = 66, .level = 40, .refs = 17};
	check_only_flag(nal, make_sps(&refs, nal));
	static const uint8_t unescaped[] = {0x67, 0x42, 0xc0, 0x28, 0x00, 0x00, 0x02, 0x80};
	check_only_flag(unescaped, sizeof(unescaped));
}

TEST(level_1_1_does_not_become_1b) {
	struct spec s = {.profile = 66, .level = 11, .refs = 1};
	uint8_t in[64], out[64];
	(void)h264_sps_rewrite(out, in, make_sps(&s, in));
	check_int(out[2], ==, 0x10);
	check_int(out[3], ==, 12);
	s.flags = 0x10; /* it is 1b */
	(void)h264_sps_rewrite(out, in, make_sps(&s, in));
	check_int(out[3], ==, 11);
	s.flags = 0;
	s.profile = 100; /* has no 1b of this kind */
	(void)h264_sps_rewrite(out, in, make_sps(&s, in));
	check_int(out[3], ==, 11);
}

/* One access unit as it is, and as it should become. */
struct pair {
	uint8_t before[512], after[512];
	size_t n_before, n_after;
};

static void add(struct pair *p, const void *before, size_t n, const void *after, size_t m) {
	memcpy(p->before + p->n_before, before, n);
	memcpy(p->after + p->n_after, after, m);
	p->n_before += n;
	p->n_after += m;
}

TEST(access_units) {
	struct spec s = {.profile = 66, .level = 40, .refs = 1, .crop = true};
	uint8_t sps[64], want[64], out[512 + H264_KEYFRAME_GROWTH];
	size_t n = make_sps(&s, sps), m = h264_sps_rewrite(want, sps, n);
	/* A delimiter, start codes of 3 and 4 bytes and with more zeros; a slice that looks odd. */
	static const uint8_t head[] = {0, 0, 0, 1, 9, 0xf0, 0, 0, 1};
	static const uint8_t between[] = {0, 0, 0, 0, 0, 1};
	static const uint8_t tail[] = {0, 0, 1, 0x65, 0x88, 0, 0, 3, 0, 0, 0, 1, 0x67, 1, 2, 3, 0};
	struct pair p = {0};
	add(&p, head, sizeof(head), head, sizeof(head));
	add(&p, sps, n, want, m);
	add(&p, between, sizeof(between), between, sizeof(between));
	add(&p, pps, sizeof(pps), pps, sizeof(pps));
	add(&p, between, sizeof(between), between, sizeof(between));
	add(&p, sps, n, want, m);
	add(&p, tail, sizeof(tail), tail, sizeof(tail));
	check_int(h264_rewrite_keyframe(out, p.before, p.n_before), ==, p.n_after);
	check(memcmp(out, p.after, p.n_after) == 0);

	size_t pos = 0;
	struct h264_nal nal;
	static const uint8_t types[] = {9, 7, 8, 7, 5, 7};
	for (size_t i = 0; i < sizeof(types); i++) {
		check(h264_next_nal(out, p.n_after, &pos, &nal));
		check_int(nal.type, ==, types[i]);
	}
	check(!h264_next_nal(out, p.n_after, &pos, &nal));
}

TEST(many_sets_and_none) {
	enum {
		SETS = H264_SPS_COUNT + 8
	};
	struct spec s = {.profile = 66, .level = 40, .refs = 1};
	uint8_t nal[64], au[SETS * 64], out[sizeof(au) + H264_KEYFRAME_GROWTH];
	size_t n = make_sps(&s, nal), size = 0;
	for (unsigned i = 0; i < SETS; i++) {
		memcpy(au + size, "\0\0\1", 3);
		memcpy(au + size + 3, nal, n);
		size += 3 + n;
	}
	size_t m = h264_sps_rewrite(out, nal, n) - n;
	check_int(h264_rewrite_keyframe(out, au, size), ==, size + H264_SPS_COUNT * m);
	check_int(h264_rewrite_keyframe(out, au, 0), ==, 0);
	check_int(h264_rewrite_keyframe(out, (const uint8_t *)"\0\0\1", 3), ==, 3);
	check_int(h264_rewrite_keyframe(out, (const uint8_t *)"abc", 3), ==, 3);
	check(memcmp(out, "abc", 3) == 0);
}
