/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The HXFR codec: golden bytes of every message, round trips, every cut of every message. */
#include <errno.h>
#include <stdlib.h>

#include "proto/hxfr.h"
#include "test.h"
#include "util.h"

/* Bytes as hexadecimal digits; blanks are ignored, "*N" repeats the byte before N times in all. */
static size_t unhex(const char *text, uint8_t *buf, size_t size) {
	size_t n = 0;
	while (*text) {
		if (*text == ' ') {
			text++;
		} else if (*text == '*') {
			char *end;
			unsigned long times = strtoul(text + 1, &end, 10);
			for (unsigned long i = 1; i < times; i++, n++) {
				check(n < size);
				buf[n] = buf[n - 1];
			}
			text = end;
		} else {
			char digits[3] = {text[0], text[1], '\0'};
			check(n < size);
			buf[n++] = (uint8_t)strtoul(digits, NULL, 16);
			text += 2;
		}
	}
	return n;
}

static void check_golden(const uint8_t *buf, ssize_t n, const char *hex) {
	uint8_t golden[1024];
	size_t size = unhex(hex, golden, sizeof(golden));
	check_int(n, ==, size);
	for (size_t i = 0; i < size; i++) {
		if (buf[i] != golden[i]) {
			fail("byte %zu is %02x, not %02x", i, buf[i], golden[i]);
		}
	}
}

/*
 * Encodes with buffers of each size below the right one, which must all be refused, then compares
 * with the golden bytes and decodes the header.
 */
#define CHECK_ENCODER(encode, hex, ...)                                            \
	do {                                                                       \
		uint8_t golden[1024];                                              \
		size_t size = unhex(hex, golden, sizeof(golden));                  \
		for (size_t room = 0; room < size; room++) {                       \
			uint8_t *small = malloc(room ? room : 1);                  \
			check_int(encode(small, room, __VA_ARGS__), ==, -ENOBUFS); \
			free(small);                                               \
		}                                                                  \
		check_golden(buf, encode(buf, sizeof(buf), __VA_ARGS__), hex);     \
	} while (0)

/* A payload decoder wants more at each cut; copies on the heap let ASan watch the ends. */
#define CHECK_DECODER(decode, payload, size, ret)                            \
	do {                                                                 \
		for (size_t cut = 0; cut < (size); cut++) {                  \
			uint8_t *part = malloc(cut ? cut : 1);               \
			memcpy(part, (payload), cut);                        \
			check_int(decode(part, cut, (ret)), ==, 0);          \
			free(part);                                          \
		}                                                            \
		check_int(decode((payload), (size), (ret)), ==, (size));     \
		check_int(decode((payload), (size) + 1, (ret)), ==, (size)); \
	} while (0)

static uint8_t buf[2048];
static uint8_t *const payload = buf + HXFR_HEADER_SIZE;

TEST(header) {
	struct hxfr_header h = {HXFR_PING, 1, 0x1234, 0xAABBCCDD}, back = {0};
	CHECK_ENCODER(hxfr_encode_header, "48584652 10 01 3412 ddccbbaa", &h);
	for (size_t cut = 1; cut < HXFR_HEADER_SIZE; cut++) {
		check_int(hxfr_decode_header(buf, cut, &back), ==, 0);
	}
	check_int(back.type, ==, 0);
	check_int(hxfr_decode_header(buf, HXFR_HEADER_SIZE, &back), ==, HXFR_HEADER_SIZE);
	check(memcmp(&h, &back, sizeof(h)) == 0);
	/* Each byte of the magic, wrong, is seen as soon as it is there. */
	for (size_t i = 0; i < 4; i++) {
		buf[i] ^= 0x20;
		check_int(hxfr_decode_header(buf, i + 1, &back), ==, -EBADMSG);
		check_int(hxfr_decode_header(buf, HXFR_HEADER_SIZE, &back), ==, -EBADMSG);
		buf[i] ^= 0x20;
	}
}

TEST(frame_request) {
	struct hxfr_frame_request m = {1, 1920, 1080, 0x34325241, 7680, -1, 16666667, 1}, back;
	CHECK_ENCODER(hxfr_encode_frame_request,
		"48584652 01 00 0100 2c000000 01000000 80070000 38040000 41523234 001e0000"
		"ff*8 2b50fe0000000000 01 00*7",
		1, &m, 0);
	CHECK_DECODER(hxfr_decode_frame_request, payload, HXFR_FRAME_REQUEST_SIZE, &back);
	check(back.resource_id == 1 && back.width == 1920 && back.height == 1080);
	check(back.format == 0x34325241 && back.stride == 7680 && back.pts == -1);
	check(back.duration == 16666667 && back.force_keyframe == 1);
	/* With pixels the flag is set and they are counted. */
	check_ok(hxfr_encode_frame_request(buf, sizeof(buf), 1, &m, 0x100));
	check_golden(buf, 12, "48584652 01 01 0100 2c010000");
}

TEST(frame_response) {
	struct hxfr_frame_response m = {.pts = 0x0102030405060708, .dts = -2, .is_keyframe = 1},
				   back;
	CHECK_ENCODER(hxfr_encode_frame_response,
		"48584652 02 00 0300 21000000 0807060504030201 fe ff*7 01 000000 01000000 05000000",
		3, &m, 5);
	CHECK_DECODER(hxfr_decode_frame_response, payload, HXFR_FRAME_RESPONSE_SIZE, &back);
	check(back.pts == m.pts && back.dts == -2 && back.is_keyframe == 1 && back.nal_count == 1);

	const uint8_t *data = NULL;
	size_t size = 0;
	uint8_t *blob = payload + HXFR_FRAME_RESPONSE_SIZE;
	for (size_t cut = 0; cut < 9; cut++) {
		check_int(hxfr_decode_blob(blob, cut, &data, &size), ==, 0);
	}
	check(!data);
	check_int(hxfr_decode_blob(blob, 9, &data, &size), ==, 9);
	check(data == blob + 4 && size == 5);
	memcpy(blob, "\x01\x00\x00\x01", 4);
	check_int(hxfr_decode_blob(blob, 9, &data, &size), ==, -EBADMSG);
}

TEST(config_req) {
	struct hxfr_config_req m = {1920, 1080, 8000000, 60, 1, 66, 40, 1}, back;
	CHECK_ENCODER(hxfr_encode_config_req,
		"48584652 04 00 0000 1c000000 80070000 38040000 00127a00 3c000000 01000000 42 28 01"
		"00*5",
		&m);
	CHECK_DECODER(hxfr_decode_config_req, payload, HXFR_CONFIG_REQ_SIZE, &back);
	check(back.width == 1920 && back.height == 1080 && back.bitrate == 8000000);
	check(back.framerate_num == 60 && back.framerate_den == 1);
	check(back.profile == 66 && back.level == 40 && back.realtime == 1);
}

TEST(enable_disable_and_answer) {
	struct hxfr_enable_scanout m = {15, 1920, 1080, 60}, back;
	CHECK_ENCODER(hxfr_encode_enable_scanout,
		"48584652 20 00 0700 10000000 0f000000 80070000 38040000 3c000000", 7, &m);
	CHECK_DECODER(hxfr_decode_enable_scanout, payload, HXFR_ENABLE_SCANOUT_SIZE, &back);
	check(back.scanout_id == 15 && back.width == 1920 && back.height == 1080);
	check_int(back.refresh, ==, 60);

	uint32_t id = 0;
	CHECK_ENCODER(hxfr_encode_scanout_id, "48584652 21 00 0700 04000000 0f000000",
		HXFR_DISABLE_SCANOUT, 7, 15);
	CHECK_DECODER(hxfr_decode_scanout_id, payload, HXFR_DISABLE_SCANOUT_SIZE, &id);
	check_int(id, ==, 15);

	struct hxfr_scanout_resp resp;
	CHECK_ENCODER(hxfr_encode_scanout_resp,
		"48584652 22 00 0700 48000000 0f000000 01000000"
		"5669727475616c2d3136 00*54",
		7, 15, true);
	CHECK_DECODER(hxfr_decode_scanout_resp, payload, HXFR_SCANOUT_RESP_SIZE, &resp);
	check(resp.scanout_id == 15 && resp.success == 1);
	check_str(resp.connector, "Virtual-16");
	/* The name is there on failure too, and an id that cannot be one does not overflow. */
	check_ok(hxfr_encode_scanout_resp(buf, sizeof(buf), 7, UINT32_MAX, false));
	check_ok(hxfr_decode_scanout_resp(payload, HXFR_SCANOUT_RESP_SIZE, &resp));
	check_int(resp.success, ==, 0);
	check_str(resp.connector, "Virtual-4294967296");
	memset(payload + 8, 'x', HXFR_CONNECTOR_NAME_SIZE);
	check_ok(hxfr_decode_scanout_resp(payload, HXFR_SCANOUT_RESP_SIZE, &resp));
	check_int(strlen(resp.connector), ==, HXFR_CONNECTOR_NAME_SIZE - 1);
}

TEST(subscribe_and_answer) {
	uint32_t id = 0;
	CHECK_ENCODER(hxfr_encode_scanout_id, "48584652 30 00 0200 04000000 02000000",
		HXFR_SUBSCRIBE, 2, 2);
	CHECK_DECODER(hxfr_decode_scanout_id, payload, HXFR_SUBSCRIBE_SIZE, &id);
	check_int(id, ==, 2);
	struct hxfr_subscribe_resp m = {0x10002, 1}, back;
	CHECK_ENCODER(
		hxfr_encode_subscribe_resp, "48584652 31 00 0200 08000000 02000100 01000000", &m);
	CHECK_DECODER(hxfr_decode_subscribe_resp, payload, HXFR_SUBSCRIBE_RESP_SIZE, &back);
	check(back.scanout_id == 0x10002 && back.success == 1);
}

TEST(error) {
	struct hxfr_error back;
	CHECK_ENCODER(hxfr_encode_error, "48584652 ff 00 0900 04010000 ffffffff 6e6f 00*254", 9,
		HXFR_ERR_INVALID, "no");
	CHECK_DECODER(hxfr_decode_error, payload, HXFR_ERROR_SIZE, &back);
	check_int(back.code, ==, HXFR_ERR_INVALID);
	check_str(back.message, "no");
	/* Always 260 bytes: longer texts are cut, and end with NUL. */
	char text[400];
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	check_int(hxfr_encode_error(buf, sizeof(buf), 0, -99, text), ==, 272);
	check_int(buf[271], ==, 0);
	check_int(buf[270], ==, 'x');
}

TEST(hello_and_answer) {
	struct hxfr_hello m = {1, 0xF}, back;
	CHECK_ENCODER(hxfr_encode_hello, "48584652 40 00 0000 08000000 01000000 0f000000", &m);
	CHECK_DECODER(hxfr_decode_hello, payload, HXFR_HELLO_SIZE, &back);
	check(back.version == 1 && back.features == 0xF);
	struct hxfr_hello_resp r = {1, 5, 16, 0x1122334455667788, 0x99}, rback;
	CHECK_ENCODER(hxfr_encode_hello_resp,
		"48584652 41 00 0400 20000000 01000000 05000000 10000000 00000000"
		"8877665544332211 99 00*7",
		4, &r);
	CHECK_DECODER(hxfr_decode_hello_resp, payload, HXFR_HELLO_RESP_SIZE, &rback);
	check(rback.version == 1 && rback.features == 5 && rback.n_scanouts == 16);
	check(rback.server_id == r.server_id && rback.now_ns == 0x99);
}

TEST(flip_info) {
	struct hxfr_flip_info m = {3, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, back;
	CHECK_ENCODER(hxfr_encode_flip_info,
		"48584652 42 00 0300 48000000 03000000 02000000 04 00*7 05 00*7 06 00*7 07 00*7 "
		"08000000 09000000 0a000000 0b000000 0c000000 0d000000 0e000000 0f000000",
		&m);
	CHECK_DECODER(hxfr_decode_flip_info, payload, HXFR_FLIP_INFO_SIZE, &back);
	check(memcmp(&m, &back, sizeof(m)) == 0);
}

TEST(cursor) {
	struct hxfr_cursor_image m = {3, 1, -4, 5, 1, 2, 2, 1}, back;
	const uint8_t *pixels = NULL;
	CHECK_ENCODER(hxfr_encode_cursor_image,
		"48584652 43 00 0300 28000000 03000000 01000000 fcffffff 05000000 01000000 02000000"
		"02000000 01000000",
		&m);
	for (size_t cut = 0; cut < HXFR_CURSOR_IMAGE_SIZE + 8; cut++) {
		check_int(hxfr_decode_cursor_image(payload, cut, &back, &pixels), ==, 0);
	}
	check(!pixels);
	check_int(hxfr_decode_cursor_image(payload, 41, &back, &pixels), ==, 40);
	check(pixels == payload + HXFR_CURSOR_IMAGE_SIZE);
	check(memcmp(&m, &back, sizeof(m)) == 0);
	/* Sizes whose product would overflow are refused before anything is multiplied. */
	memset(payload + 24, 0xff, 8);
	check_int(hxfr_decode_cursor_image(payload, 41, &back, &pixels), ==, -EBADMSG);

	struct hxfr_cursor_position p = {3, 1, -1, -2}, pback;
	CHECK_ENCODER(hxfr_encode_cursor_position,
		"48584652 44 00 0300 10000000 03000000 01000000 ffffffff feffffff", &p);
	CHECK_DECODER(hxfr_decode_cursor_position, payload, HXFR_CURSOR_POSITION_SIZE, &pback);
	check(memcmp(&p, &pback, sizeof(p)) == 0);
}

TEST(scanout_state) {
	struct hxfr_scanout_state m = {3, 1, 1920, 1080, 60, 7, 2}, back;
	CHECK_ENCODER(hxfr_encode_scanout_state,
		"48584652 45 00 0300 20000000 03000000 01000000 80070000 38040000 3c000000 07000000"
		"02000000 00000000",
		&m);
	CHECK_DECODER(hxfr_decode_scanout_state, payload, HXFR_SCANOUT_STATE_SIZE, &back);
	check(memcmp(&m, &back, sizeof(m)) == 0);
}

TEST(stats) {
	struct hxfr_stats m[2] = {{1, 2, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 17, "vaapi",
					  15, 16},
		{2}},
			  back;
	struct hxfr_stats_resp resp;
	CHECK_ENCODER(hxfr_encode_scanout_id, "48584652 46 00 0000 04000000 ffffffff",
		HXFR_STATS_REQ, 0, HXFR_STATS_ALL);
	CHECK_ENCODER(hxfr_encode_stats_resp,
		"48584652 47 00 0500 40010000 02000000 98000000 42 00*7 "
		"01000000 02000000 01000000 00000000 03 00*7 04 00*7 05 00*7 06 00*7 07 00*7 08 00*7 "
		"09 00*7 0a 00*7 0b 00*7 0c 00*7 0d 00*7 0e 00*7 "
		"11 00*7 7661617069 00*11 0f 00*7 10 00*7 02 00*151",
		5, 0x42, m, 2);
	CHECK_DECODER(hxfr_decode_stats_resp, payload, HXFR_STATS_RESP_SIZE, &resp);
	check(resp.count == 2 && resp.entry_size == HXFR_STATS_ENTRY_SIZE && resp.now_ns == 0x42);
	/* As older servers send it, then as ours. */
	CHECK_DECODER(
		hxfr_decode_stats, payload + HXFR_STATS_RESP_SIZE, HXFR_STATS_ENTRY_MIN, &back);
	check(back.dropped_units == 14 && back.encoder[0] == '\0' && back.torn == 0);
	check_int(hxfr_decode_stats(payload + HXFR_STATS_RESP_SIZE, HXFR_STATS_ENTRY_SIZE, &back),
		==, HXFR_STATS_ENTRY_SIZE);
	check_str(back.encoder, "vaapi");
	check_int(back.torn, ==, 17);
	check(back.encoder_lost == 15 && back.encoder_recovered == 16);
	uint8_t again[HXFR_HEADER_SIZE + HXFR_STATS_RESP_SIZE + HXFR_STATS_ENTRY_SIZE];
	check_ok(hxfr_encode_stats_resp(again, sizeof(again), 5, 0x42, &back, 1));
	check(memcmp(again + 28, buf + 28, HXFR_STATS_ENTRY_SIZE) == 0);
	payload[4] = HXFR_STATS_ENTRY_MIN - 1;
	check_int(hxfr_decode_stats_resp(payload, 16, &resp), ==, -EBADMSG);
}

TEST(every_message_has_a_name_and_its_size) {
	unsigned known = 0;
	for (unsigned type = 0; type < 256; type++) {
		const struct hxfr_message_info *info = hxfr_message_info((uint8_t)type);
		known += info != NULL;
	}
	check_int(known, >=, 20);
	check_int(hxfr_message_info(HXFR_FRAME_REQUEST)->min_payload, ==, 44);
	check_str(hxfr_message_info(HXFR_STATS_RESP)->name, "STATS_RESP");
	check(!hxfr_message_info(HXFR_CONFIG_RESP));
	check(!hxfr_message_info(0x4D)); /* reserved */
}
