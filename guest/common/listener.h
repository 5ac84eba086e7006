/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a manager can be asked: a Unix socket that containers mount, and how many connections may
 * be there. A lock beside the socket says whether whoever listens on it is alive.
 */
#ifndef HELIX_GUEST_LISTENER_H
#define HELIX_GUEST_LISTENER_H

#include <sys/stat.h>
#include <systemd/sd-event.h>

#include "log-rate.h"
#include "policy.h"

/* What all listeners of a manager have in common. */
struct reception {
	unsigned max_connections, max_peer_connections;
	/* How many connections there are; of a peer, or in all if that is NULL. */
	unsigned (*count)(const struct peer *peer, void *data);
	/* Serves one more; consumes `fd`, also on failure. -errno. */
	int (*connected)(int fd, const struct peer *peer, void *data);
	void *data;
	struct log_rate log_rate;
};

/* Whether a line about what some peer did may be logged: a few a second. */
bool reception_may_log(struct reception *r);
/* Logs what a peer did, as `module`, if it may be. */
void reception_log(
	struct reception *r, const char *module, const struct peer *peer, const char *what);

struct listener {
	int fd, lock_fd; /* -1: none */
	const char *path;
	struct reception *reception;
	sd_event_source *io;
	sd_event_source *timer; /* pauses accepting while we are out of descriptors */
};

/* Makes the directory and takes the lock: -EADDRINUSE if somebody has it. Keeps `path`. */
int listener_claim(struct listener *l, const char *path);
/* Then either: a new socket, instead of one that nobody listens on any more; -EEXIST for others. */
int listener_bind(struct listener *l, int type, mode_t mode);
/* Or one that listens already; consumes `fd`. -ENOENT: it is not the one at that path. */
int listener_adopt(struct listener *l, int fd);

int listener_start(struct listener *l, sd_event *loop, struct reception *reception);
/* Also of one that did not start. `keep`: somebody will listen on the socket again. */
void listener_finish(struct listener *l, bool keep);

#endif
