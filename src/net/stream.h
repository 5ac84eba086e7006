/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A stream of bytes both ways that never waits: a socket, a socket with TLS, or (ws-stream.h) the
 * payload of a WebSocket connection over one of those. Whoever reads or writes one need not know
 * which.
 *
 * A stream has one owner at a time, who sets the handler. The handler is called while what was
 * wanted seems possible (level-triggered). It tries all that it wants, reading before writing, and
 * may destroy the stream, but only as its last act.
 */
#ifndef HELIX_NET_STREAM_H
#define HELIX_NET_STREAM_H

#include <systemd/sd-event.h>

#include "util.h"

struct stream;
struct tls_config;

typedef void (*stream_ready_fn)(void *data);
typedef void (*stream_gone_fn)(void *data);

struct stream_ops {
	ssize_t (*read)(struct stream *s, void *p, size_t n);
	ssize_t (*write)(struct stream *s, const void *p, size_t n);
	int (*want)(struct stream *s, bool in, bool out);
	size_t (*unsent)(const struct stream *s); // may be NULL
	void (*destroy)(struct stream *s);
};

/* The part that all kinds begin with. */
struct stream {
	const struct stream_ops *ops;
	stream_ready_fn ready;
	void *data;
	stream_gone_fn gone; // may be NULL
	void *gone_data;
};

/* Consumes `fd`, a non-blocking connected socket, also on failure. */
int stream_create(sd_event *loop, int fd, struct stream **ret);
/*
 * The same with TLS, which shakes hands as a part of the first reads and writes. `host` is what the
 * server's certificate must be for; NULL makes this the server.
 */
int stream_create_tls(sd_event *loop, int fd, const struct tls_config *tls, const char *host,
	struct stream **ret);
void stream_destroy(struct stream *s);

static inline void stream_set_handler(struct stream *s, stream_ready_fn ready, void *data) {
	s->ready = ready;
	s->data = data;
}

/* Called when the stream is destroyed, whoever owns it by then: for accounting. */
static inline void stream_on_gone(struct stream *s, stream_gone_fn gone, void *data) {
	s->gone = gone;
	s->gone_data = data;
}

/* Bytes read; 0 at the end; -EAGAIN; -errno. */
static inline ssize_t stream_read(struct stream *s, void *p, size_t n) {
	return s->ops->read(s, p, n);
}

/*
 * Bytes taken, -EAGAIN, or -errno. After -EAGAIN the next write must begin with the same bytes (TLS
 * may have encrypted them already).
 */
static inline ssize_t stream_write(struct stream *s, const void *p, size_t n) {
	return s->ops->write(s, p, n);
}

/* What the handler is called for. Nothing at first. */
static inline int stream_want(struct stream *s, bool in, bool out) {
	return s->ops->want(s, in, out);
}

/*
 * Bytes that a write took and the kernel has not: lost if the stream is destroyed now. While there are
 * some, want output; they go by themselves.
 */
static inline size_t stream_unsent(const struct stream *s) {
	return s->ops->unsent ? s->ops->unsent(s) : 0;
}

/* For connections that carry pictures: small kernel buffers, keepalive, an end to dead peers. */
void stream_set_tcp_options(int fd);

#endif
