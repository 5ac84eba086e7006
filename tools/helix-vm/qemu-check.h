/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HELIX_VM_QEMU_CHECK_H
#define HELIX_VM_QEMU_CHECK_H

/*
 * Whether the program is a QEMU that can do what is needed: 8.2 or newer (7.2 refuses
 * vhost-user-gpu without KVM; 8.2 is the oldest that all here was made for), with the D-Bus display.
 * Says what is wrong; -errno.
 */
int qemu_check(const char *program);

#endif
