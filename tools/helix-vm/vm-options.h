/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What helix-vm was asked for on its command line. Strings are argv's, or constants. */
#ifndef HELIX_VM_OPTIONS_H
#define HELIX_VM_OPTIONS_H

#include "options.h"
#include "util.h"

#define GPUS_MAX           2u
#define OUTPUTS_MAX        16u /* of a GPU: VIRTIO_GPU_MAX_SCANOUTS */
#define FORWARDS_MAX       32u
#define DESKTOPS_MAX       32u /* more than two cards have outputs for */
#define EXPORT_OPTIONS_MAX 32u
#define NAME_SIZE          64u /* of a VM */

enum vm_action {
	VM_RUN,
	VM_PRINT_COMMAND,
	VM_PRINT_LIBVIRT_XML,
};

enum vm_accel {
	VM_ACCEL_AUTO, /* KVM if it can be used, else TCG */
	VM_ACCEL_KVM,
	VM_ACCEL_TCG,
};

enum vm_gl {
	VM_GL_OFF,
	VM_GL_AUTO, /* the guest has 3D if the exporter finds GL */
	VM_GL_ON,
};

enum vm_net {
	VM_NET_USER,
	VM_NET_BRIDGE,
	VM_NET_NONE,
};

enum vm_serial {
	VM_SERIAL_NONE,
	VM_SERIAL_STDIO,
	VM_SERIAL_FILE,
};

struct vm_forward {
	char host[64]; /* address on this machine; "" is all of them */
	uint16_t port, guest_port;
};

struct vm_options {
	enum vm_action action;
	const char *name;
	const char *image, *kernel, *initrd, *disk; // NULL: not given
	const char *append;                         // NULL: nothing
	uint64_t memory_mib;
	uint32_t cpus, outputs, gpus;
	enum vm_accel accel;
	enum vm_gl gl;
	const char *render_node; // NULL: none

	enum vm_net net;
	const char *bridge; // NULL unless VM_NET_BRIDGE
	struct vm_forward forwards[FORWARDS_MAX];
	unsigned n_forwards;
	char listen_host[256];
	uint16_t listen_port; /* of the first exporter; the second has the next */

	const char *desktops[DESKTOPS_MAX]; /* NAME[:COMPOSITOR[:WxH[@HZ]]] */
	unsigned n_desktops;

	enum vm_serial serial;
	const char *serial_file; // NULL unless VM_SERIAL_FILE
	bool snapshot;

	const char *runtime_dir; // NULL: the usual place
	const char *exporter;    // NULL: the one beside us, or in PATH
	const char *qemu;
	const char *manager_key; // NULL: none
	const char *export_options[EXPORT_OPTIONS_MAX];
	unsigned n_export_options;
	uint32_t shutdown_timeout_s;
	int log_level;
};

enum options_result vm_options_parse(int argc, char *argv[], struct vm_options *ret);

#endif
