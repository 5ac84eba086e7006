/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The gateway's splice of WebSocket frames, on every input in any pieces. The first byte says which
 * direction and whether for a viewer without control; the second how long the pieces are. What goes
 * out is always whole frames that are no worse than what came in, whatever the pieces; of a viewer
 * without control never anything that a key press could be.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <helix/ws.h>

#include "proto/ws-frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(int ok) {
	if (!ok) {
		abort();
	}
}

/* Looks at what goes out as its receiver does. */
struct receiver {
	bool from_client, view_only;
	bool in_message, closed;
	bool binary, begun; /* the message, and its first byte came */
};

static void check_frame(struct receiver *r, const struct ws_header *h, const uint8_t *payload) {
	expect(h->masked == r->from_client && !r->closed);
	if (ws_is_control(h->opcode)) {
		r->closed = h->opcode == WS_OP_CLOSE;
		return;
	}
	expect((h->opcode == WS_OP_CONTINUATION) == r->in_message);
	if (!r->in_message) {
		r->binary = h->opcode == WS_OP_BINARY;
		r->begun = false;
	}
	if (r->view_only && r->binary && !r->begun && h->length > 0) {
		uint8_t type = payload[0] ^ h->key[0];
		expect(type == WS_CONTROL || type == WS_PING);
	}
	r->begun |= h->length > 0;
	r->in_message = !h->fin;
}

static void receive(struct receiver *r, const uint8_t *p, size_t n) {
	while (n > 0) {
		struct ws_header h;
		ssize_t size = ws_decode_header(p, n, &h);
		expect(size > 0 && h.length <= n - (size_t)size);
		check_frame(r, &h, p + size);
		p += (size_t)size + h.length;
		n -= (size_t)size + h.length;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	if (size < 2) {
		return 0;
	}
	struct ws_splice s = {.from_client = data[0] & 1, .view_only = data[0] & 2};
	struct receiver r = {.from_client = s.from_client, .view_only = s.view_only};
	size_t piece = data[1] ? data[1] : size;
	for (size_t at = 2; at < size; at += piece) {
		size_t n = size - at < piece ? size - at : piece;
		uint8_t *in = malloc(n), *out = malloc(n + WS_SPLICE_OVERHEAD);
		expect(in && out);
		memcpy(in, data + at, n);
		ssize_t written = ws_splice_feed(&s, in, n, out);
		if (written >= 0) {
			expect((size_t)written <= n + WS_SPLICE_OVERHEAD);
			receive(&r, out, (size_t)written);
		}
		free(in);
		free(out);
		if (written < 0) {
			break;
		}
	}
	return 0;
}
