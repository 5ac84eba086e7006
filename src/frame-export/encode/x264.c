/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * H.264 by libx264, made for desktops: one picture in, one access unit out, and macroblocks that
 * capture knows to be unchanged are not looked at (x264's mb_info).
 *
 * Quantisers. Every picture is written with one quantiser, forced from here: constant quality is a
 * constant quantiser, the bitrate is kept by rate.h, and refinement writes the same content again
 * with a smaller one. x264 skips a macroblock that is flagged constant only if the picture before
 * was not written with a larger quantiser; so going down looks at everything once (some
 * milliseconds), and every other picture costs what changed.
 *
 * What each macroblock was last written with is in mb_qp. Where all the rest is refined already and
 * little changed, that little is written at refined quality at once: typing needs no second pass,
 * and the quantiser does not go up and down with every key.
 *
 * No deblocking filter: it blurs text, and makes x264 look again at the neighbours of what changed.
 */
#include "encoder.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <x264.h>

#include "rate.h"
#include "util.h"

/*
 * H.264 level 6.2 (Table A-1): macroblocks of a picture, a second, and a side of one (A.3.1 f:
 * sqrt(8 · MaxFS)).
 */
#define LEVEL_MAX_FS   139264u
#define LEVEL_MAX_MBPS 16711680u
#define LEVEL_MAX_SIDE 1055u
/* The same of level 5.2, the highest that decoders commonly know. */
#define COMMON_MAX_FS   36864u
#define COMMON_MAX_MBPS 2073600u

#define MAX_THREADS 16u

#define REFINE_STEP 6u /* quantiser steps of one pass over much of a screen: half the step size */
/* Refined in one pass: up to a 32nd of the screen. */
#define ONE_PASS_SHIFT 5
/*
 * Written at refined quality at once: up to a 256th of the screen, or a few macroblocks. Text that
 * is typed, a cursor, a menu entry; not a small video, which would pay for it 60 times a second.
 */
#define AT_ONCE_SHIFT 8
#define AT_ONCE_MIN   4u
/* From a 16th on, what changed may have moved. */
#define MOTION_SHIFT 4

struct encoder_x264 {
	struct encoder base;
	struct encoder_config config;
	x264_t *x264;
	uint32_t mb_width, mb_height, n_mbs;
	uint8_t refined_qp;
	bool started;         /* a first picture was written */
	uint32_t last_update; /* of the picture, that was written last */
	int64_t n_written;    /* pictures; x264 wants a time that goes up */
	uint8_t *dirty;       /* of each macroblock: changed since last_update */
	uint8_t *mb_info;     /* the same, as x264 wants it */
	uint8_t *mb_qp;       /* quantiser that its content was written with */
	struct rate rate;
};

static struct encoder_x264 *encoder_x264_from(struct encoder *encoder) {
	return container_of(encoder, struct encoder_x264, base);
}

static bool config_valid(const struct encoder_config *c) {
	uint32_t mb_width = DIV_ROUND_UP(c->width, MB_SIZE);
	uint32_t mb_height = DIV_ROUND_UP(c->height, MB_SIZE);
	return c->width >= 2 && c->height >= 2 && c->width % 2 == 0 && c->height % 2 == 0 &&
		c->width <= PICTURE_MAX_SIDE && c->height <= PICTURE_MAX_SIDE &&
		mb_width <= LEVEL_MAX_SIDE && mb_height <= LEVEL_MAX_SIDE &&
		mb_width * mb_height <= LEVEL_MAX_FS && c->quality >= 1 && c->quality <= QP_MAX &&
		c->threads >= 1 && c->threads <= MAX_THREADS;
}

static void encoder_x264_destroy(struct encoder *encoder) {
	if (!encoder) {
		return;
	}
	struct encoder_x264 *e = encoder_x264_from(encoder);
	if (e->x264) {
		x264_encoder_close(e->x264);
	}
	free(e->dirty);
	free(e->mb_info);
	free(e->mb_qp);
	free(e);
}

static int open_x264(struct encoder_x264 *e) {
	const struct encoder_config *c = &e->config;
	x264_param_t p;
	if (x264_param_default_preset(&p, "ultrafast", "zerolatency") < 0) {
		return -ENODEV;
	}
	p.i_log_level = X264_LOG_NONE;
	p.i_width = (int)c->width;
	p.i_height = (int)c->height;
	p.i_csp = X264_CSP_NV12;
	p.i_bitdepth = 8;
	p.i_threads = c->threads;
	p.b_sliced_threads = c->threads > 1;

	/* The level follows from size and rate. The rate is a hint: it must not cost us decoders. */
	uint32_t mbps = e->n_mbs <= COMMON_MAX_FS ? COMMON_MAX_MBPS : LEVEL_MAX_MBPS;
	uint32_t fps = c->fps > 0 ? c->fps : 60;
	p.i_fps_num = MAX(1u, MIN(fps, mbps / e->n_mbs));
	p.i_fps_den = 1;
	/* Pictures come when they come, but told so x264 would wait for the next to know how long. */
	p.b_vfr_input = 0;

	p.i_keyint_max = X264_KEYINT_MAX_INFINITE;
	p.i_scenecut_threshold = 0;
	p.i_frame_reference = 1;
	p.i_bframe = 0;
	p.b_deblocking_filter = 0;
	p.b_cabac = 0;
	p.b_repeat_headers = 1;
	p.b_annexb = 1;
	p.b_aud = 0;
	p.analyse.b_transform_8x8 = 0;
	p.analyse.i_weighted_pred = X264_WEIGHTP_NONE;
	p.analyse.b_psy = 0;
	/*
	 * Colour is what 4:2:0 leaves least of: write it finer, and no coefficient is too small to
	 * keep. With both, 1 in 50 refined flat areas of any colour has a pixel that is off by
	 * more than 3 levels, instead of 1 in 10. A first picture grows by 4 %.
	 */
	p.analyse.i_chroma_qp_offset = -4;
	p.analyse.b_dct_decimate = 0;
	p.analyse.b_mb_info = c->use_damage;
	/*
	 * Measured on 1080p: 4×4 intra makes a first picture of text 10 % smaller for 2 ms; in later
	 * pictures it costs a third more time for nothing. A wider motion search (UMH) saves a
	 * quarter of a scroll's few bytes, but makes every full change a third slower.
	 */
	p.analyse.intra = X264_ANALYSE_I4x4;
	p.analyse.inter = 0;

	/* ITU-T H.273: 1 is BT.709 in all three tables. */
	p.vui.b_fullrange = 0;
	p.vui.i_colorprim = 1;
	p.vui.i_transfer = 1;
	p.vui.i_colmatrix = 1;

	/*
	 * The quantiser of each picture is forced. x264 clips it to those of its I and B pictures,
	 * which these factors (10 is the largest: 20 steps) push as far out as they go.
	 */
	p.rc.i_rc_method = X264_RC_CQP;
	p.rc.i_qp_constant = e->refined_qp < 11 ? 21 : 31;
	p.rc.f_ip_factor = 10;
	p.rc.f_pb_factor = 10;

	if (x264_param_apply_profile(&p, "baseline") < 0) {
		return -ENODEV;
	}
	e->x264 = x264_encoder_open(&p);
	return e->x264 ? 0 : -ENODEV;
}

static int encoder_x264_create(const struct encoder_config *config, struct encoder **ret) {
	if (!config_valid(config)) {
		return -EINVAL;
	}
	struct encoder_x264 *e = calloc(1, sizeof(*e));
	if (!e) {
		return -ENOMEM;
	}
	e->base.ops = &encoder_x264;
	e->config = *config;
	e->mb_width = DIV_ROUND_UP(config->width, MB_SIZE);
	e->mb_height = DIV_ROUND_UP(config->height, MB_SIZE);
	e->n_mbs = e->mb_width * e->mb_height;
	e->refined_qp = MIN(config->quality, ENCODER_QUALITY_REFINED);
	e->dirty = calloc(e->n_mbs, 1);
	e->mb_info = calloc(e->n_mbs, 1);
	e->mb_qp = calloc(e->n_mbs, 1);
	rate_init(&e->rate, config->bitrate);
	int r = e->dirty && e->mb_info && e->mb_qp ? open_x264(e) : -ENOMEM;
	if (r < 0) {
		encoder_x264_destroy(&e->base);
		return r;
	}
	*ret = &e->base;
	return 0;
}

/* Which macroblocks are not yet at final quality, and the worst of them. */
static uint32_t count_lossy(const struct encoder_x264 *e, uint8_t *ret_worst) {
	uint32_t n = 0;
	uint8_t worst = 0;
	for (uint32_t i = 0; i < e->n_mbs; i++) {
		n += e->mb_qp[i] > e->refined_qp;
		worst = MAX(worst, e->mb_qp[i]);
	}
	*ret_worst = worst;
	return n;
}

static bool in_one_pass(const struct encoder_x264 *e, uint32_t n_lossy) {
	return n_lossy <= e->n_mbs >> ONE_PASS_SHIFT;
}

static bool at_once(const struct encoder_x264 *e, uint32_t n_dirty) {
	return n_dirty <= MAX(e->n_mbs >> AT_ONCE_SHIFT, AT_ONCE_MIN);
}

static unsigned encoder_x264_refine_passes(const struct encoder *encoder) {
	const struct encoder_x264 *e = container_of(encoder, const struct encoder_x264, base);
	uint8_t worst;
	uint32_t lossy = e->started ? count_lossy(e, &worst) : 0;
	if (lossy == 0) {
		return 0;
	}
	return in_one_pass(e, lossy) ? 1 : DIV_ROUND_UP(worst - e->refined_qp, REFINE_STEP);
}

/* What the bucket should know of the picture; all zero where there is no bound. */
static void weigh(
	const struct encoder_x264 *e, const struct picture *p, bool idr, struct rate_load *ret) {
	*ret = (struct rate_load){0};
	if (e->rate.bitrate <= 0) {
		return;
	}
	for (uint32_t i = 0; i < e->n_mbs; i++) {
		if (!idr && !e->dirty[i] && e->mb_qp[i] <= e->refined_qp) {
			continue;
		}
		size_t row = (size_t)(i / e->mb_width) * MB_SIZE;
		double w =
			rate_weight(p->y + row * p->stride + i % e->mb_width * MB_SIZE, p->stride);
		if (idr || e->dirty[i]) {
			ret->fixed += w;
		} else {
			ret->above[e->mb_qp[i]] += w;
		}
	}
}

/* The quantiser of this picture: what quality asks for, or more if the bitrate does not allow it. */
static uint8_t choose_qp(const struct encoder_x264 *e, enum rate_kind kind, uint32_t n_dirty,
	const struct rate_load *load) {
	uint8_t worst;
	uint32_t lossy = count_lossy(e, &worst);
	uint8_t lowest = e->config.quality;

	if (kind == RATE_REFINE) {
		lowest = e->refined_qp;
		if (!in_one_pass(e, lossy) && worst > e->refined_qp + REFINE_STEP) {
			lowest = (uint8_t)(worst - REFINE_STEP);
		}
	} else if (kind == RATE_NEW && lossy == 0 && at_once(e, n_dirty)) {
		uint8_t qp = rate_choose(&e->rate, kind, load, e->refined_qp);
		if (qp == e->refined_qp) {
			return qp;
		}
	}
	return rate_choose(&e->rate, kind, load, lowest);
}

/*
 * Where much changed, something may have scrolled or been dragged. x264 finds a motion vector from
 * those of its neighbours, and macroblocks that happen to be unchanged (empty lines of text) would
 * cut these chains if they were skipped: a scroll is 10 times as large then. So all within the
 * bounds counts as changed.
 */
static void widen_to_bounds(struct encoder_x264 *e, const struct rect *bounds) {
	uint32_t x0 = bounds->x / MB_SIZE, x1 = DIV_ROUND_UP(bounds->x + bounds->width, MB_SIZE);
	uint32_t y0 = bounds->y / MB_SIZE, y1 = DIV_ROUND_UP(bounds->y + bounds->height, MB_SIZE);
	for (uint32_t y = y0; y < y1; y++) {
		memset(e->dirty + (size_t)y * e->mb_width + x0, 1, x1 - x0);
	}
}

/* Every NAL unit with a start code of four bytes; what x264 says about itself is left out. */
static size_t copy_nals(const x264_nal_t *nals, int n, uint8_t *dst) {
	static const uint8_t start_code[4] = {0, 0, 0, 1};
	size_t size = 0;
	for (int i = 0; i < n; i++) {
		if (nals[i].i_type == NAL_SEI) {
			continue;
		}
		size_t skip = nals[i].b_long_startcode ? 4 : 3;
		size_t body = (size_t)nals[i].i_payload - skip;
		if (dst) {
			memcpy(dst + size, start_code, sizeof(start_code));
			memcpy(dst + size + sizeof(start_code), nals[i].p_payload + skip, body);
		}
		size += sizeof(start_code) + body;
	}
	return size;
}

static int run_x264(struct encoder_x264 *e, const struct encode_request *request, bool idr,
	uint8_t qp, struct access_unit **ret) {
	const struct picture *p = request->picture;
	x264_picture_t in, out;
	x264_nal_t *nals;
	int n_nals;

	x264_picture_init(&in);
	in.i_type = idr ? X264_TYPE_IDR : X264_TYPE_P;
	in.i_qpplus1 = qp + 1;
	in.i_pts = e->n_written;
	in.img.i_csp = X264_CSP_NV12;
	in.img.i_plane = 2;
	in.img.plane[0] = p->y;
	in.img.plane[1] = p->uv;
	in.img.i_stride[0] = in.img.i_stride[1] = (int)p->stride;
	if (e->config.use_damage) {
		for (uint32_t i = 0; i < e->n_mbs; i++) {
			e->mb_info[i] = e->dirty[i] ? 0 : X264_MBINFO_CONSTANT;
		}
		in.prop.mb_info = e->mb_info;
	}
	if (x264_encoder_encode(e->x264, &nals, &n_nals, &in, &out) <= 0 || n_nals == 0 ||
		x264_encoder_delayed_frames(e->x264) != 0) {
		return -EIO;
	}
	e->n_written++;

	struct access_unit *au = access_unit_create(copy_nals(nals, n_nals, NULL));
	if (!au) {
		return -EIO; /* x264 believes that decoders have it */
	}
	(void)copy_nals(nals, n_nals, au->data);
	au->width = p->width;
	au->height = p->height;
	au->keyframe = idr;
	au->pts_ns = request->pts_ns;
	*ret = au;
	return 0;
}

static int encoder_x264_encode(
	struct encoder *encoder, const struct encode_request *request, struct access_unit **ret) {
	struct encoder_x264 *e = encoder_x264_from(encoder);
	struct picture *p = request->picture;
	if (p->width != e->config.width || p->height != e->config.height) {
		return -EINVAL;
	}
	picture_fetch(p);
	/* A picture that is younger than what was written is another one: all of it is new. */
	uint32_t since = e->started && p->update >= e->last_update ? e->last_update : 0;
	struct rect damage;
	uint32_t n_dirty = picture_dirty_since(p, since, e->dirty, &damage);
	if (n_dirty > e->n_mbs >> MOTION_SHIFT) {
		widen_to_bounds(e, &damage);
	}
	bool idr = request->idr || !e->started;
	enum rate_kind kind = idr ? RATE_IDR : request->refine > 0 ? RATE_REFINE : RATE_NEW;

	struct rate_load load;
	rate_advance(&e->rate, request->pts_ns);
	weigh(e, p, idr, &load);
	uint8_t qp = choose_qp(e, kind, n_dirty, &load);

	struct access_unit *au;
	int r = run_x264(e, request, idr, qp, &au);
	if (r < 0) {
		return r;
	}
	for (uint32_t i = 0; i < e->n_mbs; i++) {
		if (idr || e->dirty[i] || e->mb_qp[i] > qp) {
			e->mb_qp[i] = qp;
		}
	}
	rate_spend(&e->rate, kind, &load, qp, (uint64_t)au->size * 8);
	e->started = true;
	e->last_update = p->update;
	au->refine = (uint8_t)MIN(request->refine, (unsigned)UINT8_MAX);
	au->dirty_mbs = n_dirty;
	au->damage = damage;
	au->encoded_ns = now_ns();
	*ret = au;
	return 0;
}

static int encoder_x264_set_bitrate(struct encoder *encoder, uint32_t bitrate) {
	struct encoder_x264 *e = encoder_x264_from(encoder);
	e->config.bitrate = bitrate;
	rate_set_bitrate(&e->rate, bitrate);
	return 0;
}

const struct encoder_ops encoder_x264 = {
	.name = "x264",
	.create = encoder_x264_create,
	.destroy = encoder_x264_destroy,
	.encode = encoder_x264_encode,
	.set_bitrate = encoder_x264_set_bitrate,
	.refine_passes = encoder_x264_refine_passes,
};
