/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pages of the fake guest's memory. First fit is plenty: tests hold a few dozen buffers. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "frontend.h"
#include "util.h"

/* The legacy area below 1 MiB is left alone, as guests leave it. */
#define FIRST_PAGE (GUEST_MAIN_START / GUEST_PAGE)

/* Lengths of unaligned pieces, in turn; odd, so that pixels are cut in two. */
static const uint32_t odd_lengths[] = {999, 4093, 7, 2501, 4096, 1};

void *guest_at(struct frontend *fe, uint64_t address) {
	if (address < fe->ram_size) {
		return fe->ram + address;
	}
	if (address >= GUEST_HIGH_START && address - GUEST_HIGH_START < fe->high_size) {
		return fe->high + (address - GUEST_HIGH_START);
	}
	return NULL;
}

static size_t find_pages(struct frontend *fe, size_t from, size_t to, unsigned n) {
	size_t run = 0;
	for (size_t i = from; i < to; i++) {
		run = fe->page_used[i] ? 0 : run + 1;
		if (run == n) {
			return i + 1 - n;
		}
	}
	return 0;
}

static void take_pages(struct frontend *fe, size_t first, unsigned n) {
	memset(fe->page_used + first, 1, n);
	fe->pages_free -= n;
	memset(fe->ram + first * GUEST_PAGE, 0, (size_t)n * GUEST_PAGE);
}

uint64_t guest_alloc(struct frontend *fe, unsigned n_pages) {
	size_t first = find_pages(fe, fe->page_hint, fe->n_pages, n_pages);
	if (first == 0) {
		first = find_pages(fe, FIRST_PAGE, fe->n_pages, n_pages);
	}
	if (first == 0 || n_pages == 0) {
		return 0;
	}
	take_pages(fe, first, n_pages);
	fe->page_hint = first + n_pages;
	return first * GUEST_PAGE;
}

void guest_free(struct frontend *fe, uint64_t address, unsigned n_pages) {
	size_t first = address / GUEST_PAGE;
	if (address == 0) {
		return;
	}
	memset(fe->page_used + first, 0, n_pages);
	fe->pages_free += n_pages;
	fe->page_hint = MIN(fe->page_hint, first);
}

/* Single pages, one from below and one from above in turn: no two neighbours, none in order. */
static int scatter_pages(struct guest_buffer *b) {
	struct frontend *fe = b->fe;
	size_t low = FIRST_PAGE, high = fe->n_pages;
	for (unsigned i = 0; i < b->n_pages; i++) {
		if (fe->pages_free == 0) {
			return -ENOSPC;
		}
		size_t page;
		if (i % 2) {
			while (fe->page_used[--high]) {
			}
			page = high;
		} else {
			while (fe->page_used[low]) {
				low++;
			}
			page = low;
		}
		take_pages(fe, page, 1);
		b->pages[i] = page * GUEST_PAGE;
	}
	return 0;
}

/* One view of all pages for whoever paints. */
static int map_pages(struct guest_buffer *b) {
	struct frontend *fe = b->fe;
	size_t size = (size_t)b->n_pages * GUEST_PAGE;
	void *map = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED) {
		return -errno;
	}
	b->map = map;
	for (unsigned i = 0; i < b->n_pages; i++) {
		void *at = (uint8_t *)map + (size_t)i * GUEST_PAGE;
		if (mmap(at, GUEST_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fe->ram_fd,
			    (off_t)b->pages[i]) == MAP_FAILED) {
			return -errno;
		}
	}
	b->pixels = map;
	return 0;
}

static int lay_out_scattered(struct guest_buffer *b) {
	b->pieces = calloc(b->n_pages, sizeof(*b->pieces));
	if (!b->pieces) {
		return -ENOMEM;
	}
	int r = scatter_pages(b);
	if (r < 0) {
		return r;
	}
	for (unsigned i = 0; i < b->n_pages; i++) {
		b->pieces[i] = (struct guest_piece){b->pages[i], GUEST_PAGE};
	}
	b->n_pieces = b->n_pages;
	return map_pages(b);
}

/* Each piece starts at an odd place of a page of its own. */
static int lay_out_unaligned(struct guest_buffer *b) {
	size_t n = 0;
	for (size_t done = 0; done < b->size; n++) {
		done += odd_lengths[n % ARRAY_SIZE(odd_lengths)];
	}
	free(b->pages);
	b->n_pages = (unsigned)(2 * n);
	b->pages = calloc(b->n_pages, sizeof(*b->pages));
	b->pieces = calloc(n, sizeof(*b->pieces));
	b->pixels = calloc(1, b->size);
	if (!b->pages || !b->pieces || !b->pixels) {
		return -ENOMEM;
	}
	size_t left = b->size;
	for (size_t i = 0; i < n; i++) {
		uint64_t address = guest_alloc(b->fe, 2);
		if (address == 0) {
			return -ENOSPC;
		}
		b->pages[2 * i] = address;
		b->pages[2 * i + 1] = address + GUEST_PAGE;
		uint32_t length = odd_lengths[i % ARRAY_SIZE(odd_lengths)];
		length = (uint32_t)MIN((size_t)length, left);
		b->pieces[i] = (struct guest_piece){address + (i % 64) + 1, length};
		left -= length;
	}
	b->n_pieces = (unsigned)n;
	return 0;
}

static int lay_out_contiguous(struct guest_buffer *b) {
	b->pieces = calloc(1, sizeof(*b->pieces));
	uint64_t address = b->pieces ? guest_alloc(b->fe, b->n_pages) : 0;
	if (address == 0) {
		return b->pieces ? -ENOSPC : -ENOMEM;
	}
	for (unsigned i = 0; i < b->n_pages; i++) {
		b->pages[i] = address + (uint64_t)i * GUEST_PAGE;
	}
	b->pieces[0] = (struct guest_piece){address, b->n_pages * GUEST_PAGE};
	b->n_pieces = 1;
	b->pixels = guest_at(b->fe, address);
	return 0;
}

int guest_buffer_create(
	struct frontend *fe, size_t size, enum guest_layout layout, struct guest_buffer **ret) {
	struct guest_buffer *b = calloc(1, sizeof(*b));
	if (!b || size == 0) {
		free(b);
		return b ? -EINVAL : -ENOMEM;
	}
	b->fe = fe;
	b->size = size;
	b->layout = layout;
	b->n_pages = (unsigned)DIV_ROUND_UP(size, GUEST_PAGE);
	b->pages = calloc(b->n_pages, sizeof(*b->pages));

	int r = -ENOMEM;
	if (b->pages) {
		switch (layout) {
		case GUEST_CONTIGUOUS:
			r = lay_out_contiguous(b);
			break;
		case GUEST_SCATTERED:
			r = lay_out_scattered(b);
			break;
		case GUEST_UNALIGNED:
			r = lay_out_unaligned(b);
			break;
		}
	}
	if (r < 0) {
		guest_buffer_destroy(b);
		return r;
	}
	*ret = b;
	return 0;
}

void guest_buffer_destroy(struct guest_buffer *b) {
	if (!b) {
		return;
	}
	for (unsigned i = 0; b->pages && i < b->n_pages; i++) {
		guest_free(b->fe, b->pages[i], 1);
	}
	if (b->map) {
		(void)munmap(b->map, (size_t)b->n_pages * GUEST_PAGE);
	}
	if (b->layout == GUEST_UNALIGNED) {
		free(b->pixels);
	}
	free(b->pages);
	free(b->pieces);
	free(b);
}

void guest_buffer_commit(struct guest_buffer *b) {
	if (b->layout != GUEST_UNALIGNED) {
		return;
	}
	size_t done = 0;
	for (unsigned i = 0; i < b->n_pieces; i++) {
		memcpy(guest_at(b->fe, b->pieces[i].address), b->pixels + done,
			b->pieces[i].length);
		done += b->pieces[i].length;
	}
}
