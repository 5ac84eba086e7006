/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "decode.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <libavcodec/avcodec.h>

#include "libhelix/counter.h"
#include "util.h"

struct decoder {
	AVCodecContext *codec;
	AVPacket *packet;
	AVFrame *frame, *extra;
};

struct decoder *decode_create(void) {
	const AVCodec *codec = avcodec_find_decoder(AV_CODEC_ID_H264);
	struct decoder *d = calloc(1, sizeof(*d));
	if (!codec || !d) {
		free(d);
		return NULL;
	}
	av_log_set_level(AV_LOG_FATAL);
	d->codec = avcodec_alloc_context3(codec);
	d->packet = av_packet_alloc();
	d->frame = av_frame_alloc();
	d->extra = av_frame_alloc();
	if (!d->codec || !d->packet || !d->frame || !d->extra) {
		decode_destroy(d);
		return NULL;
	}
	/* As a browser does for a live stream: no frame threads, which would each hold a picture. */
	d->codec->thread_count = 1;
	d->codec->flags |= AV_CODEC_FLAG_LOW_DELAY;
	d->codec->err_recognition = AV_EF_BITSTREAM | AV_EF_BUFFER | AV_EF_EXPLODE;
	if (avcodec_open2(d->codec, codec, NULL) < 0) {
		decode_destroy(d);
		return NULL;
	}
	return d;
}

void decode_destroy(struct decoder *d) {
	if (!d) {
		return;
	}
	av_frame_free(&d->extra);
	av_frame_free(&d->frame);
	av_packet_free(&d->packet);
	avcodec_free_context(&d->codec);
	free(d);
}

int decode_feed(struct decoder *d, const void *data, size_t size, struct decoded *ret) {
	if (size > INT32_MAX || av_new_packet(d->packet, (int)size) < 0) {
		return -ENOMEM;
	}
	memcpy(d->packet->data, data, size);
	int r = avcodec_send_packet(d->codec, d->packet);
	av_packet_unref(d->packet);
	if (r < 0) {
		return -EBADMSG;
	}
	av_frame_unref(d->frame);
	r = avcodec_receive_frame(d->codec, d->frame);
	if (r < 0) {
		return r == AVERROR(EAGAIN) ? -ENODATA : -EBADMSG;
	}
	if (avcodec_receive_frame(d->codec, d->extra) == 0) {
		av_frame_unref(d->extra);
		return -E2BIG;
	}
	const AVFrame *f = d->frame;
	bool known = f->format == AV_PIX_FMT_YUV420P || f->format == AV_PIX_FMT_YUVJ420P;
	if (!known || f->decode_error_flags != 0 || (f->flags & AV_FRAME_FLAG_CORRUPT)) {
		return -EBADMSG;
	}
	*ret = (struct decoded){
		.width = (uint32_t)f->width,
		.height = (uint32_t)f->height,
		.y = f->data[0],
		.u = f->data[1],
		.v = f->data[2],
		.y_stride = (uint32_t)f->linesize[0],
		.uv_stride = (uint32_t)f->linesize[1],
		.key = f->pict_type == AV_PICTURE_TYPE_I,
		.bt709_limited = f->colorspace == AVCOL_SPC_BT709 &&
			f->color_range == AVCOL_RANGE_MPEG &&
			f->color_primaries == AVCOL_PRI_BT709 && f->color_trc == AVCOL_TRC_BT709,
	};
	return 0;
}

static uint8_t to_byte(double v) {
	return (uint8_t)fmin(255, fmax(0, floor(v + 0.5)));
}

void decode_pixel(const struct decoded *p, uint32_t x, uint32_t y, uint8_t ret_rgb[static 3]) {
	size_t chroma = (size_t)(y / 2) * p->uv_stride + x / 2;
	double luma = (p->y[(size_t)y * p->y_stride + x] - 16) / 219.0;
	double pb = (p->u[chroma] - 128) / 224.0, pr = (p->v[chroma] - 128) / 224.0;
	double r = luma + 1.5748 * pr, b = luma + 1.8556 * pb;
	double g = (luma - 0.2126 * r - 0.0722 * b) / 0.7152;
	ret_rgb[0] = to_byte(r * 255);
	ret_rgb[1] = to_byte(g * 255);
	ret_rgb[2] = to_byte(b * 255);
}

double decode_psnr(const uint8_t *a, size_t a_stride, const uint8_t *b, size_t b_stride,
	uint32_t width, uint32_t height) {
	uint64_t sum = 0;
	for (uint32_t y = 0; y < height; y++) {
		for (uint32_t x = 0; x < width; x++) {
			int d = a[y * a_stride + x] - b[y * b_stride + x];
			sum += (uint64_t)(d * d);
		}
	}
	if (sum == 0) {
		return INFINITY;
	}
	double mean = (double)sum / ((double)width * height);
	return 10 * log10(255.0 * 255.0 / mean);
}

int decode_read_counters(const struct decoded *p, uint32_t *ret) {
	const struct counter_planes planes = {
		.width = p->width,
		.height = p->height,
		.y = p->y,
		.u = p->u,
		.v = p->v,
		.y_stride = p->y_stride,
		.uv_stride = p->uv_stride,
		.uv_step = 1,
	};
	uint32_t top, bottom;
	if (p->height < COUNTER_MIN_HEIGHT) {
		return -EINVAL;
	}
	int r = counter_read(&planes, COUNTER_X, COUNTER_TOP_Y, &top);
	if (r < 0) {
		return r;
	}
	r = counter_read(&planes, COUNTER_X, counter_bottom_y(p->height), &bottom);
	if (r < 0) {
		return r;
	}
	if (top != bottom) {
		return -EILSEQ;
	}
	*ret = top;
	return 0;
}
