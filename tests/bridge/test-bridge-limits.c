/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bytes that no well-meaning client sends, or not in such portions, and too many of them. */
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "proto/ws-messages.h"
#include "rig.h"
#include "test.h"
#include "util.h"

/* Memory that was freed is kept for a while then, so it cannot be measured. */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

static const char INIT[] = "{\"type\":\"init\",\"width\":640,\"height\":480}";

/* Handshake, init, Ping and a key, one byte at a time; with a pause at each place in turn. */
TEST_TIMEOUT(split_at_every_byte, 120) {
	struct rig r;
	uint8_t all[512], ping[16];
	size_t n = 0;
	struct ws_ping p = {7, 8};
	struct ws_message m;
	rig_start(&r, SHOW_STILL, NULL);
	/* Fragmented, with a ping of WebSocket's own between the fragments. */
	n += ws_frame(all + n, OP_TEXT, INIT, 10);
	n += ws_frame(all + n, 0x80 | OP_PING, "between", 7);
	n += ws_frame(all + n, OP_CONTINUE, INIT + 10, 0);
	n += ws_frame(all + n, 0x80 | OP_CONTINUE, INIT + 10, sizeof(INIT) - 11);
	n += ws_frame(
		all + n, 0x80 | OP_BINARY, ping, (size_t)ws_encode_ping(ping, sizeof(ping), &p));
	check(n < sizeof(all));
	for (size_t cut = 1; cut < n; cut++) {
		struct ws_client c;
		check(ws_open(&c, r.port, "/ws/stream", NULL));
		ws_send_raw(&c, all, cut);
		sleep_ms(2);
		ws_send_raw(&c, all + cut, n - cut);
		ws_expect(&c, WS_PONG, &m, 5000);
		ws_close(&c);
	}
	struct ws_client c;
	check(ws_open(&c, r.port, "/ws/stream", NULL));
	for (size_t i = 0; i < n; i++) {
		ws_send_raw(&c, all + i, 1);
	}
	bool pong = false;
	do {
		check(ws_receive(&c, &m, 5000));
		pong |= m.opcode == OP_PONG && m.size == 7 && memcmp(m.data, "between", 7) == 0;
	} while (m.opcode != OP_BINARY || m.data[0] != WS_PONG);
	check(pong);
	ws_close(&c);
	rig_stop(&r);
}

/* What is sent in one piece with the handshake is not lost. */
TEST(init_behind_the_handshake) {
	struct rig r;
	struct ws_client c = {.fd = -1};
	struct ws_message m;
	uint8_t frame[256];
	char request[1024];
	rig_start(&r, SHOW_STILL, NULL);
	c.fd = tcp_open(r.port, 0);
	int n = snprintf(request, sizeof(request),
		"GET /ws/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n");
	size_t size = ws_frame(frame, 0x80 | OP_TEXT, INIT, sizeof(INIT) - 1);
	memcpy(request + n, frame, size);
	ws_send_raw(&c, request, (size_t)n + size);
	char answer[1] = "";
	for (unsigned newlines = 0; newlines < 2;) {
		check_int(recv(c.fd, answer, 1, 0), ==, 1);
		newlines = answer[0] == '\n' ? newlines + 1 : answer[0] == '\r' ? newlines : 0;
	}
	ws_expect(&c, WS_STREAM_INIT, &m, 5000);
	ws_close(&c);
	rig_stop(&r);
}

struct misdeed {
	const char *what;
	bool after_init;
	unsigned code;
	uint8_t bytes[16];
	size_t size;
};

TEST(broken_frames) {
	static const struct misdeed list[] = {
		{"not masked", true, 1002, {0x82, 0x01, 0x40}, 3},
		{"reserved bit", true, 1002, {0xC2, 0x80, 1, 2, 3, 4}, 6},
		{"unknown opcode", true, 1002, {0x83, 0x80, 1, 2, 3, 4}, 6},
		{"continuation of nothing", true, 1002, {0x80, 0x80, 1, 2, 3, 4}, 6},
		{"fragmented ping", true, 1002, {0x09, 0x80, 1, 2, 3, 4}, 6},
		{"long ping", true, 1002, {0x89, 0xFE, 0x00, 0x7E, 1, 2, 3, 4}, 8},
		{"2^63 bytes", true, 1002,
			{0x82, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, 2, 3, 4},
			14},
		{"2^62 bytes", true, 1009, {0x82, 0xFF, 0x40, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5},
			15},
		{"text that is not UTF-8", true, 1007, {0x81, 0x81, 0, 0, 0, 0, 0xFF}, 7},
		{"text before init", false, 1008, {0x81, 0x82, 0, 0, 0, 0, '{', '}'}, 8},
		{"close code 1005", true, 1002, {0x88, 0x82, 0, 0, 0, 0, 0x03, 0xED}, 8},
	};
	struct rig r;
	rig_start(&r, SHOW_STILL, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(list); i++) {
		struct ws_client c;
		check(ws_open(&c, r.port, "/ws/stream", NULL));
		if (list[i].after_init) {
			ws_send_init(&c, NULL);
		}
		ws_send_raw(&c, list[i].bytes, list[i].size);
		unsigned code = ws_expect_close(&c, 5000);
		if (code != list[i].code) {
			fail("%s: %u, not %u", list[i].what, code, list[i].code);
		}
		ws_close(&c);
	}
	for (unsigned ms = 0; rig_metric(&r, "viewers") > 0; ms += 20) {
		check_int(ms, <, 1000);
		sleep_ms(20);
	}
	rig_stop(&r);
}

/* Messages that make no sense within good frames: ignored, all of them. */
TEST(nonsense_is_ignored) {
	struct rig r;
	struct ws_client c;
	struct ws_message m;
	uint8_t bytes[300];
	uint32_t seed = 1;
	rig_start(&r, SHOW_STILL, NULL);
	check(ws_open(&c, r.port, "/ws/stream", NULL));
	ws_send(&c, OP_BINARY, "\x40", 1); /* before init */
	ws_send_init(&c, NULL);
	ws_send_text(&c, "{\"type\":\"init\"}");
	ws_send_text(&c, "not even JSON");
	ws_send(&c, OP_BINARY, "", 0);
	for (unsigned i = 0; i < 5000; i++) {
		size_t size = i % sizeof(bytes);
		for (size_t k = 0; k < size; k++) {
			seed = seed * 1103515245 + 12345;
			bytes[k] = (uint8_t)(seed >> 16);
		}
		if (size > 0) {
			bytes[0] = (uint8_t)i;
		}
		ws_send(&c, OP_BINARY, bytes, size);
		if (i % 50 == 0) { /* its Pongs must not pile up */
			while (ws_receive(&c, &m, 0)) {
				check_int(m.opcode, !=, OP_CLOSE);
			}
		}
	}
	struct ws_ping p = {0x55667788, 8};
	ws_send(&c, OP_BINARY, bytes, (size_t)ws_encode_ping(bytes, sizeof(bytes), &p));
	do {
		ws_expect(&c, WS_PONG, &m, 5000);
	} while (memcmp(m.data + 1, "\x55\x66\x77\x88", 4) != 0);
	ws_close(&c);
	rig_stop(&r);
}

TEST(large_message) {
	struct rig r;
	struct ws_client c;
	rig_start(&r, SHOW_STILL, NULL);
	uint8_t *big = calloc(1, 70000);
	check(big && ws_open(&c, r.port, "/ws/stream", NULL));
	ws_send_init(&c, NULL);
	ws_send(&c, OP_BINARY, big, 65536);
	ws_send(&c, OP_BINARY, big, 65537);
	check_int(ws_expect_close(&c, 5000), ==, 1009);
	ws_close(&c);
	free(big);
	rig_stop(&r);
}

/* A client that asks and asks and takes no answer ends; the bridge's memory does not grow for it. */
TEST_TIMEOUT(flood_without_reading, 120) {
	struct rig r;
	struct ws_client c;
	rig_start(&r, SHOW_STILL, NULL);
	check(ws_open_small(&c, r.port, "/ws/stream", 4096));
	ws_send_init(&c, NULL);
	size_t before = rig_rss(&r);
	uint8_t pings[64 * 19];
	size_t n = 0;
	struct ws_ping p = {1, 2};
	uint8_t ping[16];
	(void)ws_encode_ping(ping, sizeof(ping), &p);
	for (unsigned i = 0; i < 64; i++) {
		n += ws_frame(pings + n, 0x80 | OP_BINARY, ping, WS_PING_SIZE);
	}
	struct timeval limit = {.tv_sec = 1};
	(void)setsockopt(c.fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	for (unsigned i = 0; i < 20000; i++) {
		if (send(c.fd, pings, n, MSG_NOSIGNAL) < 0) {
			break;
		}
	}
	size_t after = rig_rss(&r);
	(void)printf("# grew by %zu KiB\n", (after - before) / 1024);
	check(SANITIZED || after - before < 8 << 20);
	ws_close(&c);
	/* And others are served. */
	struct watch w;
	watch_open(&w, &r, NULL);
	check(watch_frame(&w, 5000));
	watch_close(&w);
	rig_stop(&r);
}

static void come_and_go(struct rig *r, unsigned times) {
	for (unsigned i = 0; i < times; i++) {
		struct ws_client c;
		struct ws_message m;
		check(ws_open(&c, r->port, i % 4 == 3 ? "/ws/input" : "/ws/stream", NULL));
		if (i % 4 < 2) {
			ws_send_init(&c, "\"session_id\":\"s\"");
			ws_expect(&c, i % 2 ? WS_VIDEO_FRAME : WS_SELF_ID, &m, 5000);
		}
		if (i % 8 == 0) {
			ws_send(&c, OP_CLOSE, "\x03\xe8", 2);
			check_int(ws_expect_close(&c, 5000), ==, 1000);
		}
		ws_close(&c);
	}
	for (unsigned ms = 0; rig_metric(r, "viewers") + rig_metric(r, "input_sockets") > 0;
		ms += 20) {
		check_int(ms, <, 5000);
		sleep_ms(20);
	}
}

/* A thousand viewers, one after the other: neither descriptors nor memory stay with them. */
TEST_TIMEOUT(a_thousand_connects, 300) {
	struct rig r;
	rig_start(&r, SHOW_TYPING, NULL);
	come_and_go(&r, 200);
	sleep_ms(200);
	unsigned fds = rig_fds(&r);
	size_t rss = rig_rss(&r);
	come_and_go(&r, 1000);
	(void)printf("# %u and %u descriptors, %zu and %zu KiB\n", fds, rig_fds(&r), rss / 1024,
		rig_rss(&r) / 1024);
	/* The last ones may take a moment to be closed. */
	for (unsigned ms = 0; rig_fds(&r) > fds; ms += 20) {
		check_int(ms, <, 5000);
		sleep_ms(20);
	}
	if (!SANITIZED) {
		check_int(rig_rss(&r), <, rss + (2 << 20));
	}
	rig_stop(&r);
}

TEST(too_many_viewers) {
	static const char *const options[] = {"--max-viewers", "2", NULL};
	struct rig r;
	struct ws_client a, b, c;
	rig_start(&r, SHOW_STILL, options);
	check(ws_open(&a, r.port, "/ws/stream", NULL));
	check(ws_open(&b, r.port, "/ws/input", NULL));
	check(!ws_open(&c, r.port, "/ws/stream", NULL));
	check_int(c.status, ==, 503);
	ws_close(&c);
	ws_close(&a);
	for (unsigned i = 0; !ws_open(&c, r.port, "/ws/stream", NULL); i++) {
		check_int(i, <, 100);
		ws_close(&c);
		sleep_ms(20);
	}
	ws_close(&c);
	ws_close(&b);
	rig_stop(&r);
}

/* Whoever says nothing, or says it for ever, is closed; and it takes no place for long. */
TEST_TIMEOUT(slow_requests, 120) {
	static const char *const options[] = {"--max-connections", "8", NULL};
	struct rig r;
	struct ws_client slow[8];
	rig_start(&r, SHOW_STILL, options);
	for (unsigned i = 0; i < 8; i++) {
		slow[i] = (struct ws_client){.fd = tcp_open(r.port, 0)};
		ws_send_raw(&slow[i], "GET /health HTTP/1.1\r\n", i % 2 ? 22 : 0);
	}
	uint64_t begin = now_ns();
	/* One byte now and then does not help. */
	while (now_ns() - begin < 9 * NSEC_PER_SEC) {
		for (unsigned i = 1; i < 8; i += 2) {
			ws_send_raw(&slow[i], "X-A: b\r\n", 8);
		}
		sleep_ms(500);
	}
	for (unsigned i = 0; i < 8; i++) {
		struct timeval limit = {.tv_sec = 10};
		uint8_t bytes[4096];
		(void)setsockopt(slow[i].fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
		ssize_t n;
		while ((n = recv(slow[i].fd, bytes, sizeof(bytes), 0)) > 0) {
		}
		check(n == 0 || errno == ECONNRESET);
		ws_close(&slow[i]);
	}
	check_int(now_ns() - begin, <, 20 * NSEC_PER_SEC);
	char text[256];
	size_t n;
	check_int(http_get(r.port, "/health", text, sizeof(text), &n), ==, 200);
	rig_stop(&r);
}
