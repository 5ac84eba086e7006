/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Requests from within, answers, and listening sockets. */
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "http-private.h"
#include "log.h"
#include "util.h"

LOG_MODULE("http");

/* Connections taken in so much time. */
#define ACCEPT_SPAN_US (1 * UINT64_C(1000000))
#define ACCEPT_MAX     1000u

bool http_is_get(const struct http_request *rq) {
	return rq->get;
}

const char *http_path(const struct http_request *rq) {
	return rq->path;
}

const char *http_argument(const struct http_request *rq, const char *key) {
	return MHD_lookup_connection_value(rq->connection, MHD_GET_ARGUMENT_KIND, key);
}

const char *http_header(const struct http_request *rq, const char *key) {
	return MHD_lookup_connection_value(rq->connection, MHD_HEADER_KIND, key);
}

const uint8_t *http_body(const struct http_request *rq, size_t *ret_size) {
	*ret_size = rq->body_size;
	return rq->body;
}

void http_set_header(struct http_request *rq, const char *key, const char *value) {
	if (!rq->headers) {
		rq->headers = calloc(HTTP_HEADERS_MAX, sizeof(*rq->headers));
	}
	if (rq->headers && rq->n_headers < HTTP_HEADERS_MAX) {
		struct http_pair *pair = &rq->headers[rq->n_headers++];
		pair->key = key;
		(void)snprintf(pair->value, sizeof(pair->value), "%s", value);
	}
}

void http_respond(struct http_request *rq, unsigned status, struct MHD_Response *response) {
	if (!response) {
		static const char text[] = "out of memory\n";
		status = MHD_HTTP_INTERNAL_SERVER_ERROR;
		response = MHD_create_response_from_buffer(
			sizeof(text) - 1, (void *)(uintptr_t)text, MHD_RESPMEM_PERSISTENT);
	}
	if (response) {
		for (unsigned i = 0; i < rq->n_headers; i++) {
			(void)MHD_add_response_header(
				response, rq->headers[i].key, rq->headers[i].value);
		}
		if (status != MHD_HTTP_SWITCHING_PROTOCOLS) {
			(void)MHD_add_response_header(
				response, "X-Content-Type-Options", "nosniff");
		}
	}
	rq->status = status;
	rq->response = response;
	if (rq->suspended && !rq->inside) {
		/* handle_access is called again, and finds the response. */
		rq->suspended = false;
		MHD_resume_connection(rq->connection);
		http_server_kick(rq->server);
	}
}

static void respond_with_type(
	struct http_request *rq, unsigned status, const char *type, struct MHD_Response *response) {
	if (response) {
		(void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
		(void)MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	}
	http_respond(rq, status, response);
}

void http_reply(
	struct http_request *rq, unsigned status, const char *type, const void *body, size_t size) {
	respond_with_type(rq, status, type,
		MHD_create_response_from_buffer(
			size, (void *)(uintptr_t)body, MHD_RESPMEM_MUST_COPY));
}

void http_reply_text(struct http_request *rq, unsigned status, const char *text) {
	http_reply(rq, status, "text/plain; charset=utf-8", text, strlen(text));
}

void http_reply_buffer(
	struct http_request *rq, unsigned status, const char *type, void *body, size_t size) {
	struct MHD_Response *response =
		MHD_create_response_from_buffer(size, body, MHD_RESPMEM_MUST_FREE);
	if (!response) {
		free(body);
	}
	respond_with_type(rq, status, type, response);
}

void http_reply_file(
	struct http_request *rq, const char *type, int fd, uint64_t size, const char *etag) {
	struct MHD_Response *response = MHD_create_response_from_fd64(size, fd);
	if (!response) {
		(void)close_fd(fd);
	} else {
		(void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
		(void)MHD_add_response_header(response, MHD_HTTP_HEADER_ETAG, etag);
		(void)MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-cache");
	}
	http_respond(rq, MHD_HTTP_OK, response);
}

static int handle_accept(sd_event_source *source, int fd, uint32_t revents, void *data) {
	struct http_listener *l = data;
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);
	int conn = accept4(fd, (struct sockaddr *)&address, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (conn < 0) {
		bool scarce =
			errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
		if (scarce && !l->complained) {
			/* It stays in the queue, and the rate limit keeps us from spinning. */
			log_err_errno(-errno, "cannot accept a connection");
			l->complained = true;
		}
		return 0;
	}
	(void)http_server_add(l->server, conn, (struct sockaddr *)&address, size);
	return 0;
}

static int open_listener(const struct addrinfo *a, uint16_t *ret_port) {
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);
	int one = 1;
	CLEANUP_CLOSE int fd =
		socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol);
	if (fd < 0) {
		return -errno;
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, a->ai_addr, a->ai_addrlen) < 0 || listen(fd, 128) < 0 ||
		getsockname(fd, (struct sockaddr *)&address, &size) < 0) {
		return -errno;
	}
	*ret_port =
		ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
						    : ((struct sockaddr_in *)&address)->sin_port);
	return take_fd(&fd);
}

int http_server_listen(struct http_server *s, const char *host, uint16_t port, uint16_t *ret_port) {
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *list;
	char service[8];
	if (s->n_listeners == HTTP_LISTENERS_MAX) {
		return -E2BIG;
	}
	(void)snprintf(service, sizeof(service), "%u", port);
	if (getaddrinfo(host, service, &hints, &list) != 0) {
		return -EADDRNOTAVAIL;
	}
	struct http_listener *l = &s->listeners[s->n_listeners];
	int r = open_listener(list, ret_port);
	freeaddrinfo(list);
	if (r < 0) {
		return r;
	}
	*l = (struct http_listener){.fd = r, .server = s};
	r = sd_event_add_io(s->loop, &l->io, l->fd, EPOLLIN, handle_accept, l);
	if (r < 0) {
		l->fd = close_fd(l->fd);
		return r;
	}
	(void)sd_event_source_set_ratelimit(l->io, ACCEPT_SPAN_US, ACCEPT_MAX);
	s->n_listeners++;
	return 0;
}

void http_listeners_finish(struct http_server *s) {
	for (unsigned i = 0; i < HTTP_LISTENERS_MAX; i++) {
		s->listeners[i].io = sd_event_source_disable_unref(s->listeners[i].io);
		s->listeners[i].fd = close_fd(s->listeners[i].fd);
	}
	s->n_listeners = 0;
}
