/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <libavcodec/avcodec.h>
#include <libyuv/convert_argb.h>
#include <png.h>
#include <stdio.h>
#include <string.h>
#include <turbojpeg.h>

#include "picture-file.h"
#include "util.h"

#define SIDE_MAX 16384
/* From here on people look at details, and thin coloured text needs its chroma. */
#define QUALITY_OF_FULL_CHROMA 90u

struct picture_decoder {
	AVCodecContext *codec;
	AVPacket *packet;
	AVFrame *next;
	AVFrame *frame; /* the newest picture, if there is one */
};

int picture_decoder_create(struct picture_decoder **ret) {
	const AVCodec *codec = avcodec_find_decoder(AV_CODEC_ID_H264);
	struct picture_decoder *d = calloc(1, sizeof(*d));
	if (!d || !codec) {
		free(d);
		return codec ? -ENOMEM : -ENOSYS;
	}
	d->codec = avcodec_alloc_context3(codec);
	d->packet = av_packet_alloc();
	d->next = av_frame_alloc();
	d->frame = av_frame_alloc();
	if (!d->codec || !d->packet || !d->next || !d->frame) {
		picture_decoder_destroy(d);
		return -ENOMEM;
	}
	d->codec->thread_count = 1;
	d->codec->flags |= AV_CODEC_FLAG_LOW_DELAY;
	if (avcodec_open2(d->codec, codec, NULL) < 0) {
		picture_decoder_destroy(d);
		return -ENOSYS;
	}
	*ret = d;
	return 0;
}

void picture_decoder_destroy(struct picture_decoder *d) {
	if (d) {
		avcodec_free_context(&d->codec);
		av_packet_free(&d->packet);
		av_frame_free(&d->next);
		av_frame_free(&d->frame);
		free(d);
	}
}

int picture_decoder_feed(struct picture_decoder *d, const struct unit *u) {
	/* With the padding that the decoder reads beyond. */
	if (u->size > INT32_MAX || av_new_packet(d->packet, (int)u->size) < 0) {
		return -ENOMEM;
	}
	memcpy(d->packet->data, u->data, u->size);
	int r = avcodec_send_packet(d->codec, d->packet);
	av_packet_unref(d->packet);
	while (r >= 0) {
		r = avcodec_receive_frame(d->codec, d->next);
		if (r >= 0) {
			av_frame_unref(d->frame);
			av_frame_move_ref(d->frame, d->next);
		}
	}
	return r == AVERROR(EAGAIN) ? 0 : -EBADMSG;
}

/* To B, G, R bytes. Ours is BT.709 in limited range; streams of others may say otherwise. */
static int convert(const AVFrame *f, uint8_t *bgr, int stride) {
	const struct YuvConstants *colours = &kYuvH709Constants;
	if (f->format != AV_PIX_FMT_YUV420P && f->format != AV_PIX_FMT_YUVJ420P) {
		return -ENOTSUP;
	}
	if (f->color_range == AVCOL_RANGE_JPEG) {
		colours =
			f->colorspace == AVCOL_SPC_BT709 ? &kYuvF709Constants : &kYuvJPEGConstants;
	} else if (f->colorspace == AVCOL_SPC_SMPTE170M || f->colorspace == AVCOL_SPC_BT470BG) {
		colours = &kYuvI601Constants;
	}
	return I420ToRGB24Matrix(f->data[0], f->linesize[0], f->data[1], f->linesize[1], f->data[2],
		       f->linesize[2], bgr, stride, colours, f->width, f->height) == 0
		? 0
		: -EINVAL;
}

static void draw_cursor(uint8_t *bgr, int width, int height, const struct cursor *c) {
	for (uint32_t y = 0; c->visible && y < c->height; y++) {
		for (uint32_t x = 0; x < c->width; x++) {
			int64_t to_x = (int64_t)c->x + x, to_y = (int64_t)c->y + y;
			if (to_x < 0 || to_y < 0 || to_x >= width || to_y >= height) {
				continue;
			}
			const uint8_t *from = c->rgba + 4 * ((size_t)y * c->width + x);
			uint8_t *to = bgr + 3 * ((size_t)to_y * (size_t)width + (size_t)to_x);
			for (unsigned k = 0; k < 3; k++) {
				to[k] = (uint8_t)((from[2 - k] * from[3] + to[k] * (255 - from[3]) +
							  127) /
					255);
			}
		}
	}
}

static int write_jpeg(const uint8_t *bgr, int width, int height, unsigned quality,
	uint8_t **ret_file, size_t *ret_size) {
	tjhandle jpeg = tjInitCompress();
	unsigned char *file = NULL;
	unsigned long size = 0;
	if (!jpeg) {
		return -ENOMEM;
	}
	int sampling = quality >= QUALITY_OF_FULL_CHROMA ? TJSAMP_444 : TJSAMP_420;
	int r = tjCompress2(jpeg, bgr, width, 3 * width, height, TJPF_BGR, &file, &size, sampling,
		(int)quality, TJFLAG_FASTDCT);
	(void)tjDestroy(jpeg);
	/* Its buffer may need its own free(). */
	uint8_t *copy = r == 0 ? malloc(size) : NULL;
	if (copy) {
		memcpy(copy, file, size);
		*ret_file = copy;
		*ret_size = size;
	}
	tjFree(file);
	return copy ? 0 : -ENOMEM;
}

static int write_png(
	const uint8_t *bgr, int width, int height, uint8_t **ret_file, size_t *ret_size) {
	png_image image = {
		.version = PNG_IMAGE_VERSION,
		.width = (png_uint_32)width,
		.height = (png_uint_32)height,
		.format = PNG_FORMAT_BGR,
		.flags = PNG_IMAGE_FLAG_FAST,
	};
	char *file = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&file, &size);
	if (!f) {
		return -ENOMEM;
	}
	int good = png_image_write_to_stdio(&image, f, 0, bgr, 0, NULL);
	bool closed = fclose(f) == 0;
	if (!good || !closed) {
		free(file);
		return -ENOMEM;
	}
	*ret_file = (uint8_t *)file;
	*ret_size = size;
	return 0;
}

int picture_decoder_write(struct picture_decoder *d, enum picture_format format, unsigned quality,
	const struct cursor *cursor, uint8_t **ret_file, size_t *ret_size) {
	const AVFrame *f = d->frame;
	if (f->width <= 0 || f->height <= 0 || f->width > SIDE_MAX || f->height > SIDE_MAX) {
		return -ENODATA;
	}
	uint8_t *bgr = malloc(3 * (size_t)f->width * (size_t)f->height);
	int r = bgr ? convert(f, bgr, 3 * f->width) : -ENOMEM;
	if (r == 0) {
		if (cursor) {
			draw_cursor(bgr, f->width, f->height, cursor);
		}
		r = format == PICTURE_PNG
			? write_png(bgr, f->width, f->height, ret_file, ret_size)
			: write_jpeg(bgr, f->width, f->height, quality, ret_file, ret_size);
	}
	free(bgr);
	return r;
}
