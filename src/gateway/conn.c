/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "conn.h"
#include "log.h"

LOG_MODULE("http");

#define TEXT_TYPE "text/plain; charset=utf-8"

/* For a whole request, TLS included; between two of them; for an answer that nobody takes. */
#define REQUEST_TIME_NS (10 * NSEC_PER_SEC)
#define IDLE_TIME_NS    (60 * NSEC_PER_SEC)
#define ANSWER_TIME_NS  (30 * NSEC_PER_SEC)
#define LINGER_TIME_NS  (1 * NSEC_PER_SEC)
/* Of what comes while lingering. */
#define OUT_SIZE (16 * 1024)
/* Pieces of a body that are written before the loop goes on with somebody else. */
#define PIECES_AT_ONCE 16

/* The page may load what is its own, and nothing else; nobody may frame it. */
#define CONTENT_POLICY                                                                       \
	"Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; " \
	"img-src 'self' data: blob:; media-src 'self' blob:; font-src 'self'; "              \
	"connect-src 'self'; worker-src 'self' blob:; manifest-src 'self'; "                 \
	"base-uri 'none'; form-action 'self'; frame-ancestors 'none'\r\n"

#define SECURITY_HEADERS                              \
	"X-Content-Type-Options: nosniff\r\n"         \
	"Referrer-Policy: same-origin\r\n"            \
	"Cross-Origin-Opener-Policy: same-origin\r\n" \
	"Cross-Origin-Resource-Policy: same-origin\r\n"

static const char *reason_of(unsigned status) {
	static const struct {
		unsigned status;
		const char *reason;
	} reasons[] = {
		{200, "OK"},
		{204, "No Content"},
		{303, "See Other"},
		{304, "Not Modified"},
		{400, "Bad Request"},
		{401, "Unauthorized"},
		{403, "Forbidden"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{408, "Request Timeout"},
		{411, "Length Required"},
		{413, "Content Too Large"},
		{414, "URI Too Long"},
		{426, "Upgrade Required"},
		{431, "Request Header Fields Too Large"},
		{500, "Internal Server Error"},
		{501, "Not Implemented"},
		{502, "Bad Gateway"},
		{503, "Service Unavailable"},
		{504, "Gateway Timeout"},
		{505, "HTTP Version Not Supported"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++) {
		if (reasons[i].status == status) {
			return reasons[i].reason;
		}
	}
	return "Unknown";
}

ssize_t format_answer_head(char *p, size_t size, unsigned status, const char *type,
	const char *headers, uint64_t length, bool keep_alive) {
	char date[64];
	struct tm tm;
	time_t now = time(NULL);
	(void)gmtime_r(&now, &tm);
	(void)strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
	bool policy = headers && strstr(headers, "Content-Security-Policy:");
	int n = snprintf(p, size,
		"HTTP/1.1 %u %s\r\nDate: %s\r\n%s%s%s%s" SECURITY_HEADERS
		"%sContent-Length: %llu\r\nConnection: %s\r\n\r\n",
		status, reason_of(status), date, type ? "Content-Type: " : "", type ? type : "",
		type ? "\r\n" : "", headers ? headers : "", policy ? "" : CONTENT_POLICY,
		(unsigned long long)length, keep_alive ? "keep-alive" : "close");
	return n < 0 || (size_t)n >= size ? -ENOBUFS : n;
}

static void set_deadline(struct conn *c, uint64_t ns) {
	c->deadline_ns = now_ns() + ns;
	(void)sd_event_source_set_time(c->timer, c->deadline_ns / NSEC_PER_USEC);
	(void)sd_event_source_set_enabled(c->timer, SD_EVENT_ONESHOT);
}

void conn_destroy(struct conn *c) {
	if (!c) {
		return;
	}
	list_remove(&c->link);
	list_remove(&c->waiter);
	sd_event_source_disable_unref(c->timer);
	stream_destroy(c->stream);
	identity_unref(c->who);
	blob_unref(c->blob);
	(void)close_fd(c->file);
	buffer_finish(&c->in);
	buffer_finish(&c->out);
	free(c);
}

static void begin_answer(
	struct conn *c, unsigned status, const char *type, const char *headers, uint64_t length) {
	struct gateway *g = c->gateway;
	ssize_t n = format_answer_head((char *)buffer_end(&c->out), buffer_room(&c->out), status,
		type, headers, length, c->keep_alive);
	if (n < 0) {
		/* Only our own headers are in it, and there is nothing else in the buffer. */
		abort();
	}
	buffer_add(&c->out, (size_t)n);
	g->stats.answers[status / 100]++;
	g->stats.unauthorized += status == 401 || status == 403;
	log_debug("%s: %u", c->peer, status);
}

void conn_answer_blob(struct conn *c, const char *type, const char *headers, struct blob *blob) {
	begin_answer(c, 200, type, headers, blob->size);
	if (c->head_only) {
		blob_unref(blob);
		return;
	}
	c->blob = blob;
	c->blob_at = 0;
}

void conn_answer(struct conn *c, unsigned status, const char *type, const char *headers,
	const void *body, size_t n) {
	struct blob *blob = n > 0 && !c->head_only ? blob_create(body, n) : NULL;
	begin_answer(c, status, type, headers, blob || c->head_only ? n : 0);
	c->blob = blob;
	c->blob_at = 0;
}

void conn_answer_text(struct conn *c, unsigned status, const char *text) {
	conn_answer(c, status, TEXT_TYPE,
		status == 401 ? "WWW-Authenticate: Bearer\r\nCache-Control: no-store\r\n"
			      : "Cache-Control: no-store\r\n",
		text, strlen(text));
}

void conn_answer_method(struct conn *c, const char *allowed, const char *text) {
	char headers[64];
	(void)snprintf(
		headers, sizeof(headers), "Allow: %s\r\nCache-Control: no-store\r\n", allowed);
	conn_answer(c, 405, TEXT_TYPE, headers, text, strlen(text));
}

void conn_answer_file(
	struct conn *c, const char *type, const char *headers, int fd, uint64_t size) {
	begin_answer(c, 200, type, headers, size);
	if (c->head_only) {
		(void)close_fd(fd);
		return;
	}
	c->file = fd;
	c->file_left = size;
}

void conn_upgrade(struct conn *c, const char *head, void (*upgraded)(struct conn *c)) {
	if (buffer_put(&c->out, head, strlen(head)) < 0) {
		abort(); /* the buffer is empty, and heads are short */
	}
	c->upgraded = upgraded;
	c->gateway->stats.answers[1]++;
}

struct stream *conn_take_stream(struct conn *c) {
	struct stream *stream = c->stream;
	c->stream = NULL;
	return stream;
}

/* Puts the next piece of the body into `out`: false if there is no more. */
static bool next_piece(struct conn *c) {
	size_t room = buffer_room(&c->out);
	uint8_t *end = buffer_end(&c->out);
	if (c->blob) {
		size_t n = MIN(room, c->blob->size - c->blob_at);
		memcpy(end, c->blob->data + c->blob_at, n);
		buffer_add(&c->out, n);
		c->blob_at += n;
		if (c->blob_at == c->blob->size) {
			blob_unref(c->blob);
			c->blob = NULL;
		}
		return n > 0;
	}
	if (c->file >= 0) {
		ssize_t n = read(c->file, end, MIN(room, c->file_left));
		/* Shorter than it was when its size was told: all that can be done is to end. */
		c->keep_alive = c->keep_alive && n > 0;
		c->file_left -= n > 0 ? (uint64_t)n : c->file_left;
		buffer_add(&c->out, n > 0 ? (size_t)n : 0);
		if (c->file_left == 0) {
			c->file = close_fd(c->file);
		}
		return n > 0;
	}
	return false;
}

/* 1: all of the answer is written; 0: not yet; -errno. */
static int write_answer(struct conn *c) {
	for (unsigned i = 0; i < PIECES_AT_ONCE; i++) {
		if (buffer_filled(&c->out) == 0 && !next_piece(c)) {
			return 1;
		}
		ssize_t n = stream_write(c->stream, buffer_front(&c->out), buffer_filled(&c->out));
		if (n == -EAGAIN) {
			return 0;
		}
		if (n < 0) {
			return (int)n;
		}
		buffer_take(&c->out, (size_t)n);
		set_deadline(c, ANSWER_TIME_NS);
	}
	return buffer_filled(&c->out) == 0 && !c->blob && c->file < 0;
}

static void refuse(struct conn *c, unsigned status, const char *text) {
	c->busy = true;
	c->keep_alive = false;
	c->head_only = false;
	c->head_size = 0;
	conn_answer_text(c, status, text);
}

static void begin_request(struct conn *c, size_t size) {
	c->head_size = size;
	c->busy = true;
	c->head_only = http_text_is(c->head.method, "HEAD");
	/* After a request with a body the next one is not looked for. */
	c->keep_alive = c->head.minor == 1 && !http_has_token(&c->head, "Connection", "close") &&
		http_count(&c->head, "Content-Length") == 0 &&
		http_count(&c->head, "Transfer-Encoding") == 0;
	identity_unref(c->who);
	c->who = NULL;
	c->by_cookie = false;
}

/* Looks for the next request in what was read, and has it routed. True: there was one. */
static bool next_request(struct conn *c) {
	const char *p = (const char *)buffer_front(&c->in);
	ssize_t n = http_parse_request(p, buffer_filled(&c->in), &c->head);
	if (n == 0) {
		if (buffer_filled(&c->in) < CONN_HEAD_MAX) {
			return false;
		}
		refuse(c, 431, "The request's head is too large.\n");
	} else if (n == -E2BIG || n > CONN_HEAD_MAX) {
		refuse(c, 431, "The request's head is too large.\n");
	} else if (n == -EPROTONOSUPPORT) {
		refuse(c, 505, "HTTP/1.0 and 1.1 are spoken here.\n");
	} else if (n < 0) {
		refuse(c, 400, "That is no HTTP request.\n");
	} else {
		begin_request(c, (size_t)n);
		if (route(c) == ROUTED_MORE) {
			c->busy = false;
			if (buffer_room(&c->in) > 0) {
				return false;
			}
			refuse(c, 413, "The request's body is too large.\n");
		}
		c->gateway->stats.requests++;
	}
	return true;
}

/* 1: something came; 0: nothing more now; -errno, -ECONNRESET at the end. */
static int read_more(struct conn *c) {
	uint8_t *end = buffer_end(&c->in);
	size_t room = buffer_room(&c->in);
	ssize_t n = room > 0 ? stream_read(c->stream, end, room) : -EAGAIN;
	if (n <= 0) {
		return n == 0 ? -ECONNRESET : n == -EAGAIN ? 0 : (int)n;
	}
	if (buffer_filled(&c->in) == 0) {
		set_deadline(c, REQUEST_TIME_NS);
	}
	buffer_add(&c->in, (size_t)n);
	return 1;
}

/* The request is answered. 0, or -ESHUTDOWN: that was the last one. */
static int end_request(struct conn *c) {
	if (c->upgraded) {
		c->upgraded(c);
		return -ESHUTDOWN;
	}
	/* Of a request that was refused, nothing after it can be understood. */
	buffer_take(&c->in, c->keep_alive ? c->head_size : buffer_filled(&c->in));
	c->busy = false;
	c->head_size = 0;
	c->lingering = !c->keep_alive;
	bool idle = buffer_filled(&c->in) == 0;
	set_deadline(c, c->lingering ? LINGER_TIME_NS : idle ? IDLE_TIME_NS : REQUEST_TIME_NS);
	return 0;
}

/*
 * An answer is lost if the connection is closed over bytes that were not read. So what comes is
 * thrown away, until the other end closes too, or for a second.
 */
static int linger(struct conn *c) {
	struct gateway *g = c->gateway;
	for (unsigned i = 0; i < PIECES_AT_ONCE; i++) {
		ssize_t n = stream_read(c->stream, g->scratch, sizeof(g->scratch));
		if (n <= 0) {
			return n == 0 ? -ECONNRESET : n == -EAGAIN ? 0 : (int)n;
		}
	}
	return 0;
}

/* Does all that can be done now. The conn is gone, or waits for its stream, somebody, or time. */
void conn_resume(struct conn *c) {
	int r = 0;
	unsigned i;
	for (i = 0; r >= 0 && i < PIECES_AT_ONCE; i++) {
		if (c->lingering) {
			r = linger(c);
			break;
		}
		if (c->busy) {
			bool waits = !list_empty(&c->waiter);
			r = waits ? read_more(c) : write_answer(c);
			if (r == 1 && !waits) {
				r = end_request(c);
				continue;
			}
			if (!waits || r <= 0) {
				break;
			}
			continue;
		}
		if (next_request(c)) {
			if (!c->stream) {
				r = -ESHUTDOWN;
			}
			continue;
		}
		r = read_more(c);
		if (r == 0) {
			break;
		}
	}
	if (r < 0) {
		conn_destroy(c);
		return;
	}
	bool writing = c->busy && list_empty(&c->waiter);
	/* Interrupted for the sake of others: what is left to do may need no more bytes. */
	bool interrupted = i == PIECES_AT_ONCE;
	(void)stream_want(c->stream, !writing && buffer_room(&c->in) > 0, writing || interrupted);
}

static void handle_ready(void *data) {
	conn_resume(data);
}

static int handle_timer(sd_event_source *source, uint64_t usec, void *data) {
	struct conn *c = data;
	if (!c->busy && !c->lingering && buffer_filled(&c->in) > 0) {
		/* Who sends a request byte by byte is told once, if that can be had at once. */
		refuse(c, 408, "The request took too long.\n");
		(void)write_answer(c);
	}
	if (!c->lingering && (c->busy || buffer_filled(&c->in) > 0)) {
		c->gateway->stats.timeouts++;
	}
	conn_destroy(c);
	return 0;
}

int conn_create(struct gateway *g, struct stream *stream, const char *peer) {
	struct conn *c = calloc(1, sizeof(*c));
	if (!c) {
		stream_destroy(stream);
		return -ENOMEM;
	}
	c->gateway = g;
	c->stream = stream;
	c->file = -1;
	list_init(&c->waiter);
	list_append(&g->conns, &c->link);
	(void)snprintf(c->peer, sizeof(c->peer), "%s", peer);
	int r = buffer_init(&c->in, CONN_HEAD_MAX);
	if (r >= 0) {
		r = buffer_init(&c->out, OUT_SIZE);
	}
	if (r >= 0) {
		r = sd_event_add_time_relative(g->loop, &c->timer, CLOCK_MONOTONIC,
			REQUEST_TIME_NS / NSEC_PER_USEC, 0, handle_timer, c);
	}
	if (r < 0) {
		conn_destroy(c);
		return r;
	}
	stream_set_handler(stream, handle_ready, c);
	(void)stream_want(stream, true, false);
	return 0;
}
