/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lines about what peers do: so many a second and no more, so that no peer can fill the log. */
#ifndef HELIX_COMMON_LOG_RATE_H
#define HELIX_COMMON_LOG_RATE_H

#include "log.h"

/* All zeroes at first. Of one thread. */
struct log_rate {
	uint64_t window_ns; /* when the second at hand began */
	unsigned lines, suppressed;
};

/*
 * Whether one more line may be logged, of `most` a second. How many were left out is logged, as
 * `module`, when the next one may be.
 */
bool log_rate_allows(struct log_rate *rate, unsigned most, const char *module);

#endif
