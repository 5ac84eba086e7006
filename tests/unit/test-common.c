/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdint.h>

#include "bytes.h"
#include "list.h"
#include "log-rate.h"
#include "log.h"
#include "parse.h"
#include "test.h"

TEST(numbers_are_parsed_strictly) {
	uint32_t v = 7;
	check_int(parse_u32("15937", 1, UINT16_MAX, &v), ==, 0);
	check_int(v, ==, 15937);
	check_int(parse_u32("0x10", 0, 16, &v), ==, 0);
	check_int(v, ==, 16);

	static const char *const bad[] = {"", " 1", "-1", "+1", "1 ", "1x", "0x", "x", "1.5"};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		check_int(parse_u32(bad[i], 0, UINT32_MAX, &v), ==, -EINVAL);
	}
	check_int(parse_u32("0", 1, 2, &v), ==, -ERANGE);
	check_int(parse_u32("3", 1, 2, &v), ==, -ERANGE);
	check_int(parse_u32("99999999999999999999999", 0, UINT32_MAX, &v), ==, -ERANGE);
	check_int(v, ==, 16);
}

TEST(modes_are_parsed) {
	uint32_t w = 0, h = 0, hz = 60;
	check_int(parse_mode("1920x1080", &w, &h, &hz), ==, 0);
	check(w == 1920 && h == 1080 && hz == 60);
	check_int(parse_mode("7680x4320@30", &w, &h, &hz), ==, 0);
	check(w == 7680 && h == 4320 && hz == 30);
	static const char *const bad[] = {
		"", "1920", "x1080", "1920x", "1920x1080@", "1920x1080@x", "1920x1080x", "1e3x5"};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		check_int(parse_mode(bad[i], &w, &h, &hz), ==, -EINVAL);
	}
	check_int(parse_mode("0x1080", &w, &h, &hz), <, 0);
	check_int(parse_mode("70000x1080", &w, &h, &hz), ==, -ERANGE);
	check(w == 7680 && h == 4320 && hz == 30);
}

TEST(host_and_port_are_parsed) {
	char host[16] = "127.0.0.1";
	uint16_t port = 1;
	check_int(parse_host_port("15937", host, sizeof(host), &port), ==, 0);
	check_str(host, "127.0.0.1");
	check_int(port, ==, 15937);
	check_int(parse_host_port("10.0.2.2:80", host, sizeof(host), &port), ==, 0);
	check_str(host, "10.0.2.2");
	check_int(parse_host_port("[::1]:81", host, sizeof(host), &port), ==, 0);
	check_str(host, "::1");
	check_int(port, ==, 81);
	check_int(parse_host_port("host:", host, sizeof(host), &port), ==, -EINVAL);
	check_int(parse_host_port("host:0", host, sizeof(host), &port), ==, -ERANGE);
	check_int(parse_host_port("a-name-that-is-too-long:1", host, sizeof(host), &port), ==,
		-ENAMETOOLONG);
	check_str(host, "::1");
}

TEST(bytes_round_trip) {
	uint8_t b[8];
	put_le64(b, UINT64_C(0x1122334455667788));
	check(b[0] == 0x88 && b[7] == 0x11);
	check(get_le64(b) == UINT64_C(0x1122334455667788));
	check_int(get_le32(b), ==, 0x55667788);
	check_int(get_le16(b), ==, 0x7788);
}

TEST(log_levels_round_trip) {
	for (int i = 0; i < _LOG_LEVEL_MAX; i++) {
		check_int(log_level_from_string(log_level_to_string((enum log_level)i)), ==, i);
	}
	check_int(log_level_from_string("verbose"), ==, -EINVAL);
}

TEST(list_keeps_order_and_survives_removal) {
	struct item {
		int n;
		struct list link;
	} items[4];
	struct list head;
	list_init(&head);
	check(list_empty(&head));
	for (int i = 0; i < 4; i++) {
		items[i].n = i;
		list_append(&head, &items[i].link);
	}
	int expected = 0;
	struct item *item, *tmp;
	list_for_each_safe(item, tmp, &head, link) {
		check_int(item->n, ==, expected++);
		if (item->n % 2) {
			list_remove(&item->link);
			list_remove(&item->link);
		}
	}
	check_int(expected, ==, 4);
	check_int(list_first(&head, struct item, link)->n, ==, 0);
	list_remove(&items[0].link);
	check_int(list_first(&head, struct item, link)->n, ==, 2);
}

TEST(log_rate) {
	struct log_rate rate = {0};
	for (unsigned i = 0; i < 3; i++) {
		check(log_rate_allows(&rate, 3, "test"));
	}
	check(!log_rate_allows(&rate, 3, "test"));
	check(!log_rate_allows(&rate, 3, "test"));
	check_int(rate.suppressed, ==, 2);
	/* The next second begins. */
	rate.window_ns -= 2 * NSEC_PER_SEC;
	check(log_rate_allows(&rate, 3, "test"));
	check_int(rate.suppressed, ==, 0);
}
