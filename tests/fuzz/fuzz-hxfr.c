/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every HXFR decoder on every input; what is decoded, encoded again and decoded again, must be the
 * same. The input's first byte chooses the decoder, the rest is the payload.
 */
#include <stdlib.h>
#include <string.h>

#include "proto/hxfr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Encodes `msg`, and checks that as many bytes of the payload come out as went in. */
#define ROUND_TRIP(type, decode, encode, ...)                                                   \
	do {                                                                                    \
		type msg, back;                                                                 \
		ssize_t n = decode(p, len, &msg);                                               \
		if (n > 0) {                                                                    \
			ssize_t m = encode(buf, sizeof(buf), __VA_ARGS__);                      \
			expect(m >= n, "encoder");                                              \
			expect(decode(buf + HXFR_HEADER_SIZE, (size_t)n, &back) == n, "again"); \
			ssize_t k = encode(buf2, sizeof(buf2), REPEAT_##encode);                \
			expect(k == m && memcmp(buf, buf2, (size_t)m) == 0, "differs");         \
		}                                                                               \
	} while (0)

static void expect(int ok, const char *what) {
	if (!ok) {
		abort();
	}
}

#define REPEAT_hxfr_encode_frame_request   1, &back, 0
#define REPEAT_hxfr_encode_config_req      &back
#define REPEAT_hxfr_encode_enable_scanout  1, &back
#define REPEAT_hxfr_encode_subscribe_resp  &back
#define REPEAT_hxfr_encode_hello           &back
#define REPEAT_hxfr_encode_hello_resp      1, &back
#define REPEAT_hxfr_encode_flip_info       &back
#define REPEAT_hxfr_encode_cursor_position &back
#define REPEAT_hxfr_encode_scanout_state   &back
#define REPEAT_hxfr_encode_error           1, back.code, back.message
#define REPEAT_hxfr_encode_frame_response  1, &back, 0

static void decode_requests(uint8_t which, const uint8_t *p, size_t len) {
	uint8_t buf[512], buf2[512];
	struct hxfr_header header;
	uint32_t id;
	switch (which) {
	case 0:
		if (len > 0 && hxfr_decode_header(p, len, &header) > 0) {
			(void)hxfr_message_info(header.type);
			expect(hxfr_encode_header(buf, sizeof(buf), &header) == 12, "header");
			expect(memcmp(buf, p, 12) == 0, "header differs");
		}
		break;
	case 1:
		ROUND_TRIP(struct hxfr_frame_request, hxfr_decode_frame_request,
			hxfr_encode_frame_request, 1, &msg, 0);
		break;
	case 2:
		ROUND_TRIP(struct hxfr_config_req, hxfr_decode_config_req, hxfr_encode_config_req,
			&msg);
		break;
	case 3:
		ROUND_TRIP(struct hxfr_enable_scanout, hxfr_decode_enable_scanout,
			hxfr_encode_enable_scanout, 1, &msg);
		break;
	case 4:
		(void)hxfr_decode_scanout_id(p, len, &id);
		break;
	case 5:
		ROUND_TRIP(struct hxfr_hello, hxfr_decode_hello, hxfr_encode_hello, &msg);
		break;
	default:
		break;
	}
}

static void decode_stats(const uint8_t *p, size_t len) {
	struct hxfr_stats_resp resp;
	struct hxfr_stats stats;
	ssize_t n = hxfr_decode_stats_resp(p, len, &resp);
	if (n > 0) {
		(void)hxfr_decode_stats(p + n, len - (size_t)n, &stats);
	}
}

static void decode_frame(const uint8_t *p, size_t len) {
	uint8_t buf[512], buf2[512];
	const uint8_t *blob;
	size_t size;
	ROUND_TRIP(struct hxfr_frame_response, hxfr_decode_frame_response,
		hxfr_encode_frame_response, 1, &msg, 0);
	ssize_t n = hxfr_decode_blob(p, len, &blob, &size);
	expect(n <= 0 || (blob == p + 4 && size + 4 == (size_t)n && size + 4 <= len), "blob");
}

static void decode_replies(uint8_t which, const uint8_t *p, size_t len) {
	uint8_t buf[512], buf2[512];
	struct hxfr_scanout_resp scanout;
	struct hxfr_cursor_image image;
	const uint8_t *pixels;
	switch (which) {
	case 6:
		decode_frame(p, len);
		break;
	case 7:
		if (hxfr_decode_scanout_resp(p, len, &scanout) > 0) {
			expect(strlen(scanout.connector) < sizeof(scanout.connector), "text");
		}
		break;
	case 8:
		ROUND_TRIP(struct hxfr_subscribe_resp, hxfr_decode_subscribe_resp,
			hxfr_encode_subscribe_resp, &msg);
		break;
	case 9:
		ROUND_TRIP(struct hxfr_error, hxfr_decode_error, hxfr_encode_error, 1, msg.code,
			msg.message);
		break;
	case 10:
		ROUND_TRIP(struct hxfr_hello_resp, hxfr_decode_hello_resp, hxfr_encode_hello_resp,
			1, &msg);
		break;
	case 11:
		ROUND_TRIP(
			struct hxfr_flip_info, hxfr_decode_flip_info, hxfr_encode_flip_info, &msg);
		break;
	case 12:
		if (hxfr_decode_cursor_image(p, len, &image, &pixels) > 0) {
			size_t n = 4 * (size_t)image.width * image.height;
			expect(pixels + n <= p + len, "pixels");
		}
		break;
	case 13:
		ROUND_TRIP(struct hxfr_cursor_position, hxfr_decode_cursor_position,
			hxfr_encode_cursor_position, &msg);
		break;
	case 14:
		ROUND_TRIP(struct hxfr_scanout_state, hxfr_decode_scanout_state,
			hxfr_encode_scanout_state, &msg);
		break;
	case 15:
		decode_stats(p, len);
		break;
	default:
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	if (size > 0) {
		decode_requests(data[0] % 16, data + 1, size - 1);
		decode_replies(data[0] % 16, data + 1, size - 1);
	}
	return 0;
}
