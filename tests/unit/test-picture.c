/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "fake-udmabuf.h"
#include "picture.h"
#include "test.h"

static bool rect_is(struct rect r, uint32_t x, uint32_t y, uint32_t width, uint32_t height) {
	return r.x == x && r.y == y && r.width == width && r.height == height;
}

TEST(rect_intersect) {
	struct rect a = {10, 20, 30, 40}, b = {35, 0, 100, 30}, c = {40, 20, 5, 5};
	check(rect_is(rect_intersect(&a, &b), 35, 20, 5, 10));
	check(rect_is(rect_intersect(&b, &a), 35, 20, 5, 10));
	check(rect_empty(&(struct rect){0}));
	struct rect touching = rect_intersect(&a, &c);
	check(rect_empty(&touching));
}

TEST(rect_union) {
	struct rect a = {10, 20, 30, 40}, b = {35, 0, 100, 30}, none = {7, 7, 0, 3};
	check(rect_is(rect_union(&a, &b), 10, 0, 125, 60));
	check(rect_is(rect_union(&a, &none), 10, 20, 30, 40));
	check(rect_is(rect_union(&none, &b), 35, 0, 100, 30));
}

TEST(create_rounds_up) {
	static const uint32_t sizes[][4] = {
		{1, 1, 1, 1}, {639, 479, 40, 30}, {1366, 768, 86, 48}, {1920, 1080, 120, 68}};
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct picture *p = picture_create(sizes[i][0], sizes[i][1]);
		check(p != NULL);
		check_int(p->width, ==, (sizes[i][0] + 1) / 2 * 2);
		check_int(p->height, ==, (sizes[i][1] + 1) / 2 * 2);
		check_int(p->mb_width, ==, sizes[i][2]);
		check_int(p->mb_height, ==, sizes[i][3]);
		check_int(p->stride % 64, ==, 0);
		check_int(p->stride, >=, p->mb_width * MB_SIZE);
		check_int((uintptr_t)p->y % 64, ==, 0);
		check_int((uintptr_t)p->uv % 64, ==, 0);
		/* Black, to the last byte of the coded area. */
		size_t rows = (size_t)p->mb_height * MB_SIZE;
		check_int(p->y[0], ==, 16);
		check_int(p->y[rows * p->stride - 1], ==, 16);
		check_int(p->uv[rows / 2 * p->stride - 1], ==, 128);
		picture_destroy(p);
	}
}

TEST(create_refuses) {
	static const uint32_t sizes[][2] = {{0, 1}, {1, 0}, {8193, 16}, {16, 8193}, {~0u, ~0u}};
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		errno = 0;
		check(picture_create(sizes[i][0], sizes[i][1]) == NULL);
		check_int(errno, ==, EINVAL);
	}
	picture_destroy(NULL);
}

TEST(dirty_since) {
	struct picture *p = picture_create(100, 60); /* 7×4 macroblocks */
	uint8_t dirty[28];
	struct rect bounds;
	check_int(picture_dirty_since(p, 0, dirty, &bounds), ==, 28);
	check(rect_is(bounds, 0, 0, 100, 60));
	check_int(picture_dirty_since(p, 1, dirty, &bounds), ==, 0);
	check(rect_empty(&bounds));

	p->update = 5;
	p->mb_update[1 * 7 + 2] = 4;
	p->mb_update[3 * 7 + 6] = 5;
	check_int(picture_dirty_since(p, 3, dirty, &bounds), ==, 2);
	check_int(dirty[9], ==, 1);
	check_int(dirty[27], ==, 1);
	check_int(dirty[10], ==, 0);
	/* Bounds end with the picture, not with its last macroblock. */
	check(rect_is(bounds, 32, 16, 68, 44));
	check_int(picture_dirty_since(p, 3, NULL, &bounds), ==, 2);
	check(rect_is(bounds, 32, 16, 68, 44));
	check_int(picture_dirty_since(p, 4, dirty, NULL), ==, 1);
	check_int(dirty[9], ==, 0);
	picture_destroy(p);
}

/* What a GPU has is fetched when it is wanted, and only what changed since. */
TEST(gpu) {
	struct picture *p = picture_create(40, 20); /* 3×2 macroblocks */
	uint8_t pixels[64 * 32 * 3 / 2];
	const struct gpu_picture gpu = {
		.dmabuf = -1, .stride = 64, .chroma = 64 * 32, .map = pixels};
	const struct rect all = {0, 0, 40, 20}, corner = {17, 3, 1, 14}, none = {0},
			  outside = {48, 0, 5, 5};
	memset(pixels, 100, sizeof(pixels));
	picture_set_gpu(p, &gpu, &all);
	check_int(picture_dirty_since(p, 1, NULL, NULL), ==, 6);
	check_int(p->y[0], ==, 16);
	picture_fetch(p);
	check_int(p->y[31 * p->stride + 47], ==, 100);
	check_int(p->uv[15 * p->stride + 47], ==, 100);

	memset(pixels, 50, sizeof(pixels));
	uint32_t before = p->update;
	picture_set_gpu(p, &gpu, &none);
	picture_set_gpu(p, &gpu, &outside);
	check_int(p->update, ==, before);
	picture_set_gpu(p, &gpu, &corner);
	check_int(picture_dirty_since(p, before, NULL, NULL), ==, 2);
	/* Back in memory, as it is on the GPU. */
	picture_set_gpu(p, NULL, &all);
	check(p->gpu == NULL);
	check_int(p->y[15], ==, 100);
	check_int(p->y[16], ==, 50);
	check_int(p->y[31 * p->stride + 31], ==, 50);
	check_int(p->y[31 * p->stride + 32], ==, 100);
	check_int(p->uv[16], ==, 50);
	check_int(picture_dirty_since(p, before, NULL, NULL), ==, 2);
	/* And on the GPU again: all of what is in memory is out of date. */
	picture_set_gpu(p, &gpu, &none);
	picture_fetch(p);
	check_int(p->y[0], ==, 50);
	picture_destroy(p);
}

/* What we write is what a device finds. */
TEST(shared) {
	struct picture *p = picture_create_shared(1366, 768);
	check(p && picture_dmabuf(p) == &p->shared);
	const struct gpu_picture *gpu = picture_dmabuf(p);
	check_int(p->stride % GPU_STRIDE_ALIGN, ==, 0);
	check_int(gpu->stride, ==, p->stride);
	check_int(gpu->chroma, ==, (size_t)p->stride * p->mb_height * MB_SIZE);
	const uint8_t *map = mmap(NULL, gpu->size, PROT_READ, MAP_SHARED, gpu->dmabuf, 0);
	check(map != MAP_FAILED);
	check_int(map[0], ==, 16);
	check_int(map[gpu->chroma * 3 / 2 - 1], ==, 128);
	picture_begin_write(p);
	check_int(fake_udmabuf_writing, ==, 1);
	p->y[767 * p->stride + 1365] = 99;
	p->uv[383 * p->stride + 1364] = 77;
	picture_end_write(p);
	check_int(map[767 * gpu->stride + 1365], ==, 99);
	check_int(map[gpu->chroma + 383 * gpu->stride + 1364], ==, 77);

	/* As long as a GPU has another, that one is meant. */
	uint8_t pixels[64 * 32 * 3 / 2];
	const struct gpu_picture other = {
		.dmabuf = 1, .stride = 64, .chroma = 64 * 32, .map = pixels};
	picture_set_gpu(p, &other, &(struct rect){0});
	check(picture_dmabuf(p) == &other);
	p->gpu = NULL;
	check_int(munmap((void *)(uintptr_t)map, gpu->size), ==, 0);
	picture_destroy(p);
}

/* A kernel without that device, or one that refuses. */
TEST(not_shared) {
	for (unsigned there = 0; there < 2; there++) {
		fake_udmabuf_there = there;
		fake_udmabuf_works = false;
		struct picture *p = picture_create_shared(100, 60);
		check(p && !picture_dmabuf(p));
		picture_begin_write(p);
		p->y[59 * p->stride + 99] = 99;
		picture_end_write(p);
		picture_destroy(p);
	}
}

TEST(access_unit_references) {
	struct access_unit *au = access_unit_create(1000);
	check(au != NULL);
	check_int(au->size, ==, 1000);
	check_int(au->sequence, ==, 0);
	check(access_unit_ref(au) == au);
	access_unit_unref(au);
	memset(au->data, 0xff, au->size); /* still ours; the sanitizer would say */
	access_unit_unref(au);
	access_unit_unref(NULL);
}
