/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Captured samples on their way from PipeWire's thread to the loop's: one writer, one reader, no
 * lock, no allocation. What does not fit is dropped, and counted.
 */
#ifndef HELIX_BRIDGE_AUDIO_BLOCKS_H
#define HELIX_BRIDGE_AUDIO_BLOCKS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define AUDIO_RATE         48000u
#define AUDIO_CHANNELS     2u
#define AUDIO_BLOCK_FRAMES 1024u
#define AUDIO_BLOCKS       32u /* two thirds of a second */

#define AUDIO_FRAMES_NS(n) ((uint64_t)(n)*NSEC_PER_SEC / AUDIO_RATE)

struct audio_block {
	uint64_t time_ns; /* CLOCK_MONOTONIC at which the first frame is heard */
	unsigned frames;
	float samples[AUDIO_BLOCK_FRAMES * AUDIO_CHANNELS];
};

struct audio_blocks {
	_Atomic unsigned written, read; /* counts; their difference is what waits */
	_Atomic uint64_t dropped;
	struct audio_block ring[AUDIO_BLOCKS];
};

/* The writer's: `frames` of interleaved samples. */
void audio_blocks_write(
	struct audio_blocks *b, uint64_t time_ns, const float *samples, size_t frames);
/* The reader's: the oldest block, which stays until it is released; NULL: none. */
const struct audio_block *audio_blocks_peek(const struct audio_blocks *b);
void audio_blocks_release(struct audio_blocks *b);

#endif
