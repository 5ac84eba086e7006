/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "picture.h"
#include "udmabuf.h"
#include "util.h"

#define PLANE_ALIGN 64

struct rect rect_intersect(const struct rect *a, const struct rect *b) {
	uint32_t x0 = MAX(a->x, b->x), x1 = MIN(a->x + a->width, b->x + b->width);
	uint32_t y0 = MAX(a->y, b->y), y1 = MIN(a->y + a->height, b->y + b->height);
	if (x0 >= x1 || y0 >= y1) {
		return (struct rect){0};
	}
	return (struct rect){x0, y0, x1 - x0, y1 - y0};
}

struct rect rect_union(const struct rect *a, const struct rect *b) {
	if (rect_empty(a)) {
		return *b;
	}
	if (rect_empty(b)) {
		return *a;
	}
	uint32_t x0 = MIN(a->x, b->x), x1 = MAX(a->x + a->width, b->x + b->width);
	uint32_t y0 = MIN(a->y, b->y), y1 = MAX(a->y + a->height, b->y + b->height);
	return (struct rect){x0, y0, x1 - x0, y1 - y0};
}

static bool allocate_shared(struct picture *p, size_t rows) {
	size_t chroma = p->stride * rows;
	size_t size = ALIGN_UP(chroma + chroma / 2, (size_t)sysconf(_SC_PAGESIZE));
	CLEANUP_CLOSE int device = udmabuf_open();
	CLEANUP_CLOSE int memory = device < 0 ? -1 : udmabuf_memory(size);
	CLEANUP_CLOSE int dmabuf = memory < 0 ? -1 : udmabuf_create(device, memory, size);
	if (dmabuf < 0) {
		return false;
	}
	uint8_t *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	if (map == MAP_FAILED) {
		return false;
	}
	p->y = map;
	p->uv = map + chroma;
	p->shared = (struct gpu_picture){
		.dmabuf = take_fd(&dmabuf),
		.stride = p->stride,
		.chroma = chroma,
		.size = size,
		.map = map,
	};
	return true;
}

static void allocate(struct picture *p, size_t rows) {
	p->y = aligned_alloc(PLANE_ALIGN, p->stride * rows);
	p->uv = aligned_alloc(PLANE_ALIGN, p->stride * rows / 2);
}

static struct picture *create(uint32_t width, uint32_t height, bool shared) {
	if (width == 0 || height == 0 || width > PICTURE_MAX_SIDE || height > PICTURE_MAX_SIDE) {
		errno = EINVAL;
		return NULL;
	}
	struct picture *p = calloc(1, sizeof(*p));
	if (!p) {
		return NULL;
	}
	p->width = ALIGN_UP(width, 2u);
	p->height = ALIGN_UP(height, 2u);
	p->mb_width = DIV_ROUND_UP(width, MB_SIZE);
	p->mb_height = DIV_ROUND_UP(height, MB_SIZE);
	p->stride = ALIGN_UP(p->mb_width * MB_SIZE, shared ? GPU_STRIDE_ALIGN : PLANE_ALIGN);
	p->shared.dmabuf = -1;
	p->update = 1;

	size_t rows = (size_t)p->mb_height * MB_SIZE;
	size_t n_mb = (size_t)p->mb_width * p->mb_height;
	if (!shared || !allocate_shared(p, rows)) {
		allocate(p, rows);
	}
	p->mb_update = calloc(n_mb, sizeof(*p->mb_update));
	if (!p->y || !p->uv || !p->mb_update) {
		picture_destroy(p);
		errno = ENOMEM;
		return NULL;
	}
	picture_begin_write(p);
	memset(p->y, 16, p->stride * rows);
	memset(p->uv, 128, p->stride * rows / 2);
	picture_end_write(p);
	for (size_t i = 0; i < n_mb; i++) {
		p->mb_update[i] = p->update;
	}
	return p;
}

struct picture *picture_create(uint32_t width, uint32_t height) {
	return create(width, height, false);
}

struct picture *picture_create_shared(uint32_t width, uint32_t height) {
	return create(width, height, true);
}

void picture_destroy(struct picture *p) {
	if (!p) {
		return;
	}
	if (p->shared.dmabuf >= 0) {
		(void)munmap(p->y, p->shared.size);
		(void)close_fd(p->shared.dmabuf);
	} else {
		free(p->y);
		free(p->uv);
	}
	free(p->mb_update);
	free(p);
}

void picture_begin_write(struct picture *p) {
	if (p->shared.dmabuf >= 0) {
		udmabuf_begin_write(p->shared.dmabuf);
	}
}

void picture_end_write(struct picture *p) {
	if (p->shared.dmabuf >= 0) {
		udmabuf_end_write(p->shared.dmabuf);
	}
}

const struct gpu_picture *picture_dmabuf(const struct picture *p) {
	if (p->gpu) {
		return p->gpu;
	}
	return p->shared.dmabuf >= 0 ? &p->shared : NULL;
}

void picture_set_gpu(struct picture *p, const struct gpu_picture *gpu, const struct rect *damage) {
	if (!gpu) {
		picture_fetch(p);
		p->gpu = NULL;
		return;
	}
	if (!p->gpu) {
		p->fetched = 0;
	}
	p->gpu = gpu;
	struct rect all = {0, 0, p->mb_width * MB_SIZE, p->mb_height * MB_SIZE};
	struct rect changed = rect_intersect(damage, &all);
	if (rect_empty(&changed)) {
		return;
	}
	uint32_t x1 = DIV_ROUND_UP(changed.x + changed.width, MB_SIZE);
	uint32_t y1 = DIV_ROUND_UP(changed.y + changed.height, MB_SIZE);
	p->update++;
	for (uint32_t y = changed.y / MB_SIZE; y < y1; y++) {
		for (uint32_t x = changed.x / MB_SIZE; x < x1; x++) {
			p->mb_update[(size_t)y * p->mb_width + x] = p->update;
		}
	}
}

static void fetch_macroblock(struct picture *p, uint32_t mb_x, uint32_t mb_y) {
	const struct gpu_picture *gpu = p->gpu;
	size_t x = (size_t)mb_x * MB_SIZE, y = (size_t)mb_y * MB_SIZE;
	for (size_t row = y; row < y + MB_SIZE; row++) {
		memcpy(p->y + row * p->stride + x, gpu->map + row * gpu->stride + x, MB_SIZE);
	}
	for (size_t row = y / 2; row < y / 2 + MB_SIZE / 2; row++) {
		memcpy(p->uv + row * p->stride + x, gpu->map + gpu->chroma + row * gpu->stride + x,
			MB_SIZE);
	}
}

void picture_fetch(struct picture *p) {
	if (!p->gpu || p->fetched == p->update) {
		return;
	}
	picture_begin_write(p);
	for (uint32_t y = 0; y < p->mb_height; y++) {
		for (uint32_t x = 0; x < p->mb_width; x++) {
			if (p->mb_update[(size_t)y * p->mb_width + x] > p->fetched) {
				fetch_macroblock(p, x, y);
			}
		}
	}
	picture_end_write(p);
	p->fetched = p->update;
}

uint32_t picture_dirty_since(
	const struct picture *p, uint32_t since, uint8_t *dirty, struct rect *ret_bounds) {
	uint32_t n = 0;
	uint32_t min_x = UINT32_MAX, max_x = 0, min_y = UINT32_MAX, max_y = 0;

	for (uint32_t y = 0; y < p->mb_height; y++) {
		const uint32_t *row = p->mb_update + (size_t)y * p->mb_width;
		uint32_t before = n;
		for (uint32_t x = 0; x < p->mb_width; x++) {
			bool changed = row[x] > since;
			if (dirty) {
				dirty[(size_t)y * p->mb_width + x] = changed;
			}
			if (changed) {
				n++;
				min_x = MIN(min_x, x);
				max_x = MAX(max_x, x);
			}
		}
		if (n > before) {
			min_y = MIN(min_y, y);
			max_y = y;
		}
	}
	if (ret_bounds) {
		struct rect all = {0, 0, p->width, p->height};
		struct rect bounds = {0};
		if (n > 0) {
			bounds = (struct rect){min_x * MB_SIZE, min_y * MB_SIZE,
				(max_x - min_x + 1) * MB_SIZE, (max_y - min_y + 1) * MB_SIZE};
			bounds = rect_intersect(&bounds, &all);
		}
		*ret_bounds = bounds;
	}
	return n;
}

struct access_unit *access_unit_create(size_t size) {
	struct access_unit *au = calloc(1, sizeof(*au) + size);
	if (!au) {
		return NULL;
	}
	atomic_init(&au->refs, 1);
	au->size = size;
	return au;
}

struct access_unit *access_unit_ref(struct access_unit *au) {
	atomic_fetch_add_explicit(&au->refs, 1, memory_order_relaxed);
	return au;
}

void access_unit_unref(struct access_unit *au) {
	if (au && atomic_fetch_sub_explicit(&au->refs, 1, memory_order_acq_rel) == 1) {
		free(au);
	}
}
