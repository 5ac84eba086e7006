/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>

#include "samples.h"

int samples_add(struct samples *s, uint64_t value) {
	if (s->n == s->capacity) {
		size_t capacity = s->capacity ? 2 * s->capacity : 1024;
		uint64_t *values = realloc(s->values, capacity * sizeof(*values));
		if (!values) {
			return -ENOMEM;
		}
		s->values = values;
		s->capacity = capacity;
	}
	s->values[s->n++] = value;
	s->sum += value;
	return 0;
}

static int compare(const void *a, const void *b) {
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

void samples_summarize(struct samples *s, struct distribution *ret) {
	*ret = (struct distribution){.n = s->n};
	if (s->n == 0) {
		return;
	}
	qsort(s->values, s->n, sizeof(*s->values), compare);
	ret->mean = s->sum / s->n;
	ret->p50 = s->values[(s->n - 1) / 2];
	ret->p99 = s->values[(s->n - 1) * 99 / 100];
	ret->max = s->values[s->n - 1];
}

void samples_finish(struct samples *s) {
	free(s->values);
	*s = (struct samples){0};
}
