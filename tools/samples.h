/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Numbers collected over a run, and their distribution. */
#ifndef HELIX_TOOLS_SAMPLES_H
#define HELIX_TOOLS_SAMPLES_H

#include <stddef.h>
#include <stdint.h>

struct samples {
	uint64_t *values;
	size_t n, capacity;
	uint64_t sum;
};

struct distribution {
	size_t n;
	uint64_t mean, p50, p99, max; /* 0 if there are no samples */
};

/* 0 or -ENOMEM. */
int samples_add(struct samples *s, uint64_t value);
/* Sorts the samples. */
void samples_summarize(struct samples *s, struct distribution *ret);
void samples_finish(struct samples *s);

#endif
