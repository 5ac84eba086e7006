/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HELIX_COMMON_KVM_H
#define HELIX_COMMON_KVM_H

/*
 * Whether QEMU can run an ordinary guest with KVM here. 0; else the error of opening /dev/kvm, or
 * -ENODEV: it can be opened, but there is no VT-x or AMD-V behind it. Such a KVM (pvm, for example)
 * emulates what it was not made for, and dies of the first instruction that it does not know.
 */
int kvm_check(void);

/* What to do about it: for people, "" if nothing is known. */
const char *kvm_hint(int error);

#endif
