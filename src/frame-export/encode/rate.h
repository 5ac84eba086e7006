/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which quantiser a picture is written with, so that quality is constant where the bitrate allows
 * it and no window of a second holds much more than the bitrate where it does not.
 *
 * A leaky bucket: coded bits fill it, time drains it. A picture is predicted from what it holds
 * (rate_weight) and from what such content cost of late, and takes at most a share of the room that
 * is left; so bursts of a desktop (a new window) are sharp at once if they fit, moving content
 * settles where a picture's bits equal what drains between two, and refinement uses what is over.
 *
 * This is ours, and not x264's VBV, since that needs x264's look-ahead, which costs 0.7 ms a
 * picture at 1080p even when nothing changed, and cannot be turned off without a new encoder.
 */
#ifndef HELIX_FRAME_EXPORT_RATE_H
#define HELIX_FRAME_EXPORT_RATE_H

#include <stdint.h>

#define QP_MAX   51 /* ITU-T H.264, 7.4.5, 8-bit samples */
#define QP_COUNT (QP_MAX + 1)

enum rate_kind {
	RATE_IDR,    /* whole pictures */
	RATE_NEW,    /* what changed */
	RATE_REFINE, /* what is there already, written better */
	_RATE_KIND_MAX,
};

struct rate {
	double bitrate;              /* bits/s; 0: no bound */
	double level;                /* bits in the bucket */
	uint64_t last_ns;            /* time up to which it was drained */
	double cost[_RATE_KIND_MAX]; /* bits a unit of weight at RATE_COST_QP */
};

/*
 * What a picture at quantiser `qp` would write: `fixed` whatever it is, `above[v]` what is held
 * with quantiser v and is written again if qp is less than v.
 */
struct rate_load {
	double fixed;
	double above[QP_COUNT];
};

void rate_init(struct rate *r, uint32_t bitrate);
void rate_set_bitrate(struct rate *r, uint32_t bitrate);
/* Time goes on to `now_ns`, which is that of the next picture. */
void rate_advance(struct rate *r, uint64_t now_ns);

/* The smallest quantiser from `lowest` on whose prediction fits; QP_MAX if none does. */
uint8_t rate_choose(
	const struct rate *r, enum rate_kind kind, const struct rate_load *load, uint8_t lowest);

/* Books a picture of that load, written with `qp`, that came out as `bits`. */
void rate_spend(struct rate *r, enum rate_kind kind, const struct rate_load *load, uint8_t qp,
	uint64_t bits);

/* How much a macroblock has to say: luma of 16 rows of 16 bytes, looked at without decoding. */
double rate_weight(const uint8_t *y, uint32_t stride);

#endif
