/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What people do while there is no way into the desktop yet: it waits a moment, in order. When it is
 * too old or too much, all of it is forgotten, since a part of what was typed is something else.
 */
#ifndef HELIX_BRIDGE_INPUT_EARLY_H
#define HELIX_BRIDGE_INPUT_EARLY_H

#include <stddef.h>
#include <stdint.h>

#include <helix/ws.h>

#include "util.h"

#define EARLY_MAX 256u
/* Back ends try again every two seconds, and give programs another one to take notice. */
#define EARLY_NS (5 * NSEC_PER_SEC)

struct input_client;

struct early_event {
	struct input_client *client; /* borrowed until early_hand_over */
	struct ws_event event;
};

/* Zeroed: empty. */
struct early {
	struct early_event events[EARLY_MAX];
	size_t n;
	uint64_t since_ns; /* of the first */
};

/* Returns how many are lost by it: none, or all that waited. A move that follows a move replaces it. */
size_t early_add(
	struct early *e, struct input_client *c, const struct ws_event *event, uint64_t time_ns);
/* Returns how many are too old, which is none or all, and forgets these. */
size_t early_expire(struct early *e, uint64_t time_ns);
/* Of one who leaves, to one who stays. */
void early_hand_over(struct early *e, const struct input_client *from, struct input_client *to);

#endif
