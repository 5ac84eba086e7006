/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command lines of plan.h. docs/operations/virtual-machine.md gives each option's reason. */
#include "plan.h"

bool plan_has_bus(const struct plan *p) {
	return p->options->gpus > 1;
}

void plan_bus_command(const struct plan *p, struct args *ret) {
	char path[108];
	plan_socket_path(p, BUS_SOCKET, 0, path);
	args_add(ret, "dbus-daemon");
	args_add(ret, "--session");
	args_add(ret, "--nofork");
	args_add(ret, "--address=unix:path=%s", path);
}

void plan_exporter_command(const struct plan *p, unsigned gpu, bool supervised, struct args *ret) {
	const struct vm_options *o = p->options;
	char address[sizeof(o->listen_host) + 16], path[108];
	args_add(ret, "%s", p->exporter);
	if (supervised) {
		args_add(ret, "--fd=%d", INHERITED_FD);
	} else {
		plan_socket_path(p, GPU_SOCKET, gpu, path);
		args_add(ret, "--socket-path=%s", path);
	}
	plan_socket_path(p, plan_has_bus(p) ? BUS_SOCKET : GPU_QMP_SOCKET, 0, path);
	args_add(ret, plan_has_bus(p) ? "--display-bus=unix:path=%s" : "--qmp=%s", path);
	args_add(ret, "--device-id=gpu%u", gpu);
	plan_listen_address(p, gpu, address, sizeof(address));
	args_add(ret, "--listen=%s", address);
	args_add(ret, "--max-outputs=%u", o->outputs);
	if (o->gl != VM_GL_OFF) {
		args_add(ret, "--gl=%s", o->gl == VM_GL_ON ? "on" : "auto");
		if (o->render_node) {
			args_add(ret, "--render-node=%s", o->render_node);
		}
	}
	if (gpu > 0) {
		args_add(ret, "--no-console");
	}
	if (o->manager_key) {
		args_add(ret, "--manager-key=%s", o->manager_key);
	}
	for (unsigned i = 0; i < o->n_export_options; i++) {
		args_add(ret, "%s", o->export_options[i]);
	}
}

static void add_machine(const struct plan *p, struct args *a) {
	const struct vm_options *o = p->options;
	args_add(a, "-name");
	args_add(a, "%s", o->name);
	args_add(a, "-nodefaults");
	args_add(a, "-no-user-config");
	if (o->net != VM_NET_BRIDGE) {
		/* Not with a bridge: its helper is a program that gains privileges. */
		args_add(a, "-sandbox");
		args_add(a,
			"on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
	}
	args_add(a, "-machine");
	args_add(a, "q35,memory-backend=mem");
	args_add(a, "-accel");
	args_add(a, p->kvm ? "kvm" : "tcg,thread=multi");
	args_add(a, "-cpu");
	args_add(a, p->kvm ? "host" : "max");
	args_add(a, "-smp");
	args_add(a, "%u", o->cpus);
	args_add(a, "-m");
	args_add(a, "%lluM", (unsigned long long)o->memory_mib);
	args_add(a, "-object");
	args_add(a, "memory-backend-memfd,id=mem,size=%lluM,share=on",
		(unsigned long long)o->memory_mib);
}

static void add_boot(const struct plan *p, struct args *a) {
	if (p->kernel[0]) {
		args_add(a, "-kernel");
		args_add(a, "%s", p->kernel);
	}
	if (p->initrd[0]) {
		args_add(a, "-initrd");
		args_add(a, "%s", p->initrd);
	}
	if (p->kernel[0]) {
		args_add(a, "-append");
		args_add(a, "%s", p->cmdline);
	}
	if (p->disk[0]) {
		bool snapshot = p->options->snapshot;
		args_add(a, "-drive");
		args_add(a, "if=none,id=disk,format=%s,discard=unmap,%sfile=",
			p->disk_is_qcow2 ? "qcow2" : "raw",
			snapshot ? "snapshot=on,cache=unsafe," : "");
		args_append_value(a, p->disk);
		args_add(a, "-device");
		args_add(a, "virtio-blk-pci,drive=disk");
	}
}

static void add_network(const struct plan *p, struct args *a) {
	const struct vm_options *o = p->options;
	if (o->net == VM_NET_NONE) {
		return;
	}
	args_add(a, "-netdev");
	if (o->net == VM_NET_BRIDGE) {
		args_add(a, "bridge,id=net,br=");
		args_append_value(a, o->bridge);
	} else {
		args_add(a, "user,id=net");
		for (unsigned i = 0; i < o->n_forwards; i++) {
			const struct vm_forward *f = &o->forwards[i];
			args_append(a, ",hostfwd=tcp:%s:%u-:%u", f->host, f->port, f->guest_port);
		}
	}
	args_add(a, "-device");
	args_add(a, "virtio-net-pci,netdev=net,mac=%s,romfile=", p->mac);
}

static void add_serial(const struct plan *p, struct args *a) {
	const struct vm_options *o = p->options;
	if (o->serial == VM_SERIAL_NONE) {
		return;
	}
	args_add(a, "-chardev");
	if (o->serial == VM_SERIAL_FILE) {
		args_add(a, "file,id=serial,path=");
		args_append_value(a, o->serial_file);
	} else {
		args_add(a, "stdio,id=serial,mux=on,signal=off");
		args_add(a, "-mon");
		args_add(a, "chardev=serial,mode=readline");
	}
	args_add(a, "-serial");
	args_add(a, "chardev:serial");
}

static void add_qmp(const struct plan *p, const char *name, struct args *a) {
	char path[108];
	plan_socket_path(p, name, 0, path);
	args_add(a, "-qmp");
	args_add(a, "unix:");
	args_append_value(a, path);
	args_append(a, ",server=on,wait=off");
}

static void add_gpus(const struct plan *p, bool supervised, struct args *a) {
	const struct vm_options *o = p->options;
	char path[108];
	args_add(a, "-vga");
	args_add(a, "none");
	args_add(a, "-display");
	if (plan_has_bus(p)) {
		plan_socket_path(p, BUS_SOCKET, 0, path);
		args_add(a, "dbus,addr=unix:path=");
		args_append_value(a, path);
	} else {
		args_add(a, "dbus,p2p=yes");
	}
	if (o->gl != VM_GL_OFF) {
		/*
		 * QEMU lets a device with 3D have only displays with GL, though it never draws with it. Any
		 * character device will do as render node: Mesa then takes its software driver.
		 */
		args_append(a, ",gl=on,rendernode=");
		args_append_value(a, o->render_node ? o->render_node : "/dev/null");
	}
	if (!plan_has_bus(p)) {
		add_qmp(p, GPU_QMP_SOCKET, a);
	}
	for (unsigned i = 0; i < o->gpus; i++) {
		args_add(a, "-chardev");
		args_add(a, "socket,id=gpu%u,", i);
		if (supervised) {
			args_append(a, "fd=%u,server=on,wait=on", INHERITED_FD + i);
		} else {
			plan_socket_path(p, GPU_SOCKET, i, path);
			args_append(a, "path=");
			args_append_value(a, path);
		}
		args_add(a, "-device");
		args_add(a,
			"vhost-user-gpu-pci,id=gpu%u,chardev=gpu%u,max_outputs=%u,bus=pcie.0,addr=0x%x",
			i, i, o->outputs, GPU_PCI_SLOT + i);
	}
}

void plan_qemu_command(const struct plan *p, bool supervised, struct args *ret) {
	const struct vm_options *o = p->options;
	args_add(ret, "%s", o->qemu);
	add_machine(p, ret);
	add_boot(p, ret);
	add_gpus(p, supervised, ret);
	add_network(p, ret);
	add_serial(p, ret);
	args_add(ret, "-device");
	args_add(ret, "virtio-rng-pci");
	if (o->manager_key) {
		args_add(ret, "-fw_cfg");
		args_add(ret, "name=" KEY_CREDENTIAL ",file=");
		args_append_value(ret, o->manager_key);
	}
	add_qmp(p, QMP_SOCKET, ret);
	if (supervised) {
		args_add(ret, "-chardev");
		args_add(ret, "socket,id=control,fd=%u,server=on,wait=off", INHERITED_FD + o->gpus);
		args_add(ret, "-mon");
		args_add(ret, "chardev=control,mode=control");
	}
}
