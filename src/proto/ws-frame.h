/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frames of the WebSocket protocol (RFC 6455 section 5), both directions: headers, masks and close
 * frames, and the splice that a proxy needs. No extension is known, so RSV bits are an error. Pure:
 * bytes in, bytes out.
 */
#ifndef HELIX_PROTO_WS_FRAME_H
#define HELIX_PROTO_WS_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define WS_HEADER_MAX  14u  /* 2 + 8 of length + 4 of mask, section 5.2 */
#define WS_CONTROL_MAX 125u /* payload of a control frame, section 5.5 */
#define WS_CLOSE_MAX   (WS_HEADER_MAX + WS_CONTROL_MAX)

/* Section 11.8. */
enum ws_opcode {
	WS_OP_CONTINUATION = 0x0,
	WS_OP_TEXT = 0x1,
	WS_OP_BINARY = 0x2,
	WS_OP_CLOSE = 0x8,
	WS_OP_PING = 0x9,
	WS_OP_PONG = 0xa,
};

struct ws_header {
	bool fin;
	uint8_t opcode; /* enum ws_opcode */
	bool masked;
	uint8_t key[4]; /* of the mask; zeroes without one */
	uint64_t length;
};

static inline bool ws_is_control(uint8_t opcode) {
	return opcode >= WS_OP_CLOSE;
}

/*
 * Size of the header at `p`; 0 if more bytes are needed; -EBADMSG for what section 5.2 forbids:
 * RSV bits, unknown opcodes, a length not in its shortest form, control frames that are long or
 * fragments.
 */
ssize_t ws_decode_header(const uint8_t *p, size_t len, struct ws_header *ret);
/* Returns its size. */
size_t ws_encode_header(uint8_t p[static WS_HEADER_MAX], const struct ws_header *h);

/* Puts the mask on or takes it off; `offset` is where in the payload `p` begins. */
void ws_mask(uint8_t *p, size_t n, const uint8_t key[4], uint64_t offset);

/* A close frame, masked if `key` is not NULL; `reason` is cut to what fits. Returns its size. */
size_t ws_encode_close(
	uint8_t p[static WS_CLOSE_MAX], uint16_t code, const char *reason, const uint8_t key[4]);

/*
 * The splice: one direction of a proxy between two WebSocket connections. Frames pass with their
 * payload and mask untouched; a frame that arrives in pieces goes on as fragments, one for each
 * piece. So whatever was sent ends with a whole frame at any time, and a close frame of our own can
 * follow it. Control frames are passed whole.
 */
struct ws_splice {
	bool from_client; /* its frames must be masked; the others must not be */
	/*
	 * Passes only what a viewer without control may say: text (init), and binary messages of type
	 * 0x40 (ping) and 0x20 (control). Others vanish.
	 */
	bool view_only;

	bool in_frame;   /* a data frame is under way */
	bool in_message; /* and a message, of one frame or of fragments */
	bool dropping;   /* this message */
	bool closed;     /* a close frame was passed: what follows is ignored */
	struct ws_header header;
	uint64_t done;     /* bytes of the frame's payload that were passed or dropped */
	uint64_t messages; /* passed, for statistics */
	uint64_t dropped;
	uint8_t stash[WS_CLOSE_MAX]; /* the beginning of a header or control frame */
	size_t stashed;
};

/* `out` needs this much more room than there is input. */
#define WS_SPLICE_OVERHEAD (WS_CLOSE_MAX + WS_HEADER_MAX)

/* Takes all of `in`. Returns the bytes written to `out`, or -EBADMSG. */
ssize_t ws_splice_feed(struct ws_splice *s, const uint8_t *in, size_t n, uint8_t *out);

#endif
