/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What waits to be sent to one viewer: a few access units, bounded by the time that they span. A
 * viewer that falls behind gets nothing until an IDR. Pure: no I/O, and the time is told to it.
 *
 *   WAITING ──IDR──▶ STREAMING ──too much waits──▶ STALLED ──all was sent──▶ RESTING ──time──▶ WAITING
 *
 * Rests are short, unless the viewer stalls again and again: each IDR that it asks for is also sent
 * to everyone else (docs/decisions/slow-viewers.md).
 */
#ifndef HELIX_BRIDGE_VIEWER_QUEUE_H
#define HELIX_BRIDGE_VIEWER_QUEUE_H

#include "unit.h"

#define VIEWER_QUEUE_UNITS 256u

enum viewer_queue_state {
	VIEWER_WAITING, /* for an IDR, which was asked for */
	VIEWER_STREAMING,
	VIEWER_STALLED, /* what was begun is still being sent */
	VIEWER_RESTING,
	VIEWER_PAUSED, /* by the viewer's wish */
};

struct viewer_queue {
	enum viewer_queue_state state;
	uint64_t span_ns;                       /* the bound */
	struct unit *units[VIEWER_QUEUE_UNITS]; /* ring */
	unsigned first, n;
	size_t bytes;
	uint64_t streaming_ns;             /* since when */
	uint64_t rest_ns, rest_until_ns;   /* the last rest, and its end */
	uint64_t idr_begin_ns, idr_end_ns; /* of sending the last IDR; 0: not done */
	uint64_t skipped;                  /* units that the viewer missed */
	uint64_t stalls;
};

void viewer_queue_init(struct viewer_queue *q, uint64_t span_ns);
void viewer_queue_finish(struct viewer_queue *q);

/* A new unit. `alone`: nobody else watches. */
void viewer_queue_offer(struct viewer_queue *q, struct unit *u, bool alone, uint64_t now_ns);
/* The next to send, with its reference; NULL: none. Sending begins now. */
struct unit *viewer_queue_take(struct viewer_queue *q, uint64_t now_ns);
/* That one was sent. True: ask for an IDR. */
bool viewer_queue_sent(struct viewer_queue *q, bool keyframe, uint64_t now_ns);
/* When to call viewer_queue_wake; 0: no need. */
uint64_t viewer_queue_wake_ns(const struct viewer_queue *q);
/* True: ask for an IDR. */
bool viewer_queue_wake(struct viewer_queue *q, uint64_t now_ns);
/* The stream has a gap. True: ask for an IDR. */
bool viewer_queue_lost(struct viewer_queue *q);
/* True: ask for an IDR. */
bool viewer_queue_pause(struct viewer_queue *q, bool pause);

#endif
