/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Our EDID as another implementation reads it: edid-decode(1), if it is installed.
 */
#include <stdlib.h>
#include <unistd.h>

#include "edid.h"
#include "test.h"
#include "util.h"

static uint8_t sum(const uint8_t *block) {
	uint8_t s = 0;
	for (size_t i = 0; i < EDID_BLOCK_SIZE; i++) {
		s = (uint8_t)(s + block[i]);
	}
	return s;
}

TEST(every_size_gives_valid_blocks) {
	static const uint32_t sides[] = {
		16, 17, 255, 640, 1366, 1920, 2560, 4095, 4096, 7680, 8192};
	static const uint32_t rates[] = {1, 24, 60, 75, 144, 240, 1000};
	for (size_t w = 0; w < ARRAY_SIZE(sides); w++) {
		for (size_t h = 0; h < ARRAY_SIZE(sides); h++) {
			for (size_t r = 0; r < ARRAY_SIZE(rates); r++) {
				struct edid_monitor m = {sides[w], sides[h], rates[r], 15};
				uint8_t edid[EDID_MAX_SIZE];
				int n = edid_write(&m, edid);
				check(n == EDID_BLOCK_SIZE || n == EDID_MAX_SIZE);
				check_int(sum(edid), ==, 0);
				check_int(edid[126], ==, n / EDID_BLOCK_SIZE - 1);
				if (n == EDID_MAX_SIZE) {
					check_int(sum(edid + EDID_BLOCK_SIZE), ==, 0);
				} else {
					check_int(edid[56] | (edid[58] & 0xf0) << 4, ==, sides[w]);
					check_int(edid[59] | (edid[61] & 0xf0) << 4, ==, sides[h]);
				}
			}
		}
	}
}

TEST(monitors_out_of_bounds_are_refused) {
	static const struct edid_monitor bad[] = {
		{0, 1080, 60, 0},
		{1920, 0, 60, 0},
		{15, 1080, 60, 0},
		{1920, 8193, 60, 0},
		{UINT32_MAX, UINT32_MAX, 60, 0},
		{1920, 1080, 0, 0},
		{1920, 1080, 1001, 0},
	};
	uint8_t edid[EDID_MAX_SIZE];
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		check(!edid_valid(&bad[i]));
		check_int(edid_write(&bad[i], edid), ==, -EINVAL);
	}
}

/* What edid-decode prints of a monitor. */
static void decode(const struct edid_monitor *m, char *text, size_t size) {
	if (system("command -v edid-decode >/dev/null") != 0) {
		skip("edid-decode is not installed");
	}
	uint8_t edid[EDID_MAX_SIZE];
	int n = edid_write(m, edid);
	check(n > 0);
	char path[] = "/tmp/helix-edid-XXXXXX";
	int fd = mkstemp(path);
	check(fd >= 0 && write(fd, edid, (size_t)n) == n);
	close(fd);
	char command[128];
	(void)snprintf(command, sizeof(command), "edid-decode -c %s", path);
	FILE *out = popen(command, "r");
	check(out != NULL);
	size_t used = fread(text, 1, size - 1, out);
	text[used] = '\0';
	(void)pclose(out);
	(void)unlink(path);
}

TEST(another_decoder_agrees) {
	char text[16384];
	decode(&(struct edid_monitor){1920, 1080, 60, 3}, text, sizeof(text));
	check(strstr(text, "EDID conformity: PASS"));
	check(strstr(text, "DTD 1:  1920x1080   60.000000 Hz"));
	check(strstr(text, "Display Product Name: 'Helix 3'"));
	check(strstr(text, "Display Product Serial Number: 'SCANOUT-03'"));
}

TEST(another_decoder_agrees_on_8k) {
	char text[16384];
	decode(&(struct edid_monitor){7680, 4320, 60, 15}, text, sizeof(text));
	check(strstr(text, "DTD:  7680x4320   59.99"));
	check(strstr(text, "preferred"));
	check(strstr(text, "Checksum: 0x"));
	check(!strstr(text, "should be"));
}
