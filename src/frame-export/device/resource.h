/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-gpu resources (virtio 1.2, 5.7.6.8). A 2D resource has no copy of its pixels on the host:
 * what is shown is read from the guest's own pages, its backing. Only a driver that lays a transfer
 * out in another way than the resource (no driver known to us does) gets one, see
 * resource_transfer.
 */
#ifndef HELIX_DEVICE_RESOURCE_H
#define HELIX_DEVICE_RESOURCE_H

#include <pthread.h>
#include <stdbool.h>

#include "capture/surface.h"
#include "guest-memory.h"
#include "list.h"

#define RESOURCE_MAX_SIDE 16384u
/* Page list of a buffer of 16384 by 16384 pixels, every page on its own. */
#define BACKING_MAX_ENTRIES (1u << 18)

/*
 * Guest pages that surfaces read. Counted; when the last reader is gone, on whatever thread, it is
 * put on the pool's list of free ones and `wake` is called: the device thread then unmaps it.
 */
struct backing {
	atomic_uint refs;
	struct backing_pool *pool;
	struct guest_memory *memory;
	struct iovec *pieces; /* in guest memory; neighbours are merged */
	size_t n_pieces;
	size_t size;
	uint8_t *contiguous; // NULL until mapped, and if that cannot be done
	size_t contiguous_size, n_maps;
	bool map_tried;
	uint64_t request; /* answered when the backing is gone; 0: none */
	struct list link; // backing_pool.free
};

struct backing_pool {
	pthread_mutex_t lock;
	struct list free; // struct backing.link, under the lock
	void (*wake)(void *data);
	void *data;
	/* Device thread only. */
	size_t budget;   /* bytes of host memory that resources may still take */
	size_t max_maps; /* mappings that may still be made */
};

struct resource_gl;

struct resource {
	uint32_t id;
	uint32_t width, height; /* 0 for a blob, until a scanout says */
	enum pixel_order order;
	bool blob;
	uint64_t blob_size;
	struct backing *backing; // may be NULL
	struct surface *surface; // of the backing or shadow; NULL until shown
	uint32_t surface_offset; /* of a blob's surface in its backing */
	uint8_t *shadow;         // host copy, see resource_transfer; usually NULL
	size_t charged;          /* of the pool's budget */
	struct resource_gl *gl;  // NULL: 2D; freed with the resource
	uint32_t scanouts;       /* bit n: shown on scanout n */
	struct list link;        // resource_table.buckets
};

#define RESOURCE_BUCKETS 4096u

struct resource_table {
	struct list buckets[RESOURCE_BUCKETS]; // struct resource.link
	struct backing_pool pool;
};

void resource_table_init(
	struct resource_table *t, size_t budget, void (*wake)(void *data), void *data);
/* All resources go; backings that are still read go when their reader is done (see reap). */
void resource_table_clear(struct resource_table *t);
void resource_table_finish(struct resource_table *t);

struct resource *resource_find(struct resource_table *t, uint32_t id);
/* -EEXIST, -ENOMEM (also: over budget). */
int resource_create(struct resource_table *t, uint32_t id, struct resource **ret);
void resource_destroy(struct resource_table *t, struct resource *r);

/*
 * Gives the resource the guest pages in `pieces` (consumed). -EEXIST, -ENOMEM, -ENOSPC.
 */
int resource_attach(struct resource_table *t, struct resource *r, struct guest_memory *memory,
	struct iovec *pieces, size_t n_pieces);
/*
 * Takes the pages away. Returns true if they are still being read: then `request` comes back from
 * backing_pool_reap when they are not.
 */
bool resource_detach(struct resource_table *t, struct resource *r, uint64_t request);

/*
 * The surface to read for a scanout. Geometry is the resource's own, or a blob's as its scanout
 * command gave it. NULL: no pages, too few, or out of memory.
 */
struct surface *resource_surface(struct resource_table *t, struct resource *r, uint32_t width,
	uint32_t height, uint32_t stride, uint32_t offset, enum pixel_order order);

/*
 * TRANSFER_TO_HOST_2D. If the pixels lie in the backing where the resource has them, nothing is to
 * be done; else the resource gets a host copy. -EINVAL, -ENOMEM.
 */
int resource_transfer(
	struct resource_table *t, struct resource *r, const struct rect *rect, uint64_t offset);

/* Frees backings that nobody reads any more. Returns a request to answer, 0 if there is none. */
uint64_t backing_pool_reap(struct backing_pool *pool);

#endif
