/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A running virtual machine: its exporters, its QEMU, and what is done when one of them ends. */
#ifndef HELIX_VM_MACHINE_H
#define HELIX_VM_MACHINE_H

#include "plan.h"

/* Runs it to its end in a runtime directory that is ours. Returns the exit status for helix-vm. */
int machine_run(const struct plan *plan);

#endif
