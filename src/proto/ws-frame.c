/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>

#include <helix/ws.h>

#include "proto/ws-frame.h"
#include "util.h"

#define BIT_FIN      0x80
#define BITS_RSV     0x70
#define BITS_OPCODE  0x0f
#define BIT_MASK     0x80
#define BITS_LENGTH  0x7f
#define LENGTH_16BIT 126u
#define LENGTH_64BIT 127u

static uint64_t get_be(const uint8_t *p, size_t n) {
	uint64_t v = 0;
	for (size_t i = 0; i < n; i++) {
		v = v << 8 | p[i];
	}
	return v;
}

static void put_be(uint8_t *p, size_t n, uint64_t v) {
	for (size_t i = n; i > 0; i--) {
		p[i - 1] = (uint8_t)v;
		v >>= 8;
	}
}

static bool opcode_is_known(uint8_t opcode) {
	return opcode <= WS_OP_BINARY || (opcode >= WS_OP_CLOSE && opcode <= WS_OP_PONG);
}

ssize_t ws_decode_header(const uint8_t *p, size_t len, struct ws_header *ret) {
	if (len < 2) {
		return 0;
	}
	struct ws_header h = {
		.fin = (p[0] & BIT_FIN) != 0,
		.opcode = p[0] & BITS_OPCODE,
		.masked = (p[1] & BIT_MASK) != 0,
		.length = p[1] & BITS_LENGTH,
	};
	if ((p[0] & BITS_RSV) || !opcode_is_known(h.opcode)) {
		return -EBADMSG;
	}
	if (ws_is_control(h.opcode) && (!h.fin || h.length > WS_CONTROL_MAX)) {
		return -EBADMSG;
	}
	size_t length_size = h.length == LENGTH_16BIT ? 2 : h.length == LENGTH_64BIT ? 8 : 0;
	size_t size = 2 + length_size + (h.masked ? sizeof(h.key) : 0);
	if (len < size) {
		return 0;
	}
	if (length_size > 0) {
		h.length = get_be(p + 2, length_size);
		bool shorter = length_size == 2 ? h.length < LENGTH_16BIT : h.length <= UINT16_MAX;
		if (shorter || h.length > INT64_MAX) {
			return -EBADMSG;
		}
	}
	if (h.masked) {
		memcpy(h.key, p + 2 + length_size, sizeof(h.key));
	}
	*ret = h;
	return (ssize_t)size;
}

size_t ws_encode_header(uint8_t p[static WS_HEADER_MAX], const struct ws_header *h) {
	size_t n = 2;
	p[0] = (uint8_t)((h->fin ? BIT_FIN : 0) | h->opcode);
	p[1] = h->masked ? BIT_MASK : 0;
	if (h->length < LENGTH_16BIT) {
		p[1] = (uint8_t)(p[1] | h->length);
	} else if (h->length <= UINT16_MAX) {
		p[1] |= LENGTH_16BIT;
		put_be(p + n, 2, h->length);
		n += 2;
	} else {
		p[1] |= LENGTH_64BIT;
		put_be(p + n, 8, h->length);
		n += 8;
	}
	if (h->masked) {
		memcpy(p + n, h->key, sizeof(h->key));
		n += sizeof(h->key);
	}
	return n;
}

void ws_mask(uint8_t *p, size_t n, const uint8_t key[4], uint64_t offset) {
	uint8_t turned[8];
	uint64_t word, keys;
	for (size_t i = 0; i < sizeof(turned); i++) {
		turned[i] = key[(offset + i) & 3];
	}
	memcpy(&keys, turned, sizeof(keys));
	size_t i = 0;
	for (; i + sizeof(word) <= n; i += sizeof(word)) {
		memcpy(&word, p + i, sizeof(word));
		word ^= keys;
		memcpy(p + i, &word, sizeof(word));
	}
	for (; i < n; i++) {
		p[i] ^= turned[i & 7];
	}
}

size_t ws_encode_close(
	uint8_t p[static WS_CLOSE_MAX], uint16_t code, const char *reason, const uint8_t key[4]) {
	size_t n = strnlen(reason, WS_CONTROL_MAX - 2);
	struct ws_header h = {.fin = true, .opcode = WS_OP_CLOSE, .masked = key, .length = 2 + n};
	if (key) {
		memcpy(h.key, key, sizeof(h.key));
	}
	size_t head = ws_encode_header(p, &h);
	put_be(p + head, 2, code);
	memcpy(p + head + 2, reason, n);
	if (key) {
		ws_mask(p + head, 2 + n, key, 0);
	}
	return head + 2 + n;
}

/* A data frame begins: may it, here? */
static int begin_frame(struct ws_splice *s) {
	const struct ws_header *h = &s->header;
	bool continues = h->opcode == WS_OP_CONTINUATION;
	if (continues != s->in_message) {
		return -EBADMSG;
	}
	if (!continues) {
		/* What an empty first fragment would turn into is not known: nobody sends that. */
		s->dropping = s->view_only && h->opcode == WS_OP_BINARY && h->length == 0;
		s->messages++;
		s->in_message = true;
	}
	s->in_frame = true;
	s->done = 0;
	return 0;
}

static void end_frame(struct ws_splice *s) {
	s->in_frame = false;
	if (s->header.fin) {
		s->in_message = false;
		s->dropped += s->dropping;
	}
}

static bool viewer_may_say(const struct ws_splice *s, uint8_t masked_type) {
	uint8_t type = masked_type ^ s->header.key[0];
	return type == WS_CONTROL || type == WS_PING;
}

/* Passes `n` bytes of the frame's payload, as a frame of their own. */
static size_t pass_payload(struct ws_splice *s, const uint8_t *in, size_t n, uint8_t *out) {
	struct ws_header h = s->header;
	if (s->view_only && s->done == 0 && n > 0 && h.opcode == WS_OP_BINARY) {
		s->dropping = !viewer_may_say(s, in[0]);
	}
	size_t written = 0;
	if (!s->dropping) {
		if (s->done > 0) {
			h.opcode = WS_OP_CONTINUATION;
		}
		h.fin = s->header.fin && s->done + n == s->header.length;
		h.length = n;
		for (size_t i = 0; i < sizeof(h.key); i++) {
			h.key[i] = s->header.key[(s->done + i) & 3];
		}
		written = ws_encode_header(out, &h);
		memcpy(out + written, in, n);
		written += n;
	}
	s->done += n;
	if (s->done == s->header.length) {
		end_frame(s);
	}
	return written;
}

/*
 * Collects the next header, and all of a control frame. Returns the bytes of `in` that it took, or
 * -EBADMSG; `*ret_written` is what goes out.
 */
static ssize_t collect(
	struct ws_splice *s, const uint8_t *in, size_t n, uint8_t *out, size_t *ret_written) {
	*ret_written = 0;
	for (size_t taken = 1; taken <= n; taken++) {
		s->stash[s->stashed++] = in[taken - 1];
		ssize_t size = ws_decode_header(s->stash, s->stashed, &s->header);
		if (size < 0) {
			return size;
		}
		if (size == 0) {
			continue;
		}
		if (s->header.masked != s->from_client) {
			return -EBADMSG;
		}
		if (!ws_is_control(s->header.opcode)) {
			s->stashed = 0;
			int r = begin_frame(s);
			if (r == 0 && s->header.length == 0) {
				*ret_written = pass_payload(s, in, 0, out);
			}
			return r < 0 ? r : (ssize_t)taken;
		}
		if (s->stashed == (size_t)size + (size_t)s->header.length) {
			memcpy(out, s->stash, s->stashed);
			*ret_written = s->stashed;
			s->stashed = 0;
			s->closed = s->header.opcode == WS_OP_CLOSE;
			return (ssize_t)taken;
		}
	}
	return (ssize_t)n;
}

ssize_t ws_splice_feed(struct ws_splice *s, const uint8_t *in, size_t n, uint8_t *out) {
	size_t written = 0;
	while (n > 0 && !s->closed) {
		size_t wrote;
		ssize_t taken;
		if (s->in_frame) {
			taken = (ssize_t)MIN(n, s->header.length - s->done);
			wrote = pass_payload(s, in, (size_t)taken, out + written);
		} else {
			taken = collect(s, in, n, out + written, &wrote);
			if (taken < 0) {
				return taken;
			}
		}
		in += taken;
		n -= (size_t)taken;
		written += wrote;
	}
	return (ssize_t)written;
}
