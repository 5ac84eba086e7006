/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What handshakes, tokens and cookies need: hashes, random bytes, comparison without a leak. */
#ifndef HELIX_NET_CRYPTO_H
#define HELIX_NET_CRYPTO_H

#include "util.h"

#define SHA256_SIZE      32u
#define WS_KEY_TEXT_SIZE 25u /* Sec-WebSocket-Key and NUL */
#define WS_ACCEPT_SIZE   29u /* Sec-WebSocket-Accept and NUL */
#define HEX_SIZE(bytes)  (2 * (bytes) + 1)

int random_bytes(void *p, size_t n);
void sha256(const void *p, size_t n, uint8_t ret[SHA256_SIZE]);
void hmac_sha256(const uint8_t key[SHA256_SIZE], const void *p, size_t n, uint8_t ret[SHA256_SIZE]);
/* In a time that does not depend on where they differ. */
bool same_bytes(const void *a, const void *b, size_t n);

/* Lower case, with NUL: HEX_SIZE(n). */
void hex_encode(const uint8_t *p, size_t n, char *to);
/* Exactly `n` bytes, both cases: -EBADMSG. */
int hex_decode(const char *text, uint8_t *to, size_t n);

/* RFC 6455 section 4.1: a new Sec-WebSocket-Key; section 4.2.2: the answer to one. */
int ws_make_key(char ret[WS_KEY_TEXT_SIZE]);
void ws_accept_key(const char *key, char ret[WS_ACCEPT_SIZE]);

#endif
