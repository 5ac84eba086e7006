/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's RAM, shared by the front end as file descriptors (vhost-user "Memory region
 * description"). A table is immutable and counted: what still reads guest pages of an older table
 * (a frame being converted) holds it, while the device already works with the next.
 */
#ifndef HELIX_DEVICE_GUEST_MEMORY_H
#define HELIX_DEVICE_GUEST_MEMORY_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vhost-user.h"

struct guest_region {
	uint64_t guest_address;
	uint64_t user_address;
	uint64_t size;
	uint64_t fd_offset; /* of the region's first byte in `fd` */
	int fd;
	uint8_t *base; /* the region's first byte, mapped */
	void *map;     /* as mmap returned it */
	size_t map_size;
};

struct guest_memory {
	atomic_uint refs;
	unsigned n_regions;
	struct guest_region regions[VHOST_USER_FDS_MAX];
};

/*
 * Maps the `n` regions; takes over the fds, each becomes -1, on failure too. -EINVAL for tables
 * that overlap, wrap, are not page aligned, or claim more than the file holds.
 */
int guest_memory_create(const struct vhost_user_memory_region *regions, int *fds, unsigned n,
	struct guest_memory **ret);
struct guest_memory *guest_memory_ref(struct guest_memory *m);
void guest_memory_unref(struct guest_memory *m);

/* `size` bytes from a guest physical address, which must lie in one region; else NULL. */
void *guest_memory_at(const struct guest_memory *m, uint64_t guest_address, uint64_t size);
/* The same for an address of the front end's, as SET_VRING_ADDR has them. */
void *guest_memory_at_user(const struct guest_memory *m, uint64_t user_address, uint64_t size);

/*
 * Maps pieces of guest memory, each within a region, one behind the other as one stretch of `total`
 * bytes, readable only. `*n_maps` counts down how many more mappings the process may make. -ENOTSUP
 * if the pieces do not meet at page boundaries, -ENOSPC if there are too many of them.
 */
int guest_memory_map_contiguous(const struct guest_memory *m, const struct iovec *pieces,
	size_t n_pieces, size_t total, size_t *max_maps, void **ret, size_t *ret_maps);

#endif
