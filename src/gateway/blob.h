/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bytes that several answers may share. */
#ifndef HELIX_GATEWAY_BLOB_H
#define HELIX_GATEWAY_BLOB_H

#include <string.h>

#include "util.h"

struct blob {
	unsigned refs;
	size_t size;
	uint8_t data[];
};

/* A copy of `p`; NULL if there is no memory for it. */
static inline struct blob *blob_create(const void *p, size_t n) {
	struct blob *b = malloc(sizeof(*b) + n);
	if (b) {
		b->refs = 1;
		b->size = n;
		if (n > 0) {
			memcpy(b->data, p, n);
		}
	}
	return b;
}

static inline struct blob *blob_ref(struct blob *b) {
	b->refs++;
	return b;
}

static inline void blob_unref(struct blob *b) {
	if (b && --b->refs == 0) {
		free(b);
	}
}

#endif
