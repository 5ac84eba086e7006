/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checked cursors over packed little-endian records. A decoder reads every field and looks once at
 * the end whether all of them were there; an encoder writes likewise.
 */
#ifndef HELIX_PROTO_WIRE_H
#define HELIX_PROTO_WIRE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/types.h>

#include "bytes.h"

/* Largest fixed-size text that read_text takes. */
#define WIRE_TEXT_MAX 256u

/* Past the end it gives zeroes and remembers `missing`. */
struct reader {
	const uint8_t *p;
	size_t left;
	bool missing;
};

/*
 * `n` bytes in place. Where they are missing: as many zeroes, or NULL for more than WIRE_TEXT_MAX.
 */
static inline const uint8_t *read_bytes(struct reader *r, size_t n) {
	static const uint8_t zeroes[WIRE_TEXT_MAX];
	if (r->missing || n > r->left) {
		r->missing = true;
		return n <= sizeof(zeroes) ? zeroes : NULL;
	}
	const uint8_t *p = r->p;
	r->p += n;
	r->left -= n;
	return p;
}

static inline uint8_t read_u8(struct reader *r) {
	return *read_bytes(r, 1);
}

static inline uint16_t read_u16(struct reader *r) {
	return get_le16(read_bytes(r, 2));
}

static inline uint32_t read_u32(struct reader *r) {
	return get_le32(read_bytes(r, 4));
}

static inline uint64_t read_u64(struct reader *r) {
	return get_le64(read_bytes(r, 8));
}

static inline int32_t read_i32(struct reader *r) {
	return (int32_t)read_u32(r);
}

static inline int64_t read_i64(struct reader *r) {
	return (int64_t)read_u64(r);
}

/* A fixed-size text that may lack its NUL on the wire; `to` gets one. */
static inline void read_text(struct reader *r, char *to, size_t size) {
	memcpy(to, read_bytes(r, size), size);
	to[size - 1] = '\0';
}

static inline ssize_t reader_consumed(const struct reader *r, size_t len) {
	return r->missing ? 0 : (ssize_t)(len - r->left);
}

/* Past the end it drops what is written and remembers `full`. */
struct writer {
	uint8_t *p;
	size_t left;
	size_t written;
	bool full;
};

static inline uint8_t *write_bytes(struct writer *w, size_t n) {
	if (w->full || n > w->left) {
		w->full = true;
		return NULL;
	}
	uint8_t *p = w->p;
	w->p += n;
	w->left -= n;
	w->written += n;
	return p;
}

static inline void write_zeroes(struct writer *w, size_t n) {
	uint8_t *p = write_bytes(w, n);
	if (p) {
		memset(p, 0, n);
	}
}

static inline void write_u8(struct writer *w, uint8_t v) {
	uint8_t *p = write_bytes(w, 1);
	if (p) {
		*p = v;
	}
}

static inline void write_u16(struct writer *w, uint16_t v) {
	uint8_t *p = write_bytes(w, 2);
	if (p) {
		put_le16(p, v);
	}
}

static inline void write_u32(struct writer *w, uint32_t v) {
	uint8_t *p = write_bytes(w, 4);
	if (p) {
		put_le32(p, v);
	}
}

static inline void write_u64(struct writer *w, uint64_t v) {
	uint8_t *p = write_bytes(w, 8);
	if (p) {
		put_le64(p, v);
	}
}

/* `text` cut to size − 1 and padded with NUL. */
static inline void write_text(struct writer *w, const char *text, size_t size) {
	uint8_t *p = write_bytes(w, size);
	if (p) {
		size_t n = strnlen(text, size - 1);
		memset(p, 0, size);
		memcpy(p, text, n);
	}
}

static inline ssize_t writer_written(const struct writer *w) {
	return w->full ? -ENOBUFS : (ssize_t)w->written;
}

#endif
