/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The device side of one split virtqueue (virtio 1.2, 2.7). All that it reads is in memory which the
 * guest may change at any time: each descriptor is copied once and then checked.
 */
#ifndef HELIX_DEVICE_VIRTQUEUE_H
#define HELIX_DEVICE_VIRTQUEUE_H

#include <linux/virtio_ring.h>
#include <stdbool.h>

#include "guest-memory.h"

/* Largest ring that is taken. QEMU's are 64 (2D), 256 (3D) and 16 (cursor). */
#define VIRTQUEUE_MAX_SIZE 1024u
/* Longest chain: Linux puts the page list of an 8K buffer into some 130 descriptors. */
#define VIRTQUEUE_MAX_CHAIN 1024u

struct virtqueue {
	uint32_t size;                                      /* 0: not set up */
	uint64_t desc_address, avail_address, used_address; /* of the front end */
	/* Resolved when it starts; owned by `memory`. */
	struct guest_memory *memory; // NULL unless running
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t last_avail; /* next entry of the available ring to look at */
	uint16_t next_used;  /* next entry of the used ring to fill */
	uint16_t signalled;  /* value of next_used when the driver was last notified */
	bool signalled_valid;
	bool event_idx;
	bool enabled;
	bool broken; /* the driver violated the protocol: nothing more is read until a reset */
	int kick_fd, call_fd;
};

/* A chain taken from the ring. Pieces point into guest memory. */
struct virtqueue_chain {
	uint16_t head;
	unsigned n_out, n_in;
	struct iovec out[VIRTQUEUE_MAX_CHAIN]; /* what the driver wrote for us */
	struct iovec in[VIRTQUEUE_MAX_CHAIN];  /* room for the answer */
};

void virtqueue_init(struct virtqueue *vq);
void virtqueue_finish(struct virtqueue *vq);

/* Resolves the ring in `memory` (a reference is taken). -EINVAL if it does not lie in it. */
int virtqueue_start(struct virtqueue *vq, struct guest_memory *memory, uint64_t features);
/* Forgets the ring; addresses and size stay. Returns the index that the driver goes on from. */
uint16_t virtqueue_stop(struct virtqueue *vq);
bool virtqueue_running(const struct virtqueue *vq);

/* 1 and a chain, 0 if there is none, -EBADMSG if the ring is broken (from then on always). */
int virtqueue_pop(struct virtqueue *vq, struct virtqueue_chain *ret);
/*
 * Asks for a kick with the next chain. Returns false if chains came meanwhile: pop again.
 * virtqueue_disable_kicks asks for none, as far as the driver heeds it.
 */
bool virtqueue_enable_kicks(struct virtqueue *vq);
void virtqueue_disable_kicks(struct virtqueue *vq);

/* Returns a chain with `written` bytes of answer. */
void virtqueue_push(struct virtqueue *vq, uint16_t head, uint32_t written);
/* Raises the driver's interrupt, unless it asked for none. */
void virtqueue_notify(struct virtqueue *vq);

size_t iov_size(const struct iovec *iov, unsigned n);
/* Copies up to `size` bytes from `offset` on; returns how many. */
size_t iov_read(const struct iovec *iov, unsigned n, size_t offset, void *buf, size_t size);
size_t iov_write(const struct iovec *iov, unsigned n, const void *buf, size_t size);

#endif
