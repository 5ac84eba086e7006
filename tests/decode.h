/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a viewer would see: decodes H.264 access units with libavcodec, one in and one out, and
 * looks at the result. For unit, integration and VM tests.
 */
#ifndef HELIX_TESTS_DECODE_H
#define HELIX_TESTS_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct decoder;

/* A decoded picture, 4:2:0 in three planes; lives until the next decode_feed or the destroy. */
struct decoded {
	uint32_t width, height; /* pixels, cropped */
	const uint8_t *y, *u, *v;
	uint32_t y_stride, uv_stride; /* bytes a row */
	bool key;                     /* an IDR */
	bool bt709_limited;           /* what the stream says its colours are */
};

/* NULL: out of memory, or no H.264 decoder in this libavcodec. */
struct decoder *decode_create(void);
void decode_destroy(struct decoder *d);

/*
 * Decodes one access unit (Annex B). 0 if exactly one picture came out at once; -ENODATA if the
 * decoder holds it back, -E2BIG if it gave more than one, -EBADMSG for a broken stream (also for
 * errors that the decoder could have concealed).
 */
int decode_feed(struct decoder *d, const void *data, size_t size, struct decoded *ret);

/* The colour of a pixel by ITU-R BT.709, limited range; chroma is that of its 2×2 square. */
void decode_pixel(const struct decoded *p, uint32_t x, uint32_t y, uint8_t ret_rgb[static 3]);

/* Peak signal to noise ratio of two 8-bit planes in dB; INFINITY where they are equal. */
double decode_psnr(const uint8_t *a, size_t a_stride, const uint8_t *b, size_t b_stride,
	uint32_t width, uint32_t height);

/* Both frame counters of a picture, as counter_read; -EILSEQ if they differ: the picture is torn. */
int decode_read_counters(const struct decoded *p, uint32_t *ret);

/* NAL unit types (ITU-T H.264, Table 7-1). */
#define NAL_TYPE_SLICE 1
#define NAL_TYPE_IDR   5
#define NAL_TYPE_SEI   6
#define NAL_TYPE_SPS   7
#define NAL_TYPE_PPS   8

/*
 * Steps through the NAL units of an access unit: `*pos` is 0 at first. Gives the unit without its
 * start code and the length of that (3 or 4). False at the end or at bytes that are no start code.
 */
bool decode_next_nal(const uint8_t *data, size_t size, size_t *pos, const uint8_t **ret_nal,
	size_t *ret_size, unsigned *ret_start_code);

/* Fields of the first sequence parameter set and picture parameter set of an access unit. */
struct stream_info {
	uint8_t profile_idc;
	uint8_t constraint_flags; /* constraint_set0_flag is 0x80 */
	uint8_t level_idc;
	uint32_t width, height; /* cropped */
	uint32_t num_ref_frames;
	uint8_t pic_order_cnt_type;
	bool has_colour;
	bool full_range;
	uint8_t primaries, transfer, matrix; /* ITU-T H.273 */
	bool has_restriction;
	uint32_t num_reorder_frames, max_dec_frame_buffering;
	bool cabac, deblocking_control, weighted_pred, transform_8x8;
};

/* -ENODATA without SPS and PPS, -EBADMSG if one is broken or of a profile above High. */
int decode_stream_info(const uint8_t *data, size_t size, struct stream_info *ret);

#endif
