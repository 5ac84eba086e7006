/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The test guest and the library around it, on QEMU's own virtio-gpu: what other tests rest on. */
#include <signal.h>

#include "display.h"
#include "test.h"
#include "vm.h"

static const struct vm_config qemu_gpu = {.gpu = VM_GPU_QEMU};

TEST_TIMEOUT(commands_run_in_the_guest, 180) {
	struct vm *vm = vm_create(&qemu_gpu);
	check_str(vm_run_ok(vm, 10, "echo out; echo err >&2"), "out\nerr\n");
	check_int(vm_run(vm, 10, "exit 7"), ==, 7);
	check_int(vm_run(vm, 10, "kill -9 $$"), ==, 128 + SIGKILL);
	check_int(vm_run(vm, 10, "no-such-program"), ==, 127);

	/* More than any buffer on the way, and every byte of it. */
	vm_run_ok(vm, 30, "dd if=/dev/zero bs=1024 count=600 2>/dev/null | tr '\\0' '\\377'");
	const char *output = vm_output(vm);
	check_int(strlen(output), ==, 600 * 1024);
	for (size_t i = 0; i < 600 * 1024; i++) {
		check_int((unsigned char)output[i], ==, 0xff);
	}

	uint32_t sleeper = vm_spawn(vm, "echo begun; sleep 1000");
	vm_job_expect(vm, sleeper, "begun\n", 10);
	vm_run_ok(vm, 10, "true");
	vm_job_signal(vm, sleeper, SIGTERM);
	check_int(vm_job_wait(vm, sleeper, 10), ==, 128 + SIGTERM);
	vm_destroy(vm);
}

/* The guest's kernel has a device that few hosts of tests have. */
TEST_TIMEOUT(pictures_are_dmabufs, 180) {
	struct vm *vm = vm_create(&qemu_gpu);
	vm_run_ok(vm, 20, "shared-picture");
	vm_destroy(vm);
}

TEST_TIMEOUT(guest_reboots_and_qemu_restarts, 400) {
	struct vm *vm = vm_create(&qemu_gpu);
	vm_run_ok(vm, 10, "touch /run/old");
	/* The agent is in the middle of sending when it vanishes. */
	(void)vm_spawn(vm, "yes");
	vm_reboot(vm);
	check_int(vm_run(vm, 10, "test -e /run/old"), ==, 1);
	vm_run_ok(vm, 10, "touch /run/old");

	vm_kill_qemu(vm);
	vm_start_qemu(vm);
	vm_wait_boot(vm, VM_BOOT_TIMEOUT);
	check_int(vm_run(vm, 10, "test -e /run/old"), ==, 1);
	vm_destroy(vm);
}

/* The number before " flips" on the line of an output; -1 if there is none. */
static int flips_of(const char *output, const char *name) {
	const char *line = strstr(output, name);
	int flips;
	while (line) {
		int end = 0;
		if (sscanf(line + strlen(name), ": %d flips%n", &flips, &end) == 1 && end > 0) {
			return flips;
		}
		line = strstr(line + 1, name);
	}
	return -1;
}

TEST_TIMEOUT(flipper_flips_every_pattern, 300) {
	static const char *const patterns[] = {"solid", "bars", "onechar", "static", "dirtyfb"};
	struct vm *vm = vm_create(&qemu_gpu);
	for (size_t i = 0; i < ARRAY_SIZE(patterns); i++) {
		const char *output = vm_run_ok(vm, 30,
			"drm-flipper -p %s -m 1024x768 -r 0 -n 40 -b 3 --cursor", patterns[i]);
		check_int(flips_of(output, "Virtual-1"), ==, 40);
	}
	/* The rate is kept: 2 s at 20/s. */
	int flips = flips_of(vm_run_ok(vm, 30, "drm-flipper -m 640x480 -r 20 -s 2"), "Virtual-1");
	check_int(flips, >=, 30);
	check_int(flips, <=, 41);

	check_int(vm_run(vm, 30, "drm-flipper --format AB24 -s 1"), ==, 1);
	check(strstr(vm_output(vm), "offers only XR24"));
	check_int(vm_run(vm, 30, "drm-flipper -c Virtual-9 -s 1"), ==, 1);
	check(strstr(vm_output(vm), "Virtual-9 not connected"));
	check_int(vm_run(vm, 30, "drm-flipper -m 1x1 -s 1"), ==, 1);
	check_int(vm_run(vm, 30, "drm-flipper --rate=-1"), ==, 2);
	vm_destroy(vm);
}

TEST_TIMEOUT(flipper_follows_hotplug_of_16_outputs, 300) {
	struct vm *vm = vm_create(&qemu_gpu);
	struct display *d = display_open(vm);
	char text[64];
	uint32_t job = vm_spawn(vm, "drm-flipper --follow --rate 5");
	vm_job_expect(vm, job, "Virtual-1: 1280x800@", 20);
	for (unsigned i = 1; i < 16; i++) {
		display_set_ui_info(d, i, 640 + 16 * i, 480);
		(void)snprintf(text, sizeof(text), "Virtual-%u: %ux480@", i + 1, 640 + 16 * i);
		vm_job_expect(vm, job, text, 20);
	}
	display_set_ui_info(d, 3, 800, 608);
	vm_job_expect(vm, job, "Virtual-4: 800x608@", 20);
	display_set_ui_info(d, 15, 0, 0);
	vm_job_expect(vm, job, "Virtual-16: unplugged", 20);
	vm_job_signal(vm, job, SIGTERM);
	check_int(vm_job_wait(vm, job, 20), ==, 0);
	for (unsigned i = 1; i <= 16; i++) {
		(void)snprintf(text, sizeof(text), "Virtual-%u", i);
		check_int(flips_of(vm_job_output(vm, job), text), >, 0);
	}

	/* Waiting for one output, which is named by the id that --list gives it. */
	vm_run_ok(vm, 20, "drm-flipper --list");
	unsigned id = 0;
	const char *line = strstr(vm_output(vm), "Virtual-16 disconnected id ");
	check(line && sscanf(line, "Virtual-16 disconnected id %u", &id) == 1);
	job = vm_spawn(vm, "echo waiting; exec drm-flipper -c %u --wait-connected 20 -n 3", id);
	vm_job_expect(vm, job, "waiting", 20);
	display_set_ui_info(d, 15, 1024, 768);
	check_int(vm_job_wait(vm, job, 30), ==, 0);
	check_int(flips_of(vm_job_output(vm, job), "Virtual-16"), ==, 3);
	display_close(d);
	vm_destroy(vm);
}
