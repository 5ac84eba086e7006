/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The vhost-user session with one front end (QEMU): features, memory table, rings, reset. What QEMU
 * 10 sends and when is written down in docs/protocol/vhost-user-gpu.md.
 *
 * The messages change what the device works on: `struct vhost_ops` tells the device of the moments
 * that matter to it.
 */
#ifndef HELIX_DEVICE_VHOST_H
#define HELIX_DEVICE_VHOST_H

#include <systemd/sd-event.h>

#include "gpu.h"

struct vhost_ops {
	/* A chain may have come into the queue. */
	void (*kicked)(void *data, unsigned queue);
	/* The guest's driver is gone, or the guest was reset. */
	void (*reset)(void *data);
	/* The front end is gone, or broke the protocol. The session may be destroyed from here. */
	void (*closed)(void *data);
	void *data;
};

struct vhost;

/* Speaks on `fd` (consumed). The gpu must outlive the session. */
int vhost_create(
	sd_event *loop, int fd, struct gpu *gpu, const struct vhost_ops *ops, struct vhost **ret);
/* Stops the queues; answers what is held first. */
void vhost_destroy(struct vhost *v);

#endif
