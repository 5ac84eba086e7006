/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Back ends by name; and "auto", which takes Mutter while that is there, else the compositor's virtual
 * devices, else our own.
 */
#include <string.h>

#include "backend.h"
#include "clipboard/either.h"
#include "util.h"

#define KINDS 3u

struct either {
	struct input_backend base;
	struct input_backend *kinds[KINDS]; /* the better ones first */
	struct input_backend *used;         /* the last one that was ready */
	struct clipboard_backend *clipboard;
};

static struct input_backend *used(struct input_backend *b) {
	return ((struct either *)b)->used;
}

static bool either_ready(struct input_backend *b) {
	struct either *e = (struct either *)b;
	for (unsigned i = 0; i < KINDS; i++) {
		if (e->kinds[i]->ops->ready(e->kinds[i])) {
			e->used = e->kinds[i];
			return true;
		}
		if (e->kinds[i]->ops->awaited && e->kinds[i]->ops->awaited(e->kinds[i])) {
			return false;
		}
	}
	return false;
}

static void either_key(struct input_backend *b, uint16_t code, bool down) {
	used(b)->ops->key(used(b), code, down);
}

static void either_button(struct input_backend *b, uint16_t code, bool down) {
	used(b)->ops->button(used(b), code, down);
}

static void either_absolute(struct input_backend *b, double x, double y) {
	used(b)->ops->absolute(used(b), x, y);
}

static void either_relative(struct input_backend *b, double dx, double dy) {
	used(b)->ops->relative(used(b), dx, dy);
}

static void either_scroll(struct input_backend *b, double dx, double dy, bool wheel) {
	used(b)->ops->scroll(used(b), dx, dy, wheel);
}

static void either_touch(
	struct input_backend *b, enum ws_touch touch, unsigned slot, double x, double y) {
	used(b)->ops->touch(used(b), touch, slot, x, y);
}

static void either_size(struct input_backend *b, uint32_t width, uint32_t height) {
	struct either *e = (struct either *)b;
	for (unsigned i = 0; i < KINDS; i++) {
		if (e->kinds[i]->ops->size) {
			e->kinds[i]->ops->size(e->kinds[i], width, height);
		}
	}
}

static void either_flush(struct input_backend *b) {
	struct either *e = (struct either *)b;
	for (unsigned i = 0; i < KINDS; i++) {
		if (e->kinds[i]->ops->flush) {
			e->kinds[i]->ops->flush(e->kinds[i]);
		}
	}
}

static struct clipboard_backend *either_clipboard(struct input_backend *b) {
	return ((struct either *)b)->clipboard;
}

static void either_destroy(struct input_backend *b) {
	struct either *e = (struct either *)b;
	clipboard_either_destroy(e->clipboard);
	for (unsigned i = 0; i < KINDS; i++) {
		if (e->kinds[i]) {
			e->kinds[i]->ops->destroy(e->kinds[i]);
		}
	}
	free(e);
}

static bool either_by_keysym(struct input_backend *b, uint32_t keysym, bool down) {
	if (!used(b)->ops->keysym) {
		return false;
	}
	used(b)->ops->keysym(used(b), keysym, down);
	return true;
}

static const struct input_backend_ops either_ops = {
	.name = "auto",
	.ready = either_ready,
	.key = either_key,
	.keysym = either_by_keysym,
	.button = either_button,
	.absolute = either_absolute,
	.relative = either_relative,
	.scroll = either_scroll,
	.touch = either_touch,
	.size = either_size,
	.flush = either_flush,
	.clipboard = either_clipboard,
	.destroy = either_destroy,
};

static void handle_kind_ready(void *data) {
	struct either *e = data;
	input_backend_became_ready(&e->base);
}

static int create_either(
	sd_event *loop, const char *socket, const char *token_path, struct input_backend **ret) {
	struct either *e = calloc(1, sizeof(*e));
	if (!e) {
		return -ENOMEM;
	}
	e->base.ops = &either_ops;
	int r = input_mutter_create(loop, &e->kinds[0]);
	if (r >= 0) {
		r = input_wlroots_create(loop, &e->kinds[1]);
	}
	if (r >= 0) {
		r = input_uinput_create(loop, socket, token_path, &e->kinds[2]);
	}
	if (r >= 0) { /* the last one has no clipboard */
		r = clipboard_either_create(e->kinds[0]->ops->clipboard(e->kinds[0]),
			e->kinds[1]->ops->clipboard(e->kinds[1]), &e->clipboard);
	}
	if (r < 0) {
		either_destroy(&e->base);
		return r;
	}
	for (unsigned i = 0; i < KINDS; i++) {
		e->kinds[i]->handle_ready = handle_kind_ready;
		e->kinds[i]->ready_data = e;
	}
	e->used = e->kinds[KINDS - 1];
	*ret = &e->base;
	return 0;
}

int input_backend_create(sd_event *loop, const char *name, const char *socket,
	const char *token_path, struct input_backend **ret) {
	if (strcmp(name, "none") == 0) {
		*ret = NULL;
		return 0;
	}
	if (strcmp(name, "log") == 0) {
		return input_log_create(stdout, ret);
	}
	if (strcmp(name, "mutter") == 0) {
		return input_mutter_create(loop, ret);
	}
	if (strcmp(name, "wlroots") == 0) {
		return input_wlroots_create(loop, ret);
	}
	if (strcmp(name, "uinput") == 0) {
		return input_uinput_create(loop, socket, token_path, ret);
	}
	return strcmp(name, "auto") == 0 ? create_either(loop, socket, token_path, ret) : -EINVAL;
}
