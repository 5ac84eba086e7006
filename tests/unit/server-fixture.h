/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The real HXFR server on a thread of its own, a backend that records, and plain sockets. */
#ifndef HELIX_TESTS_SERVER_FIXTURE_H
#define HELIX_TESTS_SERVER_FIXTURE_H

#include <pthread.h>

#include <helix/hxfr.h>

#include "server-private.h"
#include "server.h"

#define MESSAGE_MAX (12u * 1024 * 1024)

struct fixture {
	sd_event *loop;
	struct server *server;
	pthread_t thread;
	int stop_fd;
	uint16_t port;

	pthread_mutex_t lock; /* of all below */
	unsigned watching[SCANOUTS_MAX], ready[SCANOUTS_MAX];
	unsigned n_idr[SCANOUTS_MAX];
	uint64_t idr_ns[SCANOUTS_MAX][64]; /* when they were asked for */
	uint32_t bitrate[SCANOUTS_MAX];
	unsigned n_enabled, n_disabled;
	uint32_t width, height, hz; /* of the last enable */
	int switch_result;          /* what enable and disable return */
	struct scanout_state state[SCANOUTS_MAX];
	size_t idr_size; /* 0: request_idr is only recorded; else an IDR of this size is posted */
	uint64_t sequence[SCANOUTS_MAX];
};

/* A message as it came. */
struct message {
	struct hxfr_header header;
	uint8_t *payload;
};

void fixture_start(struct fixture *f, unsigned max_clients);
void fixture_start_with(
	struct fixture *f, unsigned max_clients, const struct access_config *access);
/* Ends the thread, and then the server: all clients are disconnected. */
void fixture_stop(struct fixture *f);

/* An access unit: `size` bytes of which each depends on scanout, sequence and place. */
void fixture_post(struct fixture *f, uint32_t scanout, bool keyframe, size_t size);
/* The bytes that fixture_post gave the unit of that number. */
bool fixture_unit_is_right(uint32_t scanout, uint64_t sequence, const uint8_t *data, size_t size);

unsigned fixture_n_idr(struct fixture *f, uint32_t scanout);
unsigned fixture_ready(struct fixture *f, uint32_t scanout);
unsigned fixture_watching(struct fixture *f, uint32_t scanout);
/* Fails the test unless the function of the fixture comes to `value` within 5 s. */
void fixture_await(struct fixture *f, unsigned (*get)(struct fixture *, uint32_t), uint32_t scanout,
	unsigned value);

/* A blocking socket that gives up after 5 s. `rcvbuf` 0: the default. */
int peer_connect(const struct fixture *f, int rcvbuf);
void peer_send(int fd, const void *bytes, size_t size);
void peer_send_header(int fd, uint8_t type, uint16_t session, uint32_t payload_size);
void peer_send_id(int fd, enum hxfr_type type, uint32_t scanout);
void peer_hello(int fd, uint32_t features);
/* The next message, its payload in a static buffer; false at the end of the stream. */
bool peer_receive(int fd, struct message *ret);
/* The next message, which must be of that type and size. */
void peer_expect(int fd, enum hxfr_type type, uint32_t payload_size, struct message *ret);
/* SUBSCRIBE and its reply. */
void peer_subscribe(int fd, uint32_t scanout);
/* FRAME_RESPONSE, checked in all its fields and bytes; returns the unit's number (its pts). */
uint64_t peer_expect_unit(int fd, uint32_t scanout, bool *ret_keyframe);
/* Nothing comes for `ms`. */
void peer_expect_silence(int fd, unsigned ms);
/* The server closes (or resets) the connection within 5 s, without a word. */
void peer_expect_end(int fd);

void sleep_ms(unsigned ms);

#endif
