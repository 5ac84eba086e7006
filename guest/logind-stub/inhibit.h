/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inhibitor locks. A lock is a pipe whose writing end its owner holds: when the last copy of that is
 * closed, by will or by death, the lock ends. Nothing here suspends or shuts down, so locks are kept
 * only to be listed.
 */
#ifndef HELIX_LOGIND_STUB_INHIBIT_H
#define HELIX_LOGIND_STUB_INHIBIT_H

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "list.h"

/* Each costs a descriptor. */
#define INHIBITORS_MAX 64u
/* Of "who" and "why". */
#define INHIBIT_TEXT_MAX 1024u
/* Enough for all names with colons between them. */
#define INHIBIT_WHAT_MAX 192u

enum {
	INHIBIT_SHUTDOWN = 1 << 0,
	INHIBIT_SLEEP = 1 << 1,
	INHIBIT_IDLE = 1 << 2,
};

struct inhibitors;

struct inhibitor {
	struct inhibitors *owner;
	struct list link; // inhibitors.list
	int fd;           /* the reading end */
	sd_event_source *io;
	uint32_t what;
	bool delay; /* else block */
	char *who, *why;
};

struct inhibitors {
	sd_event *loop;
	struct list list; // struct inhibitor.link
	unsigned n;
	/* One came or went. May be NULL. */
	void (*changed)(void *data);
	void *data;
};

void inhibitors_init(struct inhibitors *i, sd_event *loop);
/* Ends all of them. */
void inhibitors_finish(struct inhibitors *i);

/*
 * `*ret_fd` is the lock: close it once it is passed on. -EINVAL: logind would not know one of these
 * words either; -EOPNOTSUPP: only shutdown and sleep can be delayed; -E2BIG: a text too long;
 * -ENOSPC: too many of them.
 */
int inhibitors_add(struct inhibitors *i, const char *what, const char *who, const char *why,
	const char *mode, int *ret_fd);

/* What is inhibited in a mode, as a mask. */
uint32_t inhibitors_mask(const struct inhibitors *i, bool delay);

/* "shutdown:sleep"; "" for 0. */
void inhibit_mask_to_string(uint32_t mask, char ret[INHIBIT_WHAT_MAX]);
/* -EINVAL for a word that is not known, or none at all. */
int inhibit_mask_from_string(const char *what, uint32_t *ret);

#endif
