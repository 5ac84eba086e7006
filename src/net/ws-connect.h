/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The client side of a WebSocket tunnel: connects, shakes hands (TLS, HTTP), and gives the stream. */
#ifndef HELIX_NET_WS_CONNECT_H
#define HELIX_NET_WS_CONNECT_H

#include "net/stream.h"

struct ws_connect;

struct ws_target {
	const char *host;
	uint16_t port;
	const struct tls_config *tls; // NULL: without TLS
	const char *path;             /* with its query */
	const char *bearer;           /* token; may be NULL */
	unsigned timeout_ms;          /* of all of it */
};

/*
 * Called once: a stream that is the callee's, or NULL and a negative errno; -EACCES and -ENOENT are
 * 401/403 and 404, -EPROTO other answers. The ws_connect is gone by then.
 */
typedef void (*ws_connect_fn)(void *data, struct stream *stream, int error);

/* The callback never comes from within this call. */
int ws_connect_create(sd_event *loop, const struct ws_target *target, ws_connect_fn done,
	void *data, struct ws_connect **ret);
/* Calls it off: the callback does not come any more. */
void ws_connect_destroy(struct ws_connect *c);

#endif
