/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "launcher.h"
#include "test.h"
#include "vm.h"

#define WAIT_NS (60 * NSEC_PER_SEC)
#define LOG     "helix-vm.log"

/* One that is free, and the next one as well, which a second GPU's exporter has. */
static uint16_t free_port(void) {
	uint16_t port;
	do {
		port = vm_free_port();
	} while (!vm_port_is_free(port + 1));
	return port;
}

void launcher_init(struct launcher *l) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	*l = (struct launcher){.dir = "/tmp/helix-launcher-XXXXXX", .vm = {.pidfd = -1}};
	check(mkdtemp(l->dir));
	(void)snprintf(l->runtime, sizeof(l->runtime), "%s/run", l->dir);
	(void)snprintf(l->address, sizeof(l->address), "127.0.0.1:%u", free_port());
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/notify", l->dir);
	l->notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	check(l->notify_fd >= 0);
	check(bind(l->notify_fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	(void)setenv("NOTIFY_SOCKET", address.sun_path, 1);
}

void launcher_finish(struct launcher *l) {
	process_kill(&l->vm, SIGKILL);
	(void)close_fd(l->notify_fd);
	DIR *dir = opendir(l->dir);
	for (struct dirent *e; dir && (e = readdir(dir));) {
		(void)unlinkat(dirfd(dir), e->d_name, 0);
	}
	if (dir) {
		(void)closedir(dir);
	}
	check(rmdir(l->dir) == 0);
}

void launcher_start(struct launcher *l, const char *const options[]) {
	const char *argv[48] = {getenv("HELIX_VM"), "--runtime-dir", l->runtime, "--listen",
		l->address, "--exporter", getenv("HELIX_FRAME_EXPORT"), "--accel", "auto"};
	char log[128];
	size_t n = 9;
	check(argv[0] && argv[6]);
	for (; *options; options++) {
		check_int(n, <, ARRAY_SIZE(argv) - 1);
		argv[n++] = *options;
	}
	(void)snprintf(log, sizeof(log), "%s/" LOG, l->dir);
	process_start(&l->vm, "helix-vm", log, argv);
}

void launcher_wait_ready(struct launcher *l) {
	uint64_t deadline = now_ns() + WAIT_NS;
	char text[256] = "";
	while (strncmp(text, "READY=1", 7) != 0) {
		struct pollfd fds[2] = {{.fd = l->notify_fd, .events = POLLIN},
			{.fd = l->vm.pidfd, .events = POLLIN}};
		if (poll(fds, 2, ms_until(deadline)) == 0 || !(fds[0].revents & POLLIN)) {
			fail("not ready: %s", test_log_end(launcher_file(l, LOG), 400));
		}
		ssize_t n = recv(l->notify_fd, text, sizeof(text) - 1, 0);
		text[MAX(n, 0)] = '\0';
	}
}

const char *launcher_file(const struct launcher *l, const char *file) {
	static char text[65536];
	char path[128];
	(void)snprintf(path, sizeof(path), "%s/%s", l->dir, file);
	FILE *f = fopen(path, "re");
	size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;
	text[n] = '\0';
	if (f) {
		(void)fclose(f);
	}
	return text;
}

static unsigned count(const char *in, const char *text) {
	unsigned n = 0;
	while ((in = strstr(in, text))) {
		in += strlen(text);
		n++;
	}
	return n;
}

void launcher_wait_text(struct launcher *l, const char *file, const char *text, unsigned times) {
	uint64_t deadline = now_ns() + WAIT_NS;
	CLEANUP_CLOSE int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	check(fd >= 0 && inotify_add_watch(fd, l->dir, IN_MODIFY | IN_CREATE) >= 0);
	while (count(launcher_file(l, file), text) < times) {
		char events[4096];
		struct pollfd pollfd = {.fd = fd, .events = POLLIN};
		if (poll(&pollfd, 1, ms_until(deadline)) == 0) {
			fail("no '%s' in %s: %s", text, file,
				test_log_end(launcher_file(l, file), 400));
		}
		(void)!read(fd, events, sizeof(events));
	}
}

pid_t launcher_child(const struct launcher *l, const char *name) {
	pid_t found = 0;
	DIR *proc = opendir("/proc");
	check(proc);
	for (struct dirent *e; (e = readdir(proc));) {
		char path[300], text[512] = "", comm[64];
		int pid, parent;
		(void)snprintf(path, sizeof(path), "/proc/%s/stat", e->d_name);
		FILE *f = fopen(path, "re");
		bool got = f && fgets(text, sizeof(text), f);
		if (f) {
			(void)fclose(f);
		}
		/* The kernel cuts names to 15 bytes. */
		if (got && sscanf(text, "%d (%63[^)]) %*c %d", &pid, comm, &parent) == 3 &&
			parent == l->vm.pid && strncmp(comm, name, strlen(comm)) == 0) {
			found = pid;
		}
	}
	(void)closedir(proc);
	return found;
}

int launcher_end(struct launcher *l, int signal, unsigned timeout_s) {
	struct stat st;
	if (l->vm.pid > 0) {
		(void)kill(l->vm.pid, signal);
	}
	int status = process_wait(&l->vm, timeout_s * 1000);
	if (status < 0) {
		fail("helix-vm does not end: %.600s", launcher_file(l, LOG));
	}
	check(stat(l->runtime, &st) < 0 && errno == ENOENT);
	return status;
}
