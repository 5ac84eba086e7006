/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A command line that grows. Running out of memory is remembered, so that only the end need look:
 * args_finish() is always due, and `error` tells whether the list is whole.
 */
#ifndef HELIX_VM_ARGS_H
#define HELIX_VM_ARGS_H

#include <stdio.h>

#include "util.h"

struct args {
	char **v; /* ends with NULL once there is one; owned */
	size_t n, size;
	int error; /* 0 or -ENOMEM */
};

/* Another argument. */
void args_add(struct args *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* More of the last one. */
void args_append(struct args *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* More of the last one, as a value among QEMU's comma-separated ones: commas are doubled. */
void args_append_value(struct args *a, const char *value);
void args_finish(struct args *a);

/* As a POSIX shell takes it, with a line for each option. */
void args_print_shell(const struct args *a, FILE *f);
void print_shell_word(const char *word, FILE *f);

#endif
