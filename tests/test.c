/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "test.h"
#include "util.h"

#define EXIT_SKIP 77 /* what Meson and automake take for "skipped" */

static struct test *tests; // in order of registration
static struct test **tests_tail = &tests;

/* The child writes the reason of a skip or failure here; the parent puts it into the TAP line. */
static int reason_fd = -1;

void test_register(struct test *test) {
	*tests_tail = test;
	tests_tail = &test->next;
}

const char *test_log_end(const char *log, size_t max) {
	size_t n = strlen(log);
	return log + n - MIN(n, max);
}

_Noreturn void test_fail(const char *file, int line, const char *fmt, ...) {
	char text[512];
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	dprintf(reason_fd, "%s:%d: %s", file, line, text);
	_exit(EXIT_FAILURE);
}

_Noreturn void test_skip(const char *why) {
	dprintf(reason_fd, "%s", why);
	_exit(EXIT_SKIP);
}

const char *test_data_path(const char *name) {
	static char path[4096];
	const char *dir = getenv("HELIX_TEST_DATA");
	(void)snprintf(path, sizeof(path), "%s/%s", dir ? dir : "tests/data", name);
	return path;
}

unsigned test_fds_of(pid_t pid) {
	char path[64];
	unsigned n = 0;
	(void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	DIR *dir = opendir(path);
	check(dir);
	for (struct dirent *d; (d = readdir(dir));) {
		n += d->d_name[0] != '.';
	}
	(void)closedir(dir);
	return n;
}

/* Open when the test began, or when it called test_keep_fds. */
static unsigned fds_before;

void test_keep_fds(void) {
	fds_before = test_fds_of(getpid());
}

static _Noreturn void run_child(const struct test *test, int fd) {
	reason_fd = fd;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setpgid(0, 0);
	alarm(test->timeout_s);
	test_keep_fds();
	test->run();
	unsigned after = test_fds_of(getpid());
	if (after > fds_before) {
		dprintf(fd, "leaves %u file descriptors open", after - fds_before);
		_exit(EXIT_FAILURE);
	}
	/* exit, not _exit: LeakSanitizer reports at exit. */
	exit(EXIT_SUCCESS);
}

/* Returns false if the test failed. */
static bool run_one(const struct test *test, int number) {
	int pipefd[2];
	if (pipe(pipefd) < 0) {
		perror("pipe");
		return false;
	}
	(void)fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		close(pipefd[0]);
		run_child(test, pipefd[1]);
	}
	close(pipefd[1]);

	int status = 0;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
	}
	/* Whatever the test started dies with it. */
	kill(-pid, SIGKILL);

	char reason[1024] = "";
	ssize_t n = read(pipefd[0], reason, sizeof(reason) - 1);
	reason[n > 0 ? n : 0] = '\0';
	close(pipefd[0]);
	for (char *p = reason; *p; p++) {
		*p = *p == '\n' ? ' ' : *p;
	}

	if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS) {
		printf("ok %d - %s\n", number, test->name);
		return true;
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SKIP) {
		printf("ok %d - %s # SKIP %s\n", number, test->name, reason);
		return true;
	}
	printf("not ok %d - %s\n", number, test->name);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM) {
		printf("# no end after %u s\n", test->timeout_s);
	} else if (WIFSIGNALED(status)) {
		printf("# killed by signal %d (%s)\n", WTERMSIG(status),
			strsignal(WTERMSIG(status)));
	} else {
		printf("# %s\n", reason[0] ? reason : "exited with an error (see stderr)");
	}
	return false;
}

unsigned test_children_of(pid_t parent, pid_t ret[TEST_CHILDREN_MAX]) {
	char command[96];
	unsigned n = 0;
	int pid;
	(void)snprintf(command, sizeof(command), "cat /proc/%d/task/*/children", (int)parent);
	FILE *f = popen(command, "re");
	check(f);
	while (n < TEST_CHILDREN_MAX && fscanf(f, "%d", &pid) == 1) {
		ret[n++] = pid;
	}
	(void)pclose(f);
	return n;
}

void test_kill_children(pid_t parent) {
	pid_t pids[TEST_CHILDREN_MAX];
	unsigned n = test_children_of(parent, pids);
	check_int(n, >, 0);
	for (unsigned i = 0; i < n; i++) {
		(void)kill(pids[i], SIGKILL);
	}
}

static bool wanted(const struct test *test, int argc, char *argv[]) {
	if (argc < 2) {
		return true;
	}
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], test->name) == 0) {
			return true;
		}
	}
	return false;
}

int main(int argc, char *argv[]) {
	if (argc == 2 && strcmp(argv[1], "-l") == 0) {
		for (struct test *t = tests; t; t = t->next) {
			puts(t->name);
		}
		return 0;
	}
	int n = 0, failed = 0;
	for (struct test *t = tests; t; t = t->next) {
		if (wanted(t, argc, argv)) {
			failed += !run_one(t, ++n);
		}
	}
	printf("1..%d\n", n);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
