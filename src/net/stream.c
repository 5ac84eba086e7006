/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "net/stream.h"
#include "net/tls.h"

/* A peer that takes nothing, or does not answer keepalive probes, for so long is gone. */
#define TCP_GIVE_UP_MS      30000
#define TCP_KEEPALIVE_IDLE  15 /* seconds */
#define TCP_KEEPALIVE_EVERY 5
#define TCP_KEEPALIVE_COUNT 3
/* Bytes the kernel may hold unsent, hidden from whoever decides what to drop. */
#define TCP_UNSENT_MAX (16 * 1024)

struct socket_stream {
	struct stream base;
	int fd;
	sd_event_source *io;
	sd_event_source *pending; /* bytes that TLS holds already: no event will tell of them */
	struct tls_session *tls;  // NULL without
	bool want_in, want_out;
	/* What a read and a write wait for: while TLS shakes hands, each may need the other. */
	uint32_t read_event, write_event;
	bool tls_ready; /* as of the last call into TLS */
};

static struct socket_stream *socket_of(struct stream *s) {
	return container_of(s, struct socket_stream, base);
}

static void set_option(int fd, int level, int name, int value) {
	/* Each is an improvement only, and none of them exists for a Unix socket. */
	(void)setsockopt(fd, level, name, &value, sizeof(value));
}

void stream_set_tcp_options(int fd) {
	set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set_option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, TCP_UNSENT_MAX);
	set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, TCP_KEEPALIVE_IDLE);
	set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, TCP_KEEPALIVE_EVERY);
	set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, TCP_KEEPALIVE_COUNT);
	set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, TCP_GIVE_UP_MS);
}

static int update_events(struct socket_stream *s) {
	uint32_t events = 0;
	if (s->want_in) {
		events |= s->read_event;
	}
	if (s->want_out) {
		events |= s->write_event;
	}
	bool waiting = s->want_in && s->tls && tls_session_pending(s->tls);
	(void)sd_event_source_set_enabled(s->pending, waiting ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
	/*
	 * With no events at all epoll still reports errors, again and again: an owner who wants
	 * nothing for now would be called for nothing.
	 */
	int r = events ? sd_event_source_set_io_events(s->io, events) : 0;
	return r < 0 ? r : sd_event_source_set_enabled(s->io, events ? SD_EVENT_ON : SD_EVENT_OFF);
}

/*
 * After a call into TLS: what the next one of its kind has to wait for. While hands are shaken, reads
 * and writes wait for the same, whichever of them was called; once they are, each waits for its own, even
 * if it was not the one that ended the handshake: the other end may have nothing to say until it is
 * written to.
 */
static void note_tls(struct socket_stream *s, ssize_t r, uint32_t *event) {
	uint32_t read_event = s->read_event, write_event = s->write_event;
	uint32_t awaited = tls_session_wants_write(s->tls) ? EPOLLOUT : EPOLLIN;
	bool ready = tls_session_ready(s->tls);
	if (r != -EAGAIN || (ready && !s->tls_ready)) {
		s->read_event = EPOLLIN;
		s->write_event = EPOLLOUT;
	}
	if (r == -EAGAIN && !ready) {
		s->read_event = s->write_event = awaited;
	} else if (r == -EAGAIN) {
		*event = awaited;
	}
	s->tls_ready = ready;
	if (read_event != s->read_event || write_event != s->write_event ||
		(s->want_in && tls_session_pending(s->tls))) {
		(void)update_events(s);
	}
}

static ssize_t socket_read(struct stream *base, void *p, size_t n) {
	struct socket_stream *s = socket_of(base);
	ssize_t got;
	if (s->tls) {
		got = tls_session_read(s->tls, p, n);
		note_tls(s, got, &s->read_event);
		return got;
	}
	got = recv(s->fd, p, n, 0);
	return got < 0 ? (errno == EINTR ? -EAGAIN : -errno) : got;
}

static ssize_t socket_write(struct stream *base, const void *p, size_t n) {
	struct socket_stream *s = socket_of(base);
	ssize_t sent;
	if (s->tls) {
		sent = tls_session_write(s->tls, p, n);
		note_tls(s, sent, &s->write_event);
		return sent;
	}
	sent = send(s->fd, p, n, MSG_NOSIGNAL);
	return sent < 0 ? (errno == EINTR ? -EAGAIN : -errno) : sent;
}

static int socket_want(struct stream *base, bool in, bool out) {
	struct socket_stream *s = socket_of(base);
	if (s->want_in == in && s->want_out == out) {
		return 0;
	}
	s->want_in = in;
	s->want_out = out;
	return update_events(s);
}

static void socket_destroy(struct stream *base) {
	struct socket_stream *s = socket_of(base);
	tls_session_destroy(s->tls);
	sd_event_source_disable_unref(s->io);
	sd_event_source_disable_unref(s->pending);
	(void)close_fd(s->fd);
	free(s);
}

static const struct stream_ops socket_ops = {
	.read = socket_read,
	.write = socket_write,
	.want = socket_want,
	.destroy = socket_destroy,
};

static int handle_io(sd_event_source *source, int fd, uint32_t events, void *data) {
	struct socket_stream *s = data;
	s->base.ready(s->base.data);
	return 0;
}

static int handle_pending(sd_event_source *source, void *data) {
	struct socket_stream *s = data;
	s->base.ready(s->base.data);
	return 0;
}

static int create(sd_event *loop, int fd, struct socket_stream **ret) {
	struct socket_stream *s = calloc(1, sizeof(*s));
	if (!s) {
		(void)close_fd(fd);
		return -ENOMEM;
	}
	s->base.ops = &socket_ops;
	s->fd = fd;
	s->read_event = EPOLLIN;
	s->write_event = EPOLLOUT;
	int r = sd_event_add_io(loop, &s->io, fd, EPOLLIN, handle_io, s);
	if (r >= 0) {
		r = sd_event_source_set_enabled(s->io, SD_EVENT_OFF);
	}
	if (r >= 0) {
		r = sd_event_add_defer(loop, &s->pending, handle_pending, s);
	}
	if (r >= 0) {
		r = sd_event_source_set_enabled(s->pending, SD_EVENT_OFF);
	}
	if (r < 0) {
		socket_destroy(&s->base);
		return r;
	}
	*ret = s;
	return 0;
}

int stream_create(sd_event *loop, int fd, struct stream **ret) {
	struct socket_stream *s;
	int r = create(loop, fd, &s);
	if (r >= 0) {
		*ret = &s->base;
	}
	return r;
}

int stream_create_tls(sd_event *loop, int fd, const struct tls_config *tls, const char *host,
	struct stream **ret) {
	struct socket_stream *s;
	int r = create(loop, fd, &s);
	if (r < 0) {
		return r;
	}
	r = tls_session_create(tls, fd, host, &s->tls);
	if (r < 0) {
		socket_destroy(&s->base);
		return r;
	}
	*ret = &s->base;
	return 0;
}

void stream_destroy(struct stream *s) {
	if (!s) {
		return;
	}
	stream_gone_fn gone = s->gone;
	void *gone_data = s->gone_data;
	s->ops->destroy(s);
	if (gone) {
		gone(gone_data);
	}
}
