/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Times on the wire are µs since 1970 and must never step back, so they are CLOCK_MONOTONIC plus an
 * offset that is taken once. And how late timers of this process run, which viewers are told.
 */
#ifndef HELIX_BRIDGE_CLOCK_H
#define HELIX_BRIDGE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#define CANARY_SAMPLES 128u

/* A time of CLOCK_MONOTONIC, ns, on the wire's clock. */
uint64_t clock_wire_us(uint64_t mono_ns);

/* A timer of 20 Hz that notes how late it is; at rest it costs nothing. */
struct canary {
	sd_event_source *timer;
	uint64_t due_ns;
	uint16_t late_ms[CANARY_SAMPLES]; /* ring of the last 6 s */
	unsigned n, next;
};

int canary_init(struct canary *c, sd_event *loop);
void canary_finish(struct canary *c);
void canary_run(struct canary *c, bool on);
/* Percentiles of what is in the ring; zeroes while it is empty. */
void canary_read(const struct canary *c, uint16_t *ret_p50, uint16_t *ret_p99, uint16_t *ret_max);

#endif
