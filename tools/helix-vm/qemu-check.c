/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "log.h"
#include "qemu-check.h"
#include "util.h"

LOG_MODULE("helix-vm");

#define MAJOR_MIN 8u
#define MINOR_MIN 2u

/* Runs it to its end with these arguments; its output as a string, cut to fit. Its status, -errno. */
static int run(const char *program, const char *arg1, const char *arg2, char *ret, size_t size) {
	const char *argv[] = {program, arg1, arg2, NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none;
	int fds[2], status;
	pid_t pid;
	if (pipe2(fds, O_CLOEXEC) < 0) {
		return -errno;
	}
	sigemptyset(&none);
	(void)posix_spawn_file_actions_init(&actions);
	(void)posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
	(void)posix_spawnattr_init(&attributes);
	(void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
	(void)posix_spawnattr_setsigmask(&attributes, &none);
	int r = -posix_spawnp(
		&pid, program, &actions, &attributes, (char *const *)(uintptr_t)argv, environ);
	(void)posix_spawnattr_destroy(&attributes);
	(void)posix_spawn_file_actions_destroy(&actions);
	(void)close_fd(fds[1]);
	size_t used = 0;
	while (r == 0) {
		char rest[512]; /* read to its end, or the program would hang */
		bool fits = used < size - 1;
		ssize_t n = read(
			fds[0], fits ? ret + used : rest, fits ? size - 1 - used : sizeof(rest));
		if (n <= 0 && !(n < 0 && errno == EINTR)) {
			break;
		}
		used += fits && n > 0 ? (size_t)n : 0;
	}
	ret[used] = '\0';
	(void)close_fd(fds[0]);
	if (r == 0 && waitpid(pid, &status, 0) == pid) {
		r = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	}
	return r;
}

static bool has_line(const char *text, const char *line) {
	size_t n = strlen(line);
	for (const char *at = strstr(text, line); at; at = strstr(at + n, line)) {
		if ((at == text || at[-1] == '\n') && (at[n] == '\n' || at[n] == '\0')) {
			return true;
		}
	}
	return false;
}

int qemu_check(const char *program) {
	char text[2048];
	unsigned major = 0, minor = 0;
	int r = run(program, "--version", NULL, text, sizeof(text));
	if (r < 0) {
		log_err_errno(r,
			"%s (Debian: qemu-system-x86; on Debian 12 that of bookworm-backports)",
			program);
		return r;
	}
	if (sscanf(text, "QEMU emulator version %u.%u", &major, &minor) != 2) {
		log_err("%s does not say which version of QEMU it is", program);
		return -EINVAL;
	}
	if (major < MAJOR_MIN || (major == MAJOR_MIN && minor < MINOR_MIN)) {
		log_err("%s is QEMU %u.%u; %u.%u or newer is needed. Debian 12 has one in "
			"bookworm-backports: apt-get install -t bookworm-backports "
			"qemu-system-x86 qemu-system-modules-opengl",
			program, major, minor, MAJOR_MIN, MINOR_MIN);
		return -EOPNOTSUPP;
	}
	r = run(program, "-display", "help", text, sizeof(text));
	if (r != 0 || !has_line(text, "dbus")) {
		log_err("%s has no D-Bus display, without which no output can be plugged in "
			"(Debian: qemu-system-modules-opengl)",
			program);
		return -EOPNOTSUPP;
	}
	return 0;
}
