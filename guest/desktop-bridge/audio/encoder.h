/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Blocks of samples to Opus packets of 10 ms with presentation times. Times follow the samples, which
 * are even, rather than the blocks' own times, which jitter; a real gap starts anew. Silence is
 * encoded for half a second, then not at all.
 */
#ifndef HELIX_BRIDGE_AUDIO_ENCODER_H
#define HELIX_BRIDGE_AUDIO_ENCODER_H

#include "blocks.h"
#include "packet.h"

#define AUDIO_PACKET_FRAMES 480u  /* 10 ms */
#define AUDIO_PACKET_MAX    1500u /* bytes; 10 ms of the highest bitrate are less */

struct audio_encoder;

/* Takes no reference. */
typedef void (*audio_encoder_packet)(struct audio_packet *p, void *data);

int audio_encoder_create(
	uint32_t bitrate, audio_encoder_packet handler, void *data, struct audio_encoder **ret);
void audio_encoder_destroy(struct audio_encoder *e);
void audio_encoder_feed(struct audio_encoder *e, const struct audio_block *block);
/* What follows has nothing to do with what was before. */
void audio_encoder_restart(struct audio_encoder *e);

#endif
