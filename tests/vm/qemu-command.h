/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How a test's QEMU is started: the command line for a struct vm_config. */
#ifndef HELIX_TESTS_QEMU_COMMAND_H
#define HELIX_TESTS_QEMU_COMMAND_H

#include "vm.h"

struct qemu_command {
	const char *argv[80]; /* ends with NULL */
	char text[8192];      /* what argv points into */
	size_t n, used;
};

/* `guest`: directory of the kernel, the initrd and perhaps a disk. */
void qemu_command_make(
	struct qemu_command *c, const struct vm *vm, const char *program, const char *guest);

#endif
