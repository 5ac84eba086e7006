/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An access unit from the exporter, shared by all viewers that it is sent to. */
#ifndef HELIX_BRIDGE_UNIT_H
#define HELIX_BRIDGE_UNIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct unit {
	unsigned refs;
	bool keyframe;
	uint32_t sequence;
	uint32_t width, height; /* 0: the exporter does not say */
	uint64_t pts_us;        /* on the wire's clock, strictly increasing */
	/* CLOCK_MONOTONIC of this machine. Without times from the exporter all are received_ns. */
	uint64_t flip_ns, encoded_ns, received_ns;
	size_t size;
	uint8_t data[];
};

/*
 * One reference, for the caller; NULL: out of memory. The data is copied, the rest zeroes. Parameter
 * sets of a keyframe get the promise of proto/h264-sps.h if they lack it.
 */
struct unit *unit_create(const uint8_t *data, size_t size, bool keyframe);
struct unit *unit_ref(struct unit *u);
void unit_unref(struct unit *u);

#endif
