/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "memory.h"
#include "util.h"

static int map_region(struct memory *m, const struct render_region *r, int fd) {
	struct stat st;
	uint64_t end;
	if (r->size == 0 || __builtin_add_overflow(r->offset, r->size, &end) || end > SIZE_MAX ||
		fstat(fd, &st) < 0 || st.st_size < 0 || end > (uint64_t)st.st_size) {
		return -EINVAL;
	}
	void *map = mmap(NULL, end, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (map == MAP_FAILED) {
		return -errno;
	}
	(void)madvise(map, end, MADV_DONTDUMP);
	m->regions[m->n].map = map;
	m->regions[m->n].map_size = end;
	m->regions[m->n].base = (uint8_t *)map + r->offset;
	m->regions[m->n].size = r->size;
	m->n++;
	return 0;
}

int memory_create(
	const struct render_region *regions, const int *fds, unsigned n, struct memory **ret) {
	struct memory *m = n <= RENDER_MAX_REGIONS ? calloc(1, sizeof(*m)) : NULL;
	if (!m) {
		return n <= RENDER_MAX_REGIONS ? -ENOMEM : -EINVAL;
	}
	m->refs = 1;
	for (unsigned i = 0; i < n; i++) {
		int r = map_region(m, &regions[i], fds[i]);
		if (r < 0) {
			memory_unref(m);
			return r;
		}
	}
	*ret = m;
	return 0;
}

void memory_unref(struct memory *m) {
	if (!m || --m->refs > 0) {
		return;
	}
	for (unsigned i = 0; i < m->n; i++) {
		(void)munmap(m->regions[i].map, m->regions[i].map_size);
	}
	free(m);
}

struct iovec *memory_pieces(
	const struct memory *m, const struct render_piece *pieces, size_t n_pieces) {
	struct iovec *iov = calloc(MAX(n_pieces, (size_t)1), sizeof(*iov));
	for (size_t i = 0; iov && i < n_pieces; i++) {
		const struct render_piece *p = &pieces[i];
		if (p->region >= m->n || p->offset > m->regions[p->region].size ||
			p->length > m->regions[p->region].size - p->offset) {
			free(iov);
			errno = EINVAL;
			return NULL;
		}
		iov[i] = (struct iovec){m->regions[p->region].base + p->offset, p->length};
	}
	return iov;
}
