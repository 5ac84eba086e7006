/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "libhelix/revdial-client.h"
#include "list.h"
#include "net/buffer.h"
#include "net/crypto.h"
#include "net/dial.h"
#include "net/tls.h"
#include "net/ws-connect.h"
#include "net/ws-stream.h"
#include "parse.h"
#include "proto/revdial.h"
#include "util.h"

/* Data connections at once; what is beyond is refused with pickup-failed. */
#define TUNNELS_MAX 128u
/* Per direction. */
#define TUNNEL_BUFFER (32 * 1024)
#define TOKEN_MAX     1024u
#define HOST_MAX      256u

struct revdial_client {
	sd_event *loop;
	char host[HOST_MAX];
	uint16_t port;
	struct tls_config *tls; // NULL: http
	char runner[REVDIAL_RUNNER_MAX + 1];
	char *token; // may be NULL
	char local_host[HOST_MAX];
	uint16_t local_port;
	revdial_changed_fn changed; // may be NULL
	void *data;

	struct ws_connect *connecting; // NULL: not now
	struct stream *control;        // NULL: not connected
	struct buffer in, out;         /* of the control connection */
	sd_event_source *timer;        /* reconnects, or pings and listens for silence */
	struct list tunnels;           // struct tunnel.link
	struct revdial_status status;
};

/* One direction of a data connection. */
struct half {
	struct buffer buffer;
	bool ended; /* its source */
};

/* A data connection: from being asked for until one of its sides ends. */
struct tunnel {
	struct list link; // revdial_client.tunnels
	struct revdial_client *client;
	char path[REVDIAL_PATH_MAX]; /* as it came */
	struct ws_connect *connecting;
	struct dial *dial;
	struct stream *remote, *local;
	struct half to_remote, to_local;
};

static void control_lost(struct revdial_client *c, int error);
static void control_send(struct revdial_client *c, const struct revdial_message *m);

static void tunnel_destroy(struct tunnel *t) {
	list_remove(&t->link);
	t->client->status.tunnels--;
	ws_connect_destroy(t->connecting);
	dial_destroy(t->dial);
	stream_destroy(t->remote);
	stream_destroy(t->local);
	buffer_finish(&t->to_remote.buffer);
	buffer_finish(&t->to_local.buffer);
	free(t);
}

static void report_failure(struct revdial_client *c, const char *path, const char *err) {
	struct revdial_message m = {.command = REVDIAL_PICKUP_FAILED};
	(void)snprintf(m.path, sizeof(m.path), "%s", path);
	(void)snprintf(m.err, sizeof(m.err), "%s", err);
	c->status.failures++;
	control_send(c, &m);
}

static void tunnel_fail(struct tunnel *t, const char *what, int error) {
	struct revdial_client *c = t->client;
	char path[REVDIAL_PATH_MAX], err[REVDIAL_ERR_MAX];
	(void)snprintf(path, sizeof(path), "%s", t->path);
	(void)snprintf(err, sizeof(err), "%s: %s", what, strerror(-error));
	tunnel_destroy(t);
	report_failure(c, path, err);
}

/* Moves what can be moved: 0 or -errno. */
static int pump(struct stream *from, struct half *half, struct stream *to) {
	struct buffer *b = &half->buffer;
	for (;;) {
		ssize_t got = -EAGAIN, sent = -EAGAIN;
		if (!half->ended && buffer_room(b) > 0) {
			uint8_t *end = buffer_end(b);
			got = stream_read(from, end, buffer_room(b));
			if (got < 0 && got != -EAGAIN) {
				return (int)got;
			}
			half->ended = got == 0;
			buffer_add(b, got > 0 ? (size_t)got : 0);
		}
		if (buffer_filled(b) > 0) {
			sent = stream_write(to, buffer_front(b), buffer_filled(b));
			if (sent < 0 && sent != -EAGAIN) {
				return (int)sent;
			}
			buffer_take(b, sent > 0 ? (size_t)sent : 0);
		}
		if (got <= 0 && sent <= 0) {
			return 0;
		}
	}
}

/* Its source has ended, and all that came from there is through. */
static bool half_is_done(const struct half *half, const struct stream *to) {
	return half->ended && buffer_filled(&half->buffer) == 0 && stream_unsent(to) == 0;
}

static void handle_tunnel(void *data) {
	struct tunnel *t = data;
	struct half *out = &t->to_remote, *in = &t->to_local;
	if (pump(t->local, out, t->remote) < 0 || pump(t->remote, in, t->local) < 0 ||
		half_is_done(out, t->remote) || half_is_done(in, t->local)) {
		tunnel_destroy(t);
		return;
	}
	(void)stream_want(t->local, !out->ended && buffer_room(&out->buffer) > 0,
		buffer_filled(&in->buffer) > 0 || stream_unsent(t->local) > 0);
	(void)stream_want(t->remote, !in->ended && buffer_room(&in->buffer) > 0,
		buffer_filled(&out->buffer) > 0 || stream_unsent(t->remote) > 0);
}

/* The local server is asked only now: a gateway that is gone costs it nothing. */
static void handle_local(void *data, int fd) {
	struct tunnel *t = data;
	t->dial = NULL;
	int r = fd >= 0 ? stream_create(t->client->loop, fd, &t->local) : fd;
	if (r < 0) {
		tunnel_fail(t, "cannot reach the local server", r);
		return;
	}
	stream_set_handler(t->local, handle_tunnel, t);
	stream_set_handler(t->remote, handle_tunnel, t);
	handle_tunnel(t);
}

static void handle_remote(void *data, struct stream *stream, int error) {
	struct tunnel *t = data;
	struct revdial_client *c = t->client;
	t->connecting = NULL;
	t->remote = stream;
	int r = error;
	if (r >= 0) {
		r = dial_create(c->loop, c->local_host, c->local_port, REVDIAL_LOCAL_MS,
			handle_local, t, &t->dial);
	}
	if (r < 0) {
		tunnel_fail(t, "cannot open a data connection", r);
	}
}

static int tunnel_create(struct revdial_client *c, const char *path) {
	char target_path[REVDIAL_PATH_MAX];
	int r = revdial_dial_path(path, target_path);
	if (r < 0) {
		return r;
	}
	if (c->status.tunnels >= TUNNELS_MAX) {
		return -EBUSY;
	}
	struct tunnel *t = calloc(1, sizeof(*t));
	if (!t) {
		return -ENOMEM;
	}
	t->client = c;
	list_append(&c->tunnels, &t->link);
	c->status.tunnels++;
	(void)snprintf(t->path, sizeof(t->path), "%s", path);
	struct ws_target target = {
		.host = c->host,
		.port = c->port,
		.tls = c->tls,
		.path = target_path,
		.bearer = c->token,
		.timeout_ms = REVDIAL_PICKUP_MS,
	};
	r = buffer_init(&t->to_remote.buffer, TUNNEL_BUFFER);
	if (r >= 0) {
		r = buffer_init(&t->to_local.buffer, TUNNEL_BUFFER);
	}
	if (r >= 0) {
		r = ws_connect_create(c->loop, &target, handle_remote, t, &t->connecting);
	}
	if (r < 0) {
		tunnel_destroy(t);
	}
	return r;
}

static void set_status(struct revdial_client *c, bool connected, int error) {
	if (c->status.connected == connected && c->status.error == error) {
		return;
	}
	c->status.connected = connected;
	c->status.error = error;
	if (c->changed) {
		c->changed(c->data, &c->status);
	}
}

static void set_timer(struct revdial_client *c, unsigned ms) {
	(void)sd_event_source_set_time_relative(c->timer, ms * UINT64_C(1000));
	(void)sd_event_source_set_enabled(c->timer, SD_EVENT_ONESHOT);
}

static void control_lost(struct revdial_client *c, int error) {
	uint8_t jitter = 0;
	stream_destroy(c->control);
	c->control = NULL;
	buffer_take(&c->in, buffer_filled(&c->in));
	buffer_take(&c->out, buffer_filled(&c->out));
	/* 1 to 1.5 s: not all of a machine's desktops in the same moment. */
	(void)random_bytes(&jitter, sizeof(jitter));
	set_timer(c, REVDIAL_RECONNECT_MS + jitter * 2u);
	set_status(c, false, error);
}

static int control_flush(struct revdial_client *c) {
	while (buffer_filled(&c->out) > 0) {
		ssize_t n = stream_write(c->control, buffer_front(&c->out), buffer_filled(&c->out));
		if (n < 0) {
			return n == -EAGAIN ? 0 : (int)n;
		}
		buffer_take(&c->out, (size_t)n);
	}
	return 0;
}

/* What does not fit, or cannot be sent, is lost: the gateway's own time limit stands in for it. */
static void control_send(struct revdial_client *c, const struct revdial_message *m) {
	char line[REVDIAL_LINE_MAX];
	ssize_t n = revdial_encode(line, sizeof(line), m);
	if (n > 0 && c->control && buffer_put(&c->out, line, (size_t)n) == 0) {
		(void)stream_want(c->control, true, true);
	}
}

static void take_message(struct revdial_client *c, const struct revdial_message *m) {
	if (m->command != REVDIAL_CONN_READY) {
		return;
	}
	c->status.dials++;
	int r = tunnel_create(c, m->path);
	if (r < 0) {
		report_failure(c, m->path, strerror(-r));
	}
}

/* Reads and handles lines until there are no more: 0 or -errno. */
static int control_read(struct revdial_client *c) {
	for (;;) {
		struct revdial_message m;
		ssize_t n = revdial_decode(
			(const char *)buffer_front(&c->in), buffer_filled(&c->in), &m);
		if (n < 0) {
			return (int)n;
		}
		if (n > 0) {
			buffer_take(&c->in, (size_t)n);
			take_message(c, &m);
			continue;
		}
		uint8_t *end = buffer_end(&c->in);
		n = stream_read(c->control, end, buffer_room(&c->in));
		if (n <= 0) {
			return n == 0 ? -ECONNRESET : n == -EAGAIN ? 0 : (int)n;
		}
		buffer_add(&c->in, (size_t)n);
	}
}

static void handle_control(void *data) {
	struct revdial_client *c = data;
	int r = control_read(c);
	if (r >= 0) {
		r = control_flush(c);
	}
	if (r < 0) {
		control_lost(c, r);
		return;
	}
	(void)stream_want(c->control, true, buffer_filled(&c->out) > 0);
}

static void handle_connected(void *data, struct stream *stream, int error) {
	struct revdial_client *c = data;
	c->connecting = NULL;
	if (!stream) {
		control_lost(c, error);
		return;
	}
	c->control = stream;
	c->status.connects++;
	stream_set_handler(stream, handle_control, c);
	set_timer(c, REVDIAL_PING_MS);
	set_status(c, true, 0);
	(void)stream_want(stream, true, false);
}

static void connect_control(struct revdial_client *c) {
	char path[sizeof(REVDIAL_PATH) + sizeof(c->runner) + 16];
	(void)snprintf(path, sizeof(path), REVDIAL_PATH "?runnerid=%s", c->runner);
	struct ws_target target = {
		.host = c->host,
		.port = c->port,
		.tls = c->tls,
		.path = path,
		.bearer = c->token,
		.timeout_ms = REVDIAL_HANDSHAKE_MS,
	};
	int r = ws_connect_create(c->loop, &target, handle_connected, c, &c->connecting);
	if (r < 0) {
		control_lost(c, r);
	}
}

static int handle_timer(sd_event_source *source, uint64_t usec, void *data) {
	struct revdial_client *c = data;
	if (!c->control) {
		connect_control(c);
	} else if (now_ns() - ws_stream_heard_ns(c->control) > REVDIAL_SILENCE_MS * NSEC_PER_MSEC) {
		control_lost(c, -ETIMEDOUT);
	} else {
		(void)ws_stream_ping(c->control);
		set_timer(c, REVDIAL_PING_MS);
	}
	return 0;
}

/* http(s)://HOST[:PORT][/…] */
static int parse_url(struct revdial_client *c, const char *url, bool *ret_tls) {
	char authority[HOST_MAX + 8];
	*ret_tls = strncmp(url, "https://", 8) == 0 || strncmp(url, "wss://", 6) == 0;
	const char *host = strstr(url, "://");
	if (!host || (!*ret_tls && strncmp(url, "http://", 7) && strncmp(url, "ws://", 5))) {
		return -EINVAL;
	}
	host += 3;
	size_t n = strcspn(host, "/?#");
	const char *colon = memrchr(host, ':', n);
	bool port = colon && !memchr(colon, ']', n - (size_t)(colon - host));
	if (n == 0 || memchr(host, '@', n) ||
		snprintf(authority, sizeof(authority), "%.*s%s", (int)n, host,
			port               ? ""
				: *ret_tls ? ":443"
					   : ":80") >= (int)sizeof(authority)) {
		return -EINVAL;
	}
	return parse_host_port(authority, c->host, sizeof(c->host), &c->port);
}

/* It becomes part of a request's head. */
static bool token_is_valid(const char *token) {
	size_t n = strnlen(token, TOKEN_MAX + 1);
	for (size_t i = 0; i < n; i++) {
		if (token[i] <= ' ' || token[i] == 0x7f) {
			return false;
		}
	}
	return n > 0 && n <= TOKEN_MAX;
}

static int configure(struct revdial_client *c, const struct revdial_config *config) {
	bool tls;
	(void)snprintf(c->runner, sizeof(c->runner), REVDIAL_RUNNER_PREFIX "%s", config->session);
	(void)snprintf(c->local_host, sizeof(c->local_host), "%s",
		config->local_host ? config->local_host : "127.0.0.1");
	c->local_port = config->local_port;
	if (strlen(config->session) >= sizeof(c->runner) - strlen(REVDIAL_RUNNER_PREFIX) ||
		!revdial_runner_is_valid(c->runner) ||
		(config->token && !token_is_valid(config->token))) {
		return -EINVAL;
	}
	c->token = config->token ? strdup(config->token) : NULL;
	if (config->token && !c->token) {
		return -ENOMEM;
	}
	int r = parse_url(c, config->url, &tls);
	if (r >= 0 && tls) {
		r = tls_config_create_client(config->ca_file, !config->insecure, &c->tls);
	}
	return r;
}

int revdial_client_create(sd_event *loop, const struct revdial_config *config,
	revdial_changed_fn changed, void *data, struct revdial_client **ret) {
	struct revdial_client *c = calloc(1, sizeof(*c));
	if (!c) {
		return -ENOMEM;
	}
	c->loop = sd_event_ref(loop);
	c->changed = changed;
	c->data = data;
	list_init(&c->tunnels);
	int r = configure(c, config);
	if (r >= 0) {
		r = buffer_init(&c->in, REVDIAL_LINE_MAX);
	}
	if (r >= 0) {
		r = buffer_init(&c->out, 2 * REVDIAL_LINE_MAX);
	}
	if (r >= 0) {
		/* At once, but not from within this call. */
		r = sd_event_add_time_relative(
			loop, &c->timer, CLOCK_MONOTONIC, 0, 1000, handle_timer, c);
	}
	if (r < 0) {
		revdial_client_destroy(c);
		return r;
	}
	*ret = c;
	return 0;
}

void revdial_client_destroy(struct revdial_client *c) {
	if (!c) {
		return;
	}
	while (!list_empty(&c->tunnels)) {
		tunnel_destroy(list_first(&c->tunnels, struct tunnel, link));
	}
	sd_event_source_disable_unref(c->timer);
	ws_connect_destroy(c->connecting);
	stream_destroy(c->control);
	buffer_finish(&c->in);
	buffer_finish(&c->out);
	tls_config_destroy(c->tls);
	free(c->token);
	sd_event_unref(c->loop);
	free(c);
}

void revdial_client_status(const struct revdial_client *c, struct revdial_status *ret) {
	*ret = c->status;
}
