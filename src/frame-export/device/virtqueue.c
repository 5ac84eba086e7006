/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "util.h"
#include "virtqueue.h"

/* Guests of virtio 1.x on a little-endian host: ring fields need no swapping. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "virtio rings are little-endian");

/* Ring indices are shared with vCPUs: plain loads and stores would be data races. */
static uint16_t load_acquire(const __virtio16 *p) {
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static void store_release(__virtio16 *p, uint16_t v) {
	__atomic_store_n(p, v, __ATOMIC_RELEASE);
}

/* Virtio 1.2, 2.7.7 and 2.7.10: the two event words lie behind the rings. */
static __virtio16 *used_event(const struct virtqueue *vq) {
	return &vq->avail->ring[vq->size];
}

static __virtio16 *avail_event(const struct virtqueue *vq) {
	return (__virtio16 *)&vq->used->ring[vq->size];
}

void virtqueue_init(struct virtqueue *vq) {
	*vq = (struct virtqueue){.kick_fd = -1, .call_fd = -1};
}

void virtqueue_finish(struct virtqueue *vq) {
	(void)virtqueue_stop(vq);
	vq->kick_fd = close_fd(vq->kick_fd);
	vq->call_fd = close_fd(vq->call_fd);
}

bool virtqueue_running(const struct virtqueue *vq) {
	return vq->memory != NULL;
}

int virtqueue_start(struct virtqueue *vq, struct guest_memory *memory, uint64_t features) {
	if (vq->size == 0 || vq->size > VIRTQUEUE_MAX_SIZE || (vq->size & (vq->size - 1)) != 0) {
		return -EINVAL;
	}
	/* Alignment: virtio 1.2, 2.7. Sizes with the event words, which exist either way. */
	void *desc = guest_memory_at_user(memory, vq->desc_address, 16ull * vq->size);
	void *avail = guest_memory_at_user(memory, vq->avail_address, 6 + 2ull * vq->size);
	void *used = guest_memory_at_user(memory, vq->used_address, 6 + 8ull * vq->size);
	if (!desc || !avail || !used || (uintptr_t)desc % 16 || (uintptr_t)avail % 2 ||
		(uintptr_t)used % 4) {
		return -EINVAL;
	}
	vq->desc = desc;
	vq->avail = avail;
	vq->used = used;
	vq->memory = guest_memory_ref(memory);
	vq->event_idx = features & (UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX);
	vq->next_used = load_acquire(&vq->used->idx);
	vq->signalled_valid = false;
	vq->broken = false;
	return 0;
}

uint16_t virtqueue_stop(struct virtqueue *vq) {
	guest_memory_unref(vq->memory);
	vq->memory = NULL;
	vq->desc = NULL;
	vq->avail = NULL;
	vq->used = NULL;
	return vq->last_avail;
}

/* Appends one descriptor's memory to `ret`. */
static int add_piece(
	struct virtqueue *vq, const struct vring_desc *d, struct virtqueue_chain *ret) {
	bool writable = d->flags & VRING_DESC_F_WRITE;
	if (d->len == 0 || (!writable && ret->n_in > 0)) { /* 2.7.4.2: readable ones come first */
		return -EBADMSG;
	}
	void *p = guest_memory_at(vq->memory, d->addr, d->len);
	unsigned *n = writable ? &ret->n_in : &ret->n_out;
	if (!p || *n == VIRTQUEUE_MAX_CHAIN) {
		return -EBADMSG;
	}
	struct iovec *iov = writable ? ret->in : ret->out;
	iov[(*n)++] = (struct iovec){p, d->len};
	return 0;
}

/* Follows a chain in `table`, which has `size` entries; a loop ends when more were seen. */
static int walk(struct virtqueue *vq, const struct vring_desc *table, uint32_t size, uint32_t at,
	bool indirect, struct virtqueue_chain *ret) {
	for (uint32_t seen = 0; seen < size; seen++) {
		if (at >= size) {
			return -EBADMSG;
		}
		struct vring_desc d;
		memcpy(&d, &table[at], sizeof(d));
		if (d.flags & VRING_DESC_F_INDIRECT) {
			/* 2.7.5.3.1: not within a table, and the last of its chain. */
			if (indirect || d.flags & (VRING_DESC_F_NEXT | VRING_DESC_F_WRITE) ||
				d.len == 0 || d.len % sizeof(d) ||
				d.len / sizeof(d) > VIRTQUEUE_MAX_CHAIN) {
				return -EBADMSG;
			}
			const struct vring_desc *inner = guest_memory_at(vq->memory, d.addr, d.len);
			if (!inner || (uintptr_t)inner % 2) {
				return -EBADMSG;
			}
			return walk(vq, inner, (uint32_t)(d.len / sizeof(d)), 0, true, ret);
		}
		int r = add_piece(vq, &d, ret);
		if (r < 0) {
			return r;
		}
		if (!(d.flags & VRING_DESC_F_NEXT)) {
			return 0;
		}
		at = d.next;
	}
	return -EBADMSG;
}

int virtqueue_pop(struct virtqueue *vq, struct virtqueue_chain *ret) {
	if (!virtqueue_running(vq) || !vq->enabled) {
		return 0;
	}
	if (vq->broken) {
		return -EBADMSG;
	}
	uint16_t idx = load_acquire(&vq->avail->idx);
	if (idx == vq->last_avail) {
		return 0;
	}
	if ((uint16_t)(idx - vq->last_avail) > vq->size) {
		vq->broken = true;
		return -EBADMSG;
	}
	ret->head = __atomic_load_n(
		&vq->avail->ring[vq->last_avail & (vq->size - 1)], __ATOMIC_RELAXED);
	ret->n_out = ret->n_in = 0;
	int r = walk(vq, vq->desc, vq->size, ret->head, false, ret);
	if (r < 0) {
		vq->broken = true;
		return r;
	}
	vq->last_avail++;
	return 1;
}

bool virtqueue_enable_kicks(struct virtqueue *vq) {
	if (!virtqueue_running(vq) || vq->broken) {
		return true;
	}
	if (vq->event_idx) {
		store_release(avail_event(vq), vq->last_avail);
	} else {
		store_release(&vq->used->flags, 0);
	}
	/* 2.7.10.1: the word must be out before the index is looked at again. */
	atomic_thread_fence(memory_order_seq_cst);
	return load_acquire(&vq->avail->idx) == vq->last_avail;
}

void virtqueue_disable_kicks(struct virtqueue *vq) {
	/* With event indices the word set last already keeps the driver quiet. */
	if (virtqueue_running(vq) && !vq->event_idx) {
		store_release(&vq->used->flags, VRING_USED_F_NO_NOTIFY);
	}
}

void virtqueue_push(struct virtqueue *vq, uint16_t head, uint32_t written) {
	if (!virtqueue_running(vq)) {
		return;
	}
	vq->used->ring[vq->next_used & (vq->size - 1)] =
		(struct vring_used_elem){.id = head, .len = written};
	vq->next_used++;
	store_release(&vq->used->idx, vq->next_used);
}

void virtqueue_notify(struct virtqueue *vq) {
	if (!virtqueue_running(vq) || vq->call_fd < 0) {
		return;
	}
	/* 2.7.10.1: the used index must be out before the driver's wish is read. */
	atomic_thread_fence(memory_order_seq_cst);
	if (vq->event_idx) {
		uint16_t event = load_acquire(used_event(vq));
		bool due = !vq->signalled_valid ||
			vring_need_event(event, vq->next_used, vq->signalled);
		vq->signalled = vq->next_used;
		vq->signalled_valid = true;
		if (!due) {
			return;
		}
	} else if (load_acquire(&vq->avail->flags) & VRING_AVAIL_F_NO_INTERRUPT) {
		return;
	}
	/* An eventfd never blocks us: at the worst its counter is full, and then it is readable. */
	(void)!write(vq->call_fd, &(uint64_t){1}, sizeof(uint64_t));
}

size_t iov_size(const struct iovec *iov, unsigned n) {
	size_t size = 0;
	for (unsigned i = 0; i < n; i++) {
		size += iov[i].iov_len;
	}
	return size;
}

size_t iov_read(const struct iovec *iov, unsigned n, size_t offset, void *buf, size_t size) {
	size_t done = 0;
	for (unsigned i = 0; i < n && done < size; i++) {
		if (offset >= iov[i].iov_len) {
			offset -= iov[i].iov_len;
			continue;
		}
		size_t part = MIN(iov[i].iov_len - offset, size - done);
		memcpy((uint8_t *)buf + done, (const uint8_t *)iov[i].iov_base + offset, part);
		done += part;
		offset = 0;
	}
	return done;
}

size_t iov_write(const struct iovec *iov, unsigned n, const void *buf, size_t size) {
	size_t done = 0;
	for (unsigned i = 0; i < n && done < size; i++) {
		size_t part = MIN(iov[i].iov_len, size - done);
		memcpy(iov[i].iov_base, (const uint8_t *)buf + done, part);
		done += part;
	}
	return done;
}
