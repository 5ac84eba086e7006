/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>

#include "fake-udmabuf.h"
#include "test.h"
#include "udmabuf.h"

bool fake_udmabuf_there = true, fake_udmabuf_works = true;
unsigned fake_udmabuf_writing;

int __wrap_udmabuf_open(void);
int __wrap_udmabuf_create(int device, int memfd, size_t size);
void __wrap_udmabuf_begin_write(int dmabuf);
void __wrap_udmabuf_end_write(int dmabuf);

int __wrap_udmabuf_open(void) {
	return fake_udmabuf_there ? open("/dev/null", O_RDWR | O_CLOEXEC) : -ENOENT;
}

int __wrap_udmabuf_create(int device, int memfd, size_t size) {
	check(device >= 0 && size % 4096 == 0);
	return fake_udmabuf_works ? fcntl(memfd, F_DUPFD_CLOEXEC, 0) : -EINVAL;
}

void __wrap_udmabuf_begin_write(int dmabuf) {
	check(dmabuf >= 0 && fake_udmabuf_writing++ == 0);
}

void __wrap_udmabuf_end_write(int dmabuf) {
	check(dmabuf >= 0 && fake_udmabuf_writing-- == 1);
}
