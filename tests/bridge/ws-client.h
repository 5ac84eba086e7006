/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A WebSocket client for tests, which wait for it: frames by hand, so that it shares no code with the
 * server and can send what no library would. Fails the test at broken framing.
 */
#ifndef HELIX_TESTS_WS_CLIENT_H
#define HELIX_TESTS_WS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	OP_CONTINUE = 0,
	OP_TEXT = 1,
	OP_BINARY = 2,
	OP_CLOSE = 8,
	OP_PING = 9,
	OP_PONG = 10,
};

struct ws_client {
	int fd;
	int status;           /* of the handshake's answer */
	bool mute;            /* does not answer pings */
	unsigned bytes_per_s; /* it reads no faster than that, evenly; 0: as it can */
	uint64_t next_read_ns;
	uint8_t *in;
	size_t in_size, in_capacity;
};

/* One whole message. Its data lives until the next call. */
struct ws_message {
	unsigned opcode;
	const uint8_t *data;
	size_t size;
	unsigned close_code; /* of OP_CLOSE; 0 without */
};

/* A TCP connection to 127.0.0.1. `receive_buffer`: bytes, 0 for the usual. */
int tcp_open(uint16_t port, int receive_buffer);
/* Connects and shakes hands; `headers` may be NULL. True if the answer is 101. */
bool ws_open(struct ws_client *c, uint16_t port, const char *path, const char *headers);
bool ws_open_small(struct ws_client *c, uint16_t port, const char *path, int receive_buffer);
void ws_close(struct ws_client *c);

/* A masked frame into memory of the caller, who has 14 bytes more room than `size`. */
size_t ws_frame(uint8_t *to, unsigned first_byte, const void *data, size_t size);
void ws_send(struct ws_client *c, unsigned opcode, const void *data, size_t size);
void ws_send_text(struct ws_client *c, const char *text);
/* An init with this much in it; NULL: the usual. */
void ws_send_init(struct ws_client *c, const char *more);
void ws_send_raw(struct ws_client *c, const void *data, size_t size);

/* False: nothing within the time. A connection that ended is OP_CLOSE with code 1006. */
bool ws_receive(struct ws_client *c, struct ws_message *ret, unsigned timeout_ms);
/* The next binary message of this type, others are skipped; fails the test without one. */
void ws_expect(struct ws_client *c, uint8_t type, struct ws_message *ret, unsigned timeout_ms);
/* Skips to the close, and gives its code; fails the test without one. */
unsigned ws_expect_close(struct ws_client *c, unsigned timeout_ms);

#endif
