/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <drm_fourcc.h>
#include <string.h>

#include "flipper-draw.h"
#include "util.h"

#define SQUARE       16u
#define COUNTER_X    32u
#define COUNTER_Y    32u
#define COUNTER_BITS 32u
#define COUNTER_SIZE ((2 + COUNTER_BITS) * SQUARE)

#define N_BARS    4u
#define BAR_WIDTH 64u
#define BAR_STEP  8u

#define CELL_WIDTH  8u
#define CELL_HEIGHT 16u

struct rgb {
	uint8_t r, g, b;
};

static const struct rgb black = {0, 0, 0}, white = {255, 255, 255};
static const struct rgb paper = {250, 250, 245}, ink = {30, 30, 40};
static const struct rgb backdrop = {32, 36, 48};
static const struct rgb palette[8] = {{200, 40, 40}, {40, 180, 60}, {50, 80, 220}, {220, 200, 40},
	{40, 190, 200}, {190, 60, 190}, {235, 235, 235}, {20, 20, 20}};

static const struct pixel_layout layouts[] = {
	{DRM_FORMAT_XRGB8888, 16, 8, 0, 24},
	{DRM_FORMAT_ARGB8888, 16, 8, 0, 24},
	{DRM_FORMAT_XBGR8888, 0, 8, 16, 24},
	{DRM_FORMAT_ABGR8888, 0, 8, 16, 24},
	{DRM_FORMAT_RGBX8888, 24, 16, 8, 0},
	{DRM_FORMAT_RGBA8888, 24, 16, 8, 0},
	{DRM_FORMAT_BGRX8888, 8, 16, 24, 0},
	{DRM_FORMAT_BGRA8888, 8, 16, 24, 0},
};

/* The digits 0 to F, 5 pixels by 7; bit 4 is the leftmost. */
static const uint8_t glyphs[16][7] = {
	{0x0e, 0x11, 0x13, 0x15, 0x19, 0x11, 0x0e},
	{0x04, 0x0c, 0x14, 0x04, 0x04, 0x04, 0x1f},
	{0x0e, 0x11, 0x01, 0x06, 0x08, 0x10, 0x1f},
	{0x1e, 0x01, 0x01, 0x0e, 0x01, 0x01, 0x1e},
	{0x02, 0x06, 0x0a, 0x12, 0x1f, 0x02, 0x02},
	{0x1f, 0x10, 0x1e, 0x01, 0x01, 0x11, 0x0e},
	{0x06, 0x08, 0x10, 0x1e, 0x11, 0x11, 0x0e},
	{0x1f, 0x01, 0x02, 0x02, 0x04, 0x04, 0x04},
	{0x0e, 0x11, 0x11, 0x0e, 0x11, 0x11, 0x0e},
	{0x0e, 0x11, 0x11, 0x0f, 0x01, 0x02, 0x0c},
	{0x04, 0x0a, 0x11, 0x11, 0x1f, 0x11, 0x11},
	{0x1e, 0x11, 0x11, 0x1e, 0x11, 0x11, 0x1e},
	{0x0e, 0x11, 0x10, 0x10, 0x10, 0x11, 0x0e},
	{0x1c, 0x12, 0x11, 0x11, 0x11, 0x12, 0x1c},
	{0x1f, 0x10, 0x10, 0x1e, 0x10, 0x10, 0x1f},
	{0x1f, 0x10, 0x10, 0x1e, 0x10, 0x10, 0x10},
};

const struct pixel_layout *pixel_layout_from_string(const char *name) {
	if (strlen(name) != 4) {
		return NULL;
	}
	for (size_t i = 0; i < ARRAY_SIZE(layouts); i++) {
		uint32_t code = fourcc_code(name[0], name[1], name[2], name[3]);
		if (layouts[i].fourcc == code) {
			return &layouts[i];
		}
	}
	return NULL;
}

const char *pixel_layout_names(void) {
	return "XR24, AR24, XB24, AB24, RX24, RA24, BX24, BA24";
}

static uint32_t pack(const struct canvas *canvas, struct rgb c) {
	const struct pixel_layout *l = canvas->layout;
	return (uint32_t)c.r << l->red | (uint32_t)c.g << l->green | (uint32_t)c.b << l->blue |
		UINT32_C(0xff) << l->alpha;
}

static void fill_span(uint32_t *p, uint32_t n, uint32_t pixel) {
	for (uint32_t i = 0; i < n; i++) {
		p[i] = pixel;
	}
}

static void fill(const struct canvas *canvas, struct rect r, struct rgb colour) {
	uint32_t pixel = pack(canvas, colour);
	if (r.x >= canvas->width || r.y >= canvas->height) {
		return;
	}
	uint32_t w = MIN(r.width, canvas->width - r.x), h = MIN(r.height, canvas->height - r.y);
	for (uint32_t y = 0; y < h; y++) {
		fill_span(canvas->pixels + (size_t)(r.y + y) * canvas->pitch + r.x, w, pixel);
	}
}

static struct rect everything(const struct canvas *canvas) {
	return (struct rect){0, 0, canvas->width, canvas->height};
}

static void add_damage(struct rect *damage, struct rect r) {
	if (damage->width == 0 || damage->height == 0) {
		*damage = r;
		return;
	}
	uint32_t x2 = MAX(damage->x + damage->width, r.x + r.width);
	uint32_t y2 = MAX(damage->y + damage->height, r.y + r.height);
	damage->x = MIN(damage->x, r.x);
	damage->y = MIN(damage->y, r.y);
	damage->width = x2 - damage->x;
	damage->height = y2 - damage->y;
}

static void draw_counter_row(const struct canvas *canvas, uint32_t y, uint32_t n) {
	fill(canvas, (struct rect){COUNTER_X, y, SQUARE, SQUARE}, (struct rgb){255, 0, 0});
	fill(canvas, (struct rect){COUNTER_X + SQUARE, y, SQUARE, SQUARE}, (struct rgb){0, 255, 0});
	for (uint32_t bit = 0; bit < COUNTER_BITS; bit++) {
		struct rect r = {COUNTER_X + (2 + bit) * SQUARE, y, SQUARE, SQUARE};
		fill(canvas, r, n >> (COUNTER_BITS - 1 - bit) & 1 ? white : black);
	}
}

/* On a picture that is too small for both rows to be whole there are none. */
static void draw_counter(const struct canvas *canvas, uint32_t n, struct rect *damage) {
	if (canvas->width < COUNTER_X + COUNTER_SIZE || canvas->height < 2 * (COUNTER_Y + SQUARE)) {
		return;
	}
	uint32_t bottom = canvas->height - COUNTER_Y - SQUARE;
	draw_counter_row(canvas, COUNTER_Y, n);
	draw_counter_row(canvas, bottom, n);
	add_damage(damage, (struct rect){COUNTER_X, COUNTER_Y, COUNTER_SIZE, SQUARE});
	add_damage(damage, (struct rect){COUNTER_X, bottom, COUNTER_SIZE, SQUARE});
}

static uint32_t bar_position(const struct canvas *canvas, uint32_t bar, uint32_t n) {
	uint64_t x = (uint64_t)bar * canvas->width / N_BARS + (uint64_t)n * BAR_STEP;
	return (uint32_t)(x % canvas->width);
}

/* Full-height columns, going round at the right edge. */
static void fill_columns(const struct canvas *canvas, uint32_t x, uint32_t width, struct rgb c) {
	x %= canvas->width;
	uint32_t first = MIN(width, canvas->width - x);
	fill(canvas, (struct rect){x, 0, first, canvas->height}, c);
	fill(canvas, (struct rect){0, 0, width - first, canvas->height}, c);
}

static void move_bars(const struct canvas *canvas, uint32_t from, uint32_t to) {
	uint32_t moved = to - from < BAR_WIDTH / BAR_STEP ? (to - from) * BAR_STEP : BAR_WIDTH;
	for (uint32_t i = 0; i < N_BARS; i++) {
		uint32_t old = bar_position(canvas, i, from), new = bar_position(canvas, i, to);
		fill_columns(canvas, old, moved, backdrop);
		fill_columns(canvas, new + BAR_WIDTH - moved, moved, palette[i]);
	}
}

/* Glyph number n: each goes to the next cell, and on the next page it is another one. */
static struct rect draw_glyph(const struct canvas *canvas, uint32_t n) {
	uint32_t columns = MAX(canvas->width / CELL_WIDTH, 1u);
	uint32_t rows = MAX(canvas->height / CELL_HEIGHT, 1u);
	uint32_t cell = n % (columns * rows), page = n / (columns * rows);
	const uint8_t *glyph = glyphs[(cell * 7 + cell / columns + page) % 16];
	struct rect r = {cell % columns * CELL_WIDTH, cell / columns * CELL_HEIGHT,
		MIN(CELL_WIDTH, canvas->width), MIN(CELL_HEIGHT, canvas->height)};

	fill(canvas, r, paper);
	for (uint32_t y = 0; y < 7; y++) {
		for (uint32_t x = 0; x < 5; x++) {
			if (glyph[y] >> (4 - x) & 1) {
				fill(canvas, (struct rect){r.x + 1 + x, r.y + 1 + 2 * y, 1, 2},
					ink);
			}
		}
	}
	return r;
}

static uint32_t half_page(const struct canvas *canvas) {
	return (canvas->width / CELL_WIDTH) * (canvas->height / CELL_HEIGHT) / 2;
}

/* The text of frame n: it begins with half a page of it, and each frame adds one glyph. */
static void draw_page(const struct canvas *canvas, uint32_t n) {
	uint32_t last = n + half_page(canvas), cells = 2 * half_page(canvas);
	fill(canvas, everything(canvas), paper);
	for (uint32_t i = last > cells ? last - cells : 0; i != last + 1; i++) {
		(void)draw_glyph(canvas, i);
	}
}

static void draw_card(const struct canvas *canvas) {
	uint32_t w = canvas->width, h = canvas->height;
	fill(canvas, everything(canvas), backdrop);
	for (uint32_t i = 0; i < 8; i++) {
		uint32_t x = i * w / 8, next = (i + 1) * w / 8;
		uint8_t grey = (uint8_t)(i * 255 / 7);
		fill(canvas, (struct rect){x, h / 8, next - x, h / 4}, palette[i]);
		fill(canvas, (struct rect){x, h / 2, next - x, h / 8},
			(struct rgb){grey, grey, grey});
	}
	/* Text: a band of glyphs on paper, where an encoder has the hardest time. */
	uint32_t columns = w / CELL_WIDTH, row = h * 11 / 16 / CELL_HEIGHT;
	for (uint32_t i = 0; i < 4 * columns; i++) {
		(void)draw_glyph(canvas, row * columns + i);
	}
}

void draw_frame(const struct canvas *canvas, enum pattern pattern, bool counter, uint32_t n) {
	struct rect damage = {0};
	switch (pattern) {
	case PATTERN_SOLID:
		fill(canvas, everything(canvas), palette[n % ARRAY_SIZE(palette)]);
		break;
	case PATTERN_BARS:
		fill(canvas, everything(canvas), backdrop);
		move_bars(canvas, n - BAR_WIDTH / BAR_STEP, n);
		counter = true;
		break;
	case PATTERN_ONECHAR:
		draw_page(canvas, n);
		break;
	case PATTERN_STATIC:
	case _PATTERN_MAX:
		draw_card(canvas);
		break;
	}
	if (counter) {
		draw_counter(canvas, n, &damage);
	}
}

void draw_advance(const struct canvas *canvas, enum pattern pattern, bool counter, uint32_t from,
	uint32_t to, struct rect *ret_damage) {
	*ret_damage = (struct rect){0};
	if (from == to || pattern == PATTERN_STATIC) {
		return;
	}
	if (pattern == PATTERN_ONECHAR) {
		for (uint32_t n = from + 1; n != to + 1; n++) {
			add_damage(ret_damage, draw_glyph(canvas, n + half_page(canvas)));
		}
	} else if (pattern == PATTERN_BARS) {
		move_bars(canvas, from, to);
		*ret_damage = everything(canvas);
		counter = true;
	} else {
		draw_frame(canvas, pattern, false, to);
		*ret_damage = everything(canvas);
	}
	if (counter) {
		draw_counter(canvas, to, ret_damage);
	}
}

/* A disc, white inside, with a mark at the hot spot and half-transparent around. */
void draw_cursor(uint32_t *pixels, uint32_t pitch) {
	int hot = (int)CURSOR_HOT, size = (int)CURSOR_SIZE;
	for (int y = 0; y < size; y++) {
		for (int x = 0; x < size; x++) {
			int dx = x - size / 2, dy = y - size / 2, d = dx * dx + dy * dy;
			uint32_t pixel = d < 20 * 20 ? 0xffffffff : d < 24 * 24 ? 0x80400000 : 0;
			if ((x == hot || y == hot) && x < 2 * hot && y < 2 * hot) {
				pixel = 0xffff0000;
			}
			pixels[(size_t)y * pitch + (size_t)x] = pixel;
		}
	}
}
