/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>

#include <helix/ws.h>

#include "log.h"
#include "proto/ws-frame.h"
#include "proxy-head.h"
#include "proxy.h"
#include "upstream.h"

LOG_MODULE("proxy");

/* From the request to the bridge's answer; then without a byte; then for the viewer to close. */
#define ANSWER_TIME_NS  (30 * NSEC_PER_SEC)
#define SILENCE_TIME_NS (60 * NSEC_PER_SEC)
#define CLOSE_TIME_NS   (5 * NSEC_PER_SEC)

/* Towards the viewer: one large picture. What is beyond stays where pictures can be dropped. */
#define TO_FRONT_SIZE (64 * 1024)
#define TO_BACK_SIZE  (32 * 1024)
/* Always left for a close frame of ours. */
#define CLOSE_RESERVE WS_CLOSE_MAX
/* Nothing is read while there is less room than this. */
#define ROOM_MIN 4096
/* Reads from one side before the loop goes on with somebody else. */
#define READS_AT_ONCE 4
/* Of what comes after the end. */
#define DISCARD_SIZE 4096

enum proxy_state {
	PROXY_ASKING, /* the bridge is dialled, or has not answered */
	PROXY_JOINED,
	PROXY_CLOSING, /* the bridge's side is gone; the viewer is told the rest */
};

struct proxy {
	struct list link; // gateway.proxies
	struct gateway *gateway;
	struct desktop *desktop;
	struct identity *who;
	enum proxy_kind kind;
	enum proxy_state state;
	char client_id[64];
	char peer[64];
	char accept[WS_ACCEPT_SIZE];

	struct upstream *upstream; // NULL: not being dialled
	struct stream *front;      /* the viewer's */
	struct stream *back;       // the bridge's; NULL before and after
	struct buffer to_front, to_back;
	bool frames; /* a WebSocket on both sides */
	struct ws_splice down, up;
	uint64_t body_left; /* of a plain request, from the viewer */
	uint64_t heard_ns;  /* when the bridge last sent something */
	sd_event_source *timer;
};

static void proxy_destroy(struct proxy *p) {
	struct gateway *g = p->gateway;
	g->stats.filtered += p->up.dropped;
	if (p->frames && p->kind == PROXY_STREAM) {
		p->desktop->viewers--;
	}
	list_remove(&p->link);
	sd_event_source_disable_unref(p->timer);
	upstream_destroy(p->upstream);
	stream_destroy(p->front);
	stream_destroy(p->back);
	buffer_finish(&p->to_front);
	buffer_finish(&p->to_back);
	desktop_unref(p->desktop);
	identity_unref(p->who);
	free(p);
}

static void set_timer(struct proxy *p, uint64_t ns) {
	(void)sd_event_source_set_time(p->timer, (now_ns() + ns) / NSEC_PER_USEC);
	(void)sd_event_source_set_enabled(p->timer, SD_EVENT_ONESHOT);
}

/* 0 or -errno. */
static int flush(struct proxy *p, struct stream *to, struct buffer *b, uint64_t *count) {
	while (buffer_filled(b) > 0) {
		ssize_t n = stream_write(to, buffer_front(b), buffer_filled(b));
		if (n < 0) {
			return n == -EAGAIN ? 0 : (int)n;
		}
		buffer_take(b, (size_t)n);
		*count += (uint64_t)n;
	}
	return 0;
}

/* While the bridge is asked, what is in there is the beginning of its answer, not ours. */
static bool front_has_bytes(const struct proxy *p) {
	return p->state != PROXY_ASKING && buffer_filled(&p->to_front) > 0;
}

static int flush_front(struct proxy *p) {
	return front_has_bytes(p)
		? flush(p, p->front, &p->to_front, &p->gateway->stats.bytes_to_viewers)
		: 0;
}

static int flush_back(struct proxy *p) {
	return p->back ? flush(p, p->back, &p->to_back, &p->gateway->stats.bytes_from_viewers) : 0;
}

static size_t room_for_reading(const struct buffer *b) {
	size_t room = buffer_room(b), reserve = WS_SPLICE_OVERHEAD + CLOSE_RESERVE;
	return room >= ROOM_MIN + reserve ? MIN(room - reserve, (size_t)SCRATCH_SIZE) : 0;
}

static void update_wants(struct proxy *p) {
	bool closing = p->state == PROXY_CLOSING;
	/* Of a plain request, no more than its body; else also to learn that the viewer left. */
	bool more =
		p->frames || (p->kind == PROXY_HTTP ? p->body_left > 0 : p->state == PROXY_ASKING);
	bool in = closing || (more && !p->up.closed && room_for_reading(&p->to_back) > 0);
	(void)stream_want(p->front, in, front_has_bytes(p));
	if (p->back) {
		(void)stream_want(p->back, room_for_reading(&p->to_front) > 0,
			buffer_filled(&p->to_back) > 0 || stream_unsent(p->back) > 0);
	}
}

/* What comes after the end is thrown away, until the viewer closes too. */
static int read_closing(struct proxy *p) {
	struct gateway *g = p->gateway;
	for (unsigned i = 0; i < READS_AT_ONCE; i++) {
		ssize_t n = stream_read(p->front, g->scratch, DISCARD_SIZE);
		if (n <= 0) {
			return n == -EAGAIN ? 0 : -ECONNRESET;
		}
		p->body_left -= MIN(p->body_left, (uint64_t)n);
		if (p->frames &&
			(ws_splice_feed(&p->up, g->scratch, (size_t)n, g->scratch + DISCARD_SIZE) <
					0 ||
				p->up.closed)) {
			return -ECONNRESET;
		}
	}
	return 0;
}

/* A plain answer ends with the connection; of a WebSocket, the viewer may have something to say. */
static void go_on_closing(struct proxy *p) {
	int r = flush_front(p);
	if (r == 0) {
		r = read_closing(p);
	}
	bool done = buffer_filled(&p->to_front) == 0 && stream_unsent(p->front) == 0 &&
		!p->frames && p->body_left == 0;
	if (r < 0 || done) {
		proxy_destroy(p);
		return;
	}
	update_wants(p);
}

/* The bridge's side is over; what is in `to_front` still goes out. May destroy the proxy. */
static void begin_closing(struct proxy *p) {
	upstream_destroy(p->upstream);
	p->upstream = NULL;
	stream_destroy(p->back);
	p->back = NULL;
	p->state = PROXY_CLOSING;
	set_timer(p, p->frames ? CLOSE_TIME_NS : ANSWER_TIME_NS);
	go_on_closing(p);
}

static void put_close(struct proxy *p, uint16_t code, const char *reason) {
	uint8_t frame[WS_CLOSE_MAX];
	/* There is room: reading always leaves CLOSE_RESERVE. */
	(void)buffer_put(&p->to_front, frame, ws_encode_close(frame, code, reason, NULL));
	p->down.closed = true;
}

/* The end of a WebSocket, by us. May destroy the proxy. */
static void close_frames(struct proxy *p, uint16_t code, const char *reason) {
	if (!p->down.closed) {
		put_close(p, code, reason);
		p->gateway->stats.broken += code == WS_CLOSE_RESTART;
		p->gateway->stats.superseded += code == WS_CLOSE_SUPERSEDED;
		log_debug("%s: %s: closed with %u, %s", p->peer, p->desktop->name, code, reason);
	}
	begin_closing(p);
}

/* There is no answer of the bridge to pass on. May destroy the proxy. */
static void answer_instead(struct proxy *p, unsigned status, const char *text) {
	ssize_t n;
	buffer_take(&p->to_front, buffer_filled(&p->to_front));
	n = format_answer_head((char *)buffer_end(&p->to_front), buffer_room(&p->to_front), status,
		"text/plain; charset=utf-8", "Cache-Control: no-store\r\nRetry-After: 1\r\n",
		strlen(text), false);
	buffer_add(&p->to_front, n > 0 ? (size_t)n : 0);
	(void)buffer_put(&p->to_front, text, strlen(text));
	p->gateway->stats.answers[status / 100]++;
	log_debug("%s: %s: %u", p->peer, p->desktop->name, status);
	begin_closing(p);
}

/* The bridge's side ended or broke, `error` says how. May destroy the proxy. */
static void back_lost(struct proxy *p, int error) {
	if (p->frames) {
		close_frames(p, WS_CLOSE_RESTART, "the desktop's bridge is gone");
	} else if (p->state == PROXY_JOINED) {
		begin_closing(p); /* as every answer ends */
	} else {
		answer_instead(p,
			error == -ETIMEDOUT              ? 504
				: error == -EHOSTUNREACH ? 503
							 : 502,
			"The desktop's bridge cannot be reached.\n");
	}
}

_Static_assert(SCRATCH_SIZE >= PROXY_HEAD_MAX + 2 * CONN_HEAD_MAX, "see read_back()");

/* Replaces the head in `to_front` by what is passed on of it. */
static int rewrite_head(struct proxy *p, const struct http_head *head, size_t head_size) {
	char *text = (char *)p->gateway->scratch;
	size_t body = buffer_filled(&p->to_front) - head_size;
	ssize_t n = proxy_head_answer(head, text, PROXY_HEAD_MAX);
	if (n < 0) {
		return (int)n;
	}
	memcpy(text + n, buffer_front(&p->to_front) + head_size, body);
	p->gateway->stats.answers[head->status / 100]++;
	buffer_take(&p->to_front, buffer_filled(&p->to_front));
	return buffer_put(&p->to_front, text, (size_t)n + body);
}

/* The viewer's handshake is answered. `to_front` is empty. */
static void put_switch(struct proxy *p) {
	char head[256];
	int n = snprintf(head, sizeof(head),
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
		"Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		p->accept);
	(void)buffer_put(&p->to_front, head, (size_t)n);
}

/* Both sides are WebSockets from here on. What came with the 101 is not lost. */
static int join_frames(struct proxy *p, size_t head_size) {
	struct gateway *g = p->gateway;
	size_t early = buffer_filled(&p->to_front) - head_size;
	memcpy(g->scratch, buffer_front(&p->to_front) + head_size, early);
	buffer_take(&p->to_front, buffer_filled(&p->to_front));
	put_switch(p);
	p->frames = true;
	p->desktop->viewers += p->kind == PROXY_STREAM;
	g->stats.upgrades++;
	g->stats.answers[1]++;
	ssize_t written = ws_splice_feed(&p->down, g->scratch, early, buffer_end(&p->to_front));
	buffer_add(&p->to_front, written > 0 ? (size_t)written : 0);
	return written < 0 ? (int)written : 0;
}

/* The size of the answer's head, past those that only announce it; 0: not there yet; -errno. */
static ssize_t find_answer(struct proxy *p, struct http_head *ret) {
	for (;;) {
		const char *text = (const char *)buffer_front(&p->to_front);
		size_t filled = buffer_filled(&p->to_front);
		ssize_t n = http_parse_response(text, filled, ret);
		if (n > CONN_HEAD_MAX || (n == 0 && filled >= CONN_HEAD_MAX)) {
			return -E2BIG;
		}
		if (n <= 0 || ret->status >= 200 || ret->status == 101) {
			return n;
		}
		buffer_take(&p->to_front, (size_t)n);
	}
}

/* 1: the answer's head was there, and they are joined; 0: not yet; -errno. */
static int take_answer(struct proxy *p) {
	struct http_head head;
	struct http_text accept;
	ssize_t n = find_answer(p, &head);
	if (n <= 0) {
		return (int)n;
	}
	int r = -EBADMSG;
	if (head.status != 101) {
		r = rewrite_head(p, &head, (size_t)n);
	} else if (p->kind != PROXY_HTTP && http_get(&head, "Sec-WebSocket-Accept", &accept) == 0 &&
		http_text_is(accept, p->accept)) {
		r = join_frames(p, (size_t)n);
	}
	if (r < 0) {
		return r;
	}
	p->state = PROXY_JOINED;
	set_timer(p, SILENCE_TIME_NS);
	return 1;
}

/* What the bridge says: 0 or -errno; -ECONNRESET at the end. */
static int read_back(struct proxy *p) {
	struct gateway *g = p->gateway;
	for (unsigned i = 0; i < READS_AT_ONCE; i++) {
		size_t room = room_for_reading(&p->to_front);
		if (p->state == PROXY_ASKING) {
			room = MIN(room, (size_t)CONN_HEAD_MAX); /* see rewrite_head() */
		}
		ssize_t n = room > 0 ? stream_read(p->back, g->scratch, room) : -EAGAIN;
		if (n <= 0) {
			return n == -EAGAIN ? 0 : n == 0 ? -ECONNRESET : (int)n;
		}
		p->heard_ns = now_ns();
		if (p->frames) {
			n = ws_splice_feed(
				&p->down, g->scratch, (size_t)n, buffer_end(&p->to_front));
			if (n < 0) {
				return (int)n;
			}
			buffer_add(&p->to_front, (size_t)n);
		} else {
			(void)buffer_put(&p->to_front, g->scratch, (size_t)n);
		}
		int r = p->state == PROXY_ASKING ? take_answer(p) : 0;
		if (r < 0 || flush_front(p) < 0) {
			return r < 0 ? r : -EPIPE;
		}
	}
	return 0;
}

/* What the viewer says: 0 or -errno; -ECONNRESET at the end. */
static int read_front(struct proxy *p) {
	struct gateway *g = p->gateway;
	for (unsigned i = 0; i < READS_AT_ONCE; i++) {
		size_t room = room_for_reading(&p->to_back);
		if (!p->frames && p->kind == PROXY_HTTP) {
			room = MIN(room, p->body_left);
		}
		ssize_t n = room > 0 ? stream_read(p->front, g->scratch, room) : -EAGAIN;
		if (n <= 0) {
			return n == -EAGAIN ? 0 : n == 0 ? -ECONNRESET : (int)n;
		}
		if (p->frames) {
			n = ws_splice_feed(&p->up, g->scratch, (size_t)n, buffer_end(&p->to_back));
			if (n < 0) {
				return (int)n;
			}
			buffer_add(&p->to_back, (size_t)n);
		} else if (p->kind == PROXY_HTTP) {
			p->body_left -= (uint64_t)n;
			(void)buffer_put(&p->to_back, g->scratch, (size_t)n);
		} else if (p->state == PROXY_ASKING) {
			return -EBADMSG; /* before it was told that it is a WebSocket */
		}
		if (flush_back(p) < 0) {
			return 0; /* reading from there will tell */
		}
	}
	return 0;
}

static void handle_ready(void *data) {
	struct proxy *p = data;
	if (p->state == PROXY_CLOSING) {
		go_on_closing(p);
		return;
	}
	int r = flush_front(p);
	if (r == 0) {
		r = read_front(p);
	}
	if (r < 0) {
		if (r == -EBADMSG && p->frames) {
			close_frames(p, WS_CLOSE_PROTOCOL, "bad framing");
		} else {
			proxy_destroy(p);
		}
		return;
	}
	if (p->back && (r = flush_back(p)) == 0) {
		r = read_back(p);
	}
	if (r == -EPIPE && flush_front(p) < 0) {
		proxy_destroy(p);
	} else if (r < 0) {
		back_lost(p, r);
	} else if (p->frames && p->up.closed && p->down.closed) {
		begin_closing(p);
	} else {
		update_wants(p);
	}
}

static void handle_dialled(void *data, struct stream *stream, int error) {
	struct proxy *p = data;
	p->upstream = NULL;
	if (!stream) {
		p->gateway->stats.dials_failed++;
		back_lost(p, error);
		return;
	}
	p->back = stream;
	p->heard_ns = now_ns();
	stream_set_handler(stream, handle_ready, p);
	update_wants(p);
}

static int handle_timer(sd_event_source *source, uint64_t usec, void *data) {
	struct proxy *p = data;
	/* A bridge is not silent as long as we do not listen. */
	uint64_t silent = room_for_reading(&p->to_front) > 0 ? now_ns() - p->heard_ns : 0;
	if (p->state == PROXY_CLOSING) {
		proxy_destroy(p);
	} else if (p->state == PROXY_ASKING || silent >= SILENCE_TIME_NS) {
		back_lost(p, -ETIMEDOUT);
	} else {
		set_timer(p, SILENCE_TIME_NS - silent);
	}
	return 0;
}

static int format_request(struct proxy *p, const struct conn *c, struct http_text rest) {
	char key[WS_KEY_TEXT_SIZE];
	struct http_text text;
	bool frames = p->kind != PROXY_HTTP;
	if (frames) {
		if (http_get(&c->head, "Sec-WebSocket-Key", &text) < 0 ||
			http_text_copy(text, key, sizeof(key)) < 0) {
			return -EBADMSG;
		}
		ws_accept_key(key, p->accept);
	}
	ssize_t n = proxy_head_request(c, p->who, rest, frames ? key : NULL,
		(char *)buffer_end(&p->to_back), PROXY_HEAD_MAX);
	buffer_add(&p->to_back, n > 0 ? (size_t)n : 0);
	return n < 0 ? (int)n : 0;
}

/* A viewer that comes again, before its old connection was noticed to be dead. */
static void supersede(struct proxy *newer) {
	struct proxy *p, *next;
	list_for_each_safe(p, next, &newer->gateway->proxies, link) {
		if (p == newer || p->kind != newer->kind || p->desktop != newer->desktop ||
			p->state == PROXY_CLOSING || (p->state == PROXY_JOINED && !p->frames) ||
			strcmp(p->client_id, newer->client_id) != 0 ||
			strcmp(p->who->name, newer->who->name) != 0) {
			continue;
		}
		if (!p->frames) {
			/* It can only be told as a WebSocket: so it becomes one. */
			buffer_take(&p->to_front, buffer_filled(&p->to_front));
			put_switch(p);
		}
		close_frames(p, WS_CLOSE_SUPERSEDED, "superseded");
	}
}

static int proxy_create(struct conn *c, struct desktop *d, struct identity *who,
	enum proxy_kind kind, struct proxy **ret) {
	struct proxy *p = calloc(1, sizeof(*p));
	if (!p) {
		return -ENOMEM;
	}
	p->gateway = c->gateway;
	p->desktop = desktop_ref(d);
	p->who = identity_ref(who);
	p->kind = kind;
	p->up.from_client = true;
	p->up.view_only = who->role == ROLE_VIEW;
	list_append(&c->gateway->proxies, &p->link);
	(void)snprintf(p->peer, sizeof(p->peer), "%s", c->peer);
	int r = buffer_init(&p->to_front, TO_FRONT_SIZE);
	if (r >= 0) {
		r = buffer_init(&p->to_back, TO_BACK_SIZE);
	}
	if (r >= 0) {
		r = sd_event_add_time_relative(c->gateway->loop, &p->timer, CLOCK_MONOTONIC,
			ANSWER_TIME_NS / NSEC_PER_USEC, 0, handle_timer, p);
	}
	if (r < 0) {
		proxy_destroy(p);
		return r;
	}
	*ret = p;
	return 0;
}

void proxy_start(struct conn *c, struct desktop *d, struct identity *who, enum proxy_kind kind,
	struct http_text rest) {
	struct proxy *p;
	struct http_text path, query;
	size_t early_size;
	const void *early = conn_early(c, &early_size);
	uint64_t body = 0;
	int r = http_content_length(&c->head, &body);
	if (r == -EBADMSG || (kind != PROXY_HTTP && (early_size > 0 || body > 0))) {
		c->keep_alive = false; /* what follows is no request */
		conn_answer_text(c, 400, "Bad request.\n");
		return;
	}
	if (early_size > body) {
		early_size = (size_t)body; /* what follows the request is not answered */
	}
	r = proxy_create(c, d, who, kind, &p);
	if (r < 0) {
		conn_answer_text(c, 503, "Out of memory.\n");
		return;
	}
	p->body_left = body - early_size;
	r = format_request(p, c, rest);
	if (r >= 0) {
		r = buffer_put(&p->to_back, early, early_size);
	}
	if (r >= 0) {
		r = upstream_create(d, handle_dialled, p, &p->upstream);
	}
	if (r < 0) {
		proxy_destroy(p);
		conn_answer_text(c,
			r == -EBADMSG         ? 400
				: r == -E2BIG ? 431
					      : 503,
			"That cannot be passed on to the desktop.\n");
		return;
	}
	p->gateway->stats.dials++;
	p->front = conn_take_stream(c);
	stream_set_handler(p->front, handle_ready, p);
	http_split_target(c->head.target, &path, &query);
	if (kind != PROXY_HTTP &&
		http_query(query, "client_id", p->client_id, sizeof(p->client_id)) == 0 &&
		p->client_id[0] != '\0') {
		supersede(p);
	}
	update_wants(p);
}

void proxies_check_identities(struct gateway *g) {
	struct proxy *p, *next;
	list_for_each_safe(p, next, &g->proxies, link) {
		if (auth_knows(g->auth, p->who) || p->state == PROXY_CLOSING) {
			continue;
		}
		if (p->frames) {
			close_frames(p, WS_CLOSE_POLICY, "the token is no longer valid");
		} else {
			proxy_destroy(p);
		}
	}
}

void proxies_finish(struct gateway *g) {
	while (!list_empty(&g->proxies)) {
		struct proxy *p = list_first(&g->proxies, struct proxy, link);
		if (p->frames && !p->down.closed) {
			put_close(p, WS_CLOSE_RESTART, "the gateway ends");
			(void)flush_front(p);
		}
		proxy_destroy(p);
	}
}
