/* SPDX-License-Identifier: GPL-2.0-or-later */
/* NAL units and parameter sets (ITU-T H.264, 7.3.2.1, 7.3.2.2, E.1.1), read without libavcodec. */
#include <errno.h>
#include <string.h>

#include "decode.h"
#include "util.h"

#define RBSP_MAX 256 /* bytes of a parameter set that are looked at */

struct bits {
	uint8_t data[RBSP_MAX];
	size_t size; /* bytes */
	size_t pos;  /* bits */
	bool failed; /* something beyond the end was asked for */
};

static size_t start_code_at(const uint8_t *data, size_t size, size_t pos) {
	if (size - pos >= 3 && data[pos] == 0 && data[pos + 1] == 0 && data[pos + 2] == 1) {
		return 3;
	}
	if (size - pos >= 4 && memcmp(data + pos, "\0\0\0\1", 4) == 0) {
		return 4;
	}
	return 0;
}

bool decode_next_nal(const uint8_t *data, size_t size, size_t *pos, const uint8_t **ret_nal,
	size_t *ret_size, unsigned *ret_start_code) {
	size_t code = *pos < size ? start_code_at(data, size, *pos) : 0;
	if (code == 0) {
		return false;
	}
	size_t begin = *pos + code, end = begin;
	while (end < size && start_code_at(data, size, end) == 0) {
		end++;
	}
	*ret_nal = data + begin;
	*ret_size = end - begin;
	*ret_start_code = (unsigned)code;
	*pos = end;
	return end > begin;
}

/* The payload behind the NAL header, without emulation prevention bytes (7.4.1). */
static void bits_init(struct bits *b, const uint8_t *nal, size_t size) {
	*b = (struct bits){0};
	unsigned zeros = 0;
	for (size_t i = 1; i < size && b->size < RBSP_MAX; i++) {
		if (zeros >= 2 && nal[i] == 3) {
			zeros = 0;
			continue;
		}
		zeros = nal[i] == 0 ? zeros + 1 : 0;
		b->data[b->size++] = nal[i];
	}
}

static uint32_t get_bits(struct bits *b, unsigned n) {
	uint32_t v = 0;
	for (; n > 0; n--, b->pos++) {
		if (b->pos / 8 >= b->size) {
			b->failed = true;
			return 0;
		}
		v = v << 1 | (b->data[b->pos / 8] >> (7 - b->pos % 8) & 1u);
	}
	return v;
}

/* ue(v) of 9.1; se(v) takes as many bits, so this skips one, too. */
static uint32_t get_ue(struct bits *b) {
	unsigned zeros = 0;
	while (get_bits(b, 1) == 0) {
		if (b->failed || ++zeros > 31) {
			b->failed = true;
			return 0;
		}
	}
	return (1u << zeros) - 1 + get_bits(b, zeros);
}

static void skip_hrd(struct bits *b) {
	uint32_t count = get_ue(b) + 1;
	get_bits(b, 8);
	for (uint32_t i = 0; i < count && !b->failed; i++) {
		get_ue(b);
		get_ue(b);
		get_bits(b, 1);
	}
	get_bits(b, 20);
}

static void parse_vui(struct bits *b, struct stream_info *s) {
	if (get_bits(b, 1) && get_bits(b, 8) == 255) {
		get_bits(b, 32); /* sar_width, sar_height */
	}
	if (get_bits(b, 1)) {
		get_bits(b, 1); /* overscan_appropriate_flag */
	}
	if (get_bits(b, 1)) {
		get_bits(b, 3); /* video_format */
		s->full_range = get_bits(b, 1);
		s->has_colour = get_bits(b, 1);
		if (s->has_colour) {
			s->primaries = (uint8_t)get_bits(b, 8);
			s->transfer = (uint8_t)get_bits(b, 8);
			s->matrix = (uint8_t)get_bits(b, 8);
		}
	}
	if (get_bits(b, 1)) {
		get_ue(b); /* chroma_sample_loc_type_top_field */
		get_ue(b);
	}
	if (get_bits(b, 1)) {
		get_bits(b, 32); /* num_units_in_tick */
		get_bits(b, 32); /* time_scale */
		get_bits(b, 1);
	}
	bool nal_hrd = get_bits(b, 1);
	if (nal_hrd) {
		skip_hrd(b);
	}
	bool vcl_hrd = get_bits(b, 1);
	if (vcl_hrd) {
		skip_hrd(b);
	}
	if (nal_hrd || vcl_hrd) {
		get_bits(b, 1); /* low_delay_hrd_flag */
	}
	get_bits(b, 1); /* pic_struct_present_flag */
	s->has_restriction = get_bits(b, 1);
	if (s->has_restriction) {
		get_bits(b, 1); /* motion_vectors_over_pic_boundaries_flag */
		get_ue(b);
		get_ue(b);
		get_ue(b);
		get_ue(b);
		s->num_reorder_frames = get_ue(b);
		s->max_dec_frame_buffering = get_ue(b);
	}
}

static int parse_sps(const uint8_t *nal, size_t size, struct stream_info *s) {
	struct bits b;
	bits_init(&b, nal, size);
	s->profile_idc = (uint8_t)get_bits(&b, 8);
	s->constraint_flags = (uint8_t)get_bits(&b, 8);
	s->level_idc = (uint8_t)get_bits(&b, 8);
	get_ue(&b); /* seq_parameter_set_id */
	if (s->profile_idc == 100) {
		if (get_ue(&b) != 1 || get_ue(&b) != 0 || get_ue(&b) != 0 || get_bits(&b, 2) != 0) {
			return -EBADMSG; /* not 4:2:0, not 8 bits, lossless, or scaling lists */
		}
	} else if (s->profile_idc != 66 && s->profile_idc != 77) {
		return -EBADMSG;
	}
	get_ue(&b); /* log2_max_frame_num_minus4 */
	s->pic_order_cnt_type = (uint8_t)get_ue(&b);
	if (s->pic_order_cnt_type == 0) {
		get_ue(&b);
	} else if (s->pic_order_cnt_type == 1) {
		return -EBADMSG;
	}
	s->num_ref_frames = get_ue(&b);
	get_bits(&b, 1); /* gaps_in_frame_num_value_allowed_flag */
	s->width = (get_ue(&b) + 1) * 16;
	s->height = (get_ue(&b) + 1) * 16;
	if (!get_bits(&b, 1)) {
		return -EBADMSG; /* interlaced */
	}
	get_bits(&b, 1); /* direct_8x8_inference_flag */
	if (get_bits(&b, 1)) {
		uint32_t left = get_ue(&b), right = get_ue(&b), top = get_ue(&b);
		s->width -= 2 * (left + right);
		s->height -= 2 * (top + get_ue(&b));
	}
	if (get_bits(&b, 1)) {
		parse_vui(&b, s);
	}
	return b.failed ? -EBADMSG : 0;
}

static int parse_pps(const uint8_t *nal, size_t size, struct stream_info *s) {
	struct bits b;
	bits_init(&b, nal, size);
	get_ue(&b);
	get_ue(&b);
	s->cabac = get_bits(&b, 1);
	get_bits(&b, 1);
	if (get_ue(&b) != 0) {
		return -EBADMSG; /* slice groups */
	}
	get_ue(&b);
	get_ue(&b);
	s->weighted_pred = get_bits(&b, 1);
	get_bits(&b, 2); /* weighted_bipred_idc */
	get_ue(&b);
	get_ue(&b);
	get_ue(&b);
	s->deblocking_control = get_bits(&b, 1);
	get_bits(&b, 2); /* constrained_intra_pred_flag, redundant_pic_cnt_present_flag */
	/* More than the stop bit left (7.2): the fields of High profile. */
	size_t last = b.size * 8;
	while (last > 0 && !(b.data[(last - 1) / 8] >> (7 - (last - 1) % 8) & 1)) {
		last--;
	}
	s->transform_8x8 = b.pos + 1 < last && get_bits(&b, 1);
	return b.failed ? -EBADMSG : 0;
}

int decode_stream_info(const uint8_t *data, size_t size, struct stream_info *ret) {
	struct stream_info s = {0};
	const uint8_t *nal;
	size_t pos = 0, n;
	unsigned code;
	bool sps = false, pps = false;

	while (decode_next_nal(data, size, &pos, &nal, &n, &code)) {
		int r = 0;
		if ((nal[0] & 31) == NAL_TYPE_SPS && !sps) {
			r = parse_sps(nal, n, &s);
			sps = true;
		} else if ((nal[0] & 31) == NAL_TYPE_PPS && !pps) {
			r = parse_pps(nal, n, &s);
			pps = true;
		}
		if (r < 0) {
			return r;
		}
	}
	if (!sps || !pps) {
		return -ENODATA;
	}
	*ret = s;
	return 0;
}
