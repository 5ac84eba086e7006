/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A stream (stream.h) whose bytes travel as the payload of binary WebSocket messages; where one
 * message ends and the next begins means nothing. As RevDial has it: docs/protocol/revdial.md.
 */
#ifndef HELIX_NET_WS_STREAM_H
#define HELIX_NET_WS_STREAM_H

#include "net/stream.h"

/* Largest piece of what came after the handshake that is taken over. */
#define WS_STREAM_EARLY_MAX 8192u

/*
 * On a stream whose handshakes are done, which it consumes if it succeeds. `early` is what was read
 * beyond the handshake. `client`: this end masks.
 */
int ws_stream_create(sd_event *loop, struct stream *base, bool client, const void *early, size_t n,
	struct stream **ret);
/* Sends a ping. */
int ws_stream_ping(struct stream *s);
/* When anything was last received, pings included: now_ns(). */
uint64_t ws_stream_heard_ns(const struct stream *s);

#endif
