/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"
#include "util.h"
#include "wlroots-desk.h"

#define NOBODY     65534u /* sway and cage refuse to run as root */
#define TIMEOUT_NS (20 * NSEC_PER_SEC)

bool desk_has(const char *program) {
	char command[96];
	(void)snprintf(command, sizeof(command), "command -v %s >/dev/null", program);
	return system(command) == 0;
}

void desk_init(struct desk *d, const char *compositor, const char *layout) {
	char path[96];
	*d = (struct desk){
		.compositor = compositor,
		.socket = strcmp(compositor, "sway") == 0 ? "wayland-1" : "wayland-0",
	};
	/* Debian's Cage does not start without Xwayland. */
	if (!desk_has(compositor) || (strcmp(compositor, "cage") == 0 && !desk_has("Xwayland"))) {
		skip("sway, cage or Xwayland is not installed: scripts/setup.sh test");
	}
	(void)snprintf(d->dir, sizeof(d->dir), "/tmp/helix-test-XXXXXX");
	check(mkdtemp(d->dir));
	(void)snprintf(path, sizeof(path), "%s/config", d->dir);
	FILE *f = fopen(path, "we");
	check(f && fputs("default_border none\n", f) >= 0 && fclose(f) == 0);
	if (geteuid() == 0) {
		check_int(chown(d->dir, NOBODY, NOBODY), ==, 0);
	}
	check_int(setenv("XDG_RUNTIME_DIR", d->dir, 1), ==, 0);
	check_int(setenv("WAYLAND_DISPLAY", d->socket, 1), ==, 0);
	check_int(setenv("XKB_DEFAULT_LAYOUT", layout, 1), ==, 0);
	check_int(setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent", 1), ==, 0);
	check_ok(sd_event_new(&d->loop));
}

static _Noreturn void run(
	const struct desk *d, const char *const *args, const char *in, const char *out) {
	if (geteuid() == 0 &&
		(setgroups(0, NULL) < 0 || setgid(NOBODY) < 0 || setuid(NOBODY) < 0)) {
		_exit(126);
	}
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* after that, which makes it forgotten */
	(void)signal(SIGPIPE, SIG_DFL);
	(void)setenv("WLR_BACKENDS", "headless", 1);
	(void)setenv("WLR_RENDERER", "pixman", 1);
	(void)setenv("WLR_LIBINPUT_NO_DEVICES", "1", 1);
	(void)setenv("HOME", d->dir, 1);
	int from = open(in, O_RDONLY | O_CLOEXEC);
	int to = open(out, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (from >= 0 && to >= 0 && dup2(from, STDIN_FILENO) >= 0 && dup2(to, STDOUT_FILENO) >= 0 &&
		dup2(to, STDERR_FILENO) >= 0) {
		(void)execvp(args[0], (char *const *)(uintptr_t)args);
	}
	_exit(127);
}

pid_t desk_run(const struct desk *d, const char *const *args, const char *in, const char *out) {
	pid_t pid = fork();
	check(pid >= 0);
	if (pid == 0) {
		run(d, args, in, out);
	}
	return pid;
}

void desk_start(struct desk *d) {
	char path[128], err[128], config[128];
	const char *sway[] = {"sway", "-c", config, NULL};
	const char *cage[] = {"cage", "--", "sleep", "1000", NULL};
	struct stat st;
	(void)snprintf(path, sizeof(path), "%s/%s", d->dir, d->socket);
	(void)snprintf(err, sizeof(err), "%s/err", d->dir);
	(void)snprintf(config, sizeof(config), "%s/config", d->dir);
	d->pid = desk_run(d, strcmp(d->compositor, "sway") == 0 ? sway : cage, "/dev/null", err);
	for (uint64_t end = now_ns() + TIMEOUT_NS; stat(path, &st) < 0;) {
		check(waitpid(d->pid, NULL, WNOHANG) == 0 && now_ns() < end);
		check_ok(sd_event_run(d->loop, 10000));
	}
}

void desk_stop(struct desk *d, int signal) {
	char path[128];
	check_int(kill(d->pid, signal), ==, 0);
	check_int(waitpid(d->pid, NULL, 0), ==, d->pid);
	d->pid = 0;
	(void)snprintf(path, sizeof(path), "%s/%s", d->dir, d->socket);
	(void)unlink(path);
	(void)snprintf(path, sizeof(path), "%s/%s.lock", d->dir, d->socket);
	(void)unlink(path);
}

void desk_finish(struct desk *d) {
	char command[128];
	if (d->pid > 0) {
		desk_stop(d, SIGTERM);
	}
	sd_event_unref(d->loop);
	(void)snprintf(command, sizeof(command), "rm -rf %s", d->dir);
	check_int(system(command), ==, 0);
}
