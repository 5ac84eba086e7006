/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "early.h"

static bool merge(struct early *e, const struct input_client *c, const struct ws_event *event) {
	struct early_event *last = e->n > 0 ? &e->events[e->n - 1] : NULL;
	if (!last || last->client != c || !ws_event_is_move(event) ||
		last->event.kind != event->kind) {
		return false;
	}
	double dx = last->event.dx, dy = last->event.dy;
	last->event = *event;
	last->event.dx += dx;
	last->event.dy += dy;
	return true;
}

static size_t forget_all(struct early *e) {
	size_t n = e->n;
	e->n = 0;
	return n;
}

size_t early_expire(struct early *e, uint64_t time_ns) {
	return e->n > 0 && time_ns - e->since_ns > EARLY_NS ? forget_all(e) : 0;
}

size_t early_add(
	struct early *e, struct input_client *c, const struct ws_event *event, uint64_t time_ns) {
	size_t lost = early_expire(e, time_ns);
	if (merge(e, c, event)) {
		return lost;
	}
	if (e->n == EARLY_MAX) {
		lost += forget_all(e);
	}
	if (e->n == 0) {
		e->since_ns = time_ns;
	}
	e->events[e->n++] = (struct early_event){.client = c, .event = *event};
	return lost;
}

void early_hand_over(struct early *e, const struct input_client *from, struct input_client *to) {
	for (size_t i = 0; i < e->n; i++) {
		if (e->events[i].client == from) {
			e->events[i].client = to;
		}
	}
}
