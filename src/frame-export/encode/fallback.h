/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An encoder that is a better one as long as that works, and x264 when it does not. A picture on
 * which the better one fails is encoded by x264 in the same call, as an IDR: viewers miss nothing.
 * The better one is tried again, ever more rarely, and taken back with an IDR.
 *
 * encoder_fallback is such an encoder; what must outlive it (it is made anew for every size) is in
 * a `struct fallback`, one for each scanout, which its config points to.
 */
#ifndef HELIX_FRAME_EXPORT_FALLBACK_H
#define HELIX_FRAME_EXPORT_FALLBACK_H

#include "encoder.h"

/* The first wait after a loss, doubled with each that follows, up to the last. */
#define FALLBACK_RETRY_FIRST_NS (5 * NSEC_PER_SEC)
#define FALLBACK_RETRY_LAST_NS  (300 * NSEC_PER_SEC)
/* Having worked for so long, it is as good as new. */
#define FALLBACK_GOOD_NS (60 * NSEC_PER_SEC)

struct fallback {
	uint32_t scanout_id;               /* for the log */
	const struct encoder_ops *primary; // NULL: x264 is all there is
	uint64_t (*clock)(void);           // NULL: now_ns; for tests

	/* Counters and what is in use now, NULL if nothing is; read by other threads. */
	_Atomic(const struct encoder_ops *) current;
	atomic_uint_fast64_t lost;      /* times that it failed, or could not be had */
	atomic_uint_fast64_t recovered; /* times that it came back */

	/* Of the thread that encodes. */
	bool is_lost;
	uint64_t retry_at, wait_ns;
	uint64_t good_since; /* time of the last success to get it */
};

extern const struct encoder_ops encoder_fallback;

#endif
