/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "avcodec.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <libavutil/dict.h>
#include <libavutil/log.h>

#include "avcodec-import.h"
#include "log.h"
#include "util.h"

LOG_MODULE("encoder");

/* Constrained Baseline, as libavcodec writes it: profile_idc and constraint_set1_flag. */
#define PROFILE (66 | 1 << 9)
/* IDRs come when they are asked for. Some APIs count pictures with 16 bits. */
#define GOP_PICTURES INT16_MAX

/* The bitrate is kept over so much of a second, as rate.c does: its bucket. */
#define BUFFER_DIVISOR 4
/* Where there is no constant quality: 4 bits a pixel and second, as good as transparent. */
#define DEFAULT_BITS_PER_PIXEL 4u
#define DEFAULT_BITRATE_MIN    5000000u

/*
 * A codec that must be opened anew for another bitrate writes an IDR then. It is done with the next
 * IDR that is wanted anyway; but, since bitrates may change often, and a link may stay wide, no
 * sooner than this after the last time, and no later.
 */
#define REBUILD_NS (5 * NSEC_PER_SEC)

/* With a bitrate, a picture that was sent again this often is as good as it gets. */
#define REFINE_PASSES 6u

/* Frames of ours on the device: one that is filled while the other is read. */
#define POOL_FRAMES 2

/*
 * Bounds of the whole process. Each scanout has one encoder at most. A surface of 1080p has 3 MiB,
 * so this is enough for 16 of these and for five of 8K; what does not fit is encoded by x264.
 */
#define SURFACE_BUDGET (UINT64_C(2) << 30)

static struct {
	pthread_mutex_t lock;
	unsigned max_sessions, sessions;
	size_t surface_bytes;
} bounds = {.lock = PTHREAD_MUTEX_INITIALIZER, .max_sessions = SCANOUTS_MAX};

struct encoder_avcodec {
	struct encoder base;
	const struct avcodec_kind *kind;
	struct encoder_config config;
	char device_name[64];
	size_t surface_bytes; /* booked; 0: no session is */

	AVCodecContext *codec; // NULL until opened
	AVBufferRef *device;   // may be NULL
	AVBufferRef *frames;   // may be NULL
	AVBufferRef *dmabufs;  // of avcodec_import; NULL until the first one
	AVFrame *memory;       /* the picture, where it is */
	AVFrame *surface;      /* on the device */
	AVPacket *packet;

	bool started;
	bool copies;         /* of dmabufs, too: it does not take them as they are */
	bool rebuild;        /* the bitrate changed, and the codec does not know */
	uint64_t built_ns;   /* presentation time of the first picture since it was opened */
	int64_t n_pictures;  /* since it was opened */
	unsigned refine_due; /* passes */
};

static struct encoder_avcodec *from(struct encoder *encoder) {
	return container_of(encoder, struct encoder_avcodec, base);
}

/* Errors of libavcodec that are none of the system's, too. */
static int error_of(int r) {
	switch (r) {
	case AVERROR(ENOMEM):
		return -ENOMEM;
	case AVERROR(EINVAL):
		return -EINVAL;
	case AVERROR_ENCODER_NOT_FOUND:
	case AVERROR(ENODEV):
	case AVERROR(ENOENT):
	case AVERROR(ENOSYS):
		return -ENODEV;
	default:
		return -EIO;
	}
}

void avcodec_set_max_sessions(unsigned n) {
	pthread_mutex_lock(&bounds.lock);
	bounds.max_sessions = n;
	pthread_mutex_unlock(&bounds.lock);
}

unsigned avcodec_sessions(size_t *ret_surface_bytes) {
	pthread_mutex_lock(&bounds.lock);
	unsigned n = bounds.sessions;
	*ret_surface_bytes = bounds.surface_bytes;
	pthread_mutex_unlock(&bounds.lock);
	return n;
}

static int book(struct encoder_avcodec *e) {
	size_t pixels = (size_t)ALIGN_UP(e->config.width, 64u) * ALIGN_UP(e->config.height, 64u);
	size_t bytes = pixels * 3 / 2 * e->kind->surfaces_in_flight;
	int r = 0;
	pthread_mutex_lock(&bounds.lock);
	if (bounds.sessions >= bounds.max_sessions) {
		r = -EBUSY;
	} else if (bytes > SURFACE_BUDGET - bounds.surface_bytes) {
		r = -ENOMEM;
	} else {
		bounds.sessions++;
		bounds.surface_bytes += bytes;
		e->surface_bytes = bytes;
	}
	pthread_mutex_unlock(&bounds.lock);
	return r;
}

static void unbook(struct encoder_avcodec *e) {
	if (e->surface_bytes > 0) {
		pthread_mutex_lock(&bounds.lock);
		bounds.sessions--;
		bounds.surface_bytes -= e->surface_bytes;
		pthread_mutex_unlock(&bounds.lock);
	}
}

static void close_codec(struct encoder_avcodec *e) {
	avcodec_free_context(&e->codec);
	av_buffer_unref(&e->frames);
}

void avcodec_encoder_destroy(struct encoder *encoder) {
	if (!encoder) {
		return;
	}
	struct encoder_avcodec *e = from(encoder);
	close_codec(e);
	av_buffer_unref(&e->device);
	av_buffer_unref(&e->dmabufs);
	av_frame_free(&e->memory);
	av_frame_free(&e->surface);
	av_packet_free(&e->packet);
	unbook(e);
	free(e);
}

static int open_device(struct encoder_avcodec *e) {
	const struct avcodec_kind *kind = e->kind;
	if (kind->device == AV_HWDEVICE_TYPE_NONE) {
		return 0;
	}
	AVDictionary *options = NULL;
	const char *name = e->device_name[0] ? e->device_name : NULL;
	if (name && kind->device_option) {
		if (av_dict_set(&options, kind->device_option, name, 0) < 0) {
			return -ENOMEM;
		}
		name = NULL;
	}
	int r = av_hwdevice_ctx_create(&e->device, kind->device, name, options, 0);
	av_dict_free(&options);
	return r < 0 ? error_of(r) : 0;
}

static int make_frames(struct encoder_avcodec *e) {
	e->frames = av_hwframe_ctx_alloc(e->device);
	if (!e->frames) {
		return -ENOMEM;
	}
	AVHWFramesContext *frames = (AVHWFramesContext *)e->frames->data;
	frames->format = AV_PIX_FMT_VAAPI;
	frames->sw_format = AV_PIX_FMT_NV12;
	frames->width = (int)e->config.width;
	frames->height = (int)e->config.height;
	frames->initial_pool_size = POOL_FRAMES;
	int r = av_hwframe_ctx_init(e->frames);
	return r < 0 ? error_of(r) : 0;
}

static bool by_bitrate(const struct encoder_avcodec *e) {
	return e->config.bitrate > 0 || !e->kind->quality_options;
}

static void set_rate(struct encoder_avcodec *e) {
	const struct encoder_config *c = &e->config;
	uint32_t bitrate = c->bitrate;
	if (bitrate == 0) {
		bitrate = MAX(DEFAULT_BITRATE_MIN, c->width * c->height * DEFAULT_BITS_PER_PIXEL);
	}
	e->codec->bit_rate = bitrate;
	e->codec->rc_max_rate = bitrate;
	e->codec->rc_buffer_size = (int)MIN(bitrate / BUFFER_DIVISOR, (uint32_t)INT32_MAX);
}

/* All that is not a private option of one codec. */
static int configure(struct encoder_avcodec *e) {
	AVCodecContext *c = e->codec;
	int fps = e->config.fps > 0 ? (int)e->config.fps : 60;
	c->width = (int)e->config.width;
	c->height = (int)e->config.height;
	c->time_base = (AVRational){1, fps};
	c->framerate = (AVRational){fps, 1};
	c->pix_fmt = e->kind->va_surfaces ? AV_PIX_FMT_VAAPI : AV_PIX_FMT_NV12;
	c->profile = PROFILE;
	c->gop_size = GOP_PICTURES;
	c->max_b_frames = 0;
	c->refs = 1;
	c->flags |= AV_CODEC_FLAG_LOW_DELAY;
	c->thread_count = e->config.threads;
	c->thread_type = FF_THREAD_SLICE;
	c->color_range = AVCOL_RANGE_MPEG;
	c->color_primaries = AVCOL_PRI_BT709;
	c->color_trc = AVCOL_TRC_BT709;
	c->colorspace = AVCOL_SPC_BT709;
	if (by_bitrate(e)) {
		set_rate(e);
	} else {
		/* The same quantiser for IDRs. */
		c->i_quant_factor = 1;
		c->i_quant_offset = 0;
		if (e->kind->scaled_quality) {
			c->flags |= AV_CODEC_FLAG_QSCALE;
			c->global_quality = e->config.quality * FF_QP2LAMBDA;
		}
	}
	if (e->device) {
		c->hw_device_ctx = av_buffer_ref(e->device);
		if (!c->hw_device_ctx) {
			return -ENOMEM;
		}
	}
	if (e->kind->va_surfaces) {
		int r = make_frames(e);
		if (r < 0) {
			return r;
		}
		c->hw_frames_ctx = av_buffer_ref(e->frames);
		return c->hw_frames_ctx ? 0 : -ENOMEM;
	}
	return 0;
}

static int open_with(struct encoder_avcodec *e, const AVCodec *codec, const char *options) {
	const char *rate = by_bitrate(e) ? e->kind->bitrate_options : e->kind->quality_options;
	AVDictionary *dict = NULL;
	e->codec = avcodec_alloc_context3(codec);
	if (!e->codec) {
		return -ENOMEM;
	}
	int r = configure(e);
	if (r >= 0 &&
		(av_dict_parse_string(&dict, options, "=", ":", 0) < 0 ||
			av_dict_parse_string(&dict, rate, "=", ":", 0) < 0)) {
		r = -ENOMEM;
	}
	if (r >= 0 && !by_bitrate(e) && !e->kind->scaled_quality) {
		r = av_dict_set_int(&dict, "qp", e->config.quality, 0) < 0 ? -ENOMEM : 0;
	}
	if (r >= 0) {
		r = avcodec_open2(e->codec, codec, &dict);
		r = r < 0 ? error_of(r) : 0;
	}
	av_dict_free(&dict);
	if (r < 0) {
		close_codec(e);
	}
	return r;
}

static int open_codec(struct encoder_avcodec *e) {
	const AVCodec *codec = avcodec_find_encoder_by_name(e->kind->codec);
	if (!codec) {
		return -ENODEV;
	}
	int r = -ENODEV;
	for (unsigned i = 0; i < AVCODEC_ATTEMPTS && e->kind->options[i]; i++) {
		r = open_with(e, codec, e->kind->options[i]);
		if (r >= 0) {
			break;
		}
	}
	e->n_pictures = 0;
	e->rebuild = false;
	return r;
}

static bool config_valid(const struct encoder_config *c) {
	return c->width >= 2 && c->height >= 2 && c->width % 2 == 0 && c->height % 2 == 0 &&
		c->width <= PICTURE_MAX_SIDE && c->height <= PICTURE_MAX_SIDE && c->quality >= 1 &&
		c->quality <= 51 && c->threads >= 1;
}

static void be_quiet(void) {
	av_log_set_level(AV_LOG_QUIET);
}

int avcodec_encoder_create(const struct avcodec_kind *kind, const struct encoder_config *config,
	struct encoder **ret) {
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	(void)pthread_once(&once, be_quiet);
	if (!config_valid(config)) {
		return -EINVAL;
	}
	struct encoder_avcodec *e = calloc(1, sizeof(*e));
	if (!e) {
		return -ENOMEM;
	}
	e->base.ops = kind->ops;
	e->kind = kind;
	e->config = *config;
	int n = snprintf(e->device_name, sizeof(e->device_name), "%s",
		config->render_node ? config->render_node : "");
	int r = n < 0 || (size_t)n >= sizeof(e->device_name) ? -EINVAL : book(e);
	if (r >= 0) {
		e->memory = av_frame_alloc();
		e->surface = av_frame_alloc();
		e->packet = av_packet_alloc();
		r = e->memory && e->surface && e->packet ? open_device(e) : -ENOMEM;
	}
	if (r >= 0) {
		r = open_codec(e);
	}
	if (r < 0) {
		avcodec_encoder_destroy(&e->base);
		return r;
	}
	*ret = &e->base;
	return 0;
}

/* The picture outlives the call, and the encoder is done with it then: nothing is freed. */
static void keep(void *opaque, uint8_t *data) {
	(void)opaque;
	(void)data;
}

/* `memory` becomes the picture, without a copy. */
static int wrap_picture(struct encoder_avcodec *e, const struct picture *p) {
	AVFrame *f = e->memory;
	size_t rows = (size_t)p->mb_height * MB_SIZE;
	f->format = AV_PIX_FMT_NV12;
	f->width = (int)p->width;
	f->height = (int)p->height;
	f->data[0] = p->y;
	f->data[1] = p->uv;
	f->linesize[0] = f->linesize[1] = (int)p->stride;
	f->buf[0] = av_buffer_create(p->y, p->stride * rows, keep, NULL, AV_BUFFER_FLAG_READONLY);
	f->buf[1] =
		av_buffer_create(p->uv, p->stride * rows / 2, keep, NULL, AV_BUFFER_FLAG_READONLY);
	return f->buf[0] && f->buf[1] ? 0 : -ENOMEM;
}

static int import_picture(struct encoder_avcodec *e, const struct picture *p) {
	int r = e->dmabufs ? 0 : avcodec_import_create(p->width, p->height, &e->dmabufs);
	return r < 0 ? r : avcodec_import(p, e->dmabufs, e->frames, e->surface);
}

/* The frame to encode: of memory, or of the device. */
static int put_picture(struct encoder_avcodec *e, struct picture *p, AVFrame **ret) {
	if (picture_dmabuf(p) && e->base.ops->imports && !e->copies) {
		int r = import_picture(e, p);
		if (r >= 0) {
			*ret = e->surface;
			return 0;
		}
		log_warn_errno(r, "%s takes no dmabufs: pictures are copied", e->kind->codec);
		e->copies = true;
	}
	picture_fetch(p);
	int r = wrap_picture(e, p);
	if (r < 0 || !e->kind->va_surfaces) {
		*ret = e->memory;
		return r;
	}
	r = av_hwframe_get_buffer(e->frames, e->surface, 0);
	if (r >= 0) {
		r = av_hwframe_transfer_data(e->surface, e->memory, 0);
	}
	*ret = e->surface;
	return r < 0 ? error_of(r) : 0;
}

/* One picture in, one packet out: the packet must be there at once, and be alone. */
static int run_codec(struct encoder_avcodec *e, const AVFrame *frame) {
	int r = avcodec_send_frame(e->codec, frame);
	if (r >= 0) {
		r = avcodec_receive_packet(e->codec, e->packet);
	}
	return r < 0 ? -EIO : 0;
}

static bool gives_more(struct encoder_avcodec *e) {
	AVPacket *second = av_packet_alloc();
	bool more = !second || avcodec_receive_packet(e->codec, second) != AVERROR(EAGAIN);
	av_packet_free(&second);
	return more;
}

static int encode_picture(
	struct encoder_avcodec *e, struct picture *p, bool idr, struct access_unit **ret) {
	AVFrame *frame;
	int r = put_picture(e, p, &frame);
	if (r >= 0) {
		frame->pts = e->n_pictures;
		frame->pict_type = idr ? AV_PICTURE_TYPE_I : AV_PICTURE_TYPE_NONE;
		frame->color_range = AVCOL_RANGE_MPEG;
		r = run_codec(e, frame);
	}
	av_frame_unref(e->memory);
	av_frame_unref(e->surface);
	if (r < 0) {
		return r;
	}
	struct access_unit *au = NULL;
	r = avcodec_make_access_unit(e->packet->data, (size_t)e->packet->size, e->codec->extradata,
		(size_t)e->codec->extradata_size, &au);
	av_packet_unref(e->packet);
	if (r < 0 || gives_more(e) || (idr && !au->keyframe)) {
		access_unit_unref(au);
		return -EIO;
	}
	e->n_pictures++;
	*ret = au;
	return 0;
}

int avcodec_encoder_encode(
	struct encoder *encoder, const struct encode_request *request, struct access_unit **ret) {
	struct encoder_avcodec *e = from(encoder);
	struct picture *p = request->picture;
	if (p->width != e->config.width || p->height != e->config.height) {
		return -EINVAL;
	}
	bool idr = request->idr || !e->started;
	if (e->rebuild && (idr || request->pts_ns - e->built_ns >= REBUILD_NS)) {
		close_codec(e);
		int r = open_codec(e);
		if (r < 0) {
			return -EIO;
		}
		idr = true;
	}
	if (!e->codec) {
		return -EIO;
	}
	if (e->n_pictures == 0) {
		e->built_ns = request->pts_ns;
	}
	struct access_unit *au;
	int r = encode_picture(e, p, idr, &au);
	if (r < 0) {
		return r == -ENOMEM ? r : -EIO;
	}
	e->started = true;
	if (request->refine == 0) {
		e->refine_due = by_bitrate(e) ? REFINE_PASSES : 0;
	} else if (e->refine_due > 0) {
		e->refine_due--;
	}
	au->width = p->width;
	au->height = p->height;
	au->pts_ns = request->pts_ns;
	au->refine = (uint8_t)MIN(request->refine, (unsigned)UINT8_MAX);
	au->encoded_ns = now_ns();
	*ret = au;
	return 0;
}

int avcodec_encoder_set_bitrate(struct encoder *encoder, uint32_t bitrate) {
	struct encoder_avcodec *e = from(encoder);
	bool was_by_bitrate = by_bitrate(e);
	if (e->config.bitrate == bitrate) {
		return 0;
	}
	e->config.bitrate = bitrate;
	unsigned since = e->kind->dynamic_bitrate;
	if (was_by_bitrate && by_bitrate(e) && since > 0 && avcodec_version() >> 16 >= since &&
		!e->rebuild && e->codec) {
		set_rate(e);
	} else {
		e->rebuild = true;
	}
	return 0;
}

unsigned avcodec_encoder_refine_passes(const struct encoder *encoder) {
	return container_of(encoder, const struct encoder_avcodec, base)->refine_due;
}
