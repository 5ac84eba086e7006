/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The codec of the input manager's socket, byte by byte, and what devices are said to have. */
#include <linux/input-event-codes.h>

#include "proto/input.h"
#include "test.h"
#include "util.h"

TEST(golden_create) {
	uint8_t golden[8 + 68] = {'H', 'X', 'I', '1', 1, 0, 0, 0, 5, 0, 0, 0, 'd', 'e', 's', 'k'};
	uint8_t buf[128], type;
	struct input_create m = {.kinds = 5, .name = "desk"}, back;
	check_int(input_encode_create(buf, sizeof(buf), &m), ==, sizeof(golden));
	check(memcmp(buf, golden, sizeof(golden)) == 0);
	check_int(input_decode_header(golden, sizeof(golden), &type), ==, 8);
	check_int(type, ==, INPUT_CREATE);
	for (size_t n = 0; n < 68; n++) {
		check_int(input_decode_create(golden + 8, n, &back), ==, -EBADMSG);
		check_int(input_encode_create(buf, n + 8, &m), ==, -ENOBUFS);
	}
	check_ok(input_decode_create(golden + 8, 68, &back));
	check_int(back.kinds, ==, 5);
	check_str(back.name, "desk");
	/* A name that fills its field, and what a later version might append. */
	memset(golden + 12, 'x', 64);
	check_ok(input_decode_create(golden + 8, 68, &back));
	check_int(strlen(back.name), ==, 63);
	check_ok(input_decode_create(buf, 100, &back));
}

TEST(header_is_checked) {
	static const uint8_t good[] = {'H', 'X', 'I', '1', 0x42, 0, 0, 0};
	uint8_t bad[8], type = 7;
	for (size_t n = 0; n < 8; n++) {
		check_int(input_decode_header(good, n, &type), ==, -EBADMSG);
	}
	for (size_t i = 0; i < 8; i++) {
		memcpy(bad, good, 8);
		bad[i] ^= 0x80;
		check_int(input_decode_header(bad, 8, &type), ==, i == 4 ? 8 : -EBADMSG);
	}
	check_int(type, ==, 0xc2);
}

TEST(golden_attach) {
	uint8_t buf[64];
	struct input_attach m, back;
	for (unsigned i = 0; i < 32; i++) {
		m.token[i] = (uint8_t)i;
	}
	check_int(input_encode_attach(buf, sizeof(buf), &m), ==, 40);
	check(buf[4] == 2 && buf[8] == 0 && buf[39] == 31);
	check_int(input_decode_attach(buf + 8, 31, &back), ==, -EBADMSG);
	check_ok(input_decode_attach(buf + 8, 32, &back));
	check(memcmp(&m, &back, sizeof(m)) == 0);
}

TEST(golden_events) {
	static const uint8_t golden[] = {'H', 'X', 'I', '1', 3, 0, 0, 0, /* two records */
		0, 1, 0, 30, 0, 1, 0, 0, 0, 1, 2, 0, 11, 0, 0x88, 0xff, 0xff, 0xff};
	static const struct input_record records[] = {
		{INPUT_KEYBOARD, EV_KEY, KEY_A, 1},
		{INPUT_POINTER, EV_REL, REL_WHEEL_HI_RES, -120},
	};
	static struct input_record many[INPUT_RECORDS_MAX + 1], back[INPUT_RECORDS_MAX];
	uint8_t buf[INPUT_MESSAGE_MAX + INPUT_RECORD_SIZE];
	check_int(input_encode_events(buf, sizeof(buf), records, 2), ==, sizeof(golden));
	check(memcmp(buf, golden, sizeof(golden)) == 0);
	for (size_t n = 0; n <= 18; n++) {
		int want = n == 9 ? 1 : n == 18 ? 2 : -EBADMSG;
		check_int(input_decode_events(golden + 8, n, back), ==, want);
	}
	check(back[1].kind == 1 && back[1].code == REL_WHEEL_HI_RES && back[1].value == -120);

	check_int(input_encode_events(buf, sizeof(buf), many, INPUT_RECORDS_MAX), ==,
		INPUT_MESSAGE_MAX);
	check_int(input_decode_events(buf + 8, INPUT_MESSAGE_MAX - 8, back), ==, 128);
	check_int(input_encode_events(buf, sizeof(buf), many, INPUT_RECORDS_MAX + 1), ==,
		sizeof(buf));
	check_int(input_decode_events(buf + 8, sizeof(buf) - 8, back), ==, -EBADMSG);
}

TEST(golden_error) {
	uint8_t buf[140];
	struct input_reply m = {INPUT_LIMIT, "no"}, back;
	uint32_t kinds;
	check_int(input_encode_error(buf, sizeof(buf), INPUT_CREATE, &m), ==, 140);
	static const uint8_t head[] = {'H', 'X', 'I', '1', 0x81, 0, 0, 0, 2, 0, 0, 0, 'n', 'o', 0};
	check(memcmp(buf, head, sizeof(head)) == 0);
	check_int(input_decode_reply(buf + 8, 131, &back), ==, -EBADMSG);
	check_ok(input_decode_reply(buf + 8, 132, &back));
	check_int(back.code, ==, INPUT_LIMIT);
	check_str(back.text, "no");
	check_int(input_decode_attached(buf + 8, 132, &kinds), ==, -EBADMSG);
}

TEST(golden_attached) {
	uint8_t buf[256];
	uint32_t kinds = 0;
	check_int(input_encode_attached(buf, sizeof(buf), 6), ==, 8 + 136);
	check(buf[4] == 0x82 && buf[8 + 132] == 6);
	check_int(input_decode_attached(buf + 8, 135, &kinds), ==, -EBADMSG);
	check_ok(input_decode_attached(buf + 8, 136, &kinds));
	check_int(kinds, ==, 6);
	buf[8] = INPUT_DENIED;
	check_int(input_decode_attached(buf + 8, 136, &kinds), ==, -EBADMSG);
}

static void fill_created(struct input_created *m) {
	*m = (struct input_created){.count = 2};
	memset(m->token, 0xa5, sizeof(m->token));
	m->entries[0] = (struct input_entry){INPUT_KEYBOARD, 13, 69, "event5", "ID_INPUT=1\n"};
	m->entries[1] = (struct input_entry){INPUT_TOUCH, 13, 70, "event6", "B=2\n"};
}

TEST(golden_created) {
	uint8_t buf[2048];
	struct input_created m, back;
	fill_created(&m);
	size_t size = 8 + 172 + 2 * 284;
	check_int(input_encode_created(buf, sizeof(buf), &m), ==, size);
	check(buf[4] == 0x81 && buf[8 + 132] == 0xa5 && buf[8 + 164] == 2);
	check(buf[8 + 168] == (284 & 255) && buf[8 + 169] == 284 >> 8);
	check(buf[8 + 172 + 284] == INPUT_TOUCH && buf[8 + 172 + 4] == 13);
	check(memcmp(buf + 8 + 172 + 12, "event5", 7) == 0);
	check(memcmp(buf + 8 + 172 + 28, "ID_INPUT=1\n", 12) == 0);
	for (size_t n = 0; n < size - 8; n++) {
		check_int(input_decode_created(buf + 8, n, &back), ==, -EBADMSG);
	}
	check_ok(input_decode_created(buf + 8, size - 8, &back));
	check_str(back.entries[1].sysname, "event6");
	check_str(back.entries[1].properties, "B=2\n");
	check(back.count == 2 && back.entries[1].minor == 70);
}

/* Entries of a later version are longer; nonsense in counts and kinds is refused. */
TEST(created_of_others) {
	uint8_t buf[2048], longer[2048] = {0};
	struct input_created m, back;
	fill_created(&m);
	(void)input_encode_created(buf, sizeof(buf), &m);
	memcpy(longer, buf, 8 + 172 + 284);
	memcpy(longer + 8 + 172 + 300, buf + 8 + 172 + 284, 284);
	longer[8 + 168] = 300 & 255;
	check_ok(input_decode_created(longer + 8, 172 + 600, &back));
	check_str(back.entries[1].sysname, "event6");
	longer[8 + 168]--;
	check_int(input_decode_created(longer + 8, 172 + 600, &back), ==, -EBADMSG);

	static const struct {
		size_t at;
		uint8_t value;
	} bad[] = {{8 + 164, 4}, {8 + 167, 0xff}, {8 + 168, 27}, {8 + 171, 0xff}, {8 + 172, 3},
		{8 + 175, 0xff}, {8, 1}};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		(void)input_encode_created(buf, sizeof(buf), &m);
		buf[bad[i].at] = bad[i].value;
		check_int(input_decode_created(buf + 8, 172 + 2 * 284, &back), ==, -EBADMSG);
	}
}

static bool valid(uint8_t kind, uint16_t type, uint16_t code, int32_t value) {
	return input_record_is_valid(&(struct input_record){kind, type, code, value});
}

TEST(records) {
	check(valid(INPUT_KEYBOARD, EV_KEY, KEY_ESC, 1) && valid(INPUT_KEYBOARD, EV_KEY, 248, 0));
	check(!valid(INPUT_KEYBOARD, EV_KEY, KEY_ESC, 2) && !valid(INPUT_KEYBOARD, EV_KEY, 30, -1));
	check(!valid(INPUT_KEYBOARD, EV_KEY, 0, 1) && !valid(INPUT_KEYBOARD, EV_KEY, 249, 1));
	check(!valid(INPUT_KEYBOARD, EV_KEY, BTN_LEFT, 1));
	check(!valid(INPUT_KEYBOARD, EV_SYN, SYN_REPORT, 0) &&
		!valid(INPUT_KEYBOARD, EV_LED, 0, 1));
	/* The VM would act on them. */
	check(!valid(INPUT_KEYBOARD, EV_KEY, KEY_POWER, 1));
	check(!valid(INPUT_KEYBOARD, EV_KEY, KEY_SLEEP, 1));
	check(!valid(INPUT_KEYBOARD, EV_KEY, KEY_SUSPEND, 1));
	check(valid(INPUT_KEYBOARD, EV_KEY, KEY_SYSRQ, 1));

	check(valid(INPUT_POINTER, EV_KEY, BTN_TASK, 1) && !valid(INPUT_POINTER, EV_KEY, 0x118, 1));
	check(valid(INPUT_POINTER, EV_ABS, ABS_X, 0) && valid(INPUT_POINTER, EV_ABS, ABS_Y, 65535));
	check(!valid(INPUT_POINTER, EV_ABS, ABS_X, -1) && !valid(INPUT_POINTER, EV_ABS, ABS_Z, 1));
	check(!valid(INPUT_POINTER, EV_ABS, ABS_X, 65536));
	check(valid(INPUT_POINTER, EV_REL, REL_HWHEEL_HI_RES, -32767));
	check(!valid(INPUT_POINTER, EV_REL, REL_WHEEL, 32768));
	check(!valid(INPUT_POINTER, EV_REL, REL_DIAL, 1));

	check(valid(INPUT_TOUCH, EV_ABS, ABS_MT_SLOT, 9) &&
		!valid(INPUT_TOUCH, EV_ABS, ABS_MT_SLOT, 10));
	check(valid(INPUT_TOUCH, EV_ABS, ABS_MT_TRACKING_ID, -1));
	check(!valid(INPUT_TOUCH, EV_ABS, ABS_MT_TRACKING_ID, -2));
	check(!valid(INPUT_TOUCH, EV_KEY, BTN_TOUCH, 1) && !valid(INPUT_TOUCH, EV_ABS, ABS_X, 1));
	check(!valid(_INPUT_KIND_MAX, EV_KEY, KEY_A, 1) && !valid(255, 65535, 65535, INT32_MIN));
}

TEST(every_code_and_kind_has_a_name) {
	for (uint32_t code = 0; code < _INPUT_CODE_MAX; code++) {
		check(strcmp(input_code_to_string(code), "unknown error") != 0);
	}
	check_str(input_code_to_string(_INPUT_CODE_MAX), "unknown error");
	for (int kind = 0; kind < _INPUT_KIND_MAX; kind++) {
		check_int(input_kind_from_string(input_kind_to_string((uint32_t)kind)), ==, kind);
	}
	check_str(input_kind_to_string(9), "?");
	check_int(input_kind_from_string("?"), ==, -EINVAL);
}
