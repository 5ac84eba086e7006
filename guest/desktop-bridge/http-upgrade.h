/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The handshake of WebSocket (RFC 6455, section 4.2), and who may do it. */
#ifndef HELIX_BRIDGE_HTTP_UPGRADE_H
#define HELIX_BRIDGE_HTTP_UPGRADE_H

#include <stdbool.h>

#include "http-server.h"

#define HTTP_ACCEPT_SIZE 29u /* with the NUL */

/* Answers 101, or says what is wrong. */
void http_upgrade(struct http_request *rq);

/* -EBADMSG: `key` is not 16 bytes in base64. */
int http_accept_key(const char *key, char ret[HTTP_ACCEPT_SIZE]);
/* `token` is in the comma-separated list; letters' case does not matter. NULL list: no. */
bool http_list_has(const char *list, const char *token);
/*
 * A browser says where the page comes from that wants the socket: allowed are pages of this very
 * host and port, and `origins`. NULL origin: no browser, allowed.
 */
bool http_origin_allowed(
	const char *origin, const char *host, const char *const *origins, unsigned n_origins);

#endif
