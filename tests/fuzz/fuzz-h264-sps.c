/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Access units as an encoder, or a peer, may send them. What comes out has the same NAL units: the
 * parameter sets have constraint_set3_flag, all others are as they were. A second time changes
 * nothing any more.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/h264-sps.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(int ok) {
	if (!ok) {
		abort();
	}
}

static uint8_t *rewrite(const uint8_t *au, size_t size, size_t *ret_size) {
	uint8_t *big = malloc(size + H264_KEYFRAME_GROWTH);
	expect(big != NULL);
	size_t n = h264_rewrite_keyframe(big, au, size);
	expect(n <= size + H264_KEYFRAME_GROWTH);
	/* Exactly as large as it is: reading past its end is then seen. */
	uint8_t *exact = malloc(n ? n : 1);
	expect(exact != NULL);
	memcpy(exact, big, n);
	free(big);
	*ret_size = n;
	return exact;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	size_t n, n_again, before = 0, after = 0;
	uint8_t *once = rewrite(data, size, &n);
	uint8_t *twice = rewrite(once, n, &n_again);
	struct h264_nal a, b;
	unsigned n_sps = 0;
	int slices = 0, odd = 0;
	while (h264_next_nal(data, size, &before, &a)) {
		expect(h264_next_nal(once, n, &after, &b));
		expect(a.type == b.type);
		slices |= a.type >= H264_NAL_SLICE && a.type <= H264_NAL_IDR;
		if (a.type == H264_NAL_SPS && !slices && n_sps++ < H264_SPS_COUNT) {
			expect(b.size <= a.size + H264_SPS_GROWTH);
			expect(b.size < 3 || (b.data[2] & 0x10));
			/* No profile; with it the flags byte may be part of an escape. */
			odd |= a.size < 3 || a.data[1] == 0;
		} else {
			expect(a.size == b.size && memcmp(a.data, b.data, a.size) == 0);
		}
	}
	expect(!h264_next_nal(once, n, &after, &b));
	expect(odd || (n == n_again && memcmp(once, twice, n) == 0));
	free(once);
	free(twice);
	return 0;
}
