/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "parse.h"

int parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *ret) {
	/* strtoull takes signs and leading space, which no option of ours means. */
	if (!s || !isdigit((unsigned char)s[0])) {
		return -EINVAL;
	}
	char *end;
	errno = 0;
	unsigned long long v = strtoull(s, &end, s[0] == '0' && (s[1] | 32) == 'x' ? 16 : 10);
	if (*end != '\0') {
		return -EINVAL;
	}
	if (errno == ERANGE || v < min || v > max) {
		return -ERANGE;
	}
	*ret = v;
	return 0;
}

int parse_u32(const char *s, uint32_t min, uint32_t max, uint32_t *ret) {
	uint64_t v;
	int r = parse_u64(s, min, max, &v);
	if (r < 0) {
		return r;
	}
	*ret = (uint32_t)v;
	return 0;
}

int parse_fd(const char *s, int *ret) {
	uint32_t fd;
	int r = parse_u32(s, 0, INT32_MAX, &fd);
	if (r == 0) {
		*ret = (int)fd;
	}
	return r;
}

int parse_mode(const char *s, uint32_t *ret_width, uint32_t *ret_height, uint32_t *ret_hz) {
	char text[64];
	if (!s || strlen(s) >= sizeof(text)) {
		return -EINVAL;
	}
	memcpy(text, s, strlen(s) + 1);
	char *x = strchr(text, 'x');
	if (!x) {
		return -EINVAL;
	}
	*x = '\0';
	char *at = strchr(x + 1, '@');
	if (at) {
		*at = '\0';
	}

	uint32_t width, height, hz = 0;
	int r = parse_u32(text, 1, UINT16_MAX, &width);
	if (r >= 0) {
		r = parse_u32(x + 1, 1, UINT16_MAX, &height);
	}
	if (r >= 0 && at) {
		r = parse_u32(at + 1, 1, 1000, &hz);
	}
	if (r < 0) {
		return r;
	}
	*ret_width = width;
	*ret_height = height;
	if (at) {
		*ret_hz = hz;
	}
	return 0;
}

int parse_host_port(const char *s, char *ret_host, unsigned long host_size, uint16_t *ret_port) {
	const char *colon = strrchr(s, ':');
	const char *port = colon ? colon + 1 : s;
	const char *host = s;
	size_t host_len = colon ? (size_t)(colon - s) : 0;
	uint32_t number;
	int r = parse_u32(port, 1, UINT16_MAX, &number);
	if (r < 0) {
		return r;
	}
	if (host_len >= 2 && host[0] == '[' && host[host_len - 1] == ']') {
		host++;
		host_len -= 2;
	}
	if (host_len >= host_size) {
		return -ENAMETOOLONG;
	}
	if (host_len > 0) {
		memcpy(ret_host, host, host_len);
		ret_host[host_len] = '\0';
	}
	*ret_port = (uint16_t)number;
	return 0;
}
