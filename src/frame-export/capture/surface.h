/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A surface is memory that someone else draws into (a guest's pages, a test pattern, a renderer) and
 * that capture reads: RGB, or NV12 that a GPU has made of it. Its geometry never changes; the pixels
 * may, at any time: nothing that is read from it may be trusted twice.
 */
#ifndef HELIX_FRAME_EXPORT_SURFACE_H
#define HELIX_FRAME_EXPORT_SURFACE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "picture.h"

/*
 * Byte order in memory, as virtio-gpu names its formats (virtio 1.2, 5.7.6.8,
 * VIRTIO_GPU_RESOURCE_CREATE_2D); the fourth byte is alpha or unused and is ignored either way.
 */
enum pixel_order {
	PIXEL_ORDER_BGRA,
	PIXEL_ORDER_ARGB,
	PIXEL_ORDER_RGBA,
	PIXEL_ORDER_ABGR,
	_PIXEL_ORDER_MAX,
};

#define SURFACE_BYTES_PER_PIXEL 4u

struct surface {
	atomic_uint refs;
	uint32_t width, height; /* pixels */
	uint32_t stride;        /* bytes a row, at least 4·width */
	enum pixel_order order;
	bool stable; /* the pixels do not change while somebody else has a reference */
	/*
	 * All rows in one piece, if they could be mapped so (the usual case); else NULL, and `pieces`
	 * has them in order: (height−1)·stride + 4·width bytes in all at least.
	 */
	const uint8_t *pixels;
	/*
	 * NULL: RGB. Else it is NV12 and this its chroma, `pixels` its luma, both with `stride`, and
	 * padded to whole macroblocks as struct picture is; order and pieces mean nothing then.
	 */
	const uint8_t *chroma;
	/* NULL, or the same NV12 where a GPU has it, for encoders that take it from there. */
	const struct gpu_picture *gpu;
	const struct iovec *pieces;
	size_t n_pieces;
	/* Called with the last reference gone, by whatever thread dropped it; frees the surface. */
	void (*release)(struct surface *surface);
};

static inline struct surface *surface_ref(struct surface *s) {
	atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	return s;
}

static inline void surface_unref(struct surface *s) {
	if (s && atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) == 1) {
		s->release(s);
	}
}

/*
 * `height` rows from (x, y) on, `width` pixels each: a pointer into the surface where it is in one
 * piece, else gathered into `scratch` (4·width·height bytes). `*ret_stride` is in bytes. The
 * rectangle must lie inside the surface.
 */
const uint8_t *surface_rows(
	const struct surface *s, const struct rect *r, uint8_t *scratch, uint32_t *ret_stride);

#endif
