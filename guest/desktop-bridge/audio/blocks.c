/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "blocks.h"
#include "util.h"

void audio_blocks_write(
	struct audio_blocks *b, uint64_t time_ns, const float *samples, size_t frames) {
	unsigned at = atomic_load_explicit(&b->written, memory_order_relaxed);
	while (frames > 0) {
		size_t n = MIN(frames, AUDIO_BLOCK_FRAMES);
		if (at - atomic_load_explicit(&b->read, memory_order_acquire) == AUDIO_BLOCKS) {
			(void)atomic_fetch_add_explicit(&b->dropped, 1, memory_order_relaxed);
			return;
		}
		struct audio_block *block = &b->ring[at % AUDIO_BLOCKS];
		block->time_ns = time_ns;
		block->frames = (unsigned)n;
		memcpy(block->samples, samples, n * AUDIO_CHANNELS * sizeof(float));
		atomic_store_explicit(&b->written, ++at, memory_order_release);
		time_ns += AUDIO_FRAMES_NS(n);
		samples += n * AUDIO_CHANNELS;
		frames -= n;
	}
}

const struct audio_block *audio_blocks_peek(const struct audio_blocks *b) {
	unsigned at = atomic_load_explicit(&b->read, memory_order_relaxed);
	if (atomic_load_explicit(&b->written, memory_order_acquire) == at) {
		return NULL;
	}
	return &b->ring[at % AUDIO_BLOCKS];
}

void audio_blocks_release(struct audio_blocks *b) {
	(void)atomic_fetch_add_explicit(&b->read, 1, memory_order_release);
}
