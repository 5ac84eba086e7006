/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The input manager with a real kernel: what goes into its devices comes out, here and nowhere else. */
#include <signal.h>

#include "test.h"
#include "vm.h"

struct input_vm {
	struct vm *vm;
	uint32_t manager;
	uint32_t watcher;
	char token[80];
};

static void start(struct input_vm *v) {
	static const struct vm_config config = {.gpu = VM_GPU_QEMU, .outputs = 1};
	*v = (struct input_vm){.vm = vm_create(&config)};
	v->manager = vm_spawn(v->vm, "exec helix-input-manager --log-level debug");
	vm_job_expect(v->vm, v->manager, "listening on", 20);
}

static void stop(struct input_vm *v) {
	vm_job_signal(v->vm, v->manager, SIGTERM);
	check_int(vm_job_wait(v->vm, v->manager, 30), ==, 0);
	check_str(vm_run_ok(v->vm, 10, "helix-input --list; ls /run/helix-input"),
		"input.sock.lock\n");
	vm_destroy(v->vm);
}

/* A set that prints what comes out of it. */
static void start_watcher(struct input_vm *v, const char *options) {
	v->watcher = vm_spawn(v->vm, "exec helix-input --watch --name 'desk 1' %s", options);
	vm_job_expect(v->vm, v->watcher, "token ", 20);
	const char *line = strstr(vm_job_output(v->vm, v->watcher), "token ");
	check_int(sscanf(line, "token %79s", v->token), ==, 1);
	check_int(strlen(v->token), ==, 64);
}

static void stop_watcher(struct input_vm *v) {
	vm_job_signal(v->vm, v->watcher, SIGKILL);
	(void)vm_job_wait(v->vm, v->watcher, 10);
	vm_job_forget(v->vm, v->watcher);
}

/* Until the worker has unmade what has ended. */
static void expect_no_devices(struct input_vm *v) {
	vm_run_ok(v->vm, 60,
		"for i in $(seq 500); do [ -z \"$(helix-input --list)\" ] && exit 0; usleep 100000; "
		"done; helix-input --list; exit 1");
}

static unsigned count_text(const char *in, const char *text) {
	unsigned n = 0;
	for (const char *p = in; (p = strstr(p, text)); p += strlen(text)) {
		n++;
	}
	return n;
}

TEST_TIMEOUT(events_come_out_as_sent, 300) {
	struct input_vm v;
	start(&v);
	start_watcher(&v, "");
	const char *output = vm_job_output(v.vm, v.watcher);
	check(strstr(output, "keyboard: /dev/input/event"));
	check(strstr(output, "pointer: /dev/input/event"));
	check(strstr(output, "touch: /dev/input/event"));
	check(strstr(output, "ID_INPUT=1 ID_INPUT_KEY=1 ID_INPUT_KEYBOARD=1\n"));
	output = vm_run_ok(v.vm, 10, "helix-input --list");
	check_int(count_text(output, "desk 1 "), ==, 3);
	check(strstr(output, "desk 1 touch screen\n"));

	vm_run_ok(v.vm, 20,
		"helix-input --token %s type aB move 100 200 click left scroll 0 240 by -3 4 tap 5 6",
		v.token);
	vm_job_expect(v.vm, v.watcher, "touch 3 57 -1\ntouch 1 330 0\ntouch report\n", 20);
	output = vm_job_output(v.vm, v.watcher);
	check(strstr(output,
		"keyboard 1 30 1\nkeyboard report\nkeyboard 1 30 0\nkeyboard report\n"
		"keyboard 1 42 1\nkeyboard report\nkeyboard 1 48 1\nkeyboard report\n"
		"keyboard 1 48 0\nkeyboard report\nkeyboard 1 42 0\nkeyboard report\n"));
	check(strstr(output,
		"pointer 3 0 100\npointer 3 1 200\npointer 1 272 1\npointer report\n"
		"pointer 1 272 0\npointer report\n"
		"pointer 2 11 -240\npointer 2 8 -2\npointer 2 0 -3\npointer 2 1 4\n"
		"pointer report\n"));
	check(strstr(output, "touch 3 57 0\ntouch 3 53 5\ntouch 3 54 6\ntouch 1 330 1\n"));
	stop_watcher(&v);
	expect_no_devices(&v);
	stop(&v);
}

TEST_TIMEOUT(bursts_are_not_lost, 300) {
	struct input_vm v;
	start(&v);
	start_watcher(&v, "--device keyboard");
	/* The kernel keeps 64 events for a reader, which is 16 characters. */
	vm_job_signal(v.vm, v.watcher, SIGSTOP);
	uint32_t job = vm_spawn(v.vm,
		"t=; for i in $(seq 50); do t=${t}qwertzuiop; done; helix-input --token %s type $t "
		"key 28; echo typed",
		v.token);
	vm_job_expect(v.vm, job, "typed", 60);
	vm_job_signal(v.vm, v.watcher, SIGCONT);
	vm_job_expect(v.vm, v.watcher, "keyboard 1 28 0\n", 30);
	const char *output = vm_job_output(v.vm, v.watcher);
	check_int(count_text(output, "dropped"), ==, 0);
	check_int(count_text(output, " 1\nkeyboard report\n"), ==, 501);
	/* Who never reads holds up nobody else, and not for ever. */
	vm_job_signal(v.vm, v.watcher, SIGSTOP);
	vm_run_ok(v.vm, 60,
		"for i in 1 2 3; do helix-input --token %s type qwertzuiopqwertzuiopqwertzuiop key 28; "
		"done",
		v.token);
	vm_run_ok(v.vm, 20, "helix-input --create true");
	stop_watcher(&v);
	stop(&v);
}

TEST_TIMEOUT(what_is_held_is_released, 300) {
	struct input_vm v;
	start(&v);
	start_watcher(&v, "");
	vm_run_ok(v.vm, 20, "helix-input --token %s down 29 down 272", v.token);
	vm_job_expect(v.vm, v.watcher, "keyboard 1 29 0\nkeyboard report\n", 10);
	vm_job_expect(v.vm, v.watcher, "pointer 1 272 0\npointer report\n", 10);

	uint32_t holder =
		vm_spawn(v.vm, "exec helix-input --token %s down 30 wait 1000000", v.token);
	vm_job_expect(v.vm, v.watcher, "keyboard 1 30 1\n", 10);
	/* What another one does in the meantime is its own. */
	vm_run_ok(v.vm, 20, "helix-input --token %s key 31", v.token);
	vm_job_expect(v.vm, v.watcher, "keyboard 1 31 0\n", 10);
	check(!strstr(vm_job_output(v.vm, v.watcher), "keyboard 1 30 0\n"));
	vm_job_signal(v.vm, holder, SIGKILL);
	vm_job_expect(v.vm, v.watcher, "keyboard 1 30 0\nkeyboard report\n", 10);

	/* A link ends with its set. */
	holder = vm_spawn(v.vm, "exec helix-input --token %s down 30 wait 1000000", v.token);
	vm_job_expect(v.vm, v.watcher, "keyboard 1 30 1\nkeyboard report\n", 10);
	stop_watcher(&v);
	check_int(vm_job_wait(v.vm, holder, 10), ==, 1);
	expect_no_devices(&v);
	check_int(vm_run(v.vm, 20, "helix-input --token %s key 31", v.token), ==, 1);
	check(strstr(vm_output(v.vm), "no devices have that token"));
	stop(&v);
}

TEST_TIMEOUT(console_hears_nothing, 300) {
	struct input_vm v;
	start(&v);
	/* Not cat: it would splice, and the kernel keeps the pipe locked while it waits. */
	uint32_t console = vm_spawn(v.vm, "while read -r line; do echo \"$line\"; done </dev/tty1");
	/* Proof that the test would see it. */
	vm_run_ok(v.vm, 20, "input-driver bare");
	vm_job_expect(v.vm, console, "x\n", 10);
	start_watcher(&v, "");
	vm_run_ok(v.vm, 20, "helix-input --token %s type 'never seen\n'", v.token);
	vm_job_expect(v.vm, v.watcher, "keyboard 1 28 0\n", 10);
	check_str(vm_run_ok(v.vm, 20, "input-driver write"), "refused\n");
	check_str(vm_run_ok(v.vm, 60, "input-driver ungrab"), "ended\n");
	check_str(vm_run_ok(v.vm, 60, "input-driver revoke"), "ended\n");
	vm_run_ok(v.vm, 20, "input-driver bare");
	vm_job_expect(v.vm, console, "x\nx\n", 10);
	check_str(vm_job_output(v.vm, console), "x\nx\n");
	vm_job_signal(v.vm, console, SIGKILL);
	stop_watcher(&v);
	stop(&v);
}

TEST_TIMEOUT(node_may_come_late, 300) {
	struct input_vm v;
	start(&v);
	vm_run_ok(v.vm, 20, "rmmod evdev");
	uint32_t job = vm_spawn(v.vm, "exec helix-input --watch");
	/* There, but without a node. */
	vm_run_ok(v.vm, 20,
		"until grep -q 'desktop keyboard' /sys/class/input/input*/name; do usleep 20000; done");
	check(!strstr(vm_job_output(v.vm, job), "token "));
	vm_run_ok(v.vm, 20, "insmod /lib/modules/evdev.ko");
	vm_job_expect(v.vm, job, "token ", 4);
	vm_job_signal(v.vm, job, SIGKILL);
	expect_no_devices(&v);

	vm_run_ok(v.vm, 20, "rmmod evdev");
	check_int(vm_run(v.vm, 30, "helix-input --create true"), ==, 1);
	check(strstr(vm_output(v.vm), "node did not appear"));
	vm_run_ok(v.vm, 20, "insmod /lib/modules/evdev.ko && helix-input --create true");
	expect_no_devices(&v);
	stop(&v);
}

TEST_TIMEOUT(nothing_is_left_behind, 600) {
	struct input_vm v;
	start(&v);
	vm_run_ok(v.vm, 20, "helix-input --create true");
	expect_no_devices(&v);
	char before[64];
	static const char count[] = "ls /proc/$(pidof helix-input-manager)/fd | wc -l; "
				    "ls /sys/devices/virtual/input | wc -l";
	(void)snprintf(before, sizeof(before), "%s", vm_run_ok(v.vm, 10, count));
	vm_run_ok(v.vm, 400,
		"for i in $(seq 200); do helix-input --create true || exit 1; done; echo cycles");
	expect_no_devices(&v);
	check_str(vm_run_ok(v.vm, 10, count), before);

	/* As many as may be at once, killed. */
	vm_run_ok(v.vm, 100,
		"for i in $(seq 16); do helix-input --create sleep 1000 & done; "
		"until [ $(helix-input --list | wc -l) = 48 ]; do usleep 100000; done; "
		"! helix-input --create true && killall -9 helix-input sleep");
	check(strstr(vm_output(v.vm), "too many devices"));
	expect_no_devices(&v);
	check_str(vm_run_ok(v.vm, 10, count), before);
	stop(&v);
}

TEST_TIMEOUT(others_do_not_notice, 300) {
	struct input_vm v;
	start(&v);
	start_watcher(&v, "--device keyboard");
	const char *output = vm_run_ok(v.vm, 120, "input-driver latency 8");
	(void)fprintf(stderr, "# %s", output);
	uint32_t flood = vm_spawn(v.vm, "exec input-driver flood");
	for (unsigned i = 0; i < 20; i++) {
		vm_run_ok(v.vm, 20, "helix-input --token %s key 30", v.token);
	}
	check_int(vm_job_wait(v.vm, flood, 60), ==, 0);
	vm_run_ok(v.vm, 20, "helix-input --token %s key 28", v.token);
	vm_job_expect(v.vm, v.watcher, "keyboard 1 28 0\n", 10);
	check_int(count_text(vm_job_output(v.vm, v.watcher), "keyboard 1 30 1\n"), ==, 20);
	check(strstr(vm_job_output(v.vm, v.manager), "more such lines were left out"));
	stop_watcher(&v);
	stop(&v);
}
