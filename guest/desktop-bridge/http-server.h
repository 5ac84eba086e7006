/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * HTTP/1.1 by libmicrohttpd on our sd-event loop, and the handshake of WebSocket. Connections come
 * from listening sockets or are handed in (http_server_add), as a tunnel does.
 *
 * Peers are bounded: connections in all, size of a request's head, time for each part of it.
 */
#ifndef HELIX_BRIDGE_HTTP_SERVER_H
#define HELIX_BRIDGE_HTTP_SERVER_H

#include <stdbool.h>
#include <sys/socket.h>
#include <systemd/sd-event.h>

#include "ws-conn.h"

struct http_server;
struct http_request;

struct http_route {
	const char *path;    /* NULL: whatever no other route takes; the last one */
	const char *methods; /* as in Allow, such as "GET, HEAD"; NULL: any */
	size_t body_max;     /* of a request; bytes */
	/* Answers now (http_reply…) or keeps the request and answers later. */
	void (*handle)(struct http_request *rq, void *data);
	/* For a WebSocket: takes over the socket. May be NULL. */
	int (*upgraded)(const struct ws_socket *socket, const uint8_t *early, size_t early_size,
		void *data);
	/* May one more WebSocket be had? NULL: yes. */
	bool (*has_room)(void *data);
};

struct http_config {
	unsigned max_connections;
	const char *const *origins; /* allowed beside the page's own; "*": any */
	unsigned n_origins;
	const struct http_route *routes; /* ends with the one without a path */
	void *data;                      /* of the routes */
};

struct http_counters {
	uint64_t connections, refused, requests, upgrades, timeouts;
	unsigned open;
};

/* `config` is borrowed. */
int http_server_create(sd_event *loop, const struct http_config *config, struct http_server **ret);
/* All WebSockets must have been released before. */
void http_server_destroy(struct http_server *s);

/* -errno of bind() and the like. `*ret_port`: what was bound, if `port` is 0. */
int http_server_listen(struct http_server *s, const char *host, uint16_t port, uint16_t *ret_port);
/* Serves a connected stream socket; consumes `fd` whatever happens. */
int http_server_add(
	struct http_server *s, int fd, const struct sockaddr *address, socklen_t address_size);
void http_server_get_counters(const struct http_server *s, struct http_counters *ret);

/* Of a request, as long as it is not answered. */
bool http_is_get(const struct http_request *rq);
const char *http_path(const struct http_request *rq);
/* NULL without. */
const char *http_argument(const struct http_request *rq, const char *key);
const char *http_header(const struct http_request *rq, const char *key);
const uint8_t *http_body(const struct http_request *rq, size_t *ret_size);

/* Each answers the request, which is gone then. `type`: the content's. */
void http_reply(
	struct http_request *rq, unsigned status, const char *type, const void *body, size_t size);
void http_reply_text(struct http_request *rq, unsigned status, const char *text);
/* Consumes `body`, which malloc made. */
void http_reply_buffer(
	struct http_request *rq, unsigned status, const char *type, void *body, size_t size);
/* Consumes `fd`, a file of `size` bytes. */
void http_reply_file(
	struct http_request *rq, const char *type, int fd, uint64_t size, const char *etag);
/* Another header of the answer, to be set before it. */
void http_set_header(struct http_request *rq, const char *key, const char *value);

#endif
