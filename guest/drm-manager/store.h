/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What outlives a restart: file descriptors in the service manager's store (sd_notify FDSTORE=1),
 * and records of the live leases in a memfd that is one of them. docs/protocol/lease.md, section 4,
 * has the names.
 *
 * The kernel keeps leases as long as the master's file is open; connections to holders stay open
 * likewise. So a new process goes on where the old one ended, and the old one need not have known
 * that it would end. Without a store all of this does nothing.
 */
#ifndef HELIX_DRM_MANAGER_STORE_H
#define HELIX_DRM_MANAGER_STORE_H

#include <helix/lease.h>

#include "card.h"
#include "policy.h"

#define STORE_RECORDS_MAX 64u
#define STORE_FDS_MAX     128u
#define STORE_NAME_SIZE   64u

/* One live lease. */
struct store_record {
	uint32_t scanout; /* in this process's numbering, which follows from the cards */
	uint32_t lessee;
	uint32_t connector_id;
	char card[64]; /* path */
	uint32_t width, height, refresh;
	bool extended; /* its connection speaks the extension */
	uint8_t token[LEASE_TOKEN_SIZE];
	struct peer peer;
	uint64_t since_ns; /* CLOCK_MONOTONIC */
	char name[LEASE_NAME_SIZE];
};

struct store_fd {
	int fd; /* -1: taken */
	char name[STORE_NAME_SIZE];
};

struct store {
	bool kept; /* there is a service manager that keeps what we give it */
	int state; /* memfd; -1: none */
	struct store_fd fds[STORE_FDS_MAX]; /* from the process before us */
	size_t n_fds;
};

/* Takes what the service manager passed on, which may be nothing. */
int store_open(struct store *s);
/* Closes our copies; the service manager's stay. */
void store_close(struct store *s);

/* Descriptor of that name; -1: none. The caller owns it now. */
int store_take(struct store *s, const char *name);
/* The next one whose name begins with `prefix`, the rest of the name to `ret_rest`; -1: none. */
int store_take_prefix(struct store *s, const char *prefix, char ret_rest[STORE_NAME_SIZE]);

/* Gives a copy away, to be had again under that name. */
void store_put(struct store *s, const char *name, int fd);
void store_remove(struct store *s, const char *name);

/* `index` below STORE_RECORDS_MAX; NULL clears it. */
void store_write(struct store *s, unsigned index, const struct store_record *record);
/* -ENOENT: there is none, or it is not one of ours. */
int store_read(const struct store *s, unsigned index, struct store_record *ret);

#endif
