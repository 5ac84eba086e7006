/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The part of a service manager that a test guest without one needs: runs one program, keeps the
 * file descriptors that it hands over (sd_notify FDSTORE=1), and passes them on to the next run of
 * it (LISTEN_FDS), which follows whenever the program ends.
 *
 *   fd-supervisor PROGRAM [ARG]...
 *
 * FD_SUPERVISOR_FORGETS in the environment: names that begin with this are not kept.
 * SIGHUP kills the program, SIGUSR1 asks it to end; SIGTERM ends both. On standard output: "ready
 * PID" each time the program says so, "ended STATUS".
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "util.h"

#define FDS_MAX      256
#define NAME_SIZE    64
#define FIRST_FD     3   /* SD_LISTEN_FDS_START */
#define OUT_OF_WAY   300 /* above all that are passed on */
#define NOTIFY_PATH  "/run/fd-supervisor.sock"
#define MESSAGE_SIZE 4096

struct kept {
	int fd;
	char name[NAME_SIZE];
};

static struct kept kept[FDS_MAX];
static size_t n_kept;
static int notify_fd, signal_fd;

static void put(const char *name, int fd) {
	const char *forgets = getenv("FD_SUPERVISOR_FORGETS");
	if (n_kept == FDS_MAX || (forgets && strncmp(name, forgets, strlen(forgets)) == 0)) {
		(void)close_fd(fd);
		return;
	}
	int high = fcntl(fd, F_DUPFD_CLOEXEC, OUT_OF_WAY);
	(void)close_fd(fd);
	kept[n_kept].fd = high;
	(void)snprintf(kept[n_kept++].name, NAME_SIZE, "%s", name);
}

static void drop(const char *name) {
	for (size_t i = 0; i < n_kept;) {
		if (strcmp(kept[i].name, name) == 0) {
			(void)close_fd(kept[i].fd);
			kept[i] = kept[--n_kept];
		} else {
			i++;
		}
	}
}

static pid_t start(char *argv[]) {
	pid_t pid = fork();
	if (pid != 0) {
		return pid;
	}
	static char names[FDS_MAX * NAME_SIZE];
	char number[16];
	size_t used = 0;
	sigset_t none;
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	/* What the test sends to our group is for us. */
	(void)setsid();
	for (size_t i = 0; i < n_kept; i++) {
		(void)dup2(kept[i].fd, FIRST_FD + (int)i);
		used += (size_t)snprintf(
			names + used, sizeof(names) - used, "%s%s", i ? ":" : "", kept[i].name);
	}
	(void)snprintf(number, sizeof(number), "%d", (int)getpid());
	(void)setenv("LISTEN_PID", number, 1);
	(void)snprintf(number, sizeof(number), "%zu", n_kept);
	(void)setenv("LISTEN_FDS", number, 1);
	(void)setenv("LISTEN_FDNAMES", names, 1);
	(void)setenv("NOTIFY_SOCKET", NOTIFY_PATH, 1);
	if (n_kept == 0) {
		(void)unsetenv("LISTEN_FDS");
	}
	(void)execvp(argv[0], argv);
	_exit(127);
}

static void handle_message(pid_t pid) {
	char text[MESSAGE_SIZE + 1], name[NAME_SIZE] = "stored";
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(8 * sizeof(int))];
	} control;
	struct iovec iov = {text, MESSAGE_SIZE};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space)};
	ssize_t n = recvmsg(notify_fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	if (n < 0) {
		return;
	}
	text[n] = '\0';
	const char *found = strstr(text, "FDNAME=");
	if (found) {
		(void)snprintf(
			name, sizeof(name), "%.*s", (int)strcspn(found + 7, "\n"), found + 7);
	}
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		int fd;
		if (c->cmsg_type == SCM_RIGHTS && c->cmsg_len >= CMSG_LEN(sizeof(fd))) {
			memcpy(&fd, CMSG_DATA(c), sizeof(fd));
			put(name, fd);
		}
	}
	if (strstr(text, "FDSTOREREMOVE=1")) {
		drop(name);
	}
	if (strstr(text, "READY=1")) {
		printf("ready %d\n", (int)pid);
		(void)fflush(stdout);
	}
}

int main(int argc, char *argv[]) {
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = NOTIFY_PATH};
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	(void)unlink(NOTIFY_PATH);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	notify_fd = fcntl(fd, F_DUPFD_CLOEXEC, OUT_OF_WAY);
	(void)close_fd(fd);
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	signal_fd = fcntl(fd, F_DUPFD_CLOEXEC, OUT_OF_WAY);
	(void)close_fd(fd);
	if (argc < 2 || notify_fd < 0 || signal_fd < 0 ||
		bind(notify_fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		(void)fprintf(stderr, "fd-supervisor: cannot start\n");
		return 1;
	}
	pid_t pid = start(argv + 1);
	bool stop = false;
	while (pid > 0) {
		struct pollfd fds[2] = {
			{.fd = notify_fd, .events = POLLIN}, {.fd = signal_fd, .events = POLLIN}};
		(void)poll(fds, 2, -1);
		if (fds[0].revents) {
			/* All of these before the news that their sender has ended. */
			handle_message(pid);
			continue;
		}
		struct signalfd_siginfo info;
		(void)!read(signal_fd, &info, sizeof(info));
		stop = stop || info.ssi_signo == SIGTERM;
		if (info.ssi_signo != SIGCHLD) {
			(void)kill(pid, info.ssi_signo == SIGHUP ? SIGKILL : SIGTERM);
			continue;
		}
		int status;
		while (waitpid(pid, &status, WNOHANG) == pid) {
			printf("ended %d\n", status);
			(void)fflush(stdout);
			pid = stop ? 0 : start(argv + 1);
		}
	}
	return 0;
}
