/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The driver's side of split virtqueues (virtio 1.2, 2.7), written from the specification. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "frontend.h"
#include "util.h"

static bool negotiated(const struct frontend *fe, unsigned bit) {
	return fe->features & FEATURE(bit);
}

static unsigned pages_for(uint64_t size) {
	return (unsigned)DIV_ROUND_UP(size, GUEST_PAGE);
}

/* The three parts on pages of their own, as Linux does it with virtio-pci. */
static void ring_pages(uint32_t size, unsigned pages[3]) {
	pages[0] = pages_for(16ull * size);
	pages[1] = pages_for(6 + 2ull * size);
	pages[2] = pages_for(6 + 8ull * size);
}

int queue_setup(struct frontend *fe, unsigned queue) {
	struct frontend_queue *q = &fe->queues[queue];
	unsigned pages[3];
	queue_forget(fe, queue);

	ring_pages(q->size, pages);
	q->desc_address = guest_alloc(fe, pages[0]);
	q->avail_address = guest_alloc(fe, pages[1]);
	q->used_address = guest_alloc(fe, pages[2]);
	q->free = calloc(q->size, sizeof(*q->free));
	q->in_flight = calloc(q->size, sizeof(struct gpu_call *));
	q->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	q->call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!q->desc_address || !q->avail_address || !q->used_address || !q->free ||
		!q->in_flight || q->kick_fd < 0 || q->call_fd < 0) {
		queue_forget(fe, queue);
		return -ENOMEM;
	}
	q->desc = guest_at(fe, q->desc_address);
	q->avail = guest_at(fe, q->avail_address);
	q->used = guest_at(fe, q->used_address);
	for (uint32_t i = 0; i < q->size; i++) {
		q->free[i] = (uint16_t)(q->size - 1 - i);
	}
	q->n_free = q->size;
	return 0;
}

void queue_forget(struct frontend *fe, unsigned queue) {
	struct frontend_queue *q = &fe->queues[queue];
	unsigned pages[3];
	ring_pages(q->size, pages);
	guest_free(fe, q->desc_address, pages[0]);
	guest_free(fe, q->avail_address, pages[1]);
	guest_free(fe, q->used_address, pages[2]);
	for (uint32_t i = 0; q->in_flight && i < q->size; i++) {
		struct gpu_call *call = q->in_flight[i];
		if (call) {
			guest_free(fe, call->memory, call->n_pages);
			call->n_pages = 0;
		}
		if (call && call->forgotten) {
			free(call);
		}
	}
	free(q->free);
	free(q->in_flight);
	(void)close_fd(q->kick_fd);
	(void)close_fd(q->call_fd);
	*q = (struct frontend_queue){.size = q->size, .kick_fd = -1, .call_fd = -1};
}

/* Cuts [address, address + size) into descriptors; counts only, if `table` is NULL. */
static unsigned describe(struct vring_desc *table, unsigned n, uint64_t address, size_t size,
	size_t split, uint16_t flags) {
	while (size > 0) {
		size_t part = split > 0 ? MIN(size, split) : size;
		if (table) {
			table[n] = (struct vring_desc){address, (uint32_t)part, flags, 0};
		}
		address += part;
		size -= part;
		n++;
	}
	return n;
}

static void put_direct(
	struct frontend_queue *q, const struct vring_desc *table, unsigned n, uint16_t *ret_head) {
	uint16_t next = 0;
	for (unsigned i = n; i-- > 0;) {
		uint16_t at = q->free[--q->n_free];
		q->desc[at] = table[i];
		if (i + 1 < n) {
			q->desc[at].flags |= VRING_DESC_F_NEXT;
			q->desc[at].next = next;
		}
		next = at;
	}
	*ret_head = next;
}

static void put_indirect(struct frontend *fe, struct frontend_queue *q,
	const struct vring_desc *table, unsigned n, uint64_t address, uint16_t *ret_head) {
	struct vring_desc *inner = guest_at(fe, address);
	for (unsigned i = 0; i < n; i++) {
		inner[i] = table[i];
		if (i + 1 < n) {
			inner[i].flags |= VRING_DESC_F_NEXT;
			inner[i].next = (uint16_t)(i + 1);
		}
	}
	*ret_head = q->free[--q->n_free];
	q->desc[*ret_head] = (struct vring_desc){
		address, (uint32_t)(n * sizeof(*table)), VRING_DESC_F_INDIRECT, 0};
}

void queue_push_raw(struct frontend *fe, unsigned queue, uint16_t head) {
	struct frontend_queue *q = &fe->queues[queue];
	q->avail->ring[q->avail_idx & (q->size - 1)] = head;
	q->avail_idx++;
	__atomic_store_n(&q->avail->idx, q->avail_idx, __ATOMIC_RELEASE);
}

void queue_kick_raw(struct frontend *fe, unsigned queue) {
	struct frontend_queue *q = &fe->queues[queue];
	q->kicked_idx = q->avail_idx;
	q->kicks++;
	(void)!write(q->kick_fd, &(uint64_t){1}, sizeof(uint64_t));
}

int gpu_submit(struct frontend *fe, unsigned queue, const void *request, size_t size,
	size_t response_size, size_t split, struct gpu_call **ret) {
	struct frontend_queue *q = &fe->queues[queue];
	/* Request, then response on a page of its own, then the indirect table. */
	unsigned n_desc = describe(NULL, 0, 0, size, split, 0);
	n_desc = describe(NULL, n_desc, 0, response_size, 0, 0);
	bool indirect = negotiated(fe, VIRTIO_RING_F_INDIRECT_DESC) && n_desc > 1;
	unsigned taken = indirect ? 1 : n_desc;
	if (n_desc == 0 || taken > q->n_free) {
		return n_desc == 0 ? -EINVAL : -ENOSPC;
	}

	unsigned request_pages = pages_for(size), response_pages = pages_for(response_size);
	unsigned table_pages = pages_for(n_desc * sizeof(struct vring_desc));
	struct gpu_call *call = calloc(1, sizeof(*call));
	CLEANUP_FREE struct vring_desc *table = calloc(n_desc, sizeof(*table));
	unsigned n_pages = request_pages + response_pages + table_pages;
	uint64_t memory = call && table ? guest_alloc(fe, n_pages) : 0;
	if (memory == 0) {
		free(call);
		return -ENOSPC;
	}
	uint64_t response_at = memory + (uint64_t)request_pages * GUEST_PAGE;
	uint64_t table_at = response_at + (uint64_t)response_pages * GUEST_PAGE;
	if (size > 0) {
		memcpy(guest_at(fe, memory), request, size);
	}
	unsigned n = describe(table, 0, memory, size, split, 0);
	n = describe(table, n, response_at, response_size, 0, VRING_DESC_F_WRITE);

	*call = (struct gpu_call){.response = guest_at(fe, response_at),
		.response_size = (uint32_t)response_size,
		.fe = fe,
		.queue = queue,
		.n_desc = taken,
		.memory = memory,
		.n_pages = n_pages,
		.submitted_ns = now_ns()};
	if (indirect) {
		put_indirect(fe, q, table, n, table_at, &call->head);
	} else {
		put_direct(q, table, n, &call->head);
	}
	q->in_flight[call->head] = call;
	q->n_in_flight++;
	queue_push_raw(fe, queue, call->head);
	*ret = call;
	return 0;
}

void gpu_kick(struct frontend *fe, unsigned queue) {
	struct frontend_queue *q = &fe->queues[queue];
	bool due;
	/* 2.7.10: the index must be out before the device's wish is read. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (negotiated(fe, VIRTIO_RING_F_EVENT_IDX)) {
		const __virtio16 *event = (const __virtio16 *)&q->used->ring[q->size];
		due = vring_need_event(
			__atomic_load_n(event, __ATOMIC_ACQUIRE), q->avail_idx, q->kicked_idx);
	} else {
		due = !(__atomic_load_n(&q->used->flags, __ATOMIC_ACQUIRE) &
			VRING_USED_F_NO_NOTIFY);
	}
	q->kicked_idx = q->avail_idx;
	if (due) {
		queue_kick_raw(fe, queue);
	}
}

static void free_chain(struct frontend_queue *q, const struct gpu_call *call) {
	uint16_t at = call->head;
	for (uint32_t i = 0; i < call->n_desc; i++) {
		uint16_t next = q->desc[at].next;
		q->free[q->n_free++] = at;
		at = next;
	}
}

int gpu_reap(struct frontend *fe, unsigned queue) {
	struct frontend_queue *q = &fe->queues[queue];
	uint16_t idx = __atomic_load_n(&q->used->idx, __ATOMIC_ACQUIRE);
	int n = 0;
	while (q->last_used != idx) {
		struct vring_used_elem e = q->used->ring[q->last_used & (q->size - 1)];
		if (e.id >= q->size || !q->in_flight[e.id]) {
			return -EBADMSG;
		}
		struct gpu_call *call = q->in_flight[e.id];
		q->in_flight[e.id] = NULL;
		q->n_in_flight--;
		free_chain(q, call);
		call->done = true;
		call->written = e.len;
		call->done_ns = now_ns();
		if (e.len > call->response_size) {
			return -EBADMSG;
		}
		q->last_used++;
		n++;
		if (call->forgotten) {
			gpu_call_destroy(call);
		}
	}
	return n;
}

/* Asks for an interrupt with the next answer. */
static void want_interrupt(struct frontend *fe, struct frontend_queue *q) {
	if (negotiated(fe, VIRTIO_RING_F_EVENT_IDX)) {
		__atomic_store_n(&q->avail->ring[q->size], q->last_used, __ATOMIC_RELEASE);
	}
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

int gpu_wait(struct gpu_call *call, unsigned timeout_ms) {
	struct frontend *fe = call->fe;
	struct frontend_queue *q = &fe->queues[call->queue];
	uint64_t deadline = now_ns() + timeout_ms * NSEC_PER_MSEC;
	while (!call->done) {
		want_interrupt(fe, q);
		int r = gpu_reap(fe, call->queue);
		if (r != 0) {
			if (r < 0) {
				return r;
			}
			continue;
		}
		int left = ms_until(deadline);
		r = left == 0 ? -ETIMEDOUT : frontend_wait(fe, q->call_fd, (unsigned)left);
		if (r == -ETIMEDOUT && gpu_reap(fe, call->queue) > 0 && call->done) {
			return -EREMOTEIO;
		}
		if (r < 0) {
			return r;
		}
		uint64_t count;
		q->interrupts += read(q->call_fd, &count, sizeof(count)) == (ssize_t)sizeof(count);
	}
	return 0;
}

void gpu_call_destroy(struct gpu_call *call) {
	if (!call) {
		return;
	}
	struct frontend_queue *q = &call->fe->queues[call->queue];
	if (call->done) {
		guest_free(call->fe, call->memory, call->n_pages);
	} else if (q->in_flight && q->in_flight[call->head] == call) {
		/* The device may still write there: gpu_reap or queue_forget frees it. */
		call->forgotten = true;
		return;
	}
	free(call);
}

int gpu_call_type(const struct gpu_call *call) {
	struct virtio_gpu_ctrl_hdr hdr;
	if (!call->done || call->written < sizeof(hdr)) {
		return -EBADMSG;
	}
	memcpy(&hdr, call->response, sizeof(hdr));
	return (int)hdr.type;
}
