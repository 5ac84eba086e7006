/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What viewers do, as calls of Mutter's remote desktop session. */
#include <errno.h>
#include <stdlib.h>

#include "clipboard/mutter.h"
#include "mutter.h"

static struct mutter *mutter_of(struct input_backend *b) {
	return (struct mutter *)b;
}

static bool mutter_ready(struct input_backend *b) {
	const struct mutter *m = mutter_of(b);
	return m->step == MUTTER_READY && !m->look;
}

/* It is there, or we have not heard yet whether it is; unless it was asked and would not. */
static bool mutter_awaited(struct input_backend *b) {
	const struct mutter *m = mutter_of(b);
	return (m->step != MUTTER_AWAY || m->call) && !m->complained;
}

static void mutter_key(struct input_backend *b, uint16_t code, bool down) {
	mutter_notify(mutter_of(b), "NotifyKeyboardKeycode", "ub", (uint32_t)code, (int)down);
}

static bool mutter_keysym(struct input_backend *b, uint32_t keysym, bool down) {
	mutter_notify(mutter_of(b), "NotifyKeyboardKeysym", "ub", keysym, (int)down);
	return true;
}

static void mutter_button(struct input_backend *b, uint16_t code, bool down) {
	mutter_notify(mutter_of(b), "NotifyPointerButton", "ib", (int32_t)code, (int)down);
}

static void mutter_absolute(struct input_backend *b, double x, double y) {
	struct mutter *m = mutter_of(b);
	if (m->stream && m->width) {
		mutter_notify(m, "NotifyPointerMotionAbsolute", "sdd", m->stream, x * m->width,
			y * m->height);
	}
}

static void mutter_relative(struct input_backend *b, double dx, double dy) {
	mutter_notify(mutter_of(b), "NotifyPointerMotionRelative", "dd", dx, dy);
}

/* Source 0, fingers: smooth everywhere. "Finish" is never told: it made a compositor crash. */
static void mutter_scroll(struct input_backend *b, double dx, double dy, bool wheel) {
	mutter_notify(mutter_of(b), "NotifyPointerAxis", "ddu", dx, dy, wheel ? 4u : 0u);
}

static void mutter_touch(
	struct input_backend *b, enum ws_touch touch, unsigned slot, double x, double y) {
	struct mutter *m = mutter_of(b);
	const struct mutter_touch at = {slot, x * m->width, y * m->height, false};
	if (touch == WS_TOUCH_UP || touch == WS_TOUCH_CANCEL) {
		mutter_touch_up(m, slot);
	} else if (!m->stream || !m->width) {
		return;
	} else if (touch == WS_TOUCH_DOWN && !m->touched) {
		mutter_touch_first(m, &at);
	} else {
		mutter_notify(m, touch == WS_TOUCH_DOWN ? "NotifyTouchDown" : "NotifyTouchMotion",
			"sudd", m->stream, slot, at.x, at.y);
	}
}

static void mutter_size(struct input_backend *b, uint32_t width, uint32_t height) {
	struct mutter *m = mutter_of(b);
	m->width = width;
	m->height = height;
}

static struct clipboard_backend *mutter_clipboard(struct input_backend *b) {
	return mutter_of(b)->clipboard;
}

static void mutter_destroy(struct input_backend *b) {
	struct mutter *m = mutter_of(b);
	mutter_session_close(m);
	clipboard_mutter_destroy(m->clipboard);
	sd_event_unref(m->loop);
	free(m);
}

static const struct input_backend_ops mutter_ops = {
	.name = "mutter",
	.ready = mutter_ready,
	.awaited = mutter_awaited,
	.key = mutter_key,
	.keysym = mutter_keysym,
	.button = mutter_button,
	.absolute = mutter_absolute,
	.relative = mutter_relative,
	.scroll = mutter_scroll,
	.touch = mutter_touch,
	.size = mutter_size,
	.clipboard = mutter_clipboard,
	.destroy = mutter_destroy,
};

int input_mutter_create(sd_event *loop, struct input_backend **ret) {
	struct mutter *m = calloc(1, sizeof(*m));
	if (!m) {
		return -ENOMEM;
	}
	m->base.ops = &mutter_ops;
	m->loop = sd_event_ref(loop);
	int r = mutter_session_open(m);
	if (r >= 0) {
		r = clipboard_mutter_create(m, &m->clipboard);
	}
	if (r < 0) {
		mutter_destroy(&m->base);
		return r;
	}
	*ret = &m->base;
	return 0;
}
