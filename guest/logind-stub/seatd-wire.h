/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The seatd protocol as libseat 0.9 speaks it: its numbers, and a codec. Pure: no I/O, no state.
 *
 * A stream of messages: u16 opcode, u16 size, then `size` bytes. Each request has one reply, in
 * order; events come between them at any time. Numbers are in the machine's own order, and so the
 * codec, which is little-endian, fits the machines that we build for. docs/protocol/seat.md §2 has
 * all of it.
 */
#ifndef HELIX_LOGIND_STUB_SEATD_WIRE_H
#define HELIX_LOGIND_STUB_SEATD_WIRE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SEATD_HEADER_SIZE 4u
#define SEATD_PATH_MAX    256u /* with its NUL */
#define SEATD_REQUEST_MAX (SEATD_HEADER_SIZE + 2u + SEATD_PATH_MAX)
#define SEATD_MESSAGE_MAX 64u /* of ours to a client; SEAT_OPENED is the longest */

enum seatd_opcode {
	SEATD_OPEN_SEAT = 1,
	SEATD_CLOSE_SEAT = 2,
	SEATD_OPEN_DEVICE = 3,  /* u16 length of the path with its NUL, the path */
	SEATD_CLOSE_DEVICE = 4, /* i32 device id */
	SEATD_DISABLE_SEAT = 5,
	SEATD_SWITCH_SESSION = 6, /* i32 session */
	SEATD_PING = 7,

	SEATD_SEAT_OPENED = 0x8001, /* u16 length of the name with its NUL, the name */
	SEATD_SEAT_CLOSED = 0x8002,
	SEATD_DEVICE_OPENED = 0x8003, /* i32 device id; one descriptor comes along */
	SEATD_DEVICE_CLOSED = 0x8004,
	SEATD_EVENT_DISABLE = 0x8005, /* event: answered by DISABLE_SEAT */
	SEATD_EVENT_ENABLE = 0x8006,  /* event */
	SEATD_PONG = 0x8007,
	SEATD_SESSION_SWITCHED = 0x8008,
	SEATD_SEAT_DISABLED = 0x8009,
	SEATD_ERROR = 0xFFFF, /* i32 errno */
};

struct seatd_request {
	uint16_t opcode;
	int32_t number;            /* CLOSE_DEVICE, SWITCH_SESSION */
	char path[SEATD_PATH_MAX]; /* OPEN_DEVICE */
};

/* Bytes consumed, 0 if more are needed, -EBADMSG. `*ret` is untouched unless some were. */
ssize_t seatd_decode_request(const uint8_t *buf, size_t len, struct seatd_request *ret);

/* What of `msg` its opcode uses. Bytes written, or -ENOBUFS. For clients: tests, fuzzers. */
ssize_t seatd_encode_request(uint8_t *buf, size_t size, const struct seatd_request *msg);

/* Messages without a payload; with a number; SEAT_OPENED. Bytes written, or -ENOBUFS. */
ssize_t seatd_encode_plain(uint8_t *buf, size_t size, uint16_t opcode);
ssize_t seatd_encode_number(uint8_t *buf, size_t size, uint16_t opcode, int32_t number)
	__attribute__((nonnull));
ssize_t seatd_encode_seat_opened(uint8_t *buf, size_t size, const char *seat);

#endif
