/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "guest-memory.h"
#include "util.h"

/* x86 and the usual arm64 guests; on hosts with larger pages MAP_FIXED simply fails. */
#define GUEST_PAGE 4096u

static int map_region(struct guest_region *r) {
	struct stat st;
	if (fstat(r->fd, &st) < 0) {
		return -errno;
	}
	/*
	 * The whole file up to the region's end is mapped, for files on huge pages can only be
	 * mapped at multiples of their page size and the region's offset need not be one.
	 */
	uint64_t end;
	if (__builtin_add_overflow(r->fd_offset, r->size, &end) || end > SIZE_MAX ||
		st.st_size < 0 || end > (uint64_t)st.st_size) {
		return -EINVAL;
	}
	void *map = mmap(NULL, end, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, r->fd, 0);
	if (map == MAP_FAILED) {
		return -errno;
	}
	/* Guest memory in a core dump helps nobody and makes it huge. */
	(void)madvise(map, end, MADV_DONTDUMP);
	r->map = map;
	r->map_size = end;
	r->base = (uint8_t *)map + r->fd_offset;
	return 0;
}

static bool overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size) {
	return a < b + b_size && b < a + a_size;
}

static bool region_valid(const struct vhost_user_memory_region *r) {
	uint64_t end;
	return r->size > 0 && r->size % GUEST_PAGE == 0 && r->guest_address % GUEST_PAGE == 0 &&
		r->mmap_offset % GUEST_PAGE == 0 &&
		!__builtin_add_overflow(r->guest_address, r->size, &end) &&
		!__builtin_add_overflow(r->user_address, r->size, &end);
}

int guest_memory_create(const struct vhost_user_memory_region *regions, int *fds, unsigned n,
	struct guest_memory **ret) {
	struct guest_memory *m = n <= VHOST_USER_FDS_MAX ? calloc(1, sizeof(*m)) : NULL;
	int r = m ? 0 : -ENOMEM;

	if (m) {
		atomic_init(&m->refs, 1);
	}
	for (unsigned i = 0; i < n; i++) {
		if (r < 0 || !region_valid(&regions[i])) {
			r = r < 0 ? r : -EINVAL;
			fds[i] = close_fd(fds[i]);
			continue;
		}
		for (unsigned j = 0; j < m->n_regions; j++) {
			const struct guest_region *o = &m->regions[j];
			if (overlap(regions[i].guest_address, regions[i].size, o->guest_address,
				    o->size) ||
				overlap(regions[i].user_address, regions[i].size, o->user_address,
					o->size)) {
				r = -EINVAL;
			}
		}
		struct guest_region *region = &m->regions[m->n_regions++];
		*region = (struct guest_region){
			.guest_address = regions[i].guest_address,
			.user_address = regions[i].user_address,
			.size = regions[i].size,
			.fd_offset = regions[i].mmap_offset,
			.fd = take_fd(&fds[i]),
		};
		if (r == 0) {
			r = map_region(region);
		}
	}
	if (r < 0) {
		guest_memory_unref(m);
		return r;
	}
	*ret = m;
	return 0;
}

struct guest_memory *guest_memory_ref(struct guest_memory *m) {
	atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
	return m;
}

void guest_memory_unref(struct guest_memory *m) {
	if (!m || atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) != 1) {
		return;
	}
	for (unsigned i = 0; i < m->n_regions; i++) {
		if (m->regions[i].map) {
			(void)munmap(m->regions[i].map, m->regions[i].map_size);
		}
		(void)close_fd(m->regions[i].fd);
	}
	free(m);
}

void *guest_memory_at(const struct guest_memory *m, uint64_t address, uint64_t size) {
	for (unsigned i = 0; i < m->n_regions; i++) {
		const struct guest_region *r = &m->regions[i];
		if (address >= r->guest_address && address - r->guest_address < r->size) {
			uint64_t offset = address - r->guest_address;
			return size <= r->size - offset ? r->base + offset : NULL;
		}
	}
	return NULL;
}

void *guest_memory_at_user(const struct guest_memory *m, uint64_t address, uint64_t size) {
	for (unsigned i = 0; i < m->n_regions; i++) {
		const struct guest_region *r = &m->regions[i];
		if (address >= r->user_address && address - r->user_address < r->size) {
			uint64_t offset = address - r->user_address;
			return size <= r->size - offset ? r->base + offset : NULL;
		}
	}
	return NULL;
}

/* Which region a mapped pointer lies in. */
static const struct guest_region *region_of(const struct guest_memory *m, const uint8_t *p) {
	for (unsigned i = 0; i < m->n_regions; i++) {
		const struct guest_region *r = &m->regions[i];
		if (p >= r->base && (size_t)(p - r->base) < r->size) {
			return r;
		}
	}
	return NULL;
}

int guest_memory_map_contiguous(const struct guest_memory *m, const struct iovec *pieces,
	size_t n_pieces, size_t total, size_t *max_maps, void **ret, size_t *ret_maps) {
	size_t sum = 0;
	for (size_t i = 0; i < n_pieces; i++) {
		const struct guest_region *r = region_of(m, pieces[i].iov_base);
		if (!r) {
			return -EINVAL;
		}
		size_t offset = (size_t)((const uint8_t *)pieces[i].iov_base - r->base);
		bool last = i == n_pieces - 1;
		if (offset % GUEST_PAGE || (!last && pieces[i].iov_len % GUEST_PAGE)) {
			return -ENOTSUP;
		}
		sum += ALIGN_UP(pieces[i].iov_len, (size_t)GUEST_PAGE);
	}
	if (n_pieces + 1 > *max_maps) {
		return -ENOSPC;
	}
	if (sum < total) {
		return -EINVAL;
	}

	uint8_t *start =
		mmap(NULL, sum, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (start == MAP_FAILED) {
		return -errno;
	}
	uint8_t *at = start;
	for (size_t i = 0; i < n_pieces; i++) {
		const struct guest_region *r = region_of(m, pieces[i].iov_base);
		size_t offset = (size_t)((const uint8_t *)pieces[i].iov_base - r->base);
		size_t size = ALIGN_UP(pieces[i].iov_len, (size_t)GUEST_PAGE);
		if (mmap(at, size, PROT_READ, MAP_SHARED | MAP_FIXED | MAP_NORESERVE, r->fd,
			    (off_t)(r->fd_offset + offset)) == MAP_FAILED) {
			int saved = errno;
			(void)munmap(start, sum);
			return -saved;
		}
		at += size;
	}
	*max_maps -= n_pieces;
	*ret_maps = n_pieces;
	*ret = start;
	return 0;
}
