/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Child processes. Each runs in a session and process group of its own, so that it can be ended
 * with all that it started; it gets the descriptors it is told and no other, no blocked signal, and
 * SIGTERM when the launcher dies.
 */
#ifndef HELIX_LAUNCHER_PROCESS_H
#define HELIX_LAUNCHER_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define PROCESS_FDS_MAX 4u

/* `fd` of ours becomes `as` (3 or more) of the child's. */
struct process_fd {
	int fd, as;
};

struct process_spec {
	const char *path;   /* of the program; no search */
	char *const *argv;  /* ends with NULL */
	const char *env[4]; /* "NAME=value" besides our own environment; ends with NULL */
	struct process_fd fds[PROCESS_FDS_MAX];
	size_t n_fds;
};

/* Returns once the program runs, so an error of exec is returned too. */
int process_start(const struct process_spec *spec, pid_t *ret_pid);

/* To the whole group of the process, as long as anything of it is there. */
void process_signal(pid_t pid, int signal);

/*
 * The next child that has ended, without taking it away: its group can still be signalled. -ECHILD:
 * there are no children; 0: none has ended. The status is as a shell says it: 128 and more for
 * signals.
 */
pid_t process_ended(int *ret_status);
void process_reap(pid_t pid);

/* Signals all children that are left, also those that were left to us by others. */
void process_signal_all(int signal);

/* Makes descriptors that we were started with stay ours. */
void process_close_on_exec(void);

/*
 * Where a program is: `name` itself, if it has a slash; else beside our own program, in PATH, and in
 * the usual places of daemons. -ENOENT; -ENAMETOOLONG.
 */
int process_find(const char *name, char *ret, size_t size);

#endif
