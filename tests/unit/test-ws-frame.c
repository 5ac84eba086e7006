/* SPDX-License-Identifier: GPL-2.0-or-later */
/* WebSocket frames, with the examples of RFC 6455 section 5.7 as golden data; and the splice. */
#include "proto/ws-frame.h"
#include "test.h"
#include "util.h"

#define STREAM_MAX 4096

TEST(golden_frames) {
	static const uint8_t hello[] = {0x81, 0x05, 'H', 'e', 'l', 'l', 'o'};
	static const uint8_t masked[] = {
		0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58};
	static const uint8_t medium[] = {0x82, 0x7e, 0x01, 0x00};
	static const uint8_t large[] = {0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0};
	uint8_t buf[WS_HEADER_MAX], text[5];
	struct ws_header h;

	check_int(ws_decode_header(hello, sizeof(hello), &h), ==, 2);
	check(h.fin && h.opcode == WS_OP_TEXT && !h.masked && h.length == 5);
	check_int(ws_encode_header(buf, &h), ==, 2);
	check(memcmp(buf, hello, 2) == 0);

	check_int(ws_decode_header(masked, sizeof(masked), &h), ==, 6);
	check(h.masked && memcmp(h.key, masked + 2, 4) == 0);
	memcpy(text, masked + 6, 5);
	ws_mask(text, 5, h.key, 0);
	check(memcmp(text, "Hello", 5) == 0);
	check_int(ws_encode_header(buf, &h), ==, 6);
	check(memcmp(buf, masked, 6) == 0);

	check_int(ws_decode_header(medium, sizeof(medium), &h), ==, 4);
	check_int(h.length, ==, 256);
	check_int(ws_encode_header(buf, &h), ==, 4);
	check(memcmp(buf, medium, 4) == 0);
	check_int(ws_decode_header(large, sizeof(large), &h), ==, 10);
	check_int(h.length, ==, 65536);
	check_int(ws_encode_header(buf, &h), ==, 10);
	check(memcmp(buf, large, 10) == 0);
	for (size_t n = 0; n < 10; n++) {
		check_int(ws_decode_header(large, n, &h), ==, 0);
	}
}

TEST(forbidden_headers) {
	static const uint8_t bad[][14] = {
		{0xc1, 0},                                 /* RSV1 */
		{0x91, 0},                                 /* RSV3 */
		{0x83, 0},                                 /* opcodes that are not defined */
		{0x8b, 0},                                 /* … */
		{0x09, 0},                                 /* a control frame in fragments */
		{0x89, 126},                               /* or too long */
		{0x82, 126, 0, 125},                       /* lengths longer than they need be */
		{0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, /* … */
		{0x82, 127, 0x80},                         /* or negative */
	};
	struct ws_header h;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (ws_decode_header(bad[i], sizeof(bad[i]), &h) != -EBADMSG) {
			fail("%zu was taken", i);
		}
	}
}

TEST(mask_in_any_pieces) {
	uint8_t plain[67], whole[67], pieces[67];
	static const uint8_t key[4] = {1, 2, 4, 8};
	for (size_t i = 0; i < sizeof(plain); i++) {
		plain[i] = (uint8_t)i;
		whole[i] = (uint8_t)(i ^ key[i & 3]);
	}
	for (size_t split = 0; split <= sizeof(plain); split++) {
		memcpy(pieces, plain, sizeof(plain));
		ws_mask(pieces, split, key, 0);
		ws_mask(pieces + split, sizeof(plain) - split, key, split);
		check(memcmp(pieces, whole, sizeof(whole)) == 0);
	}
}

TEST(close_frames) {
	static const uint8_t golden[] = {0x88, 0x04, 0x0f, 0xa0, 'n', 'o'};
	static const uint8_t key[4] = {9, 8, 7, 6};
	uint8_t buf[WS_CLOSE_MAX];
	char reason[300];
	struct ws_header h;
	check_int(ws_encode_close(buf, 4000, "no", NULL), ==, sizeof(golden));
	check(memcmp(buf, golden, sizeof(golden)) == 0);
	memset(reason, 'x', sizeof(reason) - 1);
	reason[sizeof(reason) - 1] = '\0';
	check_int(ws_encode_close(buf, 1012, reason, key), ==, 6 + WS_CONTROL_MAX);
	check_int(ws_decode_header(buf, sizeof(buf), &h), ==, 6);
	ws_mask(buf + 6, WS_CONTROL_MAX, h.key, 0);
	check(buf[6] == 0x03 && buf[7] == 0xf4 && buf[8] == 'x');
}

/* A stream of frames is put together here. */
struct stream {
	uint8_t data[STREAM_MAX];
	size_t n;
};

static void add(struct stream *s, bool fin, uint8_t opcode, bool masked, const void *p, size_t n) {
	struct ws_header h = {.fin = fin,
		.opcode = opcode,
		.masked = masked,
		.key = {11, 22, 33, 44},
		.length = n};
	memcpy(h.key, masked ? h.key : (const uint8_t[4]){0}, 4);
	check(s->n + WS_HEADER_MAX + n <= sizeof(s->data));
	s->n += ws_encode_header(s->data + s->n, &h);
	memcpy(s->data + s->n, p, n);
	ws_mask(s->data + s->n, n, h.key, 0);
	s->n += n;
}

/* What a receiver makes of a stream: messages and control frames as text. */
static void read_back(const struct stream *s, char *to, size_t size) {
	size_t at = 0, out = 0;
	bool in_message = false;
	while (at < s->n) {
		struct ws_header h;
		uint8_t payload[STREAM_MAX];
		ssize_t n = ws_decode_header(s->data + at, s->n - at, &h);
		check_int(n, >, 0);
		at += (size_t)n;
		check(h.length <= s->n - at);
		memcpy(payload, s->data + at, h.length);
		ws_mask(payload, h.length, h.key, 0);
		at += h.length;
		if (!ws_is_control(h.opcode)) {
			check((h.opcode == WS_OP_CONTINUATION) == in_message);
			in_message = !h.fin;
		}
		out += (size_t)snprintf(to + out, size - out, "%s%.*s%s",
			ws_is_control(h.opcode)                  ? "("
				: h.opcode == WS_OP_CONTINUATION ? ""
				: h.opcode == WS_OP_TEXT         ? "t["
								 : "b[",
			(int)h.length, (const char *)payload,
			ws_is_control(h.opcode) ? ")"
				: h.fin         ? "]"
						: "");
		check(out < size);
	}
}

static void make_stream(struct stream *s, bool masked) {
	char text[400];
	memset(text, 'm', sizeof(text));
	*s = (struct stream){0};
	add(s, true, WS_OP_TEXT, masked, "init", 4);
	add(s, true, WS_OP_BINARY, masked, "", 0);
	add(s, false, WS_OP_BINARY, masked, "@on", 3);
	add(s, true, WS_OP_PING, masked, "ping", 4);
	add(s, false, WS_OP_CONTINUATION, masked, "", 0);
	add(s, true, WS_OP_CONTINUATION, masked, "e", 1);
	add(s, true, WS_OP_BINARY, masked, text, sizeof(text));
	add(s, true, WS_OP_BINARY, masked, " control", 8);
	add(s, true, WS_OP_PONG, masked, "", 0);
}

/* In two pieces, split at `at`; each gets the room that it may need and no more. */
static void splice(
	struct ws_splice *splice, const struct stream *in, size_t at, struct stream *out) {
	out->n = 0;
	for (unsigned i = 0; i < 2; i++) {
		size_t begin = i == 0 ? 0 : at, n = (i == 0 ? at : in->n) - begin;
		uint8_t *input = malloc(n + 1), *output = malloc(n + WS_SPLICE_OVERHEAD);
		memcpy(input, in->data + begin, n);
		ssize_t written = ws_splice_feed(splice, input, n, output);
		check_ok(written);
		check((size_t)written <= n + WS_SPLICE_OVERHEAD);
		memcpy(out->data + out->n, output, (size_t)written);
		out->n += (size_t)written;
		free(input);
		free(output);
	}
}

TEST(splice_split_at_every_byte) {
	for (unsigned masked = 0; masked < 2; masked++) {
		struct stream in, out;
		char expected[2048], got[2048];
		make_stream(&in, masked);
		read_back(&in, expected, sizeof(expected));
		for (size_t at = 0; at <= in.n; at++) {
			struct ws_splice s = {.from_client = masked};
			splice(&s, &in, at, &out);
			read_back(&out, got, sizeof(got));
			check_str(got, expected);
			check_int(s.messages, ==, 5);
		}
	}
}

/* Whatever came so far, what went out ends where a frame ends: a close frame can follow. */
TEST(splice_ends_with_whole_frames) {
	struct stream in;
	make_stream(&in, false);
	for (size_t n = 0; n <= in.n; n++) {
		struct ws_splice s = {0};
		struct stream out = {0};
		char got[2048];
		ssize_t written = ws_splice_feed(&s, in.data, n, out.data);
		check_ok(written);
		out.n = (size_t)written;
		read_back(&out, got, sizeof(got));
	}
}

TEST(splice_byte_by_byte) {
	struct stream in, out = {0};
	struct ws_splice s = {.from_client = true};
	char expected[2048], got[2048];
	make_stream(&in, true);
	read_back(&in, expected, sizeof(expected));
	for (size_t i = 0; i < in.n; i++) {
		uint8_t piece[1 + WS_SPLICE_OVERHEAD];
		ssize_t n = ws_splice_feed(&s, in.data + i, 1, piece);
		check_ok(n);
		memcpy(out.data + out.n, piece, (size_t)n);
		out.n += (size_t)n;
	}
	read_back(&out, got, sizeof(got));
	check_str(got, expected);
}

TEST(splice_whole_frames_stay_whole) {
	struct stream in, out = {0};
	struct ws_splice s = {0};
	make_stream(&in, false);
	check_int(ws_splice_feed(&s, in.data, in.n, out.data), ==, in.n);
	check(memcmp(in.data, out.data, in.n) == 0);
}

TEST(splice_view_only) {
	struct stream in = {0}, out;
	char got[2048];
	add(&in, true, WS_OP_TEXT, true, "init", 4);
	add(&in, true, WS_OP_BINARY, true, "\x10key", 4);
	add(&in, true, WS_OP_BINARY, true, "@ping", 5);
	add(&in, false, WS_OP_BINARY, true, "\x12@", 2);
	add(&in, true, WS_OP_PING, true, "p", 1);
	add(&in, true, WS_OP_CONTINUATION, true, "@ ", 2);
	add(&in, true, WS_OP_BINARY, true, " control", 8);
	add(&in, true, WS_OP_BINARY, true, "", 0);
	add(&in, false, WS_OP_BINARY, true, "", 0);
	add(&in, true, WS_OP_CONTINUATION, true, "\x10", 1);
	for (size_t at = 0; at <= in.n; at++) {
		struct ws_splice s = {.from_client = true, .view_only = true};
		splice(&s, &in, at, &out);
		read_back(&out, got, sizeof(got));
		check_str(got, "t[init]b[@ping](p)b[ control]");
		check_int(s.dropped, ==, 4);
	}
}

TEST(splice_errors) {
	uint8_t out[STREAM_MAX];
	struct stream in = {0};
	struct ws_splice s = {.from_client = true};
	add(&in, true, WS_OP_BINARY, false, "x", 1);
	check_int(ws_splice_feed(&s, in.data, in.n, out), ==, -EBADMSG); /* no mask */
	in.n = 0;
	s = (struct ws_splice){0};
	add(&in, true, WS_OP_BINARY, true, "x", 1);
	check_int(ws_splice_feed(&s, in.data, in.n, out), ==, -EBADMSG); /* a mask */
	in.n = 0;
	s = (struct ws_splice){0};
	add(&in, true, WS_OP_CONTINUATION, false, "x", 1);
	check_int(ws_splice_feed(&s, in.data, in.n, out), ==, -EBADMSG);
	in.n = 0;
	s = (struct ws_splice){0};
	add(&in, false, WS_OP_BINARY, false, "x", 1);
	add(&in, true, WS_OP_BINARY, false, "x", 1);
	check_int(ws_splice_feed(&s, in.data, in.n, out), ==, -EBADMSG);
	/* Nothing passes after a close frame. */
	in.n = 0;
	s = (struct ws_splice){0};
	add(&in, true, WS_OP_CLOSE, false, "\x03\xe8", 2);
	add(&in, true, WS_OP_BINARY, false, "x", 1);
	check_int(ws_splice_feed(&s, in.data, in.n, out), ==, 4);
	check(s.closed);
}
