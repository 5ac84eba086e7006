/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keeps a lease: takes it, notices when its connection breaks, claims it again from a manager that
 * was restarted, and takes another one when the old one is gone.
 *
 * The lease client waits for its answers; so each question runs in a thread of its own, one at a
 * time, and the loop goes on. (A child process would do as well, but the manager shows and checks
 * who holds a lease by the process that connected.)
 */
#ifndef HELIX_LAUNCHER_KEEPER_H
#define HELIX_LAUNCHER_KEEPER_H

#include <systemd/sd-event.h>

#include <helix/lease-client.h>

enum keeper_event {
	KEEPER_ACQUIRED,  /* the first lease is there */
	KEEPER_RECLAIMED, /* after a break of the connection: it is the same lease */
	KEEPER_REVOKED,   /* the lease is gone; another one is being asked for */
	KEEPER_REPLACED,  /* the other one is there */
	KEEPER_FAILED,    /* there is no lease and there will be none; `text` says why */
};

struct keeper;
/* `text` is meant for people and lasts as long as the call. */
typedef void (*keeper_func)(enum keeper_event event, const char *text, void *data);
/* `text`: why not; empty if `r` is 0. */
typedef void (*keeper_resized_func)(int r, const char *text, void *data);

/* `wish` is copied, its strings are borrowed. */
int keeper_create(sd_event *loop, const struct lease_wish *wish, keeper_func handle, void *data,
	struct keeper **ret);
/* Gives the lease back. */
void keeper_destroy(struct keeper *k);

/* Begins; ends with KEEPER_ACQUIRED or KEEPER_FAILED. */
int keeper_start(struct keeper *k);

/* Valid between ACQUIRED and destroy; its fd is -1 between REVOKED and REPLACED. */
const struct lease *keeper_lease(const struct keeper *k);

/*
 * Asks for another size, 0 Hz for the present rate. -EBUSY: a resize is under way; -EOPNOTSUPP: an
 * older manager; -ENOTCONN: there is no lease now.
 */
int keeper_resize(struct keeper *k, uint32_t width, uint32_t height, uint32_t refresh,
	keeper_resized_func done, void *data);
/* Forgets whom to tell; the resize itself goes on. */
void keeper_forget_resize(struct keeper *k, const void *data);

#endif
