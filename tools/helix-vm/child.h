/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A program that we run: it dies with us (PR_SET_PDEATHSIG), and its end is an event. The process
 * must be single-threaded and have SIGCHLD blocked.
 */
#ifndef HELIX_VM_CHILD_H
#define HELIX_VM_CHILD_H

#include <sys/types.h>
#include <systemd/sd-event.h>

#include "util.h"

#define CHILD_FDS_MAX 4u

struct child {
	pid_t pid; // 0: not running
	sd_event_source *source;
	/* `status`: as a shell has it, 128 + n after signal n. The child may be started anew. */
	void (*ended)(int status, void *data);
	void *data;
};

struct child_config {
	char *const *argv; // argv[0] is searched for in PATH
	const int *fds;    // become 3, 4, …; borrowed
	unsigned n_fds;
	const char *notify_socket; // NULL: it has nobody to notify
	bool foreground;           // keeps the terminal and its process group
};

/* `ended` and `data` are set by the caller. */
int child_start(struct child *c, sd_event *loop, const struct child_config *config);
/* Nothing to do if it is not running. */
void child_signal(const struct child *c, int signal);
/* Forgets the child, which goes on. */
void child_finish(struct child *c);

#endif
