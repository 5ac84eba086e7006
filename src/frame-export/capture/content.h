/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Desktop-like pictures without a desktop: text, windows, gradients, noise and a frame counter that
 * a test can read back from a decoded stream. For the pattern capture source, tests and benchmarks.
 *
 * The frame counter is 32 bits, drawn as 34 squares of 16×16 pixels in one row, 544×16 in all: first
 * a marker of one red (255, 0, 0) and one green (0, 255, 0) square, then 32 squares, most
 * significant bit first, white (255, 255, 255) for 1 and black (0, 0, 0) for 0. A picture carries
 * it twice, with its top left corner at (32, 32) and at (32, height − 48): if the two differ, the
 * picture is torn. A reader looks at the middle 4×4 pixels of each square (libhelix/counter.h).
 */
#ifndef HELIX_FRAME_EXPORT_CONTENT_H
#define HELIX_FRAME_EXPORT_CONTENT_H

#include <stddef.h>
#include <stdint.h>

#include "libhelix/counter.h"
#include "surface.h"

#define GLYPH_WIDTH  8u
#define GLYPH_HEIGHT 16u

/* Memory to draw into, borrowed. Everything drawn is clipped to it. */
struct canvas {
	uint8_t *pixels;
	uint32_t width, height; /* pixels */
	uint32_t stride;        /* bytes a row */
	enum pixel_order order;
};

/* Colours are 0xRRGGBB. */
void canvas_fill(const struct canvas *c, struct rect r, uint32_t colour);
/* From one colour at the top to another at the bottom. */
void canvas_gradient(const struct canvas *c, struct rect r, uint32_t top, uint32_t bottom);
/* As noisy as a photograph: soft colours with grain. The same seed gives the same pixels. */
void canvas_photo(const struct canvas *c, struct rect r, uint32_t seed);
/* One line in an 8×16 font of ASCII; other bytes show as '?'. */
void canvas_text(
	const struct canvas *c, uint32_t x, uint32_t y, const char *text, uint32_t fg, uint32_t bg);
/* Moves what is in `r` up by `rows`; the rows that come free keep their old content. */
void canvas_scroll(const struct canvas *c, struct rect r, uint32_t rows);
/* The same pixels from another canvas of the same order and size. */
void canvas_copy(const struct canvas *dst, const struct canvas *src, struct rect r);

void canvas_counter(const struct canvas *c, uint32_t x, uint32_t y, uint32_t value);
/* Both counters of a picture. Needs 576×96 pixels; draws what fits of them in less. */
void canvas_counters(const struct canvas *c, uint32_t value);

/* A line of words, always the same for a seed; `size` with the NUL. */
void content_line(uint32_t seed, char *buf, size_t size);
/* `r` filled with lines of text as an editor shows them. */
void content_page(const struct canvas *c, struct rect r, uint32_t seed, uint32_t fg, uint32_t bg);
/* A window: title bar with buttons, border, page of text. */
void content_window(const struct canvas *c, struct rect r, const char *title, uint32_t seed);
/* A desktop: gradient background, icons, panel, a terminal and an editor. */
void content_desktop(const struct canvas *c, uint32_t seed);

#endif
