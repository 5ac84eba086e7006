/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <wslay/wslay.h>

#include "util.h"
#include "ws-conn.h"

/* Small messages that wait; beyond it the peer is not taking what it is sent. */
#define CONTROL_MAX (256u * 1024)
/* Read in one go, so that one peer's flood does not keep the others waiting. */
#define READ_BUDGET (64u * 1024)
/* Bytes that the kernel may hold unsent: what it hides from our queues. */
#define TCP_UNSENT_MAX (16 * 1024)
#define TCP_GIVE_UP_MS 30000
#define CLOSE_WAIT_US  (2 * UINT64_C(1000000))
#define FRAME_HEAD_MAX 10u

struct ws_conn {
	const struct ws_conn_handler *handler;
	void *data;
	struct ws_socket socket;
	wslay_event_context_ptr wslay;
	sd_event_source *io;
	sd_event_source *timer;  /* a limit on closing */
	sd_event_source *ending; /* calls `closed` */
	bool closing, dead;
	bool busy;      /* in receive or flush, which are not entered twice */
	bool peer_gone; /* it sent all that it will */
	bool broken;    /* it sent what is no frame: wslay is done with */

	uint8_t *early;
	size_t early_size, early_at;
	size_t read_left; /* of the budget */

	uint8_t *control; /* frames, ready to go */
	size_t control_at, control_size, control_capacity;

	bool has_bulk;
	bool next_is_bulk; /* what was sent last wants it so */
	struct ws_bulk bulk;
	uint8_t frame_head[FRAME_HEAD_MAX];
	size_t frame_head_size, bulk_done;

	bool blocked;
	uint64_t progress_ns, sent_bytes;
};

static void end(struct ws_conn *c) {
	if (c->dead) {
		return;
	}
	c->dead = true;
	(void)sd_event_source_set_enabled(c->io, SD_EVENT_OFF);
	(void)sd_event_source_set_enabled(c->timer, SD_EVENT_OFF);
	(void)sd_event_source_set_enabled(c->ending, SD_EVENT_ONESHOT);
}

static ssize_t handle_wslay_recv(
	wslay_event_context_ptr ctx, uint8_t *buf, size_t len, int flags, void *data) {
	struct ws_conn *c = data;
	if (c->early_at < c->early_size) {
		size_t n = MIN(len, c->early_size - c->early_at);
		memcpy(buf, c->early + c->early_at, n);
		c->early_at += n;
		return (ssize_t)n;
	}
	if (c->read_left == 0) {
		wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
		return -1;
	}
	ssize_t n;
	do {
		n = recv(c->socket.fd, buf, MIN(len, c->read_left), MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n > 0) {
		c->read_left -= (size_t)n;
		return n;
	}
	bool again = n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
	c->peer_gone = !again;
	wslay_event_set_error(ctx, again ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
	return -1;
}

static bool reserve(struct ws_conn *c, size_t n) {
	if (c->control_at > 0 && c->control_at == c->control_size) {
		c->control_at = c->control_size = 0;
	}
	if (c->control_size + n > c->control_capacity && c->control_at > 0) {
		c->control_size -= c->control_at;
		memmove(c->control, c->control + c->control_at, c->control_size);
		c->control_at = 0;
	}
	if (c->control_size + n <= c->control_capacity) {
		return true;
	}
	size_t capacity = MAX(c->control_capacity, 256u);
	while (capacity < c->control_size + n) {
		capacity *= 2;
	}
	uint8_t *p = realloc(c->control, capacity);
	if (p) {
		c->control = p;
		c->control_capacity = capacity;
	}
	return p != NULL;
}

static ssize_t handle_wslay_send(
	wslay_event_context_ptr ctx, const uint8_t *buf, size_t len, int flags, void *data) {
	struct ws_conn *c = data;
	/* Twice: answers of wslay's own (pong, close) come on top of what was let in. */
	if (c->control_size - c->control_at + len > 2 * CONTROL_MAX || !reserve(c, len)) {
		wslay_event_set_error(ctx, WSLAY_ERR_CALLBACK_FAILURE);
		return -1;
	}
	memcpy(c->control + c->control_size, buf, len);
	c->control_size += len;
	return (ssize_t)len;
}

static void handle_wslay_message(
	wslay_event_context_ptr ctx, const struct wslay_event_on_msg_recv_arg *arg, void *data) {
	struct ws_conn *c = data;
	if (c->dead || c->closing) {
		return;
	}
	if (arg->opcode == WSLAY_PONG) {
		c->handler->pong(c->data);
	} else if (!wslay_is_ctrl_frame(arg->opcode)) {
		c->handler->message(
			arg->opcode == WSLAY_TEXT_FRAME, arg->msg, arg->msg_length, c->data);
	}
}

/* Frames of a server are not masked (RFC 6455, 5.2). */
static void make_frame_head(struct ws_conn *c, uint64_t size) {
	uint8_t *p = c->frame_head;
	*p++ = 0x80 | WSLAY_BINARY_FRAME;
	if (size < 126) {
		*p++ = (uint8_t)size;
	} else {
		unsigned bytes = size <= UINT16_MAX ? 2 : 8;
		*p++ = bytes == 2 ? 126 : 127;
		while (bytes-- > 0) {
			*p++ = (uint8_t)(size >> (8 * bytes));
		}
	}
	c->frame_head_size = (size_t)(p - c->frame_head);
	c->bulk_done = 0;
}

static void drop_bulk(struct ws_conn *c) {
	if (c->has_bulk) {
		c->has_bulk = false;
		if (c->handler->pulled) {
			c->handler->pulled(c->data);
		}
	}
}

/* Appends the part of [p, p + size) that is beyond `*skip` bytes. */
static void add_part(struct iovec *iov, size_t *n, size_t *skip, const uint8_t *p, size_t size) {
	size_t cut = MIN(*skip, size);
	*skip -= cut;
	if (size > cut) {
		iov[(*n)++] = (struct iovec){(void *)(uintptr_t)(p + cut), size - cut};
	}
}

/* 0, or -errno of the socket; one frame is never torn apart by another. */
static int send_some(struct ws_conn *c) {
	struct iovec iov[3];
	size_t n = 0;
	bool bulk = c->has_bulk &&
		(c->bulk_done > 0 || c->next_is_bulk || c->control_at == c->control_size);
	if (bulk) {
		size_t skip = c->bulk_done;
		add_part(iov, &n, &skip, c->frame_head, c->frame_head_size);
		add_part(iov, &n, &skip, c->bulk.head, c->bulk.head_size);
		add_part(iov, &n, &skip, c->bulk.body, c->bulk.body_size);
	} else {
		size_t skip = c->control_at;
		add_part(iov, &n, &skip, c->control, c->control_size);
	}
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = n};
	ssize_t sent = sendmsg(c->socket.fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent < 0) {
		return errno == EINTR ? 0 : -errno;
	}
	c->progress_ns = now_ns();
	c->sent_bytes += (uint64_t)sent;
	if (!bulk) {
		c->control_at += (size_t)sent;
		return 0;
	}
	c->bulk_done += (size_t)sent;
	if (c->bulk_done == c->frame_head_size + c->bulk.head_size + c->bulk.body_size) {
		c->next_is_bulk = c->bulk.more;
		drop_bulk(c);
	}
	return 0;
}

static bool pull(struct ws_conn *c) {
	if (c->closing || !c->handler->pull || !c->handler->pull(&c->bulk, c->data)) {
		c->next_is_bulk = false;
		return false;
	}
	c->has_bulk = true;
	make_frame_head(c, c->bulk.head_size + c->bulk.body_size);
	return true;
}

static bool has_output(struct ws_conn *c) {
	if (!c->broken && wslay_event_want_write(c->wslay) && wslay_event_send(c->wslay) != 0) {
		end(c);
		return false;
	}
	/* Behind a close frame there are no data (RFC 6455, 5.5.1). */
	if (c->closing && c->bulk_done == 0) {
		drop_bulk(c);
	}
	return c->has_bulk || (c->next_is_bulk && pull(c)) || c->control_at < c->control_size ||
		pull(c);
}

static void watch(struct ws_conn *c) {
	bool reads = !c->broken && !c->peer_gone && wslay_event_get_read_enabled(c->wslay);
	/* Who is not read from any more may still be seen to leave. */
	uint32_t events = reads ? EPOLLIN : EPOLLRDHUP;
	(void)sd_event_source_set_io_events(c->io, events | (c->blocked ? EPOLLOUT : 0));
}

static void flush(struct ws_conn *c) {
	int r = 0;
	if (c->dead || c->busy) {
		return;
	}
	c->busy = true;
	while (r == 0 && has_output(c)) {
		r = send_some(c);
	}
	c->busy = false;
	c->blocked = r == -EAGAIN;
	if (c->dead) {
		return;
	}
	if (r < 0 && r != -EAGAIN) {
		end(c);
		return;
	}
	/* Both sides said close, or the peer will say no more: that was all. */
	if (!c->blocked &&
		(c->peer_gone ||
			(wslay_event_get_close_sent(c->wslay) &&
				wslay_event_get_close_received(c->wslay)))) {
		(void)shutdown(c->socket.fd, SHUT_WR);
		end(c);
		return;
	}
	watch(c);
}

/* Whatever makes wslay send a close frame starts the limit on closing. */
static void limit_closing(struct ws_conn *c) {
	c->closing = true;
	(void)sd_event_source_set_time_relative(c->timer, CLOSE_WAIT_US);
	(void)sd_event_source_set_enabled(c->timer, SD_EVENT_ONESHOT);
}

/* wslay knows no code for what is no frame at all, so this close frame is ours. */
static void refuse(struct ws_conn *c) {
	static const uint8_t close_1002[] = {0x88, 2, 0x03, 0xEA};
	c->broken = true;
	if (!reserve(c, sizeof(close_1002))) {
		end(c);
		return;
	}
	memcpy(c->control + c->control_size, close_1002, sizeof(close_1002));
	c->control_size += sizeof(close_1002);
	limit_closing(c);
	flush(c);
}

static void receive(struct ws_conn *c) {
	c->read_left = READ_BUDGET;
	c->busy = true;
	int r = wslay_event_recv(c->wslay);
	c->busy = false;
	if (c->dead) {
		return;
	}
	if (c->peer_gone) {
		end(c);
		return;
	}
	if (r != 0) {
		refuse(c);
		return;
	}
	if (!wslay_event_get_read_enabled(c->wslay) && !c->closing) {
		limit_closing(c);
	}
	flush(c);
}

static int handle_io(sd_event_source *source, int fd, uint32_t revents, void *data) {
	struct ws_conn *c = data;
	if (revents & (EPOLLIN | EPOLLHUP | EPOLLERR) || c->early_at < c->early_size) {
		receive(c);
	}
	if (revents & EPOLLOUT) {
		flush(c);
	}
	if (!c->dead && (revents & (EPOLLHUP | EPOLLRDHUP | EPOLLERR))) {
		end(c);
	}
	return 0;
}

static int handle_timer(sd_event_source *source, uint64_t usec, void *data) {
	end(data);
	return 0;
}

static int handle_ending(sd_event_source *source, void *data) {
	struct ws_conn *c = data;
	drop_bulk(c);
	c->handler->closed(c->data);
	return 0;
}

static void set_socket_options(int fd) {
	static const struct {
		int level, name, value;
	} options[] = {
		{IPPROTO_TCP, TCP_NODELAY, 1},
		{IPPROTO_TCP, TCP_NOTSENT_LOWAT, TCP_UNSENT_MAX},
		{IPPROTO_TCP, TCP_USER_TIMEOUT, TCP_GIVE_UP_MS},
		{SOL_SOCKET, SO_KEEPALIVE, 1},
	};
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		/* Each is an improvement only, and a Unix socket has none of TCP's. */
		(void)setsockopt(fd, options[i].level, options[i].name, &options[i].value,
			sizeof(options[i].value));
	}
}

static int add_sources(struct ws_conn *c, sd_event *loop) {
	int r = sd_event_add_io(loop, &c->io, c->socket.fd, EPOLLIN, handle_io, c);
	if (r >= 0) {
		r = sd_event_add_time(loop, &c->timer, CLOCK_MONOTONIC, 0, 0, handle_timer, c);
	}
	if (r >= 0) {
		r = sd_event_source_set_enabled(c->timer, SD_EVENT_OFF);
	}
	if (r >= 0) {
		r = sd_event_add_defer(loop, &c->ending, handle_ending, c);
	}
	if (r >= 0) {
		r = sd_event_source_set_enabled(c->ending, SD_EVENT_OFF);
	}
	return r;
}

static int take_early(struct ws_conn *c, const uint8_t *early, size_t size) {
	if (size == 0) {
		return 0;
	}
	c->early = malloc(size);
	if (!c->early) {
		return -ENOMEM;
	}
	memcpy(c->early, early, size);
	c->early_size = size;
	/* No event will tell of these bytes: look at once. */
	return sd_event_source_set_io_events(c->io, EPOLLIN | EPOLLOUT);
}

int ws_conn_create(sd_event *loop, const struct ws_socket *socket, const uint8_t *early,
	size_t early_size, size_t message_max, const struct ws_conn_handler *handler, void *data,
	struct ws_conn **ret) {
	static const struct wslay_event_callbacks callbacks = {
		.recv_callback = handle_wslay_recv,
		.send_callback = handle_wslay_send,
		.on_msg_recv_callback = handle_wslay_message,
	};
	struct ws_conn *c = calloc(1, sizeof(*c));
	if (!c) {
		socket->release(socket->data);
		return -ENOMEM;
	}
	c->handler = handler;
	c->data = data;
	c->socket = *socket;
	c->progress_ns = now_ns();
	set_socket_options(socket->fd);
	int r = wslay_event_context_server_init(&c->wslay, &callbacks, c) == 0 ? 0 : -ENOMEM;
	if (r == 0) {
		wslay_event_config_set_max_recv_msg_length(c->wslay, message_max);
		r = add_sources(c, loop);
	}
	if (r >= 0) {
		r = take_early(c, early, early_size);
	}
	if (r < 0) {
		ws_conn_destroy(c);
		return r;
	}
	*ret = c;
	return 0;
}

void ws_conn_destroy(struct ws_conn *c) {
	if (!c) {
		return;
	}
	sd_event_source_disable_unref(c->io);
	sd_event_source_disable_unref(c->timer);
	sd_event_source_disable_unref(c->ending);
	if (c->wslay) {
		wslay_event_context_free(c->wslay);
	}
	c->socket.release(c->socket.data);
	free(c->early);
	free(c->control);
	free(c);
}

static int queue(struct ws_conn *c, uint8_t opcode, const uint8_t *data, size_t size) {
	struct wslay_event_msg msg = {.opcode = opcode, .msg = data, .msg_length = size};
	if (c->dead || c->closing) {
		return -ENOTCONN;
	}
	if (c->control_size - c->control_at + size > CONTROL_MAX) {
		return -ENOBUFS;
	}
	int r = wslay_event_queue_msg(c->wslay, &msg);
	if (r != 0) {
		return r == WSLAY_ERR_NOMEM ? -ENOMEM : -ENOTCONN;
	}
	flush(c);
	return 0;
}

int ws_conn_send_binary(struct ws_conn *c, const uint8_t *data, size_t size) {
	return queue(c, WSLAY_BINARY_FRAME, data, size);
}

int ws_conn_send_text(struct ws_conn *c, const char *text) {
	return queue(c, WSLAY_TEXT_FRAME, (const uint8_t *)text, strlen(text));
}

void ws_conn_send_ping(struct ws_conn *c) {
	(void)queue(c, WSLAY_PING, NULL, 0);
}

void ws_conn_kick(struct ws_conn *c) {
	if (!c->blocked) {
		flush(c);
	}
}

void ws_conn_close(struct ws_conn *c, uint16_t code, const char *reason) {
	if (c->dead || c->closing) {
		return;
	}
	(void)wslay_event_queue_close(c->wslay, code, (const uint8_t *)reason, strlen(reason));
	limit_closing(c);
	flush(c);
}

void ws_conn_abort(struct ws_conn *c) {
	end(c);
}

uint64_t ws_conn_progress_ns(const struct ws_conn *c) {
	return c->progress_ns;
}

bool ws_conn_blocked(const struct ws_conn *c) {
	return c->blocked;
}

uint64_t ws_conn_sent_bytes(const struct ws_conn *c) {
	return c->sent_bytes;
}

int ws_conn_fd(const struct ws_conn *c) {
	return c->socket.fd;
}
