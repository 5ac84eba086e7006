/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/udmabuf.h>
#include <stdint.h>
#include <sys/ioctl.h>

#include "udmabuf.h"

int udmabuf_open(void) {
	int fd = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
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
