/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/udmabuf.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "udmabuf.h"
#include "util.h"

int udmabuf_open(void) {
	int fd = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int udmabuf_memory(size_t size) {
	CLEANUP_CLOSE int fd = memfd_create("helix-pixels", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || ftruncate(fd, (off_t)size) < 0 ||
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0) {
		return -errno;
	}
	return take_fd(&fd);
}

int udmabuf_create(int device, int memfd, size_t size) {
	struct udmabuf_create c = {
		.memfd = (uint32_t)memfd,
		.flags = UDMABUF_FLAGS_CLOEXEC,
		.size = size,
	};
	int fd = ioctl(device, UDMABUF_CREATE, &c);
	return fd < 0 ? -errno : fd;
}

static void sync_cpu(int dmabuf, uint64_t flags) {
	struct dma_buf_sync sync = {.flags = flags};
	while (ioctl(dmabuf, DMA_BUF_IOCTL_SYNC, &sync) < 0 &&
		(errno == EINTR || errno == EAGAIN)) {
	}
}

void udmabuf_begin_write(int dmabuf) {
	sync_cpu(dmabuf, DMA_BUF_SYNC_START | DMA_BUF_SYNC_WRITE);
}

void udmabuf_end_write(int dmabuf) {
	sync_cpu(dmabuf, DMA_BUF_SYNC_END | DMA_BUF_SYNC_WRITE);
}
