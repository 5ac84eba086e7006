/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Screenshots, from the stream's own pictures. Nobody asks: nothing is done. From the first request
 * on, and for a while after the last one, it watches the source and keeps the access units since the
 * last one that was decoded; they are decoded only when somebody asks, on a thread, and so is the
 * file made. So a page that polls pictures costs no keyframes but the first.
 */
#ifndef HELIX_BRIDGE_STILL_H
#define HELIX_BRIDGE_STILL_H

#include "picture-file.h"

struct still;

struct still_wish {
	enum picture_format format;
	unsigned quality;
	bool cursor;
};

/*
 * Called once per request, from the loop: 0 and a file, which is the callee's to free; -ETIMEDOUT: no
 * picture came; -EBUSY: too many wait; -ECANCELED: the end.
 */
typedef void (*still_done_fn)(void *data, int error, uint8_t *file, size_t size);

int still_create(sd_event *loop, struct source *source, struct still **ret);
/* Answers whoever waits. */
void still_destroy(struct still *s);
/* May call `done` at once, if it fails. */
void still_request(struct still *s, const struct still_wish *wish, still_done_fn done, void *data);

#endif
