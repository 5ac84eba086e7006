/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <helix/ws.h>

#include "fetch.h"
#include "net/buffer.h"
#include "proto/http.h"
#include "upstream.h"

#define REQUEST_SIZE 512
/* Of an answer's head. */
#define HEAD_MAX  8192
#define GROW_STEP 16384

struct fetch {
	struct upstream *upstream; // NULL: not being dialled
	struct stream *stream;     // NULL until then
	sd_event_source *timer;
	char request[REQUEST_SIZE];
	size_t request_size, request_sent;
	uint8_t *answer;
	size_t filled, size, size_max;
	fetch_fn done;
	void *data;
};

static void finish(struct fetch *f, int status, struct blob *body) {
	fetch_fn done = f->done;
	void *data = f->data;
	fetch_destroy(f);
	done(data, status, body);
}

static int grow(struct fetch *f) {
	size_t size = MIN(f->size * 2 + GROW_STEP, f->size_max);
	if (f->filled == f->size_max) {
		return -EFBIG;
	}
	uint8_t *p = realloc(f->answer, size);
	if (!p) {
		return -ENOMEM;
	}
	f->answer = p;
	f->size = size;
	return 0;
}

/* 1: the answer is complete; 0: not yet; -errno. */
static int transfer(struct fetch *f) {
	while (f->request_sent < f->request_size) {
		ssize_t n = stream_write(
			f->stream, f->request + f->request_sent, f->request_size - f->request_sent);
		if (n < 0) {
			return n == -EAGAIN ? 0 : (int)n;
		}
		f->request_sent += (size_t)n;
	}
	for (;;) {
		int r = f->filled == f->size ? grow(f) : 0;
		if (r < 0) {
			return r;
		}
		ssize_t n = stream_read(f->stream, f->answer + f->filled, f->size - f->filled);
		if (n <= 0) {
			return n == 0 ? 1 : n == -EAGAIN ? 0 : (int)n;
		}
		f->filled += (size_t)n;
	}
}

/* It was HTTP/1.0, so the body is what came before the end; Content-Length says whether all did. */
static void complete(struct fetch *f) {
	struct http_head head;
	uint64_t length;
	ssize_t n = http_parse_response((const char *)f->answer, f->filled, &head);
	size_t body = n > 0 ? f->filled - (size_t)n : 0;
	if (n <= 0 || http_count(&head, "Transfer-Encoding") > 0) {
		finish(f, -EBADMSG, NULL);
		return;
	}
	int r = http_content_length(&head, &length);
	if (r == -EBADMSG || (r == 0 && length > body)) {
		finish(f, -EBADMSG, NULL);
		return;
	}
	struct blob *blob = body > 0 ? blob_create(f->answer + n, body) : NULL;
	finish(f, body > 0 && !blob ? -ENOMEM : (int)head.status, blob);
}

static void handle_ready(void *data) {
	struct fetch *f = data;
	int r = transfer(f);
	if (r < 0) {
		finish(f, r, NULL);
	} else if (r > 0) {
		complete(f);
	} else {
		(void)stream_want(f->stream, true,
			f->request_sent < f->request_size || stream_unsent(f->stream) > 0);
	}
}

static void handle_dialled(void *data, struct stream *stream, int error) {
	struct fetch *f = data;
	f->upstream = NULL;
	if (!stream) {
		finish(f, error, NULL);
		return;
	}
	f->stream = stream;
	stream_set_handler(stream, handle_ready, f);
	(void)stream_want(stream, true, true);
}

static int handle_timeout(sd_event_source *source, uint64_t usec, void *data) {
	finish(data, -ETIMEDOUT, NULL);
	return 0;
}

int fetch_create(struct desktop *d, const char *path, size_t body_max, unsigned timeout_ms,
	fetch_fn done, void *data, struct fetch **ret) {
	struct fetch *f = calloc(1, sizeof(*f));
	if (!f) {
		return -ENOMEM;
	}
	f->done = done;
	f->data = data;
	f->size_max = HEAD_MAX + body_max;
	/* 1.0, so that the body comes in one piece. */
	int n = snprintf(f->request, sizeof(f->request),
		"GET %s HTTP/1.0\r\nHost: localhost:%u\r\nConnection: close\r\n\r\n", path,
		(unsigned)BRIDGE_PORT_DEFAULT);
	int r = n < 0 || (size_t)n >= sizeof(f->request) ? -ENAMETOOLONG : 0;
	f->request_size = (size_t)n;
	if (r >= 0) {
		r = sd_event_add_time_relative(d->gateway->loop, &f->timer, CLOCK_MONOTONIC,
			timeout_ms * UINT64_C(1000), 0, handle_timeout, f);
	}
	if (r >= 0) {
		r = upstream_create(d, handle_dialled, f, &f->upstream);
	}
	if (r < 0) {
		fetch_destroy(f);
		return r;
	}
	*ret = f;
	return 0;
}

void fetch_destroy(struct fetch *f) {
	if (!f) {
		return;
	}
	sd_event_source_disable_unref(f->timer);
	upstream_destroy(f->upstream);
	stream_destroy(f->stream);
	free(f->answer);
	free(f);
}
