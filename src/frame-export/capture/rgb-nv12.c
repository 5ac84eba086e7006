/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "rgb-nv12.h"

#define STEP 16 /* pixels that a kernel takes at once: one macroblock */

/* Which byte of a pixel is red, green and blue. */
struct channels {
	uint8_t r, g, b;
};

static inline uint8_t luma(unsigned r, unsigned g, unsigned b) {
	unsigned sum = LUMA_R * r + LUMA_G * g + LUMA_B * b + LUMA_BIAS;
	return (uint8_t)(sum * LUMA_SCALE >> 16);
}

/* `order` is a constant wherever this is inlined, so that the loops have fixed byte positions. */
static inline __attribute__((always_inline)) void convert_c(const struct channels at,
	const uint8_t *row0, const uint8_t *row1, size_t n, uint8_t *y0, uint8_t *y1, uint8_t *uv) {
	for (size_t i = 0; i < n; i++) {
		uint8_t px[2][STEP * SURFACE_BYTES_PER_PIXEL];
		uint16_t sum[3][STEP];
		memcpy(px[0], row0 + i * sizeof(px[0]), sizeof(px[0]));
		memcpy(px[1], row1 + i * sizeof(px[1]), sizeof(px[1]));
		for (unsigned x = 0; x < STEP; x++) {
			const uint8_t *p = px[0] + 4 * x, *q = px[1] + 4 * x;
			y0[i * STEP + x] = luma(p[at.r], p[at.g], p[at.b]);
			y1[i * STEP + x] = luma(q[at.r], q[at.g], q[at.b]);
			sum[0][x] = (uint16_t)(p[at.r] + q[at.r]);
			sum[1][x] = (uint16_t)(p[at.g] + q[at.g]);
			sum[2][x] = (uint16_t)(p[at.b] + q[at.b]);
		}
		for (unsigned x = 0; x < STEP / 2; x++) {
			int r = sum[0][2 * x] + sum[0][2 * x + 1];
			int g = sum[1][2 * x] + sum[1][2 * x + 1];
			int b = sum[2][2 * x] + sum[2][2 * x + 1];
			int u = CHROMA_U_R * r + CHROMA_U_G * g + CHROMA_U_B * b + CHROMA_BIAS;
			int v = CHROMA_V_R * r + CHROMA_V_G * g + CHROMA_V_B * b + CHROMA_BIAS;
			uv[i * STEP + 2 * x] = (uint8_t)(u >> CHROMA_SHIFT);
			uv[i * STEP + 2 * x + 1] = (uint8_t)(v >> CHROMA_SHIFT);
		}
	}
}

void rgb_nv12_c(enum pixel_order order, const uint8_t *row0, const uint8_t *row1, size_t n,
	uint8_t *y0, uint8_t *y1, uint8_t *uv) {
	switch (order) {
	case PIXEL_ORDER_BGRA:
		convert_c((struct channels){.b = 0, .g = 1, .r = 2}, row0, row1, n, y0, y1, uv);
		break;
	case PIXEL_ORDER_ARGB:
		convert_c((struct channels){.r = 1, .g = 2, .b = 3}, row0, row1, n, y0, y1, uv);
		break;
	case PIXEL_ORDER_RGBA:
		convert_c((struct channels){.r = 0, .g = 1, .b = 2}, row0, row1, n, y0, y1, uv);
		break;
	default:
		convert_c((struct channels){.b = 1, .g = 2, .r = 3}, row0, row1, n, y0, y1, uv);
		break;
	}
}

#if defined(__x86_64__)

static const struct channels channels[_PIXEL_ORDER_MAX] = {
	[PIXEL_ORDER_BGRA] = {.b = 0, .g = 1, .r = 2},
	[PIXEL_ORDER_ARGB] = {.r = 1, .g = 2, .b = 3},
	[PIXEL_ORDER_RGBA] = {.r = 0, .g = 1, .b = 2},
	[PIXEL_ORDER_ABGR] = {.b = 1, .g = 2, .r = 3},
};

/* The weights of one pixel, at the places of its channels, repeated over a register. */
struct weights {
	__m256i luma, u, v;
};

__attribute__((target("avx2"))) static inline struct weights weights_avx2(enum pixel_order order) {
	const struct channels at = channels[order];
	int8_t l[4] = {0};
	int16_t u[4] = {0}, v[4] = {0};
	l[at.r] = LUMA_R;
	l[at.g] = LUMA_G;
	l[at.b] = LUMA_B;
	u[at.r] = CHROMA_U_R;
	u[at.g] = CHROMA_U_G;
	u[at.b] = CHROMA_U_B;
	v[at.r] = CHROMA_V_R;
	v[at.g] = CHROMA_V_G;
	v[at.b] = CHROMA_V_B;
	int32_t l32;
	int64_t u64, v64;
	memcpy(&l32, l, sizeof(l32));
	memcpy(&u64, u, sizeof(u64));
	memcpy(&v64, v, sizeof(v64));
	return (struct weights){
		.luma = _mm256_set1_epi32(l32),
		.u = _mm256_set1_epi64x(u64),
		.v = _mm256_set1_epi64x(v64),
	};
}

/* 16 pixels in `a` and `b` to 16-bit luma, in the order 0-3 8-11 | 4-7 12-15. */
__attribute__((target("avx2"))) static inline __m256i luma_avx2(__m256i a, __m256i b, __m256i w) {
	__m256i sum = _mm256_hadd_epi16(_mm256_maddubs_epi16(a, w), _mm256_maddubs_epi16(b, w));
	sum = _mm256_add_epi16(sum, _mm256_set1_epi16(LUMA_BIAS));
	return _mm256_mulhi_epu16(sum, _mm256_set1_epi16(LUMA_SCALE));
}

/*
 * 8 pixels of two rows to 32-bit chroma: per 128-bit lane U U V V of the lane's two 2×2 squares.
 */
__attribute__((target("avx2"))) static inline __m256i chroma_avx2(
	__m256i top, __m256i bottom, const struct weights *w) {
	const __m256i ones = _mm256_set1_epi8(1);
	/* Channels of the upper and lower pixel side by side, then added: 16-bit sums of two. */
	__m256i lo = _mm256_maddubs_epi16(_mm256_unpacklo_epi8(top, bottom), ones);
	__m256i hi = _mm256_maddubs_epi16(_mm256_unpackhi_epi8(top, bottom), ones);
	/* lo has pixels 0 and 1 of its lane, hi 2 and 3: add neighbours. */
	__m256i sum =
		_mm256_add_epi16(_mm256_unpacklo_epi64(lo, hi), _mm256_unpackhi_epi64(lo, hi));
	__m256i uv = _mm256_hadd_epi32(_mm256_madd_epi16(sum, w->u), _mm256_madd_epi16(sum, w->v));
	return _mm256_srli_epi32(
		_mm256_add_epi32(uv, _mm256_set1_epi32(CHROMA_BIAS)), CHROMA_SHIFT);
}

__attribute__((target("avx2"))) static void rgb_nv12_avx2(enum pixel_order order,
	const uint8_t *row0, const uint8_t *row1, size_t n, uint8_t *y0, uint8_t *y1, uint8_t *uv) {
	const struct weights w = weights_avx2(order);
	/* Undoes the order of luma_avx2 in two packed rows, four pixels at a time. */
	const __m256i unmix = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
	/* From U0 U1 V0 V1 U4 U5 V4 V5 (and so on in the upper lane) to U V pairs. */
	const __m256i pair = _mm256_setr_epi8(0, 4, 2, 6, 8, 12, 10, 14, -1, -1, -1, -1, -1, -1, -1,
		-1, 0, 4, 2, 6, 8, 12, 10, 14, -1, -1, -1, -1, -1, -1, -1, -1);

	for (size_t i = 0; i < n; i++, row0 += 64, row1 += 64) {
		__m256i a0 = _mm256_loadu_si256((const __m256i *)row0);
		__m256i b0 = _mm256_loadu_si256((const __m256i *)(row0 + 32));
		__m256i a1 = _mm256_loadu_si256((const __m256i *)row1);
		__m256i b1 = _mm256_loadu_si256((const __m256i *)(row1 + 32));

		__m256i y =
			_mm256_packus_epi16(luma_avx2(a0, b0, w.luma), luma_avx2(a1, b1, w.luma));
		y = _mm256_permutevar8x32_epi32(y, unmix);
		_mm_storeu_si128((__m128i *)(y0 + i * STEP), _mm256_castsi256_si128(y));
		_mm_storeu_si128((__m128i *)(y1 + i * STEP), _mm256_extracti128_si256(y, 1));

		/* 16-bit, lanes: a's pixels 0-3, b's 0-3 | a's 4-7, b's 4-7. */
		__m256i c = _mm256_packus_epi32(chroma_avx2(a0, a1, &w), chroma_avx2(b0, b1, &w));
		c = _mm256_shuffle_epi8(c, pair);
		/* 4 bytes of each: a-low b-low | a-high b-high. */
		c = _mm256_permutevar8x32_epi32(c, _mm256_setr_epi32(0, 4, 1, 5, 2, 3, 6, 7));
		_mm_storeu_si128((__m128i *)(uv + i * STEP), _mm256_castsi256_si128(c));
	}
}

rgb_nv12_kernel rgb_nv12_best(void) {
	return __builtin_cpu_supports("avx2") ? rgb_nv12_avx2 : rgb_nv12_c;
}

#else

rgb_nv12_kernel rgb_nv12_best(void) {
	return rgb_nv12_c;
}

#endif
