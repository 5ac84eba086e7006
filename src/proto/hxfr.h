/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The HXFR codec: bytes to structures of <helix/hxfr.h> and back. Pure: no I/O, no allocation, no
 * state.
 *
 * Decoders take (buf, len) and return the bytes consumed, 0 if more are needed, or -EBADMSG if no
 * further bytes can make it right. hxfr_decode_header reads a header; the others a payload, from
 * its first byte: what a later version appended to the payload is left for the caller to skip.
 * `*ret` is untouched unless something was consumed.
 *
 * Encoders write header and payload and return the bytes written, or -ENOBUFS.
 */
#ifndef HELIX_PROTO_HXFR_H
#define HELIX_PROTO_HXFR_H

#include <stddef.h>
#include <sys/types.h>

#include <helix/hxfr.h>

struct hxfr_message_info {
	const char *name;
	bool to_server;
	uint32_t min_payload; /* shorter ones are malformed */
};

/* NULL for a type that is not known (or only reserved). */
const struct hxfr_message_info *hxfr_message_info(uint8_t type);

ssize_t hxfr_decode_header(const uint8_t *buf, size_t len, struct hxfr_header *ret);
ssize_t hxfr_decode_frame_request(const uint8_t *buf, size_t len, struct hxfr_frame_request *ret);
/* Only the fixed part; the blobs follow, see hxfr_decode_blob. */
ssize_t hxfr_decode_frame_response(const uint8_t *buf, size_t len, struct hxfr_frame_response *ret);
/* One (size, bytes): `*ret_data` points into `buf`. */
ssize_t hxfr_decode_blob(
	const uint8_t *buf, size_t len, const uint8_t **ret_data, size_t *ret_size);
ssize_t hxfr_decode_config_req(const uint8_t *buf, size_t len, struct hxfr_config_req *ret);
ssize_t hxfr_decode_enable_scanout(const uint8_t *buf, size_t len, struct hxfr_enable_scanout *ret);
/* DISABLE_SCANOUT, SUBSCRIBE and STATS_REQ: a scanout id and nothing else. */
ssize_t hxfr_decode_scanout_id(const uint8_t *buf, size_t len, uint32_t *ret);
ssize_t hxfr_decode_scanout_resp(const uint8_t *buf, size_t len, struct hxfr_scanout_resp *ret);
ssize_t hxfr_decode_subscribe_resp(const uint8_t *buf, size_t len, struct hxfr_subscribe_resp *ret);
ssize_t hxfr_decode_error(const uint8_t *buf, size_t len, struct hxfr_error *ret);
ssize_t hxfr_decode_hello(const uint8_t *buf, size_t len, struct hxfr_hello *ret);
ssize_t hxfr_decode_hello_resp(const uint8_t *buf, size_t len, struct hxfr_hello_resp *ret);
ssize_t hxfr_decode_flip_info(const uint8_t *buf, size_t len, struct hxfr_flip_info *ret);
/* Consumes the pixels too: `*ret_pixels` points to 4·width·height bytes within `buf`. */
ssize_t hxfr_decode_cursor_image(
	const uint8_t *buf, size_t len, struct hxfr_cursor_image *ret, const uint8_t **ret_pixels);
ssize_t hxfr_decode_cursor_position(
	const uint8_t *buf, size_t len, struct hxfr_cursor_position *ret);
ssize_t hxfr_decode_scanout_state(const uint8_t *buf, size_t len, struct hxfr_scanout_state *ret);
/* The fixed part; -EBADMSG for an entry size below HXFR_STATS_ENTRY_MIN. */
ssize_t hxfr_decode_stats_resp(const uint8_t *buf, size_t len, struct hxfr_stats_resp *ret);
ssize_t hxfr_decode_stats(const uint8_t *buf, size_t len, struct hxfr_stats *ret);
/* The key of AUTHENTICATE. */
ssize_t hxfr_decode_authenticate(const uint8_t *buf, size_t len, uint8_t ret[HXFR_TOKEN_SIZE]);
ssize_t hxfr_decode_authenticate_resp(const uint8_t *buf, size_t len, uint32_t *ret_success);
ssize_t hxfr_decode_enable_lease(const uint8_t *buf, size_t len, struct hxfr_enable_lease *ret);
ssize_t hxfr_decode_lease_resp(const uint8_t *buf, size_t len, struct hxfr_lease_resp *ret);
ssize_t hxfr_decode_show_token(const uint8_t *buf, size_t len, struct hxfr_show_token *ret);

/* A message without payload, or the header of one whose payload is written elsewhere. */
ssize_t hxfr_encode_header(uint8_t *buf, size_t size, const struct hxfr_header *header);
/* The 44 bytes; header.payload_size counts `pixel_bytes` more, which follow separately. */
ssize_t hxfr_encode_frame_request(uint8_t *buf, size_t size, uint16_t session,
	const struct hxfr_frame_request *msg, uint32_t pixel_bytes);
/*
 * Header, fixed part and the size of the one access unit, whose `au_size` bytes follow separately:
 * HXFR_HEADER_SIZE + HXFR_FRAME_PREFIX_SIZE bytes are written. nal_count is always 1.
 */
ssize_t hxfr_encode_frame_response(uint8_t *buf, size_t size, uint16_t session,
	const struct hxfr_frame_response *msg, uint32_t au_size);
ssize_t hxfr_encode_config_req(uint8_t *buf, size_t size, const struct hxfr_config_req *msg);
ssize_t hxfr_encode_enable_scanout(
	uint8_t *buf, size_t size, uint16_t session, const struct hxfr_enable_scanout *msg);
/* `type`: HXFR_DISABLE_SCANOUT, HXFR_SUBSCRIBE or HXFR_STATS_REQ. */
ssize_t hxfr_encode_scanout_id(
	uint8_t *buf, size_t size, enum hxfr_type type, uint16_t session, uint32_t scanout_id);
/* The connector name is made from the id. */
ssize_t hxfr_encode_scanout_resp(
	uint8_t *buf, size_t size, uint16_t session, uint32_t scanout_id, bool success);
ssize_t hxfr_encode_subscribe_resp(
	uint8_t *buf, size_t size, const struct hxfr_subscribe_resp *msg);
/* A longer text is cut. */
ssize_t hxfr_encode_error(
	uint8_t *buf, size_t size, uint16_t session, int32_t code, const char *text);
ssize_t hxfr_encode_hello(uint8_t *buf, size_t size, const struct hxfr_hello *msg);
ssize_t hxfr_encode_hello_resp(
	uint8_t *buf, size_t size, uint16_t session, const struct hxfr_hello_resp *msg);
ssize_t hxfr_encode_flip_info(uint8_t *buf, size_t size, const struct hxfr_flip_info *msg);
/* Without the 4·width·height bytes of pixels, which payload_size counts. */
ssize_t hxfr_encode_cursor_image(uint8_t *buf, size_t size, const struct hxfr_cursor_image *msg);
ssize_t hxfr_encode_cursor_position(
	uint8_t *buf, size_t size, const struct hxfr_cursor_position *msg);
ssize_t hxfr_encode_scanout_state(uint8_t *buf, size_t size, const struct hxfr_scanout_state *msg);
ssize_t hxfr_encode_stats_resp(uint8_t *buf, size_t size, uint16_t session, uint64_t now_ns,
	const struct hxfr_stats *entries, uint32_t count);
ssize_t hxfr_encode_authenticate(uint8_t *buf, size_t size, const uint8_t key[HXFR_TOKEN_SIZE]);
ssize_t hxfr_encode_authenticate_resp(uint8_t *buf, size_t size, uint16_t session, bool success);
ssize_t hxfr_encode_enable_lease(
	uint8_t *buf, size_t size, uint16_t session, const struct hxfr_enable_lease *msg);
/* The connector name is made from the id. */
ssize_t hxfr_encode_lease_resp(uint8_t *buf, size_t size, uint16_t session, uint32_t scanout_id,
	bool success, const uint8_t token[HXFR_TOKEN_SIZE]);
ssize_t hxfr_encode_show_token(
	uint8_t *buf, size_t size, uint16_t session, const struct hxfr_show_token *msg);

#endif
