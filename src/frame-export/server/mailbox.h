/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What other threads leave for the server's. Bounded: access units in a ring of fixed size, for
 * everything else only the newest counts. Posting takes one lock for a few stores, never allocates
 * and never waits for the server, which holds that lock only to exchange buffers.
 */
#ifndef HELIX_FRAME_EXPORT_MAILBOX_H
#define HELIX_FRAME_EXPORT_MAILBOX_H

#include <pthread.h>

#include "server.h"

/* A third of a second of 16 scanouts at 100 Hz, should the server's thread ever be that late. */
#define MAILBOX_UNITS 512u

enum {
	CURSOR_IMAGE_CHANGED = 1u << 0,
	CURSOR_MOVED = 1u << 1,
};

struct cursor_mail {
	unsigned changed;           /* CURSOR_… */
	struct cursor_image *image; // may be NULL: hidden
	uint32_t x, y;
};

struct mail {
	struct access_unit *units[MAILBOX_UNITS];
	unsigned n_units;
	uint32_t lost;           /* one bit a scanout: a unit did not fit, its chain is broken */
	uint32_t states_changed; /* one bit a scanout */
	struct cursor_mail cursors[SCANOUTS_MAX];
};

struct mailbox {
	pthread_mutex_t lock;
	int event_fd;      /* readable: there is mail */
	struct mail *in;   // under lock; posted to
	struct mail *idle; // the server's; empty between two calls of mailbox_take
};

int mailbox_create(struct mailbox **ret);
/* Drops what was not taken. Nobody may post any more. */
void mailbox_destroy(struct mailbox *mb);

/* Consumes the reference. */
void mailbox_post_unit(struct mailbox *mb, struct access_unit *au);
void mailbox_post_state(struct mailbox *mb, uint32_t scanout);
/* Consumes the image. */
void mailbox_post_cursor(
	struct mailbox *mb, uint32_t scanout, struct cursor_image *image, uint32_t x, uint32_t y);
void mailbox_post_cursor_position(struct mailbox *mb, uint32_t scanout, uint32_t x, uint32_t y);

/*
 * All that was posted since the last call. The receiver takes over each reference, and calls
 * mail_clear before it calls again.
 */
struct mail *mailbox_take(struct mailbox *mb);
void mail_clear(struct mail *mail);

#endif
