/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "kvm.h"
#include "log.h"
#include "plan.h"

LOG_MODULE("helix-vm");

/*
 * Console output and a boot that ends in a reboot instead of a standstill; no blinking text cursor,
 * since every blink is a frame.
 */
#define CMDLINE_ALWAYS "quiet panic=-1 vt.global_cursor_default=0"
/*
 * Under emulation: no measures against a processor that does not exist, and no checks of timers and
 * stalls, which fail when the host is busy.
 */
#define CMDLINE_TCG                                                                        \
	" mitigations=off nowatchdog tsc=reliable no_timer_check rcupdate.rcu_expedited=1" \
	" random.trust_cpu=on audit=0"
/* The host, as a guest of QEMU's user network sees it. */
#define USER_NET_HOST "10.0.2.2"

/*
 * Files
 */
/* The file that was named, else the image's, if it has one or must have one. */
static int find_file(
	const char *given, const char *image, const char *name, bool needed, char ret[PATH_MAX]) {
	ret[0] = '\0';
	if (!given && !image) {
		return 0;
	}
	int n = given ? snprintf(ret, PATH_MAX, "%s", given)
		      : snprintf(ret, PATH_MAX, "%s/%s", image, name);
	int r = n >= PATH_MAX ? -ENAMETOOLONG : access(ret, R_OK) < 0 ? -errno : 0;
	if (r == -ENOENT && !given && !needed) {
		ret[0] = '\0';
		return 0;
	}
	if (r < 0) {
		log_err_errno(r, "%s", ret);
	}
	return r;
}

/* The first bytes of a qcow2 image are "QFI" and 0xfb (QEMU docs/interop/qcow2). */
static bool is_qcow2(const char *path) {
	char magic[4];
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd >= 0 && read(fd, magic, sizeof(magic)) == sizeof(magic) &&
		memcmp(magic, "QFI\xfb", sizeof(magic)) == 0;
}

static int find_files(struct plan *p) {
	const struct vm_options *o = p->options;
	int r = find_file(o->kernel, o->image, "vmlinuz", true, p->kernel);
	if (r >= 0) {
		r = find_file(o->initrd, o->image, "initrd.img", false, p->initrd);
	}
	if (r >= 0) {
		/* A guest that lives in its initial file system has none. */
		r = find_file(o->disk, o->image, "disk.img", false, p->disk);
	}
	p->disk_is_qcow2 = r >= 0 && p->disk[0] && is_qcow2(p->disk);
	return r;
}

/* In a build tree or an installation of its own, the one that was built with us. */
static void find_exporter(struct plan *p) {
	const char *name = "helix-frame-export";
	if (p->options->exporter) {
		(void)snprintf(p->exporter, sizeof(p->exporter), "%s", p->options->exporter);
		return;
	}
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	self[MAX(n, 0)] = '\0';
	char *slash = strrchr(self, '/');
	if (slash) {
		*slash = '\0';
		int length = snprintf(p->exporter, sizeof(p->exporter), "%s/%s", self, name);
		if (length < PATH_MAX && access(p->exporter, X_OK) == 0) {
			return;
		}
	}
	(void)snprintf(p->exporter, sizeof(p->exporter), "%s", name);
}

/*
 * The machine
 */
static int find_accel(struct plan *p) {
	const struct vm_options *o = p->options;
	if (o->accel == VM_ACCEL_TCG) {
		log_info("accelerator: tcg, as asked for");
		return 0;
	}
	int r = kvm_check();
	p->kvm = r == 0;
	if (p->kvm) {
		log_info("accelerator: kvm");
		return 0;
	}
	if (o->accel == VM_ACCEL_KVM) {
		log_err_errno(r, "no kvm: /dev/kvm (%s)", kvm_hint(r));
		return r;
	}
	log_info("accelerator: tcg, which is slow, because of /dev/kvm: %s (%s)", strerror(-r),
		kvm_hint(r));
	return 0;
}

static int find_runtime_dir(struct plan *p) {
	const struct vm_options *o = p->options;
	const char *base = getenv("XDG_RUNTIME_DIR");
	int n;
	if (o->runtime_dir) {
		n = snprintf(p->dir, sizeof(p->dir), "%s", o->runtime_dir);
	} else if (base && base[0] == '/') {
		n = snprintf(p->dir, sizeof(p->dir), "%s/helix-vm-%s", base, o->name);
	} else if (geteuid() == 0) {
		n = snprintf(p->dir, sizeof(p->dir), "/run/helix-vm-%s", o->name);
	} else {
		log_err("XDG_RUNTIME_DIR is not set: give --runtime-dir");
		return -ENOENT;
	}
	if (n < 0 || n >= (int)sizeof(p->dir)) {
		log_err("the runtime directory's path is longer than %u bytes, too long for the "
			"names of sockets",
			RUNTIME_DIR_MAX);
		return -ENAMETOOLONG;
	}
	return 0;
}

/*
 * On a bridge each VM needs an address of its own, and the same one at each start: made of the
 * machine's identity and the VM's name (FNV-1a). 52:54:00 is what QEMU uses.
 */
static void make_mac(struct plan *p) {
	char id[33] = "";
	uint32_t hash = 2166136261u;
	CLEANUP_CLOSE int fd = open("/etc/machine-id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, id, sizeof(id) - 1) : 0;
	id[MAX(n, 0)] = '\0';
	const char *const parts[] = {id, p->options->name};
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		for (const char *c = parts[i]; *c; c++) {
			hash = (hash ^ (uint8_t)*c) * 16777619u;
		}
	}
	(void)snprintf(p->mac, sizeof(p->mac), "52:54:00:%02x:%02x:%02x", hash >> 16 & 0xff,
		hash >> 8 & 0xff, hash & 0xff);
}

/*
 * The kernel's command line
 */
void plan_listen_address(const struct plan *p, unsigned gpu, char *ret, size_t size) {
	const struct vm_options *o = p->options;
	bool v6 = strchr(o->listen_host, ':');
	(void)snprintf(ret, size, "%s%s%s:%u", v6 ? "[" : "", o->listen_host, v6 ? "]" : "",
		o->listen_port + gpu);
}

/* The user network leads the guest to our loopback; other addresses it reaches as they are. */
static bool is_local(const char *host) {
	return strncmp(host, "127.", 4) == 0 || strcmp(host, "localhost") == 0 ||
		strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
}

static void append(struct plan *p, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* What does not fit leaves the buffer full, which plan_init() looks for. */
static void append(struct plan *p, const char *fmt, ...) {
	size_t used = strlen(p->cmdline);
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(p->cmdline + used, sizeof(p->cmdline) - used, fmt, args);
	va_end(args);
}

/* What the image says that its kernel should be told, its file `cmdline`. False if it has none. */
static bool append_image_cmdline(struct plan *p) {
	char path[PATH_MAX];
	int n = p->options->image ? snprintf(path, sizeof(path), "%s/cmdline", p->options->image)
				  : -1;
	CLEANUP_CLOSE int fd = n > 0 && n < PATH_MAX ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0) {
		return false;
	}
	ssize_t size = read(fd, p->cmdline, sizeof(p->cmdline) - 1);
	p->cmdline[MAX(size, 0)] = '\0';
	p->cmdline[strcspn(p->cmdline, "\n")] = '\0';
	return true;
}

static int make_cmdline(struct plan *p) {
	const struct vm_options *o = p->options;
	if (!append_image_cmdline(p)) {
		append(p, "%s%s%s%s", p->disk[0] ? "root=/dev/vda rw " : "",
			o->serial == VM_SERIAL_NONE ? "" : "console=ttyS0 ", CMDLINE_ALWAYS,
			p->kvm ? "" : CMDLINE_TCG);
	}
	for (unsigned i = 0; i < o->gpus && o->net != VM_NET_NONE; i++) {
		char address[sizeof(o->listen_host) + 16];
		plan_listen_address(p, i, address, sizeof(address));
		append(p, i == 0 ? " helix.exporter=" : ",");
		if (o->net == VM_NET_USER && is_local(o->listen_host)) {
			append(p, "%s:%u", USER_NET_HOST, o->listen_port + i);
		} else {
			append(p, "%s", address);
		}
	}
	for (unsigned i = 0; i < o->n_desktops; i++) {
		append(p, "%s%s", i == 0 ? " helix.desktops=" : ",", o->desktops[i]);
	}
	if (o->append) {
		append(p, " %s", o->append);
	}
	if (strlen(p->cmdline) == sizeof(p->cmdline) - 1) {
		log_err("the kernel's command line is longer than %u bytes", CMDLINE_SIZE - 2);
		return -E2BIG;
	}
	return 0;
}

int plan_init(struct plan *p, const struct vm_options *options) {
	*p = (struct plan){.options = options};
	int r = find_files(p);
	if (r >= 0) {
		r = find_accel(p);
	}
	if (r >= 0) {
		r = find_runtime_dir(p);
	}
	if (r >= 0 && options->manager_key && access(options->manager_key, R_OK) < 0) {
		r = -errno;
		log_err_errno(r, "--manager-key: %s", options->manager_key);
	}
	if (r < 0) {
		return r;
	}
	find_exporter(p);
	make_mac(p);
	return p->kernel[0] ? make_cmdline(p) : 0;
}

void plan_socket_path(const struct plan *p, const char *name, unsigned gpu, char ret[108]) {
	char file[24];
	const char *number = strstr(name, "%u");
	if (number) {
		(void)snprintf(file, sizeof(file), "%.*s%u%s", (int)(number - name), name, gpu,
			number + 2);
	} else {
		(void)snprintf(file, sizeof(file), "%s", name);
	}
	(void)snprintf(ret, 108, "%s/%s", p->dir, file);
}
