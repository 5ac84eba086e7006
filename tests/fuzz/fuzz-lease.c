/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every decoder of the DRM manager's socket on every input; what is decoded, encoded again and
 * decoded again must be the same. The first byte chooses the decoder, the rest is the message.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/lease.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(int ok) {
	if (!ok) {
		abort();
	}
}

/* `skip`: bytes of a header that the decoder does not want. */
#define ROUND_TRIP(type, decode, encode, skip)                                \
	do {                                                                  \
		type msg, back;                                               \
		uint8_t once[512], again[512];                                \
		memset(&msg, 0, sizeof(msg));                                 \
		ssize_t n = decode(p, len, &msg);                             \
		if (n > 0) {                                                  \
			ssize_t m = encode(once);                             \
			expect(m == n + (skip));                              \
			memset(&back, 0, sizeof(back));                       \
			expect(decode(once + (skip), (size_t)n, &back) == n); \
			msg = back;                                           \
			expect(encode(again) == m);                           \
			expect(memcmp(once, again, (size_t)m) == 0);          \
		} else {                                                      \
			expect(n == 0 || n == -EBADMSG);                      \
		}                                                             \
	} while (0)

#define REQUEST(buf)  lease_encode_request(buf, sizeof(buf), &msg)
#define RESPONSE(buf) lease_encode_response(buf, sizeof(buf), &msg)
#define LEASE(buf)    lease_encode_ext_lease(buf, sizeof(buf), &msg)
#define RESIZE(buf)   lease_encode_ext_resize(buf, sizeof(buf), &msg)
#define REPLY(buf)    lease_encode_ext_reply(buf, sizeof(buf), LEASE_EXT_LEASE, &msg)

static void decode_list(const uint8_t *p, size_t len) {
	uint32_t count, entry_size;
	ssize_t n = lease_decode_ext_list(p, len, &count, &entry_size);
	if (n <= 0) {
		return;
	}
	p += n;
	len -= (size_t)n;
	for (uint32_t i = 0; i < count && len >= entry_size; i++) {
		struct lease_ext_entry entry;
		expect(lease_decode_ext_entry(p, entry_size, &entry) == LEASE_EXT_ENTRY_SIZE);
		expect(lease_state_to_string(entry.state) != NULL);
		p += entry_size;
		len -= entry_size;
	}
}

/* As a manager reads them. */
static void decode_stream(const uint8_t *p, size_t len) {
	for (;;) {
		struct lease_request request;
		uint32_t size = 0;
		ssize_t n = lease_decode_request(p, len, &request);
		if (n <= 0) {
			return;
		}
		p += n;
		len -= (size_t)n;
		if (!lease_is_extended(&request, &size)) {
			continue;
		}
		int min = lease_ext_min_payload(request.command);
		if (min < 0 || size < (uint32_t)min || size > LEASE_EXT_REQUEST_MAX || len < size) {
			return;
		}
		p += size;
		len -= size;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	if (size == 0) {
		return 0;
	}
	/* A copy of exactly this size: reading beyond it is noticed. */
	size_t len = size - 1;
	uint8_t *copy = malloc(len ? len : 1), token[LEASE_TOKEN_SIZE];
	const uint8_t *p = copy;
	uint32_t reply_size;
	expect(copy != NULL);
	memcpy(copy, data + 1, len);
	switch (data[0] % 8) {
	case 0:
		ROUND_TRIP(struct lease_request, lease_decode_request, REQUEST, 0);
		break;
	case 1:
		ROUND_TRIP(struct lease_response, lease_decode_response, RESPONSE, 0);
		break;
	case 2:
		ROUND_TRIP(struct lease_ext_lease, lease_decode_ext_lease, LEASE, 9);
		break;
	case 3:
		ROUND_TRIP(struct lease_ext_resize, lease_decode_ext_resize, RESIZE, 9);
		break;
	case 4:
		ROUND_TRIP(struct lease_ext_reply, lease_decode_ext_reply, REPLY, 9);
		break;
	case 5:
		decode_list(p, len);
		break;
	case 6:
		(void)lease_decode_ext_token(p, len, token);
		(void)lease_decode_ext_reply_header(p, len, LEASE_EXT_LIST, &reply_size);
		break;
	default:
		decode_stream(p, len);
		break;
	}
	free(copy);
	return 0;
}
