/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Works in bands of one row of macroblocks. A band's damaged columns are converted into memory that
 * stays in the CPU's cache and are compared there with the picture, macroblock by macroblock; only
 * what differs is written. So a flip that changes nothing reads the guest's pixels and the picture
 * once and writes nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "convert.h"
#include "rgb-nv12.h"
#include "util.h"

#define BAND_ALIGN 64
#define MB_BYTES   (MB_SIZE * SURFACE_BYTES_PER_PIXEL) /* of one row of a macroblock's RGB */

struct converter {
	rgb_nv12_kernel kernel;
	uint32_t max_width; /* multiple of MB_SIZE */
	uint8_t *y, *uv;    /* a band: 16 and 8 rows of max_width bytes */
	uint8_t *gathered;  /* a band's RGB, from surfaces in pieces */
};

/* What one call works on: macroblock columns [x0, x1). */
struct band {
	uint32_t mb_x, mb_y, mb_count;
	uint32_t width; /* pixels that exist; at most mb_count · 16 */
	uint32_t rows;  /* likewise, 1 to 16 */
};

struct converter *converter_create(uint32_t max_width) {
	if (max_width == 0 || max_width > PICTURE_MAX_SIDE) {
		errno = EINVAL;
		return NULL;
	}
	struct converter *c = calloc(1, sizeof(*c));
	if (!c) {
		return NULL;
	}
	c->kernel = rgb_nv12_best();
	c->max_width = ALIGN_UP(max_width, (uint32_t)BAND_ALIGN);
	c->y = aligned_alloc(BAND_ALIGN, (size_t)c->max_width * MB_SIZE);
	c->uv = aligned_alloc(BAND_ALIGN, (size_t)c->max_width * MB_SIZE / 2);
	c->gathered = aligned_alloc(BAND_ALIGN, (size_t)c->max_width * MB_BYTES);
	if (!c->y || !c->uv || !c->gathered) {
		converter_destroy(c);
		errno = ENOMEM;
		return NULL;
	}
	return c;
}

void converter_destroy(struct converter *c) {
	if (!c) {
		return;
	}
	free(c->y);
	free(c->uv);
	free(c->gathered);
	free(c);
}

/* The last, partial macroblock of a row: its pixels, the last one repeated up to 16. */
static void pad_row(uint8_t dst[static MB_BYTES], const uint8_t *src, uint32_t width) {
	memcpy(dst, src, width * SURFACE_BYTES_PER_PIXEL);
	for (uint32_t x = width; x < MB_SIZE; x++) {
		memcpy(dst + x * SURFACE_BYTES_PER_PIXEL,
			dst + (width - 1) * SURFACE_BYTES_PER_PIXEL, SURFACE_BYTES_PER_PIXEL);
	}
}

static void convert_band(struct converter *c, enum pixel_order order, const struct band *band,
	const uint8_t *src, uint32_t stride) {
	uint32_t whole = band->width / MB_SIZE, rest = band->width % MB_SIZE;
	size_t pitch = (size_t)band->mb_count * MB_SIZE;
	uint32_t row;

	for (row = 0; row < band->rows; row += 2) {
		const uint8_t *top = src + (size_t)row * stride;
		const uint8_t *bottom = row + 1 < band->rows ? top + stride : top;
		uint8_t *y0 = c->y + row * pitch, *y1 = y0 + pitch, *uv = c->uv + row / 2 * pitch;
		c->kernel(order, top, bottom, whole, y0, y1, uv);
		if (rest > 0) {
			uint8_t padded[2][MB_BYTES];
			size_t done = (size_t)whole * MB_SIZE;
			pad_row(padded[0], top + (size_t)whole * MB_BYTES, rest);
			pad_row(padded[1], bottom + (size_t)whole * MB_BYTES, rest);
			c->kernel(order, padded[0], padded[1], 1, y0 + done, y1 + done, uv + done);
		}
	}
	/* Rows below the picture repeat its last one: they are coded, so let them cost nothing. */
	for (; row < MB_SIZE; row += 2) {
		memcpy(c->y + row * pitch, c->y + (row - 1) * pitch, pitch);
		memcpy(c->y + (row + 1) * pitch, c->y + (row - 1) * pitch, pitch);
		memcpy(c->uv + row / 2 * pitch, c->uv + (row / 2 - 1) * pitch, pitch);
	}
}

/*
 * Do `rows` rows of 16 bytes differ? All are looked at: most macroblocks are equal, and this is what
 * a flip without change costs beside the conversion.
 */
#if defined(__SSE2__)
static bool block_differs(
	const uint8_t *a, size_t a_stride, const uint8_t *b, size_t b_stride, unsigned rows) {
	__m128i diff = _mm_setzero_si128();
	for (unsigned i = 0; i < rows; i++) {
		__m128i p = _mm_loadu_si128((const __m128i *)(a + i * a_stride));
		__m128i q = _mm_loadu_si128((const __m128i *)(b + i * b_stride));
		diff = _mm_or_si128(diff, _mm_xor_si128(p, q));
	}
	return _mm_movemask_epi8(_mm_cmpeq_epi8(diff, _mm_setzero_si128())) != 0xffff;
}
#else
static bool block_differs(
	const uint8_t *a, size_t a_stride, const uint8_t *b, size_t b_stride, unsigned rows) {
	uint64_t diff = 0;
	for (unsigned i = 0; i < rows; i++) {
		uint64_t p[2], q[2];
		memcpy(p, a + i * a_stride, sizeof(p));
		memcpy(q, b + i * b_stride, sizeof(q));
		diff |= (p[0] ^ q[0]) | (p[1] ^ q[1]);
	}
	return diff != 0;
}
#endif

static void block_copy(
	uint8_t *dst, size_t dst_stride, const uint8_t *src, size_t src_stride, unsigned rows) {
	for (unsigned i = 0; i < rows; i++) {
		memcpy(dst + i * dst_stride, src + i * src_stride, MB_SIZE);
	}
}

/* NV12 of a band, in rows of `pitch` bytes. */
struct band_nv12 {
	const uint8_t *y, *uv;
	size_t pitch;
};

/* Takes what differs over into the picture; returns how many macroblocks did. */
static int store_band(
	const struct band_nv12 *from, struct picture *p, const struct band *band, uint32_t update) {
	size_t pitch = from->pitch;
	uint8_t *py = p->y + ((size_t)band->mb_y * p->stride + band->mb_x) * MB_SIZE;
	uint8_t *puv =
		p->uv + (size_t)band->mb_y * (MB_SIZE / 2) * p->stride + band->mb_x * MB_SIZE;
	uint32_t *mb_update = p->mb_update + (size_t)band->mb_y * p->mb_width + band->mb_x;
	int changed = 0;

	for (uint32_t i = 0; i < band->mb_count; i++) {
		size_t x = (size_t)i * MB_SIZE;
		if (block_differs(from->y + x, pitch, py + x, p->stride, MB_SIZE) ||
			block_differs(from->uv + x, pitch, puv + x, p->stride, MB_SIZE / 2)) {
			block_copy(py + x, p->stride, from->y + x, pitch, MB_SIZE);
			block_copy(puv + x, p->stride, from->uv + x, pitch, MB_SIZE / 2);
			mb_update[i] = update;
			changed++;
		}
	}
	return changed;
}

/* A band of the surface as NV12: made here, or as it is there. */
static struct band_nv12 band_of(struct converter *c, const struct surface *surface,
	const struct rect *viewport, const struct band *band) {
	uint32_t x = band->mb_x * MB_SIZE, y = band->mb_y * MB_SIZE, stride = surface->stride;
	if (surface->chroma) {
		return (struct band_nv12){
			.y = surface->pixels + (size_t)y * stride + x,
			.uv = surface->chroma + (size_t)y / 2 * stride + x,
			.pitch = stride,
		};
	}
	struct rect part = {viewport->x + x, viewport->y + y, band->width, band->rows};
	const uint8_t *src = surface_rows(surface, &part, c->gathered, &stride);
	convert_band(c, surface->order, band, src, stride);
	return (struct band_nv12){c->y, c->uv, (size_t)band->mb_count * MB_SIZE};
}

static bool viewport_fits(const struct converter *c, const struct picture *p,
	const struct surface *s, const struct rect *viewport) {
	return !rect_empty(viewport) && viewport->width <= s->width &&
		viewport->x <= s->width - viewport->width && viewport->height <= s->height &&
		viewport->y <= s->height - viewport->height &&
		ALIGN_UP(viewport->width, 2u) == p->width &&
		ALIGN_UP(viewport->height, 2u) == p->height &&
		p->mb_width * MB_SIZE <= c->max_width && (unsigned)s->order < _PIXEL_ORDER_MAX &&
		(!s->chroma || (viewport->width == s->width && viewport->height == s->height));
}

int converter_update(struct converter *c, struct picture *picture, const struct surface *surface,
	const struct rect *viewport, const struct rect *damage, const atomic_uint *cancel,
	unsigned expected) {
	if (!viewport_fits(c, picture, surface, viewport)) {
		return -EINVAL;
	}
	/* Compared before they are added up: damage may come unchecked from a guest. */
	if (rect_empty(damage) || damage->x >= viewport->width || damage->y >= viewport->height) {
		return 0;
	}
	uint32_t right = damage->x + MIN(damage->width, viewport->width - damage->x);
	uint32_t bottom = damage->y + MIN(damage->height, viewport->height - damage->y);
	uint32_t mb_x = damage->x / MB_SIZE, mb_end = DIV_ROUND_UP(right, MB_SIZE);
	uint32_t update = picture->update + 1;
	int total = 0;

	struct band band = {.mb_x = mb_x, .mb_count = mb_end - mb_x};
	band.width = MIN(mb_end * MB_SIZE, viewport->width) - mb_x * MB_SIZE;
	for (band.mb_y = damage->y / MB_SIZE; band.mb_y * MB_SIZE < bottom; band.mb_y++) {
		if (cancel && atomic_load_explicit(cancel, memory_order_acquire) != expected) {
			return -ECANCELED;
		}
		band.rows = MIN(viewport->height - band.mb_y * MB_SIZE, (uint32_t)MB_SIZE);
		struct band_nv12 nv12 = band_of(c, surface, viewport, &band);
		int changed = store_band(&nv12, picture, &band, update);
		if (changed > 0) {
			picture->update = update;
			total += changed;
		}
	}
	return total;
}

/* The nearest of `x`, which is positive here. */
static uint8_t round_to_byte(double x) {
	return (uint8_t)(x + 0.5);
}

void convert_pixel(uint8_t r, uint8_t g, uint8_t b, uint8_t yuv[static 3]) {
	double y = 0.2126 * r + 0.7152 * g + 0.0722 * b;
	yuv[0] = round_to_byte(16 + y * 219 / 255);
	yuv[1] = round_to_byte(128 + (b - y) / 1.8556 * 224 / 255);
	yuv[2] = round_to_byte(128 + (r - y) / 1.5748 * 224 / 255);
}
