/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The desktop's clipboard, for the viewers of the bridge: which kinds of content it has, what that is,
 * and putting another into it. Programs of the desktop are not trusted: however one of them behaves, it
 * costs the one transfer that it takes part in, for a bounded time.
 */
#ifndef HELIX_BRIDGE_CLIPBOARD_H
#define HELIX_BRIDGE_CLIPBOARD_H

#include <systemd/sd-event.h>

#include "backend.h"
#include "content.h"
#include "list.h"

struct clipboard;

struct clipboard_state {
	bool available;      /* there is a way to it at all */
	bool text, image;    /* what it has */
	bool ours;           /* it was put there by a viewer */
	uint32_t generation; /* another one with each content */
};

struct clipboard_stats {
	uint64_t reads, reads_failed, sets, served, served_failed;
};

/* Embedded in whoever wants to know of changes. */
struct clipboard_watcher {
	struct list link; // clipboard.watchers
	void (*changed)(struct clipboard_watcher *w);
};

/*
 * Called once per read, from the loop or from within the call: 0 and a borrowed content, NULL if the
 * clipboard is empty; -ENOTSUP: there is no way to it; -EBUSY: too many wait; -ETIMEDOUT, -EFBIG, -EBADMSG.
 */
typedef void (*clipboard_read_fn)(void *data, int error, struct clipboard_content *content);

/* `backend` is borrowed; NULL: there is no way to the clipboard. */
int clipboard_create(sd_event *loop, struct clipboard_backend *backend, struct clipboard **ret);
/* Answers whoever waits: -ECANCELED. */
void clipboard_destroy(struct clipboard *c);

void clipboard_get_state(const struct clipboard *c, struct clipboard_state *ret);
void clipboard_get_stats(const struct clipboard *c, struct clipboard_stats *ret);
/* The newest content, the text where there are both; also if it changes meanwhile. */
void clipboard_read(struct clipboard *c, clipboard_read_fn done, void *data);
/* Takes a reference. `done` as of clipboard_read: when the desktop has it. */
void clipboard_set(
	struct clipboard *c, struct clipboard_content *content, clipboard_done_fn done, void *data);

/* `changed` is called from the loop, and not too often. */
void clipboard_watch(struct clipboard *c, struct clipboard_watcher *w);
/* Does nothing to one that does not watch, if its link was initialised. */
void clipboard_unwatch(struct clipboard_watcher *w);

#endif
