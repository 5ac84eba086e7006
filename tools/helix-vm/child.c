/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "child.h"

/* Moves them out of the way first: the numbers wanted may be among those they have. */
static int place_fds(const int *fds, unsigned n) {
	int high[CHILD_FDS_MAX];
	for (unsigned i = 0; i < n; i++) {
		high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3 + (int)CHILD_FDS_MAX);
		if (high[i] < 0) {
			return -errno;
		}
	}
	for (unsigned i = 0; i < n; i++) {
		if (dup2(high[i], 3 + (int)i) < 0) {
			return -errno;
		}
	}
	return 0;
}

static _Noreturn void run(const struct child_config *config, pid_t parent) {
	/* Not SIGTERM: a program that hangs would stay. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent) {
		_exit(EXIT_FAILURE);
	}
	sigset_t none;
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)signal(SIGPIPE, SIG_DFL);
	if (!config->foreground) {
		/* Ctrl-C is for us to answer, not for all of the terminal's programs at once. */
		(void)setpgid(0, 0);
		int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
		(void)dup2(null, STDIN_FILENO);
	}
	/* Ours are not theirs. */
	(void)unsetenv("WATCHDOG_USEC");
	(void)unsetenv("WATCHDOG_PID");
	(void)unsetenv("NOTIFY_SOCKET");
	if (config->notify_socket) {
		(void)setenv("NOTIFY_SOCKET", config->notify_socket, 1);
	}
	int r = place_fds(config->fds, config->n_fds);
	if (r == 0) {
		(void)execvp(config->argv[0], config->argv);
		r = -errno;
	}
	(void)fprintf(stderr, "%s: %s\n", config->argv[0], strerror(-r));
	_exit(127);
}

static int handle_exit(sd_event_source *source, const siginfo_t *info, void *data) {
	struct child *c = data;
	c->pid = 0;
	c->source = sd_event_source_disable_unref(c->source);
	c->ended(info->si_code == CLD_EXITED ? info->si_status : 128 + info->si_status, c->data);
	return 0;
}

int child_start(struct child *c, sd_event *loop, const struct child_config *config) {
	if (config->n_fds > CHILD_FDS_MAX) {
		return -E2BIG;
	}
	pid_t parent = getpid(), pid = fork();
	if (pid < 0) {
		return -errno;
	}
	if (pid == 0) {
		run(config, parent);
	}
	int r = sd_event_add_child(loop, &c->source, pid, WEXITED, handle_exit, c);
	if (r < 0) {
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
		return r;
	}
	c->pid = pid;
	return 0;
}

void child_signal(const struct child *c, int signal) {
	if (c->pid > 0) {
		(void)kill(c->pid, signal);
	}
}

void child_finish(struct child *c) {
	c->source = sd_event_source_disable_unref(c->source);
	c->pid = 0;
}
