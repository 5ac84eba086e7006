/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>

#include "net/buffer.h"
#include "net/crypto.h"
#include "net/dial.h"
#include "net/ws-connect.h"
#include "net/ws-stream.h"
#include "proto/http.h"

#define HEAD_MAX 4096

struct ws_connect {
	sd_event *loop;
	char host[256];
	const struct tls_config *tls;
	char accept[WS_ACCEPT_SIZE];
	struct dial *dial;
	struct stream *stream;
	struct buffer out, in;
	sd_event_source *timer;
	ws_connect_fn done;
	void *data;
};

static void finish(struct ws_connect *c, struct stream *stream, int error) {
	ws_connect_fn done = c->done;
	void *data = c->data;
	ws_connect_destroy(c);
	done(data, stream, error);
}

static int check_answer(const struct ws_connect *c, const struct http_head *head) {
	struct http_text accept;
	if (head->status == 401 || head->status == 403) {
		return -EACCES;
	}
	if (head->status == 404) {
		return -ENOENT;
	}
	if (head->status != 101 || !http_has_token(head, "Upgrade", "websocket") ||
		http_get(head, "Sec-WebSocket-Accept", &accept) < 0 ||
		!http_text_is(accept, c->accept)) {
		return -EPROTO;
	}
	return 0;
}

/* 1: the answer is there and good, `*ret_size` bytes of `in`; 0: not yet; -errno. */
static int read_answer(struct ws_connect *c, size_t *ret_size) {
	struct http_head head;
	for (;;) {
		uint8_t *end = buffer_end(&c->in);
		ssize_t n = buffer_room(&c->in) == 0
			? -E2BIG
			: stream_read(c->stream, end, buffer_room(&c->in));
		if (n <= 0) {
			return n == 0 ? -ECONNRESET : n == -EAGAIN ? 0 : (int)n;
		}
		buffer_add(&c->in, (size_t)n);
		n = http_parse_response((const char *)c->in.data, c->in.tail, &head);
		if (n != 0) {
			*ret_size = n > 0 ? (size_t)n : 0;
			n = n > 0 ? check_answer(c, &head) : n;
			return n < 0 ? (int)n : 1;
		}
	}
}

static void handle_ready(void *data) {
	struct ws_connect *c = data;
	while (buffer_filled(&c->out) > 0) {
		ssize_t n = stream_write(c->stream, buffer_front(&c->out), buffer_filled(&c->out));
		if (n < 0 && n != -EAGAIN) {
			finish(c, NULL, (int)n);
			return;
		}
		if (n < 0) {
			break;
		}
		buffer_take(&c->out, (size_t)n);
	}
	size_t size;
	struct stream *stream = NULL;
	int r = read_answer(c, &size);
	if (r > 0) {
		r = ws_stream_create(
			c->loop, c->stream, true, c->in.data + size, c->in.tail - size, &stream);
		if (r >= 0) {
			c->stream = NULL;
		}
		finish(c, stream, r);
	} else if (r < 0) {
		finish(c, NULL, r);
	} else {
		(void)stream_want(c->stream, true, buffer_filled(&c->out) > 0);
	}
}

static void handle_dialed(void *data, int fd) {
	struct ws_connect *c = data;
	c->dial = NULL;
	int r = fd;
	if (r >= 0) {
		r = c->tls ? stream_create_tls(c->loop, fd, c->tls, c->host, &c->stream)
			   : stream_create(c->loop, fd, &c->stream);
	}
	if (r < 0) {
		finish(c, NULL, r);
		return;
	}
	stream_set_handler(c->stream, handle_ready, c);
	(void)stream_want(c->stream, true, true);
}

static int handle_timeout(sd_event_source *source, uint64_t usec, void *data) {
	finish(data, NULL, -ETIMEDOUT);
	return 0;
}

static int format_request(struct ws_connect *c, const struct ws_target *t) {
	char key[WS_KEY_TEXT_SIZE];
	int r = ws_make_key(key);
	if (r < 0) {
		return r;
	}
	ws_accept_key(key, c->accept);
	bool v6 = strchr(t->host, ':') != NULL;
	int n = snprintf((char *)c->out.data, c->out.size,
		"GET %s HTTP/1.1\r\n"
		"Host: %s%s%s:%u\r\n"
		"Upgrade: websocket\r\n"
		"Connection: Upgrade\r\n"
		"Sec-WebSocket-Key: %s\r\n"
		"Sec-WebSocket-Version: 13\r\n"
		"%s%s%s\r\n",
		t->path, v6 ? "[" : "", t->host, v6 ? "]" : "", (unsigned)t->port, key,
		t->bearer ? "Authorization: Bearer " : "", t->bearer ? t->bearer : "",
		t->bearer ? "\r\n" : "");
	if (n < 0 || (size_t)n >= c->out.size) {
		return -ENAMETOOLONG;
	}
	buffer_add(&c->out, (size_t)n);
	return 0;
}

int ws_connect_create(sd_event *loop, const struct ws_target *target, ws_connect_fn done,
	void *data, struct ws_connect **ret) {
	struct ws_connect *c = calloc(1, sizeof(*c));
	if (!c) {
		return -ENOMEM;
	}
	c->loop = sd_event_ref(loop);
	c->tls = target->tls;
	c->done = done;
	c->data = data;
	int n = snprintf(c->host, sizeof(c->host), "%s", target->host);
	int r = n < 0 || (size_t)n >= sizeof(c->host) ? -ENAMETOOLONG : 0;
	if (r >= 0) {
		r = buffer_init(&c->out, HEAD_MAX);
	}
	if (r >= 0) {
		r = buffer_init(&c->in, HEAD_MAX);
	}
	if (r >= 0) {
		r = format_request(c, target);
	}
	if (r >= 0) {
		r = sd_event_add_time_relative(loop, &c->timer, CLOCK_MONOTONIC,
			target->timeout_ms * UINT64_C(1000), 0, handle_timeout, c);
	}
	if (r >= 0) {
		r = dial_create(loop, c->host, target->port, target->timeout_ms, handle_dialed, c,
			&c->dial);
	}
	if (r < 0) {
		ws_connect_destroy(c);
		return r;
	}
	*ret = c;
	return 0;
}

void ws_connect_destroy(struct ws_connect *c) {
	if (!c) {
		return;
	}
	sd_event_source_disable_unref(c->timer);
	dial_destroy(c->dial);
	stream_destroy(c->stream);
	buffer_finish(&c->out);
	buffer_finish(&c->in);
	sd_event_unref(c->loop);
	free(c);
}
