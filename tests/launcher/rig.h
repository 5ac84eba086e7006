/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A launcher between a DRM manager that does what the test says and programs that stand for those of
 * a desktop (fake-program.c). Everything is in a directory of its own.
 */
#ifndef HELIX_TESTS_LAUNCHER_RIG_H
#define HELIX_TESTS_LAUNCHER_RIG_H

#include <stdbool.h>
#include <sys/types.h>

#include "fake-manager.h"

struct rig {
	char dir[40], runtime[64], log[64], output[64];
	struct fake_manager manager;
	pid_t launcher; /* 0: none */
	bool as_init;   /* it is to be process 1, of a namespace of its own */
};

void rig_init(struct rig *r);
void rig_finish(struct rig *r);

/* Starts it with these arguments, and those that every test needs. */
void rig_start(struct rig *r, const char *const args[]);
/* Its exit status; fails the test after `ms`. */
int rig_wait(struct rig *r, unsigned ms);
void rig_signal(struct rig *r, int signal);

/* How a program misbehaves (fake-program.c); NULL: no more. */
void rig_does(struct rig *r, const char *program, const char *what);
/* Not installed. */
void rig_remove_program(struct rig *r, const char *program);
/* What the kernel says of the lease (fake-lease-probe.c). */
void rig_lease(struct rig *r, const char *facts);

/* How many lines of what programs did begin so. */
unsigned rig_count(const struct rig *r, const char *line);
/* Waits until there are so many; fails after 10 s, with the launcher's output. */
void rig_await(const struct rig *r, const char *line, unsigned count);
/* The place of the first such line, from 1; 0: there is none. */
unsigned rig_place(const struct rig *r, const char *line);
/* The number in the last line "PROGRAM what N"; 0: there is none. */
unsigned rig_number(const struct rig *r, const char *line);
/* What the launcher said. */
bool rig_said(const struct rig *r, const char *text);
void rig_await_said(const struct rig *r, const char *text);
_Noreturn void rig_fail(const struct rig *r, const char *what);

/* A file in the runtime directory; "" if there is none. To be freed. */
char *rig_file(const struct rig *r, const char *name);
bool rig_has(const struct rig *r, const char *path_in_dir);
/* One line to its control socket; the answer, to be freed. */
char *rig_ask(const struct rig *r, const char *line);

#endif
