/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A picture that moves, and somebody who decodes what encoders make of it. */
#ifndef HELIX_TESTS_ENCODER_RIG_H
#define HELIX_TESTS_ENCODER_RIG_H

#include "decode.h"
#include "encoder.h"

struct encoder_rig {
	struct picture *picture;
	struct decoder *decoder;
	struct decoded shown;
	struct access_unit *au; // the last one
	uint64_t pts_ns;
	unsigned drawn;
	unsigned frames, keyframes;
	double psnr; /* luma of the last */
};

void encoder_rig_init(struct encoder_rig *r, uint32_t width, uint32_t height);
void encoder_rig_finish(struct encoder_rig *r);
/* The next picture of a film, or one that is dear to encode. */
void encoder_rig_draw(struct encoder_rig *r, bool noise);
/* Checks that one decodable access unit comes out for the picture, and that it is well formed. */
void encoder_rig_encode(struct encoder_rig *r, struct encoder *encoder, bool idr, unsigned refine);
/* What encoders are made with for this picture. */
struct encoder_config encoder_rig_config(const struct encoder_rig *r);

#endif
