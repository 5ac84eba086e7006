/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sequence parameter sets (ITU-T H.264, 7.3.2.1 and E.1.1) that promise decoders that pictures are
 * shown in the order in which they come. Without that promise browsers hold back a few pictures
 * each. Pure: bytes in, bytes out; whatever the bytes are.
 *
 * The promise is constraint_set3_flag, and a bitstream_restriction with num_reorder_frames 0 and
 * max_dec_frame_buffering no larger than what is referred to. It is for streams that keep it: those
 * without B pictures, which are all of ours.
 */
#ifndef HELIX_PROTO_H264_SPS_H
#define HELIX_PROTO_H264_SPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* nal_unit_type, Table 7-1. */
enum h264_nal_type {
	H264_NAL_SLICE = 1,
	H264_NAL_IDR = 5,
	H264_NAL_SEI = 6,
	H264_NAL_SPS = 7,
	H264_NAL_PPS = 8,
	H264_NAL_AUD = 9,
	H264_NAL_FILLER = 12,
};

/* One NAL unit of a byte stream (Annex B). */
struct h264_nal {
	const uint8_t *data; /* its header, then the rest; no start code, no zeros at the end */
	size_t size;         /* 0: start codes with nothing between them */
	uint8_t type;        /* enum h264_nal_type, or another up to 31 */
};

/*
 * Steps through the NAL units of a byte stream: `*pos` is 0 at first, and then where the unit ends.
 * Bytes before the first start code are passed over. False at the end.
 */
bool h264_next_nal(const uint8_t *data, size_t size, size_t *pos, struct h264_nal *ret);

/* Most by which one parameter set grows. */
#define H264_SPS_GROWTH 16u
/* Parameter sets of one stream (7.4.2.1.1: seq_parameter_set_id is 0 to 31). */
#define H264_SPS_COUNT 32u
/* Most by which h264_rewrite_keyframe makes an access unit grow. */
#define H264_KEYFRAME_GROWTH (H264_SPS_GROWTH * H264_SPS_COUNT)

/*
 * Writes the parameter set `nal` (with its header, without start code) with the promise to `dst`,
 * which has room for size + H264_SPS_GROWTH and does not overlap it. Returns the size written.
 * What cannot be parsed, and one with scaling lists, gets constraint_set3_flag only.
 */
size_t h264_sps_rewrite(uint8_t *dst, const uint8_t *nal, size_t size);

/*
 * Copies an access unit, Annex B, to `dst`, which has room for size + H264_KEYFRAME_GROWTH and does
 * not overlap it; every parameter set before the first slice is rewritten, of more than
 * H264_SPS_COUNT only the first ones. All other bytes, start codes too, are as they were. Returns
 * the size written.
 */
size_t h264_rewrite_keyframe(uint8_t *dst, const uint8_t *au, size_t size);

#endif
