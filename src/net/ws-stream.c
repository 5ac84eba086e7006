/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/ws-stream.h"
#include "net/buffer.h"
#include "net/crypto.h"
#include "proto/ws-frame.h"

#include <helix/ws.h>

/* Of one frame of ours. */
#define PAYLOAD_MAX (32 * 1024)
#define IN_SIZE     (32 * 1024)
/* Room for control frames besides. */
#define OUT_SIZE (PAYLOAD_MAX + 1024)

struct ws_stream {
	struct stream stream;
	struct stream *base;
	bool client;
	bool want_in, want_out;
	bool ended;   /* the other end said close, or its stream ended */
	bool drained; /* nothing in `in` can be read without more bytes */
	int error;    /* negative: for ever */
	struct ws_header header;
	uint64_t left; /* of the payload of the frame under way */
	uint64_t heard_ns;
	struct buffer in, out;
	sd_event_source *pending;
};

_Static_assert(WS_STREAM_EARLY_MAX <= IN_SIZE, "what came early fits");

static struct ws_stream *ws_of(const struct stream *s) {
	return container_of(s, struct ws_stream, stream);
}

static void update_wants(struct ws_stream *w) {
	bool waiting = w->want_in && !w->drained;
	(void)sd_event_source_set_enabled(w->pending, waiting ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
	bool want_in = w->want_in && !w->ended && w->error == 0;
	(void)stream_want(w->base, want_in, w->want_out || buffer_filled(&w->out) > 0);
}

static int flush(struct ws_stream *w) {
	while (buffer_filled(&w->out) > 0) {
		ssize_t n = stream_write(w->base, buffer_front(&w->out), buffer_filled(&w->out));
		if (n == -EAGAIN) {
			break;
		}
		if (n < 0) {
			w->error = (int)n;
			return w->error;
		}
		buffer_take(&w->out, (size_t)n);
	}
	return 0;
}

/* Queues one frame. -EAGAIN if there is no room for it now. */
static int put_frame(struct ws_stream *w, uint8_t opcode, const void *p, size_t n) {
	uint8_t head[WS_HEADER_MAX];
	struct ws_header h = {.fin = true, .opcode = opcode, .masked = w->client, .length = n};
	if (WS_HEADER_MAX + n > buffer_room(&w->out)) {
		return -EAGAIN;
	}
	if (h.masked && random_bytes(h.key, sizeof(h.key)) < 0) {
		return -EIO;
	}
	(void)buffer_put(&w->out, head, ws_encode_header(head, &h));
	(void)buffer_put(&w->out, p, n);
	if (h.masked) {
		ws_mask(w->out.data + w->out.tail - n, n, h.key, 0);
	}
	return 0;
}

/* A control frame is all there, its mask taken off. */
static void take_control(struct ws_stream *w, const uint8_t *payload) {
	switch (w->header.opcode) {
	case WS_OP_PING:
		/* One that we have no room to answer is answered by the next. */
		(void)put_frame(w, WS_OP_PONG, payload, (size_t)w->header.length);
		(void)flush(w);
		break;
	case WS_OP_CLOSE:
		w->ended = true;
		break;
	default:
		break;
	}
}

/*
 * Goes on to the payload of the next frame with any. 1: it begins at the front of `in`; 0: more bytes
 * are needed.
 */
static int next_payload(struct ws_stream *w) {
	while (w->left == 0 && !w->ended) {
		uint8_t *p = buffer_front(&w->in);
		ssize_t n = ws_decode_header(p, buffer_filled(&w->in), &w->header);
		if (n <= 0) {
			return (int)n;
		}
		if (w->header.masked == w->client || w->header.opcode == WS_OP_TEXT) {
			return -EBADMSG;
		}
		if (!ws_is_control(w->header.opcode)) {
			w->left = w->header.length;
		} else if (buffer_filled(&w->in) < (size_t)n + (size_t)w->header.length) {
			return 0;
		} else {
			size_t length = (size_t)w->header.length;
			ws_mask(p + n, length, w->header.key, 0);
			take_control(w, p + n);
			n += (ssize_t)length;
		}
		buffer_take(&w->in, (size_t)n);
	}
	return w->left > 0 && buffer_filled(&w->in) > 0;
}

/* Reads what is there: 0, also at the end, -EAGAIN or -errno. */
static int fill(struct ws_stream *w) {
	uint8_t *end = buffer_end(&w->in);
	ssize_t n = stream_read(w->base, end, buffer_room(&w->in));
	if (n < 0) {
		return (int)n;
	}
	w->ended = n == 0;
	w->heard_ns = now_ns();
	buffer_add(&w->in, (size_t)n);
	return 0;
}

static ssize_t ws_read(struct stream *s, void *p, size_t n) {
	struct ws_stream *w = ws_of(s);
	w->drained = false;
	while (w->error == 0) {
		int r = next_payload(w);
		if (r > 0) {
			n = MIN(n, MIN(w->left, buffer_filled(&w->in)));
			memcpy(p, buffer_front(&w->in), n);
			ws_mask(p, n, w->header.key, w->header.length - w->left);
			w->left -= n;
			buffer_take(&w->in, n);
			update_wants(w);
			return (ssize_t)n;
		}
		if (r == 0 && w->ended) {
			return 0;
		}
		if (r == 0) {
			r = fill(w);
		}
		if (r == -EAGAIN) {
			w->drained = true;
			update_wants(w);
			return -EAGAIN;
		}
		w->error = r;
	}
	return w->error;
}

static ssize_t ws_write(struct stream *s, const void *p, size_t n) {
	struct ws_stream *w = ws_of(s);
	int r = w->error;
	if (r == 0 && buffer_filled(&w->out) > 0) {
		r = flush(w);
	}
	if (r == 0 && buffer_filled(&w->out) > PAYLOAD_MAX / 2) {
		r = -EAGAIN;
	}
	if (r == 0) {
		n = MIN(n, PAYLOAD_MAX / 2);
		r = put_frame(w, WS_OP_BINARY, p, n);
	}
	if (r == 0) {
		r = flush(w);
	}
	if (r < 0) {
		return r;
	}
	update_wants(w);
	return (ssize_t)n;
}

static int ws_want(struct stream *s, bool in, bool out) {
	struct ws_stream *w = ws_of(s);
	w->want_in = in;
	w->want_out = out;
	update_wants(w);
	return 0;
}

static size_t ws_unsent(const struct stream *s) {
	const struct ws_stream *w = ws_of(s);
	return w->error == 0 ? buffer_filled(&w->out) : 0;
}

static void ws_destroy(struct stream *s) {
	struct ws_stream *w = ws_of(s);
	if (w->base && w->error == 0 && buffer_filled(&w->out) == 0) {
		static const uint8_t code[2] = {WS_CLOSE_NORMAL >> 8, WS_CLOSE_NORMAL & 0xff};
		if (put_frame(w, WS_OP_CLOSE, code, sizeof(code)) == 0) {
			(void)flush(w);
		}
	}
	sd_event_source_disable_unref(w->pending);
	stream_destroy(w->base);
	buffer_finish(&w->in);
	buffer_finish(&w->out);
	free(w);
}

static const struct stream_ops ws_ops = {
	.read = ws_read,
	.write = ws_write,
	.want = ws_want,
	.unsent = ws_unsent,
	.destroy = ws_destroy,
};

static void handle_ready(void *data) {
	struct ws_stream *w = data;
	if (w->error == 0) {
		(void)flush(w);
		update_wants(w);
	}
	/* Also for nothing but what was flushed: the owner tries and finds out. */
	if (w->stream.ready) {
		w->stream.ready(w->stream.data);
	}
}

static int handle_pending(sd_event_source *source, void *data) {
	struct ws_stream *w = data;
	w->stream.ready(w->stream.data);
	return 0;
}

int ws_stream_create(sd_event *loop, struct stream *base, bool client, const void *early, size_t n,
	struct stream **ret) {
	struct ws_stream *w = calloc(1, sizeof(*w));
	if (!w) {
		return -ENOMEM;
	}
	w->stream.ops = &ws_ops;
	w->client = client;
	w->heard_ns = now_ns();
	int r = buffer_init(&w->in, IN_SIZE);
	if (r >= 0) {
		r = buffer_init(&w->out, OUT_SIZE);
	}
	if (r >= 0) {
		r = buffer_put(&w->in, early, n);
	}
	if (r >= 0) {
		r = sd_event_add_defer(loop, &w->pending, handle_pending, w);
	}
	if (r >= 0) {
		r = sd_event_source_set_enabled(w->pending, SD_EVENT_OFF);
	}
	if (r < 0) {
		ws_destroy(&w->stream);
		return r;
	}
	w->base = base;
	stream_set_handler(base, handle_ready, w);
	update_wants(w); /* nothing: what its last owner wanted ends here */
	*ret = &w->stream;
	return 0;
}

int ws_stream_ping(struct stream *s) {
	struct ws_stream *w = ws_of(s);
	int r = w->error;
	if (r == 0) {
		r = put_frame(w, WS_OP_PING, "", 0);
	}
	if (r == 0) {
		r = flush(w);
	}
	update_wants(w);
	return r;
}

uint64_t ws_stream_heard_ns(const struct stream *s) {
	return ws_of(s)->heard_ns;
}
