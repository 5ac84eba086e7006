/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "exporter.h"
#include "test.h"
#include "util.h"

#define START_TIMEOUT_MS 10000
#define STOP_TIMEOUT_MS  10000
#define ARGS_MAX         32u
#define LOG_TAIL         3000u

void sleep_ms(unsigned ms) {
	(void)poll(NULL, 0, (int)ms);
}

/* The end of the log, in memory of its own. */
static char *read_log(const struct exporter *e) {
	char *text = NULL;
	size_t size = 0;
	FILE *f = fopen(e->log_path, "re");
	if (!f || getdelim(&text, &size, '\0', f) < 0) {
		free(text);
		text = strdup("");
	}
	if (f) {
		(void)fclose(f);
	}
	return text;
}

static _Noreturn void fail_with_log(const struct exporter *e, const char *what) {
	char *log = read_log(e);
	fprintf(stderr, "%s; the end of its log:\n%s\n", what, test_log_end(log, LOG_TAIL));
	free(log);
	fail("%s", what);
}

bool exporter_logged(const struct exporter *e, const char *text) {
	char *log = read_log(e);
	bool found = strstr(log, text) != NULL;
	free(log);
	return found;
}

static int open_notify_socket(const struct exporter *e, char *ret_path, size_t size) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	(void)snprintf(ret_path, size, "%s/notify", e->dir);
	memcpy(address.sun_path, ret_path, strlen(ret_path) + 1);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	check(fd >= 0);
	check_int(bind(fd, (struct sockaddr *)&address, sizeof(address)), ==, 0);
	return fd;
}

static _Noreturn void run_child(
	const struct exporter *e, const char *notify, const char *const *extra) {
	const char *program = getenv("HELIX_FRAME_EXPORT");
	const char *args[ARGS_MAX] = {program, "--socket-path", e->socket_path, "--listen", "0"};
	for (unsigned n = 5; extra && *extra && n + 1 < ARGS_MAX; n++, extra++) {
		args[n] = *extra;
	}
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)setenv("NOTIFY_SOCKET", notify, 1);
	int log = open(e->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (log >= 0 && dup2(log, STDERR_FILENO) >= 0) {
		(void)execv(program, (char *const *)(uintptr_t)args);
	}
	_exit(127);
}

void exporter_start(struct exporter *e, const char *const *extra) {
	*e = (struct exporter){.pid = -1};
	if (!getenv("HELIX_FRAME_EXPORT")) {
		skip("HELIX_FRAME_EXPORT does not name the program");
	}
	(void)snprintf(e->dir, sizeof(e->dir), "/tmp/helix-test-XXXXXX");
	check(mkdtemp(e->dir));
	(void)snprintf(e->socket_path, sizeof(e->socket_path), "%s/gpu.sock", e->dir);
	(void)snprintf(e->log_path, sizeof(e->log_path), "%s/log", e->dir);
	char notify[96];
	CLEANUP_CLOSE int fd = open_notify_socket(e, notify, sizeof(notify));

	e->pid = fork();
	check(e->pid >= 0);
	if (e->pid == 0) {
		run_child(e, notify, extra);
	}
	struct pollfd p = {fd, POLLIN, 0};
	for (unsigned ms = 0; poll(&p, 1, 100) != 1; ms += 100) {
		exporter_check_alive(e);
		if (ms > START_TIMEOUT_MS) {
			fail_with_log(e, "helix-frame-export does not get ready");
		}
	}
	(void)unlink(notify);
	char *log = read_log(e);
	const char *at = strstr(log, " port ");
	e->port = at ? (uint16_t)strtoul(at + 6, NULL, 10) : 0;
	free(log);
	check_int(e->port, >, 0);
}

void exporter_check_alive(struct exporter *e) {
	int status;
	pid_t pid = waitpid(e->pid, &status, WNOHANG);
	if (pid == e->pid) {
		e->pid = -1;
		fail_with_log(e,
			WIFSIGNALED(status) ? "helix-frame-export was killed by a signal"
					    : "helix-frame-export has ended");
	}
}

void exporter_stop(struct exporter *e) {
	exporter_check_alive(e);
	check_int(kill(e->pid, SIGTERM), ==, 0);
	int status = -1;
	for (unsigned ms = 0; waitpid(e->pid, &status, WNOHANG) == 0; ms += 5) {
		if (ms > STOP_TIMEOUT_MS) {
			fail_with_log(e, "helix-frame-export does not end on SIGTERM");
		}
		sleep_ms(5);
	}
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		fail_with_log(e,
			WIFSIGNALED(status) ? strsignal(WTERMSIG(status))
					    : "helix-frame-export did not end well");
	}
	(void)unlink(e->log_path);
	(void)unlink(e->socket_path);
	(void)rmdir(e->dir);
}

struct frontend *exporter_connect(struct exporter *e, const struct frontend_options *options) {
	struct frontend *fe;
	int r = frontend_connect(e->socket_path, options, &fe);
	if (r < 0) {
		exporter_check_alive(e);
		fail_with_log(e, "a front end cannot connect");
	}
	return fe;
}

struct frontend *exporter_start_guest(struct exporter *e, const struct frontend_options *options) {
	struct frontend *fe = exporter_connect(e, options);
	int r = frontend_start(fe);
	if (r < 0) {
		exporter_check_alive(e);
		fail_with_log(e, "the driver cannot start");
	}
	return fe;
}

void exporter_check_serves(struct exporter *e) {
	exporter_check_alive(e);
	struct frontend *fe = exporter_start_guest(e, NULL);
	struct virtio_gpu_resp_display_info info;
	struct fake_screen *s;
	check_int(gpu_get_display_info(fe, &info), ==, VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
	check_int(info.pmodes[0].enabled, ==, 1);
	check_ok(fake_screen_create(
		fe, 0, 640, 480, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, 2, GUEST_CONTIGUOUS, &s));
	for (int i = 0; i < 4; i++) {
		check_int(fake_screen_flip(s, NULL, NULL), ==, VIRTIO_GPU_RESP_OK_NODATA);
	}
	fake_screen_destroy(s);
	check_ok(frontend_stop(fe));
	frontend_destroy(fe);
	exporter_check_alive(e);
}

/* The text of a file of /proc/PID; empty if it cannot be read. */
static void read_proc(pid_t pid, const char *name, char *buf, size_t size) {
	char path[128];
	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	FILE *f = fopen(path, "re");
	size_t n = f ? fread(buf, 1, size - 1, f) : 0;
	buf[n] = '\0';
	if (f) {
		(void)fclose(f);
	}
}

size_t exporter_rss(const struct exporter *e) {
	char text[256];
	unsigned long size = 0, resident = 0, shared = 0;
	read_proc(e->pid, "statm", text, sizeof(text));
	check_int(sscanf(text, "%lu %lu %lu", &size, &resident, &shared), ==, 3);
	return (resident - shared) * (size_t)sysconf(_SC_PAGESIZE);
}

unsigned exporter_fds(const struct exporter *e) {
	return test_fds_of(e->pid);
}

/* utime and stime would be in ticks of 10 ms: schedstat has nanoseconds, for each thread. */
static uint64_t sum_threads(pid_t pid, const char *wanted) {
	char path[64], name[96], text[256];
	uint64_t sum = 0;
	(void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	DIR *dir = opendir(path);
	check(dir);
	for (struct dirent *d; (d = readdir(dir));) {
		if (d->d_name[0] == '.') {
			continue;
		}
		(void)snprintf(name, sizeof(name), "task/%.20s/comm", d->d_name);
		read_proc(pid, name, text, sizeof(text));
		text[strcspn(text, "\n")] = '\0';
		if (wanted && strcmp(text, wanted) != 0) {
			continue;
		}
		(void)snprintf(name, sizeof(name), "task/%.20s/schedstat", d->d_name);
		read_proc(pid, name, text, sizeof(text));
		sum += strtoull(text, NULL, 10);
	}
	(void)closedir(dir);
	return sum;
}

pid_t exporter_only_renderer(const struct exporter *e) {
	pid_t pids[TEST_CHILDREN_MAX];
	for (unsigned i = 0; i < 200; i++) {
		if (test_children_of(e->pid, pids) == 1) {
			return pids[0];
		}
		sleep_ms(50);
	}
	test_fail(__FILE__, __LINE__, "there is more than one renderer, or none");
}

uint64_t exporter_renderers_ns(const struct exporter *e) {
	pid_t pids[TEST_CHILDREN_MAX];
	uint64_t sum = 0;
	for (unsigned i = 0, n = test_children_of(e->pid, pids); i < n; i++) {
		sum += sum_threads(pids[i], NULL);
	}
	return sum;
}

uint64_t exporter_cpu_ns(const struct exporter *e) {
	return sum_threads(e->pid, NULL);
}

uint64_t exporter_thread_ns(const struct exporter *e, const char *name) {
	return sum_threads(e->pid, name);
}
