/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "either.h"
#include "util.h"

struct either {
	struct clipboard_backend base;
	struct clipboard_backend *first, *second;
	struct clipboard_backend *used;        // NULL: neither is available
	const struct clipboard_events *events; // may be NULL
	void *data;                            /* of events */
};

static const struct clipboard_events second_events;

static void use(struct either *e, struct clipboard_backend *b) {
	if (e->used) {
		e->used = NULL;
		e->events->available(false, e->data);
	}
	if (b) {
		e->used = b;
		e->events->available(true, e->data);
	}
}

static void handle_first(bool available, void *data) {
	struct either *e = data;
	if (available) {
		e->second->ops->listen(e->second, NULL, NULL);
		use(e, e->first);
	} else {
		use(e, NULL);
		e->second->ops->listen(e->second, &second_events, e);
	}
}

static void handle_second(bool available, void *data) {
	struct either *e = data;
	use(e, available ? e->second : NULL);
}

static void handle_offered(const char *const *types, size_t n, void *data) {
	struct either *e = data;
	e->events->offered(types, n, e->data);
}

static void handle_owned(void *data) {
	struct either *e = data;
	e->events->owned(e->data);
}

static void handle_wanted(const char *type, int fd, uint32_t token, void *data) {
	struct either *e = data;
	e->events->wanted(type, fd, token, e->data);
}

static const struct clipboard_events first_events = {
	.available = handle_first,
	.offered = handle_offered,
	.owned = handle_owned,
	.wanted = handle_wanted,
};

static const struct clipboard_events second_events = {
	.available = handle_second,
	.offered = handle_offered,
	.owned = handle_owned,
	.wanted = handle_wanted,
};

static void either_listen(
	struct clipboard_backend *b, const struct clipboard_events *events, void *data) {
	struct either *e = (struct either *)b;
	e->events = events;
	e->data = data;
	e->used = NULL;
	e->first->ops->listen(e->first, events ? &first_events : NULL, e);
	e->second->ops->listen(e->second, events ? &second_events : NULL, e);
}

/* These are only called while there is one that is available. */

static int either_read(
	struct clipboard_backend *b, const char *type, clipboard_fd_fn done, void *data) {
	struct either *e = (struct either *)b;
	return e->used ? e->used->ops->read(e->used, type, done, data) : -ENOTCONN;
}

static void either_cancel_read(struct clipboard_backend *b) {
	struct either *e = (struct either *)b;
	if (e->used) {
		e->used->ops->cancel_read(e->used);
	}
}

static int either_offer(struct clipboard_backend *b, const char *const *types, size_t n,
	clipboard_done_fn done, void *data) {
	struct either *e = (struct either *)b;
	return e->used ? e->used->ops->offer(e->used, types, n, done, data) : -ENOTCONN;
}

static void either_served(struct clipboard_backend *b, uint32_t token, bool well) {
	struct either *e = (struct either *)b;
	if (e->used && e->used->ops->served) {
		e->used->ops->served(e->used, token, well);
	}
}

static const struct clipboard_backend_ops either_ops = {
	.name = "auto",
	.listen = either_listen,
	.read = either_read,
	.cancel_read = either_cancel_read,
	.offer = either_offer,
	.served = either_served,
};

int clipboard_either_create(struct clipboard_backend *first, struct clipboard_backend *second,
	struct clipboard_backend **ret) {
	struct either *e = calloc(1, sizeof(*e));
	if (!e) {
		return -ENOMEM;
	}
	*e = (struct either){.base.ops = &either_ops, .first = first, .second = second};
	*ret = &e->base;
	return 0;
}

void clipboard_either_destroy(struct clipboard_backend *b) {
	free(b);
}
