/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <libavcodec/avcodec.h>
#include <stdlib.h>
#include <string.h>

#include "counter-check.h"
#include "counter.h"

struct counter_check {
	AVCodecContext *decoder;
	AVPacket *packet;
	AVFrame *frame;
	struct counter_report report;
	bool any;
};

int counter_check_create(struct counter_check **ret) {
	struct counter_check *c = calloc(1, sizeof(*c));
	if (!c) {
		return -ENOMEM;
	}
	const AVCodec *codec = avcodec_find_decoder(AV_CODEC_ID_H264);
	int r = codec ? 0 : -ENOTSUP;
	if (r == 0) {
		c->decoder = avcodec_alloc_context3(codec);
		c->packet = av_packet_alloc();
		c->frame = av_frame_alloc();
		r = c->decoder && c->packet && c->frame ? 0 : -ENOMEM;
	}
	if (r == 0) {
		/* Frame threads would hold pictures back. */
		c->decoder->thread_count = 1;
		c->decoder->flags |= AV_CODEC_FLAG_LOW_DELAY;
		r = avcodec_open2(c->decoder, codec, NULL) < 0 ? -ENOTSUP : 0;
	}
	if (r < 0) {
		counter_check_destroy(c);
		return r;
	}
	av_log_set_level(AV_LOG_ERROR);
	*ret = c;
	return 0;
}

void counter_check_destroy(struct counter_check *c) {
	if (!c) {
		return;
	}
	av_frame_free(&c->frame);
	av_packet_free(&c->packet);
	avcodec_free_context(&c->decoder);
	free(c);
}

static void check_picture(struct counter_check *c) {
	struct counter_report *r = &c->report;
	const AVFrame *f = c->frame;
	struct counter_planes planes = {
		.width = (uint32_t)f->width,
		.height = (uint32_t)f->height,
		.y = f->data[0],
		.u = f->data[1],
		.v = f->data[2],
		.y_stride = (size_t)f->linesize[0],
		.uv_stride = (size_t)f->linesize[1],
		.uv_step = 1,
	};
	uint32_t top, bottom;
	r->decoded++;
	if ((f->format != AV_PIX_FMT_YUV420P && f->format != AV_PIX_FMT_YUVJ420P) ||
		planes.height < COUNTER_MIN_HEIGHT ||
		counter_read(&planes, COUNTER_X, COUNTER_TOP_Y, &top) < 0 ||
		counter_read(&planes, COUNTER_X, counter_bottom_y(planes.height), &bottom) < 0) {
		r->unreadable++;
		return;
	}
	r->torn += top != bottom;
	if (!c->any) {
		r->first = top;
	} else if (top < r->last) {
		r->backwards++;
	} else if (top == r->last) {
		r->repeated++;
	} else {
		r->skipped += top - r->last - 1;
	}
	c->any = true;
	r->last = top;
}

void counter_check_frame(struct counter_check *c, const uint8_t *data, size_t size) {
	/* The decoder reads past the end: it wants padding, so a copy. */
	if (av_new_packet(c->packet, (int)size) < 0) {
		c->report.undecoded++;
		return;
	}
	memcpy(c->packet->data, data, size);
	int r = avcodec_send_packet(c->decoder, c->packet);
	av_packet_unref(c->packet);
	if (r < 0) {
		c->report.undecoded++;
		return;
	}
	unsigned n = 0;
	while (avcodec_receive_frame(c->decoder, c->frame) == 0) {
		check_picture(c);
		n++;
	}
	c->report.held_back += n == 0;
}

void counter_check_get_report(const struct counter_check *c, struct counter_report *ret) {
	*ret = c->report;
}

bool counter_report_is_good(const struct counter_report *r) {
	return r->decoded > 0 && r->undecoded == 0 && r->held_back == 0 && r->unreadable == 0 &&
		r->torn == 0 && r->backwards == 0;
}
