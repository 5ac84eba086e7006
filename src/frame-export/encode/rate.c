/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <math.h>
#include <stdlib.h>

#include "rate.h"
#include "util.h"

#define RATE_COST_QP 23 /* the quantiser that costs are normalised to */

/* The bucket holds a quarter of a second: what a burst may be ahead of the bitrate. */
#define BUCKET_S 0.25
/* Share of the free room that one picture may take. A joiner's IDR shows most of the screen. */
static const double share[_RATE_KIND_MAX] = {
	[RATE_IDR] = 0.9,
	[RATE_NEW] = 0.5,
	[RATE_REFINE] = 0.3,
};

/* Before anything was measured: of a page of text, which is dearer than most. */
static const double first_cost[_RATE_KIND_MAX] = {
	[RATE_IDR] = 0.5,
	[RATE_NEW] = 0.5,
	[RATE_REFINE] = 0.25,
};

void rate_init(struct rate *r, uint32_t bitrate) {
	*r = (struct rate){.bitrate = bitrate};
	for (unsigned i = 0; i < _RATE_KIND_MAX; i++) {
		r->cost[i] = first_cost[i];
	}
}

void rate_set_bitrate(struct rate *r, uint32_t bitrate) {
	r->bitrate = bitrate;
}

void rate_advance(struct rate *r, uint64_t now_ns) {
	if (now_ns > r->last_ns) {
		double s = (double)(now_ns - r->last_ns) / (double)NSEC_PER_SEC;
		r->level = fmax(0, r->level - s * r->bitrate);
		r->last_ns = now_ns;
	}
}

/* Bits halve with every 6 steps (8.5.9 of H.264: the step size doubles). */
static double qp_factor(uint8_t qp) {
	return exp2((RATE_COST_QP - (double)qp) / 6);
}

static double load_at(const struct rate_load *load, uint8_t qp) {
	double sum = load->fixed;
	for (unsigned v = qp + 1u; v < QP_COUNT; v++) {
		sum += load->above[v];
	}
	return sum;
}

uint8_t rate_choose(
	const struct rate *r, enum rate_kind kind, const struct rate_load *load, uint8_t lowest) {
	if (r->bitrate <= 0) {
		return lowest;
	}
	double room = fmax(0, r->bitrate * BUCKET_S - r->level) * share[kind];
	for (uint8_t qp = lowest; qp < QP_MAX; qp++) {
		if (r->cost[kind] * load_at(load, qp) * qp_factor(qp) <= room) {
			return qp;
		}
	}
	return QP_MAX;
}

void rate_spend(struct rate *r, enum rate_kind kind, const struct rate_load *load, uint8_t qp,
	uint64_t bits) {
	if (r->bitrate <= 0) {
		return;
	}
	r->level += (double)bits;
	double weight = load_at(load, qp) * qp_factor(qp);
	if (weight > 0) {
		double seen = (double)bits / weight;
		/* Dearer content is believed at once, cheaper content slowly. */
		double trust = seen > r->cost[kind] ? 0.8 : 0.2;
		r->cost[kind] += trust * (seen - r->cost[kind]);
	}
}

double rate_weight(const uint8_t *y, uint32_t stride) {
	unsigned sum = 0;
	for (unsigned row = 0; row < 16; row += 2) {
		const uint8_t *p = y + (size_t)row * stride;
		for (unsigned x = 0; x < 15; x++) {
			sum += (unsigned)abs(p[x + 1] - p[x]);
		}
	}
	return sum + 16;
}
