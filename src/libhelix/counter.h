/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The frame counter that test patterns draw (drm-flipper, the "pattern" source) and that is read
 * back from decoded frames: 34 squares of 16 by 16 pixels in a row. The first is red, the second
 * green, then 32 bits follow, highest first, white for 1 and black for 0. Drawn twice, near the
 * top and near the bottom, it shows whether a frame is torn.
 */
#ifndef HELIX_LIBHELIX_COUNTER_H
#define HELIX_LIBHELIX_COUNTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COUNTER_SQUARE  16u /* pixels a side */
#define COUNTER_SQUARES 34u
#define COUNTER_X       32u /* of both */
#define COUNTER_TOP_Y   32u
/* Smallest picture that has both, one above the other. */
#define COUNTER_MIN_WIDTH  (COUNTER_X + COUNTER_SQUARES * COUNTER_SQUARE)
#define COUNTER_MIN_HEIGHT (COUNTER_TOP_Y + COUNTER_SQUARE + 48)

static inline uint32_t counter_bottom_y(uint32_t height) {
	return height - 48;
}

/* A picture in 4:2:0, BT.709 limited range; planar or with interleaved chroma. */
struct counter_planes {
	uint32_t width, height;
	const uint8_t *y, *u, *v;
	size_t y_stride, uv_stride; /* bytes */
	size_t uv_step;             /* bytes from one U to the next: 1 planar, 2 NV12 */
};

/*
 * Reads the counter whose top left corner is (x, y), both even. 0; -ENOENT if there is none (no
 * markers, squares that are neither black nor white); -EINVAL if the picture is too small.
 */
int counter_read(const struct counter_planes *p, uint32_t x, uint32_t y, uint32_t *ret);

#endif
