/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "seatd-wire.h"
#include "proto/wire.h"

/* Size of the payload; for OPEN_DEVICE the least. -1: not a request. */
static int payload_size(uint16_t opcode) {
	switch (opcode) {
	case SEATD_OPEN_SEAT:
	case SEATD_CLOSE_SEAT:
	case SEATD_DISABLE_SEAT:
	case SEATD_PING:
		return 0;
	case SEATD_OPEN_DEVICE:
		return 2 + 1;
	case SEATD_CLOSE_DEVICE:
	case SEATD_SWITCH_SESSION:
		return 4;
	default:
		return -1;
	}
}

static int check_size(uint16_t opcode, uint16_t size) {
	int least = payload_size(opcode);
	if (least < 0) {
		return -EBADMSG;
	}
	int most = opcode == SEATD_OPEN_DEVICE ? 2 + (int)SEATD_PATH_MAX : least;
	return size < least || size > most ? -EBADMSG : 0;
}

ssize_t seatd_decode_request(const uint8_t *buf, size_t len, struct seatd_request *ret) {
	struct reader r = {.p = buf, .left = len};
	uint16_t opcode = read_u16(&r), size = read_u16(&r);
	if (r.missing) {
		return 0;
	}
	if (check_size(opcode, size) < 0) {
		return -EBADMSG;
	}
	if (r.left < size) {
		return 0;
	}
	struct seatd_request msg = {.opcode = opcode};
	if (opcode == SEATD_OPEN_DEVICE) {
		uint16_t n = read_u16(&r);
		if (n != size - 2) {
			return -EBADMSG;
		}
		memcpy(msg.path, read_bytes(&r, n), n);
		/* Its one NUL is the last byte. */
		if (strnlen(msg.path, n) != n - 1u) {
			return -EBADMSG;
		}
	} else if (size == 4) {
		msg.number = read_i32(&r);
	}
	*ret = msg;
	return reader_consumed(&r, len);
}

static void write_header(struct writer *w, uint16_t opcode, size_t size) {
	write_u16(w, opcode);
	write_u16(w, (uint16_t)size);
}

ssize_t seatd_encode_plain(uint8_t *buf, size_t size, uint16_t opcode) {
	struct writer w = {.p = buf, .left = size};
	write_header(&w, opcode, 0);
	return writer_written(&w);
}

ssize_t seatd_encode_number(uint8_t *buf, size_t size, uint16_t opcode, int32_t number) {
	struct writer w = {.p = buf, .left = size};
	write_header(&w, opcode, 4);
	write_u32(&w, (uint32_t)number);
	return writer_written(&w);
}

static ssize_t encode_text(uint8_t *buf, size_t size, uint16_t opcode, const char *text) {
	struct writer w = {.p = buf, .left = size};
	size_t n = strlen(text) + 1;
	if (n > SEATD_PATH_MAX) {
		return -ENOBUFS;
	}
	write_header(&w, opcode, 2 + n);
	write_u16(&w, (uint16_t)n);
	write_text(&w, text, n);
	return writer_written(&w);
}

ssize_t seatd_encode_seat_opened(uint8_t *buf, size_t size, const char *seat) {
	return encode_text(buf, size, SEATD_SEAT_OPENED, seat);
}

ssize_t seatd_encode_request(uint8_t *buf, size_t size, const struct seatd_request *msg) {
	switch (payload_size(msg->opcode)) {
	case 0:
		return seatd_encode_plain(buf, size, msg->opcode);
	case 4:
		return seatd_encode_number(buf, size, msg->opcode, msg->number);
	default:
		return encode_text(buf, size, msg->opcode, msg->path);
	}
}
