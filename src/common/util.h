/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Small things every file needs: sizes, cleanup attributes, the clock. */
#ifndef HELIX_COMMON_UTIL_H
#define HELIX_COMMON_UTIL_H

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define ARRAY_SIZE(a)      (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)          ((a) < (b) ? (a) : (b))
#define MAX(a, b)          ((a) > (b) ? (a) : (b))
#define DIV_ROUND_UP(n, d) (((n) + (d)-1) / (d))
#define ALIGN_UP(n, a)     (((n) + ((a)-1)) & ~((a)-1))

/* The structure that `ptr`, its member `member`, is embedded in. */
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

#define NSEC_PER_SEC  UINT64_C(1000000000)
#define NSEC_PER_MSEC UINT64_C(1000000)
#define NSEC_PER_USEC UINT64_C(1000)

/* CLOCK_MONOTONIC in nanoseconds: the one clock of flips, presentation times and statistics. */
static inline uint64_t now_ns(void) {
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

/* Milliseconds left until `deadline_ns`, rounded up, as poll() wants them; 0 when it is past. */
static inline int ms_until(uint64_t deadline_ns) {
	uint64_t now = now_ns();
	uint64_t left = deadline_ns > now ? deadline_ns - now : 0;
	return (int)MIN(DIV_ROUND_UP(left, NSEC_PER_MSEC), INT_MAX);
}

/* Closes `fd` if it is one, keeps errno, and returns the empty value: `fd = close_fd(fd);`. */
static inline int close_fd(int fd) {
	if (fd >= 0) {
		int saved = errno;
		(void)close(fd);
		errno = saved;
	}
	return -1;
}

static inline void cleanup_close(int *fd) {
	(void)close_fd(*fd);
}

static inline void cleanup_free(void *p) {
	free(*(void **)p);
}

/* Locals that own: released when the scope ends, unless taken first. */
#define CLEANUP_CLOSE __attribute__((cleanup(cleanup_close)))
#define CLEANUP_FREE  __attribute__((cleanup(cleanup_free)))

static inline int take_fd(int *fd) {
	int taken = *fd;
	*fd = -1;
	return taken;
}

#endif
