/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One scanout as the server sees it: who watches, when an IDR is asked for, the cursor, counters.
 *
 * IDRs are shared and rationed: everyone who waits takes the next one that comes by, whoever asked.
 * The first who wants one gets it asked for at once; a joiner less than 100 ms after that waits out
 * the rest of these 100 ms, and so shares the next with everyone who joins meanwhile. Never more
 * than four in any second; resuming clients and KEYFRAME_REQ may use up three of these only, so a
 * new viewer need not wait for the whims of others.
 */
#ifndef HELIX_FRAME_EXPORT_CHANNEL_H
#define HELIX_FRAME_EXPORT_CHANNEL_H

#include "list.h"
#include "mailbox.h"
#include "server.h"

#define IDR_MAX_PER_SECOND 4u

enum idr_reason {
	IDR_JOIN,
	IDR_RESUME, /* a client that had lost frames can take some again */
	IDR_ASKED,  /* KEYFRAME_REQ */
	_IDR_REASON_MAX,
};

struct channel {
	struct server *server;
	uint32_t id;
	struct list clients;      // client.watch
	unsigned watching, ready; /* as the backend was told */

	uint64_t idr_times[IDR_MAX_PER_SECOND]; /* of the last requests, a ring */
	unsigned idr_next;                      /* its oldest, overwritten next */
	uint64_t idr_due_ns;                    /* when the pending one is made; 0: none */
	bool idr_asked;                         /* a streaming client wants one too */
	sd_event_source *idr_timer;

	struct cursor_image *cursor; // NULL: hidden
	uint32_t cursor_x, cursor_y;

	uint64_t sent_units, sent_bytes, dropped_units;
};

struct client;

int channel_init(struct channel *ch, struct server *server, uint32_t id);
void channel_finish(struct channel *ch);

/* The client counts as watching from here on and waits for an IDR. */
void channel_join(struct channel *ch, struct client *client);
void channel_leave(struct channel *ch, struct client *client);
/* Tells the backend, if the number of watching or ready clients is not what it was told. */
void channel_update_viewers(struct channel *ch);

void channel_want_idr(struct channel *ch, enum idr_reason reason);
/* Offers the unit to every client. Borrows the reference. */
void channel_post(struct channel *ch, struct access_unit *au);
/* A unit was lost on the way here: everyone needs an IDR. */
void channel_lost(struct channel *ch);
/* Takes over the image. */
void channel_set_cursor(struct channel *ch, const struct cursor_mail *mail);

#endif
