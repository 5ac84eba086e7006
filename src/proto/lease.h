/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The codec of the DRM manager's socket: bytes to structures of <helix/lease.h> and back. Pure: no
 * I/O, no allocation, no state.
 *
 * Decoders take (buf, len) and return the bytes consumed, 0 if more are needed, or -EBADMSG if no
 * further bytes can make it right. Those of the extension take a payload; what a later version
 * appended to it is left for the caller to skip. `*ret` is untouched unless something was consumed.
 * Encoders write a whole message and return the bytes written, or -ENOBUFS.
 */
#ifndef HELIX_PROTO_LEASE_H
#define HELIX_PROTO_LEASE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <helix/lease.h>

ssize_t lease_decode_request(const uint8_t *buf, size_t len, struct lease_request *ret);
ssize_t lease_encode_request(uint8_t *buf, size_t size, const struct lease_request *msg);
ssize_t lease_decode_response(const uint8_t *buf, size_t len, struct lease_response *ret);
/* A longer text is cut at 63 bytes. */
ssize_t lease_encode_response(uint8_t *buf, size_t size, const struct lease_response *msg);

/* Whether it is the beginning of an extended request; `*ret_size`: of the payload that follows. */
bool lease_is_extended(const struct lease_request *request, uint32_t *ret_size);
/* The payload a command has at least; -EBADMSG: not a command of the extension. */
int lease_ext_min_payload(uint8_t command);

ssize_t lease_decode_ext_lease(const uint8_t *buf, size_t len, struct lease_ext_lease *ret);
ssize_t lease_decode_ext_resize(const uint8_t *buf, size_t len, struct lease_ext_resize *ret);
ssize_t lease_decode_ext_token(const uint8_t *buf, size_t len, uint8_t ret[LEASE_TOKEN_SIZE]);
/* -EBADMSG unless it is the reply to `command`. */
ssize_t lease_decode_ext_reply_header(
	const uint8_t *buf, size_t len, uint8_t command, uint32_t *ret_size);
ssize_t lease_decode_ext_reply(const uint8_t *buf, size_t len, struct lease_ext_reply *ret);
/* The fixed part of LIST's reply; -EBADMSG for an entry size below LEASE_EXT_ENTRY_SIZE. */
ssize_t lease_decode_ext_list(
	const uint8_t *buf, size_t len, uint32_t *ret_count, uint32_t *ret_entry_size);
ssize_t lease_decode_ext_entry(const uint8_t *buf, size_t len, struct lease_ext_entry *ret);

ssize_t lease_encode_ext_lease(uint8_t *buf, size_t size, const struct lease_ext_lease *msg);
ssize_t lease_encode_ext_resize(uint8_t *buf, size_t size, const struct lease_ext_resize *msg);
/* RECLAIM and RELEASE. */
ssize_t lease_encode_ext_token(
	uint8_t *buf, size_t size, uint8_t command, const uint8_t token[LEASE_TOKEN_SIZE]);
ssize_t lease_encode_ext_list(uint8_t *buf, size_t size);
ssize_t lease_encode_ext_reply(
	uint8_t *buf, size_t size, uint8_t command, const struct lease_ext_reply *msg);
ssize_t lease_encode_ext_list_reply(
	uint8_t *buf, size_t size, const struct lease_ext_entry *entries, uint32_t count);

const char *lease_code_to_string(uint32_t code);
const char *lease_state_to_string(uint32_t state);

/* 64 hexadecimal digits and a NUL. */
void lease_token_to_string(
	const uint8_t token[LEASE_TOKEN_SIZE], char ret[2 * LEASE_TOKEN_SIZE + 1]);
/* -EINVAL unless it is exactly 64 of them. */
int lease_token_from_string(const char *text, uint8_t ret[LEASE_TOKEN_SIZE]);
/* Takes as long wherever they differ. */
bool lease_token_equal(const uint8_t a[LEASE_TOKEN_SIZE], const uint8_t b[LEASE_TOKEN_SIZE]);
bool lease_token_is_zero(const uint8_t token[LEASE_TOKEN_SIZE]);

#endif
