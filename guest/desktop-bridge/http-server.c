/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "http-private.h"
#include "http-upgrade.h"
#include "log.h"
#include "util.h"

LOG_MODULE("http");

#define HEAD_MAX (16u * 1024) /* of a request: line and headers; 431 beyond it */
/* For the head of the first request, and between requests. */
#define HEAD_TIMEOUT_NS (10 * NSEC_PER_SEC)
/* For the rest of a request and for taking the answer. */
#define REQUEST_TIMEOUT_NS (60 * NSEC_PER_SEC)
/*
 * Some of what follows from an event, such as the answer to a head that is too long, libmicrohttpd does
 * only when it is run once more, and does not ask for that.
 */
#define RUNS     3u
#define SWEEP_US (1 * UINT64_C(1000000))

/* Never from within libmicrohttpd. */
void http_server_kick(struct http_server *s) {
	(void)sd_event_source_set_enabled(s->kick, SD_EVENT_ONESHOT);
}

static int run(struct http_server *s) {
	MHD_UNSIGNED_LONG_LONG ms;
	for (unsigned i = 0; i < RUNS; i++) {
		(void)MHD_run(s->mhd);
	}
	if (MHD_get_timeout(s->mhd, &ms) != MHD_YES) {
		return 0;
	}
	if (ms == 0) {
		/* There is more of a body than it took; a timer would let it wait. */
		http_server_kick(s);
	} else {
		(void)sd_event_source_set_time(s->timer, now_ns() / NSEC_PER_USEC + ms * 1000);
		(void)sd_event_source_set_enabled(s->timer, SD_EVENT_ONESHOT);
	}
	return 0;
}

static int handle_io(sd_event_source *source, int fd, uint32_t revents, void *data) {
	return run(data);
}

static int handle_timer(sd_event_source *source, uint64_t usec, void *data) {
	return run(data);
}

static int handle_kick(sd_event_source *source, void *data) {
	return run(data);
}

/*
 * A peer may send a byte now and then for ever, so its silence tells nothing: each part of a request
 * has a time by which it must be over.
 */
static int handle_sweep(sd_event_source *source, uint64_t usec, void *data) {
	struct http_server *s = data;
	struct http_conn *c;
	uint64_t now = now_ns();
	bool any = false;
	list_for_each(c, &s->conns, link) {
		if (c->deadline_ns && now >= c->deadline_ns) {
			/* libmicrohttpd notices, and ends it. */
			(void)shutdown(c->fd, SHUT_RDWR);
			s->counters.timeouts++;
			c->deadline_ns = 0;
		}
		any |= c->deadline_ns != 0;
	}
	(void)sd_event_source_set_time_relative(s->sweep, SWEEP_US);
	(void)sd_event_source_set_enabled(s->sweep, any ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
	return 0;
}

static void set_deadline(struct http_server *s, struct http_conn *c, uint64_t in_ns) {
	int state;
	if (!c) {
		return;
	}
	c->deadline_ns = in_ns ? now_ns() + in_ns : 0;
	if (in_ns && sd_event_source_get_enabled(s->sweep, &state) >= 0 && state == SD_EVENT_OFF) {
		(void)sd_event_source_set_time_relative(s->sweep, SWEEP_US);
		(void)sd_event_source_set_enabled(s->sweep, SD_EVENT_ONESHOT);
	}
}

static void handle_connection(void *cls, struct MHD_Connection *connection, void **context,
	enum MHD_ConnectionNotificationCode code) {
	struct http_server *s = cls;
	struct http_conn *c = *context;
	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		c = calloc(1, sizeof(*c));
		if (c) {
			const union MHD_ConnectionInfo *info = MHD_get_connection_info(
				connection, MHD_CONNECTION_INFO_CONNECTION_FD);
			c->fd = info->connect_fd;
			list_append(&s->conns, &c->link);
			set_deadline(s, c, HEAD_TIMEOUT_NS);
		}
		*context = c;
		s->counters.open++;
		return;
	}
	s->counters.open--;
	if (c) {
		list_remove(&c->link);
		free(c);
	}
	*context = NULL;
}

struct http_conn *http_conn_of(struct MHD_Connection *connection) {
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	return info ? info->socket_context : NULL;
}

void http_conn_upgraded(struct http_server *s, struct MHD_Connection *connection) {
	s->counters.upgrades++;
	set_deadline(s, http_conn_of(connection), 0);
}

static void handle_completed(void *cls, struct MHD_Connection *connection, void **context,
	enum MHD_RequestTerminationCode code) {
	struct http_server *s = cls;
	struct http_request *rq = *context;
	if (!rq) {
		return;
	}
	if (!rq->upgraded) {
		set_deadline(s, http_conn_of(connection), HEAD_TIMEOUT_NS);
	}
	list_remove(&rq->link);
	if (rq->response) {
		MHD_destroy_response(rq->response);
	}
	free(rq->body);
	free(rq->headers);
	free(rq->path);
	free(rq);
	*context = NULL;
}

static const struct http_route *find_route(const struct http_server *s, const char *path) {
	const struct http_route *route = s->config->routes;
	while (route->path && strcmp(route->path, path) != 0) {
		route++;
	}
	return route;
}

static bool allows(const struct http_route *route, const char *method) {
	if (!route->methods) {
		return true;
	}
	const char *at = strstr(route->methods, method);
	size_t n = strlen(method);
	return at && (at == route->methods || at[-1] == ' ') && (at[n] == '\0' || at[n] == ',');
}

static struct http_request *create_request(struct http_server *s, struct MHD_Connection *connection,
	const char *path, const char *method) {
	struct http_request *rq = calloc(1, sizeof(*rq));
	if (!rq) {
		return NULL;
	}
	rq->path = strdup(path);
	if (!rq->path) {
		free(rq);
		return NULL;
	}
	rq->server = s;
	rq->connection = connection;
	rq->route = find_route(s, path);
	rq->get = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
	rq->allowed = allows(rq->route, method);
	list_append(&s->requests, &rq->link);
	s->counters.requests++;
	set_deadline(s, http_conn_of(connection), REQUEST_TIMEOUT_NS);
	return rq;
}

/* Keeps the body up to the route's bound; of more only the fact. Where none is wanted, nobody looks at it. */
static void take_body(struct http_request *rq, const char *data, size_t size) {
	if (rq->route->body_max == 0) {
		return;
	}
	if (rq->body_size + size > rq->route->body_max) {
		rq->too_large = true;
		return;
	}
	if (rq->body_size + size > rq->body_capacity) {
		size_t capacity = MAX(2 * rq->body_capacity, rq->body_size + size);
		uint8_t *p = realloc(rq->body, capacity);
		if (!p) {
			rq->too_large = true;
			return;
		}
		rq->body = p;
		rq->body_capacity = capacity;
	}
	memcpy(rq->body + rq->body_size, data, size);
	rq->body_size += size;
}

/* Browsers send without asking what a page of any site gives them, such as a form. */
static bool is_from_here(const struct http_request *rq) {
	const struct http_config *config = rq->server->config;
	return http_origin_allowed(http_header(rq, "Origin"), http_header(rq, "Host"),
		config->origins, config->n_origins);
}

static void answer(struct http_request *rq) {
	const struct http_route *route = rq->route;
	if (!rq->allowed) {
		http_set_header(rq, "Allow", route->methods);
		http_reply_text(rq, MHD_HTTP_METHOD_NOT_ALLOWED, "method not allowed\n");
	} else if (rq->too_large) {
		http_reply_text(rq, MHD_HTTP_CONTENT_TOO_LARGE, "too large\n");
	} else if (!rq->get && !is_from_here(rq)) {
		http_reply_text(rq, MHD_HTTP_FORBIDDEN, "pages of other sites may not do this\n");
	} else if (route->upgraded) {
		http_upgrade(rq);
	} else {
		route->handle(rq, rq->server->config->data);
	}
}

static enum MHD_Result handle_access(void *cls, struct MHD_Connection *connection, const char *url,
	const char *method, const char *version, const char *upload, size_t *upload_size,
	void **context) {
	struct http_server *s = cls;
	struct http_request *rq = *context;
	if (!rq) {
		*context = rq = create_request(s, connection, url, method);
		return rq ? MHD_YES : MHD_NO;
	}
	if (*upload_size > 0) {
		take_body(rq, upload, *upload_size);
		*upload_size = 0;
		return MHD_YES;
	}
	if (!rq->response) {
		rq->inside = true;
		answer(rq);
		rq->inside = false;
	}
	if (!rq->response) {
		rq->suspended = true;
		MHD_suspend_connection(connection);
		return MHD_YES;
	}
	return MHD_queue_response(connection, rq->status, rq->response);
}

static void *ignore_uri_log(void *cls, const char *uri, struct MHD_Connection *connection) {
	return NULL;
}

static int start_mhd(struct http_server *s) {
	s->mhd = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_UPGRADE |
			MHD_ALLOW_SUSPEND_RESUME,
		0, NULL, NULL, handle_access, s, MHD_OPTION_CONNECTION_LIMIT,
		s->config->max_connections, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEAD_MAX,
		MHD_OPTION_CONNECTION_TIMEOUT, 0u, MHD_OPTION_STRICT_FOR_CLIENT, 1,
		MHD_OPTION_NOTIFY_COMPLETED, handle_completed, s, MHD_OPTION_NOTIFY_CONNECTION,
		handle_connection, s, MHD_OPTION_URI_LOG_CALLBACK, ignore_uri_log, NULL,
		MHD_OPTION_END);
	if (!s->mhd) {
		return -EIO;
	}
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(s->mhd, MHD_DAEMON_INFO_EPOLL_FD);
	return info && info->epoll_fd >= 0 ? info->epoll_fd : -EIO;
}

int http_server_create(sd_event *loop, const struct http_config *config, struct http_server **ret) {
	struct http_server *s = calloc(1, sizeof(*s));
	if (!s) {
		return -ENOMEM;
	}
	s->loop = sd_event_ref(loop);
	s->config = config;
	list_init(&s->conns);
	list_init(&s->requests);
	for (unsigned i = 0; i < HTTP_LISTENERS_MAX; i++) {
		s->listeners[i].fd = -1;
	}
	int r = start_mhd(s);
	if (r >= 0) {
		r = sd_event_add_io(loop, &s->io, r, EPOLLIN, handle_io, s);
	}
	if (r >= 0) {
		r = sd_event_add_time(loop, &s->timer, CLOCK_MONOTONIC, 0, 0, handle_timer, s);
	}
	if (r >= 0) {
		r = sd_event_add_time(
			loop, &s->sweep, CLOCK_MONOTONIC, 0, SWEEP_US, handle_sweep, s);
	}
	if (r >= 0) {
		r = sd_event_add_defer(loop, &s->kick, handle_kick, s);
	}
	if (r < 0) {
		http_server_destroy(s);
		return r;
	}
	(void)sd_event_source_set_enabled(s->timer, SD_EVENT_OFF);
	(void)sd_event_source_set_enabled(s->sweep, SD_EVENT_OFF);
	(void)sd_event_source_set_enabled(s->kick, SD_EVENT_OFF);
	*ret = s;
	return 0;
}

void http_server_destroy(struct http_server *s) {
	struct http_request *rq;
	if (!s) {
		return;
	}
	http_listeners_finish(s);
	/* The daemon cannot be stopped while a connection is suspended. */
	list_for_each(rq, &s->requests, link) {
		if (rq->suspended && !rq->response) {
			http_reply_text(rq, MHD_HTTP_SERVICE_UNAVAILABLE, "shutting down\n");
		}
	}
	if (s->mhd) {
		(void)MHD_run(s->mhd);
		MHD_stop_daemon(s->mhd);
	}
	sd_event_source_disable_unref(s->io);
	sd_event_source_disable_unref(s->timer);
	sd_event_source_disable_unref(s->sweep);
	sd_event_source_disable_unref(s->kick);
	sd_event_unref(s->loop);
	free(s);
}

int http_server_add(
	struct http_server *s, int fd, const struct sockaddr *address, socklen_t address_size) {
	if (s->counters.open >= s->config->max_connections) {
		s->counters.refused++;
		(void)close_fd(fd);
		return -EUSERS;
	}
	s->counters.connections++;
	/* It closes `fd` if it fails. */
	int r = MHD_add_connection(s->mhd, fd, address, address_size) == MHD_YES ? 0 : -EIO;
	http_server_kick(s);
	return r;
}

void http_server_get_counters(const struct http_server *s, struct http_counters *ret) {
	*ret = s->counters;
}
