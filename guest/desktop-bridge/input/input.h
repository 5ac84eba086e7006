/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What people do, on its way into the desktop. Several may hold the same key or button: it goes down
 * with the first and up with the last. What somebody still holds when he leaves is released. Moves
 * that nobody could see any more are left out: the newest position goes in before whatever follows
 * it, at the latest in the next turn of the loop; all else keeps its order. While the back end is not
 * ready, events wait for it (early.h), also those of one who leaves.
 */
#ifndef HELIX_BRIDGE_INPUT_H
#define HELIX_BRIDGE_INPUT_H

#include <linux/input-event-codes.h>
#include <systemd/sd-event.h>

#include <helix/ws.h>

#include "list.h"

struct input;
struct clipboard_backend;
struct input_backend;

#define INPUT_KEYSYMS_HELD 16u

/* Embedded in whoever sends events. */
struct input_client {
	struct input *input;                  /* NULL: not joined */
	uint64_t keys[KEY_CNT / 64];          /* held; buttons too, they are codes among them */
	uint32_t keysyms[INPUT_KEYSYMS_HELD]; /* held; 0: free */
	int8_t touches[WS_TOUCH_SLOTS];       /* the back end's slot + 1; 0: not down */
};

struct input_stats {
	uint64_t events, moves_merged, dropped;
};

/* `backend` is consumed; NULL: nothing is injected. */
int input_create(sd_event *loop, struct input_backend *backend, struct input **ret);
void input_destroy(struct input *in);

void input_join(struct input *in, struct input_client *c);
/* Does nothing to one that has not joined, if it was zeroed. */
void input_leave(struct input_client *c);
void input_event(struct input_client *c, const struct ws_event *e);
/* Of the desktop, for back ends that count in pixels. */
void input_set_size(struct input *in, uint32_t width, uint32_t height);

const char *input_backend_name(const struct input *in);
struct input_backend *input_backend(const struct input *in);
/* NULL: the back end has no way to one. */
struct clipboard_backend *input_clipboard(const struct input *in);
void input_get_stats(const struct input *in, struct input_stats *ret);

#endif
