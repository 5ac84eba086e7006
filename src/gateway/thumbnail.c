/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fetch.h"
#include "thumbnail.h"

/* `width` is an extension of our bridge; others give the whole picture. */
#define SCREENSHOT_PATH "/screenshot?format=jpeg&quality=60&width=480"
#define THUMBNAIL_MAX   (4 * 1024 * 1024)
#define FETCH_TIME_MS   8000u
/* After a failure, and for desktops whose thumbnail nobody wants but whose state is asked for. */
#define PROBE_EVERY_NS (5 * NSEC_PER_SEC)

/* `asked_now`: the request's head is still there to be looked at. */
static void answer(struct conn *c, const struct thumbnail *t, bool asked_now) {
	char headers[128], etag[64];
	struct http_text text;
	(void)snprintf(etag, sizeof(etag), "\"%llx-%llx\"", (unsigned long long)t->taken_ns,
		(unsigned long long)t->version);
	(void)snprintf(
		headers, sizeof(headers), "Cache-Control: private, no-cache\r\nETag: %s\r\n", etag);
	if (asked_now && http_get(&c->head, "If-None-Match", &text) == 0 &&
		http_text_is(text, etag)) {
		conn_answer(c, 304, NULL, headers, NULL, 0);
		return;
	}
	conn_answer_blob(c, "image/jpeg", headers, blob_ref(t->jpeg));
}

static void answer_waiters(struct desktop *d, bool good) {
	struct thumbnail *t = &d->thumbnail;
	while (!list_empty(&t->waiters)) {
		struct conn *c = list_first(&t->waiters, struct conn, waiter);
		list_remove(&c->waiter);
		if (good) {
			answer(c, t, false);
		} else {
			conn_answer_text(c, 503, "There is no picture of this desktop now.\n");
		}
		conn_resume(c);
	}
}

static bool is_jpeg(const struct blob *b) {
	return b && b->size > 3 && b->data[0] == 0xff && b->data[1] == 0xd8 && b->data[2] == 0xff;
}

static void handle_fetched(void *data, int status, struct blob *body) {
	struct desktop *d = data;
	struct thumbnail *t = &d->thumbnail;
	bool good = status == 200 && is_jpeg(body);
	t->fetch = NULL;
	/* An answer of any kind is one. RevDial knows better whether the bridge is there. */
	if (d->direct) {
		desktop_set_state(d, status > 0 ? DESKTOP_ONLINE : DESKTOP_OFFLINE);
	}
	if (good) {
		blob_unref(t->jpeg);
		t->jpeg = blob_ref(body);
		t->taken_ns = now_ns();
		t->version++;
		d->gateway->stats.thumbnails++;
	} else {
		d->gateway->stats.thumbnails_failed++;
	}
	blob_unref(body);
	answer_waiters(d, good);
}

static int start(struct desktop *d) {
	struct thumbnail *t = &d->thumbnail;
	t->tried_ns = now_ns();
	return fetch_create(
		d, SCREENSHOT_PATH, THUMBNAIL_MAX, FETCH_TIME_MS, handle_fetched, d, &t->fetch);
}

void thumbnail_answer(struct conn *c, struct desktop *d) {
	struct thumbnail *t = &d->thumbnail;
	uint64_t now = now_ns(), fresh_ns = d->gateway->options.thumbnail_ms * NSEC_PER_MSEC;
	if (t->jpeg && now - t->taken_ns < fresh_ns) {
		answer(c, t, true);
		return;
	}
	/* A bridge that has just failed is left alone for a moment. */
	bool too_soon = t->tried_ns > 0 && now - t->tried_ns < fresh_ns;
	if (!t->fetch && (too_soon || start(d) < 0)) {
		conn_answer_text(c, 503, "There is no picture of this desktop now.\n");
		return;
	}
	list_append(&t->waiters, &c->waiter);
}

void thumbnail_probe(struct desktop *d) {
	struct thumbnail *t = &d->thumbnail;
	bool lately = t->tried_ns > 0 && now_ns() - t->tried_ns < PROBE_EVERY_NS;
	if (d->direct && !t->fetch && !lately) {
		(void)start(d);
	}
}

void thumbnail_finish(struct desktop *d) {
	struct thumbnail *t = &d->thumbnail;
	fetch_destroy(t->fetch);
	t->fetch = NULL;
	answer_waiters(d, false);
	blob_unref(t->jpeg);
	t->jpeg = NULL;
}
