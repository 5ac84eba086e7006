/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a viewer's link can carry, measured from what it took, and the bitrate that the shared
 * stream gets from all viewers' rates (docs/decisions/adaptive-bitrate.md). Pure: no I/O, and the
 * time is told to it.
 */
#ifndef HELIX_BRIDGE_RATE_H
#define HELIX_BRIDGE_RATE_H

#include <stdbool.h>
#include <stdint.h>

/* Bits/s that stand for "no bound". */
#define RATE_UNBOUND 0u

struct rate {
	uint32_t wish; /* the viewer's own bound, bits/s; RATE_UNBOUND without */
	uint32_t cap;  /* what its link carries; RATE_UNBOUND: more than it was sent */
	/* The window that is being measured. */
	uint64_t window_ns, window_bytes;
	uint64_t busy_ns; /* of the window, with something waiting */
	uint64_t last_ns;
	bool was_busy;
	uint64_t easy_since_ns; /* nothing waited for long, since then */
	uint64_t busy_since_ns; /* it waits all the time, since then; 0: not now */
	uint64_t shown; /* the most that it carried without waiting, bits/s; 0: nothing to go by */
};

void rate_init(struct rate *r, uint32_t wish, uint64_t now_ns);
/*
 * Called at least each 100 ms while frames flow: `sent` bytes so far, and whether some wait now.
 * True if `cap` is another one.
 */
bool rate_update(struct rate *r, uint64_t sent, bool busy, uint64_t now_ns);
/* The lower one of wish and cap; RATE_UNBOUND if there is neither. */
uint32_t rate_of(const struct rate *r);

#endif
