/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helix-vm: starts helix-frame-export and QEMU with the options they need, and watches both. */
#include <signal.h>
#include <stdio.h>
#include <termios.h>

#include "libvirt.h"
#include "log.h"
#include "machine.h"
#include "qemu-check.h"
#include "runtime-dir.h"

static int print_command(struct args *args) {
	(void)printf("\n");
	args_print_shell(args, stdout);
	int r = args->error;
	args_finish(args);
	return r;
}

static int print_commands(const struct plan *p) {
	struct args args = {0};
	int r = 0;
	(void)printf("mkdir -p -m 700 ");
	print_shell_word(p->dir, stdout);
	(void)printf("\n");
	if (plan_has_bus(p)) {
		plan_bus_command(p, &args);
		r = print_command(&args);
	}
	for (unsigned i = 0; i < p->options->gpus && r == 0; i++) {
		plan_exporter_command(p, i, false, &args);
		r = print_command(&args);
	}
	if (r == 0) {
		plan_qemu_command(p, false, &args);
		r = print_command(&args);
	}
	return r;
}

static int run(const struct plan *p) {
	struct runtime_dir dir;
	struct termios terminal;
	int r = qemu_check(p->options->qemu);
	if (r < 0) {
		return EXIT_FAILURE;
	}
	/* Before anything else: what ends must be waited for, and ends us in order. */
	sigset_t mask;
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGHUP);
	sigaddset(&mask, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &mask, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	/* A QEMU that is killed leaves the terminal as it had set it. */
	bool has_terminal =
		p->options->serial == VM_SERIAL_STDIO && tcgetattr(STDIN_FILENO, &terminal) == 0;
	int status = EXIT_FAILURE;
	if (runtime_dir_init(&dir, p) == 0) {
		status = machine_run(p);
	}
	runtime_dir_finish(&dir);
	if (has_terminal) {
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &terminal);
	}
	return status;
}

int main(int argc, char *argv[]) {
	static struct vm_options options;
	static struct plan plan;
	switch (vm_options_parse(argc, argv, &options)) {
	case OPTIONS_ERROR:
		return 2;
	case OPTIONS_EXIT:
		return 0;
	case OPTIONS_RUN:
		break;
	}
	log_set_level((enum log_level)options.log_level);
	if (plan_init(&plan, &options) < 0) {
		return EXIT_FAILURE;
	}
	switch (options.action) {
	case VM_PRINT_COMMAND:
		return print_commands(&plan) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	case VM_PRINT_LIBVIRT_XML:
		return libvirt_print(&plan, stdout) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	case VM_RUN:
		break;
	}
	return run(&plan);
}
