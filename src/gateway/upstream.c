/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>

#include "net/dial.h"
#include "revdial-server.h"
#include "upstream.h"

#define CONNECT_TIME_MS 5000u

/* One of the two is not NULL. */
struct upstream {
	struct gateway *gateway;
	struct dial *dial;
	struct pickup *pickup;
	upstream_fn done;
	void *data;
};

static void finish(struct upstream *u, struct stream *stream, int error) {
	upstream_fn done = u->done;
	void *data = u->data;
	upstream_destroy(u);
	done(data, stream, error);
}

static void handle_dialled(void *data, int fd) {
	struct upstream *u = data;
	struct stream *stream = NULL;
	u->dial = NULL;
	int r = fd >= 0 ? stream_create(u->gateway->loop, fd, &stream) : fd;
	finish(u, stream, r);
}

static void handle_picked_up(void *data, struct stream *stream, int error) {
	struct upstream *u = data;
	u->pickup = NULL;
	finish(u, stream, error);
}

int upstream_create(struct desktop *d, upstream_fn done, void *data, struct upstream **ret) {
	struct upstream *u = calloc(1, sizeof(*u));
	if (!u) {
		return -ENOMEM;
	}
	*u = (struct upstream){.gateway = d->gateway, .done = done, .data = data};
	int r = -EHOSTUNREACH;
	if (d->direct) {
		r = dial_create(d->gateway->loop, d->direct->host, d->direct->port, CONNECT_TIME_MS,
			handle_dialled, u, &u->dial);
	} else if (d->runner) {
		r = pickup_create(d->runner, handle_picked_up, u, &u->pickup);
	}
	if (r < 0) {
		free(u);
		return r;
	}
	*ret = u;
	return 0;
}

void upstream_destroy(struct upstream *u) {
	if (!u) {
		return;
	}
	dial_destroy(u->dial);
	pickup_destroy(u->pickup);
	free(u);
}
