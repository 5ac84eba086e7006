/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A microphone's samples on their way from the network to PipeWire's thread: one writer, one reader,
 * no lock. They wait a moment, so that what comes unevenly leaves evenly; never longer than a bound,
 * beyond which the oldest are skipped. Pure.
 */
#ifndef HELIX_BRIDGE_AUDIO_JITTER_H
#define HELIX_BRIDGE_AUDIO_JITTER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JITTER_SAMPLES 32768u /* a power of two; two thirds of a second at 48 kHz */
#define JITTER_TARGET  2880u  /* 60 ms wait before anything is played */
#define JITTER_MAX     9600u  /* 200 ms; more is cut to the target */

struct jitter {
	_Atomic unsigned written, read;
	bool playing; /* the reader's */
	_Atomic uint64_t underruns, skipped;
	int16_t ring[JITTER_SAMPLES];
};

/* The writer's. What does not fit is dropped: nobody records, or the reader will skip anyway. */
void jitter_write(struct jitter *j, const int16_t *samples, size_t n);
/* The reader's: always fills `n` samples, with silence where there is nothing. */
void jitter_read(struct jitter *j, int16_t *ret, size_t n);
/* While there is no reader. */
void jitter_reset(struct jitter *j);

#endif
