/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For programs that take a DRM card only by its path, such as kmscube and glmark2: loaded with
 * LD_PRELOAD, it gives them the lease in the descriptor that LEASE_FD names whenever they open
 * /dev/dri/card…. The path of the descriptor itself (/proc/self/fd/3) does not serve: opening that
 * opens the card anew, without the lease.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define CARDS "/dev/dri/card"

#define EXPORT __attribute__((visibility("default")))

/* glibc declares them differently under _FORTIFY_SOURCE and with large files. */
EXPORT int lease_open(const char *path, int flags, ...) __asm__("open");
EXPORT int lease_open64(const char *path, int flags, ...) __asm__("open64");

static int open_lease(const char *path, int flags, mode_t mode) {
	const char *fd = getenv("LEASE_FD");
	if (fd && strncmp(path, CARDS, strlen(CARDS)) == 0) {
		return fcntl((int)strtol(fd, NULL, 10), F_DUPFD_CLOEXEC, 0);
	}
	return openat(AT_FDCWD, path, flags, mode);
}

static mode_t mode_of(int flags, va_list args) {
	return flags & (O_CREAT | __O_TMPFILE) ? va_arg(args, mode_t) : 0;
}

int lease_open(const char *path, int flags, ...) {
	va_list args;
	va_start(args, flags);
	mode_t mode = mode_of(flags, args);
	va_end(args);
	return open_lease(path, flags, mode);
}

int lease_open64(const char *path, int flags, ...) {
	va_list args;
	va_start(args, flags);
	mode_t mode = mode_of(flags, args);
	va_end(args);
	return open_lease(path, flags, mode);
}
