/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "process.h"
#include "test.h"

#define LOG_BYTES_MAX (1024 * 1024)

static _Noreturn void run_child(pid_t parent, int log, const char *const argv[]) {
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent) {
		_exit(127);
	}
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	(void)dup2(null, STDIN_FILENO);
	(void)dup2(log, STDOUT_FILENO);
	(void)dup2(log, STDERR_FILENO);
	execvp(argv[0], (char *const *)(uintptr_t)argv);
	(void)fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

void process_start(struct process *p, const char *name, const char *log, const char *const argv[]) {
	*p = (struct process){.name = name, .pidfd = -1};
	(void)snprintf(p->log, sizeof(p->log), "%s", log);
	int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	check(fd >= 0);
	for (size_t i = 0; argv[i]; i++) {
		(void)dprintf(fd, "%s%s", i ? " " : "$ ", argv[i]);
	}
	(void)dprintf(fd, "\n");
	pid_t parent = getpid(), pid = fork();
	check(pid >= 0);
	if (pid == 0) {
		run_child(parent, fd, argv);
	}
	(void)close_fd(fd);
	p->pid = pid;
	p->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	check(p->pidfd >= 0);
}

static void ended(struct process *p) {
	p->pidfd = close_fd(p->pidfd);
	p->pid = 0;
}

static int exit_status(const struct process *p) {
	return WIFSIGNALED(p->status) ? 128 + WTERMSIG(p->status) : WEXITSTATUS(p->status);
}

int process_wait(struct process *p, unsigned timeout_ms) {
	uint64_t deadline = now_ns() + timeout_ms * NSEC_PER_MSEC;
	while (p->pid > 0) {
		struct pollfd pollfd = {.fd = p->pidfd, .events = POLLIN};
		int n = poll(&pollfd, 1, ms_until(deadline));
		if (n == 0) {
			return -ETIMEDOUT;
		}
		if (n > 0 && waitpid(p->pid, &p->status, 0) == p->pid) {
			ended(p);
		}
	}
	return exit_status(p);
}

bool process_alive(struct process *p) {
	return p->pid > 0 && process_wait(p, 0) == -ETIMEDOUT;
}

void process_kill(struct process *p, int signal) {
	if (p->pid <= 0) {
		return;
	}
	(void)kill(p->pid, signal);
	if (process_wait(p, 10000) == -ETIMEDOUT) {
		fail("%s does not end after signal %d", p->name, signal);
	}
}

char *process_log(const struct process *p) {
	FILE *f = fopen(p->log, "re");
	char *text = calloc(1, LOG_BYTES_MAX + 1);
	check(text);
	if (f) {
		size_t n = fread(text, 1, LOG_BYTES_MAX, f);
		text[n] = '\0';
		(void)fclose(f);
	}
	return text;
}

bool process_logged(const struct process *p, const char *text) {
	char *log = process_log(p);
	bool found = strstr(log, text);
	free(log);
	return found;
}

uint64_t process_cpu_ms(const struct process *p) {
	char path[64], text[1024] = "";
	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)p->pid);
	FILE *f = fopen(path, "re");
	if (f) {
		size_t n = fread(text, 1, sizeof(text) - 1, f);
		text[n] = '\0';
		(void)fclose(f);
	}
	/* The name, in brackets, may hold anything; utime and stime are fields 14 and 15. */
	unsigned long user = 0, system = 0;
	const char *rest = strrchr(text, ')');
	if (!rest ||
		sscanf(rest, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
			&system) != 2) {
		fail("%s has no CPU time: is it running?", p->name);
	}
	return (uint64_t)(user + system) * 1000 / (uint64_t)sysconf(_SC_CLK_TCK);
}
