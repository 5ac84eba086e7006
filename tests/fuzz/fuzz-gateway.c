/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The gateway on what its peers may send: browsers, and bridges that connect by RevDial. The input is
 * a list of steps: a byte that chooses one of a few connections and what is done with it, a length,
 * and bytes to send. Everybody is let in, so that all that can be reached is; there is no network but
 * pairs of sockets.
 *
 * "DDDD…" and "RRRR…" (32 of them) in what is sent stand for the dialer and the request of the last
 * conn-ready that any connection was told, which no fuzzer could guess.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "auth.h"
#include "conn.h"
#include "gateway.h"
#include "log.h"
#include "proto/revdial.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CONNECTIONS 6u
#define TURNS       4u
#define ID_CHARS    (REVDIAL_ID_SIZE - 1)

static struct gateway gateway;

struct fuzzed {
	int fds[CONNECTIONS]; /* our ends; -1: none */
	char dialer[REVDIAL_ID_SIZE], request[REVDIAL_ID_SIZE];
};

static void expect(int ok) {
	if (!ok) {
		abort();
	}
}

static int open_connection(void) {
	struct stream *stream;
	int fds[2];
	expect(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
	expect(stream_create(gateway.loop, fds[0], &stream) == 0);
	expect(conn_create(&gateway, stream, "fuzzed") == 0);
	return fds[1];
}

static void note_id(const char *text, size_t n, const char *key, char id[REVDIAL_ID_SIZE]) {
	const char *found = memmem(text, n, key, strlen(key));
	size_t left = found ? n - (size_t)(found - text) - strlen(key) : 0;
	if (left >= ID_CHARS) {
		memcpy(id, found + strlen(key), ID_CHARS);
	}
}

/* Lets the gateway work, and reads what it says. */
static void turn(struct fuzzed *f) {
	for (unsigned i = 0; i < TURNS; i++) {
		expect(sd_event_run(gateway.loop, 0) >= 0);
	}
	for (unsigned i = 0; i < CONNECTIONS; i++) {
		char text[65536];
		ssize_t n = f->fds[i] >= 0 ? read(f->fds[i], text, sizeof(text)) : -1;
		if (n > 0) {
			note_id(text, (size_t)n, "revdial.dialer=", f->dialer);
			note_id(text, (size_t)n, "revdial.req=", f->request);
		} else if (n == 0) {
			f->fds[i] = close_fd(f->fds[i]);
		}
	}
}

static void fill_in(char *p, size_t n, char placeholder, const char *id) {
	char pattern[ID_CHARS];
	memset(pattern, placeholder, sizeof(pattern));
	char *found = n >= ID_CHARS ? memmem(p, n, pattern, sizeof(pattern)) : NULL;
	if (found) {
		memcpy(found, id, ID_CHARS);
	}
}

static void send_bytes(struct fuzzed *f, unsigned i, const uint8_t *p, size_t n) {
	char *copy = malloc(n ? n : 1);
	expect(copy != NULL);
	memcpy(copy, p, n);
	fill_in(copy, n, 'D', f->dialer);
	fill_in(copy, n, 'R', f->request);
	if (f->fds[i] < 0) {
		f->fds[i] = open_connection();
	}
	(void)send(f->fds[i], copy, n, MSG_NOSIGNAL);
	free(copy);
}

static void start(void) {
	memset(&gateway, 0, sizeof(gateway));
	gateway.options = (struct gateway_options){
		.max_connections = 64, .max_per_address = 64, .thumbnail_ms = 1000};
	gateway_init(&gateway);
	expect(sd_event_new(&gateway.loop) >= 0);
	expect(auth_create_open(&gateway.auth) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct fuzzed f = {.dialer = "", .request = ""};
	memset(f.dialer, '0', ID_CHARS);
	memset(f.request, '0', ID_CHARS);
	memset(f.fds, -1, sizeof(f.fds));
	log_set_level(LOG_LEVEL_ERROR);
	start();
	while (size >= 3) {
		unsigned i = data[0] % CONNECTIONS;
		bool hang_up = data[0] >= 0xf0;
		size_t n = (size_t)data[1] | (size_t)data[2] << 8;
		data += 3;
		size -= 3;
		n = MIN(n, size);
		if (hang_up) {
			f.fds[i] = close_fd(f.fds[i]);
		} else {
			send_bytes(&f, i, data, n);
			data += n;
			size -= n;
		}
		turn(&f);
	}
	gateway_finish(&gateway);
	for (unsigned i = 0; i < CONNECTIONS; i++) {
		(void)close_fd(f.fds[i]);
	}
	return 0;
}
