/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every decoder of the WebSocket messages on every input, what is decoded, encoded again and decoded
 * again must be the same; and the JSON of init, control and input lines. The first byte chooses, the
 * rest is the message.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "http-clipboard.h"
#include "init.h"
#include "input/socket.h"
#include "proto/ws-messages.h"

#define MESSAGES 18

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(int ok) {
	if (!ok) {
		abort();
	}
}

#define ROUND_TRIP(type, name)                                                    \
	do {                                                                      \
		static struct type msg, back;                                     \
		ssize_t n = ws_decode_##name(p, len, &msg);                       \
		expect(n == -EBADMSG || (n > 0 && (size_t)n <= len));             \
		if (n > 0) {                                                      \
			ssize_t m = ws_encode_##name(buf, sizeof(buf), &msg);     \
			expect(m > 0);                                            \
			expect(ws_decode_##name(buf, (size_t)m, &back) == m);     \
			expect(ws_encode_##name(buf2, sizeof(buf2), &back) == m); \
			expect(memcmp(buf, buf2, (size_t)m) == 0);                \
		}                                                                 \
	} while (0)

static uint8_t buf[8192], buf2[8192], wide[2 * WS_MICROPHONE_MAX + 1];

static void check_event(const struct ws_event *e) {
	expect(isfinite(e->x) && isfinite(e->y) && isfinite(e->dx) && isfinite(e->dy));
	expect(e->x >= 0 && e->x <= 1 && e->y >= 0 && e->y <= 1);
	expect(e->slot < WS_TOUCH_SLOTS && e->code < 0x300);
	ssize_t n = ws_encode_event(buf, sizeof(buf), e);
	struct ws_event back;
	/* What is scrolled is a float on the wire: at its bound it may be rounded beyond. */
	bool at_bound = fabs(e->dx) > 14999 || fabs(e->dy) > 14999;
	if (n == -EINVAL || at_bound) {
		return;
	}
	expect(n > 0 && ws_decode_event(buf, (size_t)n, &back) == n);
	expect(back.kind == e->kind && back.down == e->down && back.code == e->code &&
		back.keysym == e->keysym && back.slot == e->slot && back.touch == e->touch);
	expect(ws_encode_event(buf2, sizeof(buf2), &back) == n &&
		memcmp(buf, buf2, (size_t)n) == 0);
}

/* With its pixels, which the encoder leaves to its caller. */
static void round_trip_image(const uint8_t *p, size_t len) {
	struct ws_cursor_image image, back;
	const uint8_t *pixels;
	ssize_t n = ws_decode_cursor_image(p, len, &image, &pixels);
	if (n <= 0) {
		return;
	}
	/* There may be more than the rows. */
	size_t rows = image.bitmap_size ? (size_t)image.stride * image.height : 0;
	size_t size = image.bitmap_size ? (size_t)n - (size_t)(pixels - p) : 0;
	expect(rows <= size && (!size || (pixels >= p && pixels + size <= p + len)));
	ssize_t head = ws_encode_cursor_image(buf, sizeof(buf), &image);
	expect(head > 0);
	if (size <= sizeof(buf) - (size_t)head) {
		if (size) {
			memcpy(buf + head, pixels, size);
		}
		expect(ws_decode_cursor_image(buf, (size_t)head + size, &back, &pixels) ==
			head + (ssize_t)size);
		expect(ws_encode_cursor_image(buf2, sizeof(buf2), &back) == head);
		expect(memcmp(buf, buf2, (size_t)head) == 0);
	}
}

static void round_trip_others(const uint8_t *p, size_t len) {
	static char text[sizeof(buf)];
	const char *found, *again;
	size_t n, size;
	uint32_t id, back;
	if (ws_decode_self_id(p, len, &id) > 0) {
		expect(ws_encode_self_id(buf, sizeof(buf), id) == WS_SELF_ID_SIZE);
		expect(ws_decode_self_id(buf, WS_SELF_ID_SIZE, &back) > 0 && back == id);
	}
	if (ws_decode_stream_error(p, len, &found, &n) > 0) {
		expect(n + WS_STREAM_ERROR_SIZE <= len);
		if (n < sizeof(text) - WS_STREAM_ERROR_SIZE && !memchr(found, 0, n)) {
			memcpy(text, found, n);
			text[n] = '\0';
			ssize_t m = ws_encode_stream_error(buf, sizeof(buf), text);
			expect(m == (ssize_t)(WS_STREAM_ERROR_SIZE + n));
			expect(ws_decode_stream_error(buf, (size_t)m, &again, &size) == m);
			expect(size == n && memcmp(again, text, n) == 0);
		}
	}
}

static void decode_server_message(uint8_t which, const uint8_t *p, size_t len) {
	switch (which) {
	case 0:
		ROUND_TRIP(ws_video_frame, video_frame);
		break;
	case 1:
		ROUND_TRIP(ws_stream_init, stream_init);
		break;
	case 2:
		ROUND_TRIP(ws_pong, pong);
		break;
	case 3:
		ROUND_TRIP(ws_cursor_name, cursor_name);
		break;
	case 4:
		ROUND_TRIP(ws_remote_cursor, remote_cursor);
		break;
	case 5:
		ROUND_TRIP(ws_remote_user, remote_user);
		break;
	case 6:
		ROUND_TRIP(ws_agent_cursor, agent_cursor);
		break;
	case 7:
		ROUND_TRIP(ws_remote_touch, remote_touch);
		break;
	case 8:
		ROUND_TRIP(ws_frame_times, frame_times);
		ROUND_TRIP(ws_clipboard, clipboard);
		break;
	case 9:
		round_trip_others(p, len);
		break;
	case 10:
		round_trip_image(p, len);
		break;
	case 16:
		ROUND_TRIP(ws_audio_frame, audio_frame);
		break;
	default:
		break;
	}
}

static void decode_client_message(uint8_t which, const uint8_t *p, size_t len) {
	static struct viewer_init init;
	struct clipboard_content *content;
	static int16_t samples[WS_MICROPHONE_MAX];
	struct ws_event e;
	bool enabled;
	size_t n = 0;
	switch (which) {
	case 11:
		ROUND_TRIP(ws_ping, ping);
		break;
	case 12:
		if (ws_decode_event(p, len, &e) > 0) {
			check_event(&e);
		}
		break;
	case 13:
		if (ws_decode_input_event(p, len, &e) > 0) {
			check_event(&e);
		}
		break;
	case 14:
		if (init_parse((const char *)p, len, &init) == 0) {
			expect(strlen(init.user_name) < sizeof(init.user_name) && init.fps > 0);
		}
		(void)control_parse((const char *)p, len, &enabled);
		if (clipboard_parse((const char *)p, len, &content) == 0) {
			expect(content->size <= len && (content->size == 0 || content->data));
			clipboard_content_unref(content);
		}
		(void)control_parse_audio((const char *)p, len, &enabled);
		break;
	case 15:
		if (input_line_parse((const char *)p, len, 1920, 1080, &e) == 0) {
			check_event(&e);
		}
		break;
	case 17:
		if (ws_decode_microphone(p, len, samples, &n) > 0) {
			expect(n > 0 && n <= WS_MICROPHONE_MAX);
			expect(ws_encode_microphone(wide, sizeof(wide), samples, n) ==
				(ssize_t)len);
			expect(memcmp(wide, p, len) == 0);
		}
		break;
	default:
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	if (size > 0) {
		decode_server_message(data[0] % MESSAGES, data + 1, size - 1);
		decode_client_message(data[0] % MESSAGES, data + 1, size - 1);
	}
	return 0;
}
