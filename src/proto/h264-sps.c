/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>

#include "h264-sps.h"
#include "util.h"

#define NAL_TYPE_MASK 0x1fu
#define SPS_HEADER    0x67u /* nal_ref_idc 3, nal_unit_type 7 */

/* Longest set that is parsed: with 255 offsets and two HRDs of 32 entries it has some 3 KiB. */
#define SPS_MAX 4096u

/* Bytes of a set without which there are no constraint flags: header, profile, flags. */
#define FLAGS_AT        2u
#define CONSTRAINT_SET3 0x10u
#define LEVEL_AT        3u
#define LEVEL_1_1       11u
#define LEVEL_1_2       12u

#define EXTENDED_SAR      255u /* Table E-1 */
#define CHROMA_444        3u   /* Table 6-1 */
#define MAX_REF_FRAMES    16u  /* 7.4.2.1.1 */
#define MAX_CPB_COUNT     32u  /* E.2.2: cpb_cnt_minus1 is 0 to 31 */
#define MAX_OFFSETS       255u /* 7.4.2.1.1 */
#define MAX_LOG2_MINUS4   12u  /* of max_frame_num and max_pic_order_cnt_lsb */
#define LOG2_MAX_MV       16u  /* no restriction of motion vectors */
#define MAX_BYTES_DENOM   2u   /* what is inferred without a restriction, E.2.1 */
#define MAX_BITS_MB_DENOM 1u

/* A set without emulation prevention (7.3.1), its NAL header included. */
struct rbsp {
	uint8_t data[SPS_MAX + H264_SPS_GROWTH];
	size_t size; /* bytes */
	size_t pos;  /* bits */
	bool failed; /* something beyond the end, or out of range, was read */
};

/* What matters of a set. */
struct sps {
	uint32_t num_ref_frames;
	size_t vui_flag_at; /* bit position of vui_parameters_present_flag */
	bool has_vui;
	size_t restriction_at; /* bit position of bitstream_restriction_flag; only with a VUI */
	bool has_restriction;
	uint32_t num_reorder_frames, max_dec_frame_buffering;
};

static int rbsp_init(struct rbsp *b, const uint8_t *nal, size_t size) {
	b->size = 0;
	b->pos = 0;
	b->failed = false;
	if (size > SPS_MAX) {
		return -EBADMSG;
	}
	unsigned zeros = 0;
	for (size_t i = 0; i < size; i++) {
		if (zeros == 2) {
			zeros = 0;
			if (nal[i] == 3) {
				continue;
			}
			if (nal[i] < 3) {
				return -EBADMSG; /* 7.4.1 forbids it within a NAL unit */
			}
		}
		zeros = nal[i] == 0 ? zeros + 1 : 0;
		b->data[b->size++] = nal[i];
	}
	return 0;
}

/* u(n), n up to 32. */
static uint32_t read_bits(struct rbsp *b, unsigned n) {
	uint32_t v = 0;
	if (n > b->size * 8 - b->pos) {
		b->failed = true;
		b->pos = b->size * 8;
		return 0;
	}
	for (; n > 0; n--, b->pos++) {
		unsigned byte = b->data[b->pos / 8];
		v = v << 1 | (byte >> (7 - b->pos % 8) & 1);
	}
	return v;
}

static bool read_flag(struct rbsp *b) {
	return read_bits(b, 1) != 0;
}

/* ue(v), 9.1; more than `max` is an error. */
static uint32_t read_ue(struct rbsp *b, uint32_t max) {
	unsigned zeros = 0;
	while (zeros < 32 && !read_flag(b) && !b->failed) {
		zeros++;
	}
	if (zeros >= 32) {
		b->failed = true;
		return 0;
	}
	uint32_t v = (UINT32_C(1) << zeros) - 1 + read_bits(b, zeros);
	if (v > max) {
		b->failed = true;
		return 0;
	}
	return v;
}

/* Signed ones are only passed over: they are coded as unsigned ones are. */
static void skip_ue(struct rbsp *b) {
	(void)read_ue(b, UINT32_MAX - 1);
}

/* Profiles whose sets tell of chroma and scaling lists, 7.3.2.1.1. */
static bool profile_has_chroma(uint8_t profile) {
	static const uint8_t profiles[] = {
		100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135};
	return memchr(profiles, profile, sizeof(profiles)) != NULL;
}

static int parse_chroma(struct rbsp *b) {
	if (read_ue(b, CHROMA_444) == CHROMA_444) {
		(void)read_flag(b); /* separate_colour_plane_flag */
	}
	skip_ue(b);         /* bit_depth_luma_minus8 */
	skip_ue(b);         /* bit_depth_chroma_minus8 */
	(void)read_flag(b); /* qpprime_y_zero_transform_bypass_flag */
	return read_flag(b) ? -EOPNOTSUPP : 0;
}

static void parse_order_count(struct rbsp *b) {
	switch (read_ue(b, 2)) {
	case 0:
		(void)read_ue(b, MAX_LOG2_MINUS4);
		break;
	case 1:
		(void)read_flag(b); /* delta_pic_order_always_zero_flag */
		skip_ue(b);         /* offset_for_non_ref_pic */
		skip_ue(b);         /* offset_for_top_to_bottom_field */
		for (uint32_t n = read_ue(b, MAX_OFFSETS); n > 0; n--) {
			skip_ue(b);
		}
		break;
	default:
		break;
	}
}

/* hrd_parameters, E.1.2. */
static void parse_hrd(struct rbsp *b) {
	uint32_t n = read_ue(b, MAX_CPB_COUNT - 1) + 1;
	(void)read_bits(b, 8); /* scales of bit rate and buffer */
	for (; n > 0; n--) {
		skip_ue(b);
		skip_ue(b);
		(void)read_flag(b);
	}
	(void)read_bits(b, 20); /* lengths of delays and time offset */
}

/* vui_parameters up to bitstream_restriction_flag, E.1.1. */
static void parse_vui(struct rbsp *b) {
	if (read_flag(b) && read_bits(b, 8) == EXTENDED_SAR) {
		(void)read_bits(b, 32); /* width and height of a sample */
	}
	if (read_flag(b)) {
		(void)read_flag(b); /* overscan_appropriate_flag */
	}
	if (read_flag(b)) {
		(void)read_bits(b, 4); /* video_format, video_full_range_flag */
		if (read_flag(b)) {
			(void)read_bits(b, 24); /* primaries, transfer, matrix */
		}
	}
	if (read_flag(b)) {
		skip_ue(b); /* chroma sample locations */
		skip_ue(b);
	}
	if (read_flag(b)) {
		(void)read_bits(b, 32); /* num_units_in_tick */
		(void)read_bits(b, 32); /* time_scale */
		(void)read_flag(b);     /* fixed_frame_rate_flag */
	}
	bool nal_hrd = read_flag(b);
	if (nal_hrd) {
		parse_hrd(b);
	}
	bool vcl_hrd = read_flag(b);
	if (vcl_hrd) {
		parse_hrd(b);
	}
	if (nal_hrd || vcl_hrd) {
		(void)read_flag(b); /* low_delay_hrd_flag */
	}
	(void)read_flag(b); /* pic_struct_present_flag */
}

static void parse_restriction(struct rbsp *b, struct sps *s) {
	(void)read_flag(b); /* motion_vectors_over_pic_boundaries_flag */
	skip_ue(b);         /* max_bytes_per_pic_denom */
	skip_ue(b);         /* max_bits_per_mb_denom */
	skip_ue(b);         /* log2_max_mv_length_horizontal */
	skip_ue(b);         /* log2_max_mv_length_vertical */
	s->num_reorder_frames = read_ue(b, MAX_REF_FRAMES);
	s->max_dec_frame_buffering = read_ue(b, MAX_REF_FRAMES);
}

/* rbsp_trailing_bits and nothing else is left: we understood all that was there. */
static bool at_trailing_bits(struct rbsp *b) {
	if (!read_flag(b) || b->size * 8 - b->pos >= 8) {
		return false;
	}
	return read_bits(b, (unsigned)(b->size * 8 - b->pos)) == 0 && !b->failed;
}

/* -EBADMSG if it is none, -EOPNOTSUPP with scaling lists. */
static int parse_sps(struct rbsp *b, struct sps *s) {
	*s = (struct sps){0};
	(void)read_bits(b, 8); /* NAL header */
	uint8_t profile = (uint8_t)read_bits(b, 8);
	(void)read_bits(b, 16); /* constraint flags, level_idc */
	(void)read_ue(b, H264_SPS_COUNT - 1);
	if (profile_has_chroma(profile) && parse_chroma(b) < 0) {
		return b->failed ? -EBADMSG : -EOPNOTSUPP;
	}
	(void)read_ue(b, MAX_LOG2_MINUS4); /* log2_max_frame_num_minus4 */
	parse_order_count(b);
	s->num_ref_frames = read_ue(b, MAX_REF_FRAMES);
	(void)read_flag(b); /* gaps_in_frame_num_value_allowed_flag */
	skip_ue(b);         /* pic_width_in_mbs_minus1 */
	skip_ue(b);         /* pic_height_in_map_units_minus1 */
	if (!read_flag(b)) {
		(void)read_flag(b); /* mb_adaptive_frame_field_flag */
	}
	(void)read_flag(b); /* direct_8x8_inference_flag */
	if (read_flag(b)) {
		for (unsigned i = 0; i < 4; i++) {
			skip_ue(b); /* cropping */
		}
	}
	s->vui_flag_at = b->pos;
	s->has_vui = read_flag(b);
	if (s->has_vui) {
		parse_vui(b);
		s->restriction_at = b->pos;
		s->has_restriction = read_flag(b);
		if (s->has_restriction) {
			parse_restriction(b, s);
		}
	}
	return at_trailing_bits(b) && !b->failed ? 0 : -EBADMSG;
}

/* Writing goes on at `pos`; what was behind it is gone. */

static void write_bits(struct rbsp *b, uint32_t v, unsigned n) {
	while (n-- > 0) {
		uint8_t mask = (uint8_t)(0x80u >> b->pos % 8);
		uint8_t *p = b->data + b->pos / 8;
		if (mask == 0x80) {
			*p = 0;
		}
		*p = (uint8_t)((*p & ~mask) | (v >> n & 1u ? mask : 0));
		b->pos++;
	}
}

static void write_ue(struct rbsp *b, uint32_t v) {
	unsigned bits = 1;
	while ((v + 1) >> bits > 0) {
		bits++;
	}
	write_bits(b, 0, bits - 1);
	write_bits(b, v + 1, bits);
}

/* Everything before stays, bit for bit; the restriction and the end are ours. */
static void write_restriction(struct rbsp *b, const struct sps *s) {
	b->pos = s->has_vui ? s->restriction_at : s->vui_flag_at;
	if (!s->has_vui) {
		write_bits(b, 1, 1);
		write_bits(b, 0, 8); /* none of the other parts of a VUI */
	}
	write_bits(b, 1, 1);
	write_bits(b, 1, 1); /* motion_vectors_over_pic_boundaries_flag */
	write_ue(b, MAX_BYTES_DENOM);
	write_ue(b, MAX_BITS_MB_DENOM);
	write_ue(b, LOG2_MAX_MV);
	write_ue(b, LOG2_MAX_MV);
	write_ue(b, 0); /* num_reorder_frames */
	write_ue(b, MAX(1u, s->num_ref_frames));
	write_bits(b, 1, 1); /* rbsp_trailing_bits */
	write_bits(b, 0, (unsigned)(-b->pos % 8));
	b->size = b->pos / 8;
}

/* With emulation prevention (7.4.1). */
static size_t write_nal(uint8_t *dst, const struct rbsp *b) {
	size_t size = 0;
	unsigned zeros = 0;
	for (size_t i = 0; i < b->size; i++) {
		if (zeros == 2 && b->data[i] <= 3) {
			dst[size++] = 3;
			zeros = 0;
		}
		zeros = b->data[i] == 0 ? zeros + 1 : 0;
		dst[size++] = b->data[i];
	}
	return size;
}

/*
 * With the flag, level 1.1 of the Baseline, Main and Extended profiles would read as level 1b,
 * which allows less (A.3.1). Level 1.2 allows more than 1.1.
 */
static void set_flags(uint8_t *nal, size_t size) {
	if (size <= FLAGS_AT) {
		return;
	}
	uint8_t profile = nal[1];
	bool may_be_1b = profile == 66 || profile == 77 || profile == 88;
	if (may_be_1b && !(nal[FLAGS_AT] & CONSTRAINT_SET3) && size > LEVEL_AT &&
		nal[LEVEL_AT] == LEVEL_1_1) {
		nal[LEVEL_AT] = LEVEL_1_2;
	}
	nal[FLAGS_AT] |= CONSTRAINT_SET3;
}

size_t h264_sps_rewrite(uint8_t *dst, const uint8_t *nal, size_t size) {
	struct rbsp b;
	struct sps s = {0};
	int r = rbsp_init(&b, nal, size);
	if (r >= 0) {
		r = parse_sps(&b, &s);
	}
	bool promised = s.has_restriction && s.num_reorder_frames == 0 &&
		s.max_dec_frame_buffering == MAX(1u, s.num_ref_frames);
	if (r < 0) {
		memcpy(dst, nal, size);
		set_flags(dst, size);
		return size;
	}
	if (!promised) {
		write_restriction(&b, &s);
		b.data[0] = SPS_HEADER;
	}
	set_flags(b.data, b.size);
	return write_nal(dst, &b);
}

/* Where the next start code begins, of three bytes; `size` if there is none. */
static size_t find_start_code(const uint8_t *data, size_t size, size_t pos) {
	for (; size - pos >= 3; pos++) {
		const uint8_t *one = memchr(data + pos + 2, 1, size - pos - 2);
		if (!one) {
			break;
		}
		pos = (size_t)(one - data) - 2;
		if (data[pos] == 0 && data[pos + 1] == 0) {
			return pos;
		}
	}
	return size;
}

bool h264_next_nal(const uint8_t *data, size_t size, size_t *pos, struct h264_nal *ret) {
	size_t begin = *pos <= size ? find_start_code(data, size, *pos) : size;
	if (begin == size) {
		return false;
	}
	begin += 3;
	size_t end = find_start_code(data, size, begin);
	*pos = end;
	/* Zeros belong to the start code that follows, or to none (B.1.1). */
	while (end > begin && data[end - 1] == 0) {
		end--;
	}
	*ret = (struct h264_nal){
		.data = data + begin,
		.size = end - begin,
		.type = end > begin ? data[begin] & NAL_TYPE_MASK : 0,
	};
	return true;
}

size_t h264_rewrite_keyframe(uint8_t *dst, const uint8_t *au, size_t size) {
	size_t pos = 0, copied = 0, written = 0;
	unsigned n = 0;
	struct h264_nal nal;
	while (n < H264_SPS_COUNT && h264_next_nal(au, size, &pos, &nal)) {
		if (nal.type >= H264_NAL_SLICE && nal.type <= H264_NAL_IDR) {
			break;
		}
		if (nal.type != H264_NAL_SPS) {
			continue;
		}
		size_t begin = (size_t)(nal.data - au);
		memcpy(dst + written, au + copied, begin - copied);
		written += begin - copied;
		written += h264_sps_rewrite(dst + written, nal.data, nal.size);
		copied = begin + nal.size;
		n++;
	}
	if (size > copied) {
		memcpy(dst + written, au + copied, size - copied);
	}
	return written + size - copied;
}
