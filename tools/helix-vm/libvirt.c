/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "libvirt.h"

/* XML 1.0, 2.4 and 3.3.3: markup, and what an attribute's value would lose. */
static void print_text(const char *text, FILE *f) {
	for (; *text; text++) {
		switch (*text) {
		case '&':
			(void)fputs("&amp;", f);
			break;
		case '<':
			(void)fputs("&lt;", f);
			break;
		case '>':
			(void)fputs("&gt;", f);
			break;
		case '\'':
			(void)fputs("&apos;", f);
			break;
		case '"':
			(void)fputs("&quot;", f);
			break;
		case '\t':
		case '\n':
			(void)fprintf(f, "&#%d;", *text);
			break;
		default:
			/* Other control characters are not allowed in any form. */
			(void)fputc((unsigned char)*text < ' ' ? '?' : *text, f);
		}
	}
}

/* An element with nothing but text in it. */
static void print_element(const char *indent, const char *name, const char *text, FILE *f) {
	(void)fprintf(f, "%s<%s>", indent, name);
	print_text(text, f);
	(void)fprintf(f, "</%s>\n", name);
}

/* libvirt's processes have another working directory. */
static void print_path(const char *path, FILE *f) {
	char *absolute = realpath(path, NULL);
	print_text(absolute ? absolute : path, f);
	free(absolute);
}

static void print_path_element(const char *indent, const char *name, const char *path, FILE *f) {
	(void)fprintf(f, "%s<%s>", indent, name);
	print_path(path, f);
	(void)fprintf(f, "</%s>\n", name);
}

/* libvirt wants a path, not a name to look for. */
static void print_emulator(const char *program, FILE *f) {
	const char *path = getenv("PATH");
	char found[PATH_MAX];
	(void)snprintf(found, sizeof(found), "%s", program);
	while (path && *path && !strchr(program, '/')) {
		size_t n = strcspn(path, ":");
		(void)snprintf(found, sizeof(found), "%.*s/%s", (int)n, path, program);
		if (access(found, X_OK) == 0) {
			break;
		}
		path += n + (path[n] == ':');
		(void)snprintf(found, sizeof(found), "/usr/bin/%s", program);
	}
	print_element("    ", "emulator", found, f);
}

static void print_os(const struct plan *p, FILE *f) {
	(void)fputs("  <os>\n    <type arch='x86_64' machine='q35'>hvm</type>\n", f);
	if (p->kernel[0]) {
		print_path_element("    ", "kernel", p->kernel, f);
	}
	if (p->initrd[0]) {
		print_path_element("    ", "initrd", p->initrd, f);
	}
	if (p->kernel[0]) {
		print_element("    ", "cmdline", p->cmdline, f);
	}
	(void)fputs("  </os>\n", f);
	if (p->options->manager_key) {
		(void)fputs(
			"  <sysinfo type='fwcfg'>\n    <entry name='" KEY_CREDENTIAL "' file='", f);
		print_path(p->options->manager_key, f);
		(void)fputs("'/>\n  </sysinfo>\n", f);
	}
	(void)fprintf(f, "  <features><acpi/></features>\n  <cpu mode='%s'/>\n",
		p->kvm ? "host-passthrough" : "maximum");
}

static void print_disk(const struct plan *p, FILE *f) {
	if (!p->disk[0]) {
		return;
	}
	(void)fprintf(f,
		"    <disk type='file' device='disk'>\n"
		"      <driver name='qemu' type='%s' discard='unmap'/>\n"
		"      <source file='",
		p->disk_is_qcow2 ? "qcow2" : "raw");
	print_path(p->disk, f);
	(void)fprintf(f, "'/>\n      <target dev='vda' bus='virtio'/>\n%s    </disk>\n",
		p->options->snapshot ? "      <transient/>\n" : "");
}

/* The user network is in qemu:commandline if ports are forwarded: libvirt's own cannot. */
static bool net_by_libvirt(const struct vm_options *o) {
	return o->net == VM_NET_BRIDGE || (o->net == VM_NET_USER && o->n_forwards == 0);
}

static void print_net(const struct plan *p, FILE *f) {
	const struct vm_options *o = p->options;
	if (!net_by_libvirt(o)) {
		return;
	}
	(void)fprintf(f, "    <interface type='%s'>\n      <mac address='%s'/>\n",
		o->net == VM_NET_BRIDGE ? "bridge" : "user", p->mac);
	if (o->net == VM_NET_BRIDGE) {
		(void)fputs("      <source bridge='", f);
		print_text(o->bridge, f);
		(void)fputs("'/>\n", f);
	}
	(void)fputs("      <model type='virtio'/>\n    </interface>\n", f);
}

static void print_serial(const struct plan *p, FILE *f) {
	const struct vm_options *o = p->options;
	if (o->serial == VM_SERIAL_FILE) {
		(void)fputs("    <serial type='file'>\n      <source path='", f);
		print_path(o->serial_file, f);
		(void)fputs("'/>\n    </serial>\n", f);
	} else if (o->serial == VM_SERIAL_STDIO) {
		(void)fputs("    <serial type='pty'/>\n", f); /* virsh console */
	}
}

static void print_devices(const struct plan *p, FILE *f) {
	(void)fputs("  <devices>\n", f);
	print_emulator(p->options->qemu, f);
	print_disk(p, f);
	print_net(p, f);
	print_serial(p, f);
	/* The D-Bus display is how exporters tell the guest of monitors that come and go. */
	(void)fputs("    <controller type='usb' model='none'/>\n    <graphics type='dbus' ", f);
	if (plan_has_bus(p)) {
		char path[108];
		plan_socket_path(p, BUS_SOCKET, 0, path);
		(void)fputs("address='unix:path=", f);
		print_text(path, f);
		(void)fputs("'/>\n", f);
	} else {
		(void)fputs("p2p='yes'/>\n", f);
	}
	(void)fputs("    <video>\n      <model type='none'/>\n    </video>\n"
		    "    <memballoon model='none'/>\n"
		    "    <rng model='virtio'>\n"
		    "      <backend model='random'>/dev/urandom</backend>\n"
		    "    </rng>\n"
		    "  </devices>\n",
		f);
}

/* What follows one of these options belongs to it. */
static bool is_passed_on(const struct plan *p, const char *option, const char *value) {
	static const char *const devices[] = {"vhost-user-gpu-pci,", "virtio-net-pci,"};
	const struct vm_options *o = p->options;
	bool own_net = o->net == VM_NET_USER && !net_by_libvirt(o);
	if (strcmp(option, "-device") == 0) {
		return strncmp(value, devices[0], strlen(devices[0])) == 0 ||
			(own_net && strncmp(value, devices[1], strlen(devices[1])) == 0);
	}
	return strcmp(option, "-qmp") == 0 || (own_net && strcmp(option, "-netdev") == 0) ||
		(strcmp(option, "-chardev") == 0 && strncmp(value, "socket,id=gpu", 13) == 0);
}

/* The very options that QEMU is started with otherwise. */
static int print_command_line(const struct plan *p, FILE *f) {
	struct args args = {0};
	plan_qemu_command(p, false, &args);
	(void)fputs("  <qemu:commandline>\n", f);
	for (size_t i = 1; i + 1 < args.n; i++) {
		if (!is_passed_on(p, args.v[i], args.v[i + 1])) {
			continue;
		}
		for (size_t k = i; k < i + 2; k++) {
			(void)fputs("    <qemu:arg value='", f);
			print_text(args.v[k], f);
			(void)fputs("'/>\n", f);
		}
	}
	(void)fputs("  </qemu:commandline>\n", f);
	int r = args.error;
	args_finish(&args);
	return r;
}

static int print_command(struct args *args, FILE *f) {
	for (size_t i = 0; i < args->n; i++) {
		(void)fputs(i == 0 ? "" : " ", f);
		print_text(args->v[i], f);
	}
	(void)fputc('\n', f);
	int r = args->error;
	args_finish(args);
	return r;
}

static int print_exporters(const struct plan *p, FILE *f) {
	struct args args = {0};
	int r = 0;
	(void)fputs(
		"  <description>Before it is started, as a user whom QEMU's may connect to, and the "
		"reverse:\n",
		f);
	if (plan_has_bus(p)) {
		plan_bus_command(p, &args);
		r = print_command(&args, f);
	}
	for (unsigned i = 0; i < p->options->gpus && r == 0; i++) {
		plan_exporter_command(p, i, false, &args);
		r = print_command(&args, f);
	}
	(void)fputs("</description>\n", f);
	return r;
}

int libvirt_print(const struct plan *p, FILE *f) {
	const struct vm_options *o = p->options;
	(void)fprintf(f,
		"<domain type='%s' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>\n"
		"  <name>%s</name>\n",
		p->kvm ? "kvm" : "qemu", o->name);
	int r = print_exporters(p, f);
	(void)fprintf(f,
		"  <memory unit='MiB'>%llu</memory>\n"
		"  <memoryBacking>\n"
		"    <source type='memfd'/>\n"
		"    <access mode='shared'/>\n"
		"  </memoryBacking>\n"
		"  <vcpu>%u</vcpu>\n",
		(unsigned long long)o->memory_mib, o->cpus);
	print_os(p, f);
	print_devices(p, f);
	if (r == 0) {
		r = print_command_line(p, f);
	}
	(void)fputs("</domain>\n", f);
	return r;
}
