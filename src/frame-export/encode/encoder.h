/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The encoder seam. An encoder is one chain of reference pictures: what it wrote so far is what its
 * decoders hold. Capture owns the picture and the record of what changed in it (picture.h); an
 * encoder only remembers which update it wrote last. An encoder whose chain is shared by all
 * viewers of a scanout (x264, hardware) is made once per scanout; one cheap enough to have a chain
 * per viewer is made once per viewer, on the same picture. Nothing here is tied to either.
 *
 * An encoder is used by one thread at a time and knows no loop, socket or guest.
 */
#ifndef HELIX_FRAME_EXPORT_ENCODER_H
#define HELIX_FRAME_EXPORT_ENCODER_H

#include "picture.h"

struct encoder_config {
	uint32_t width, height; /* of the picture; even */
	uint32_t fps;           /* highest rate of frames that will come; only a hint */
	/*
	 * Upper bound in bits/s over any second or so, 0 for none. Quality is constant as long as it
	 * fits, so a desktop that changes little never sees the bound.
	 */
	uint32_t bitrate;
	uint8_t quality; /* H.264 quantiser that new content is written with, 1 (best) to 51 */
	uint8_t threads; /* of the encoder; 1 = the caller's own */
	bool use_damage; /* false: ignore what capture knows (to measure what it saves) */
	const char *render_node;   // of a hardware encoder; NULL: the one it finds
	struct fallback *fallback; // for encoder_fallback (fallback.h) only
};

/* What new content is written with, and the last quantiser of a refined static screen. */
#define ENCODER_QUALITY_DEFAULT 23
#define ENCODER_QUALITY_REFINED 12

struct encode_request {
	struct picture *picture; /* only fetched, if it is a GPU's */
	uint64_t pts_ns;         /* greater than that of the request before */
	bool idr;                /* start the chain anew: decoders need nothing older */
	/*
	 * 0: encode what changed since the last request. 1, 2, …: nothing changed; write what is not
	 * yet good again, better, pass by pass (see encoder_refine_passes).
	 */
	unsigned refine;
};

struct encoder;

struct encoder_ops {
	const char *name; /* for --encoder and logs */
	bool imports;     /* takes pictures that are dmabufs where they are, if the device allows */
	/*
	 * 0, or -EINVAL (sizes, options), -ENOMEM, -ENODEV (not to be had on this machine), -EBUSY
	 * (no session left), -EIO.
	 */
	int (*create)(const struct encoder_config *config, struct encoder **ret);
	void (*destroy)(struct encoder *encoder); /* NULL is fine */
	/*
	 * Writes one access unit: complete when the call returns, no picture is held back. It may be
	 * an IDR though none was asked for. The caller owns the result and fills scanout_id,
	 * sequence, flip_ns and, if it wants it of hardware encoders too, what is known of damage.
	 * 0; -EIO if the encoder is broken and must be made anew.
	 */
	int (*encode)(struct encoder *encoder, const struct encode_request *request,
		struct access_unit **ret);
	/*
	 * Takes effect with the next picture, without an IDR; of hardware that can't, with an IDR
	 * that comes within some seconds (avcodec.c).
	 */
	int (*set_bitrate)(struct encoder *encoder, uint32_t bitrate);
	/*
	 * How many refinement passes bring the last picture to its final quality; 0 once it has it.
	 */
	unsigned (*refine_passes)(const struct encoder *encoder);
};

/* Every implementation starts with this. */
struct encoder {
	const struct encoder_ops *ops;
};

extern const struct encoder_ops encoder_x264;
/* By libavcodec; whether this machine has them, only a try shows (probe.h). */
extern const struct encoder_ops encoder_vaapi, encoder_nvenc, encoder_qsv, encoder_v4l2m2m,
	encoder_videotoolbox;
/* For tests: x264, by libavcodec. */
extern const struct encoder_ops encoder_avcodec_x264;

/* The implementation of that name; NULL if there is none. */
const struct encoder_ops *encoder_by_name(const char *name);

#endif
