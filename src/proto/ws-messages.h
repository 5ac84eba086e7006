/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The codec of the messages of docs/protocol/websocket.md: bytes to structures of <helix/ws.h> and
 * back. Pure: no I/O, no allocation, no state. A buffer is the payload of one whole WebSocket
 * message, type byte included.
 *
 * Decoders return the bytes consumed (what a later version appended is left), or -EBADMSG for a
 * message that is too short, of another type or holds what makes no sense; `*ret` is untouched
 * then. Encoders return the bytes written, or -ENOBUFS.
 */
#ifndef HELIX_PROTO_WS_MESSAGES_H
#define HELIX_PROTO_WS_MESSAGES_H

#include <stddef.h>
#include <sys/types.h>

#include <helix/ws.h>

/* Server to client. Of VideoFrame the header only: the access unit follows. */
ssize_t ws_encode_video_frame(uint8_t *buf, size_t size, const struct ws_video_frame *msg);
ssize_t ws_decode_video_frame(const uint8_t *buf, size_t len, struct ws_video_frame *ret);
/* Likewise the header only: the Opus packet follows. */
ssize_t ws_encode_audio_frame(uint8_t *buf, size_t size, const struct ws_audio_frame *msg);
ssize_t ws_decode_audio_frame(const uint8_t *buf, size_t len, struct ws_audio_frame *ret);
ssize_t ws_encode_frame_times(uint8_t *buf, size_t size, const struct ws_frame_times *msg);
ssize_t ws_decode_frame_times(const uint8_t *buf, size_t len, struct ws_frame_times *ret);
ssize_t ws_encode_clipboard(uint8_t *buf, size_t size, const struct ws_clipboard *msg);
ssize_t ws_decode_clipboard(const uint8_t *buf, size_t len, struct ws_clipboard *ret);
ssize_t ws_encode_stream_init(uint8_t *buf, size_t size, const struct ws_stream_init *msg);
ssize_t ws_decode_stream_init(const uint8_t *buf, size_t len, struct ws_stream_init *ret);
/* `text` is UTF-8; it is cut to what the message can hold. */
ssize_t ws_encode_stream_error(uint8_t *buf, size_t size, const char *text);
/* `*ret_text` points into `buf`: no NUL behind it. */
ssize_t ws_decode_stream_error(
	const uint8_t *buf, size_t len, const char **ret_text, size_t *ret_len);
ssize_t ws_encode_pong(uint8_t *buf, size_t size, const struct ws_pong *msg);
/* Takes the 21 and 23 bytes of older servers too: what is missing is 0. */
ssize_t ws_decode_pong(const uint8_t *buf, size_t len, struct ws_pong *ret);
/* Header only; with bitmap_size > 0 the header of the bitmap too, and its pixels follow. */
ssize_t ws_encode_cursor_image(uint8_t *buf, size_t size, const struct ws_cursor_image *msg);
/* `*ret_pixels` points to bitmap_size − 16 bytes in `buf`, which hold height rows. */
ssize_t ws_decode_cursor_image(
	const uint8_t *buf, size_t len, struct ws_cursor_image *ret, const uint8_t **ret_pixels);
ssize_t ws_encode_cursor_name(uint8_t *buf, size_t size, const struct ws_cursor_name *msg);
ssize_t ws_decode_cursor_name(const uint8_t *buf, size_t len, struct ws_cursor_name *ret);
ssize_t ws_encode_remote_cursor(uint8_t *buf, size_t size, const struct ws_remote_cursor *msg);
ssize_t ws_decode_remote_cursor(const uint8_t *buf, size_t len, struct ws_remote_cursor *ret);
ssize_t ws_encode_remote_user(uint8_t *buf, size_t size, const struct ws_remote_user *msg);
ssize_t ws_decode_remote_user(const uint8_t *buf, size_t len, struct ws_remote_user *ret);
ssize_t ws_encode_agent_cursor(uint8_t *buf, size_t size, const struct ws_agent_cursor *msg);
ssize_t ws_decode_agent_cursor(const uint8_t *buf, size_t len, struct ws_agent_cursor *ret);
ssize_t ws_encode_remote_touch(uint8_t *buf, size_t size, const struct ws_remote_touch *msg);
ssize_t ws_decode_remote_touch(const uint8_t *buf, size_t len, struct ws_remote_touch *ret);
ssize_t ws_encode_self_id(uint8_t *buf, size_t size, uint32_t client_id);
ssize_t ws_decode_self_id(const uint8_t *buf, size_t len, uint32_t *ret_client_id);

/* Client to server. */
ssize_t ws_encode_ping(uint8_t *buf, size_t size, const struct ws_ping *msg);
ssize_t ws_decode_ping(const uint8_t *buf, size_t len, struct ws_ping *ret);

/* Samples of a microphone, at most WS_MICROPHONE_MAX; `ret` has room for so many. */
ssize_t ws_encode_microphone(uint8_t *buf, size_t size, const int16_t *samples, size_t n);
ssize_t ws_decode_microphone(const uint8_t *buf, size_t len, int16_t *ret, size_t *ret_n);

/*
 * What a person did: types 0x10 … 0x14 of /ws/stream, or 0x01 … 0x06 of /ws/input. -ENOTSUP: a type
 * or subtype that is not known, which is ignored; -EBADMSG: malformed, NaN, a reference size that
 * is not positive, key 0 and the like.
 */
ssize_t ws_decode_event(const uint8_t *buf, size_t len, struct ws_event *ret);
ssize_t ws_decode_input_event(const uint8_t *buf, size_t len, struct ws_event *ret);
/*
 * For /ws/stream. Absolute positions are sent in 4096ths. -EINVAL for touch cancel, which has no
 * form on the wire.
 */
ssize_t ws_encode_event(uint8_t *buf, size_t size, const struct ws_event *event);

/* Bytes of `text` that fit in `max` without cutting a UTF-8 sequence apart. */
size_t ws_text_fit(const char *text, size_t max);

#endif
