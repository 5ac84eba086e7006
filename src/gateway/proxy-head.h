/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a proxy passes on of the heads of requests and answers; the rest is the gateway's own business. */
#ifndef HELIX_GATEWAY_PROXY_HEAD_H
#define HELIX_GATEWAY_PROXY_HEAD_H

#include "conn.h"

/* Of a head that was rewritten. */
#define PROXY_HEAD_MAX (2 * CONN_HEAD_MAX)

/*
 * The conn's request as the bridge gets it: for `rest`, asked by `who`. `key` is the viewer's
 * Sec-WebSocket-Key, or NULL for a plain request. Returns its size, or -E2BIG.
 */
ssize_t proxy_head_request(const struct conn *c, const struct identity *who, struct http_text rest,
	const char *key, char *to, size_t size);
/* A bridge's answer as the viewer gets it. Returns its size, or -E2BIG. */
ssize_t proxy_head_answer(const struct http_head *head, char *to, size_t size);

#endif
