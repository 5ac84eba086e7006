/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of the HTTP server share. */
#ifndef HELIX_BRIDGE_HTTP_PRIVATE_H
#define HELIX_BRIDGE_HTTP_PRIVATE_H

#include <microhttpd.h>

#include "http-server.h"
#include "list.h"

#define HTTP_LISTENERS_MAX 4u
#define HTTP_HEADERS_MAX   4u

struct http_listener {
	int fd;
	sd_event_source *io;
	struct http_server *server;
	bool complained;
};

struct http_server {
	sd_event *loop;
	const struct http_config *config;
	struct MHD_Daemon *mhd;
	sd_event_source *io, *timer, *sweep, *kick;
	struct http_listener listeners[HTTP_LISTENERS_MAX];
	unsigned n_listeners;
	struct list conns;    // struct http_conn.link
	struct list requests; // struct http_request.link
	struct http_counters counters;
};

/* A TCP connection, also between requests. */
struct http_conn {
	struct list link; // http_server.conns
	int fd;           /* libmicrohttpd's */
	uint64_t deadline_ns;
};

struct http_pair {
	const char *key; /* lives as long as the program */
	char value[128];
};

struct http_request {
	struct list link; // http_server.requests
	struct http_server *server;
	struct MHD_Connection *connection;
	const struct http_route *route;
	char *path;
	bool get, allowed, too_large, inside, suspended, upgraded;
	uint8_t *body; // may be NULL
	size_t body_size, body_capacity;
	struct http_pair *headers; // may be NULL
	unsigned n_headers;
	struct MHD_Response *response; // may be NULL
	unsigned status;
};

void http_server_kick(struct http_server *s);
struct http_conn *http_conn_of(struct MHD_Connection *connection);
void http_conn_upgraded(struct http_server *s, struct MHD_Connection *connection);
void http_listeners_finish(struct http_server *s);
/* Takes over `response` (NULL: out of memory). */
void http_respond(struct http_request *rq, unsigned status, struct MHD_Response *response);

#endif
