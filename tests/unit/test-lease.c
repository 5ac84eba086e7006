/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The codec of the DRM manager's socket, with the layout of the reference as golden data. */
#include "proto/lease.h"
#include "test.h"
#include "util.h"

TEST(golden_request) {
	/* cmd 1, 1920 by 1080, packed and little-endian. */
	static const uint8_t golden[] = {1, 0x80, 0x07, 0, 0, 0x38, 0x04, 0, 0};
	uint8_t buf[64];
	struct lease_request m = {.command = LEASE_CMD_LEASE, .a = 1920, .b = 1080}, back;
	check_int(lease_encode_request(buf, sizeof(buf), &m), ==, 9);
	check(memcmp(buf, golden, 9) == 0);
	for (size_t n = 0; n < 9; n++) {
		check_int(lease_decode_request(golden, n, &back), ==, 0);
		check_int(lease_encode_request(buf, n, &m), ==, -ENOBUFS);
	}
	check_int(lease_decode_request(golden, 9, &back), ==, 9);
	check(back.command == 1 && back.a == 1920 && back.b == 1080);
}

TEST(golden_response) {
	uint8_t golden[69] = {0, 3, 0, 0, 0, 'V', 'i', 'r', 't', 'u', 'a', 'l', '-', '4'};
	uint8_t buf[69];
	struct lease_response m = {.scanout = 3, .text = "Virtual-4"}, back;
	check_int(lease_encode_response(buf, sizeof(buf), &m), ==, 69);
	check(memcmp(buf, golden, 69) == 0);
	check_int(lease_decode_response(golden, 68, &back), ==, 0);
	check_int(lease_decode_response(golden, 69, &back), ==, 69);
	check(back.status == 0 && back.scanout == 3);
	check_str(back.text, "Virtual-4");
	/* Others may send 64 bytes without a NUL. */
	memset(golden + 5, 'x', 64);
	golden[0] = 1;
	check_int(lease_decode_response(golden, 69, &back), ==, 69);
	check_int(strlen(back.text), ==, 63);
}

TEST(extension_is_told_from_plain_requests) {
	uint32_t size = 7;
	struct lease_request m = {LEASE_CMD_LEASE, LEASE_EXT_MAGIC, 88};
	check(!lease_is_extended(&m, &size));
	m.command = LEASE_EXT_LEASE;
	check(lease_is_extended(&m, &size) && size == 88);
	m.a++;
	check(!lease_is_extended(&m, &size));
	m = (struct lease_request){0x90, LEASE_EXT_MAGIC, 88};
	check(!lease_is_extended(&m, &size));
	check_int(lease_ext_min_payload(0x15), ==, -EBADMSG);
	check_int(lease_ext_min_payload(LEASE_EXT_RESIZE), ==, 44);
}

TEST(extended_lease_round_trip) {
	uint8_t buf[9 + LEASE_EXT_LEASE_SIZE];
	struct lease_ext_lease m = {0, 1, 2, 3, 4, 5, "name"}, back;
	check_int(lease_encode_ext_lease(buf, sizeof(buf), &m), ==, sizeof(buf));
	static const uint8_t head[] = {0x10, 'H', 'X', 'L', '1', 88, 0, 0, 0};
	check(memcmp(buf, head, sizeof(head)) == 0);
	for (size_t n = 0; n < LEASE_EXT_LEASE_SIZE; n++) {
		check_int(lease_decode_ext_lease(buf + 9, n, &back), ==, 0);
	}
	check_int(lease_decode_ext_lease(buf + 9, LEASE_EXT_LEASE_SIZE, &back), ==, 88);
	check(memcmp(&m, &back, sizeof(m)) == 0);
}

TEST(extended_reply_round_trip) {
	uint8_t buf[9 + LEASE_EXT_REPLY_SIZE];
	uint32_t size;
	struct lease_ext_reply m, back;
	memset(&m, 0x11, sizeof(m));
	m.connector[63] = m.exporter[63] = m.text[127] = '\0';
	check_int(lease_encode_ext_reply(buf, sizeof(buf), LEASE_EXT_RESIZE, &m), ==, sizeof(buf));
	check_int(lease_decode_ext_reply_header(buf, 9, LEASE_EXT_LEASE, &size), ==, -EBADMSG);
	check_int(lease_decode_ext_reply_header(buf, 8, LEASE_EXT_RESIZE, &size), ==, 0);
	check_int(lease_decode_ext_reply_header(buf, 9, LEASE_EXT_RESIZE, &size), ==, 9);
	check_int(size, ==, LEASE_EXT_REPLY_SIZE);
	check_int(lease_decode_ext_reply(buf + 9, size - 1, &back), ==, 0);
	check_int(lease_decode_ext_reply(buf + 9, size, &back), ==, LEASE_EXT_REPLY_SIZE);
	check(memcmp(&m, &back, sizeof(m)) == 0);
}

TEST(list_round_trip) {
	uint8_t buf[9 + LEASE_EXT_LIST_REPLY_SIZE + 2 * LEASE_EXT_ENTRY_SIZE];
	struct lease_ext_entry m[2] = {{1, 2, 3, 4, 5, 6, 7, 8, 9, "a", "b"}, {.scanout = 9}}, back;
	uint32_t count, entry_size;
	check_int(lease_encode_ext_list_reply(buf, sizeof(buf), m, 2), ==, sizeof(buf));
	check_int(lease_encode_ext_list_reply(buf, sizeof(buf) - 1, m, 2), ==, -ENOBUFS);
	check_int(lease_encode_ext_list_reply(buf, sizeof(buf), m, 500), ==, -ENOBUFS);
	check_int(lease_decode_ext_list(buf + 9, 8, &count, &entry_size), ==, 8);
	check(count == 2 && entry_size == LEASE_EXT_ENTRY_SIZE);
	check_int(lease_decode_ext_entry(buf + 17, entry_size, &back), ==, LEASE_EXT_ENTRY_SIZE);
	check(memcmp(&m[0], &back, sizeof(back)) == 0);
	buf[13] = 1; /* entries shorter than what we know */
	check_int(lease_decode_ext_list(buf + 9, 8, &count, &entry_size), ==, -EBADMSG);
}

TEST(tokens_as_text) {
	uint8_t token[LEASE_TOKEN_SIZE], back[LEASE_TOKEN_SIZE];
	char text[2 * LEASE_TOKEN_SIZE + 1];
	for (unsigned i = 0; i < sizeof(token); i++) {
		token[i] = (uint8_t)(i * 37);
	}
	lease_token_to_string(token, text);
	check_int(strlen(text), ==, 64);
	check_ok(lease_token_from_string(text, back));
	check(lease_token_equal(token, back));
	back[31] ^= 1;
	check(!lease_token_equal(token, back) && !lease_token_is_zero(token));
	text[63] = 'g';
	check_int(lease_token_from_string(text, back), ==, -EINVAL);
	text[63] = '\0';
	check_int(lease_token_from_string(text, back), ==, -EINVAL);
}

TEST(codes_have_names) {
	for (uint32_t i = 0; i <= _LEASE_CODE_MAX; i++) {
		check(lease_code_to_string(i) && strlen(lease_code_to_string(i)) < 64);
	}
	for (uint32_t i = 0; i <= _LEASE_STATE_MAX; i++) {
		check(lease_state_to_string(i));
	}
}
