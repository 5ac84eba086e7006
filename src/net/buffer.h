/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bytes on their way: a buffer of fixed size, filled at its end and taken from its front. What is in
 * it is in one piece.
 */
#ifndef HELIX_NET_BUFFER_H
#define HELIX_NET_BUFFER_H

#include <string.h>

#include "util.h"

struct buffer {
	uint8_t *data;
	size_t size;
	size_t head, tail; /* head … tail is filled */
};

static inline int buffer_init(struct buffer *b, size_t size) {
	*b = (struct buffer){.data = malloc(size), .size = size};
	return b->data ? 0 : -ENOMEM;
}

static inline void buffer_finish(struct buffer *b) {
	free(b->data);
	*b = (struct buffer){0};
}

static inline size_t buffer_filled(const struct buffer *b) {
	return b->tail - b->head;
}

static inline size_t buffer_room(const struct buffer *b) {
	return b->size - buffer_filled(b);
}

static inline uint8_t *buffer_front(const struct buffer *b) {
	return b->data + b->head;
}

/* Where to write: room for all of buffer_room() bytes. */
static inline uint8_t *buffer_end(struct buffer *b) {
	if (b->head > 0) {
		memmove(b->data, b->data + b->head, buffer_filled(b));
		b->tail -= b->head;
		b->head = 0;
	}
	return b->data + b->tail;
}

static inline void buffer_add(struct buffer *b, size_t n) {
	b->tail += n;
}

static inline void buffer_take(struct buffer *b, size_t n) {
	b->head += n;
	if (b->head == b->tail) {
		b->head = b->tail = 0;
	}
}

/* -ENOBUFS if there is no room for all of it. */
static inline int buffer_put(struct buffer *b, const void *p, size_t n) {
	if (n > buffer_room(b)) {
		return -ENOBUFS;
	}
	if (n > 0) {
		memcpy(buffer_end(b), p, n);
		b->tail += n;
	}
	return 0;
}

#endif
