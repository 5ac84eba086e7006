/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rig.h"
#include "test.h"
#include "util.h"

#define ARGS_MAX 48u
#define AWAIT_S  20u
#define PATH_LEN 256u

static const char *const programs[] = {"weston", "mutter", "gnome-shell", "pipewire", "wireplumber",
	"pipewire-pulse", "desktop-bridge", "client", "logind-stub"};

static const char *in_dir(const struct rig *r, const char *name, char ret[PATH_LEN]) {
	(void)snprintf(ret, PATH_LEN, "%s/%s", r->dir, name);
	return ret;
}

static void write_text(const char *path, const char *text) {
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	check(fd >= 0);
	check_int(write(fd, text, strlen(text)), ==, strlen(text));
	(void)close(fd);
}

/* To be freed; "" if there is no such file. */
static char *read_text(const char *path) {
	char *text = NULL;
	size_t size = 0;
	FILE *f = fopen(path, "re");
	if (!f || getdelim(&text, &size, '\0', f) < 0) {
		free(text);
		text = strdup("");
	}
	if (f) {
		(void)fclose(f);
	}
	check(text);
	return text;
}

void rig_init(struct rig *r) {
	char path[PATH_LEN], bin[PATH_LEN];
	*r = (struct rig){.dir = "/tmp/helix-launcher-XXXXXX"};
	check(mkdtemp(r->dir));
	(void)snprintf(r->runtime, sizeof(r->runtime), "%s/run", r->dir);
	(void)snprintf(r->log, sizeof(r->log), "%s/log", r->dir);
	(void)snprintf(r->output, sizeof(r->output), "%s/output", r->dir);
	check(mkdir(r->runtime, 0700) == 0);
	check(mkdir(in_dir(r, "bin", bin), 0700) == 0);
	check(mkdir(in_dir(r, "udev", path), 0700) == 0);
	for (unsigned i = 0; i < ARRAY_SIZE(programs); i++) {
		(void)snprintf(path, sizeof(path), "%s/bin/%s", r->dir, programs[i]);
		check(symlink(getenv("HELIX_FAKE_PROGRAM"), path) == 0);
	}
	check(access(getenv("HELIX_FAKE_PROGRAM"), X_OK) == 0);
	fake_manager_start(&r->manager, in_dir(r, "drm.sock", path));
}

void rig_finish(struct rig *r) {
	if (r->launcher > 0) {
		rig_signal(r, SIGTERM);
		(void)rig_wait(r, 20000);
	}
	fake_manager_stop(&r->manager);
	pid_t pid = fork();
	if (pid == 0) {
		(void)execl("/bin/rm", "rm", "-rf", r->dir, (char *)NULL);
		_exit(1);
	}
	check_int(waitpid(pid, NULL, 0), ==, pid);
}

static _Noreturn void become_launcher(const struct rig *r, const char *const args[]) {
	const char *program = getenv("HELIX_LAUNCHER");
	const char *argv[ARGS_MAX] = {"unshare", "--pid", "--fork", "--mount-proc", "--kill-child",
		program, "--card=/dev/null", "--log-level=debug"};
	char udev[PATH_LEN], path[PATH_LEN], search[PATH_LEN + 32];
	size_t n = 8, first = r->as_init ? 0 : 5;
	(void)snprintf(udev, sizeof(udev), "--udev-dir=%s/udev", r->dir);
	argv[n++] = udev;
	for (size_t i = 0; args[i] && n < ARGS_MAX - 1; i++) {
		argv[n++] = args[i];
	}
	/* One that it must not hand on, like what engines of containers leave open. */
	(void)fcntl(STDERR_FILENO, F_DUPFD, 40);
	int output = open(r->output, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	(void)dup2(output, STDOUT_FILENO);
	(void)dup2(output, STDERR_FILENO);
	(void)snprintf(search, sizeof(search), "%s:/usr/bin:/bin", in_dir(r, "bin", path));
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	const char *leaks = getenv("ASAN_OPTIONS");
	(void)clearenv();
	(void)setenv("PATH", search, 1);
	(void)setenv("HOME", r->dir, 1);
	(void)setenv("XDG_RUNTIME_DIR", r->runtime, 1);
	(void)setenv("HELIX_TEST_DIR", r->dir, 1);
	(void)setenv("HELIX_TEST_LOG", r->log, 1);
	(void)setenv("HELIX_LEASE_SOCKET", r->manager.path, 1);
	if (leaks) {
		(void)setenv("ASAN_OPTIONS", leaks, 1);
	}
	(void)execvp(argv[first], (char *const *)argv + first);
	_exit(127);
}

void rig_start(struct rig *r, const char *const args[]) {
	/* What the one before said is not this one's. */
	(void)unlink(r->output);
	r->launcher = fork();
	check(r->launcher >= 0);
	if (r->launcher == 0) {
		become_launcher(r, args);
	}
}

_Noreturn void rig_fail(const struct rig *r, const char *what) {
	char *log = read_text(r->log), *output = read_text(r->output);
	fprintf(stderr, "%s\n-- the launcher:\n%s\n-- the programs:\n%s\n", what, output, log);
	free(log);
	free(output);
	if (r->launcher > 0) {
		(void)kill(r->launcher, SIGKILL);
	}
	fail("%s", what);
}

int rig_wait(struct rig *r, unsigned ms) {
	uint64_t deadline = now_ns() + ms * NSEC_PER_MSEC;
	int status;
	pid_t pid;
	while ((pid = waitpid(r->launcher, &status, WNOHANG)) == 0) {
		if (now_ns() > deadline) {
			rig_fail(r, "the launcher does not end");
		}
		(void)poll(NULL, 0, 10);
	}
	check_int(pid, ==, r->launcher);
	r->launcher = 0;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* The only child of unshare(1), which does not pass signals on. */
static pid_t init_of(pid_t pid) {
	char path[64];
	(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
	char *text = read_text(path);
	long child = strtol(text, NULL, 10);
	free(text);
	return (pid_t)child;
}

void rig_signal(struct rig *r, int signal) {
	pid_t pid = r->as_init ? init_of(r->launcher) : r->launcher;
	check(pid > 0 && kill(pid, signal) == 0);
}

void rig_does(struct rig *r, const char *program, const char *what) {
	char path[PATH_LEN];
	(void)snprintf(path, sizeof(path), "%s/%s.does", r->dir, program);
	if (what) {
		write_text(path, what);
	} else {
		(void)unlink(path);
	}
}

void rig_remove_program(struct rig *r, const char *program) {
	char path[PATH_LEN];
	(void)snprintf(path, sizeof(path), "/usr/bin/%s", program);
	if (access(path, F_OK) == 0) {
		skip("a program that should be missing is installed");
	}
	(void)snprintf(path, sizeof(path), "%s/bin/%s", r->dir, program);
	check(unlink(path) == 0);
}

void rig_lease(struct rig *r, const char *facts) {
	char path[PATH_LEN];
	write_text(in_dir(r, "lease", path), facts);
}

/* Calls `found` for each line that begins so, with its number from 1. */
static unsigned scan(const struct rig *r, const char *line, unsigned *ret_first, char *ret_last) {
	char *log = read_text(r->log);
	unsigned n = 0, number = 0;
	char *rest = log;
	for (char *word; (word = strtok_r(rest, "\n", &rest));) {
		number++;
		if (strncmp(word, line, strlen(line)) == 0) {
			*ret_first = n++ == 0 ? number : *ret_first;
			(void)snprintf(ret_last, PATH_LEN, "%s", word + strlen(line));
		}
	}
	free(log);
	return n;
}

unsigned rig_count(const struct rig *r, const char *line) {
	unsigned first = 0;
	char last[PATH_LEN];
	return scan(r, line, &first, last);
}

unsigned rig_place(const struct rig *r, const char *line) {
	unsigned first = 0;
	char last[PATH_LEN];
	(void)scan(r, line, &first, last);
	return first;
}

unsigned rig_number(const struct rig *r, const char *line) {
	unsigned first = 0;
	char last[PATH_LEN] = "";
	return scan(r, line, &first, last) > 0 ? (unsigned)strtoul(last, NULL, 10) : 0;
}

/* Nothing more will come of it. */
static bool is_over(const struct rig *r, uint64_t deadline) {
	siginfo_t info = {0};
	return now_ns() > deadline ||
		(r->launcher > 0 &&
			waitid(P_PID, (id_t)r->launcher, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
			info.si_pid == r->launcher);
}

void rig_await(const struct rig *r, const char *line, unsigned count) {
	uint64_t deadline = now_ns() + AWAIT_S * NSEC_PER_SEC;
	for (bool over; rig_count(r, line) < count;) {
		over = is_over(r, deadline);
		if (over && rig_count(r, line) < count) {
			char text[PATH_LEN];
			(void)snprintf(text, sizeof(text), "no %u times '%s'", count, line);
			rig_fail(r, text);
		}
		(void)poll(NULL, 0, 10);
	}
}

bool rig_said(const struct rig *r, const char *text) {
	char *output = read_text(r->output);
	bool found = strstr(output, text) != NULL;
	free(output);
	return found;
}

void rig_await_said(const struct rig *r, const char *text) {
	uint64_t deadline = now_ns() + AWAIT_S * NSEC_PER_SEC;
	for (bool over; !rig_said(r, text);) {
		over = is_over(r, deadline);
		if (over && !rig_said(r, text)) {
			rig_fail(r, text);
		}
		(void)poll(NULL, 0, 10);
	}
}

char *rig_file(const struct rig *r, const char *name) {
	char path[PATH_LEN];
	(void)snprintf(path, sizeof(path), "%s/%s", r->runtime, name);
	return read_text(path);
}

bool rig_has(const struct rig *r, const char *path_in_dir) {
	char path[PATH_LEN];
	return access(in_dir(r, path_in_dir, path), F_OK) == 0;
}

char *rig_ask(const struct rig *r, const char *line) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct timeval limit = {.tv_sec = 10};
	char *text = calloc(1, 4096);
	size_t used = 0;
	check(text);
	(void)snprintf(
		address.sun_path, sizeof(address.sun_path), "%s/helix-launcher.sock", r->runtime);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	check(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0);
	check(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	check_int(send(fd, line, strlen(line), MSG_NOSIGNAL), ==, strlen(line));
	for (ssize_t n; used < 4095 && !strchr(text, '\n');) {
		n = recv(fd, text + used, 4095 - used, 0);
		if (n <= 0) {
			break;
		}
		used += (size_t)n;
	}
	(void)close(fd);
	return text;
}
