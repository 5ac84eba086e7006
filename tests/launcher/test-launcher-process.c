/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "process.h"
#include "test.h"
#include "util.h"

#define SHELL(line) ((char *const[]){(char *)"sh", (char *)"-c", (char *)(line), NULL})

static int wait_for(pid_t pid) {
	int status = -1;
	pid_t ended;
	while ((ended = process_ended(&status)) == 0) {
		(void)poll(NULL, 0, 5);
	}
	check_int(ended, ==, pid);
	process_reap(pid);
	return status;
}

/* Starts a line of the shell; what it writes to descriptor 3 is read from the result. */
static pid_t start(const char *line, int *ret_fd) {
	int p[2];
	pid_t pid;
	check(pipe2(p, O_CLOEXEC) == 0);
	struct process_spec spec = {.path = "/bin/sh",
		.argv = SHELL(line),
		.env = {"HELIX_TEST_A=new"},
		.fds = {{p[1], 3}},
		.n_fds = 1};
	check_ok(process_start(&spec, &pid));
	(void)close(p[1]);
	*ret_fd = p[0];
	return pid;
}

/* All that comes until its end. */
static char *read_all(int fd) {
	static char text[4096];
	size_t used = 0;
	for (ssize_t n; (n = read(fd, text + used, sizeof(text) - 1 - used)) > 0;) {
		used += (size_t)n;
	}
	text[used] = '\0';
	(void)close(fd);
	return text;
}

TEST(environment_is_replaced_not_doubled) {
	int fd;
	check(setenv("HELIX_TEST_A", "old", 1) == 0);
	check(setenv("HELIX_TEST_AB", "kept", 1) == 0);
	pid_t pid = start("env | grep ^HELIX_TEST_A >&3", &fd);
	char *text = read_all(fd);
	check(strstr(text, "HELIX_TEST_A=new"));
	check(strstr(text, "HELIX_TEST_AB=kept"));
	check(!strstr(text, "old"));
	check_int(wait_for(pid), ==, 0);
}

TEST(only_the_descriptors_that_were_given) {
	int fd;
	/* Not CLOEXEC: as inherited from who started us. */
	int leak = fcntl(STDERR_FILENO, F_DUPFD, 50);
	check(leak >= 50);
	pid_t pid = start("ls /proc/self/fd | sort -n | tr '\\n' ' ' >&3", &fd);
	/* The last is ls's own, of the directory. */
	check_str(read_all(fd), "0 1 2 3 4 ");
	check_int(wait_for(pid), ==, 0);
	(void)close(leak);
}

/* Each wants the other's number. */
TEST(descriptors_may_change_places) {
	int a[2], b[2];
	pid_t pid;
	char byte;
	check(pipe2(a, O_CLOEXEC) == 0 && pipe2(b, O_CLOEXEC) == 0);
	struct process_spec spec = {.path = "/bin/sh", .argv = NULL, .n_fds = 2};
	char line[64];
	spec.fds[0] = (struct process_fd){a[1], b[1]};
	spec.fds[1] = (struct process_fd){b[1], a[1]};
	(void)snprintf(line, sizeof(line), "printf a >&%d; printf b >&%d", b[1], a[1]);
	check_int(a[1], <, 10);
	check_int(b[1], <, 10);
	spec.argv = SHELL(line);
	check_ok(process_start(&spec, &pid));
	(void)close(a[1]);
	(void)close(b[1]);
	check_int(read(a[0], &byte, 1), ==, 1);
	check_int(byte, ==, 'a');
	check_int(read(b[0], &byte, 1), ==, 1);
	check_int(byte, ==, 'b');
	check_int(wait_for(pid), ==, 0);
	(void)close(a[0]);
	(void)close(b[0]);
}

TEST(error_of_exec_is_returned) {
	pid_t pid = 0;
	struct process_spec spec = {.path = "/nonexistent", .argv = SHELL("")};
	check_int(process_start(&spec, &pid), ==, -ENOENT);
	spec.path = "/";
	check_int(process_start(&spec, &pid), ==, -EACCES);
	spec.path = "/bin/sh";
	spec.fds[0] = (struct process_fd){999, 3};
	spec.n_fds = 1;
	check_int(process_start(&spec, &pid), ==, -EBADF);
	check_int(pid, ==, 0);
	int status;
	check_int(process_ended(&status), ==, -ECHILD);
}

TEST(status_is_as_a_shell_says_it) {
	int fd;
	pid_t pid = start("exit 5", &fd);
	check_int(wait_for(pid), ==, 5);
	(void)close(fd);
	pid = start("kill -9 $$", &fd);
	check_int(wait_for(pid), ==, 128 + SIGKILL);
	(void)close(fd);
}

TEST(signals_are_as_at_first) {
	/* Not by a shell, which would see to its signals itself. */
	char *const argv[] = {
		(char *)"cp", (char *)"/proc/self/status", (char *)"/proc/self/fd/3", NULL};
	int p[2];
	pid_t pid;
	sigset_t mask;
	(void)sigfillset(&mask);
	(void)sigprocmask(SIG_BLOCK, &mask, NULL);
	/* Whoever runs the tests may ignore some, as nohup does. */
	for (int i = 1; i < SIGRTMIN; i++) {
		(void)signal(i, SIG_DFL);
	}
	(void)signal(SIGPIPE, SIG_IGN);
	check(pipe2(p, O_CLOEXEC) == 0);
	struct process_spec spec = {
		.path = "/bin/cp", .argv = argv, .fds = {{p[1], 3}}, .n_fds = 1};
	check_ok(process_start(&spec, &pid));
	(void)close(p[1]);
	const char *text = read_all(p[0]);
	check(strstr(text, "SigBlk:\t0000000000000000"));
	/* But for the two that are glibc's own: make, which uses posix_spawn(), leaves them ignored, and
	 * sigaction() cannot name them. */
	const char *ignored = strstr(text, "SigIgn:\t");
	check(ignored);
	check_int(strtoull(ignored + strlen("SigIgn:\t"), NULL, 16) & ~0x180000000ULL, ==, 0);
	check_int(wait_for(pid), ==, 0);
}

/* The group is what ends: a child of the child too, and one that is stopped. */
TEST(signal_reaches_the_group) {
	int fd;
	pid_t pid = start("sh -c 'echo up >&3; kill -STOP $$; sleep 100' & wait", &fd);
	char text[8];
	check_int(read(fd, text, sizeof(text)), ==, 3);
	check_int(getpgid(pid), ==, pid);
	process_signal(pid, SIGTERM);
	check_int(wait_for(pid), ==, 128 + SIGTERM);
	/* Its end, for nobody has it open any more. */
	check_int(read(fd, text, sizeof(text)), ==, 0);
	(void)close(fd);
}

/* Those that lost their parent come to us, and end with everything. */
TEST(orphans_are_found) {
	int fd, status;
	check(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
	pid_t pid = start("setsid sh -c 'echo up >&3; exec sleep 100' & exit 0", &fd);
	char text[8];
	check_int(read(fd, text, sizeof(text)), ==, 3);
	check_int(wait_for(pid), ==, 0);
	check_int(process_ended(&status), ==, 0);
	process_signal_all(SIGTERM);
	check_int(read(fd, text, sizeof(text)), ==, 0);
	pid_t orphan;
	while ((orphan = process_ended(&status)) == 0) {
		(void)poll(NULL, 0, 5);
	}
	check(orphan > 0 && orphan != pid);
	check_int(status, ==, 128 + SIGTERM);
	process_reap(orphan);
	(void)close(fd);
}

TEST(programs_are_found) {
	char path[256], dir[] = "/tmp/helix-find-XXXXXX", own[300];
	check(mkdtemp(dir));
	(void)snprintf(own, sizeof(own), "%s/helix-find-me", dir);
	check_ok(process_find("/bin/sh", path, sizeof(path)));
	check_str(path, "/bin/sh");
	check_int(process_find("/bin/helix-nonexistent", path, sizeof(path)), ==, -ENOENT);
	check_int(process_find("helix-find-me", path, sizeof(path)), ==, -ENOENT);
	int fd = open(own, O_CREAT | O_WRONLY | O_CLOEXEC, 0700);
	(void)close(fd);
	check(setenv("PATH", dir, 1) == 0);
	check_ok(process_find("helix-find-me", path, sizeof(path)));
	check_str(path, own);
	check_int(process_find("helix-find-me", path, 10), ==, -ENAMETOOLONG);
	/* Not in PATH, but where programs usually are. */
	check_ok(process_find("ls", path, sizeof(path)));
	check(setenv("PATH", "", 1) == 0);
	check_int(process_find("helix-find-me", path, sizeof(path)), ==, -ENOENT);
	(void)unlink(own);
	(void)rmdir(dir);
}
