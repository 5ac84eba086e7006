/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "bytes.h"
#include "rgb-nv12.h"

#define STEP 16 /* pixels that the AVX2 kernel takes at once: one macroblock */

/* Pixels that the C kernel takes at once: loops of that many are made into vector code. */
#define CHUNK 64

/* Which byte of a pixel is red, green and blue. */
struct channels {
	uint8_t r, g, b;
};

struct planes {
	uint16_t r[CHUNK], g[CHUNK], b[CHUNK];
};

/* `at` is a constant wherever this is inlined. */
static inline __attribute__((always_inline)) void split(
	const struct channels at, const uint8_t *row, struct planes *ret) {
	for (unsigned x = 0; x < CHUNK; x++) {
		uint32_t px = get_le32(row + (size_t)x * SURFACE_BYTES_PER_PIXEL);
		ret->r[x] = px >> (8 * at.r) & 255;
		ret->g[x] = px >> (8 * at.g) & 255;
		ret->b[x] = px >> (8 * at.b) & 255;
	}
}

static void luma_c(const struct planes *p, uint8_t *restrict y) {
	for (unsigned x = 0; x < CHUNK; x++) {
		uint16_t sum = (uint16_t)(LUMA_R * p->r[x] + LUMA_G * p->g[x] + LUMA_B * p->b[x] +
			LUMA_BIAS);
		y[x] = (uint8_t)((uint32_t)sum * LUMA_SCALE >> 16);
	}
}

static void sum_c(const uint16_t *top, const uint16_t *bottom, int16_t *restrict ret) {
	for (unsigned x = 0; x < CHUNK / 2; x++) {
		ret[x] = (int16_t)(top[2 * x] + top[2 * x + 1] + bottom[2 * x] + bottom[2 * x + 1]);
	}
}

static void chroma_c(const struct planes *top, const struct planes *bottom, uint8_t *restrict uv) {
	int16_t r[CHUNK / 2], g[CHUNK / 2], b[CHUNK / 2];
	sum_c(top->r, bottom->r, r);
	sum_c(top->g, bottom->g, g);
	sum_c(top->b, bottom->b, b);
	for (unsigned x = 0; x < CHUNK / 2; x++) {
		int u = CHROMA_U_R * r[x] + CHROMA_U_G * g[x] + CHROMA_U_B * b[x] + CHROMA_BIAS;
		int v = CHROMA_V_R * r[x] + CHROMA_V_G * g[x] + CHROMA_V_B * b[x] + CHROMA_BIAS;
		uv[2 * x] = (uint8_t)(u >> CHROMA_SHIFT);
		uv[2 * x + 1] = (uint8_t)(v >> CHROMA_SHIFT);
	}
}

static void convert_chunk(enum pixel_order order, const uint8_t *row0, const uint8_t *row1,
	uint8_t *y0, uint8_t *y1, uint8_t *uv) {
	static const struct channels bgra = {.b = 0, .g = 1, .r = 2},
				     argb = {.r = 1, .g = 2, .b = 3};
	static const struct channels rgba = {.r = 0, .g = 1, .b = 2},
				     abgr = {.b = 1, .g = 2, .r = 3};
	struct planes top, bottom;
	switch (order) {
	case PIXEL_ORDER_BGRA:
		split(bgra, row0, &top);
		split(bgra, row1, &bottom);
		break;
	case PIXEL_ORDER_ARGB:
		split(argb, row0, &top);
		split(argb, row1, &bottom);
		break;
	case PIXEL_ORDER_RGBA:
		split(rgba, row0, &top);
		split(rgba, row1, &bottom);
		break;
	default:
		split(abgr, row0, &top);
		split(abgr, row1, &bottom);
		break;
	}
	luma_c(&top, y0);
	luma_c(&bottom, y1);
	chroma_c(&top, &bottom, uv);
}

void rgb_nv12_c(enum pixel_order order, const uint8_t *row0, const uint8_t *row1, size_t n,
	uint8_t *y0, uint8_t *y1, uint8_t *uv) {
	size_t width = n * STEP, x = 0;
	for (; x + CHUNK <= width; x += CHUNK) {
		convert_chunk(order, row0 + x * SURFACE_BYTES_PER_PIXEL,
			row1 + x * SURFACE_BYTES_PER_PIXEL, y0 + x, y1 + x, uv + x);
	}
	if (x < width) {
		uint8_t in[2][CHUNK * SURFACE_BYTES_PER_PIXEL] = {{0}}, out[3][CHUNK];
		size_t rest = width - x;
		memcpy(in[0], row0 + x * SURFACE_BYTES_PER_PIXEL, rest * SURFACE_BYTES_PER_PIXEL);
		memcpy(in[1], row1 + x * SURFACE_BYTES_PER_PIXEL, rest * SURFACE_BYTES_PER_PIXEL);
		convert_chunk(order, in[0], in[1], out[0], out[1], out[2]);
		memcpy(y0 + x, out[0], rest);
		memcpy(y1 + x, out[1], rest);
		memcpy(uv + x, out[2], rest);
	}
}

#if defined(__x86_64__)

static const struct channels channels[_PIXEL_ORDER_MAX] = {
	[PIXEL_ORDER_BGRA] = {.b = 0, .g = 1, .r = 2},
	[PIXEL_ORDER_ARGB] = {.r = 1, .g = 2, .b = 3},
	[PIXEL_ORDER_RGBA] = {.r = 0, .g = 1, .b = 2},
	[PIXEL_ORDER_ABGR] = {.b = 1, .g = 2, .r = 3},
};

/* Weights at the places of the channels: of a pixel for luma, of its halves for chroma. */
struct weights {
	__m256i luma, u_lo, u_hi, v_lo, v_hi;
};

/* Two 16-bit numbers, over and over. */
__attribute__((target("avx2"))) static inline __m256i repeat_avx2(const int16_t pair[static 2]) {
	int32_t both;
	memcpy(&both, pair, sizeof(both));
	return _mm256_set1_epi32(both);
}

__attribute__((target("avx2"))) static inline struct weights weights_avx2(enum pixel_order order) {
	const struct channels at = channels[order];
	int8_t luma[4] = {0};
	int16_t u[4] = {0}, v[4] = {0};
	luma[at.r] = LUMA_R;
	luma[at.g] = LUMA_G;
	luma[at.b] = LUMA_B;
	u[at.r] = CHROMA_U_R;
	u[at.g] = CHROMA_U_G;
	u[at.b] = CHROMA_U_B;
	v[at.r] = CHROMA_V_R;
	v[at.g] = CHROMA_V_G;
	v[at.b] = CHROMA_V_B;
	int32_t luma4;
	memcpy(&luma4, luma, sizeof(luma4));
	return (struct weights){
		.luma = _mm256_set1_epi32(luma4),
		.u_lo = repeat_avx2(u),
		.u_hi = repeat_avx2(u + 2),
		.v_lo = repeat_avx2(v),
		.v_hi = repeat_avx2(v + 2),
	};
}

/* 16 pixels in `a` and `b` to 16-bit luma, in the order 0-3 8-11 | 4-7 12-15. */
__attribute__((target("avx2"))) static inline __m256i luma_avx2(__m256i a, __m256i b, __m256i w) {
	__m256i sum = _mm256_hadd_epi16(_mm256_maddubs_epi16(a, w), _mm256_maddubs_epi16(b, w));
	sum = _mm256_add_epi16(sum, _mm256_set1_epi16(LUMA_BIAS));
	return _mm256_mulhi_epu16(sum, _mm256_set1_epi16(LUMA_SCALE));
}

/* 8 pixels of two rows to 16-bit sums of 2×2, four channels each. */
__attribute__((target("avx2"))) static inline __m256i sum_avx2(__m256i top, __m256i bottom) {
	/* Channels of two neighbours side by side. */
	const __m256i pairs = _mm256_setr_epi8(0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15,
		0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15);
	const __m256i ones = _mm256_set1_epi8(1);
	return _mm256_add_epi16(_mm256_maddubs_epi16(_mm256_shuffle_epi8(top, pairs), ones),
		_mm256_maddubs_epi16(_mm256_shuffle_epi8(bottom, pairs), ones));
}

/* The even and the odd 32 bits of two registers. */
__attribute__((target("avx2"))) static inline __m256i even_avx2(__m256i a, __m256i b) {
	return _mm256_castps_si256(
		_mm256_shuffle_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b), 0x88));
}

__attribute__((target("avx2"))) static inline __m256i odd_avx2(__m256i a, __m256i b) {
	return _mm256_castps_si256(
		_mm256_shuffle_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b), 0xdd));
}

/* 16 pixels of two rows to 8 times U and V in 32 bits, in the order 0 1 4 5 | 2 3 6 7. */
__attribute__((target("avx2"))) static inline __m256i chroma_avx2(
	__m256i a0, __m256i b0, __m256i a1, __m256i b1, const struct weights *w) {
	const __m256i bias = _mm256_set1_epi32(CHROMA_BIAS);
	__m256i a = sum_avx2(a0, a1), b = sum_avx2(b0, b1);
	/* The first two channels of all, and the last two. */
	__m256i lo = even_avx2(a, b), hi = odd_avx2(a, b);
	__m256i u =
		_mm256_add_epi32(_mm256_madd_epi16(lo, w->u_lo), _mm256_madd_epi16(hi, w->u_hi));
	__m256i v =
		_mm256_add_epi32(_mm256_madd_epi16(lo, w->v_lo), _mm256_madd_epi16(hi, w->v_hi));
	u = _mm256_srli_epi32(_mm256_add_epi32(u, bias), CHROMA_SHIFT);
	v = _mm256_srli_epi32(_mm256_add_epi32(v, bias), CHROMA_SHIFT - 8);
	return _mm256_or_si256(u, _mm256_and_si256(v, _mm256_set1_epi32(0xff00)));
}

__attribute__((target("avx2"))) static void rgb_nv12_avx2(enum pixel_order order,
	const uint8_t *row0, const uint8_t *row1, size_t n, uint8_t *y0, uint8_t *y1, uint8_t *uv) {
	const struct weights w = weights_avx2(order);
	/* Undo the orders of luma_avx2, in two packed rows, and of chroma_avx2. */
	const __m256i unmix_y = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
	const __m256i unmix_uv = _mm256_setr_epi32(0, 4, 1, 5, 0, 4, 1, 5);

	for (size_t i = 0; i < n; i++, row0 += 64, row1 += 64) {
		__m256i a0 = _mm256_loadu_si256((const __m256i *)row0);
		__m256i b0 = _mm256_loadu_si256((const __m256i *)(row0 + 32));
		__m256i a1 = _mm256_loadu_si256((const __m256i *)row1);
		__m256i b1 = _mm256_loadu_si256((const __m256i *)(row1 + 32));

		__m256i y =
			_mm256_packus_epi16(luma_avx2(a0, b0, w.luma), luma_avx2(a1, b1, w.luma));
		y = _mm256_permutevar8x32_epi32(y, unmix_y);
		_mm_storeu_si128((__m128i *)(y0 + i * STEP), _mm256_castsi256_si128(y));
		_mm_storeu_si128((__m128i *)(y1 + i * STEP), _mm256_extracti128_si256(y, 1));

		__m256i c = chroma_avx2(a0, b0, a1, b1, &w);
		c = _mm256_permutevar8x32_epi32(_mm256_packus_epi32(c, c), unmix_uv);
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
