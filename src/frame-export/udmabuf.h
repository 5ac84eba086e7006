/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory of ours as a dmabuf, which GPUs and encoders take: /dev/udmabuf (Linux 4.20,
 * include/uapi/linux/udmabuf.h).
 */
#ifndef HELIX_FRAME_EXPORT_UDMABUF_H
#define HELIX_FRAME_EXPORT_UDMABUF_H

#include <stddef.h>

/* The device, or -errno. */
int udmabuf_open(void);
/* A memfd of whole pages that the device takes; mapping it is the caller's. -errno. */
int udmabuf_memory(size_t size);
/*
 * A dmabuf of the first `size` bytes, whole pages, of a memfd that is sealed against shrinking and
 * not against writing. It lives on without the memfd. -errno: the kernel has a limit of its own.
 */
int udmabuf_create(int device, int memfd, size_t size);
/*
 * Around what CPUs write into the memory: what devices still read of it is waited for, and they see all
 * that was written (linux/dma-buf.h, DMA_BUF_IOCTL_SYNC).
 */
void udmabuf_begin_write(int dmabuf);
void udmabuf_end_write(int dmabuf);

#endif
