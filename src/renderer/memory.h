/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest memory as the renderer maps it, and shadows, into which pictures are read. A table is
 * counted: backings keep the one that they were made from.
 */
#ifndef HELIX_RENDERER_MEMORY_H
#define HELIX_RENDERER_MEMORY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "wire.h"

struct memory {
	unsigned refs;
	unsigned n;
	struct {
		uint8_t *base;
		uint64_t size;
		void *map;
		size_t map_size;
	} regions[RENDER_MAX_REGIONS];
};

/* Maps regions; the fds are borrowed. -EINVAL, -ENOMEM. */
int memory_create(
	const struct render_region *regions, const int *fds, unsigned n, struct memory **ret);
void memory_unref(struct memory *m);
/* The pieces as addresses; NULL with errno if one does not lie in its region. free() it. */
struct iovec *memory_pieces(
	const struct memory *m, const struct render_piece *pieces, size_t n_pieces);

#endif
