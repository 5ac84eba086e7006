/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The input of a fuzzer, read as a script; what is not there any more is zeroes. */
#ifndef HELIX_TESTS_SCRIPT_H
#define HELIX_TESTS_SCRIPT_H

#include <stddef.h>
#include <stdint.h>

#include "util.h"

struct script {
	const uint8_t *p, *end;
};

/* A number of so many bytes, the lowest first. */
static inline uint32_t take(struct script *s, unsigned bytes) {
	uint32_t v = 0;
	for (unsigned i = 0; i < bytes; i++) {
		v |= (s->p < s->end ? (uint32_t)*s->p++ : 0) << 8 * i;
	}
	return v;
}

static inline const uint8_t *take_bytes(struct script *s, size_t wanted, size_t *ret) {
	const uint8_t *p = s->p;
	*ret = MIN(wanted, (size_t)(s->end - s->p));
	s->p += *ret;
	return p;
}

#endif
