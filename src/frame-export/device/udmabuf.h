/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory of ours as a dmabuf, which GPUs and encoders take: /dev/udmabuf (Linux 4.20,
 * include/uapi/linux/udmabuf.h).
 */
#ifndef HELIX_DEVICE_UDMABUF_H
#define HELIX_DEVICE_UDMABUF_H

#include <stddef.h>

/* The device, or -errno. */
int udmabuf_open(void);
/*
 * A dmabuf of the first `size` bytes, whole pages, of a memfd that is sealed against shrinking and
 * not against writing. It lives on without the memfd. -errno: the kernel has a limit of its own.
 */
int udmabuf_create(int device, int memfd, size_t size);

#endif
