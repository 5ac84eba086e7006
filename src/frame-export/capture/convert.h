/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From RGB that somebody else may be drawing into, to the NV12 picture of a scanout: only the
 * macroblocks that damage touches are read, each pixel once (twice in the last of an odd number of
 * rows), and nothing outside the viewport; a macroblock whose NV12 came out as it was is not touched
 * and does not count as changed. BT.709, limited range (ITU-R BT.709-6, 3.2-3.5; ITU-T H.273). Of a
 * surface that is NV12 already, all of which must be the viewport, what differs is taken over.
 */
#ifndef HELIX_FRAME_EXPORT_CONVERT_H
#define HELIX_FRAME_EXPORT_CONVERT_H

#include "picture.h"
#include "surface.h"

/* Working memory of one thread for pictures up to a width. */
struct converter;

struct converter *converter_create(uint32_t max_width);
void converter_destroy(struct converter *c);

/*
 * Brings `damage` (in picture coordinates, clipped here) of the picture up to date from the
 * viewport of the surface whose top left corner is (x, y). The viewport must lie inside the surface
 * and be as large as the picture (or one pixel less, where the picture was rounded up to even: the
 * last row or column is repeated). Begins a new update if anything changed. Returns the number of
 * macroblocks that changed; -EINVAL if viewport, surface, picture and converter do not fit.
 *
 * `*cancel`, which may be NULL, is looked at between rows of macroblocks: once it differs from
 * `expected` the rest is left undone and -ECANCELED returned; what was converted so far is in the
 * picture, marked as changed.
 */
int converter_update(struct converter *c, struct picture *picture, const struct surface *surface,
	const struct rect *viewport, const struct rect *damage, const atomic_uint *cancel,
	unsigned expected);

/* The exact conversion of one colour, for tests and solid fills: Y, U, V. */
void convert_pixel(uint8_t r, uint8_t g, uint8_t b, uint8_t yuv[static 3]);

#endif
