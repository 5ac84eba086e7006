/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What helix-vm is going to run: the options, together with what they mean on this machine. Nothing
 * is started or made here, so a plan can be printed as well as run.
 */
#ifndef HELIX_VM_PLAN_H
#define HELIX_VM_PLAN_H

#include <limits.h>

#include "args.h"
#include "vm-options.h"

/* The kernel takes no longer command line on x86 (COMMAND_LINE_SIZE), with its NUL. */
#define CMDLINE_SIZE 2048u
/* Longest path of a directory that still leaves room for the names of sockets in it (sun_path). */
#define RUNTIME_DIR_MAX 80u

/* Names in the runtime directory. */
#define GPU_SOCKET     "gpu%u.sock"   /* vhost-user of GPU n */
#define GPU_QMP_SOCKET "qmp-gpu.sock" /* QMP for the exporter, if there is one */
#define BUS_SOCKET     "bus.sock"     /* QEMU's D-Bus display, if there are several */
#define QMP_SOCKET     "qmp.sock"     /* QMP for people and other programs */

struct plan {
	const struct vm_options *options;
	bool kvm;
	char dir[RUNTIME_DIR_MAX + 1];
	char kernel[PATH_MAX], initrd[PATH_MAX], disk[PATH_MAX]; /* "": none */
	bool disk_is_qcow2;
	char exporter[PATH_MAX];
	char mac[18];
	char cmdline[CMDLINE_SIZE]; /* "" without a kernel */
};

/* Looks around. Says what is wrong; -errno. */
int plan_init(struct plan *p, const struct vm_options *options);

/* The address at which GPU n's exporter listens, "HOST:PORT". */
void plan_listen_address(const struct plan *p, unsigned gpu, char *ret, size_t size);
/* A path in the runtime directory; `fmt` has a %u for `gpu`, or none. */
void plan_socket_path(const struct plan *p, const char *name, unsigned gpu, char ret[108]);

/*
 * QEMU serves one client of its D-Bus display peer to peer; for several there is a message bus
 * (docs/decisions/two-cards.md).
 */
bool plan_has_bus(const struct plan *p);
void plan_bus_command(const struct plan *p, struct args *ret);

/*
 * The command lines. Supervised, the sockets of vhost-user come as descriptors: the exporter has
 * its connection as 3; QEMU listens on 3 (and 4 for a second GPU), and for a control monitor on the
 * next one. Otherwise the exporter listens on a path and QEMU connects to it.
 */
#define INHERITED_FD 3
void plan_exporter_command(const struct plan *p, unsigned gpu, bool supervised, struct args *ret);
void plan_qemu_command(const struct plan *p, bool supervised, struct args *ret);

/* How a manager key gets to the guest's systemd: as a credential (systemd.system-credentials(7)). */
#define KEY_CREDENTIAL "opt/io.systemd.credentials/helix.manager-key"
/* PCI slot of GPU 0 on the root bus; the guest counts its cards in this order. */
#define GPU_PCI_SLOT 0x10u

#endif
