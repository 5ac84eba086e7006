/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "parse.h"
#include "process.h"
#include "util.h"

extern char **environ;

#define FIRST_FD 3

/* Programs that are not for people are not in PATH. */
static const char *const daemon_dirs[] = {HELIX_LIBEXECDIR, "/usr/local/bin", "/usr/bin",
	"/usr/libexec", "/usr/local/sbin", "/usr/sbin"};

/* Whether `a` and `b`, "NAME=value", are of the same name. */
static bool same_name(const char *a, const char *b) {
	size_t n = strcspn(a, "=");
	return strncmp(a, b, n) == 0 && b[n] == '=';
}

/* Our environment, with `extra` in place of what has the same name. To be freed. */
static char **make_environment(const char *const extra[]) {
	size_t n = 0, n_extra = 0;
	while (environ && environ[n]) {
		n++;
	}
	while (extra[n_extra]) {
		n_extra++;
	}
	char **env = calloc(n + n_extra + 1, sizeof(*env));
	if (!env) {
		return NULL;
	}
	size_t used = 0;
	for (size_t i = 0; i < n; i++) {
		bool replaced = false;
		for (size_t k = 0; k < n_extra; k++) {
			replaced = replaced || same_name(extra[k], environ[i]);
		}
		if (!replaced) {
			env[used++] = environ[i];
		}
	}
	for (size_t k = 0; k < n_extra; k++) {
		env[used++] = (char *)extra[k];
	}
	return env;
}

/*
 * To their numbers: first out of the way of all of them, then into place. A number that is still
 * marked to be closed would be lost at exec without a word, so that is looked at.
 */
static int place_fds(const struct process_spec *spec) {
	int aside[PROCESS_FDS_MAX];
	for (size_t i = 0; i < spec->n_fds; i++) {
		aside[i] = fcntl(spec->fds[i].fd, F_DUPFD_CLOEXEC, FIRST_FD + 2 * PROCESS_FDS_MAX);
		if (aside[i] < 0) {
			return -errno;
		}
	}
	if (close_range(FIRST_FD, ~0u, CLOSE_RANGE_CLOEXEC) < 0) {
		return -errno;
	}
	for (size_t i = 0; i < spec->n_fds; i++) {
		if (dup2(aside[i], spec->fds[i].as) < 0) {
			return -errno;
		}
		int flags = fcntl(spec->fds[i].as, F_GETFD);
		if (flags < 0 || (flags & FD_CLOEXEC)) {
			return -EBADFD;
		}
	}
	return 0;
}

static void reset_signals(void) {
	sigset_t none;
	struct sigaction fallback = {.sa_handler = SIG_DFL};
	for (int i = 1; i < NSIG; i++) {
		(void)sigaction(i, &fallback, NULL);
	}
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* `status` is told the error, and closed by a successful exec. */
static _Noreturn void run_child(
	const struct process_spec *spec, char **env, pid_t parent, int status) {
	reset_signals();
	(void)setsid();
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	/* It may have died before that. */
	int r = getppid() == parent ? 0 : -ESRCH;
	/* Its place may be one that a descriptor goes to. */
	int report = fcntl(status, F_DUPFD_CLOEXEC, FIRST_FD + 4 * PROCESS_FDS_MAX);
	if (r == 0) {
		r = report < 0 ? -errno : place_fds(spec);
	}
	if (r == 0) {
		(void)execve(spec->path, spec->argv, env);
		r = -errno;
	}
	if (write(report, &r, sizeof(r)) < 0) {
		_exit(126);
	}
	_exit(127);
}

int process_start(const struct process_spec *spec, pid_t *ret_pid) {
	CLEANUP_FREE char **env = make_environment(spec->env);
	int status[2], r = 0;
	if (!env) {
		return -ENOMEM;
	}
	if (pipe2(status, O_CLOEXEC) < 0) {
		return -errno;
	}
	pid_t parent = getpid();
	pid_t pid = fork();
	if (pid == 0) {
		run_child(spec, env, parent, status[1]);
	}
	if (pid < 0) {
		r = -errno;
	}
	status[1] = close_fd(status[1]);
	int error;
	ssize_t n = 0;
	while (pid > 0 && (n = read(status[0], &error, sizeof(error))) < 0 && errno == EINTR) {
	}
	status[0] = close_fd(status[0]);
	if (pid > 0 && n == (ssize_t)sizeof(error)) {
		(void)waitpid(pid, NULL, 0);
		r = error;
	}
	if (r < 0) {
		return r;
	}
	*ret_pid = pid;
	return 0;
}

void process_signal(pid_t pid, int signal) {
	if (pid > 0) {
		(void)kill(-pid, signal);
		if (signal == SIGTERM) {
			/* One that was stopped could not answer. */
			(void)kill(-pid, SIGCONT);
		}
	}
}

pid_t process_ended(int *ret_status) {
	siginfo_t info = {0};
	if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0) {
		return errno == ECHILD ? -ECHILD : 0;
	}
	*ret_status = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
	return info.si_pid;
}

void process_reap(pid_t pid) {
	(void)waitpid(pid, NULL, WNOHANG);
}

void process_signal_all(int signal) {
	char text[4096];
	if (getpid() == 1) {
		/* All there is in our container. */
		(void)kill(-1, signal);
		(void)kill(-1, signal == SIGTERM ? SIGCONT : 0);
		return;
	}
	int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;
	(void)close_fd(fd);
	text[MAX(n, 0)] = '\0';
	char *rest = text;
	for (char *word; (word = strtok_r(rest, " ", &rest));) {
		uint32_t pid;
		if (parse_u32(word, 1, INT32_MAX, &pid) == 0) {
			(void)kill((pid_t)pid, signal);
			(void)kill((pid_t)pid, signal == SIGTERM ? SIGCONT : 0);
		}
	}
}

void process_close_on_exec(void) {
	(void)close_range(FIRST_FD, ~0u, CLOSE_RANGE_CLOEXEC);
}

static int try_path(const char *dir, size_t dir_len, const char *name, char *ret, size_t size) {
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%.*s/%s", (int)dir_len, dir, name);
	if (n < 0 || (size_t)n >= sizeof(path) || access(path, X_OK) < 0) {
		return -ENOENT;
	}
	if ((size_t)n >= size) {
		return -ENAMETOOLONG;
	}
	memcpy(ret, path, (size_t)n + 1);
	return 0;
}

int process_find(const char *name, char *ret, size_t size) {
	char self[PATH_MAX];
	if (strchr(name, '/')) {
		return access(name, X_OK) < 0                             ? -errno
			: (size_t)snprintf(ret, size, "%s", name) >= size ? -ENAMETOOLONG
									  : 0;
	}
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	self[MAX(n, 0)] = '\0';
	const char *slash = strrchr(self, '/');
	int r = slash ? try_path(self, (size_t)(slash - self), name, ret, size) : -ENOENT;
	const char *path = getenv("PATH");
	while (r == -ENOENT && path && *path) {
		size_t len = strcspn(path, ":");
		r = len > 0 ? try_path(path, len, name, ret, size) : -ENOENT;
		path += len + (path[len] == ':');
	}
	for (size_t i = 0; r == -ENOENT && i < ARRAY_SIZE(daemon_dirs); i++) {
		r = try_path(daemon_dirs[i], strlen(daemon_dirs[i]), name, ret, size);
	}
	return r;
}
