/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helix-vm with the real exporter and a QEMU that does what the test wants (fake-qemu.c). */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "launcher.h"
#include "test.h"

#define EXPORTER "helix-frame-export"
#define QEMU     "fake-qemu"

/* A file that is there, as the kernel of a machine that is not. */
static const char *options[16] = {"--kernel", "/dev/null", "--qemu"};

static void start_with(struct launcher *l, const char *behaviour, const char *const more[]) {
	static char log[128];
	size_t n = 3;
	launcher_init(l);
	(void)snprintf(log, sizeof(log), "%s/qemu.log", l->dir);
	(void)setenv("FAKE_QEMU_LOG", log, 1);
	(void)setenv("FAKE_QEMU", behaviour, 1);
	options[n++] = getenv("FAKE_QEMU_PROGRAM");
	check(options[3]);
	for (; more && *more; more++) {
		options[n++] = *more;
	}
	options[n] = NULL;
	launcher_start(l, options);
}

/* A descriptor that tells of the process's end, also when it is not our child. */
static int watch_process(pid_t pid) {
	check(pid > 0);
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	check(fd >= 0);
	return fd;
}

static void check_ended(int pidfd) {
	struct pollfd pollfd = {.fd = pidfd, .events = POLLIN};
	check_int(poll(&pollfd, 1, 10000), ==, 1);
	(void)close_fd(pidfd);
}

TEST(sigterm_leaves_nothing) {
	static const char *const more[] = {"--shutdown-timeout", "1", NULL};
	struct launcher l;
	start_with(&l, "", more);
	launcher_wait_ready(&l);
	int exporter = watch_process(launcher_child(&l, EXPORTER));
	int qemu = watch_process(launcher_child(&l, QEMU));
	check_int(launcher_end(&l, SIGTERM, 20), ==, 0);
	check_ended(exporter);
	check_ended(qemu);
	/* It was asked first. */
	check(strstr(launcher_file(&l, "qemu.log"), "system_powerdown"));
	check(strstr(launcher_file(&l, "helix-vm.log"), "did not shut down in 1 s"));
	launcher_finish(&l);
}

TEST(guest_that_shuts_down) {
	struct launcher l;
	start_with(&l, "powerdown", NULL);
	launcher_wait_ready(&l);
	check_int(launcher_end(&l, SIGINT, 20), ==, 0);
	check(!strstr(launcher_file(&l, "helix-vm.log"), "did not shut down"));
	launcher_finish(&l);
}

/* Who asks twice does not wait for the guest. */
TEST(second_signal_ends_it) {
	struct launcher l;
	start_with(&l, "", NULL);
	launcher_wait_ready(&l);
	check(kill(l.vm.pid, SIGTERM) == 0);
	launcher_wait_text(&l, "qemu.log", "system_powerdown", 1);
	check_int(launcher_end(&l, SIGTERM, 20), ==, 0);
	launcher_finish(&l);
}

TEST(qemu_that_does_not_end_is_killed) {
	static const char *const more[] = {"--shutdown-timeout", "0", NULL};
	struct launcher l;
	start_with(&l, "stubborn", more);
	launcher_wait_ready(&l);
	check_int(launcher_end(&l, SIGTERM, 20), ==, 1);
	launcher_finish(&l);
}

TEST(status_of_qemu) {
	struct launcher l;
	start_with(&l, "exit-7", NULL);
	check_int(launcher_end(&l, 0, 20), ==, 7);
	launcher_finish(&l);

	start_with(&l, "", NULL);
	launcher_wait_ready(&l);
	check(kill(launcher_child(&l, QEMU), SIGKILL) == 0);
	check_int(launcher_end(&l, 0, 20), ==, 128 + SIGKILL);
	launcher_finish(&l);
}

/* That the lines of QEMU's log end with these, written with spaces. */
static void check_log(struct launcher *l, const char *wanted) {
	char text[4096];
	(void)snprintf(text, sizeof(text), "%s", launcher_file(l, "qemu.log"));
	for (char *p = text; *p; p++) {
		*p = *p == '\n' ? ' ' : *p;
	}
	size_t n = strlen(text), k = strlen(wanted);
	if (n < k || strcmp(text + n - k, wanted) != 0) {
		fail("no '%s' at the end of '%s'", wanted, text);
	}
}

/* The round-th time. */
static void kill_exporter(struct launcher *l, unsigned round) {
	pid_t old = launcher_child(l, EXPORTER);
	int ended = watch_process(old);
	check(kill(old, SIGKILL) == 0);
	check_ended(ended);
	launcher_wait_text(l, "qemu.log", "cont\n", round);
	/* The VM is stopped before a new connection can be there, and goes on after it is. */
	check_log(l, "gpu disconnected stop gpu connected query-status cont ");
	pid_t new = launcher_child(l, EXPORTER);
	check(new > 0 && new != old);
}

TEST(exporter_that_dies_is_replaced) {
	struct launcher l;
	start_with(&l, "powerdown", NULL);
	launcher_wait_ready(&l);
	for (unsigned i = 1; i <= 3; i++) {
		kill_exporter(&l, i);
	}
	check(launcher_child(&l, QEMU) > 0);
	check_int(launcher_end(&l, SIGTERM, 20), ==, 0);
	launcher_finish(&l);
}

/* With two there is a message bus, and the other exporter's connection stays. */
TEST(two_exporters) {
	static const char *const more[] = {"--gpus", "2", NULL};
	struct launcher l;
	start_with(&l, "powerdown two-gpus", more);
	launcher_wait_ready(&l);
	int bus = watch_process(launcher_child(&l, "dbus-daemon"));
	kill_exporter(&l, 1);
	check_int(launcher_end(&l, SIGTERM, 20), ==, 0);
	check_ended(bus);
	launcher_finish(&l);
}

/* One that never lives long is given up, and so is the VM. */
TEST(exporter_that_keeps_dying) {
	struct launcher l;
	start_with(&l, "powerdown", NULL);
	launcher_wait_ready(&l);
	for (unsigned i = 1; i <= 5; i++) {
		kill_exporter(&l, i);
	}
	check(kill(launcher_child(&l, EXPORTER), SIGKILL) == 0);
	check_int(launcher_end(&l, 0, 20), ==, 1);
	check(strstr(launcher_file(&l, "helix-vm.log"), "6 times in a row"));
	launcher_finish(&l);
}

/* The next one hangs before it is ready; the VM does not wait for it for ever. */
TEST(exporter_that_hangs) {
	struct launcher l;
	char script[128] = "/tmp/helix-hang-XXXXXX", mark[160];
	int fd = mkstemp(script);
	(void)snprintf(mark, sizeof(mark), "%s.mark", script);
	check(fd >= 0);
	check(dprintf(fd,
		      "#!/bin/sh\nif [ -e %s ]; then rm %s; exec sleep 100; fi\nexec %s \"$@\"\n",
		      mark, mark, getenv("HELIX_FRAME_EXPORT")) > 0);
	check(fchmod(fd, 0755) == 0);
	(void)close_fd(fd);
	const char *const more[] = {"--exporter", script, NULL};
	start_with(&l, "powerdown", more);
	launcher_wait_ready(&l);
	(void)close_fd(open(mark, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	check(kill(launcher_child(&l, EXPORTER), SIGKILL) == 0);
	launcher_wait_text(&l, "helix-vm.log", "does not get ready", 1);
	launcher_wait_text(&l, "qemu.log", "cont\n", 1);
	check(launcher_child(&l, EXPORTER) > 0);
	check_int(launcher_end(&l, SIGTERM, 20), ==, 0);
	check(unlink(script) == 0);
	launcher_finish(&l);
}

TEST(exporter_that_cannot_start) {
	static const char *const bad[] = {"--export-option", "--no-such-option", NULL};
	static const char *const none[] = {"--exporter", "/nowhere/exporter", NULL};
	struct launcher l;
	start_with(&l, "", bad);
	check_int(launcher_end(&l, 0, 20), ==, 1);
	check(!strstr(launcher_file(&l, "qemu.log"), "start"));
	launcher_finish(&l);

	start_with(&l, "", none);
	check_int(launcher_end(&l, 0, 20), ==, 1);
	check(strstr(launcher_file(&l, "helix-vm.log"), "/nowhere/exporter: No such file"));
	launcher_finish(&l);
}

TEST(qemu_that_will_not_do) {
	struct launcher l;
	(void)setenv("FAKE_QEMU_VERSION", "7.2.15", 1);
	start_with(&l, "", NULL);
	check_int(launcher_end(&l, 0, 20), ==, 1);
	check(strstr(launcher_file(&l, "helix-vm.log"), "bookworm-backports"));
	check_str(launcher_file(&l, "qemu.log"), "");
	launcher_finish(&l);

	(void)unsetenv("FAKE_QEMU_VERSION");
	start_with(&l, "no-dbus", NULL);
	check_int(launcher_end(&l, 0, 20), ==, 1);
	check(strstr(launcher_file(&l, "helix-vm.log"), "qemu-system-modules-opengl"));
	launcher_finish(&l);
}

/* Killed itself, it leaves files, but no process; and the next one does not mind the files. */
TEST(nothing_outlives_it) {
	struct launcher l;
	start_with(&l, "stubborn powerdown", NULL);
	launcher_wait_ready(&l);
	int exporter = watch_process(launcher_child(&l, EXPORTER));
	int qemu = watch_process(launcher_child(&l, QEMU));
	process_kill(&l.vm, SIGKILL);
	check_ended(exporter);
	check_ended(qemu);

	launcher_start(&l, options);
	launcher_wait_ready(&l);
	process_kill(&l.vm, SIGTERM);
	/* The directory was there before it. */
	check(rmdir(l.runtime) == 0);
	launcher_finish(&l);
}

TEST(one_vm_of_a_name) {
	struct launcher l;
	char first[sizeof(l.address)];
	start_with(&l, "powerdown", NULL);
	launcher_wait_ready(&l);
	struct process running = l.vm;
	(void)snprintf(first, sizeof(first), "%s", l.address);
	launcher_start(&l, options);
	check_int(process_wait(&l.vm, 10000), ==, 1);
	check(strstr(launcher_file(&l, "helix-vm.log"), "is running"));
	l.vm = running;
	check_int(launcher_end(&l, SIGTERM, 20), ==, 0);
	launcher_finish(&l);
}

/* Nothing of the key is in what other users see. */
TEST(keys_are_not_on_command_lines) {
	static const char key[] =
		"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
	static const char *const programs[] = {EXPORTER, QEMU};
	struct launcher l;
	char path[128] = "/tmp/helix-key-XXXXXX", text[8192];
	int fd = mkstemp(path);
	check(fd >= 0 && write(fd, key, strlen(key)) == (ssize_t)strlen(key));
	(void)close_fd(fd);
	const char *const more[] = {"--manager-key", path, NULL};
	start_with(&l, "powerdown", more);
	launcher_wait_ready(&l);
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
		char name[64];
		bool has_path = false;
		(void)snprintf(name, sizeof(name), "/proc/%d/cmdline",
			(int)launcher_child(&l, programs[i]));
		FILE *f = fopen(name, "re");
		size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;
		check(n > 0);
		(void)fclose(f);
		text[n] = '\0';
		for (const char *p = text; p < text + n; p += strlen(p) + 1) {
			check(!strstr(p, "00112233"));
			has_path |= strstr(p, path) != NULL;
		}
		check(has_path);
	}
	check_int(launcher_end(&l, SIGTERM, 20), ==, 0);
	check(unlink(path) == 0);
	launcher_finish(&l);
}
