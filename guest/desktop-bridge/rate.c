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
/*
 * What a link carried without waiting it can carry, unless it has changed. A page that stops for a moment looks
 * like a link that became narrow; that is soon over, and what was carried before it is tried again, once.
 */
#define HICCUP_NS (2 * NSEC_PER_SEC)
#define REGAIN_NS (1 * NSEC_PER_SEC)
#define RATE_MIN  150000u
#define RATE_MAX  100000000u /* beyond it there is nothing to bound */

void rate_init(struct rate *r, uint32_t wish, uint64_t now) {
	*r = (struct rate){.wish = wish, .window_ns = now, .last_ns = now, .easy_since_ns = now};
}

static bool set_cap(struct rate *r, uint64_t cap) {
	uint32_t old = r->cap;
	r->cap = cap > RATE_MAX ? RATE_UNBOUND : (uint32_t)MAX(cap, RATE_MIN);
	return r->cap != old;
}

/* Something waited for most of the window. */
static bool end_busy_window(struct rate *r, uint64_t carried, uint64_t now) {
	uint64_t measured = carried * USABLE_PERCENT / 100;
	/* Half of the way up, but all of the way down: too much is what hurts. */
	if (r->cap != RATE_UNBOUND && measured > r->cap) {
		measured = (measured + r->cap) / 2;
	}
	r->busy_since_ns = r->busy_since_ns ? r->busy_since_ns : r->window_ns;
	if (now - r->busy_since_ns >= HICCUP_NS) {
		r->shown = 0;
	}
	r->easy_since_ns = now;
	return set_cap(r, measured);
}

static bool end_easy_window(struct rate *r, uint64_t carried, bool waited, uint64_t now) {
	r->busy_since_ns = 0;
	r->shown = MAX(r->shown, carried);
	if (waited) {
		r->easy_since_ns = now;
	}
	uint64_t easy = now - r->easy_since_ns, cap = r->cap;
	if (cap == RATE_UNBOUND) {
		return false;
	}
	if (r->shown > cap && easy >= REGAIN_NS) {
		cap = r->shown;
		r->shown = 0;
	} else if (easy >= EASY_NS) {
		cap = cap * (100 + RAISE_PERCENT) / 100;
	} else {
		return false;
	}
	r->easy_since_ns = now;
	return set_cap(r, cap);
}

static bool end_window(struct rate *r, uint64_t sent, uint64_t now) {
	uint64_t span = now - r->window_ns, bytes = sent - r->window_bytes;
	uint64_t carried = bytes * 8 * NSEC_PER_SEC / span;
	bool changed = r->busy_ns * 100 >= span * BUSY_PERCENT
		? end_busy_window(r, carried, now)
		: end_easy_window(r, carried, r->busy_ns * 100 > span * BUSY_PERCENT / 4, now);
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
