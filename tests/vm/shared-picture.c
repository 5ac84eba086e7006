/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether the pictures that an encoder is to import are dmabufs of the real /dev/udmabuf, with what was
 * written into them. Prints what is wrong, and exits with 1 then.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "picture.h"
#include "util.h"

static _Noreturn void die(const char *what) {
	(void)fprintf(stderr, "shared-picture: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* A dmabuf, and no memfd: those have a name. */
static void check_kind(int fd) {
	char path[64], target[64];
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(path, target, sizeof(target) - 1);
	target[MAX(n, 0)] = '\0';
	if (!strstr(target, "dmabuf")) {
		die(target);
	}
}

static void check_picture(uint32_t width, uint32_t height) {
	struct picture *p = picture_create_shared(width, height);
	const struct gpu_picture *gpu = p ? picture_dmabuf(p) : NULL;
	if (!gpu) {
		die("/dev/udmabuf");
	}
	check_kind(gpu->dmabuf);
	const uint8_t *map = mmap(NULL, gpu->size, PROT_READ, MAP_SHARED, gpu->dmabuf, 0);
	if (map == MAP_FAILED) {
		die("mmap");
	}
	size_t luma = (size_t)p->stride * p->mb_height * MB_SIZE;
	picture_begin_write(p);
	for (size_t i = 0; i < luma; i++) {
		p->y[i] = (uint8_t)(i * 2654435761u >> 24);
	}
	for (size_t i = 0; i < luma / 2; i++) {
		p->uv[i] = (uint8_t)(i * 2246822519u >> 24);
	}
	picture_end_write(p);
	if (memcmp(map, p->y, luma) != 0 || memcmp(map + gpu->chroma, p->uv, luma / 2) != 0) {
		die("not what was written");
	}
	(void)munmap((void *)(uintptr_t)map, gpu->size);
	picture_destroy(p);
}

int main(void) {
	for (unsigned i = 0; i < 64; i++) {
		check_picture(
			1920, 1080); /* no memory or descriptors are left, else it ends here */
	}
	check_picture(16, 16);
	check_picture(1366, 768);
	return 0;
}
