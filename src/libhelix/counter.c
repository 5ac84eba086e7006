/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>

#include "counter.h"

/* Pixels averaged in the middle of a square: coding errors gather at its edges. */
#define SAMPLE_SIDE 4u

/* In BT.709 limited range red is (63, 102, 240), green (173, 42, 26). */
#define RED_MIN_V    180u
#define RED_MAX_U    140u
#define GREEN_MAX_UV 90u
/* Black is 16, white 235; in between is neither. */
#define BLACK_MAX_Y 90u
#define WHITE_MIN_Y 160u

static unsigned average(const uint8_t *p, size_t stride, size_t step, unsigned side) {
	unsigned sum = 0;
	for (unsigned i = 0; i < side; i++) {
		for (unsigned j = 0; j < side; j++) {
			sum += p[i * stride + j * step];
		}
	}
	return sum / (side * side);
}

static unsigned luma_at(const struct counter_planes *p, uint32_t x, uint32_t y) {
	uint32_t off = (COUNTER_SQUARE - SAMPLE_SIDE) / 2;
	return average(
		p->y + (size_t)(y + off) * p->y_stride + x + off, p->y_stride, 1, SAMPLE_SIDE);
}

static unsigned chroma_at(
	const struct counter_planes *p, const uint8_t *plane, uint32_t x, uint32_t y) {
	uint32_t off = (COUNTER_SQUARE - SAMPLE_SIDE) / 4;
	return average(plane + (size_t)(y / 2 + off) * p->uv_stride + (x / 2 + off) * p->uv_step,
		p->uv_stride, p->uv_step, SAMPLE_SIDE / 2);
}

int counter_read(const struct counter_planes *p, uint32_t x, uint32_t y, uint32_t *ret) {
	if (p->width < COUNTER_SQUARES * COUNTER_SQUARE || p->height < COUNTER_SQUARE ||
		x > p->width - COUNTER_SQUARES * COUNTER_SQUARE || y > p->height - COUNTER_SQUARE) {
		return -EINVAL;
	}
	if (chroma_at(p, p->v, x, y) < RED_MIN_V || chroma_at(p, p->u, x, y) > RED_MAX_U) {
		return -ENOENT;
	}
	x += COUNTER_SQUARE;
	if (chroma_at(p, p->u, x, y) > GREEN_MAX_UV || chroma_at(p, p->v, x, y) > GREEN_MAX_UV) {
		return -ENOENT;
	}
	uint32_t value = 0;
	for (unsigned i = 0; i < 32; i++) {
		x += COUNTER_SQUARE;
		unsigned luma = luma_at(p, x, y);
		if (luma > BLACK_MAX_Y && luma < WHITE_MIN_Y) {
			return -ENOENT;
		}
		value = value << 1 | (luma >= WHITE_MIN_Y);
	}
	*ret = value;
	return 0;
}
