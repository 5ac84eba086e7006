/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "surface.h"
#include "util.h"

/* Where a reader of a surface in pieces stands: `at` bytes into piece `index`. */
struct piece_cursor {
	const struct surface *surface;
	size_t index, at;
};

static void cursor_skip(struct piece_cursor *c, size_t n) {
	const struct surface *s = c->surface;
	while (c->index < s->n_pieces && n >= s->pieces[c->index].iov_len - c->at) {
		n -= s->pieces[c->index].iov_len - c->at;
		c->index++;
		c->at = 0;
	}
	c->at += n;
}

static void cursor_read(struct piece_cursor *c, uint8_t *dst, size_t n) {
	const struct surface *s = c->surface;
	while (n > 0 && c->index < s->n_pieces) {
		const struct iovec *piece = &s->pieces[c->index];
		size_t chunk = MIN(n, piece->iov_len - c->at);
		memcpy(dst, (const uint8_t *)piece->iov_base + c->at, chunk);
		cursor_skip(c, chunk);
		dst += chunk;
		n -= chunk;
	}
	/* Whoever made the surface promised enough bytes; black is better than what was there. */
	memset(dst, 0, n);
}

const uint8_t *surface_rows(
	const struct surface *s, const struct rect *r, uint8_t *scratch, uint32_t *ret_stride) {
	size_t offset = (size_t)r->y * s->stride + (size_t)r->x * SURFACE_BYTES_PER_PIXEL;
	size_t row = (size_t)r->width * SURFACE_BYTES_PER_PIXEL;
	if (s->pixels) {
		*ret_stride = s->stride;
		return s->pixels + offset;
	}

	struct piece_cursor c = {.surface = s};
	cursor_skip(&c, offset);
	size_t span = (size_t)(r->height - 1) * s->stride + row;
	if (c.index < s->n_pieces && span <= s->pieces[c.index].iov_len - c.at) {
		*ret_stride = s->stride;
		return (const uint8_t *)s->pieces[c.index].iov_base + c.at;
	}
	for (uint32_t y = 0; y < r->height; y++) {
		if (y > 0) {
			cursor_skip(&c, s->stride - row);
		}
		cursor_read(&c, scratch + y * row, row);
	}
	*ret_stride = (uint32_t)row;
	return scratch;
}
