/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What scanout-stream-test found, for people and as JSON. */
#ifndef HELIX_TOOLS_STREAM_REPORT_H
#define HELIX_TOOLS_STREAM_REPORT_H

#include <stdbool.h>

#include "counter-check.h"
#include "samples.h"

struct report {
	uint32_t scanout;
	uint64_t duration_us;
	uint64_t frames, keyframes;
	uint64_t first_frame_us;    /* from SUBSCRIBE */
	struct samples size;        /* bytes */
	struct samples interval_us; /* between frames */
	/* With --hello: */
	bool hello, same_clock;
	struct samples latency_us; /* from the flip to the last byte received */
	uint64_t refinements;
	uint64_t missed;  /* sequence numbers that never came */
	uint32_t dropped; /* units that the server says we missed */
	uint32_t width, height;
};

/* `counter` may be NULL. Sorts the samples. */
void report_print(struct report *r, const struct counter_report *counter, bool good, bool json);
void report_finish(struct report *r);

#endif
