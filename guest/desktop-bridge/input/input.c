/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "backend.h"
#include "early.h"
#include "input.h"
#include "keysyms.h"
#include "util.h"

#define KEYSYM_SHIFT 0xFFE1u
#define KEYSYM_CTRL  0xFFE3u
#define KEYSYM_ALT   0xFFE9u
#define KEYSYM_META  0xFFEBu

struct input {
	struct input_backend *backend; // may be NULL
	struct keysyms *keysyms;       // made when first needed; may be NULL
	bool no_keysyms;
	sd_event_source *later;   /* brings in a move that nothing followed, and what waits */
	struct early early;       /* what waits until the back end is ready */
	struct input_client left; /* whose is what those had waiting who left */
	uint8_t holders[KEY_CNT];
	bool slots[WS_TOUCH_SLOTS]; /* of the back end, in use */
	bool has_absolute, has_relative;
	double x, y, dx, dy;
	struct input_stats stats;
};

static bool ready(const struct input *in) {
	const struct input_backend *b = in->backend;
	return b && (!b->ops->ready || b->ops->ready(in->backend));
}

static void bring_moves(struct input *in) {
	const struct input_backend_ops *ops = in->backend->ops;
	if (in->has_absolute) {
		ops->absolute(in->backend, in->x, in->y);
	}
	if (in->has_relative) {
		ops->relative(in->backend, in->dx, in->dy);
	}
	in->has_absolute = in->has_relative = false;
	in->dx = in->dy = 0;
}

static void flush(struct input *in) {
	if (in->backend->ops->flush) {
		in->backend->ops->flush(in->backend);
	}
}

static bool is_button(uint16_t code) {
	return code >= BTN_MISC && code < KEY_OK;
}

/* The desktop's state follows the first press and the last release. */
static void hold(struct input *in, uint16_t code, bool down) {
	const struct input_backend_ops *ops = in->backend->ops;
	bool was = in->holders[code] > 0;
	in->holders[code] = (uint8_t)(in->holders[code] + (down ? 1 : -1));
	if (was == (in->holders[code] > 0)) {
		return;
	}
	if (is_button(code)) {
		ops->button(in->backend, code, down);
	} else {
		ops->key(in->backend, code, down);
	}
}

static void press(struct input_client *c, uint16_t code, bool down) {
	uint64_t bit = UINT64_C(1) << (code % 64);
	uint64_t *word = &c->keys[code / 64];
	/* A repeated press, or the release of what is not held: the desktop repeats by itself. */
	if (code >= KEY_CNT || down == ((*word & bit) != 0) ||
		c->input->holders[code] == UINT8_MAX) {
		return;
	}
	*word ^= bit;
	hold(c->input, code, down);
}

/* The press with its modifiers around it; only the key itself stays down. */
static void type_key(struct input *in, const struct keysym_key *key, bool down) {
	if (down && key->shift) {
		hold(in, KEY_LEFTSHIFT, true);
	}
	if (down && key->altgr) {
		hold(in, KEY_RIGHTALT, true);
	}
	hold(in, key->code, down);
	if (down && key->altgr) {
		hold(in, KEY_RIGHTALT, false);
	}
	if (down && key->shift) {
		hold(in, KEY_LEFTSHIFT, false);
	}
}

static void send_keysym(struct input *in, uint32_t keysym, bool down) {
	struct keysym_key key;
	const struct input_backend_ops *ops = in->backend->ops;
	if (ops->keysym && ops->keysym(in->backend, keysym, down)) {
		return;
	}
	if (!in->keysyms && !in->no_keysyms) {
		in->no_keysyms = keysyms_create(&in->keysyms) < 0;
	}
	if (in->no_keysyms || keysyms_find(in->keysyms, keysym, &key) < 0 || key.code >= KEY_CNT) {
		in->stats.dropped++;
		return;
	}
	type_key(in, &key, down);
}

static void press_keysym(struct input_client *c, uint32_t keysym, bool down) {
	uint32_t *held = NULL, *empty = NULL;
	for (unsigned i = 0; i < INPUT_KEYSYMS_HELD; i++) {
		held = c->keysyms[i] == keysym ? &c->keysyms[i] : held;
		empty = c->keysyms[i] == 0 ? &c->keysyms[i] : empty;
	}
	if (down == (held != NULL) || (down && !empty)) {
		return;
	}
	if (down) {
		*empty = keysym;
	} else {
		*held = 0;
	}
	send_keysym(c->input, keysym, down);
}

static void tap_keysym(struct input *in, uint32_t keysym, uint8_t modifiers) {
	static const struct {
		uint8_t bit;
		uint32_t keysym;
	} order[] = {{WS_MOD_SHIFT, KEYSYM_SHIFT}, {WS_MOD_CTRL, KEYSYM_CTRL},
		{WS_MOD_ALT, KEYSYM_ALT}, {WS_MOD_META, KEYSYM_META}};
	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		if (modifiers & order[i].bit) {
			send_keysym(in, order[i].keysym, true);
		}
	}
	send_keysym(in, keysym, true);
	send_keysym(in, keysym, false);
	for (size_t i = ARRAY_SIZE(order); i-- > 0;) {
		if (modifiers & order[i].bit) {
			send_keysym(in, order[i].keysym, false);
		}
	}
}

static int begin_touch(struct input *in) {
	for (unsigned i = 0; i < WS_TOUCH_SLOTS; i++) {
		if (!in->slots[i]) {
			in->slots[i] = true;
			return (int)i;
		}
	}
	return -1;
}

static void touch(struct input_client *c, enum ws_touch what, unsigned slot, double x, double y) {
	struct input *in = c->input;
	int at = c->touches[slot] - 1;
	bool down = what == WS_TOUCH_DOWN;
	if (down == (at >= 0)) {
		return; /* down twice, or not down */
	}
	if (down) {
		at = begin_touch(in);
		if (at < 0) {
			return;
		}
		c->touches[slot] = (int8_t)(at + 1);
	} else if (what != WS_TOUCH_MOVE) {
		in->slots[at] = false;
		c->touches[slot] = 0;
	}
	in->backend->ops->touch(in->backend, what, (unsigned)at, x, y);
}

static void take_move(struct input *in, const struct ws_event *e) {
	if (e->kind == WS_EVENT_ABSOLUTE) {
		in->stats.moves_merged += in->has_absolute;
		/* A relative move before it is nothing to it. */
		in->has_relative = false;
		in->dx = in->dy = 0;
		in->has_absolute = true;
		in->x = e->x;
		in->y = e->y;
	} else {
		in->stats.moves_merged += in->has_relative;
		in->has_relative = true;
		in->dx += e->dx;
		in->dy += e->dy;
	}
	(void)sd_event_source_set_enabled(in->later, SD_EVENT_ONESHOT);
}

static bool has_keysym(const struct input_client *c, uint32_t keysym) {
	bool has = false;
	for (unsigned i = 0; i < INPUT_KEYSYMS_HELD; i++) {
		has = has || (keysym && c->keysyms[i] == keysym);
	}
	return has;
}

/* The end of what is held, and went into the desktop. */
static bool is_release(const struct input_client *c, const struct ws_event *e) {
	switch (e->kind) {
	case WS_EVENT_KEY:
	case WS_EVENT_BUTTON:
		return !e->down && e->code < KEY_CNT &&
			(c->keys[e->code / 64] & UINT64_C(1) << e->code % 64);
	case WS_EVENT_KEYSYM:
		return !e->down && has_keysym(c, e->keysym);
	case WS_EVENT_TOUCH:
		return (e->touch == WS_TOUCH_UP || e->touch == WS_TOUCH_CANCEL) &&
			c->touches[e->slot];
	default:
		return false;
	}
}

static void take(struct input_client *c, const struct ws_event *e) {
	struct input *in = c->input;
	if (ws_event_is_move(e)) {
		take_move(in, e);
		return;
	}
	bring_moves(in);
	switch (e->kind) {
	case WS_EVENT_KEY:
	case WS_EVENT_BUTTON:
		press(c, e->code, e->down);
		break;
	case WS_EVENT_KEYSYM:
		press_keysym(c, e->keysym, e->down);
		break;
	case WS_EVENT_KEYSYM_TAP:
		tap_keysym(in, e->keysym, e->modifiers);
		break;
	case WS_EVENT_SCROLL:
		in->backend->ops->scroll(in->backend, e->dx, e->dy, e->wheel);
		break;
	case WS_EVENT_TOUCH:
		touch(c, (enum ws_touch)e->touch, e->slot, e->x, e->y);
		break;
	default:
		break;
	}
	flush(in);
}

static void release_all(struct input_client *c) {
	bring_moves(c->input);
	for (unsigned code = 0; code < KEY_CNT; code++) {
		press(c, (uint16_t)code, false);
	}
	for (unsigned i = 0; i < INPUT_KEYSYMS_HELD; i++) {
		if (c->keysyms[i]) {
			press_keysym(c, c->keysyms[i], false);
		}
	}
	for (unsigned slot = 0; slot < WS_TOUCH_SLOTS; slot++) {
		if (c->touches[slot]) {
			touch(c, WS_TOUCH_CANCEL, slot, 0, 0);
		}
	}
}

static void play_early(struct input *in) {
	in->stats.dropped += early_expire(&in->early, now_ns());
	for (size_t i = 0; i < in->early.n; i++) {
		take(in->early.events[i].client, &in->early.events[i].event);
	}
	if (in->early.n > 0) {
		release_all(&in->left);
	}
	in->early.n = 0;
}

static int handle_later(sd_event_source *source, void *data) {
	struct input *in = data;
	if (ready(in)) {
		play_early(in);
		bring_moves(in);
		flush(in);
	}
	return 0;
}

/* Not at once: this is called from within the back end. */
static void handle_ready(void *data) {
	struct input *in = data;
	(void)sd_event_source_set_enabled(in->later, SD_EVENT_ONESHOT);
}

int input_create(sd_event *loop, struct input_backend *backend, struct input **ret) {
	struct input *in = calloc(1, sizeof(*in));
	int r = in ? sd_event_add_defer(loop, &in->later, handle_later, in) : -ENOMEM;
	if (r >= 0) {
		r = sd_event_source_set_enabled(in->later, SD_EVENT_OFF);
	}
	if (r < 0) {
		if (backend) {
			backend->ops->destroy(backend);
		}
		input_destroy(in);
		return r;
	}
	if (backend) {
		backend->handle_ready = handle_ready;
		backend->ready_data = in;
	}
	in->backend = backend;
	in->left.input = in;
	*ret = in;
	return 0;
}

void input_destroy(struct input *in) {
	if (!in) {
		return;
	}
	if (in->backend) {
		in->backend->ops->destroy(in->backend);
	}
	keysyms_destroy(in->keysyms);
	sd_event_source_disable_unref(in->later);
	free(in);
}

void input_event(struct input_client *c, const struct ws_event *e) {
	struct input *in = c->input;
	if (!in) {
		return;
	}
	in->stats.events++;
	if (!in->backend) {
		in->stats.dropped++;
	} else if (ready(in)) {
		play_early(in);
		take(c, e);
	} else if (is_release(c, e)) {
		/* The back end drops it, but it is held no more. */
		take(c, e);
	} else {
		in->stats.dropped += early_add(&in->early, c, e, now_ns());
	}
}

void input_join(struct input *in, struct input_client *c) {
	*c = (struct input_client){.input = in};
}

void input_leave(struct input_client *c) {
	struct input *in = c->input;
	if (!in || !in->backend) {
		c->input = NULL;
		return;
	}
	if (ready(in)) {
		play_early(in);
	}
	early_hand_over(&in->early, c, &in->left);
	release_all(c);
	flush(in);
	c->input = NULL;
}

void input_set_size(struct input *in, uint32_t width, uint32_t height) {
	if (in->backend && in->backend->ops->size && width && height) {
		in->backend->ops->size(in->backend, width, height);
	}
}

const char *input_backend_name(const struct input *in) {
	return in->backend ? in->backend->ops->name : "none";
}

struct input_backend *input_backend(const struct input *in) {
	return in->backend;
}

struct clipboard_backend *input_clipboard(const struct input *in) {
	struct input_backend *b = in->backend;
	return b && b->ops->clipboard ? b->ops->clipboard(b) : NULL;
}

void input_get_stats(const struct input *in, struct input_stats *ret) {
	*ret = in->stats;
}
