/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "resource.h"
#include "util.h"
#include "virtqueue.h"

/*
 * What a resource costs at least, whatever it holds: its record, rounded up to a page. So the
 * number of resources is bounded by the budget too.
 */
#define RESOURCE_COST 4096u

/* Half of Linux's default vm.max_map_count: guest pages mapped one by one must not use it up. */
#define MAX_MAPS 32768u

/* A surface that reads a backing. */
struct backing_surface {
	struct surface surface;
	struct backing *backing;
	uint8_t *copy; // the resource's host copy, owned here; usually NULL
	struct iovec pieces[];
};

static void backing_unref(struct backing *b) {
	if (!b || atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) != 1) {
		return;
	}
	struct backing_pool *pool = b->pool;
	pthread_mutex_lock(&pool->lock);
	list_append(&pool->free, &b->link);
	pthread_mutex_unlock(&pool->lock);
	pool->wake(pool->data);
}

static void backing_free(struct backing *b) {
	if (b->contiguous && b->n_maps) {
		(void)munmap(b->contiguous, b->contiguous_size);
		b->pool->max_maps += b->n_maps;
	}
	guest_memory_unref(b->memory);
	free(b->pieces);
	free(b);
}

uint64_t backing_pool_reap(struct backing_pool *pool) {
	for (;;) {
		pthread_mutex_lock(&pool->lock);
		struct backing *b = NULL;
		if (!list_empty(&pool->free)) {
			b = list_first(&pool->free, struct backing, link);
			list_remove(&b->link);
		}
		pthread_mutex_unlock(&pool->lock);
		if (!b) {
			return 0;
		}
		uint64_t request = b->request;
		backing_free(b);
		if (request) {
			return request;
		}
	}
}

/* Many small pieces that follow each other are one: fewer mappings, fewer rows in two pieces. */
static size_t merge(struct iovec *pieces, size_t n) {
	size_t out = 0;
	for (size_t i = 1; i < n; i++) {
		struct iovec *last = &pieces[out];
		if ((uint8_t *)last->iov_base + last->iov_len == pieces[i].iov_base) {
			last->iov_len += pieces[i].iov_len;
		} else {
			pieces[++out] = pieces[i];
		}
	}
	return out + 1;
}

static int charge(struct resource_table *t, struct resource *r, size_t bytes) {
	if (bytes > t->pool.budget) {
		return -ENOMEM;
	}
	t->pool.budget -= bytes;
	r->charged += bytes;
	return 0;
}

void resource_table_init(
	struct resource_table *t, size_t budget, void (*wake)(void *data), void *data) {
	for (size_t i = 0; i < RESOURCE_BUCKETS; i++) {
		list_init(&t->buckets[i]);
	}
	t->pool = (struct backing_pool){
		.wake = wake,
		.data = data,
		.budget = budget,
		.max_maps = MAX_MAPS,
	};
	pthread_mutex_init(&t->pool.lock, NULL);
	list_init(&t->pool.free);
}

void resource_table_clear(struct resource_table *t) {
	for (size_t i = 0; i < RESOURCE_BUCKETS; i++) {
		struct resource *r, *tmp;
		list_for_each_safe(r, tmp, &t->buckets[i], link) {
			resource_destroy(t, r);
		}
	}
}

void resource_table_finish(struct resource_table *t) {
	resource_table_clear(t);
	while (backing_pool_reap(&t->pool)) {
	}
	pthread_mutex_destroy(&t->pool.lock);
}

static struct list *bucket(struct resource_table *t, uint32_t id) {
	return &t->buckets[id % RESOURCE_BUCKETS];
}

struct resource *resource_find(struct resource_table *t, uint32_t id) {
	struct resource *r;
	list_for_each(r, bucket(t, id), link) {
		if (r->id == id) {
			return r;
		}
	}
	return NULL;
}

int resource_create(struct resource_table *t, uint32_t id, struct resource **ret) {
	if (resource_find(t, id)) {
		return -EEXIST;
	}
	struct resource *r = calloc(1, sizeof(*r));
	if (!r) {
		return -ENOMEM;
	}
	r->id = id;
	if (charge(t, r, RESOURCE_COST) < 0) {
		free(r);
		return -ENOMEM;
	}
	list_append(bucket(t, id), &r->link);
	*ret = r;
	return 0;
}

void resource_destroy(struct resource_table *t, struct resource *r) {
	if (!r) {
		return;
	}
	(void)resource_detach(t, r, 0);
	t->pool.budget += r->charged;
	list_remove(&r->link);
	free(r->gl);
	free(r);
}

int resource_attach(struct resource_table *t, struct resource *r, struct guest_memory *memory,
	struct iovec *pieces, size_t n_pieces) {
	int result = -EEXIST;
	struct backing *b = NULL;
	if (r->backing) {
		goto fail;
	}
	result = -ENOMEM;
	n_pieces = n_pieces ? merge(pieces, n_pieces) : 0;
	b = calloc(1, sizeof(*b));
	if (!b || charge(t, r, n_pieces * sizeof(*pieces)) < 0) {
		goto fail;
	}
	atomic_init(&b->refs, 1);
	b->pool = &t->pool;
	b->memory = guest_memory_ref(memory);
	b->pieces = pieces;
	b->n_pieces = n_pieces;
	for (size_t i = 0; i < n_pieces; i++) {
		b->size += pieces[i].iov_len;
	}
	list_init(&b->link);
	r->backing = b;
	return 0;
fail:
	free(b);
	free(pieces);
	return result;
}

static size_t shadow_size(const struct resource *r) {
	return (size_t)r->width * r->height * SURFACE_BYTES_PER_PIXEL;
}

bool resource_detach(struct resource_table *t, struct resource *r, uint64_t request) {
	struct backing *b = r->backing;
	bool read = false;

	if (b) {
		size_t bytes = b->n_pieces * sizeof(*b->pieces);
		t->pool.budget += bytes;
		r->charged -= bytes;
		r->backing = NULL;
		b->request = request;
	}
	/*
	 * Surfaces hold the backing too. Our own reference to it goes last, so it is still there to
	 * see whether it was the last one.
	 */
	surface_unref(r->surface);
	r->surface = NULL;
	if (r->shadow) {
		size_t size = shadow_size(r);
		t->pool.budget += size;
		r->charged -= size;
		r->shadow = NULL;
	}
	if (b) {
		read = atomic_load_explicit(&b->refs, memory_order_acquire) > 1;
		if (!read) {
			b->request = 0;
		}
		backing_unref(b);
	}
	return read;
}

/* Surfaces. */

static void release_surface(struct surface *surface) {
	struct backing_surface *s = container_of(surface, struct backing_surface, surface);
	backing_unref(s->backing);
	free(s->copy);
	free(s);
}

/* Once per backing: all of it in one stretch of addresses, if that can be done. */
static void map_backing(struct resource_table *t, struct backing *b) {
	if (b->map_tried) {
		return;
	}
	b->map_tried = true;
	if (b->n_pieces == 1) {
		b->contiguous = b->pieces[0].iov_base;
		return;
	}
	void *p;
	/* A failure only costs speed: rows in two pieces are then gathered. */
	if (guest_memory_map_contiguous(b->memory, b->pieces, b->n_pieces, b->size,
		    &t->pool.max_maps, &p, &b->n_maps) == 0) {
		b->contiguous = p;
		b->contiguous_size = ALIGN_UP(b->size, (size_t)4096);
	}
}

/* The pieces that hold `size` bytes from `offset` on. */
static size_t cut_pieces(const struct backing *b, size_t offset, size_t size, struct iovec *ret) {
	size_t n = 0;
	for (size_t i = 0; i < b->n_pieces && size > 0; i++) {
		size_t len = b->pieces[i].iov_len;
		if (offset >= len) {
			offset -= len;
			continue;
		}
		size_t part = MIN(len - offset, size);
		ret[n++] = (struct iovec){(uint8_t *)b->pieces[i].iov_base + offset, part};
		size -= part;
		offset = 0;
	}
	return n;
}

static bool surface_is(const struct surface *s, uint32_t width, uint32_t height, uint32_t stride,
	enum pixel_order order) {
	return s->width == width && s->height == height && s->stride == stride && s->order == order;
}

struct surface *resource_surface(struct resource_table *t, struct resource *r, uint32_t width,
	uint32_t height, uint32_t stride, uint32_t offset, enum pixel_order order) {
	if (r->surface && r->surface_offset == offset &&
		surface_is(r->surface, width, height, stride, order)) {
		return r->surface;
	}
	size_t size = (size_t)stride * (height - 1) + (size_t)width * SURFACE_BYTES_PER_PIXEL;
	struct backing *b = r->backing;
	if (!b || r->shadow || offset > b->size || size > b->size - offset) {
		return NULL;
	}
	map_backing(t, b);
	size_t n_pieces = b->contiguous ? 0 : b->n_pieces;
	struct backing_surface *s = calloc(1, sizeof(*s) + n_pieces * sizeof(s->pieces[0]));
	if (!s) {
		return NULL;
	}
	s->surface = (struct surface){
		.width = width,
		.height = height,
		.stride = stride,
		.order = order,
		.release = release_surface,
	};
	atomic_init(&s->surface.refs, 1);
	if (b->contiguous) {
		s->surface.pixels = b->contiguous + offset;
	} else {
		s->surface.pieces = s->pieces;
		s->surface.n_pieces = cut_pieces(b, offset, size, s->pieces);
	}
	s->backing = b;
	atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);

	surface_unref(r->surface);
	r->surface = &s->surface;
	r->surface_offset = offset;
	return r->surface;
}

/*
 * A surface in host memory instead of the backing, for the rest of the backing's life. What was
 * transferred before in the usual layout is copied over.
 */
static int make_shadow(struct resource_table *t, struct resource *r) {
	size_t size = shadow_size(r);
	int result = charge(t, r, size);
	if (result < 0) {
		return result;
	}
	struct backing_surface *s = calloc(1, sizeof(*s));
	uint8_t *copy = calloc(1, size);
	if (!s || !copy) {
		free(s);
		free(copy);
		t->pool.budget += size;
		r->charged -= size;
		return -ENOMEM;
	}
	(void)iov_read(r->backing->pieces, (unsigned)r->backing->n_pieces, 0, copy, size);
	s->surface = (struct surface){
		.width = r->width,
		.height = r->height,
		.stride = r->width * SURFACE_BYTES_PER_PIXEL,
		.order = r->order,
		.pixels = copy,
		.release = release_surface,
	};
	atomic_init(&s->surface.refs, 1);
	s->copy = copy;
	surface_unref(r->surface);
	r->surface = &s->surface;
	r->surface_offset = 0;
	r->shadow = copy;
	return 0;
}

int resource_transfer(
	struct resource_table *t, struct resource *r, const struct rect *rect, uint64_t offset) {
	struct backing *b = r->backing;
	if (!b) {
		return -EINVAL;
	}
	size_t stride = (size_t)r->width * SURFACE_BYTES_PER_PIXEL;
	size_t row = (size_t)rect->width * SURFACE_BYTES_PER_PIXEL;
	uint64_t natural = (uint64_t)rect->y * stride + (uint64_t)rect->x * SURFACE_BYTES_PER_PIXEL;
	uint64_t span = (uint64_t)(rect->height - 1) * stride + row;
	/* Virtio 1.2, 5.7.6.8: the region must lie in the backing. */
	if (offset > b->size || span > b->size - offset) {
		return -EINVAL;
	}
	bool whole = b->size >= stride * (r->height - 1) + stride;
	if (!r->shadow && offset == natural && whole) {
		return 0;
	}
	if (!r->shadow) {
		int result = make_shadow(t, r);
		if (result < 0) {
			return result;
		}
	}
	/* Rows follow each other: each search for a row's piece goes on from the one before. */
	size_t piece = 0;
	uint64_t piece_offset = 0;
	for (uint32_t y = 0; y < rect->height; y++) {
		uint64_t at = offset + y * stride;
		while (at - piece_offset >= b->pieces[piece].iov_len) {
			piece_offset += b->pieces[piece++].iov_len;
		}
		(void)iov_read(b->pieces + piece, (unsigned)(b->n_pieces - piece),
			at - piece_offset, r->shadow + natural + y * stride, row);
	}
	return 0;
}
