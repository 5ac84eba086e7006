/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The server's end of one WebSocket connection (RFC 6455), after the handshake. wslay takes apart
 * what the client sends and makes our small messages; large ones, the video, are asked for only
 * when the socket can take them (`pull`), go out without being copied, and let the small ones pass
 * between any two of them, but where `more` says that they belong together.
 *
 * However a connection ends, `closed` is called once, from the loop and from no other call here;
 * the owner destroys the connection then, and never earlier.
 */
#ifndef HELIX_BRIDGE_WS_CONN_H
#define HELIX_BRIDGE_WS_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

struct ws_conn;

#define WS_BULK_HEAD_MAX 48u

/* A binary message: head, then body. */
struct ws_bulk {
	uint8_t head[WS_BULK_HEAD_MAX];
	size_t head_size;
	const uint8_t *body; /* stays until `pulled` */
	size_t body_size;
	bool more; /* nothing comes between this one and the next */
};

struct ws_conn_handler {
	void (*message)(bool text, const uint8_t *data, size_t size, void *data_ptr);
	void (*pong)(void *data);
	/* The next large message; false: none now. May be NULL, as may be `pulled`. */
	bool (*pull)(struct ws_bulk *ret, void *data);
	void (*pulled)(void *data); /* the last one was handed to the kernel whole, or is lost */
	void (*closed)(void *data);
};

/* A connected socket and how it is given back. */
struct ws_socket {
	int fd; /* non-blocking */
	void (*release)(void *data);
	void *data;
};

/*
 * Takes over the socket, also if it fails. `early`: what the client sent behind its handshake.
 * Messages of more than `message_max` bytes close the connection.
 */
int ws_conn_create(sd_event *loop, const struct ws_socket *socket, const uint8_t *early,
	size_t early_size, size_t message_max, const struct ws_conn_handler *handler, void *data,
	struct ws_conn **ret);
void ws_conn_destroy(struct ws_conn *c);

/*
 * Queues a small message. -ENOBUFS: too much waits already (and it is not queued); -ENOTCONN: the
 * connection is being closed.
 */
int ws_conn_send_binary(struct ws_conn *c, const uint8_t *data, size_t size);
int ws_conn_send_text(struct ws_conn *c, const char *text);
void ws_conn_send_ping(struct ws_conn *c);
/* There is something to pull. */
void ws_conn_kick(struct ws_conn *c);
/*
 * Sends a close frame, waits a little for the answer, then ends. Where a message is half sent and
 * the peer takes no more, there is no close frame.
 */
void ws_conn_close(struct ws_conn *c, uint16_t code, const char *reason);
/* Ends at once. */
void ws_conn_abort(struct ws_conn *c);

/* CLOCK_MONOTONIC of the last byte that the kernel took; of the creation at first. */
uint64_t ws_conn_progress_ns(const struct ws_conn *c);
/* Something waits that the kernel does not take. */
bool ws_conn_blocked(const struct ws_conn *c);
/* Bytes handed to the kernel in all. */
uint64_t ws_conn_sent_bytes(const struct ws_conn *c);
int ws_conn_fd(const struct ws_conn *c);

#endif
