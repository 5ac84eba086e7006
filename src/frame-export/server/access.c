/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "access.h"

/* Takes as long wherever they differ. */
static bool equal(const uint8_t a[HXFR_TOKEN_SIZE], const uint8_t b[HXFR_TOKEN_SIZE]) {
	uint8_t difference = 0;
	for (size_t i = 0; i < HXFR_TOKEN_SIZE; i++) {
		difference |= a[i] ^ b[i];
	}
	return difference == 0;
}

bool access_check_key(const struct access *a, const uint8_t key[HXFR_TOKEN_SIZE]) {
	return a->config.has_key && equal(a->config.key, key);
}

bool access_may_switch(const struct access *a, const struct credentials *who) {
	return !a->config.require_token || who->manager;
}

bool access_may_watch(const struct access *a, const struct credentials *who, uint32_t scanout) {
	if (!a->config.require_token || who->manager || scanout >= SCANOUTS_MAX ||
		!a->scanouts[scanout].leased) {
		return true;
	}
	return who->has_token && who->token.scanout_id == scanout &&
		equal(who->token.token, a->scanouts[scanout].token);
}

int access_begin(struct access *a, uint32_t scanout, const uint8_t token[HXFR_TOKEN_SIZE]) {
	static const uint8_t none[HXFR_TOKEN_SIZE];
	uint8_t made[HXFR_TOKEN_SIZE];
	if (equal(token, none)) {
		if (getrandom(made, sizeof(made), 0) != (ssize_t)sizeof(made)) {
			return -EAGAIN;
		}
		token = made;
	}
	memcpy(a->scanouts[scanout].token, token, HXFR_TOKEN_SIZE);
	a->scanouts[scanout].leased = true;
	return 0;
}

void access_end(struct access *a, uint32_t scanout) {
	memset(&a->scanouts[scanout], 0, sizeof(a->scanouts[scanout]));
}
