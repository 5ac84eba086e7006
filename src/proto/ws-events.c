/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a person did with keyboard, mouse and fingers: the part of ws-messages.h about events. */
#include <linux/input-event-codes.h>
#include <math.h>

#include "wire.h"
#include "ws-messages.h"

/* Subtypes: the byte behind the type. */
#define KEY_BY_CODE   0
#define KEY_BY_KEYSYM 2
#define KEY_TAP       3
#define MOUSE_BUTTON  2
#define WHEEL_PIXELS  3
#define WHEEL_STEPS   4

/* A browser's 100 pixels are one notch, which is 15 of ours. */
#define AXIS_PER_PIXEL  0.15
#define PIXELS_PER_STEP 10.0
/* More in one event than any hand does; keeps sums of them far from overflow. */
#define SCROLL_MAX 100000.0f
#define AXIS_MAX   (AXIS_PER_PIXEL * SCROLL_MAX)

#define REFERENCE 4096 /* of the positions that ws_encode_event writes */

static uint16_t read_be16(struct reader *r) {
	return __builtin_bswap16(read_u16(r));
}

static uint32_t read_be32(struct reader *r) {
	return __builtin_bswap32(read_u32(r));
}

static void write_be16(struct writer *w, uint16_t v) {
	write_u16(w, __builtin_bswap16(v));
}

static void write_be32(struct writer *w, uint32_t v) {
	write_u32(w, __builtin_bswap32(v));
}

static float read_float(struct reader *r) {
	uint32_t bits = read_u32(r);
	float f;
	memcpy(&f, &bits, sizeof(f));
	return f;
}

static void write_float(struct writer *w, double v) {
	float f = (float)v;
	uint32_t bits;
	memcpy(&bits, &f, sizeof(bits));
	write_u32(w, bits);
}

static double clamp01(double v) {
	return v < 0 ? 0 : v > 1 ? 1 : v;
}

/* Buttons of mice, joysticks and pens have the numbers in between. */
static bool is_key(uint16_t code) {
	return code > KEY_RESERVED && code <= KEY_MAX && (code < BTN_MISC || code >= KEY_OK);
}

/* Each returns 0, -EBADMSG or -ENOTSUP; that all bytes were there is looked at by their caller. */

static int read_keyboard(struct reader *r, struct ws_event *e) {
	switch (read_u8(r)) {
	case KEY_BY_CODE:
		e->kind = WS_EVENT_KEY;
		e->down = read_u8(r) != 0;
		e->modifiers = read_u8(r);
		e->code = read_be16(r);
		return is_key(e->code) ? 0 : -EBADMSG;
	case KEY_BY_KEYSYM:
		e->kind = WS_EVENT_KEYSYM;
		e->down = read_u8(r) != 0;
		e->modifiers = read_u8(r);
		e->keysym = read_be32(r);
		return e->keysym == 0 ? -EBADMSG : 0;
	case KEY_TAP:
		e->kind = WS_EVENT_KEYSYM_TAP;
		e->modifiers = read_u8(r);
		e->keysym = read_be32(r);
		return e->keysym == 0 ? -EBADMSG : 0;
	default:
		return -ENOTSUP;
	}
}

/* Numbers on the wire to evdev: the middle button is the second one. */
static uint16_t button_code(uint8_t n) {
	static const uint16_t codes[] = {0, BTN_LEFT, BTN_MIDDLE, BTN_RIGHT};
	return n < 4 ? codes[n] : (uint16_t)(BTN_SIDE + n - 4);
}

static uint8_t button_number(uint16_t code) {
	switch (code) {
	case BTN_LEFT:
		return 1;
	case BTN_MIDDLE:
		return 2;
	case BTN_RIGHT:
		return 3;
	default:
		return (uint8_t)(code - BTN_SIDE + 4);
	}
}

static bool scroll_in_range(float dx, float dy) {
	/* False for NaN too. */
	return fabsf(dx) <= SCROLL_MAX && fabsf(dy) <= SCROLL_MAX;
}

static int read_mouse(struct reader *r, struct ws_event *e) {
	float dx, dy;
	uint8_t button;
	switch (read_u8(r)) {
	case MOUSE_BUTTON:
		e->kind = WS_EVENT_BUTTON;
		e->down = read_u8(r) != 0;
		button = read_u8(r);
		e->code = button_code(button);
		/* Behind BTN_TASK other kinds of devices begin. */
		return button == 0 || e->code > BTN_TASK ? -EBADMSG : 0;
	case WHEEL_PIXELS:
		dx = read_float(r);
		dy = read_float(r);
		break;
	case WHEEL_STEPS:
		dx = (float)((int8_t)read_u8(r) * PIXELS_PER_STEP);
		dy = (float)((int8_t)read_u8(r) * PIXELS_PER_STEP);
		break;
	default:
		return -ENOTSUP;
	}
	e->kind = WS_EVENT_SCROLL;
	e->dx = (double)dx * AXIS_PER_PIXEL;
	e->dy = (double)dy * AXIS_PER_PIXEL;
	return scroll_in_range(dx, dy) ? 0 : -EBADMSG;
}

static int read_absolute(struct reader *r, struct ws_event *e) {
	(void)read_u8(r); /* always 1; no reader of it ever looked */
	int16_t x = (int16_t)read_be16(r), y = (int16_t)read_be16(r);
	int16_t width = (int16_t)read_be16(r), height = (int16_t)read_be16(r);
	if (width <= 0 || height <= 0) {
		return -EBADMSG;
	}
	e->kind = WS_EVENT_ABSOLUTE;
	e->x = clamp01((double)x / width);
	e->y = clamp01((double)y / height);
	return 0;
}

static int read_relative(struct reader *r, struct ws_event *e) {
	(void)read_u8(r);
	e->kind = WS_EVENT_RELATIVE;
	e->dx = (int16_t)read_be16(r);
	e->dy = (int16_t)read_be16(r);
	return 0;
}

static int read_touch(struct reader *r, struct ws_event *e) {
	uint8_t touch = read_u8(r);
	e->kind = WS_EVENT_TOUCH;
	e->touch = touch > WS_TOUCH_UP ? WS_TOUCH_CANCEL : touch;
	e->slot = read_u8(r);
	float x = read_float(r), y = read_float(r);
	if (e->slot >= WS_TOUCH_SLOTS || !isfinite(x) || !isfinite(y)) {
		return -EBADMSG;
	}
	e->x = clamp01((double)x);
	e->y = clamp01((double)y);
	return 0;
}

static int read_scroll(struct reader *r, struct ws_event *e) {
	static const struct {
		double x, y;
	} pixels[] = {{1, 1}, {40, 40}, {800, 600}}; /* of a pixel, a line, a page */
	uint8_t mode = read_u8(r), flags = read_u8(r);
	float dx = read_float(r), dy = read_float(r);
	if (mode >= sizeof(pixels) / sizeof(pixels[0]) || !scroll_in_range(dx, dy)) {
		return -EBADMSG;
	}
	e->kind = WS_EVENT_SCROLL;
	e->wheel = !(flags & 1);
	e->dx = (double)dx * pixels[mode].x / 10;
	e->dy = -(double)dy * pixels[mode].y / 10;
	/* Pages are long: the bound is on what comes of them, too. */
	return fabs(e->dx) <= AXIS_MAX && fabs(e->dy) <= AXIS_MAX ? 0 : -EBADMSG;
}

static ssize_t decode(const uint8_t *buf, size_t len, struct ws_event *ret,
	int (*read)(struct reader *r, struct ws_event *e)) {
	struct reader r = {.p = buf + 1, .left = len - 1};
	struct ws_event e = {0};
	int result = read(&r, &e);
	if (result < 0 || r.missing) {
		return result == -ENOTSUP && !r.missing ? -ENOTSUP : -EBADMSG;
	}
	*ret = e;
	return (ssize_t)(len - r.left);
}

ssize_t ws_decode_event(const uint8_t *buf, size_t len, struct ws_event *ret) {
	if (len == 0) {
		return -EBADMSG;
	}
	switch (buf[0]) {
	case WS_KEYBOARD:
		return decode(buf, len, ret, read_keyboard);
	case WS_MOUSE_BUTTON:
		return decode(buf, len, ret, read_mouse);
	case WS_MOUSE_ABSOLUTE:
		return decode(buf, len, ret, read_absolute);
	case WS_MOUSE_RELATIVE:
		return decode(buf, len, ret, read_relative);
	case WS_TOUCH:
		return decode(buf, len, ret, read_touch);
	default:
		return -ENOTSUP;
	}
}

ssize_t ws_decode_input_event(const uint8_t *buf, size_t len, struct ws_event *ret) {
	if (len == 0) {
		return -EBADMSG;
	}
	switch (buf[0]) {
	case WS_INPUT_KEYBOARD:
		return decode(buf, len, ret, read_keyboard);
	case WS_INPUT_BUTTON:
		return decode(buf, len, ret, read_mouse);
	case WS_INPUT_ABSOLUTE:
		return decode(buf, len, ret, read_absolute);
	case WS_INPUT_RELATIVE:
		return decode(buf, len, ret, read_relative);
	case WS_INPUT_SCROLL:
		return decode(buf, len, ret, read_scroll);
	case WS_INPUT_TOUCH:
		return decode(buf, len, ret, read_touch);
	default:
		return -ENOTSUP;
	}
}

static uint16_t rounded(double v) {
	return (uint16_t)(int16_t)(v < 0 ? v - 0.5 : v + 0.5);
}

static void write_key(struct writer *w, const struct ws_event *e) {
	write_u8(w, WS_KEYBOARD);
	if (e->kind == WS_EVENT_KEYSYM_TAP) {
		write_u8(w, KEY_TAP);
	} else {
		write_u8(w, e->kind == WS_EVENT_KEY ? KEY_BY_CODE : KEY_BY_KEYSYM);
		write_u8(w, e->down);
	}
	write_u8(w, e->modifiers);
	if (e->kind == WS_EVENT_KEY) {
		write_be16(w, e->code);
	} else {
		write_be32(w, e->keysym);
	}
}

ssize_t ws_encode_event(uint8_t *buf, size_t size, const struct ws_event *e) {
	struct writer w = {.p = buf, .left = size};
	switch (e->kind) {
	case WS_EVENT_KEY:
	case WS_EVENT_KEYSYM:
	case WS_EVENT_KEYSYM_TAP:
		write_key(&w, e);
		break;
	case WS_EVENT_BUTTON:
		write_u8(&w, WS_MOUSE_BUTTON);
		write_u8(&w, MOUSE_BUTTON);
		write_u8(&w, e->down);
		write_u8(&w, button_number(e->code));
		break;
	case WS_EVENT_SCROLL:
		write_u8(&w, WS_MOUSE_BUTTON);
		write_u8(&w, WHEEL_PIXELS);
		write_float(&w, e->dx / AXIS_PER_PIXEL);
		write_float(&w, e->dy / AXIS_PER_PIXEL);
		break;
	case WS_EVENT_ABSOLUTE:
		write_u8(&w, WS_MOUSE_ABSOLUTE);
		write_u8(&w, 1);
		write_be16(&w, rounded(e->x * REFERENCE));
		write_be16(&w, rounded(e->y * REFERENCE));
		write_be16(&w, REFERENCE);
		write_be16(&w, REFERENCE);
		break;
	case WS_EVENT_RELATIVE:
		write_u8(&w, WS_MOUSE_RELATIVE);
		write_u8(&w, 0);
		write_be16(&w, rounded(e->dx));
		write_be16(&w, rounded(e->dy));
		break;
	case WS_EVENT_TOUCH:
		if (e->touch == WS_TOUCH_CANCEL) {
			return -EINVAL;
		}
		write_u8(&w, WS_TOUCH);
		write_u8(&w, e->touch);
		write_u8(&w, e->slot);
		write_float(&w, e->x);
		write_float(&w, e->y);
		break;
	}
	return writer_written(&w);
}
