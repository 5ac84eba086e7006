/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent-protocol.h"
#include "kvm.h"
#include "qemu-command.h"
#include "test.h"

/* Kernel options that save boot time under emulation, and keep the text cursor from blinking. */
#define KERNEL_OPTIONS                                                         \
	"console=ttyS0 quiet panic=-1 nowatchdog tsc=reliable no_timer_check " \
	"rcupdate.rcu_expedited=1 random.trust_cpu=on audit=0 vt.global_cursor_default=0"

static void add(struct qemu_command *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void add(struct qemu_command *c, const char *fmt, ...) {
	va_list args;
	va_start(args, fmt);
	int n = vsnprintf(c->text + c->used, sizeof(c->text) - c->used, fmt, args);
	va_end(args);
	check_int(n, <, sizeof(c->text) - c->used);
	check_int(c->n, <, ARRAY_SIZE(c->argv) - 1);
	c->argv[c->n++] = c->text + c->used;
	c->used += (size_t)n + 1;
}

/* Words of a fixed text. */
static void add_words(struct qemu_command *c, const char *text) {
	for (const char *p = text; *p;) {
		size_t n = strcspn(p, " ");
		add(c, "%.*s", (int)n, p);
		p += n + strspn(p + n, " ");
	}
}

/* The guest's own options if it comes with some, and those of the test. */
static void add_kernel(struct qemu_command *c, const struct vm *vm, const char *guest) {
	char path[512], options[1024] = KERNEL_OPTIONS;
	(void)snprintf(path, sizeof(path), "%s/cmdline", guest);
	FILE *f = fopen(path, "re");
	if (f) {
		check(fgets(options, sizeof(options), f));
		options[strcspn(options, "\n")] = '\0';
		(void)fclose(f);
	}
	add(c, "-kernel");
	add(c, "%s/vmlinuz", guest);
	add(c, "-initrd");
	add(c, "%s/initrd.img", guest);
	add(c, "-append");
	add(c, "%s mitigations=off helix.exporter=10.0.2.2:%u %s", options, vm->port,
		vm->config.append ? vm->config.append : "");
	(void)snprintf(path, sizeof(path), "%s/disk.img", guest);
	if (access(path, R_OK) == 0) {
		add(c, "-drive");
		add(c, "file=%s,if=virtio,format=raw,cache=unsafe,snapshot=on", path);
	}
}

static void add_gpus(struct qemu_command *c, const struct vm *vm) {
	const struct vm_config *config = &vm->config;
	const char *more = config->device_args ? config->device_args : "";
	add(c, "-display");
	/* Needed with 3D, and never drawn with. */
	const char *gl = config->gl ? ",gl=on,rendernode=/dev/null" : "";
	if (config->two_gpus) {
		add(c, "dbus,addr=%s%s", vm->bus_address, gl);
	} else {
		add(c, "dbus,p2p=yes%s", gl);
	}
	for (unsigned i = 0; i <= config->two_gpus && config->gpu != VM_GPU_QEMU; i++) {
		add(c, "-chardev");
		add(c, "socket,id=gpu%u-socket,path=%s/gpu%u.sock", i, vm->dir, i);
		add(c, "-device");
		add(c, "vhost-user-gpu-pci,chardev=gpu%u-socket,id=gpu%u,max_outputs=%u%s", i, i,
			config->outputs, more);
	}
	if (config->gpu == VM_GPU_QEMU) {
		add(c, "-device");
		add(c, "virtio-gpu-pci,id=gpu0,max_outputs=%u%s", config->outputs, more);
	}
}

void qemu_command_make(
	struct qemu_command *c, const struct vm *vm, const char *program, const char *guest) {
	c->n = c->used = 0;
	add(c, "%s", program);
	add_words(c, "-nodefaults -no-user-config -vga none -machine q35,memory-backend=mem");
	add(c, "-object");
	add(c, "memory-backend-memfd,id=mem,size=%uM,share=on", vm->config.memory_mib);
	add(c, "-m");
	add(c, "%uM", vm->config.memory_mib);
	add(c, "-accel");
	add(c, kvm_check() == 0 ? "kvm" : "tcg,thread=multi");
	add_words(c, "-cpu max -smp 2");
	add_kernel(c, vm, guest);
	add(c, "-qmp");
	add(c, "unix:%s/qmp-gpu.sock,server,nowait", vm->dir);
	add(c, "-chardev");
	add(c, "socket,id=qmp,path=%s/qmp.sock", vm->dir);
	add_words(c, "-mon chardev=qmp,mode=control -device virtio-serial-pci -chardev");
	add(c, "socket,id=agent,path=%s/agent.sock", vm->dir);
	add_words(c, "-device virtserialport,chardev=agent,name=" AGENT_PORT_NAME);
	add_words(c, "-chardev stdio,id=console,signal=off -serial chardev:console");
	add_words(c, "-device virtio-rng-pci -nic");
	add(c, vm->config.network ? "user,model=virtio-net-pci%s%s" : "none",
		vm->config.forward ? ",hostfwd=" : "",
		vm->config.forward ? vm->config.forward : "");
	add_gpus(c, vm);
	c->argv[c->n] = NULL;
}
