/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ways into a compositor. Each is called with presses and releases that match, and with checked
 * numbers; it drops what it cannot do, or cannot do yet.
 */
#ifndef HELIX_BRIDGE_INPUT_BACKEND_H
#define HELIX_BRIDGE_INPUT_BACKEND_H

#include <stdbool.h>
#include <stdio.h>
#include <systemd/sd-event.h>

#include <helix/ws.h>

struct clipboard_backend;
struct input_backend;

struct input_backend_ops {
	const char *name;
	bool (*ready)(struct input_backend *b); /* may be NULL: always */
	/* Not ready, but about to be: no other is to stand in. May be NULL: never. */
	bool (*awaited)(struct input_backend *b);
	void (*key)(struct input_backend *b, uint16_t code, bool down);
	/* NULL, or false: by key, with the layout of the environment (keysyms.h). */
	bool (*keysym)(struct input_backend *b, uint32_t keysym, bool down);
	void (*button)(struct input_backend *b, uint16_t code, bool down);
	void (*absolute)(struct input_backend *b, double x, double y); /* 0 … 1 */
	void (*relative)(struct input_backend *b, double dx, double dy);
	/* 15 is a notch; down and right are positive. */
	void (*scroll)(struct input_backend *b, double dx, double dy, bool wheel);
	void (*touch)(
		struct input_backend *b, enum ws_touch touch, unsigned slot, double x, double y);
	void (*size)(struct input_backend *b, uint32_t width, uint32_t height); /* may be NULL */
	void (*flush)(struct input_backend *b); /* after a batch; may be NULL */
	/* The same compositor's clipboard, which lives as long. NULL, or NULL as answer: none. */
	struct clipboard_backend *(*clipboard)(struct input_backend *b);
	void (*destroy)(struct input_backend *b);
};

/* First member of each. */
struct input_backend {
	const struct input_backend_ops *ops;
	/* Whoever uses it is told, in its own callbacks, that it is ready now. May be NULL. */
	void (*handle_ready)(void *data);
	void *ready_data;
};

static inline void input_backend_became_ready(struct input_backend *b) {
	if (b->handle_ready) {
		b->handle_ready(b->ready_data);
	}
}

/* Writes a line per call to `file`, which is borrowed: for tests. */
int input_log_create(FILE *file, struct input_backend **ret);

/*
 * The desktop's devices, through the input manager at `socket`; `token_path` is written by whoever
 * made them. Both are tried again until they are there. Strings are borrowed.
 */
int input_uinput_create(
	sd_event *loop, const char *socket, const char *token_path, struct input_backend **ret);

/* Mutter's remote desktop interface, on the session bus. Waits for Mutter to come, and to come back. */
int input_mutter_create(sd_event *loop, struct input_backend **ret);

/*
 * A virtual pointer and keyboard of the compositor at WAYLAND_DISPLAY, if it gives any. Waits for it to
 * come, and to come back.
 */
int input_wlroots_create(sd_event *loop, struct input_backend **ret);

/*
 * By name: "mutter", "wlroots", "uinput", "log" (on standard output), or "auto": Mutter while it is on
 * the session bus, else the compositor's virtual devices while it has them, else uinput. "none" gives NULL; -EINVAL for other names.
 */
int input_backend_create(sd_event *loop, const char *name, const char *socket,
	const char *token_path, struct input_backend **ret);

#endif
