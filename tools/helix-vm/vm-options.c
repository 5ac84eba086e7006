/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include <helix/hxfr.h>

#include "log.h"
#include "parse.h"
#include "vm-options.h"

static int set_string(const char *value, const char **ret) {
	*ret = value;
	return value[0] ? 0 : -EINVAL;
}

#define STRING_OPTION(name)                                                   \
	static int set_##name(const char *value, void *data) {                \
		return set_string(value, &((struct vm_options *)data)->name); \
	}

STRING_OPTION(image)
STRING_OPTION(kernel)
STRING_OPTION(initrd)
STRING_OPTION(disk)
STRING_OPTION(append)
STRING_OPTION(runtime_dir)
STRING_OPTION(exporter)
STRING_OPTION(qemu)
STRING_OPTION(manager_key)
STRING_OPTION(render_node)

/* Letters, digits and dashes, as in host names, and not a dash first: also fit for a path. */
static bool is_name(const char *s, size_t n) {
	if (n == 0 || n >= NAME_SIZE || s[0] == '-') {
		return false;
	}
	for (size_t i = 0; i < n; i++) {
		if (!isalnum((unsigned char)s[i]) && s[i] != '-') {
			return false;
		}
	}
	return true;
}

static int set_name(const char *value, void *data) {
	((struct vm_options *)data)->name = value;
	return is_name(value, strlen(value)) ? 0 : -EINVAL;
}

/* MiB, or with M or G behind it. */
static int set_memory(const char *value, void *data) {
	char text[32];
	uint64_t number, unit = 1;
	size_t n = strlen(value);
	if (n == 0 || n >= sizeof(text)) {
		return -EINVAL;
	}
	memcpy(text, value, n + 1);
	if (text[n - 1] == 'M' || text[n - 1] == 'G') {
		unit = text[n - 1] == 'G' ? 1024 : 1;
		text[n - 1] = '\0';
	}
	int r = parse_u64(text, 1, UINT64_C(16) << 20, &number);
	if (r < 0) {
		return r;
	}
	((struct vm_options *)data)->memory_mib = number * unit;
	return number * unit < 128 ? -ERANGE : 0;
}

static int set_cpus(const char *value, void *data) {
	return parse_u32(value, 1, 255, &((struct vm_options *)data)->cpus);
}

static int set_outputs(const char *value, void *data) {
	return parse_u32(value, 1, OUTPUTS_MAX, &((struct vm_options *)data)->outputs);
}

static int set_gpus(const char *value, void *data) {
	return parse_u32(value, 1, GPUS_MAX, &((struct vm_options *)data)->gpus);
}

static int set_accel(const char *value, void *data) {
	static const char *const names[] = {
		[VM_ACCEL_AUTO] = "auto", [VM_ACCEL_KVM] = "kvm", [VM_ACCEL_TCG] = "tcg"};
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(value, names[i]) == 0) {
			((struct vm_options *)data)->accel = (enum vm_accel)i;
			return 0;
		}
	}
	return -EINVAL;
}

static int set_gl(const char *value, void *data) {
	static const char *const names[] = {
		[VM_GL_OFF] = "off", [VM_GL_AUTO] = "auto", [VM_GL_ON] = "on"};
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(value, names[i]) == 0) {
			((struct vm_options *)data)->gl = (enum vm_gl)i;
			return 0;
		}
	}
	return -EINVAL;
}

static int set_net(const char *value, void *data) {
	struct vm_options *o = data;
	o->bridge = NULL;
	if (strcmp(value, "user") == 0) {
		o->net = VM_NET_USER;
		return 0;
	}
	if (strcmp(value, "none") == 0) {
		o->net = VM_NET_NONE;
		return 0;
	}
	if (strncmp(value, "bridge:", 7) != 0) {
		return -EINVAL;
	}
	o->net = VM_NET_BRIDGE;
	return set_string(value + 7, &o->bridge);
}

/* HOST:PORT=GUESTPORT; what is before the last '=' is as everywhere. */
static int set_forward(const char *value, void *data) {
	struct vm_options *o = data;
	struct vm_forward *f = &o->forwards[o->n_forwards];
	const char *equals = strrchr(value, '=');
	char here[96];
	uint32_t guest_port;
	if (o->n_forwards == FORWARDS_MAX) {
		return -ERANGE;
	}
	if (!equals || equals - value >= (ptrdiff_t)sizeof(here)) {
		return -EINVAL;
	}
	(void)snprintf(here, sizeof(here), "%.*s", (int)(equals - value), value);
	(void)snprintf(f->host, sizeof(f->host), "127.0.0.1");
	int r = parse_host_port(here, f->host, sizeof(f->host), &f->port);
	if (r == 0) {
		r = parse_u32(equals + 1, 1, UINT16_MAX, &guest_port);
	}
	if (r < 0) {
		return r;
	}
	/* QEMU separates by commas and colons here, and quotes neither. */
	if (f->host[strcspn(f->host, ",:-")]) {
		return -EINVAL;
	}
	f->guest_port = (uint16_t)guest_port;
	o->n_forwards++;
	return 0;
}

static int set_listen(const char *value, void *data) {
	struct vm_options *o = data;
	return parse_host_port(value, o->listen_host, sizeof(o->listen_host), &o->listen_port);
}

/* As the guest's own helix-desktops-generator reads it. */
static int set_desktop(const char *value, void *data) {
	struct vm_options *o = data;
	uint32_t width, height, hz;
	if (o->n_desktops == DESKTOPS_MAX) {
		return -ERANGE;
	}
	size_t n = strcspn(value, ":");
	if (!is_name(value, n)) {
		return -EINVAL;
	}
	if (value[n]) {
		const char *compositor = value + n + 1;
		n = strcspn(compositor, ":");
		if (!is_name(compositor, n)) {
			return -EINVAL;
		}
		if (compositor[n]) {
			int r = parse_mode(compositor + n + 1, &width, &height, &hz);
			if (r < 0) {
				return r;
			}
		}
	}
	o->desktops[o->n_desktops++] = value;
	return 0;
}

static int set_serial(const char *value, void *data) {
	struct vm_options *o = data;
	o->serial_file = NULL;
	o->serial = VM_SERIAL_NONE;
	if (strcmp(value, "none") == 0) {
		return 0;
	}
	if (strcmp(value, "stdio") == 0) {
		o->serial = VM_SERIAL_STDIO;
		return 0;
	}
	o->serial = VM_SERIAL_FILE;
	return set_string(value, &o->serial_file);
}

static int set_snapshot(const char *value, void *data) {
	((struct vm_options *)data)->snapshot = true;
	return 0;
}

static int set_export_option(const char *value, void *data) {
	struct vm_options *o = data;
	if (o->n_export_options == EXPORT_OPTIONS_MAX) {
		return -ERANGE;
	}
	return set_string(value, &o->export_options[o->n_export_options++]);
}

static int set_shutdown_timeout(const char *value, void *data) {
	return parse_u32(value, 0, 3600, &((struct vm_options *)data)->shutdown_timeout_s);
}

static int set_print_command(const char *value, void *data) {
	((struct vm_options *)data)->action = VM_PRINT_COMMAND;
	return 0;
}

static int set_print_libvirt_xml(const char *value, void *data) {
	((struct vm_options *)data)->action = VM_PRINT_LIBVIRT_XML;
	return 0;
}

static const struct option_spec options[] = {
	{"name", 'n', "NAME", "name of the VM (default helix)", set_name},
	{"image", 'i', "DIR", "directory of vmlinuz, initrd.img and disk.img", set_image},
	{"kernel", 'k', "FILE", "kernel; replaces the image's", set_kernel},
	{"initrd", 0, "FILE", "initial file system; replaces the image's", set_initrd},
	{"disk", 'd', "FILE", "disk, raw or qcow2; replaces the image's", set_disk},
	{"snapshot", 0, NULL, "throw away what the guest writes", set_snapshot},
	{"append", 'a', "TEXT", "more for the kernel's command line", set_append},
	{"desktop", 0, "NAME[:COMPOSITOR[:WxH[@HZ]]]", "start this desktop; may be repeated",
		set_desktop},
	{"memory", 'm', "MIB", "memory, also as 4G (default 4G)", set_memory},
	{"cpus", 'c', "N", "processors (default 2)", set_cpus},
	{"accel", 0, "KIND", "auto, kvm or tcg (default auto)", set_accel},
	{"gl", 0, "MODE", "3D for the guest: off, on, or auto: if there is GL (default off)",
		set_gl},
	{"render-node", 0, "PATH", "GPU that draws the guest's 3D (default: no GPU)",
		set_render_node},
	{"outputs", 'o', "N", "outputs of each GPU (default 16)", set_outputs},
	{"gpus", 'g', "N", "GPUs, 1 or 2, each with an exporter (default 1)", set_gpus},
	{"net", 0, "KIND", "user, bridge:INTERFACE or none (default user)", set_net},
	{"forward", 'f', "[HOST:]PORT=GUESTPORT", "forward TCP to the guest; may be repeated",
		set_forward},
	{"listen", 'l', "[HOST:]PORT", "where exporters serve HXFR (default 127.0.0.1:15937)",
		set_listen},
	{"manager-key", 0, "FILE", "key for the exporters and the guest's DRM manager",
		set_manager_key},
	{"export-option", 0, "OPTION", "pass OPTION to each exporter; may be repeated",
		set_export_option},
	{"exporter", 0, "PATH", "helix-frame-export (default: beside helix-vm, or in PATH)",
		set_exporter},
	{"qemu", 0, "PATH", "QEMU (default qemu-system-x86_64)", set_qemu},
	{"serial", 's', "WHERE", "serial console: FILE, stdio or none (default none)", set_serial},
	{"runtime-dir", 0, "DIR", "directory of sockets (default in XDG_RUNTIME_DIR)",
		set_runtime_dir},
	{"shutdown-timeout", 0, "SECONDS", "time for the guest to shut down (default 60)",
		set_shutdown_timeout},
	{"log-level", 0, "LEVEL", "error, warn, info or debug (default info)",
		options_set_log_level},
	{"print-command", 0, NULL, "print the commands instead, and exit", set_print_command},
	{"print-libvirt-xml", 0, NULL, "print a libvirt domain instead, and exit",
		set_print_libvirt_xml},
	{0},
};

static const struct program_spec program = {
	.name = "helix-vm",
	.summary = "Runs a virtual machine whose GPU streams: helix-frame-export and QEMU.",
	.options = options,
};

/* Addresses that a guest on a bridge cannot reach, or that are none. */
static bool is_reachable(const char *host) {
	return strncmp(host, "127.", 4) != 0 && strcmp(host, "localhost") != 0 &&
		strcmp(host, "::1") != 0 && strcmp(host, "0.0.0.0") != 0 && strcmp(host, "::") != 0;
}

/* What is wrong with the whole; NULL if nothing. */
static const char *check(const struct vm_options *o) {
	bool has_kernel = o->image || o->kernel;
	if (!o->image && !o->kernel && !o->disk) {
		return "nothing to boot: give --image, or --kernel, or --disk";
	}
	if (!has_kernel && (o->initrd || o->append || o->n_desktops > 0)) {
		return "--initrd, --append and --desktop need a kernel: --image or --kernel";
	}
	if (o->n_forwards > 0 && o->net != VM_NET_USER) {
		return "--forward needs --net=user";
	}
	if (o->net == VM_NET_BRIDGE && !is_reachable(o->listen_host)) {
		return "--net=bridge: the guest must reach the exporter, so --listen needs an "
		       "address of this machine that it sees";
	}
	if (o->listen_port + o->gpus - 1 > UINT16_MAX) {
		return "--listen: no port is left for the second GPU's exporter";
	}
	return NULL;
}

enum options_result vm_options_parse(int argc, char *argv[], struct vm_options *ret) {
	*ret = (struct vm_options){
		.name = "helix",
		.memory_mib = 4096,
		.cpus = 2,
		.outputs = OUTPUTS_MAX,
		.gpus = 1,
		.listen_host = "127.0.0.1",
		.listen_port = HXFR_PORT_DEFAULT,
		.qemu = "qemu-system-x86_64",
		.shutdown_timeout_s = 60,
		.log_level = LOG_LEVEL_INFO,
	};
	int index;
	enum options_result result = options_parse(&program, argc, argv, ret, &index);
	if (result != OPTIONS_RUN) {
		return result;
	}
	const char *error = check(ret);
	if (error) {
		(void)fprintf(stderr, "helix-vm: %s\n", error);
		return OPTIONS_ERROR;
	}
	return OPTIONS_RUN;
}
