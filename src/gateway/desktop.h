/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The desktops that there are, and the ways to their bridges. */
#ifndef HELIX_GATEWAY_DESKTOP_H
#define HELIX_GATEWAY_DESKTOP_H

#include "blob.h"
#include "gateway.h"

struct runner;
struct fetch;

/* The last picture of a desktop, for the grid; and by the way whether its bridge answers. */
struct thumbnail {
	struct blob *jpeg; // NULL: none yet
	uint64_t taken_ns; /* when `jpeg` came */
	uint64_t tried_ns; /* when it was last asked for */
	uint64_t version;
	struct fetch *fetch; // NULL: not under way
	struct list waiters; // struct conn.waiter
};

enum desktop_state {
	DESKTOP_UNKNOWN, /* reached directly, not asked so far */
	DESKTOP_ONLINE,
	DESKTOP_RECONNECTING, /* its RevDial connection broke a moment ago */
	DESKTOP_OFFLINE,
};

/* Counted: whoever shows a desktop keeps it, though it may have left the list. */
struct desktop {
	unsigned refs;
	struct list link; // gateway.desktops
	struct gateway *gateway;
	char name[DESKTOP_NAME_SIZE];
	const struct direct_desktop *direct; // NULL: by RevDial
	struct runner *runner;               // NULL: direct, or gone
	enum desktop_state state;
	uint64_t since_ms; /* of the state; ms since 1970 */
	unsigned viewers;  /* WebSockets on /ws/stream */
	struct thumbnail thumbnail;
};

const char *desktop_state_to_string(enum desktop_state state);

/* Adds those of the options. */
int desktops_init(struct gateway *g);
void desktops_finish(struct gateway *g);

/* A borrowed reference, or NULL. */
struct desktop *desktop_find(struct gateway *g, const char *name);
/* The list's reference is the only one. */
int desktop_add(struct gateway *g, const char *name, struct desktop **ret);
/* Takes it from the list. */
void desktop_remove(struct desktop *d);
struct desktop *desktop_ref(struct desktop *d);
void desktop_unref(struct desktop *d);
void desktop_set_state(struct desktop *d, enum desktop_state state);

/* What `who` may see, as JSON; to be freed. NULL: no memory. */
struct identity;
char *desktops_to_json(struct gateway *g, const struct identity *who);

#endif
