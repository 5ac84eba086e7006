/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Virtual machines for tests: an unmodified QEMU with the test guest (vm/make-test-guest.sh), and
 * the GPU device process beside it. Functions end the test when something fails or takes too long,
 * and skip it when the machine lacks something. Everything started dies with the test.
 *
 * Environment:
 *   HELIX_TEST_GUEST    directory of the guest's vmlinuz and initrd.img, and perhaps a disk.img and
 *                       the kernel's cmdline; without it: skip
 *   HELIX_FRAME_EXPORT  the program under test
 *   QEMU                default qemu-system-x86_64
 *   HELIX_VHOST_USER_GPU  QEMU's contrib vhost-user-gpu, for comparisons
 *   HELIX_TEST_KEEP     keep logs and sockets after success too
 */
#ifndef HELIX_TEST_VM_H
#define HELIX_TEST_VM_H

#include <jansson.h>

#include "agent-link.h"
#include "process.h"
#include "util.h"

/* Seconds that a boot may take: about 5 under emulation when nothing else runs. */
#define VM_BOOT_TIMEOUT 90u

enum vm_gpu {
	VM_GPU_QEMU,    /* QEMU's own virtio-gpu-pci */
	VM_GPU_EXPORT,  /* helix-frame-export */
	VM_GPU_CONTRIB, /* vhost-user-gpu of QEMU's contrib */
};

struct vm_config {
	enum vm_gpu gpu;
	unsigned outputs;               /* max_outputs; 0: 16 */
	bool network;                   /* a network card: 10.0.2.2 is the host, "user" network */
	const char *const *export_args; /* further options of helix-frame-export; may be NULL */
	const char *device_args; /* further properties of QEMU's device, ",x=y"; may be NULL */
	const char *forward;     /* QEMU's hostfwd: "tcp:127.0.0.1:PORT-:PORT"; may be NULL */
	const char *append;      /* further kernel options; may be NULL */
	unsigned memory_mib;     /* 0: 1024 */
	bool two_gpus;           /* a second card, with a process of its own and no console */
	bool gl;                 /* 3D for the guest, drawn by this machine's CPU */
};

struct vm {
	struct vm_config config;
	char dir[64]; /* sockets and logs */
	struct process qemu;
	struct process gpu;             /* not with VM_GPU_QEMU */
	struct process second_gpu, bus; /* with config.two_gpus */
	struct agent_link agent;
	int agent_listener, qmp_listener, qmp_fd;
	char qmp_input[65536];
	size_t qmp_used;
	json_t *qmp_reply; /* the last "return" or "error" object; may be NULL */
	json_t *events;    /* array of those not yet looked at */
	char boot_id[64];  /* of the last boot waited for */
	uint16_t port;     /* HXFR, on 127.0.0.1 */
	uint16_t second_port;
	char address[32];     /* "127.0.0.1:PORT" */
	char bus_address[96]; /* of the bus that QEMU's display is on, with config.two_gpus */
	char *output;         /* of the last vm_run */
};

/* Skips the test if a program, the guest or QEMU's version does not do. */
void vm_require(enum vm_gpu gpu);

/* Starts everything and waits for the guest's agent. */
struct vm *vm_create(const struct vm_config *config);
void vm_destroy(struct vm *vm);

/*
 * Processes. QEMU is started with the GPU's process there; a killed one may be started anew.
 * vm_start_qemu returns at once, vm_wait_boot when the agent of a boot not waited for yet speaks.
 */
void vm_start_gpu(struct vm *vm);
void vm_start_qemu(struct vm *vm);
void vm_kill_qemu(struct vm *vm);
void vm_wait_boot(struct vm *vm, unsigned timeout_s);

/* A TCP port of 127.0.0.1 that nobody uses at the moment; another one each time. */
uint16_t vm_free_port(void);
/*
 * Its neighbour often is not: Linux gives the ports in between to connections, and keeps them for a
 * minute when those end.
 */
bool vm_port_is_free(uint16_t port);

/* Runs a command of sh in the guest; returns its exit status. */
int vm_run(struct vm *vm, unsigned timeout_s, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* As above; the test fails unless it succeeds. Returns its output, valid until the next one. */
const char *vm_run_ok(struct vm *vm, unsigned timeout_s, const char *fmt, ...) PRINTF_LIKE(3, 4);
const char *vm_output(const struct vm *vm);

/* Runs one in the background. */
uint32_t vm_spawn(struct vm *vm, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Until its output holds `text`. */
void vm_job_expect(struct vm *vm, uint32_t job, const char *text, unsigned timeout_s);
/* What it wrote so far; valid until the next call of anything here. */
const char *vm_job_output(struct vm *vm, uint32_t job);
void vm_job_signal(struct vm *vm, uint32_t job, int signal);
/* Until it ends; its status. Its output stays until vm_job_forget. */
int vm_job_wait(struct vm *vm, uint32_t job, unsigned timeout_s);
void vm_job_forget(struct vm *vm, uint32_t job);

/* Asks the guest to reboot, and waits until it has. */
void vm_reboot(struct vm *vm);

/* QMP: the "return" value, to be released; takes over `arguments` (NULL: none). */
json_t *vm_qmp(struct vm *vm, const char *command, json_t *arguments);
/* A PNG of one head. */
void vm_screendump(struct vm *vm, unsigned head, const char *path);
/* A new peer-to-peer connection to QEMU's D-Bus display: a socket, on which we authenticate. */
int vm_open_display(struct vm *vm);

/*
 * Runs a program of the host to its end, its output in `*ret_output` (to be freed; may be NULL).
 * Returns its exit status. The arguments end with NULL.
 */
int vm_host_run(struct vm *vm, unsigned timeout_s, char **ret_output, const char *const argv[]);
/* Starts one in the background; its log is called `name`. */
void vm_host_start(struct vm *vm, struct process *p, const char *name, const char *const argv[]);

#endif
