/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Processes that a test starts. They die with the test (PR_SET_PDEATHSIG, and its process group),
 * write to a log file each, and are waited for by descriptor, never by sleeping.
 */
#ifndef HELIX_TEST_PROCESS_H
#define HELIX_TEST_PROCESS_H

#include <sys/types.h>

#include "util.h"

struct process {
	const char *name; /* for messages; borrowed */
	pid_t pid;        /* 0: none, or already waited for */
	int pidfd;        /* -1: likewise */
	int status;       /* as waitpid gave it, once it ended */
	char log[256];    /* standard output and error */
};

/* Starts argv[0], searched for in PATH; the log is appended to. Ends the test on failure. */
void process_start(struct process *p, const char *name, const char *log, const char *const argv[]);

/* Waits for the end: its exit status, 128 + n after signal n; -ETIMEDOUT. */
int process_wait(struct process *p, unsigned timeout_ms);
bool process_alive(struct process *p);
/* Sends the signal and waits; the test fails if it does not end. Nothing to do for an ended one. */
void process_kill(struct process *p, int signal);

/* What is in the log, up to a megabyte, as a string to be freed. */
char *process_log(const struct process *p);
bool process_logged(const struct process *p, const char *text);

/* CPU time used so far, user and system, of all threads, in milliseconds. */
uint64_t process_cpu_ms(const struct process *p);

#endif
