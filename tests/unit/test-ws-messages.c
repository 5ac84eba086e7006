/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The WebSocket messages: golden bytes of each, round trips, every cut. */
#include <errno.h>
#include <linux/input-event-codes.h>
#include <math.h>
#include <stdlib.h>

#include "proto/ws-messages.h"
#include "test.h"
#include "util.h"

static size_t unhex(const char *text, uint8_t *buf, size_t size) {
	size_t n = 0;
	for (; *text; text += *text == ' ' ? 1 : 2) {
		if (*text != ' ') {
			char digits[3] = {text[0], text[1], '\0'};
			check(n < size);
			buf[n++] = (uint8_t)strtoul(digits, NULL, 16);
		}
	}
	return n;
}

static void check_bytes(const uint8_t *buf, ssize_t n, const char *hex) {
	uint8_t golden[512];
	size_t size = unhex(hex, golden, sizeof(golden));
	check_int(n, ==, size);
	for (size_t i = 0; i < size; i++) {
		if (buf[i] != golden[i]) {
			fail("byte %zu is %02x, not %02x", i, buf[i], golden[i]);
		}
	}
}

/*
 * Encodes `msg` to the golden bytes, and not into less room; decodes these to an equal structure, and
 * nothing from less of them, with trailing bytes left. Copies on the heap let ASan watch the ends.
 */
#define CHECK_MESSAGE(type, name, msg, hex)                                             \
	do {                                                                            \
		uint8_t buf[512];                                                       \
		struct type back;                                                       \
		memset(&back, 0xEE, sizeof(back));                                      \
		ssize_t n = ws_encode_##name(buf, sizeof(buf), &(msg));                 \
		check_bytes(buf, n, hex);                                               \
		for (size_t room = 0; room < (size_t)n; room++) {                       \
			uint8_t *small = malloc(room + 1);                              \
			check_int(ws_encode_##name(small, room, &(msg)), ==, -ENOBUFS); \
			memcpy(small, buf, room);                                       \
			uint8_t *cut = realloc(small, room ? room : 1);                 \
			check_int(ws_decode_##name(cut, room, &back), ==, -EBADMSG);    \
			free(cut);                                                      \
		}                                                                       \
		check_int(ws_decode_##name(buf, (size_t)n + 3, &back), ==, n);          \
		uint8_t again[512];                                                     \
		check_int(ws_encode_##name(again, sizeof(again), &back), ==, n);        \
		check_int(memcmp(buf, again, (size_t)n), ==, 0);                        \
		buf[0] ^= 0x80;                                                         \
		check_int(ws_decode_##name(buf, (size_t)n, &back), ==, -EBADMSG);       \
	} while (0)

TEST(video_and_control_are_big_endian) {
	struct ws_video_frame video = {WS_CODEC_H264, WS_FRAME_KEY, 0x0102030405060708, 1920, 1080};
	CHECK_MESSAGE(ws_video_frame, video_frame, video, "01 01 01 0102030405060708 0780 0438");
	struct ws_audio_frame audio = {2, 0x0102030405060708};
	CHECK_MESSAGE(ws_audio_frame, audio_frame, audio, "02 02 0102030405060708");
	struct ws_stream_init init = {WS_CODEC_H264, 1280, 800, 60, 2, 48000, 1};
	CHECK_MESSAGE(ws_stream_init, stream_init, init, "30 01 0500 0320 3c 02 0000bb80 01");
	struct ws_frame_times times = {0x1122334455667788, 7, 8, 9, 10, 11};
	CHECK_MESSAGE(ws_frame_times, frame_times, times,
		"5a 1122334455667788 00000007 00000008 00000009 0000000a 0000000b");
	struct ws_clipboard clipboard = {0x01020304, WS_CLIPBOARD_AVAILABLE | WS_CLIPBOARD_IMAGE};
	CHECK_MESSAGE(ws_clipboard, clipboard, clipboard, "5b 01020304 05");
	struct ws_ping ping = {0xA1B2C3D4, 0x0102030405060708};
	CHECK_MESSAGE(ws_ping, ping, ping, "40 a1b2c3d4 0102030405060708");
}

TEST(pong_of_all_ages) {
	uint8_t buf[64];
	struct ws_pong pong = {1, 2, 3, 0x1234, 5, 6, 7}, back;
	ssize_t n = ws_encode_pong(buf, sizeof(buf), &pong);
	check_bytes(buf, n, "41 00000001 0000000000000002 0000000000000003 1234 0005 0006 0007");
	check_int(n, ==, WS_PONG_SIZE);
	check_int(ws_decode_pong(buf, 20, &back), ==, -EBADMSG);
	check_int(ws_decode_pong(buf, 21, &back), ==, 21);
	check_int(back.server_us, ==, 3);
	check_int(back.pipeline_ms, ==, 0);
	check_int(ws_decode_pong(buf, 23, &back), ==, 23);
	check_int(back.pipeline_ms, ==, 0x1234);
	check_int(back.late_max_ms, ==, 0);
	check_int(ws_decode_pong(buf, 29, &back), ==, 29);
	check_int(back.late_p50_ms, ==, 5);
	check_int(back.late_p99_ms, ==, 6);
	check_int(back.late_max_ms, ==, 7);
	check_int(ws_encode_pong(buf, 28, &pong), ==, -ENOBUFS);
}

TEST(microphone) {
	static int16_t samples[WS_MICROPHONE_MAX + 1] = {1, -2, INT16_MAX};
	static int16_t back[WS_MICROPHONE_MAX];
	static uint8_t buf[2 * WS_MICROPHONE_MAX + 4];
	size_t n = 0;
	check_bytes(buf, ws_encode_microphone(buf, sizeof(buf), samples, 3), "17 0100 feff ff7f");
	check_int(ws_encode_microphone(buf, 6, samples, 3), ==, -ENOBUFS);
	check_int(ws_encode_microphone(buf, sizeof(buf), samples, 0), ==, -EINVAL);
	check_int(ws_encode_microphone(buf, sizeof(buf), samples, WS_MICROPHONE_MAX + 1), ==,
		-EINVAL);
	(void)ws_encode_microphone(buf, sizeof(buf), samples, 3);
	check_int(ws_decode_microphone(buf, 7, back, &n), ==, 7);
	check_int(n, ==, 3);
	check_int(memcmp(back, samples, 6), ==, 0);
	/* Half a sample, none, too many, another type. */
	check_int(ws_decode_microphone(buf, 6, back, &n), ==, -EBADMSG);
	check_int(ws_decode_microphone(buf, 1, back, &n), ==, -EBADMSG);
	check_int(ws_decode_microphone(buf, 0, back, &n), ==, -EBADMSG);
	check_int(ws_decode_microphone(buf, 2 * WS_MICROPHONE_MAX + 3, back, &n), ==, -EBADMSG);
	check_int(ws_decode_microphone(buf, 2 * WS_MICROPHONE_MAX + 1, back, &n), >, 0);
	check_int(n, ==, WS_MICROPHONE_MAX);
	buf[0] = 0x16;
	check_int(ws_decode_microphone(buf, 7, back, &n), ==, -EBADMSG);
}

TEST(stream_error) {
	uint8_t buf[64];
	const char *text = NULL;
	size_t size = 0;
	check_bytes(buf, ws_encode_stream_error(buf, sizeof(buf), "no"), "31 0002 6e6f");
	check_int(ws_decode_stream_error(buf, 5, &text, &size), ==, 5);
	check_int(size, ==, 2);
	check_int(memcmp(text, "no", 2), ==, 0);
	check_int(ws_decode_stream_error(buf, 4, &text, &size), ==, -EBADMSG);
	/* 70,000 bytes of two-byte letters: cut below 65,536, between two of them. */
	char *longest = malloc(70001);
	uint8_t *big = malloc(70010);
	for (size_t i = 0; i < 70000; i += 2) {
		memcpy(longest + i, "\xc3\xa4", 2);
	}
	longest[70000] = '\0';
	check_int(ws_encode_stream_error(big, 70010, longest), ==, 3 + 65534);
	free(longest);
	free(big);
}

TEST(cursor_and_presence_are_little_endian) {
	struct ws_cursor_name name = {.last_mover = 3, .hot_x = 1, .hot_y = -2, .name = "text"};
	CHECK_MESSAGE(
		ws_cursor_name, cursor_name, name, "51 03000000 01000000 feffffff 04 74657874");
	struct ws_remote_cursor cursor = {9, -1, 0x0203, "#0D99FF"};
	CHECK_MESSAGE(ws_remote_cursor, remote_cursor, cursor,
		"53 09000000 ffffffff 03020000 07 23304439394646");
	struct ws_agent_cursor agent = {1, 0x0102, 0x0304, 5, 1};
	CHECK_MESSAGE(ws_agent_cursor, agent_cursor, agent, "55 01000000 0201 0403 05 01");
	struct ws_remote_touch touch = {2, 3, 1, 4, 5, 65535, "#14AE5C"};
	CHECK_MESSAGE(ws_remote_touch, remote_touch, touch,
		"56 02000000 03000000 01 04000000 05000000 ffff0000 07 23313441453543");
	struct ws_remote_user user = {.action = WS_USER_JOINED,
		.client_id = 7,
		.name = "Ann",
		.colour = "#F24822",
		.avatar = "u"};
	CHECK_MESSAGE(ws_remote_user, remote_user, user,
		"54 01 07000000 03 416e6e 07 23463234383232 0100 75");
	struct ws_remote_user left = {.action = WS_USER_LEFT, .client_id = 7};
	CHECK_MESSAGE(ws_remote_user, remote_user, left, "54 00 07000000");
	uint8_t buf[8];
	uint32_t id;
	check_bytes(buf, ws_encode_self_id(buf, sizeof(buf), 0x01020304), "58 04030201");
	check_int(ws_decode_self_id(buf, 4, &id), ==, -EBADMSG);
	check_int(ws_decode_self_id(buf, 5, &id), ==, 5);
	check_int(id, ==, 0x01020304);
}

TEST(long_names_are_cut_between_characters) {
	static struct ws_remote_user user = {.action = WS_USER_JOINED}, back;
	uint8_t buf[WS_REMOTE_USER_SIZE + 600];
	/* 254 bytes, then one character of two: 256 would wrap the length to 0. */
	memset(user.name, 'x', 254);
	memcpy(user.name + 254, "\xc3", 2);
	check_int(ws_text_fit("\xc3\xa4\xc3\xa4", 3), ==, 2);
	check_int(ws_text_fit("\xf0\x9f\x98\x80", 3), ==, 0);
	check_int(ws_text_fit("abc", 3), ==, 3);
	ssize_t n = ws_encode_remote_user(buf, sizeof(buf), &user);
	check(n > 0);
	check_int(ws_decode_remote_user(buf, (size_t)n, &back), ==, n);
	check_int(strlen(back.name), ==, 255);
}

TEST(cursor_image) {
	uint8_t buf[64];
	const uint8_t *pixels = NULL;
	struct ws_cursor_image back,
		msg = {.last_mover = 1,
			.x = -3,
			.y = 4,
			.hot_x = 5,
			.hot_y = 6,
			.bitmap_size = 16 + 8,
			.fourcc = WS_CURSOR_RGBA,
			.width = 2,
			.height = 1,
			.stride = 8};
	ssize_t n = ws_encode_cursor_image(buf, sizeof(buf), &msg);
	check_bytes(buf, n,
		"50 01000000 fdffffff 04000000 05000000 06000000 18000000 "
		"41423234 02000000 01000000 08000000");
	check_int(ws_decode_cursor_image(buf, (size_t)n + 7, &back, &pixels), ==, -EBADMSG);
	check_int(ws_decode_cursor_image(buf, (size_t)n + 8, &back, &pixels), ==, n + 8);
	check(pixels == buf + n);
	check_int(back.x, ==, -3);
	/* Rows beyond the bitmap. */
	msg.height = 2;
	(void)ws_encode_cursor_image(buf, sizeof(buf), &msg);
	check_int(ws_decode_cursor_image(buf, (size_t)n + 8, &back, &pixels), ==, -EBADMSG);
	msg.height = 1;
	msg.stride = -8;
	(void)ws_encode_cursor_image(buf, sizeof(buf), &msg);
	check_int(ws_decode_cursor_image(buf, (size_t)n + 8, &back, &pixels), ==, -EBADMSG);
	/* Without a bitmap. */
	msg.bitmap_size = 0;
	n = ws_encode_cursor_image(buf, sizeof(buf), &msg);
	check_int(n, ==, WS_CURSOR_IMAGE_SIZE);
	check_int(ws_decode_cursor_image(buf, (size_t)n, &back, &pixels), ==, n);
}

/* Decodes and gives the event; what it costs in bytes is checked. */
static struct ws_event event_of(const char *hex, bool other_socket) {
	uint8_t bytes[64];
	struct ws_event e;
	size_t size = unhex(hex, bytes, sizeof(bytes));
	ssize_t (*decode)(const uint8_t *, size_t, struct ws_event *) =
		other_socket ? ws_decode_input_event : ws_decode_event;
	for (size_t cut = 0; cut < size; cut++) {
		uint8_t *part = malloc(cut ? cut : 1);
		memcpy(part, bytes, cut);
		check_int(decode(part, cut, &e), ==, -EBADMSG);
		free(part);
	}
	check_int(decode(bytes, size, &e), ==, size);
	check_int(decode(bytes, size + 1, &e), ==, size);
	return e;
}

TEST(keyboard) {
	struct ws_event e = event_of("10 00 01 03 001e", false);
	check_int(e.kind, ==, WS_EVENT_KEY);
	check_int(e.code, ==, KEY_A);
	check(e.down);
	e = event_of("10 02 00 00 0000ffe1", false);
	check_int(e.kind, ==, WS_EVENT_KEYSYM);
	check_int(e.keysym, ==, 0xFFE1);
	check(!e.down);
	e = event_of("01 03 05 010020ac", true);
	check_int(e.kind, ==, WS_EVENT_KEYSYM_TAP);
	check_int(e.keysym, ==, 0x010020AC);
	check_int(e.modifiers, ==, WS_MOD_SHIFT | WS_MOD_ALT);
}

TEST(mouse) {
	struct ws_event e = event_of("11 02 01 01", false);
	check_int(e.code, ==, BTN_LEFT);
	check_int(event_of("11 02 01 02", false).code, ==, BTN_MIDDLE);
	check_int(event_of("11 02 01 03", false).code, ==, BTN_RIGHT);
	check_int(event_of("11 02 01 04", false).code, ==, BTN_SIDE);
	check_int(event_of("11 02 01 05", false).code, ==, BTN_EXTRA);
	e = event_of("11 03 00000000 0000c842", false); /* 100.0, little-endian */
	check_int(e.kind, ==, WS_EVENT_SCROLL);
	check(fabs(e.dy - 15) < 1e-6 && e.dx == 0);
	e = event_of("11 04 ff 02", false);
	check(fabs(e.dx + 1.5) < 1e-6 && fabs(e.dy - 3) < 1e-6);
	e = event_of("12 01 0800 0400 1000 1000", false);
	check(e.x == 0.5 && e.y == 0.25);
	e = event_of("12 01 ffff 2000 1000 1000", false); /* outside: clamped */
	check(e.x == 0 && e.y == 1);
	e = event_of("13 00 fffe 0003", false);
	check(e.dx == -2 && e.dy == 3);
	/* The other socket's wheel: down is negative there, a line is 40 pixels. */
	e = event_of("05 01 00 00000000 0000803f", true);
	check(fabs(e.dy + 4) < 1e-6 && e.wheel);
	e = event_of("05 02 01 0000803f 0000803f", true);
	check(fabs(e.dx - 80) < 1e-6 && fabs(e.dy + 60) < 1e-6 && !e.wheel);
}

TEST(touch) {
	struct ws_event e = event_of("14 00 09 0000003f 0000803e", false);
	check_int(e.kind, ==, WS_EVENT_TOUCH);
	check_int(e.touch, ==, WS_TOUCH_DOWN);
	check_int(e.slot, ==, 9);
	check(e.x == 0.5 && e.y == 0.25);
	check_int(event_of("06 07 00 00000000 00000000", true).touch, ==, WS_TOUCH_CANCEL);
}

TEST(nonsense_is_refused) {
	static const struct {
		const char *hex;
		int error;
	} bad[] = {
		{"10 00 01 00 0000", -EBADMSG},          /* key 0 */
		{"10 00 01 00 0110", -EBADMSG},          /* a mouse button as a key */
		{"10 00 01 00 ffff", -EBADMSG},          /* beyond all keys */
		{"10 02 01 00 00000000", -EBADMSG},      /* keysym 0 */
		{"10 01 41 42 43 44 45", -ENOTSUP},      /* historical text */
		{"11 02 01 00", -EBADMSG},               /* button 0 */
		{"11 02 01 ff", -EBADMSG},               /* button 255 */
		{"11 03 0000c07f 00000000", -EBADMSG},   /* NaN */
		{"11 03 0000807f 00000000", -EBADMSG},   /* infinity */
		{"11 03 ffff7f7f 00000000", -EBADMSG},   /* the largest float */
		{"12 01 0001 0001 0000 1000", -EBADMSG}, /* width 0 */
		{"12 01 0001 0001 1000 ffff", -EBADMSG}, /* height -1 */
		{"14 00 0a 00000000 00000000", -EBADMSG},
		{"14 00 00 0000c07f 00000000", -EBADMSG},
		{"14 00 00 000080ff 00000000", -EBADMSG},
		{"15 00 00 00 00 00", -ENOTSUP},
		{"77", -ENOTSUP},
		{"", -EBADMSG},
	};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		uint8_t buf[64];
		struct ws_event e;
		size_t n = unhex(bad[i].hex, buf, sizeof(buf));
		if (ws_decode_event(buf, n, &e) != bad[i].error) {
			fail("%s", bad[i].hex);
		}
	}
	uint8_t page[] = {5, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0};
	struct ws_event e;
	check_int(ws_decode_input_event(page, sizeof(page), &e), ==, -EBADMSG);
}

TEST(events_round_trip) {
	static const char *const messages[] = {"10 00 01 03 001e", "10 02 00 00 0000ffe1",
		"10 03 05 010020ac", "11 02 01 05", "11 03 0000803f 0000c842",
		"12 01 0800 0400 1000 1000", "13 00 fffe 0003", "14 02 09 0000003f 0000803e"};
	for (size_t i = 0; i < ARRAY_SIZE(messages); i++) {
		uint8_t buf[64], again[64];
		struct ws_event e;
		size_t n = unhex(messages[i], buf, sizeof(buf));
		check_int(ws_decode_event(buf, n, &e), ==, n);
		check_int(ws_encode_event(again, n - 1, &e), ==, -ENOBUFS);
		check_bytes(again, ws_encode_event(again, sizeof(again), &e), messages[i]);
	}
}
