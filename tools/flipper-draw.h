/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What drm-flipper draws. A picture is a function of its frame number; a buffer that shows frame m
 * is brought to frame n by drawing what differs, so that an emulated processor keeps up.
 *
 * The frame counter, for programs that read it back from decoded video: 34 squares of 16 by 16
 * pixels in a row; red (255,0,0), green (0,255,0), then the 32 bits of the number, highest first,
 * white for 1 and black for 0. It is drawn at (32, 32) and again at (32, height - 48): where the
 * two disagree, the picture was torn.
 */
#ifndef HELIX_TOOLS_FLIPPER_DRAW_H
#define HELIX_TOOLS_FLIPPER_DRAW_H

#include <stdbool.h>
#include <stdint.h>

/* A pixel format of 4 bytes: the bit at which each 8-bit channel begins in the 32-bit pixel. */
struct pixel_layout {
	uint32_t fourcc;                 /* DRM_FORMAT_… */
	uint8_t red, green, blue, alpha; /* alpha: where the byte to be filled with 0xff is */
};

/* The layout called `name`, four letters as in "XR24"; NULL if there is none. */
const struct pixel_layout *pixel_layout_from_string(const char *name);
/* All of the names, for an error message: "XR24, AR24, …". */
const char *pixel_layout_names(void);

struct canvas {
	uint32_t *pixels; /* borrowed */
	uint32_t width, height;
	uint32_t pitch; /* in pixels */
	const struct pixel_layout *layout;
};

struct rect {
	uint32_t x, y, width, height;
};

enum pattern {
	PATTERN_SOLID,   /* the whole picture changes its colour */
	PATTERN_BARS,    /* vertical bars move to the right, always with the frame counter */
	PATTERN_ONECHAR, /* text: one 8 by 16 glyph changes */
	PATTERN_STATIC,  /* a colour card, for ever the same */
	_PATTERN_MAX,
};

/* Draws all of frame `n`. */
void draw_frame(const struct canvas *canvas, enum pattern pattern, bool counter, uint32_t n);

/*
 * Turns frame `from` into frame `to` (later, and not by more than a few frames, if it is to be
 * cheap). `*ret_damage` is what covers all changes; no width and height: there are none.
 */
void draw_advance(const struct canvas *canvas, enum pattern pattern, bool counter, uint32_t from,
	uint32_t to, struct rect *ret_damage);

/* A pointer of 64 by 64 pixels, premultiplied ARGB8888, its hot spot at CURSOR_HOT. */
#define CURSOR_SIZE 64u
#define CURSOR_HOT  8u
void draw_cursor(uint32_t *pixels, uint32_t pitch);

#endif
