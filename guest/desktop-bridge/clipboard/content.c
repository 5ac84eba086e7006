/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>
#include <zlib.h>

#include "content.h"
#include "util.h"

/* PNG, sections 5.2, 5.3 and 11.2.2. */
#define PNG_SIGNATURE      "\x89PNG\r\n\x1a\n"
#define PNG_SIGNATURE_SIZE 8u
#define PNG_IHDR_SIZE      13u
#define PNG_CHUNK_SIZE     12u /* length, type and sum */
#define PNG_CHUNKS_MAX     65536u

size_t clipboard_size_max(enum clipboard_kind kind) {
	return kind == CLIPBOARD_TEXT ? CLIPBOARD_TEXT_MAX : CLIPBOARD_IMAGE_MAX;
}

/* The bytes of the sequence at `p`; 0: it is none (RFC 3629: shortest form, no surrogates). */
static size_t utf8_sequence(const uint8_t *p, size_t left) {
	uint8_t low = 0x80, high = 0xBF;
	size_t n = p[0] < 0x80 ? 1 : p[0] < 0xC2 ? 0 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
	if (p[0] > 0xF4 || n == 0 || n > left) {
		return 0;
	}
	low = p[0] == 0xE0 ? 0xA0 : p[0] == 0xF0 ? 0x90 : low;
	high = p[0] == 0xED ? 0x9F : p[0] == 0xF4 ? 0x8F : high;
	for (size_t i = 1; i < n; i++) {
		if (p[i] < low || p[i] > high) {
			return 0;
		}
		low = 0x80;
		high = 0xBF;
	}
	return n;
}

static int check_text(const uint8_t *p, size_t size) {
	for (size_t at = 0; at < size;) {
		size_t n = utf8_sequence(p + at, size - at);
		if (n == 0) {
			return -EBADMSG;
		}
		at += n;
	}
	return 0;
}

static uint32_t be32(const uint8_t *p) {
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int check_header(const uint8_t *p, size_t size) {
	if (size != PNG_IHDR_SIZE) {
		return -EBADMSG;
	}
	uint32_t width = be32(p), height = be32(p + 4);
	if (width == 0 || height == 0) {
		return -EBADMSG;
	}
	if (width > CLIPBOARD_SIDE_MAX || height > CLIPBOARD_SIDE_MAX ||
		(uint64_t)width * height > CLIPBOARD_AREA_MAX) {
		return -EFBIG;
	}
	return 0;
}

/*
 * Whole chunks with right sums, a header first, pixels, an end, and nothing behind it. The pixels are
 * not unpacked: small files can hold huge pictures, and whoever pastes it has to take care anyway.
 */
static int check_png(const uint8_t *p, size_t size) {
	bool has_pixels = false;
	if (size < PNG_SIGNATURE_SIZE || memcmp(p, PNG_SIGNATURE, PNG_SIGNATURE_SIZE) != 0) {
		return -EBADMSG;
	}
	size_t at = PNG_SIGNATURE_SIZE;
	for (unsigned i = 0; i < PNG_CHUNKS_MAX && size - at >= PNG_CHUNK_SIZE; i++) {
		const uint8_t *chunk = p + at;
		size_t n = be32(chunk);
		if (n > size - at - PNG_CHUNK_SIZE ||
			crc32_z(crc32_z(0, NULL, 0), chunk + 4, n + 4) != be32(chunk + 8 + n)) {
			return -EBADMSG;
		}
		at += PNG_CHUNK_SIZE + n;
		if (i == 0) {
			int r = memcmp(chunk + 4, "IHDR", 4) == 0 ? check_header(chunk + 8, n)
								  : -EBADMSG;
			if (r < 0) {
				return r;
			}
		}
		has_pixels = has_pixels || memcmp(chunk + 4, "IDAT", 4) == 0;
		if (memcmp(chunk + 4, "IEND", 4) == 0) {
			return has_pixels && at == size ? 0 : -EBADMSG;
		}
	}
	return -EBADMSG;
}

int clipboard_content_create(
	enum clipboard_kind kind, uint8_t *data, size_t size, struct clipboard_content **ret) {
	if (kind == CLIPBOARD_TEXT && size > 0) {
		size = strnlen((const char *)data, size);
	}
	int r = size > clipboard_size_max(kind) ? -EFBIG
		: kind == CLIPBOARD_TEXT        ? check_text(data, size)
						: check_png(data, size);
	struct clipboard_content *c = r == 0 ? calloc(1, sizeof(*c)) : NULL;
	if (!c) {
		free(data);
		return r < 0 ? r : -ENOMEM;
	}
	*c = (struct clipboard_content){.refs = 1, .kind = kind, .size = size, .data = data};
	*ret = c;
	return 0;
}

struct clipboard_content *clipboard_content_ref(struct clipboard_content *c) {
	c->refs++;
	return c;
}

void clipboard_content_unref(struct clipboard_content *c) {
	if (c && --c->refs == 0) {
		free(c->data);
		free(c);
	}
}
