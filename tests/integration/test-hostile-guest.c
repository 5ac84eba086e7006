/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Drivers that break virtio's rules: descriptors, rings and memory as no driver would have them.
 * What cannot be answered may stop the ring until a reset; the daemon goes on.
 */
#include <stdlib.h>

#include "exporter.h"
#include "test.h"
#include "util.h"

#define OK VIRTIO_GPU_RESP_OK_NODATA

/* A guest whose ring is written by hand. */
struct rig {
	struct exporter e;
	struct frontend *fe;
	uint64_t request, response, table; /* a page each */
};

static void guest_start(struct rig *g) {
	g->fe = exporter_start_guest(&g->e, NULL);
	g->request = guest_alloc(g->fe, 1);
	g->response = guest_alloc(g->fe, 1);
	g->table = guest_alloc(g->fe, 8);
	check(g->table);
	gpu_header(guest_at(g->fe, g->request), VIRTIO_GPU_CMD_GET_DISPLAY_INFO, 0);
}

static void rig_start(struct rig *g) {
	exporter_start(&g->e, NULL);
	guest_start(g);
}

static void rig_stop(struct rig *g) {
	frontend_destroy(g->fe);
	exporter_check_serves(&g->e);
	exporter_stop(&g->e);
}

static struct vring_desc *desc(struct rig *g, unsigned i) {
	return &g->fe->queues[FRONTEND_CONTROL].desc[i];
}

/* Pushes a chain; 30 ms later, or when the device says something, the guest starts anew. */
static void run_and_reset(struct rig *g, uint16_t head) {
	for (int i = 0; i < 3; i++) {
		queue_push_raw(g->fe, FRONTEND_CONTROL, head);
		queue_kick_raw(g->fe, FRONTEND_CONTROL);
	}
	(void)frontend_wait(g->fe, g->fe->queues[FRONTEND_CONTROL].call_fd, 30);
	exporter_check_alive(&g->e);

	/* The reset heals: the same connection works again. */
	struct virtio_gpu_resp_display_info info;
	check_ok(frontend_reset(g->fe));
	check_ok(frontend_start(g->fe));
	check_int(gpu_get_display_info(g->fe, &info), ==, VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
}

/* The same, of a chain that must not be answered. */
static void check_broken(struct rig *g, uint16_t head) {
	const struct vring_used *used = g->fe->queues[FRONTEND_CONTROL].used;
	uint16_t before = used->idx;
	queue_push_raw(g->fe, FRONTEND_CONTROL, head);
	queue_kick_raw(g->fe, FRONTEND_CONTROL);
	sleep_ms(10);
	check_int(__atomic_load_n(&used->idx, __ATOMIC_ACQUIRE), ==, before);
	run_and_reset(g, head);
}

static const uint16_t NEXT = VRING_DESC_F_NEXT, WRITE = VRING_DESC_F_WRITE,
		      INDIRECT = VRING_DESC_F_INDIRECT;

TEST(descriptor_loops_end) {
	struct rig g;
	rig_start(&g);
	*desc(&g, 0) = (struct vring_desc){g.request, 24, NEXT, 0};
	check_broken(&g, 0);
	*desc(&g, 0) = (struct vring_desc){g.request, 24, NEXT, 1};
	*desc(&g, 1) = (struct vring_desc){g.response, 24, NEXT | WRITE, 1};
	check_broken(&g, 0);
	*desc(&g, 0) = (struct vring_desc){g.request, 24, NEXT, 1};
	*desc(&g, 1) = (struct vring_desc){g.response, 24, NEXT | WRITE, 0};
	check_broken(&g, 0);
	/* All of the ring in one circle. */
	for (unsigned i = 0; i < 64; i++) {
		*desc(&g, i) = (struct vring_desc){g.request, 24, NEXT, (uint16_t)((i + 1) % 64)};
	}
	check_broken(&g, 0);
	/* Out of the ring. */
	*desc(&g, 0) = (struct vring_desc){g.request, 24, NEXT, 64};
	check_broken(&g, 0);
	*desc(&g, 0) = (struct vring_desc){g.request, 24, NEXT, 65535};
	check_broken(&g, 0);
	check_broken(&g, 64);
	check_broken(&g, 65535);
	rig_stop(&g);
}

TEST(addresses_and_lengths_are_checked) {
	struct rig g;
	rig_start(&g);
	const uint64_t end = g.fe->ram_size;
	const struct vring_desc bad[] = {
		{g.request, 0, NEXT, 1},
		{g.request, UINT32_MAX, NEXT, 1},
		{UINT64_MAX - 8, 24, NEXT, 1},
		{UINT64_MAX, 1, NEXT, 1},
		{end - 8, 24, NEXT, 1},
		{end, 24, NEXT, 1},
		{GUEST_LOW_END - 8, 24, NEXT, 1},
		{GUEST_LOW_END, 24, NEXT, 1},
		{GUEST_MAIN_START - 8, 24, NEXT, 1},
		{UINT64_C(1) << 63, 24, NEXT, 1},
		{0, 0x80000000, NEXT, 1},
	};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		*desc(&g, 0) = bad[i];
		*desc(&g, 1) = (struct vring_desc){g.response, 408, WRITE, 0};
		check_broken(&g, 0);
		/* The same for the answer's place. */
		*desc(&g, 0) = (struct vring_desc){g.request, 24, NEXT, 1};
		*desc(&g, 1) = bad[i];
		desc(&g, 1)->flags = WRITE;
		check_broken(&g, 0);
	}
	/* Odd, but there: answered or not. */
	static const uint16_t flags[] = {
		VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 0xfff8 | VRING_DESC_F_NEXT};
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		*desc(&g, 0) = (struct vring_desc){g.request, 24, flags[i], 1};
		*desc(&g, 1) = (struct vring_desc){g.response, 408, WRITE, 0};
		run_and_reset(&g, 0);
	}
	rig_stop(&g);
}

TEST(indirect_tables_are_checked) {
	struct rig g;
	rig_start(&g);
	struct vring_desc *table = guest_at(g.fe, g.table);
	const struct vring_desc bad[] = {
		{g.table, 0, INDIRECT, 0},
		{g.table, 17, INDIRECT, 0},
		{g.table, 15, INDIRECT, 0},
		{g.table, UINT32_MAX, INDIRECT, 0},
		{g.table, 0xfffffff0, INDIRECT, 0},
		{g.table, 16 * 2048, INDIRECT, 0},
		{g.table + 1, 32, INDIRECT, 0},
		{UINT64_MAX - 15, 32, INDIRECT, 0},
		{g.fe->ram_size - 16, 32, INDIRECT, 0},
		{g.table, 32, INDIRECT | NEXT, 0},
		{g.table, 32, INDIRECT | WRITE, 0},
	};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		table[0] = (struct vring_desc){g.request, 24, NEXT, 1};
		table[1] = (struct vring_desc){g.response, 408, WRITE, 0};
		*desc(&g, 0) = bad[i];
		check_broken(&g, 0);
	}
	/* A table in a table, one that is its own entry, a loop, a step outside. */
	const struct vring_desc first[] = {
		{g.table + 64, 32, INDIRECT, 0},
		{g.table, 32, INDIRECT, 0},
		{g.request, 24, NEXT, 0},
		{g.request, 24, NEXT, 2},
	};
	for (size_t i = 0; i < ARRAY_SIZE(first); i++) {
		table[0] = first[i];
		table[4] = (struct vring_desc){g.request, 24, NEXT, 1};
		table[5] = (struct vring_desc){g.response, 408, WRITE, 0};
		*desc(&g, 0) = (struct vring_desc){g.table, 32, INDIRECT, 0};
		check_broken(&g, 0);
	}
	/* The longest chain of the tiniest pieces. */
	*desc(&g, 0) = (struct vring_desc){g.table, 16 * 1024, INDIRECT, 0};
	for (unsigned i = 0; i < 1024; i++) {
		table[i] = (struct vring_desc){g.request + i % 24, 1, NEXT, (uint16_t)(i + 1)};
	}
	table[1023].flags = WRITE;
	table[1023].addr = g.response;
	run_and_reset(&g, 0);
	rig_stop(&g);
}

TEST(available_index_may_not_run_away) {
	static const uint16_t steps[] = {65, 100, 32768, 65535};
	struct rig g;
	rig_start(&g);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		struct frontend_queue *q = &g.fe->queues[FRONTEND_CONTROL];
		q->avail_idx = (uint16_t)(q->avail_idx + steps[i] - 1);
		run_and_reset(&g, 0);
	}
	rig_stop(&g);
}

/* A good request whose answer has `n` bytes of room; returns what the used ring says. */
static uint32_t answer_into(struct rig *g, uint64_t address, uint32_t n) {
	struct frontend_queue *q = &g->fe->queues[FRONTEND_CONTROL];
	uint16_t before = q->used->idx;
	*desc(g, 40) = (struct vring_desc){g->request, 24, n > 0 ? NEXT : 0, 41};
	*desc(g, 41) = (struct vring_desc){address, n, WRITE, 0};
	queue_push_raw(g->fe, FRONTEND_CONTROL, 40);
	queue_kick_raw(g->fe, FRONTEND_CONTROL);
	for (int i = 0; i < 400; i++) {
		if (__atomic_load_n(&q->used->idx, __ATOMIC_ACQUIRE) != before) {
			return q->used->ring[before % q->size].len;
		}
		sleep_ms(5);
	}
	fail("no answer into %u bytes", n);
}

TEST(answers_never_exceed_their_room) {
	static const uint32_t rooms[] = {0, 1, 4, 23, 24, 25, 407, 408, 409};
	struct rig g;
	rig_start(&g);
	uint8_t *response = guest_at(g.fe, g.response);
	for (size_t i = 0; i < ARRAY_SIZE(rooms); i++) {
		memset(response, 0xee, GUEST_PAGE);
		uint32_t n = answer_into(&g, g.response, rooms[i]);
		check_int(n, <=, rooms[i]);
		check_int(n, ==, MIN(rooms[i], 408u));
		for (uint32_t k = n; k < GUEST_PAGE; k++) {
			check_int(response[k], ==, 0xee);
		}
	}
	/* A request that lies where its answer goes, and answers over the rings themselves. */
	(void)answer_into(&g, g.request, 408);
	gpu_header(guest_at(g.fe, g.request), VIRTIO_GPU_CMD_GET_DISPLAY_INFO, 0);
	(void)answer_into(&g, g.fe->queues[0].desc_address, 24);
	frontend_destroy(g.fe);
	guest_start(&g);
	gpu_header(guest_at(g.fe, g.request), VIRTIO_GPU_CMD_GET_DISPLAY_INFO, 0);
	*desc(&g, 0) = (struct vring_desc){g.request, 24, NEXT, 1};
	*desc(&g, 1) = (struct vring_desc){g.fe->queues[0].used_address, 408, WRITE, 0};
	run_and_reset(&g, 0);
	*desc(&g, 0) = (struct vring_desc){g.request, 24, NEXT, 1};
	*desc(&g, 1) = (struct vring_desc){g.fe->queues[0].avail_address, 134, WRITE, 0};
	run_and_reset(&g, 0);
	rig_stop(&g);
}

TEST(requests_may_be_cut_anywhere) {
	struct rig g;
	rig_start(&g);
	static const uint32_t types[] = {VIRTIO_GPU_CMD_GET_DISPLAY_INFO,
		VIRTIO_GPU_CMD_RESOURCE_CREATE_2D, VIRTIO_GPU_CMD_RESOURCE_UNREF,
		VIRTIO_GPU_CMD_SET_SCANOUT, VIRTIO_GPU_CMD_RESOURCE_FLUSH,
		VIRTIO_GPU_CMD_TRANSFER_TO_HOST_2D, VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING,
		VIRTIO_GPU_CMD_RESOURCE_DETACH_BACKING, VIRTIO_GPU_CMD_GET_EDID,
		VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB, VIRTIO_GPU_CMD_SET_SCANOUT_BLOB,
		VIRTIO_GPU_CMD_UPDATE_CURSOR, VIRTIO_GPU_CMD_MOVE_CURSOR};
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		for (size_t size = 1; size <= 128; size++) {
			uint8_t request[128] = {0}, response[1200];
			gpu_header((struct virtio_gpu_ctrl_hdr *)request, types[i], 0);
			unsigned queue = types[i] >= VIRTIO_GPU_CMD_UPDATE_CURSOR;
			int r = gpu_command(g.fe, queue, request, size, response, sizeof(response));
			check_int(r, >=, VIRTIO_GPU_RESP_OK_NODATA);
			if (size < sizeof(struct virtio_gpu_ctrl_hdr)) {
				check_int(r, >=, VIRTIO_GPU_RESP_ERR_UNSPEC);
			}
		}
	}
	rig_stop(&g);
}

TEST(cursor_queue_may_be_broken_alone) {
	struct rig g;
	rig_start(&g);
	struct frontend_queue *q = &g.fe->queues[FRONTEND_CURSOR];
	q->desc[0] = (struct vring_desc){g.request, 24, NEXT, 0};
	queue_push_raw(g.fe, FRONTEND_CURSOR, 0);
	queue_kick_raw(g.fe, FRONTEND_CURSOR);
	sleep_ms(20);
	struct virtio_gpu_resp_display_info info;
	check_int(gpu_get_display_info(g.fe, &info), ==, VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
	rig_stop(&g);
}

TEST(kicks_without_end_do_not_starve_the_session) {
	struct rig g;
	rig_start(&g);
	for (int i = 0; i < 200000; i++) {
		queue_kick_raw(g.fe, FRONTEND_CONTROL);
		queue_kick_raw(g.fe, FRONTEND_CURSOR);
	}
	check_ok(frontend_stop(g.fe));
	rig_stop(&g);
}

/* Rings, tables and pages filled with noise, driven as fast as it goes. */
TEST_TIMEOUT(noise_in_rings_and_memory, 120) {
	struct rig g;
	rig_start(&g);
	uint32_t seed = 12345;
	for (int round = 0; round < 400; round++) {
		struct frontend_queue *q = &g.fe->queues[round % 2];
		for (uint32_t i = 0; i < q->size; i++) {
			seed = seed * 1664525 + 1013904223;
			q->desc[i] = (struct vring_desc){
				seed & 0x100 ? g.request + (seed >> 20) : g.table + (seed >> 18),
				(seed >> 9) % 300, (uint16_t)(seed >> 28 & 7),
				(uint16_t)((seed >> 12) % (q->size + 1))};
		}
		uint8_t *pages[2] = {guest_at(g.fe, g.request), guest_at(g.fe, g.table)};
		for (unsigned k = 0; k < 2 * GUEST_PAGE; k++) {
			seed = seed * 1664525 + 1013904223;
			pages[k / GUEST_PAGE][k % GUEST_PAGE] = (uint8_t)(seed >> 24);
		}
		for (uint16_t i = 0; i < 8; i++) {
			seed = seed * 1664525 + 1013904223;
			queue_push_raw(g.fe, round % 2, (uint16_t)((seed >> 16) % q->size));
		}
		queue_kick_raw(g.fe, round % 2);
		sleep_ms(1);
		check_ok(frontend_reset(g.fe));
		check_ok(frontend_start(g.fe));
	}
	exporter_check_alive(&g.e);
	rig_stop(&g);
}
