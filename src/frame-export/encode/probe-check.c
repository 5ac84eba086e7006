/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <libavcodec/avcodec.h>

#include "probe.h"
#include "proto/h264-sps.h"
#include "util.h"

/* Not smaller than what hardware takes, and no multiple of 16 high, so that it must crop. */
#define WIDTH    640u
#define HEIGHT   360u
#define PICTURES 4u
#define IDR_AT   2u /* besides the first */

/* What comes back is the picture and not grey, green or another: any quantiser gives more. */
#define PSNR_MIN 24.0

struct check {
	struct picture *picture;
	struct encoder *encoder;
	AVCodecContext *decoder; // NULL: this libavcodec has none
	AVPacket *packet;
	AVFrame *frame;
	char *why; /* PROBE_WHY_MAX bytes */
};

static int say(struct check *c, int r, const char *why) {
	(void)snprintf(c->why, PROBE_WHY_MAX, "%s", why);
	return r;
}

/* A gradient with a frame's worth of edges that move. */
static void draw(struct picture *p, unsigned n) {
	for (uint32_t y = 0; y < p->height; y++) {
		uint8_t *row = p->y + (size_t)y * p->stride;
		for (uint32_t x = 0; x < p->width; x++) {
			bool bar = (x + 16 * n) % 64 < 8;
			row[x] = (uint8_t)(bar ? 200 : 32 + (x + y) / 8);
		}
	}
	p->update++;
	for (size_t i = 0; i < (size_t)p->mb_width * p->mb_height; i++) {
		p->mb_update[i] = p->update;
	}
}

static double psnr(const struct picture *p, const AVFrame *f) {
	double sum = 0;
	for (uint32_t y = 0; y < p->height; y++) {
		const uint8_t *a = p->y + (size_t)y * p->stride;
		const uint8_t *b = f->data[0] + (ptrdiff_t)y * f->linesize[0];
		for (uint32_t x = 0; x < p->width; x++) {
			double d = (double)a[x] - b[x];
			sum += d * d;
		}
	}
	return 10 * log10(255.0 * 255.0 * p->width * p->height / fmax(sum, 1));
}

/* An IDR where one was asked for, with its parameter sets before it. */
static int inspect(struct check *c, const struct access_unit *au, bool want_idr) {
	bool sps = false, pps = false, idr = false;
	struct h264_nal nal;
	size_t pos = 0;
	while (h264_next_nal(au->data, au->size, &pos, &nal)) {
		sps |= nal.type == H264_NAL_SPS;
		pps |= nal.type == H264_NAL_PPS;
		idr |= nal.type == H264_NAL_IDR && sps && pps;
	}
	if (want_idr && !(idr && au->keyframe)) {
		return say(c, -EIO, "it writes no IDR when asked");
	}
	return 0;
}

static int decode(struct check *c, const struct access_unit *au) {
	if (!c->decoder) {
		return 0;
	}
	if (av_new_packet(c->packet, (int)au->size) < 0) {
		return -ENOMEM;
	}
	for (size_t i = 0; i < au->size; i++) {
		c->packet->data[i] = au->data[i];
	}
	int r = avcodec_send_packet(c->decoder, c->packet);
	av_packet_unref(c->packet);
	if (r < 0) {
		return say(c, -EIO, "what it writes does not decode");
	}
	r = avcodec_receive_frame(c->decoder, c->frame);
	if (r < 0) {
		return say(c, -EIO, "decoders hold its pictures back");
	}
	r = 0;
	if (c->frame->width != (int)WIDTH || c->frame->height != (int)HEIGHT) {
		r = say(c, -EIO, "its pictures have another size");
	} else if (psnr(c->picture, c->frame) < PSNR_MIN) {
		r = say(c, -EIO, "its pictures are not ours");
	}
	av_frame_unref(c->frame);
	return r;
}

static int check_pictures(struct check *c) {
	for (unsigned i = 0; i < PICTURES; i++) {
		bool idr = i == 0 || i == IDR_AT;
		struct encode_request request = {
			.picture = c->picture,
			.pts_ns = (i + 1) * (NSEC_PER_SEC / 60),
			.idr = idr,
		};
		struct access_unit *au;
		draw(c->picture, i);
		int r = c->encoder->ops->encode(c->encoder, &request, &au);
		if (r < 0) {
			return say(c, r, "it fails to encode, or holds pictures back");
		}
		r = inspect(c, au, idr);
		if (r >= 0) {
			r = decode(c, au);
		}
		access_unit_unref(au);
		if (r < 0) {
			return r;
		}
	}
	return 0;
}

static int prepare(struct check *c) {
	c->picture = picture_create(WIDTH, HEIGHT);
	c->packet = av_packet_alloc();
	c->frame = av_frame_alloc();
	if (!c->picture || !c->packet || !c->frame) {
		return -ENOMEM;
	}
	const AVCodec *codec = avcodec_find_decoder(AV_CODEC_ID_H264);
	if (codec) {
		c->decoder = avcodec_alloc_context3(codec);
		if (!c->decoder) {
			return -ENOMEM;
		}
		c->decoder->thread_count = 1;
		c->decoder->flags |= AV_CODEC_FLAG_LOW_DELAY;
		if (avcodec_open2(c->decoder, codec, NULL) < 0) {
			avcodec_free_context(&c->decoder);
		}
	}
	return 0;
}

int probe_check(const struct encoder_ops *ops, const char *render_node,
	char ret_why[static PROBE_WHY_MAX]) {
	struct check c = {.why = ret_why};
	struct encoder_config config = {
		.width = WIDTH,
		.height = HEIGHT,
		.fps = 60,
		.quality = ENCODER_QUALITY_DEFAULT,
		.threads = 1,
		.render_node = render_node,
	};
	ret_why[0] = '\0';
	int r = prepare(&c);
	if (r >= 0) {
		r = ops->create(&config, &c.encoder);
		if (r < 0) {
			(void)say(&c, r, "it cannot be opened");
		}
	}
	if (r >= 0) {
		r = check_pictures(&c);
	}
	ops->destroy(c.encoder);
	avcodec_free_context(&c.decoder);
	av_packet_free(&c.packet);
	av_frame_free(&c.frame);
	picture_destroy(c.picture);
	return r;
}
