/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One HTTP/1.1 connection: reads requests one after the other, and writes the answers. */
#ifndef HELIX_GATEWAY_CONN_H
#define HELIX_GATEWAY_CONN_H

#include "auth.h"
#include "blob.h"
#include "gateway.h"
#include "net/buffer.h"
#include "proto/http.h"

#define CONN_HEAD_MAX 8192u

struct conn {
	struct list link; // gateway.conns
	struct gateway *gateway;
	struct stream *stream; // NULL once it was taken
	char peer[64];
	struct buffer in, out;
	sd_event_source *timer;
	uint64_t deadline_ns; /* of what it is doing */

	/* The request under way. */
	struct http_head head; /* points into `in` */
	size_t head_size;
	struct identity *who; // NULL: not known
	bool by_cookie;       /* that is how `who` is known */
	bool busy;            /* routed, and not answered to the end */
	bool keep_alive;
	bool head_only; /* the method is HEAD */

	/* Called when the answer is written: takes the stream. NULL: the next request follows. */
	void (*upgraded)(struct conn *c);

	/* The answer's body, one of these. */
	struct blob *blob; // may be NULL
	size_t blob_at;
	int file; /* -1: none */
	uint64_t file_left;

	bool lingering;     /* all is said; waits for the other end to close */
	struct list waiter; // thumbnail.waiters, while it waits for one
};

/* Consumes the stream, also on failure. */
int conn_create(struct gateway *g, struct stream *stream, const char *peer);
void conn_destroy(struct conn *c);

/*
 * Answers of a request; each is given one. `headers` are lines with their CRLF, or NULL. The blob's
 * reference and the file are consumed.
 */
void conn_answer(struct conn *c, unsigned status, const char *type, const char *headers,
	const void *body, size_t n);
void conn_answer_text(struct conn *c, unsigned status, const char *text);
/** 405: another method than those `allowed`, which are named as in the Allow header. */
void conn_answer_method(struct conn *c, const char *allowed, const char *text);
void conn_answer_blob(struct conn *c, const char *type, const char *headers, struct blob *blob);
void conn_answer_file(struct conn *c, const char *type, const char *headers, int fd, uint64_t size);
/* The connection changes hands after this head, which is all of the answer. */
void conn_upgrade(struct conn *c, const char *head, void (*upgraded)(struct conn *c));
/* Goes on after an answer that was given from elsewhere than route(). May destroy it. */
void conn_resume(struct conn *c);

/* Gives the stream away, and what was read beyond the request's head; the conn is destroyed soon. */
struct stream *conn_take_stream(struct conn *c);
/* What was read beyond the head; valid as long as the conn. */
static inline const void *conn_early(const struct conn *c, size_t *ret_size) {
	*ret_size = buffer_filled(&c->in) - c->head_size;
	return buffer_front(&c->in) + c->head_size;
}

/* The head of an answer, also for those who took the stream. Returns its size, or -ENOBUFS. */
ssize_t format_answer_head(char *p, size_t size, unsigned status, const char *type,
	const char *headers, uint64_t length, bool keep_alive);

enum routed {
	ROUTED,      /* answered, or will be, or the stream was taken */
	ROUTED_MORE, /* more of the request's body must be in `in` first */
};

/* route.c: a request's head is there. */
enum routed route(struct conn *c);

#endif
