/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Streams with TLS and WebSocket, both ends in one loop, in every order in which they may come to act. */
#include <stdlib.h>
#include <sys/socket.h>

#include "net/stream.h"
#include "net/tls.h"
#include "net/ws-stream.h"
#include "proto/ws-frame.h"
#include "test.h"

struct end {
	struct pair *pair;
	struct stream *stream;
	const char *says; /* what is left to say */
	char heard[256];
	size_t n;
	bool closed;
};

struct pair {
	sd_event *loop;
	struct tls_config *server_tls, *client_tls;
	struct end client, server;
	/* Set: the other end acts between a write and a read of the client, and how often it did. */
	bool interleave;
	unsigned interleaved;
};

static void end_write(struct end *e) {
	while (*e->says) {
		ssize_t n = stream_write(e->stream, e->says, strlen(e->says));
		if (n == -EAGAIN) {
			return;
		}
		check_ok(n);
		e->says += n;
	}
}

static void end_read(struct end *e) {
	while (!e->closed) {
		check_int(e->n, <, sizeof(e->heard) - 1);
		ssize_t n = stream_read(e->stream, e->heard + e->n, sizeof(e->heard) - 1 - e->n);
		if (n == -EAGAIN) {
			return;
		}
		check_ok(n);
		e->closed = n == 0;
		e->n += (size_t)n;
	}
}

static void handle_end(void *data) {
	struct end *e = data;
	struct pair *p = e->pair;
	end_write(e);
	if (e == &p->client && p->interleave) {
		/* As on a machine where the server runs just now. */
		p->interleaved++;
		end_read(&p->server);
	}
	end_read(e);
	(void)stream_want(e->stream, true, *e->says != '\0');
}

static void pair_open(struct pair *p, bool tls) {
	int fds[2];
	char fingerprint[TLS_FINGERPRINT_SIZE];
	*p = (struct pair){.client = {.pair = p, .says = ""}, .server = {.pair = p, .says = ""}};
	check_ok(sd_event_new(&p->loop));
	check_int(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), ==, 0);
	if (tls) {
		check_ok(tls_config_create_self_signed(&p->server_tls, fingerprint));
		check_ok(tls_config_create_client(NULL, false, &p->client_tls));
		check_ok(stream_create_tls(
			p->loop, fds[0], p->client_tls, "localhost", &p->client.stream));
		check_ok(
			stream_create_tls(p->loop, fds[1], p->server_tls, NULL, &p->server.stream));
	} else {
		check_ok(stream_create(p->loop, fds[0], &p->client.stream));
		check_ok(stream_create(p->loop, fds[1], &p->server.stream));
	}
}

static void pair_start(struct pair *p) {
	stream_set_handler(p->client.stream, handle_end, &p->client);
	stream_set_handler(p->server.stream, handle_end, &p->server);
	check_ok(stream_want(p->client.stream, true, *p->client.says != '\0'));
	check_ok(stream_want(p->server.stream, true, *p->server.says != '\0'));
}

static void pair_close(struct pair *p) {
	stream_destroy(p->client.stream);
	stream_destroy(p->server.stream);
	tls_config_destroy(p->client_tls);
	tls_config_destroy(p->server_tls);
	sd_event_unref(p->loop);
}

/* Runs the loop until `e` has heard so much. */
static void expect_heard(struct end *e, const char *text) {
	while (e->n < strlen(text)) {
		int r = sd_event_run(e->pair->loop, 5 * UINT64_C(1000000));
		check_ok(r);
		if (r == 0) {
			fail("nothing happens any more; heard '%s', not '%s'", e->heard, text);
		}
	}
	check_str(e->heard, text);
}

TEST(tls_both_ways) {
	struct pair p;
	pair_open(&p, true);
	p.client.says = "question";
	p.server.says = "answer";
	pair_start(&p);
	expect_heard(&p.server, "question");
	expect_heard(&p.client, "answer");
	pair_close(&p);
}

/*
 * The client wants to write: that begins to shake hands, and waits for the server. If the server has
 * answered before the client's read, the read ends the handshake, and finds nothing; what is to be
 * written must not wait for the server any more, which has nothing to say.
 */
TEST(tls_hands_are_shaken_by_a_read) {
	struct pair p;
	pair_open(&p, true);
	p.client.says = "question";
	p.interleave = true;
	pair_start(&p);
	expect_heard(&p.server, "question");
	check_int(p.interleaved, >=, 1);
	pair_close(&p);
}

/* The same with nobody's turn left out: either end may act at any time. */
TEST(tls_in_any_order) {
	for (unsigned order = 0; order < 256; order++) {
		struct pair p;
		pair_open(&p, true);
		p.client.says = "question";
		p.server.says = order & 1 ? "answer" : "";
		for (unsigned turn = 0; turn < 4; turn++) {
			struct end *e = order >> (2 * turn) & 2 ? &p.server : &p.client;
			if (order >> (2 * turn) & 1) {
				end_write(e);
			} else {
				end_read(e);
			}
		}
		pair_start(&p);
		expect_heard(&p.server, "question");
		expect_heard(&p.client, order & 1 ? "answer" : "");
		pair_close(&p);
	}
}

/* A WebSocket's frame: the header, a mask and the payload. */
static size_t put_frame(
	uint8_t *to, uint8_t opcode, bool fin, bool masked, const char *payload, size_t n) {
	struct ws_header h = {.fin = fin,
		.opcode = opcode,
		.masked = masked,
		.length = n,
		.key = {1, 2, 0xf3, 4}};
	size_t size = ws_encode_header(to, &h);
	memcpy(to + size, payload, n);
	if (masked) {
		ws_mask(to + size, n, h.key, 0);
	}
	return size + n;
}

/* Frames of all kinds from a client or a server, cut in two at every byte. */
static void feed_frames(bool to_server) {
	char medium[130];
	uint8_t all[1024];
	size_t n = 0;
	memset(medium, 'm', sizeof(medium));
	n += put_frame(all + n, WS_OP_BINARY, false, to_server, "abc", 3);
	n += put_frame(all + n, WS_OP_PING, true, to_server, "ping", 4);
	n += put_frame(all + n, WS_OP_CONTINUATION, true, to_server, "", 0);
	n += put_frame(all + n, WS_OP_BINARY, true, to_server, medium, sizeof(medium));
	n += put_frame(all + n, WS_OP_PONG, true, to_server, "", 0);
	n += put_frame(all + n, WS_OP_BINARY, true, to_server, "z", 1);
	n += put_frame(all + n, WS_OP_CLOSE, true, to_server, "\x03\xe8", 2);
	for (size_t cut = 0; cut <= n; cut++) {
		struct pair p;
		struct stream *ws;
		pair_open(&p, false);
		/* The first part comes with the handshake, as far as it may. */
		size_t early = MIN(cut, (size_t)WS_STREAM_EARLY_MAX);
		check_ok(ws_stream_create(p.loop, p.server.stream, !to_server, all, early, &ws));
		p.server.stream = ws;
		pair_start(&p);
		check_int(stream_write(p.client.stream, all + early, n - early), ==, n - early);
		while (!p.server.closed) {
			check_int(sd_event_run(p.loop, 5 * UINT64_C(1000000)), >, 0);
		}
		check_int(p.server.n, ==, 3 + sizeof(medium) + 1);
		check(memcmp(p.server.heard, "abcmmm", 6) == 0 &&
			p.server.heard[p.server.n - 1] == 'z');
		pair_close(&p);
	}
}

TEST(frames_to_a_server_split_at_every_byte) {
	feed_frames(true);
}

TEST(frames_to_a_client_split_at_every_byte) {
	feed_frames(false);
}

/* The same byte by byte, each in a turn of the loop of its own. */
TEST(frames_byte_by_byte) {
	uint8_t all[64];
	struct pair p;
	struct stream *ws;
	size_t n = put_frame(all, WS_OP_BINARY, false, true, "he", 2);
	n += put_frame(all + n, WS_OP_PING, true, true, "x", 1);
	n += put_frame(all + n, WS_OP_CONTINUATION, true, true, "llo", 3);
	pair_open(&p, false);
	check_ok(ws_stream_create(p.loop, p.server.stream, false, NULL, 0, &ws));
	p.server.stream = ws;
	pair_start(&p);
	for (size_t i = 0; i < n; i++) {
		check_int(stream_write(p.client.stream, all + i, 1), ==, 1);
		check_int(sd_event_run(p.loop, 5 * UINT64_C(1000000)), >, 0);
	}
	expect_heard(&p.server, "hello");
	pair_close(&p);
}
