/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "jitter.h"
#include "util.h"

/* The reader takes its samples in one piece: more than that must wait. */
#define MARGIN 960u

void jitter_write(struct jitter *j, const int16_t *samples, size_t n) {
	unsigned at = atomic_load_explicit(&j->written, memory_order_relaxed);
	size_t room = JITTER_SAMPLES - (at - atomic_load_explicit(&j->read, memory_order_acquire));
	n = MIN(n, room);
	for (size_t i = 0; i < n; i++) {
		j->ring[(at + i) % JITTER_SAMPLES] = samples[i];
	}
	atomic_store_explicit(&j->written, at + (unsigned)n, memory_order_release);
}

void jitter_read(struct jitter *j, int16_t *ret, size_t n) {
	unsigned at = atomic_load_explicit(&j->read, memory_order_relaxed);
	size_t fill = atomic_load_explicit(&j->written, memory_order_acquire) - at;
	size_t target = MIN(MAX(JITTER_TARGET, n + MARGIN), JITTER_SAMPLES / 2);
	if (fill > MAX(JITTER_MAX, 2 * target)) {
		size_t cut = fill - target;
		at += (unsigned)cut;
		fill = target;
		(void)atomic_fetch_add_explicit(&j->skipped, cut, memory_order_relaxed);
	}
	size_t take = j->playing || fill >= target ? MIN(fill, n) : 0;
	for (size_t i = 0; i < take; i++) {
		ret[i] = j->ring[(at + i) % JITTER_SAMPLES];
	}
	memset(ret + take, 0, (n - take) * sizeof(*ret));
	if (j->playing && take < n) {
		(void)atomic_fetch_add_explicit(&j->underruns, 1, memory_order_relaxed);
	}
	j->playing = take == n;
	atomic_store_explicit(&j->read, at + (unsigned)take, memory_order_release);
}

void jitter_reset(struct jitter *j) {
	unsigned at = atomic_load_explicit(&j->written, memory_order_relaxed);
	atomic_store_explicit(&j->read, at, memory_order_relaxed);
	j->playing = false;
}
