/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A client of the DRM manager (docs/protocol/lease.md): for launchers, bridges and tools. Works
 * with this project's manager and with the one described as the reference there, which knows only
 * sizes: then everything else that was wished for is not to be had, and there is no token.
 *
 * Calls wait, for as long as they are told; they need no loop. Afterwards the lease is a file
 * descriptor, and its connection another: poll that one for POLLHUP to learn that the manager took
 * the lease back. Functions return 0 or -errno:
 *   -EREMOTEIO   the manager refused; `error` says why
 *   -EBUSY       likewise: no output is free
 *   -EOPNOTSUPP  the manager is too old for this
 *   -EBADMSG     what came was no answer
 */
#ifndef HELIX_LEASE_CLIENT_H
#define HELIX_LEASE_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include <helix/lease.h>

#define LEASE_ERROR_SIZE 160u

struct lease {
	int fd;         /* the DRM lease; -1: none (reclaimed: the holder has it) */
	int connection; /* the lease lasts as long as this is open; -1: none */
	bool extended;  /* of what follows, an older manager gives scanout and connector only */
	struct lease_ext_reply about;
};

struct lease_wish {
	const char *socket;     /* NULL: LEASE_SOCKET_DEFAULT */
	uint32_t width, height; /* 0: the manager's default */
	uint32_t refresh;       /* Hz; 0: the manager's default */
	uint32_t scanout;       /* 0: any */
	uint32_t wait_ms;       /* for an output to become free */
	unsigned timeout_ms;    /* for the answer, after that; 0: 10 s */
	const char *name;       /* may be NULL */
};

/* `error` (LEASE_ERROR_SIZE bytes, may be NULL) is set on failure. Both fds are CLOEXEC. */
int lease_acquire(const struct lease_wish *wish, struct lease *ret, char *error);
/* After the connection broke: holds the lease again, by a new one. */
int lease_reclaim(const char *socket, const uint8_t token[LEASE_TOKEN_SIZE], unsigned timeout_ms,
	struct lease *ret, char *error);
/* Closes both, which gives the lease back. Nothing to do for one that was never acquired. */
void lease_finish(struct lease *lease);

/* Of any lease whose token one has. */
int lease_resize(const char *socket, const uint8_t token[LEASE_TOKEN_SIZE], uint32_t width,
	uint32_t height, uint32_t refresh, unsigned timeout_ms, char *error);
int lease_release(const char *socket, const uint8_t token[LEASE_TOKEN_SIZE], unsigned timeout_ms,
	char *error);
/* `*ret_entries` is to be freed. */
int lease_list(const char *socket, unsigned timeout_ms, struct lease_ext_entry **ret_entries,
	size_t *ret_count, char *error);

#endif
