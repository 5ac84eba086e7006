/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HELIX_VM_LIBVIRT_H
#define HELIX_VM_LIBVIRT_H

#include "plan.h"

/*
 * The VM as a libvirt domain. What libvirt has no element for is in qemu:commandline: the GPUs,
 * since libvirt would start an exporter of its own, without QMP and without an address to listen
 * on; QMP for the exporters; and forwarded ports. The exporters are run beside it.
 */
int libvirt_print(const struct plan *p, FILE *f);

#endif
