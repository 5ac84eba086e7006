/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rate.h"
#include "util.h"

#define WINDOW_NS (500 * NSEC_PER_MSEC)
/* Of a window, in percent: with less, the link was waiting for us rather than we for it. */
#define BUSY_PERCENT 60u
/* Left for what else goes over the link, and so that a queue can drain. */
#define USABLE_PERCENT 85u
#define EASY_NS        (3 * NSEC_PER_SEC)
#define RAISE_PERCENT  15u /* each EASY_NS without waiting */
#define RATE_MIN       150000u
#define RATE_MAX       100000000u /* beyond it there is nothing to bound */

void rate_init(struct rate *r, uint32_t wish, uint64_t now) {
	*r = (struct rate){.wish = wish, .window_ns = now, .last_ns = now, .easy_since_ns = now};
}

static bool set_cap(struct rate *r, uint64_t cap) {
	uint32_t old = r->cap;
	r->cap = cap > RATE_MAX ? RATE_UNBOUND : (uint32_t)MAX(cap, RATE_MIN);
	return r->cap != old;
}

static bool end_window(struct rate *r, uint64_t sent, uint64_t now) {
	uint64_t span = now - r->window_ns, bytes = sent - r->window_bytes;
	bool changed = false;
	if (r->busy_ns * 100 >= span * BUSY_PERCENT) {
		uint64_t measured = bytes * 8 * NSEC_PER_SEC / span * USABLE_PERCENT / 100;
		/* Half of the way up, but all of the way down: too much is what hurts. */
		if (r->cap != RATE_UNBOUND && measured > r->cap) {
			measured = (measured + r->cap) / 2;
		}
		changed = set_cap(r, measured);
		r->easy_since_ns = now;
	} else if (r->busy_ns * 100 > span * BUSY_PERCENT / 4) {
		r->easy_since_ns = now;
	} else if (r->cap != RATE_UNBOUND && now - r->easy_since_ns >= EASY_NS) {
		changed = set_cap(r, (uint64_t)r->cap * (100 + RAISE_PERCENT) / 100);
		r->easy_since_ns = now;
	}
	r->window_ns = now;
	r->window_bytes = sent;
	r->busy_ns = 0;
	return changed;
}

bool rate_update(struct rate *r, uint64_t sent, bool busy, uint64_t now) {
	if (r->was_busy) {
		r->busy_ns += now - r->last_ns;
	}
	r->was_busy = busy;
	r->last_ns = now;
	return now - r->window_ns >= WINDOW_NS && end_window(r, sent, now);
}

uint32_t rate_of(const struct rate *r) {
	if (r->wish == RATE_UNBOUND || r->cap == RATE_UNBOUND) {
		return MAX(r->wish, r->cap);
	}
	return MIN(r->wish, r->cap);
}
