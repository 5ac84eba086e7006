/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The order of frames on a WebSocket whose other end takes them slowly. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "test.h"
#include "util.h"
#include "ws-conn.h"

#define BODY 2000u /* a frame has two bytes of length */

struct fixture {
	sd_event *loop;
	struct ws_conn *conn;
	int fd; /* the client's */
	unsigned pulled;
	uint8_t body[BODY];
	char kinds[4096]; /* of the frames that came: first bytes of messages, and '!' for close */
	size_t n_kinds, n_in;
	uint8_t in[1 << 16];
};

static void handle_message(bool text, const uint8_t *data, size_t size, void *data_ptr) {
}

static void handle_nothing(void *data) {
}

/* 't' and 'v' in turn: as FrameTimes and VideoFrame. */
static bool handle_pull(struct ws_bulk *ret, void *data) {
	struct fixture *f = data;
	bool first = f->pulled++ % 2 == 0;
	*ret = (struct ws_bulk){.head = {first ? 't' : 'v'}, .head_size = 1, .more = first};
	ret->body = f->body;
	ret->body_size = sizeof(f->body);
	return true;
}

static void handle_release(void *data) {
	(void)close(*(int *)data);
}

static void setup(struct fixture *f, int fds[2]) {
	static const struct ws_conn_handler handler = {
		.message = handle_message,
		.pong = handle_nothing,
		.pull = handle_pull,
		.closed = handle_nothing,
	};
	int size = 8192;
	memset(f, 0, sizeof(*f));
	check_ok(sd_event_new(&f->loop));
	check_ok(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds));
	check_ok(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)));
	f->fd = fds[1];
	struct ws_socket socket = {.fd = fds[0], .release = handle_release, .data = &fds[0]};
	check_ok(ws_conn_create(f->loop, &socket, NULL, 0, 1000, &handler, f, &f->conn));
}

static void teardown(struct fixture *f) {
	ws_conn_destroy(f->conn);
	(void)close(f->fd);
	sd_event_unref(f->loop);
}

/* Reads at most `n` bytes, and notes the frames that are whole. */
static void take(struct fixture *f, size_t n) {
	ssize_t got = recv(f->fd, f->in + f->n_in, n, 0);
	f->n_in += got > 0 ? (size_t)got : 0;
	for (;;) {
		size_t head = f->n_in >= 2 && f->in[1] == 126 ? 4 : 2;
		if (f->n_in < head) {
			return;
		}
		size_t size = head == 2 ? f->in[1] : (size_t)f->in[2] << 8 | f->in[3];
		if (f->n_in < head + size) {
			return;
		}
		check_int(f->n_kinds, <, sizeof(f->kinds) - 1);
		f->kinds[f->n_kinds++] = f->in[0] == 0x88 ? '!' : (char)f->in[head];
		f->n_in -= head + size;
		memmove(f->in, f->in + head + size, f->n_in);
	}
}

static void turn(struct fixture *f) {
	while (sd_event_run(f->loop, 0) > 0) {
	}
}

TEST(what_belongs_together_stays_together) {
	static struct fixture f;
	int fds[2];
	setup(&f, fds);
	ws_conn_kick(f.conn);
	for (unsigned i = 0; i < 500; i++) {
		check(ws_conn_blocked(f.conn));
		check_ok(ws_conn_send_binary(f.conn, (const uint8_t *)"p", 1));
		take(&f, 700);
		turn(&f);
	}
	check(strstr(f.kinds, "tv") && strchr(f.kinds, 'p'));
	check(!strstr(f.kinds, "tp"));
	teardown(&f);
}

TEST(nothing_comes_behind_a_close_frame) {
	static struct fixture f;
	int fds[2];
	for (unsigned rounds = 0; rounds < 20; rounds++) {
		setup(&f, fds);
		ws_conn_kick(f.conn);
		for (unsigned i = 0; i < rounds; i++) {
			take(&f, 700);
			turn(&f);
		}
		ws_conn_close(f.conn, 4000, "superseded");
		for (unsigned i = 0; i < 100; i++) {
			take(&f, 700);
			turn(&f);
		}
		check_str(strchr(f.kinds, '!'), "!");
		teardown(&f);
	}
}
