/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The arithmetic of convert.h: kernels that turn two rows of RGB into two rows of luma and one of
 * chroma. Every kernel gives the same bytes; which one runs is a matter of the CPU.
 *
 * BT.709 (ITU-R BT.709-6, 3.2: luma 0.2126 R + 0.7152 G + 0.0722 B; 3.3: colour differences over
 * 1.8556 and 1.5748; 3.4 and 3.5: 219 steps from 16 and 224 around 128).
 */
#ifndef HELIX_FRAME_EXPORT_RGB_NV12_H
#define HELIX_FRAME_EXPORT_RGB_NV12_H

#include <stddef.h>
#include <stdint.h>

#include "surface.h"

/*
 * Luma is ((29 R + 98 G + 10 B + 2630) · 411) >> 16. The weights are small so that a product of two
 * neighbouring channels fits the 16-bit multiply-add of SSE and AVX (their sums stay under 128) and
 * were searched for: off by one for 7 % of all colours, by more for none, exact for all greys.
 */
#define LUMA_R     29
#define LUMA_G     98
#define LUMA_B     10
#define LUMA_BIAS  2630
#define LUMA_SCALE 411

/*
 * Chroma comes from sums of 2×2 pixels, so that no average is rounded twice: weights times 2^15,
 * each row adding up to 0 so that grey is 128 exactly.
 */
#define CHROMA_U_R   (-3298)
#define CHROMA_U_G   (-11094)
#define CHROMA_U_B   14392
#define CHROMA_V_R   14392
#define CHROMA_V_G   (-13072)
#define CHROMA_V_B   (-1320)
#define CHROMA_SHIFT 17
#define CHROMA_BIAS  ((128 << CHROMA_SHIFT) + (1 << (CHROMA_SHIFT - 1)))

/*
 * Converts `n` times 16 pixels of two rows: 16·n bytes each to `y0` and `y1`, 16·n bytes of
 * interleaved U and V to `uv`. Each source pixel is read once, and nothing beyond them.
 */
typedef void (*rgb_nv12_kernel)(enum pixel_order order, const uint8_t *row0, const uint8_t *row1,
	size_t n, uint8_t *y0, uint8_t *y1, uint8_t *uv);

void rgb_nv12_c(enum pixel_order order, const uint8_t *row0, const uint8_t *row1, size_t n,
	uint8_t *y0, uint8_t *y1, uint8_t *uv);

/* The fastest kernel that this CPU runs. */
rgb_nv12_kernel rgb_nv12_best(void);

#endif
