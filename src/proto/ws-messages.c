/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ws-messages.h"

#include "wire.h"

/* The cursor of wire.h is little-endian; these are its big-endian fields. */

static uint16_t read_be16(struct reader *r) {
	return __builtin_bswap16(read_u16(r));
}

static uint32_t read_be32(struct reader *r) {
	return __builtin_bswap32(read_u32(r));
}

static uint64_t read_be64(struct reader *r) {
	return __builtin_bswap64(read_u64(r));
}

static void write_be16(struct writer *w, uint16_t v) {
	write_u16(w, __builtin_bswap16(v));
}

static void write_be32(struct writer *w, uint32_t v) {
	write_u32(w, __builtin_bswap32(v));
}

static void write_be64(struct writer *w, uint64_t v) {
	write_u64(w, __builtin_bswap64(v));
}

static void write_i32(struct writer *w, int32_t v) {
	write_u32(w, (uint32_t)v);
}

/* A reader behind the type byte; the first read tells if it was another one. */
static struct reader begin(const uint8_t *buf, size_t len, uint8_t type) {
	struct reader r = {.p = buf, .left = len};
	r.missing = read_u8(&r) != type || r.missing;
	return r;
}

static ssize_t end(const struct reader *r, size_t len) {
	return r->missing ? -EBADMSG : (ssize_t)(len - r->left);
}

static struct writer start(uint8_t *buf, size_t size, uint8_t type) {
	struct writer w = {.p = buf, .left = size};
	write_u8(&w, type);
	return w;
}

size_t ws_text_fit(const char *text, size_t max) {
	size_t n = strnlen(text, max + 1);
	if (n <= max) {
		return n;
	}
	n = max;
	while (n > 0 && ((uint8_t)text[n] & 0xC0) == 0x80) {
		n--;
	}
	return n;
}

/* A text of `n` bytes to a buffer of `size`; longer ones than it holds are refused. */
static void read_string(struct reader *r, size_t n, char *to, size_t size) {
	if (n >= size) {
		r->missing = true;
		return;
	}
	const uint8_t *p = read_bytes(r, n);
	if (p && !r->missing && memchr(p, 0, n) == NULL) {
		memcpy(to, p, n);
		to[n] = '\0';
	} else {
		r->missing = true;
	}
}

static void write_string(struct writer *w, const char *text, size_t n) {
	uint8_t *p = write_bytes(w, n);
	if (p) {
		memcpy(p, text, n);
	}
}

/* With its length in one byte before it. */
static void write_text8(struct writer *w, const char *text) {
	size_t n = ws_text_fit(text, WS_TEXT_MAX);
	write_u8(w, (uint8_t)n);
	write_string(w, text, n);
}

ssize_t ws_encode_video_frame(uint8_t *buf, size_t size, const struct ws_video_frame *msg) {
	struct writer w = start(buf, size, WS_VIDEO_FRAME);
	write_u8(&w, msg->codec);
	write_u8(&w, msg->flags);
	write_be64(&w, msg->pts_us);
	write_be16(&w, msg->width);
	write_be16(&w, msg->height);
	return writer_written(&w);
}

ssize_t ws_decode_video_frame(const uint8_t *buf, size_t len, struct ws_video_frame *ret) {
	struct reader r = begin(buf, len, WS_VIDEO_FRAME);
	struct ws_video_frame msg = {.codec = read_u8(&r)};
	msg.flags = read_u8(&r);
	msg.pts_us = read_be64(&r);
	msg.width = read_be16(&r);
	msg.height = read_be16(&r);
	if (!r.missing) {
		*ret = msg;
	}
	return end(&r, len);
}

ssize_t ws_encode_audio_frame(uint8_t *buf, size_t size, const struct ws_audio_frame *msg) {
	struct writer w = start(buf, size, WS_AUDIO_FRAME);
	write_u8(&w, msg->channels);
	write_be64(&w, msg->pts_us);
	return writer_written(&w);
}

ssize_t ws_decode_audio_frame(const uint8_t *buf, size_t len, struct ws_audio_frame *ret) {
	struct reader r = begin(buf, len, WS_AUDIO_FRAME);
	struct ws_audio_frame msg = {.channels = read_u8(&r)};
	msg.pts_us = read_be64(&r);
	if (!r.missing) {
		*ret = msg;
	}
	return end(&r, len);
}

ssize_t ws_encode_frame_times(uint8_t *buf, size_t size, const struct ws_frame_times *msg) {
	struct writer w = start(buf, size, WS_FRAME_TIMES);
	write_be64(&w, msg->pts_us);
	write_be32(&w, msg->sequence);
	write_be32(&w, msg->encoded_us);
	write_be32(&w, msg->received_us);
	write_be32(&w, msg->sent_us);
	write_be32(&w, msg->skipped);
	return writer_written(&w);
}

ssize_t ws_decode_frame_times(const uint8_t *buf, size_t len, struct ws_frame_times *ret) {
	struct reader r = begin(buf, len, WS_FRAME_TIMES);
	struct ws_frame_times msg = {.pts_us = read_be64(&r)};
	msg.sequence = read_be32(&r);
	msg.encoded_us = read_be32(&r);
	msg.received_us = read_be32(&r);
	msg.sent_us = read_be32(&r);
	msg.skipped = read_be32(&r);
	if (!r.missing) {
		*ret = msg;
	}
	return end(&r, len);
}

ssize_t ws_encode_clipboard(uint8_t *buf, size_t size, const struct ws_clipboard *msg) {
	struct writer w = start(buf, size, WS_CLIPBOARD);
	write_be32(&w, msg->generation);
	write_u8(&w, msg->flags);
	return writer_written(&w);
}

ssize_t ws_decode_clipboard(const uint8_t *buf, size_t len, struct ws_clipboard *ret) {
	struct reader r = begin(buf, len, WS_CLIPBOARD);
	struct ws_clipboard msg = {.generation = read_be32(&r)};
	msg.flags = read_u8(&r);
	if (!r.missing) {
		*ret = msg;
	}
	return end(&r, len);
}

ssize_t ws_encode_stream_init(uint8_t *buf, size_t size, const struct ws_stream_init *msg) {
	struct writer w = start(buf, size, WS_STREAM_INIT);
	write_u8(&w, msg->codec);
	write_be16(&w, msg->width);
	write_be16(&w, msg->height);
	write_u8(&w, msg->fps);
	write_u8(&w, msg->channels);
	write_be32(&w, msg->sample_rate);
	write_u8(&w, msg->touch);
	return writer_written(&w);
}

ssize_t ws_decode_stream_init(const uint8_t *buf, size_t len, struct ws_stream_init *ret) {
	struct reader r = begin(buf, len, WS_STREAM_INIT);
	struct ws_stream_init msg = {.codec = read_u8(&r)};
	msg.width = read_be16(&r);
	msg.height = read_be16(&r);
	msg.fps = read_u8(&r);
	msg.channels = read_u8(&r);
	msg.sample_rate = read_be32(&r);
	msg.touch = read_u8(&r);
	if (!r.missing) {
		*ret = msg;
	}
	return end(&r, len);
}

ssize_t ws_encode_stream_error(uint8_t *buf, size_t size, const char *text) {
	struct writer w = start(buf, size, WS_STREAM_ERROR);
	size_t n = ws_text_fit(text, UINT16_MAX);
	write_be16(&w, (uint16_t)n);
	write_string(&w, text, n);
	return writer_written(&w);
}

ssize_t ws_decode_stream_error(
	const uint8_t *buf, size_t len, const char **ret_text, size_t *ret_len) {
	struct reader r = begin(buf, len, WS_STREAM_ERROR);
	size_t n = read_be16(&r);
	const uint8_t *text = read_bytes(&r, n);
	if (!r.missing) {
		*ret_text = (const char *)text;
		*ret_len = n;
	}
	return end(&r, len);
}

ssize_t ws_encode_pong(uint8_t *buf, size_t size, const struct ws_pong *msg) {
	struct writer w = start(buf, size, WS_PONG);
	write_be32(&w, msg->seq);
	write_be64(&w, msg->client_us);
	write_be64(&w, msg->server_us);
	write_be16(&w, msg->pipeline_ms);
	write_be16(&w, msg->late_p50_ms);
	write_be16(&w, msg->late_p99_ms);
	write_be16(&w, msg->late_max_ms);
	return writer_written(&w);
}

ssize_t ws_decode_pong(const uint8_t *buf, size_t len, struct ws_pong *ret) {
	struct reader r = begin(buf, len, WS_PONG);
	struct ws_pong msg = {.seq = read_be32(&r)};
	msg.client_us = read_be64(&r);
	msg.server_us = read_be64(&r);
	if (r.missing) {
		return -EBADMSG;
	}
	if (r.left >= 2) {
		msg.pipeline_ms = read_be16(&r);
	}
	if (r.left >= 6) {
		msg.late_p50_ms = read_be16(&r);
		msg.late_p99_ms = read_be16(&r);
		msg.late_max_ms = read_be16(&r);
	}
	*ret = msg;
	return end(&r, len);
}

ssize_t ws_encode_cursor_image(uint8_t *buf, size_t size, const struct ws_cursor_image *msg) {
	struct writer w = start(buf, size, WS_CURSOR_IMAGE);
	write_u32(&w, msg->last_mover);
	write_i32(&w, msg->x);
	write_i32(&w, msg->y);
	write_i32(&w, msg->hot_x);
	write_i32(&w, msg->hot_y);
	write_u32(&w, msg->bitmap_size);
	if (msg->bitmap_size > 0) {
		write_u32(&w, msg->fourcc);
		write_u32(&w, msg->width);
		write_u32(&w, msg->height);
		write_i32(&w, msg->stride);
	}
	return writer_written(&w);
}

ssize_t ws_decode_cursor_image(
	const uint8_t *buf, size_t len, struct ws_cursor_image *ret, const uint8_t **ret_pixels) {
	struct reader r = begin(buf, len, WS_CURSOR_IMAGE);
	struct ws_cursor_image msg = {.last_mover = read_u32(&r)};
	const uint8_t *pixels = NULL;
	msg.x = read_i32(&r);
	msg.y = read_i32(&r);
	msg.hot_x = read_i32(&r);
	msg.hot_y = read_i32(&r);
	msg.bitmap_size = read_u32(&r);
	if (msg.bitmap_size > 0) {
		msg.fourcc = read_u32(&r);
		msg.width = read_u32(&r);
		msg.height = read_u32(&r);
		msg.stride = read_i32(&r);
		if (r.missing || msg.bitmap_size < WS_CURSOR_BITMAP_SIZE || msg.stride < 0 ||
			(uint64_t)msg.stride < 4 * (uint64_t)msg.width ||
			(uint64_t)msg.stride * msg.height >
				msg.bitmap_size - WS_CURSOR_BITMAP_SIZE) {
			return -EBADMSG;
		}
		pixels = read_bytes(&r, msg.bitmap_size - WS_CURSOR_BITMAP_SIZE);
	}
	if (!r.missing) {
		*ret = msg;
		*ret_pixels = pixels;
	}
	return end(&r, len);
}

ssize_t ws_encode_cursor_name(uint8_t *buf, size_t size, const struct ws_cursor_name *msg) {
	struct writer w = start(buf, size, WS_CURSOR_NAME);
	write_u32(&w, msg->last_mover);
	write_i32(&w, msg->hot_x);
	write_i32(&w, msg->hot_y);
	write_text8(&w, msg->name);
	return writer_written(&w);
}

ssize_t ws_decode_cursor_name(const uint8_t *buf, size_t len, struct ws_cursor_name *ret) {
	struct reader r = begin(buf, len, WS_CURSOR_NAME);
	struct ws_cursor_name msg = {.last_mover = read_u32(&r)};
	msg.hot_x = read_i32(&r);
	msg.hot_y = read_i32(&r);
	read_string(&r, read_u8(&r), msg.name, sizeof(msg.name));
	if (!r.missing) {
		*ret = msg;
	}
	return end(&r, len);
}

ssize_t ws_encode_remote_cursor(uint8_t *buf, size_t size, const struct ws_remote_cursor *msg) {
	struct writer w = start(buf, size, WS_REMOTE_CURSOR);
	write_u32(&w, msg->client_id);
	write_i32(&w, msg->x);
	write_i32(&w, msg->y);
	write_text8(&w, msg->colour);
	return writer_written(&w);
}

ssize_t ws_decode_remote_cursor(const uint8_t *buf, size_t len, struct ws_remote_cursor *ret) {
	struct reader r = begin(buf, len, WS_REMOTE_CURSOR);
	struct ws_remote_cursor msg = {.client_id = read_u32(&r)};
	msg.x = read_i32(&r);
	msg.y = read_i32(&r);
	read_string(&r, read_u8(&r), msg.colour, sizeof(msg.colour));
	if (!r.missing) {
		*ret = msg;
	}
	return end(&r, len);
}

ssize_t ws_encode_remote_user(uint8_t *buf, size_t size, const struct ws_remote_user *msg) {
	struct writer w = start(buf, size, WS_REMOTE_USER);
	write_u8(&w, msg->action);
	write_u32(&w, msg->client_id);
	if (msg->action == WS_USER_JOINED) {
		write_text8(&w, msg->name);
		write_text8(&w, msg->colour);
		size_t n = ws_text_fit(msg->avatar, WS_AVATAR_MAX);
		write_u16(&w, (uint16_t)n);
		write_string(&w, msg->avatar, n);
	}
	return writer_written(&w);
}

ssize_t ws_decode_remote_user(const uint8_t *buf, size_t len, struct ws_remote_user *ret) {
	struct reader r = begin(buf, len, WS_REMOTE_USER);
	struct ws_remote_user msg = {.action = read_u8(&r)};
	msg.client_id = read_u32(&r);
	if (msg.action > WS_USER_JOINED) {
		return -EBADMSG;
	}
	if (msg.action == WS_USER_JOINED) {
		read_string(&r, read_u8(&r), msg.name, sizeof(msg.name));
		read_string(&r, read_u8(&r), msg.colour, sizeof(msg.colour));
		read_string(&r, read_u16(&r), msg.avatar, sizeof(msg.avatar));
	}
	if (!r.missing) {
		*ret = msg;
	}
	return end(&r, len);
}

ssize_t ws_encode_agent_cursor(uint8_t *buf, size_t size, const struct ws_agent_cursor *msg) {
	struct writer w = start(buf, size, WS_AGENT_CURSOR);
	write_u32(&w, msg->agent_id);
	write_u16(&w, msg->x);
	write_u16(&w, msg->y);
	write_u8(&w, msg->action);
	write_u8(&w, msg->visible);
	return writer_written(&w);
}

ssize_t ws_decode_agent_cursor(const uint8_t *buf, size_t len, struct ws_agent_cursor *ret) {
	struct reader r = begin(buf, len, WS_AGENT_CURSOR);
	struct ws_agent_cursor msg = {.agent_id = read_u32(&r)};
	msg.x = read_u16(&r);
	msg.y = read_u16(&r);
	msg.action = read_u8(&r);
	msg.visible = read_u8(&r);
	if (!r.missing) {
		*ret = msg;
	}
	return end(&r, len);
}

ssize_t ws_encode_remote_touch(uint8_t *buf, size_t size, const struct ws_remote_touch *msg) {
	struct writer w = start(buf, size, WS_REMOTE_TOUCH);
	write_u32(&w, msg->client_id);
	write_u32(&w, msg->touch_id);
	write_u8(&w, msg->event);
	write_i32(&w, msg->x);
	write_i32(&w, msg->y);
	write_u32(&w, msg->pressure);
	write_text8(&w, msg->colour);
	return writer_written(&w);
}

ssize_t ws_decode_remote_touch(const uint8_t *buf, size_t len, struct ws_remote_touch *ret) {
	struct reader r = begin(buf, len, WS_REMOTE_TOUCH);
	struct ws_remote_touch msg = {.client_id = read_u32(&r)};
	msg.touch_id = read_u32(&r);
	msg.event = read_u8(&r);
	msg.x = read_i32(&r);
	msg.y = read_i32(&r);
	msg.pressure = read_u32(&r);
	read_string(&r, read_u8(&r), msg.colour, sizeof(msg.colour));
	if (!r.missing) {
		*ret = msg;
	}
	return end(&r, len);
}

ssize_t ws_encode_self_id(uint8_t *buf, size_t size, uint32_t client_id) {
	struct writer w = start(buf, size, WS_SELF_ID);
	write_u32(&w, client_id);
	return writer_written(&w);
}

ssize_t ws_decode_self_id(const uint8_t *buf, size_t len, uint32_t *ret_client_id) {
	struct reader r = begin(buf, len, WS_SELF_ID);
	uint32_t id = read_u32(&r);
	if (!r.missing) {
		*ret_client_id = id;
	}
	return end(&r, len);
}

ssize_t ws_encode_ping(uint8_t *buf, size_t size, const struct ws_ping *msg) {
	struct writer w = start(buf, size, WS_PING);
	write_be32(&w, msg->seq);
	write_be64(&w, msg->client_us);
	return writer_written(&w);
}

ssize_t ws_decode_ping(const uint8_t *buf, size_t len, struct ws_ping *ret) {
	struct reader r = begin(buf, len, WS_PING);
	struct ws_ping msg = {.seq = read_be32(&r)};
	msg.client_us = read_be64(&r);
	if (!r.missing) {
		*ret = msg;
	}
	return end(&r, len);
}

ssize_t ws_encode_microphone(uint8_t *buf, size_t size, const int16_t *samples, size_t n) {
	struct writer w = start(buf, size, WS_MICROPHONE);
	for (size_t i = 0; i < n; i++) {
		write_u16(&w, (uint16_t)samples[i]);
	}
	return n > 0 && n <= WS_MICROPHONE_MAX ? writer_written(&w) : -EINVAL;
}

/* All of the message is samples, so no later version can append anything. */
ssize_t ws_decode_microphone(const uint8_t *buf, size_t len, int16_t *ret, size_t *ret_n) {
	struct reader r = begin(buf, len, WS_MICROPHONE);
	size_t n = r.left / sizeof(*ret);
	if (r.missing || n == 0 || n > WS_MICROPHONE_MAX || r.left % sizeof(*ret) != 0) {
		return -EBADMSG;
	}
	for (size_t i = 0; i < n; i++) {
		ret[i] = (int16_t)read_u16(&r);
	}
	*ret_n = n;
	return end(&r, len);
}
