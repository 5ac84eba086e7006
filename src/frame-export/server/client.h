/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One connection. client.c receives and answers (docs/protocol/hxfr.md), client-send.c sends.
 *
 * Receiving: bytes are collected until the part of a message that we know is there, the rest of its
 * payload is discarded as it comes. A client whose replies are not taken is not read from.
 *
 * Sending: one message at a time, never abandoned once begun; of those that could be next, replies
 * go first, then events of the extension (made from the present state when their turn comes, so
 * they cannot pile up), then access units. Units wait in a ring bounded by presentation time; when
 * it overflows all of them are dropped and the client gets nothing until it has taken what was
 * begun and an IDR comes by.
 */
#ifndef HELIX_FRAME_EXPORT_CLIENT_H
#define HELIX_FRAME_EXPORT_CLIENT_H

#include <helix/hxfr.h>

#include "channel.h"
#include "list.h"
#include "server.h"

/* At least header and the longest known part of a message; more saves system calls. */
#define CLIENT_IN_SIZE 1024u
/* Access units that may wait; queue_ms is normally reached long before. */
#define CLIENT_UNITS_MAX 256u

enum client_state {
	CLIENT_UNSUBSCRIBED,
	CLIENT_WAITING,   /* for an IDR; ready */
	CLIENT_STREAMING, /* ready */
	CLIENT_STALLED,   /* overflowed and has not yet taken what was begun */
	CLIENT_RESTING,   /* has taken it, but stalls so often that it must wait a while */
};

/* The message that is being sent. */
struct outgoing {
	uint8_t head[2 * HXFR_HEADER_SIZE + HXFR_FLIP_INFO_SIZE + HXFR_FRAME_PREFIX_SIZE];
	size_t head_size;
	const uint8_t *body; /* belongs to one of these: */
	size_t body_size;
	struct reply *reply;
	struct access_unit *unit;
	struct cursor_image *image;
	size_t done; /* of head and body; head_size + body_size = 0: nothing to send */
};

struct client {
	struct server *server;
	struct list link; // server.clients, server.dead
	int fd;
	char peer[64];
	sd_event_source *io;
	sd_event_source *timer; /* unsubscribed: silence; resting: its end */
	bool dead;              /* failed; waits to be freed */
	bool ended;             /* said its last word; closed when all replies are sent */

	uint8_t in[CLIENT_IN_SIZE];
	size_t in_size;
	uint32_t skip;      /* bytes of payload still to discard */
	bool held;          /* `in` was not looked at to its end: too many replies wait */
	uint64_t active_ns; /* when the last message came */

	uint32_t features; /* HXFR_FEATURE_… granted */
	struct credentials credentials;
	uint32_t scanout_id;     /* last subscribed to; 0 before */
	struct channel *channel; // NULL: not subscribed
	struct list watch;       // channel.clients
	enum client_state state;
	uint32_t dropped;      /* units missed in this subscription */
	uint64_t streaming_ns; /* when it last began to stream */
	uint64_t rest_ns;      /* how long it rests after the next stall */

	struct outgoing out;
	struct list replies; // reply.link
	size_t reply_bytes;
	uint32_t states_dirty; /* one bit a scanout whose SCANOUT_STATE is to be sent */
	unsigned cursor_dirty; /* CURSOR_… of the subscribed scanout */
	struct access_unit *units[CLIENT_UNITS_MAX];
	unsigned unit_first, n_units;
	size_t unit_bytes;
	uint64_t idr_begin_ns, idr_end_ns; /* sending of the last IDR; end 0: under way */
};

static inline bool client_is_ready(const struct client *c) {
	return c->state == CLIENT_WAITING || c->state == CLIENT_STREAMING;
}

/* Consumes `fd` on success. */
int client_create(struct server *server, int fd, const char *peer, struct client **ret);
/* Leaves its channel and the server's list. */
void client_destroy(struct client *c);
/* Marks it dead: it takes part in nothing any more, and is freed soon. `why` goes into the log. */
void client_fail(struct client *c, int error, const char *why);

/* client-access.c: the handlers of section 4.6 */
struct hxfr_header;
void client_handle_authenticate(struct client *c, const struct hxfr_header *h, const uint8_t *p);
void client_handle_enable_lease(struct client *c, const struct hxfr_header *h, const uint8_t *p);
void client_handle_show_token(struct client *c, const struct hxfr_header *h, const uint8_t *p);
/* The token of a scanout is another one now: who watches it without is cut off. */
void client_access_changed(struct server *s, uint32_t scanout);
/* Connects or resizes an output for whoever may do that, as ENABLE_SCANOUT. -errno; logged. */
int client_enable(struct client *c, const struct hxfr_enable_scanout *m);

/* client-send.c */

/* Queues a reply; the client fails if memory does. */
void client_reply(struct client *c, const uint8_t *bytes, size_t size);
/* Sends what the socket takes. */
void client_flush(struct client *c);
/* Has client_flush called soon. */
void client_kick(struct client *c);
bool client_has_room(const struct client *c);
/* Drops all that has not been begun of the present subscription. */
void client_clear_units(struct client *c);
void client_send_finish(struct client *c);
void client_offer(struct client *c, struct access_unit *au);
/* It misses a unit that never came here. */
void client_lost(struct client *c);
void client_cursor_changed(struct client *c, unsigned changed);
/* The timer of a resting client. */
void client_end_rest(struct client *c);

#endif
