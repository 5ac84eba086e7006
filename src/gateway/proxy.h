/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A request that a desktop's bridge answers: joins the stream of a conn with one of the bridge, for
 * WebSockets and for plain HTTP. A WebSocket that has begun is never resumed on another connection:
 * if the bridge's side breaks, the viewer's is closed with 1012, and the viewer begins anew.
 */
#ifndef HELIX_GATEWAY_PROXY_H
#define HELIX_GATEWAY_PROXY_H

#include "conn.h"
#include "desktop.h"

enum proxy_kind {
	PROXY_STREAM, /* WebSocket /ws/stream */
	PROXY_INPUT,  /* WebSocket /ws/input */
	PROXY_HTTP,
};

/*
 * Takes the conn's stream, or answers. `rest` is what the bridge is asked for, beginning with '/',
 * with its query. `who` is who asks.
 */
void proxy_start(struct conn *c, struct desktop *d, struct identity *who, enum proxy_kind kind,
	struct http_text rest);
/* Closes those of identities that are no longer known, after the tokens were read again. */
void proxies_check_identities(struct gateway *g);
/* At the end of the gateway: tells viewers to come again. */
void proxies_finish(struct gateway *g);

#endif
