/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <string.h>

#include "net/crypto.h"

/* RFC 6455 section 1.3. */
#define WS_GUID   "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define SHA1_SIZE 20

int random_bytes(void *p, size_t n) {
	return gnutls_rnd(GNUTLS_RND_RANDOM, p, n) < 0 ? -EIO : 0;
}

void sha256(const void *p, size_t n, uint8_t ret[SHA256_SIZE]) {
	if (gnutls_hash_fast(GNUTLS_DIG_SHA256, p, n, ret) < 0) {
		abort();
	}
}

void hmac_sha256(
	const uint8_t key[SHA256_SIZE], const void *p, size_t n, uint8_t ret[SHA256_SIZE]) {
	if (gnutls_hmac_fast(GNUTLS_MAC_SHA256, key, SHA256_SIZE, p, n, ret) < 0) {
		abort();
	}
}

bool same_bytes(const void *a, const void *b, size_t n) {
	return gnutls_memcmp(a, b, n) == 0;
}

void hex_encode(const uint8_t *p, size_t n, char *to) {
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < n; i++) {
		to[2 * i] = digits[p[i] >> 4];
		to[2 * i + 1] = digits[p[i] & 15];
	}
	to[2 * n] = '\0';
}

static int hex_digit(char c) {
	return c >= '0' && c <= '9'    ? c - '0'
		: c >= 'a' && c <= 'f' ? c - 'a' + 10
		: c >= 'A' && c <= 'F' ? c - 'A' + 10
				       : -1;
}

int hex_decode(const char *text, uint8_t *to, size_t n) {
	if (strnlen(text, 2 * n + 1) != 2 * n) {
		return -EBADMSG;
	}
	for (size_t i = 0; i < n; i++) {
		int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
		if (high < 0 || low < 0) {
			return -EBADMSG;
		}
		to[i] = (uint8_t)(high << 4 | low);
	}
	return 0;
}

/* `size` is for exactly the result and its NUL. */
static void base64(const uint8_t *p, size_t n, char *to, size_t size) {
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t at = 0;
	for (size_t i = 0; i < n && at + 4 < size; i += 3) {
		uint32_t v = (uint32_t)p[i] << 16 | (i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0) |
			(i + 2 < n ? p[i + 2] : 0);
		to[at++] = digits[v >> 18];
		to[at++] = digits[v >> 12 & 63];
		to[at++] = i + 1 < n ? digits[v >> 6 & 63] : '=';
		to[at++] = i + 2 < n ? digits[v & 63] : '=';
	}
	to[at] = '\0';
}

int ws_make_key(char ret[WS_KEY_TEXT_SIZE]) {
	uint8_t bytes[16];
	int r = random_bytes(bytes, sizeof(bytes));
	if (r == 0) {
		base64(bytes, sizeof(bytes), ret, WS_KEY_TEXT_SIZE);
	}
	return r;
}

void ws_accept_key(const char *key, char ret[WS_ACCEPT_SIZE]) {
	char text[128];
	uint8_t digest[SHA1_SIZE];
	int n = snprintf(text, sizeof(text), "%s" WS_GUID, key);
	if (n < 0 ||
		gnutls_hash_fast(GNUTLS_DIG_SHA1, text, MIN((size_t)n, sizeof(text) - 1), digest) <
			0) {
		abort();
	}
	base64(digest, sizeof(digest), ret, WS_ACCEPT_SIZE);
}
