/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The virtio-gpu device behind its rings: commands in chains of all shapes, and writes to any place
 * of guest memory, rings included. Checked besides what sanitizers see: each well-formed chain is
 * answered exactly once, and never with more than it has room for.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "gpu-stub.h"
#include "log.h"
#include "script.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/*
 * The first byte of the input: bit 0: INDIRECT_DESC, bit 1: EVENT_IDX, bits 2-3: scanouts have
 * captures. Then a script:
 *   0x00 … 0x7f  a command. Bit 0: the cursor queue; bits 1-2: size of its pieces; bit 3: in an
 *                indirect table; bits 4-6: room for the answer. Then u16 size, bytes.
 *   0x80         u24 offset, u16 size, bytes into guest memory
 *   0x81         u16: a descriptor, any, onto the ring of the control queue
 *   0x82         reset
 *   0x83         all waits are over
 *   0x84         stop and start the queues
 *   0x85         u16 pushed at once onto the available index
 *   0x86         u8: a reader takes what that scanout shows, as an encoder's thread does
 *   0x87         the reader reads all of it and is done
 */
enum {
	OP_COMMAND_LAST = 0x7f,
	OP_MEMORY,
	OP_RAW_HEAD,
	OP_RESET,
	OP_EXPIRE,
	OP_RESTART,
	OP_RUN_AWAY,
	OP_READER,
	OP_READ,
};

/* Guest memory: two regions of one file with a hole between. Rings and chains are in the first. */
#define LOW_SIZE    0x20000u
#define HIGH_AT     0x100000u
#define HIGH_SIZE   0x20000u
#define FILE_SIZE   (LOW_SIZE + HIGH_SIZE)
#define USER_AT     0x7000000000u
#define RING_SIZE   64u
#define RING_STRIDE 0x2000u /* of one queue: descriptors, then available, then used */
#define AVAIL_AT    0x1000u
#define USED_AT     0x1800u
#define REQUEST_AT  0x8000u
#define REQUEST_MAX 0x2000u
#define RESPONSE_AT 0xa000u
#define TABLE_AT    0xc000u
#define TABLE_MAX   1024u

static struct {
	struct gpu gpu;
	struct guest_memory *memory;
	uint8_t *base;
	int fd;
	int call_fd;
	struct capture *captures[SCANOUTS_MAX];
	uint64_t features;
	struct surface *reading; // may be NULL
	bool trusted;            /* nothing wrote to the rings but push_command */
} f;

/* Nobody watches: captures hold what is shown, but have no threads. */
static void create_captures(void) {
	for (uint32_t i = 0; i < SCANOUTS_MAX; i++) {
		struct capture_config config = {
			.scanout_id = i, .encoder = encoder_by_name("x264")};
		if (capture_create(&config, &f.captures[i]) < 0) {
			abort();
		}
	}
}

static void init_once(void) {
	if (f.base) {
		return;
	}
	log_set_level(LOG_LEVEL_ERROR - 1);
	f.fd = memfd_create("memory", MFD_CLOEXEC);
	f.call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct vhost_user_memory_region regions[2] = {
		{0, LOW_SIZE, USER_AT, 0}, {HIGH_AT, HIGH_SIZE, USER_AT + LOW_SIZE, LOW_SIZE}};
	int fds[2] = {fcntl(f.fd, F_DUPFD_CLOEXEC, 3), fcntl(f.fd, F_DUPFD_CLOEXEC, 3)};
	if (f.fd < 0 || ftruncate(f.fd, FILE_SIZE) < 0) {
		abort();
	}
	f.base = mmap(NULL, FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, f.fd, 0);
	if (f.base == MAP_FAILED || guest_memory_create(regions, fds, 2, &f.memory) < 0) {
		abort();
	}
	create_captures();
}

static struct vring_desc *descriptors(unsigned queue) {
	return (struct vring_desc *)(f.base + (size_t)queue * RING_STRIDE);
}

static struct vring_avail *available(unsigned queue) {
	return (struct vring_avail *)(f.base + (size_t)queue * RING_STRIDE + AVAIL_AT);
}

static struct vring_used *used(unsigned queue) {
	return (struct vring_used *)(f.base + (size_t)queue * RING_STRIDE + USED_AT);
}

static void start_queues(void) {
	for (unsigned i = 0; i < GPU_N_QUEUES; i++) {
		struct virtqueue *vq = &f.gpu.queues[i];
		vq->size = RING_SIZE;
		vq->desc_address = USER_AT + (uint64_t)i * RING_STRIDE;
		vq->avail_address = vq->desc_address + AVAIL_AT;
		vq->used_address = vq->desc_address + USED_AT;
		vq->call_fd = f.call_fd;
		vq->enabled = true;
		if (virtqueue_start(vq, f.memory, f.features) < 0) {
			abort();
		}
	}
}

static void stop_queues(void) {
	gpu_flush_requests(&f.gpu);
	for (unsigned i = 0; i < GPU_N_QUEUES; i++) {
		(void)virtqueue_stop(&f.gpu.queues[i]);
		f.gpu.queues[i].call_fd = -1;
	}
}

/* All that may be held is answered, and nothing is owed. */
static void check_all_answered(void) {
	(void)gpu_expire(&f.gpu, UINT64_MAX - 1);
	gpu_reap(&f.gpu);
	if (!list_empty(&f.gpu.requests)) {
		abort();
	}
	for (unsigned i = 0; f.trusted && i < GPU_N_QUEUES; i++) {
		if (used(i)->idx != available(i)->idx) {
			abort();
		}
	}
}

static void push(unsigned queue, uint16_t head) {
	struct vring_avail *a = available(queue);
	a->ring[a->idx % RING_SIZE] = head;
	a->idx++;
	(void)gpu_process_queue(&f.gpu, queue);
}

/* Describes `size` bytes from `address` in pieces; returns the number of entries so far. */
static unsigned cut(struct vring_desc *table, unsigned n, unsigned max, uint64_t address,
	size_t size, size_t piece, uint16_t flags) {
	while (size > 0 && n < max) {
		/* The last there may be takes all. */
		size_t part = n + 2 >= max ? size : MIN(piece, size);
		table[n] = (struct vring_desc){
			address, (uint32_t)part, flags | VRING_DESC_F_NEXT, (uint16_t)(n + 1)};
		address += part;
		size -= part;
		n++;
	}
	return n;
}

static void push_command(struct script *s, uint32_t how) {
	static const size_t pieces[4] = {SIZE_MAX, 1, 7, 24};
	static const uint32_t rooms[8] = {24, 408, 1200, 0, 1, 23, 4096, 25};
	unsigned queue = how & 1;
	uint32_t room = rooms[how >> 4 & 7];
	size_t size = take(s, 2);
	const uint8_t *p = take_bytes(s, MIN(size, REQUEST_MAX), &size);
	memcpy(f.base + REQUEST_AT, p, size);

	bool indirect = how & 8;
	unsigned max = indirect ? TABLE_MAX : RING_SIZE;
	struct vring_desc *table =
		indirect ? (struct vring_desc *)(f.base + TABLE_AT) : descriptors(queue);
	unsigned n = cut(table, 0, max - 1, REQUEST_AT, size, pieces[how >> 1 & 3], 0);
	n = cut(table, n, max, RESPONSE_AT, room, pieces[how >> 1 & 3], VRING_DESC_F_WRITE);
	if (n == 0) {
		return;
	}
	table[n - 1].flags &= (uint16_t)~VRING_DESC_F_NEXT;
	if (indirect) {
		descriptors(queue)[0] = (struct vring_desc){
			TABLE_AT, (uint32_t)(n * sizeof(*table)), VRING_DESC_F_INDIRECT, 0};
	}
	push(queue, 0);
	check_all_answered();
	uint16_t last = (uint16_t)(used(queue)->idx - 1);
	if (f.trusted && used(queue)->ring[last % RING_SIZE].len > room) {
		abort();
	}
}

static void start_reader(uint32_t scanout) {
	struct resource *r = f.gpu.scanouts[scanout % SCANOUTS_MAX].resource;
	if (!f.reading && r && r->surface) {
		f.reading = surface_ref(r->surface);
	}
}

/* Whatever became of the resource meanwhile: the pages must still be there. */
static void read_and_release(void) {
	static volatile uint8_t sum;
	static uint8_t scratch[SURFACE_BYTES_PER_PIXEL * RESOURCE_MAX_SIDE];
	struct surface *s = f.reading;
	if (!s) {
		return;
	}
	struct rect row = {0, 0, s->width, 1};
	for (row.y = 0; row.y < s->height && row.y < 512; row.y++) {
		uint32_t stride;
		const uint8_t *p = surface_rows(s, &row, scratch, &stride);
		for (uint32_t i = 0; i < SURFACE_BYTES_PER_PIXEL * s->width; i += 64) {
			sum = (uint8_t)(sum + p[i]);
		}
	}
	f.reading = NULL;
	surface_unref(s);
	gpu_reap(&f.gpu);
}

static void run_op(struct script *s) {
	uint32_t op = take(s, 1);
	size_t size, offset;
	const uint8_t *p;
	if (op <= OP_COMMAND_LAST) {
		push_command(s, op);
		return;
	}
	switch (op) {
	case OP_MEMORY:
		offset = take(s, 3) % FILE_SIZE;
		p = take_bytes(s, take(s, 2), &size);
		memcpy(f.base + offset, p, MIN(size, FILE_SIZE - offset));
		f.trusted = f.trusted && offset >= REQUEST_AT;
		break;
	case OP_RAW_HEAD:
		f.trusted = false;
		push(GPU_QUEUE_CONTROL, (uint16_t)take(s, 2));
		break;
	case OP_RESET:
		gpu_flush_requests(&f.gpu);
		gpu_reset(&f.gpu);
		break;
	case OP_RESTART:
		stop_queues();
		start_queues();
		break;
	case OP_RUN_AWAY:
		f.trusted = false;
		available(GPU_QUEUE_CONTROL)->idx += (uint16_t)take(s, 2);
		(void)gpu_process_queue(&f.gpu, GPU_QUEUE_CONTROL);
		break;
	case OP_READER:
		start_reader(take(s, 1));
		break;
	case OP_READ:
		read_and_release();
		break;
	default:
		break;
	}
	check_all_answered();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct script s = {data, data + size};
	init_once();
	memset(f.base, 0, FILE_SIZE);
	uint32_t flags = take(&s, 1);
	f.features = (flags & 1 ? UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC : 0) |
		(flags & 2 ? UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX : 0);
	f.trusted = true;
	struct gpu_config config = {.n_scanouts = 1 + (flags >> 4),
		.memory_budget = 1 << 20,
		.captures = flags & 0xc ? f.captures : NULL,
		.ops = gpu_stub_ops};
	if (gpu_init(&f.gpu, &config) < 0) {
		abort();
	}
	start_queues();
	while (s.p < s.end) {
		run_op(&s);
	}
	/* A reader may outlive all but the device itself. */
	stop_queues();
	gpu_reset(&f.gpu);
	read_and_release();
	gpu_finish(&f.gpu);
	return 0;
}
