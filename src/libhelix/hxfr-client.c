/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <helix/hxfr-client.h>

#include "proto/hxfr.h"
#include "util.h"

/* Requests that the server has not yet taken; each is below 100 bytes. */
#define OUT_MAX 16384u
/* Received in one go; larger messages make the buffer grow. */
#define IN_MIN (256u * 1024)
/* The reference server drops a client after 60 s of silence; section 5 of the protocol page. */
#define PING_EVERY_US (15 * UINT64_C(1000000))

struct hxfr_client {
	sd_event *loop;
	const struct hxfr_client_handler *handler;
	void *data;
	int fd;
	sd_event_source *io;
	sd_event_source *timer; /* before the connection is up: its time limit; then pings */
	bool connecting;
	bool closed;
	int close_error;
	unsigned depth; /* handlers running */
	bool destroyed; /* to be freed when they have returned */

	uint8_t *in;
	size_t in_size, in_capacity;
	size_t read_budget;
	struct hxfr_flip_info flip; /* for the next frame */
	bool has_flip;

	uint8_t out[OUT_MAX];
	size_t out_size;
};

static void watch_socket(struct hxfr_client *c) {
	uint32_t events = 0;
	if (!c->connecting && c->read_budget > 0) {
		events |= EPOLLIN;
	}
	if (c->connecting || c->out_size > 0) {
		events |= EPOLLOUT;
	}
	(void)sd_event_source_set_io_events(c->io, events);
}

static void release(struct hxfr_client *c) {
	sd_event_source_disable_unref(c->io);
	sd_event_source_disable_unref(c->timer);
	(void)close_fd(c->fd);
	sd_event_unref(c->loop);
	free(c->in);
	free(c);
}

/* Brackets everything that may call handlers. */
static void enter(struct hxfr_client *c) {
	c->depth++;
}

static void leave(struct hxfr_client *c) {
	if (--c->depth == 0 && c->destroyed) {
		release(c);
	}
}

static void end_connection(struct hxfr_client *c, int error) {
	if (c->closed || c->destroyed) {
		return;
	}
	c->closed = true;
	c->close_error = error;
	c->io = sd_event_source_disable_unref(c->io);
	c->timer = sd_event_source_disable_unref(c->timer);
	c->fd = close_fd(c->fd);
	if (c->handler->closed) {
		c->handler->closed(error, c->data);
	}
}

static void flush(struct hxfr_client *c) {
	while (c->out_size > 0) {
		ssize_t n = send(c->fd, c->out, c->out_size, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0) {
			if (errno == EINTR) {
				continue;
			}
			/* Other errors come up again when reading, after what is still to be read. */
			break;
		}
		c->out_size -= (size_t)n;
		memmove(c->out, c->out + n, c->out_size);
	}
	watch_socket(c);
}

/* Where the next message is encoded; `queued` then sends it. */
static uint8_t *out_end(struct hxfr_client *c, size_t *ret_left) {
	*ret_left = sizeof(c->out) - c->out_size;
	return c->out + c->out_size;
}

static int queued(struct hxfr_client *c, ssize_t n) {
	if (c->closed) {
		return -ENOTCONN;
	}
	if (n < 0) {
		return (int)n;
	}
	c->out_size += (size_t)n;
	if (!c->connecting) {
		flush(c);
	}
	return 0;
}

int hxfr_client_hello(struct hxfr_client *c, uint32_t features) {
	struct hxfr_hello msg = {.version = HXFR_EXTENSION_VERSION, .features = features};
	size_t left;
	uint8_t *p = out_end(c, &left);
	return queued(c, hxfr_encode_hello(p, left, &msg));
}

static int send_scanout_id(struct hxfr_client *c, enum hxfr_type type, uint32_t id) {
	size_t left;
	uint8_t *p = out_end(c, &left);
	return queued(c, hxfr_encode_scanout_id(p, left, type, (uint16_t)id, id));
}

int hxfr_client_subscribe(struct hxfr_client *c, uint32_t scanout_id) {
	return send_scanout_id(c, HXFR_SUBSCRIBE, scanout_id);
}

int hxfr_client_disable(struct hxfr_client *c, uint32_t scanout_id) {
	return send_scanout_id(c, HXFR_DISABLE_SCANOUT, scanout_id);
}

int hxfr_client_request_stats(struct hxfr_client *c, uint32_t scanout_id) {
	return send_scanout_id(c, HXFR_STATS_REQ, scanout_id);
}

int hxfr_client_enable(struct hxfr_client *c, const struct hxfr_enable_scanout *msg) {
	size_t left;
	uint8_t *p = out_end(c, &left);
	return queued(c, hxfr_encode_enable_scanout(p, left, (uint16_t)msg->scanout_id, msg));
}

int hxfr_client_authenticate(struct hxfr_client *c, const uint8_t key[HXFR_TOKEN_SIZE]) {
	size_t left;
	uint8_t *p = out_end(c, &left);
	return queued(c, hxfr_encode_authenticate(p, left, key));
}

int hxfr_client_enable_lease(struct hxfr_client *c, const struct hxfr_enable_lease *msg) {
	size_t left;
	uint8_t *p = out_end(c, &left);
	uint16_t session = (uint16_t)msg->scanout.scanout_id;
	return queued(c, hxfr_encode_enable_lease(p, left, session, msg));
}

int hxfr_client_show_token(
	struct hxfr_client *c, uint32_t scanout_id, const uint8_t token[HXFR_TOKEN_SIZE]) {
	struct hxfr_show_token msg = {.scanout_id = scanout_id};
	size_t left;
	uint8_t *p = out_end(c, &left);
	memcpy(msg.token, token, sizeof(msg.token));
	return queued(c, hxfr_encode_show_token(p, left, (uint16_t)scanout_id, &msg));
}

int hxfr_client_set_bitrate(struct hxfr_client *c, uint32_t bits_per_second) {
	struct hxfr_config_req msg = {
		.bitrate = bits_per_second,
		.framerate_num = 60,
		.framerate_den = 1,
		.profile = 66,
		.level = 40,
		.realtime = 1,
	};
	size_t left;
	uint8_t *p = out_end(c, &left);
	return queued(c, hxfr_encode_config_req(p, left, &msg));
}

static int send_empty(struct hxfr_client *c, enum hxfr_type type) {
	struct hxfr_header header = {.type = (uint8_t)type};
	size_t left;
	uint8_t *p = out_end(c, &left);
	return queued(c, hxfr_encode_header(p, left, &header));
}

int hxfr_client_request_keyframe(struct hxfr_client *c) {
	return send_empty(c, HXFR_KEYFRAME_REQ);
}

int hxfr_client_ping(struct hxfr_client *c) {
	return send_empty(c, HXFR_PING);
}

/*
 * The blobs of a frame, joined in place: one from all servers known, but the format allows more.
 * They must fill the payload exactly.
 */
static int join_blobs(uint8_t *p, size_t len, uint32_t count, size_t *ret_size) {
	uint8_t *to = p;
	size_t at = 0, size = 0;
	for (uint32_t i = 0; i < count; i++) {
		const uint8_t *data;
		size_t n;
		ssize_t used = hxfr_decode_blob(p + at, len - at, &data, &n);
		if (used <= 0) {
			return -EBADMSG;
		}
		at += (size_t)used;
		memmove(to + size, data, n);
		size += n;
	}
	*ret_size = size;
	return at == len ? 0 : -EBADMSG;
}

static int handle_frame(struct hxfr_client *c, const struct hxfr_header *h, uint8_t *p) {
	struct hxfr_frame_response msg;
	ssize_t n = hxfr_decode_frame_response(p, h->payload_size, &msg);
	size_t size;
	if (n <= 0 || join_blobs(p + n, h->payload_size - (size_t)n, msg.nal_count, &size) < 0) {
		return -EBADMSG;
	}
	struct hxfr_frame frame = {
		.session_id = h->session_id,
		.keyframe = msg.is_keyframe != 0,
		.pts_ns = msg.pts,
		.data = p + n,
		.size = size,
		.received_ns = now_ns(),
		.flip = c->has_flip ? &c->flip : NULL,
	};
	if (c->handler->frame) {
		c->handler->frame(&frame, c->data);
	}
	c->has_flip = false;
	return 0;
}

static int handle_stats(struct hxfr_client *c, const uint8_t *p, size_t len) {
	struct hxfr_stats_resp resp;
	ssize_t n = hxfr_decode_stats_resp(p, len, &resp);
	if (n <= 0 || resp.count > (len - (size_t)n) / resp.entry_size) {
		return -EBADMSG;
	}
	p += n;
	for (uint32_t i = 0; i < resp.count && !c->destroyed && !c->closed; i++) {
		struct hxfr_stats stats;
		if (hxfr_decode_stats(p, resp.entry_size, &stats) <= 0) {
			return -EBADMSG;
		}
		p += resp.entry_size;
		if (c->handler->stats) {
			c->handler->stats(&stats, resp.now_ns, i + 1 == resp.count, c->data);
		}
	}
	return 0;
}

static int handle_authenticated(struct hxfr_client *c, const uint8_t *p, size_t len) {
	uint32_t success;
	if (hxfr_decode_authenticate_resp(p, len, &success) <= 0) {
		return -EBADMSG;
	}
	if (c->handler->authenticated) {
		c->handler->authenticated(success != 0, c->data);
	}
	return 0;
}

static int handle_cursor_image(struct hxfr_client *c, const uint8_t *p, size_t len) {
	struct hxfr_cursor_image msg;
	const uint8_t *pixels;
	if (hxfr_decode_cursor_image(p, len, &msg, &pixels) <= 0) {
		return -EBADMSG;
	}
	if (c->handler->cursor_image) {
		c->handler->cursor_image(&msg, pixels, c->data);
	}
	return 0;
}

/* Decodes into a structure of `type` and hands that to handler `name`. */
#define DISPATCH(c, p, len, type, decode, name)              \
	do {                                                 \
		type msg;                                    \
		if (decode((p), (len), &msg) <= 0) {         \
			return -EBADMSG;                     \
		}                                            \
		if ((c)->handler->name) {                    \
			(c)->handler->name(&msg, (c)->data); \
		}                                            \
	} while (0)

static int handle_message(struct hxfr_client *c, const struct hxfr_header *h, uint8_t *p) {
	size_t len = h->payload_size;
	switch (h->type) {
	case HXFR_FRAME_RESPONSE:
		return handle_frame(c, h, p);
	case HXFR_STATS_RESP:
		return handle_stats(c, p, len);
	case HXFR_CURSOR_IMAGE:
		return handle_cursor_image(c, p, len);
	case HXFR_FLIP_INFO:
		c->has_flip = hxfr_decode_flip_info(p, len, &c->flip) > 0;
		return c->has_flip ? 0 : -EBADMSG;
	case HXFR_HELLO_RESP:
		DISPATCH(c, p, len, struct hxfr_hello_resp, hxfr_decode_hello_resp, hello);
		break;
	case HXFR_SUBSCRIBE_RESP:
		DISPATCH(c, p, len, struct hxfr_subscribe_resp, hxfr_decode_subscribe_resp,
			subscribed);
		break;
	case HXFR_SCANOUT_RESP:
		DISPATCH(c, p, len, struct hxfr_scanout_resp, hxfr_decode_scanout_resp, scanout);
		break;
	case HXFR_AUTHENTICATE_RESP:
		return handle_authenticated(c, p, len);
	case HXFR_LEASE_RESP:
		DISPATCH(c, p, len, struct hxfr_lease_resp, hxfr_decode_lease_resp, lease);
		break;
	case HXFR_CURSOR_POSITION:
		DISPATCH(c, p, len, struct hxfr_cursor_position, hxfr_decode_cursor_position,
			cursor_position);
		break;
	case HXFR_SCANOUT_STATE:
		DISPATCH(c, p, len, struct hxfr_scanout_state, hxfr_decode_scanout_state, state);
		break;
	case HXFR_ERROR:
		DISPATCH(c, p, len, struct hxfr_error, hxfr_decode_error, error);
		break;
	case HXFR_PONG:
		if (c->handler->pong) {
			c->handler->pong(c->data);
		}
		break;
	default: /* of a later version */
		break;
	}
	return 0;
}

/* Makes the buffer hold `size` bytes. */
static int grow(struct hxfr_client *c, size_t size) {
	if (size <= c->in_capacity) {
		return 0;
	}
	uint8_t *in = realloc(c->in, size);
	if (!in) {
		return -ENOMEM;
	}
	c->in = in;
	c->in_capacity = size;
	return 0;
}

/* Handles all whole messages in the buffer. */
static int parse(struct hxfr_client *c) {
	size_t at = 0;
	int r = 0;
	while (r == 0 && !c->destroyed && !c->closed && at < c->in_size) {
		struct hxfr_header h;
		ssize_t n = hxfr_decode_header(c->in + at, c->in_size - at, &h);
		if (n <= 0) {
			r = (int)n;
			break;
		}
		if (h.payload_size > HXFR_CLIENT_PAYLOAD_MAX) {
			return -EMSGSIZE;
		}
		size_t whole = HXFR_HEADER_SIZE + h.payload_size;
		if (c->in_size - at < whole) {
			r = grow(c, whole);
			break;
		}
		r = handle_message(c, &h, c->in + at + HXFR_HEADER_SIZE);
		at += whole;
	}
	c->in_size -= at;
	memmove(c->in, c->in + at, c->in_size);
	return r;
}

static void receive(struct hxfr_client *c) {
	size_t room = MIN(c->in_capacity - c->in_size, c->read_budget);
	ssize_t n = recv(c->fd, c->in + c->in_size, room, MSG_DONTWAIT);
	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR) {
			end_connection(c, -errno);
		}
		return;
	}
	if (n == 0) {
		end_connection(c, 0);
		return;
	}
	c->in_size += (size_t)n;
	if (c->read_budget != SIZE_MAX) {
		c->read_budget -= (size_t)n;
	}
	int r = parse(c);
	if (r < 0) {
		end_connection(c, r);
	}
}

static int arm_ping(struct hxfr_client *c) {
	(void)sd_event_source_set_time_relative(c->timer, PING_EVERY_US);
	return sd_event_source_set_enabled(c->timer, SD_EVENT_ONESHOT);
}

static void handle_connected(struct hxfr_client *c) {
	int error = 0;
	socklen_t size = sizeof(error);
	(void)getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
	if (error) {
		end_connection(c, -error);
		return;
	}
	c->connecting = false;
	(void)arm_ping(c);
	if (c->handler->connected) {
		c->handler->connected(c->data);
	}
}

static int handle_io(sd_event_source *source, int fd, uint32_t events, void *data) {
	struct hxfr_client *c = data;
	enter(c);
	if (c->connecting) {
		handle_connected(c);
	} else if (c->read_budget > 0 && (events & ~(uint32_t)EPOLLOUT)) {
		receive(c);
	} else if (events & (EPOLLERR | EPOLLHUP)) {
		end_connection(c, -ECONNRESET);
	}
	if (!c->closed && !c->destroyed) {
		flush(c);
	}
	leave(c);
	return 0;
}

static int handle_timer(sd_event_source *source, uint64_t usec, void *data) {
	struct hxfr_client *c = data;
	enter(c);
	if (c->connecting) {
		end_connection(c, -ETIMEDOUT);
	} else {
		(void)hxfr_client_ping(c);
		(void)arm_ping(c);
	}
	leave(c);
	return 0;
}

static int start_connect(struct hxfr_client *c, const char *host, uint16_t port) {
	struct addrinfo hints = {
		.ai_flags = AI_NUMERICSERV,
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
	};
	struct addrinfo *ai;
	char service[8];
	static const int one = 1;
	(void)snprintf(service, sizeof(service), "%u", (unsigned)port);
	if (getaddrinfo(host, service, &hints, &ai) != 0) {
		return -EADDRNOTAVAIL;
	}
	int r = 0;
	c->fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fd < 0) {
		r = -errno;
	} else {
		(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		(void)setsockopt(c->fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
		if (connect(c->fd, ai->ai_addr, ai->ai_addrlen) < 0 && errno != EINPROGRESS) {
			r = -errno;
		}
	}
	freeaddrinfo(ai);
	return r;
}

int hxfr_client_create(sd_event *loop, const char *host, uint16_t port, unsigned timeout_ms,
	const struct hxfr_client_handler *handler, void *data, struct hxfr_client **ret) {
	struct hxfr_client *c = calloc(1, sizeof(*c));
	if (!c) {
		return -ENOMEM;
	}
	c->fd = -1;
	c->connecting = true;
	c->read_budget = SIZE_MAX;
	c->handler = handler;
	c->data = data;
	c->loop = sd_event_ref(loop);
	int r = loop ? 0 : sd_event_new(&c->loop);
	if (r >= 0) {
		r = grow(c, IN_MIN);
	}
	if (r >= 0) {
		r = start_connect(c, host, port);
	}
	if (r >= 0) {
		r = sd_event_add_io(c->loop, &c->io, c->fd, EPOLLOUT, handle_io, c);
	}
	if (r >= 0) {
		/* From now, not from when the loop last ran: its owner may have been away for long. */
		r = sd_event_add_time(c->loop, &c->timer, CLOCK_MONOTONIC,
			now_ns() / NSEC_PER_USEC + timeout_ms * UINT64_C(1000), 0, handle_timer, c);
	}
	if (r < 0) {
		release(c);
		return r;
	}
	*ret = c;
	return 0;
}

void hxfr_client_destroy(struct hxfr_client *c) {
	if (!c) {
		return;
	}
	c->destroyed = true;
	enter(c);
	leave(c);
}

int hxfr_client_wait(struct hxfr_client *c, const bool *done, unsigned timeout_ms) {
	uint64_t deadline = now_ns() + timeout_ms * NSEC_PER_MSEC;
	while (!*done) {
		uint64_t now = now_ns();
		if (c->closed) {
			return c->close_error ? c->close_error : -ECONNRESET;
		}
		if (now >= deadline) {
			return -ETIMEDOUT;
		}
		int r = sd_event_run(c->loop, DIV_ROUND_UP(deadline - now, NSEC_PER_USEC));
		if (r < 0) {
			return r;
		}
	}
	return 0;
}

void hxfr_client_set_read_budget(struct hxfr_client *c, size_t bytes) {
	c->read_budget = bytes;
	if (!c->closed) {
		watch_socket(c);
	}
}

int hxfr_client_fd(const struct hxfr_client *c) {
	return c->fd;
}
