/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>

#include "avcodec.h"
#include "proto/h264-sps.h"
#include "util.h"

static const uint8_t start_code[4] = {0, 0, 0, 1};

struct contents {
	bool slice, idr, sps, pps;
	size_t size; /* most that it takes when written */
};

/* What decoders need; not delimiters, messages (SEI), ends of sequences and filling. */
static bool wanted(const struct h264_nal *nal) {
	return nal->size > 0 &&
		((nal->type >= H264_NAL_SLICE && nal->type <= H264_NAL_IDR) ||
			nal->type == H264_NAL_SPS || nal->type == H264_NAL_PPS);
}

static struct contents look_at(const uint8_t *data, size_t size) {
	struct contents c = {0};
	struct h264_nal nal;
	size_t pos = 0;
	while (h264_next_nal(data, size, &pos, &nal)) {
		if (!wanted(&nal)) {
			continue;
		}
		c.idr |= nal.type == H264_NAL_IDR;
		c.sps |= nal.type == H264_NAL_SPS;
		c.pps |= nal.type == H264_NAL_PPS;
		c.slice |= nal.type >= H264_NAL_SLICE && nal.type <= H264_NAL_IDR;
		c.size += sizeof(start_code) + nal.size +
			(nal.type == H264_NAL_SPS ? H264_SPS_GROWTH : 0);
	}
	return c;
}

static size_t write_nals(uint8_t *dst, const uint8_t *data, size_t size) {
	struct h264_nal nal;
	size_t pos = 0, n = 0;
	while (h264_next_nal(data, size, &pos, &nal)) {
		if (!wanted(&nal)) {
			continue;
		}
		memcpy(dst + n, start_code, sizeof(start_code));
		n += sizeof(start_code);
		if (nal.type == H264_NAL_SPS) {
			n += h264_sps_rewrite(dst + n, nal.data, nal.size);
		} else {
			memcpy(dst + n, nal.data, nal.size);
			n += nal.size;
		}
	}
	return n;
}

int avcodec_make_access_unit(const uint8_t *data, size_t size, const uint8_t *extradata,
	size_t extradata_size, struct access_unit **ret) {
	struct contents in = look_at(data, size);
	struct contents extra = {0};
	if (in.idr && !(in.sps && in.pps) && extradata) {
		extra = look_at(extradata, extradata_size);
	}
	if (!in.slice || extra.slice ||
		(in.idr && !((in.sps || extra.sps) && (in.pps || extra.pps)))) {
		return -EIO;
	}
	struct access_unit *au = access_unit_create(extra.size + in.size);
	if (!au) {
		return -ENOMEM;
	}
	au->size = extra.size ? write_nals(au->data, extradata, extradata_size) : 0;
	au->size += write_nals(au->data + au->size, data, size);
	au->keyframe = in.idr;
	*ret = au;
	return 0;
}
