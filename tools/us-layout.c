/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <linux/input-event-codes.h>
#include <string.h>

#include "us-layout.h"
#include "util.h"

/* Rows of keys whose codes follow each other, without and with Shift. */
static const struct {
	uint16_t first;
	const char *plain, *shifted;
} rows[] = {
	{KEY_1, "1234567890-=", "!@#$%^&*()_+"},
	{KEY_Q, "qwertyuiop[]", "QWERTYUIOP{}"},
	{KEY_A, "asdfghjkl;'`", "ASDFGHJKL:\"~"},
	{KEY_BACKSLASH, "\\zxcvbnm,./", "|ZXCVBNM<>?"},
	{KEY_SPACE, " ", " "},
	{KEY_ENTER, "\n", "\n"},
	{KEY_TAB, "\t", "\t"},
};

uint16_t us_layout_key(char c, bool *ret_shift) {
	for (size_t i = 0; c && i < ARRAY_SIZE(rows); i++) {
		const char *plain = strchr(rows[i].plain, c);
		const char *shifted = strchr(rows[i].shifted, c);
		if (plain || shifted) {
			*ret_shift = !plain;
			return (uint16_t)(rows[i].first +
				(plain ? plain - rows[i].plain : shifted - rows[i].shifted));
		}
	}
	return 0;
}
