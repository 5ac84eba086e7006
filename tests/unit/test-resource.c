/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Resources and their pages, on a memfd that plays guest RAM. */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "device/resource.h"
#include "test.h"
#include "util.h"

#define PAGE     4096u
#define RAM_SIZE (64u * PAGE)
#define BASE     UINT64_C(0x100000)

static struct resource_table table; /* too large for a stack */
static unsigned woken;

static void wake(void *data) {
	(void)data;
	woken++;
}

static struct guest_memory *make_ram(void) {
	int fd = memfd_create("ram", MFD_CLOEXEC);
	check(fd >= 0 && ftruncate(fd, RAM_SIZE) == 0);
	struct vhost_user_memory_region region = {
		.guest_address = BASE, .size = RAM_SIZE, .user_address = 0x7f0000000000};
	struct guest_memory *m;
	check_ok(guest_memory_create(&region, &fd, 1, &m));
	check_int(fd, ==, -1);
	uint32_t *words = guest_memory_at(m, BASE, RAM_SIZE);
	check(words != NULL);
	for (uint32_t i = 0; i < RAM_SIZE / 4; i++) {
		words[i] = i;
	}
	return m;
}

static struct iovec piece(const struct guest_memory *m, uint64_t offset, size_t size) {
	void *p = guest_memory_at(m, BASE + offset, size);
	check(p != NULL);
	return (struct iovec){p, size};
}

static struct resource *make_resource(uint32_t width, uint32_t height) {
	struct resource *r;
	check_ok(resource_create(&table, 1, &r));
	r->width = width;
	r->height = height;
	r->order = PIXEL_ORDER_BGRA;
	return r;
}

static struct surface *surface_of(struct resource *r) {
	return resource_surface(&table, r, r->width, r->height, r->width * 4, 0, r->order);
}

TEST(addresses_are_resolved_within_one_region) {
	struct guest_memory *m = make_ram();
	check(guest_memory_at(m, BASE - 1, 1) == NULL);
	check(guest_memory_at(m, BASE, RAM_SIZE + 1) == NULL);
	check(guest_memory_at(m, BASE + RAM_SIZE, 1) == NULL);
	check(guest_memory_at(m, BASE + RAM_SIZE - 1, 1) != NULL);
	check(guest_memory_at(m, BASE + 8, UINT64_MAX) == NULL);
	check(guest_memory_at_user(m, 0x7f0000000000 + PAGE, 4) ==
		guest_memory_at(m, BASE + PAGE, 4));
	guest_memory_unref(m);
}

TEST(memory_tables_are_checked) {
	static const struct vhost_user_memory_region bad[][2] = {
		{{.size = RAM_SIZE + PAGE}},                              /* larger than the file */
		{{.size = PAGE, .mmap_offset = RAM_SIZE}},                /* behind its end */
		{{.size = PAGE, .mmap_offset = UINT64_MAX - PAGE + 1}},   /* wraps */
		{{.size = PAGE, .guest_address = UINT64_MAX - PAGE + 1}}, /* wraps */
		{{.size = PAGE + 1}},                                     /* no whole pages */
		{{.size = PAGE, .guest_address = 12}},                    /* unaligned */
		{{.size = 2 * PAGE}, {.size = PAGE, .guest_address = PAGE}}, /* overlap */
		{{0}},
	};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		int fds[2];
		unsigned n = bad[i][1].size ? 2 : 1;
		for (unsigned k = 0; k < n; k++) {
			fds[k] = memfd_create("ram", MFD_CLOEXEC);
			check(fds[k] >= 0 && ftruncate(fds[k], RAM_SIZE) == 0);
		}
		struct guest_memory *m;
		check_int(guest_memory_create(bad[i], fds, n, &m), ==, -EINVAL);
		check(fds[0] == -1 && (n == 1 || fds[1] == -1));
	}
}

/* 32 by 32 pixels are one page; here pages 5, 3, 9 and 2 of a picture of 32 by 128. */
TEST(scattered_pages_are_one_surface) {
	static const unsigned order[] = {5, 3, 9, 2};
	struct guest_memory *m = make_ram();
	resource_table_init(&table, 1 << 20, wake, NULL);
	struct resource *r = make_resource(32, 128);
	struct iovec *pieces = calloc(ARRAY_SIZE(order), sizeof(*pieces));
	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		pieces[i] = piece(m, order[i] * PAGE, PAGE);
	}
	check_ok(resource_attach(&table, r, m, pieces, ARRAY_SIZE(order)));
	struct surface *s = surface_of(r);
	check(s && s->pixels && surface_of(r) == s);
	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		uint32_t word;
		memcpy(&word, s->pixels + i * PAGE, sizeof(word));
		check_int(word, ==, order[i] * PAGE / 4);
	}
	/* It is the guest's memory, not a copy. */
	*(uint32_t *)pieces[2].iov_base = 4711;
	uint32_t word;
	memcpy(&word, s->pixels + 2 * PAGE, sizeof(word));
	check_int(word, ==, 4711);
	resource_table_finish(&table);
	guest_memory_unref(m);
}

TEST(pieces_that_do_not_meet_at_pages_are_gathered) {
	struct guest_memory *m = make_ram();
	resource_table_init(&table, 1 << 20, wake, NULL);
	struct resource *r = make_resource(32, 8);
	struct iovec *pieces = calloc(3, sizeof(*pieces));
	pieces[0] = piece(m, 100 * 4, 300);
	pieces[1] = piece(m, 2 * PAGE, 500);
	pieces[2] = piece(m, 4 * PAGE + 4, 400);
	check_ok(resource_attach(&table, r, m, pieces, 3));
	struct surface *s = surface_of(r);
	check(s && !s->pixels && s->n_pieces == 3);
	uint8_t scratch[32 * 8 * 4];
	uint32_t stride;
	const uint8_t *rows = surface_rows(s, &(struct rect){0, 0, 32, 8}, scratch, &stride);
	uint32_t word;
	memcpy(&word, rows + 296, sizeof(word));
	check_int(word, ==, 100 + 74);
	memcpy(&word, rows + 300, sizeof(word));
	check_int(word, ==, 2 * PAGE / 4);
	memcpy(&word, rows + 800, sizeof(word));
	check_int(word, ==, 4 * PAGE / 4 + 1);
	resource_table_finish(&table);
	guest_memory_unref(m);
}

TEST(a_transfer_in_the_usual_layout_costs_nothing) {
	struct guest_memory *m = make_ram();
	resource_table_init(&table, 1 << 20, wake, NULL);
	struct resource *r = make_resource(32, 32);
	struct iovec *pieces = calloc(1, sizeof(*pieces));
	pieces[0] = piece(m, 0, PAGE);
	check_ok(resource_attach(&table, r, m, pieces, 1));
	struct rect rect = {4, 5, 10, 20};
	check_ok(resource_transfer(&table, r, &rect, (5 * 32 + 4) * 4));
	check(!r->shadow);
	/* One row too far for the backing. */
	check_int(resource_transfer(&table, r, &(struct rect){0, 0, 32, 32}, 128), ==, -EINVAL);
	check_int(resource_transfer(&table, r, &rect, UINT64_MAX - 8), ==, -EINVAL);
	resource_table_finish(&table);
	guest_memory_unref(m);
}

TEST(a_transfer_in_another_layout_gets_a_copy) {
	struct guest_memory *m = make_ram();
	resource_table_init(&table, 1 << 20, wake, NULL);
	struct resource *r = make_resource(32, 32);
	struct iovec *pieces = calloc(2, sizeof(*pieces));
	pieces[0] = piece(m, 8 * PAGE, PAGE);
	pieces[1] = piece(m, 4 * PAGE, PAGE);
	check_ok(resource_attach(&table, r, m, pieces, 2));
	size_t budget = table.pool.budget;
	/* The 2 by 2 pixels at (1, 1) come from the start of the second page. */
	check_ok(resource_transfer(&table, r, &(struct rect){1, 1, 2, 2}, PAGE));
	check(r->shadow);
	check_int(budget - table.pool.budget, ==, PAGE);
	struct surface *s = surface_of(r);
	check(s && s->pixels == r->shadow);
	const uint32_t *px = (const uint32_t *)s->pixels;
	check_int(px[0], ==, 8 * PAGE / 4);
	check_int(px[33], ==, 4 * PAGE / 4);
	check_int(px[34], ==, 4 * PAGE / 4 + 1);
	check_int(px[35], ==, 8 * PAGE / 4 + 35);
	check_int(px[65], ==, 4 * PAGE / 4 + 32);
	(void)resource_detach(&table, r, 0);
	check(!r->shadow);
	resource_destroy(&table, r);
	check_int(table.pool.budget, ==, 1 << 20);
	resource_table_finish(&table);
	guest_memory_unref(m);
}

TEST(pages_that_are_read_go_when_the_reader_is_done) {
	struct guest_memory *m = make_ram();
	resource_table_init(&table, 1 << 20, wake, NULL);
	struct resource *r = make_resource(32, 32);
	struct iovec *pieces = calloc(1, sizeof(*pieces));
	pieces[0] = piece(m, 0, PAGE);
	check_ok(resource_attach(&table, r, m, pieces, 1));
	struct surface *reader = surface_ref(surface_of(r));
	check(resource_detach(&table, r, 77));
	check_int(backing_pool_reap(&table.pool), ==, 0);
	unsigned before = woken;
	surface_unref(reader);
	check_int(woken, ==, before + 1);
	check_int(backing_pool_reap(&table.pool), ==, 77);

	pieces = calloc(1, sizeof(*pieces));
	pieces[0] = piece(m, 0, PAGE);
	check_ok(resource_attach(&table, r, m, pieces, 1));
	check(surface_of(r) != NULL);
	check(!resource_detach(&table, r, 78));
	check_int(backing_pool_reap(&table.pool), ==, 0);
	resource_table_finish(&table);
	guest_memory_unref(m);
}

TEST(resources_are_bounded_by_the_budget) {
	resource_table_init(&table, 100 * PAGE, wake, NULL);
	struct resource *r;
	uint32_t n = 0;
	while (resource_create(&table, n + 1, &r) == 0) {
		n++;
	}
	check_int(n, ==, 100);
	check_int(resource_create(&table, 50, &r), ==, -EEXIST);
	resource_destroy(&table, resource_find(&table, 50));
	check(resource_find(&table, 50) == NULL);
	check_ok(resource_create(&table, 5000, &r));
	check_int(resource_create(&table, 5001, &r), ==, -ENOMEM);
	resource_table_clear(&table);
	check_int(table.pool.budget, ==, 100 * PAGE);
	resource_table_finish(&table);
}
