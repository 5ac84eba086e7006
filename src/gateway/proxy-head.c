/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>

#include <helix/ws.h>

#include "proxy-head.h"

/* Cookies, tokens and where a request comes from are not for bridges. */
static const char *const request_headers[] = {"Accept", "Content-Type", "Content-Length", "Range",
	"If-None-Match", "If-Modified-Since", "Last-Event-ID", "Mcp-Session-Id",
	"Mcp-Protocol-Version", NULL};

/* Cookies and CORS are not for bridges to decide. */
static const char *const answer_headers[] = {"Content-Type", "Content-Length", "Content-Encoding",
	"Content-Range", "Content-Disposition", "Accept-Ranges", "Cache-Control", "ETag",
	"Last-Modified", "Transfer-Encoding", "Retry-After", "Mcp-Session-Id", "Allow",
	"Helix-Clipboard-Error", NULL};

static bool passes(const char *const names[], struct http_text name) {
	for (; *names; names++) {
		if (http_text_is_caseless(name, *names)) {
			return true;
		}
	}
	return false;
}

/* Adds the headers that pass, and the empty line, to the `n` bytes that are there. */
static ssize_t add_headers(
	const struct http_head *head, const char *const names[], char *to, size_t size, int n) {
	for (unsigned i = 0; n >= 0 && (size_t)n < size && i < head->n_headers; i++) {
		const struct http_header *h = &head->headers[i];
		if (passes(names, h->name)) {
			n += snprintf(to + n, size - (size_t)n, "%.*s: %.*s\r\n", (int)h->name.n,
				h->name.p, (int)h->value.n, h->value.p);
		}
	}
	if (n >= 0 && (size_t)n < size) {
		n += snprintf(to + n, size - (size_t)n, "\r\n");
	}
	return n < 0 || (size_t)n >= size ? -E2BIG : n;
}

ssize_t proxy_head_request(const struct conn *c, const struct identity *who, struct http_text rest,
	const char *key, char *to, size_t size) {
	static const char *const none[] = {NULL};
	int n = snprintf(to, size,
		"%.*s %.*s HTTP/1.%u\r\nHost: localhost:%u\r\nX-Helix-User: %s\r\n"
		"X-Helix-Role: %s\r\n%s%s%s",
		(int)c->head.method.n, c->head.method.p, (int)rest.n, rest.p, c->head.minor,
		(unsigned)BRIDGE_PORT_DEFAULT, who->name, auth_role_to_string(who->role),
		key ? "Upgrade: websocket\r\nConnection: Upgrade\r\n"
		      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
		    : "Connection: close",
		key ? key : "", "\r\n");
	return add_headers(&c->head, key ? none : request_headers, to, size, n);
}

/*
 * A document of a bridge must not be one of the gateway's, which could do whatever its reader may: it
 * gets an origin of its own.
 */
ssize_t proxy_head_answer(const struct http_head *head, char *to, size_t size) {
	int n = snprintf(to, size,
		"HTTP/1.1 %u %.*s\r\nConnection: close\r\n"
		"Content-Security-Policy: default-src 'none'; sandbox\r\n"
		"X-Content-Type-Options: nosniff\r\n",
		head->status, (int)head->reason.n, head->reason.p);
	return add_headers(head, answer_headers, to, size, n);
}
