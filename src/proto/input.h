/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The codec of the input manager's socket: packets to structures of <helix/input.h> and back.
 * Pure: no I/O, no allocation, no state.
 *
 * Decoders of requests and replies take what is behind the header, which came in one packet:
 * -EBADMSG if it is too short or cannot be right; what a later version appended is ignored.
 * `*ret` is untouched unless they succeed. Encoders write a whole message and return the bytes
 * written, or -ENOBUFS.
 */
#ifndef HELIX_PROTO_INPUT_H
#define HELIX_PROTO_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <helix/input.h>

/* INPUT_HEADER_SIZE, or -EBADMSG. */
int input_decode_header(const uint8_t *buf, size_t len, uint8_t *ret_type);

int input_decode_create(const uint8_t *buf, size_t len, struct input_create *ret);
int input_decode_attach(const uint8_t *buf, size_t len, struct input_attach *ret);
/* How many records; -EBADMSG: none, too many, or not whole. */
int input_decode_events(const uint8_t *buf, size_t len, struct input_record ret[INPUT_RECORDS_MAX]);
/* The part that all replies have. */
int input_decode_reply(const uint8_t *buf, size_t len, struct input_reply *ret);
/* Of replies whose code is INPUT_OK; `buf` is all that is behind the header. */
int input_decode_attached(const uint8_t *buf, size_t len, uint32_t *ret_kinds);
int input_decode_created(const uint8_t *buf, size_t len, struct input_created *ret);

ssize_t input_encode_create(uint8_t *buf, size_t size, const struct input_create *msg);
ssize_t input_encode_attach(uint8_t *buf, size_t size, const struct input_attach *msg);
ssize_t input_encode_events(
	uint8_t *buf, size_t size, const struct input_record *records, size_t count);
/* A reply to `type` that is nothing but an error. */
ssize_t input_encode_error(uint8_t *buf, size_t size, uint8_t type, const struct input_reply *msg);
ssize_t input_encode_attached(uint8_t *buf, size_t size, uint32_t kinds);
ssize_t input_encode_created(uint8_t *buf, size_t size, const struct input_created *msg);

/* Section 3: whether a device of that kind can do that. */
bool input_kind_has(uint32_t kind, uint16_t type, uint16_t code);
/* Whether a client may send that. */
bool input_record_is_valid(const struct input_record *record);

const char *input_code_to_string(uint32_t code);
/* "keyboard", "pointer", "touch". */
const char *input_kind_to_string(uint32_t kind);
/* -EINVAL for anything else. */
int input_kind_from_string(const char *name);

#endif
