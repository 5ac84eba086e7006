/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>

#include "clipboard/either.h"
#include "test.h"

struct fake {
	struct clipboard_backend base;
	const struct clipboard_events *events; /* NULL: nobody listens */
	void *data;
	unsigned reads, offers, cancels;
};

struct heard {
	bool available;
	unsigned changes, offered, owned;
};

static void fake_listen(
	struct clipboard_backend *b, const struct clipboard_events *events, void *data) {
	struct fake *f = (struct fake *)b;
	f->events = events;
	f->data = data;
}

static int fake_read(
	struct clipboard_backend *b, const char *type, clipboard_fd_fn done, void *data) {
	((struct fake *)b)->reads++;
	return 0;
}

static void fake_cancel(struct clipboard_backend *b) {
	((struct fake *)b)->cancels++;
}

static int fake_offer(struct clipboard_backend *b, const char *const *types, size_t n,
	clipboard_done_fn done, void *data) {
	((struct fake *)b)->offers++;
	return 0;
}

static const struct clipboard_backend_ops fake_ops = {
	.name = "fake",
	.listen = fake_listen,
	.read = fake_read,
	.cancel_read = fake_cancel,
	.offer = fake_offer,
};

static void handle_available(bool available, void *data) {
	struct heard *h = data;
	check(available != h->available); /* it alternates */
	h->available = available;
	h->changes++;
}

static void handle_offered(const char *const *types, size_t n, void *data) {
	((struct heard *)data)->offered++;
}

static void handle_owned(void *data) {
	((struct heard *)data)->owned++;
}

static const struct clipboard_events events = {
	.available = handle_available,
	.offered = handle_offered,
	.owned = handle_owned,
};

TEST(first_one_wins) {
	struct fake first = {.base.ops = &fake_ops}, second = {.base.ops = &fake_ops};
	struct clipboard_backend *b;
	struct heard h = {0};
	check_int(clipboard_either_create(&first.base, &second.base, &b), ==, 0);
	check(!first.events && !second.events);
	b->ops->listen(b, &events, &h);
	check(first.events && second.events);
	check_int(b->ops->read(b, "text/plain", NULL, NULL), ==, -ENOTCONN);
	check_int(b->ops->offer(b, NULL, 0, NULL, NULL), ==, -ENOTCONN);
	b->ops->cancel_read(b);

	second.events->available(true, second.data);
	second.events->offered(NULL, 0, second.data);
	check(h.available && h.offered == 1);
	check_int(b->ops->read(b, "text/plain", NULL, NULL), ==, 0);
	b->ops->cancel_read(b);
	check(second.reads == 1 && second.cancels == 1 && first.reads == 0);

	first.events->available(true, first.data); /* and the other one is gone in between */
	check(h.available && h.changes == 3 && !second.events);
	first.events->owned(first.data);
	check_int(h.owned, ==, 1);
	check_int(b->ops->offer(b, NULL, 0, NULL, NULL), ==, 0);
	b->ops->served(b, 1, true); /* which this one does not want to know */
	check(first.offers == 1 && second.offers == 0);

	first.events->available(false, first.data);
	check(!h.available && h.changes == 4 && second.events);
	second.events->available(true, second.data);
	check(h.available && h.changes == 5);
	b->ops->listen(b, NULL, NULL);
	check(!first.events && !second.events);
	clipboard_either_destroy(b);
}
