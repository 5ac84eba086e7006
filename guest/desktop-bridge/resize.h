/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Another size for the desktop, asked of the launcher that runs in this container, by its socket.
 * One request is under way at a time; of those that come meanwhile the newest follows it.
 */
#ifndef HELIX_BRIDGE_RESIZE_H
#define HELIX_BRIDGE_RESIZE_H

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

struct resizer;

enum resize_result {
	RESIZE_DONE,       /* the output has it; `text`: WxH@HZ */
	RESIZE_SUPERSEDED, /* a newer request took its place */
	RESIZE_UNABLE,     /* this desktop cannot, now or ever; `text` says why, as below */
	RESIZE_FAILED,     /* it went wrong this time */
	RESIZE_ENDING,     /* the bridge ends */
};

/* `text` may not be kept. Called once for each request, perhaps from within resizer_ask(). */
typedef void (*resize_func)(enum resize_result result, const char *text, void *data);

/* `dir`: the launcher's runtime directory, borrowed; NULL: there is none. */
int resizer_create(sd_event *loop, const char *dir, struct resizer **ret);
void resizer_destroy(struct resizer *r);
void resizer_ask(struct resizer *r, uint32_t width, uint32_t height, resize_func done, void *data);
/* Nothing is under way, and nothing else was asked for last: a desktop of this size has it. */
bool resizer_settled(const struct resizer *r, uint32_t width, uint32_t height);

#endif
