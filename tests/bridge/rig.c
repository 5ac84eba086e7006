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
#include <sys/wait.h>
#include <unistd.h>

#include "libhelix/counter.h"
#include "proto/ws-messages.h"
#include "rig.h"
#include "test.h"
#include "util.h"

#define TIMEOUT_MS 15000u
#define ARGS_MAX   32u

char *rig_read(const char *path) {
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
	return text;
}

static _Noreturn void fail_with_log(const char *log_path, const char *what) {
	char *log = rig_read(log_path);
	(void)fprintf(stderr, "%s; the end of its log:\n%s\n", what, test_log_end(log, 3000));
	free(log);
	fail("%s", what);
}

static _Noreturn void run(const struct rig *r, const char *const *args, const char *log_path) {
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)setenv("XDG_RUNTIME_DIR", r->dir, 1);
	int log = open(log_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int out = open(r->out_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (log >= 0 && dup2(log, STDERR_FILENO) >= 0 && out >= 0 &&
		dup2(out, STDOUT_FILENO) >= 0) {
		(void)execv(args[0], (char *const *)(uintptr_t)args);
	}
	_exit(127);
}

/* Returns when the log tells the port that it serves. */
static pid_t start(
	const struct rig *r, const char *const *args, const char *log_path, uint16_t *ret_port) {
	int status;
	(void)unlink(log_path);
	pid_t pid = fork();
	check(pid >= 0);
	if (pid == 0) {
		run(r, args, log_path);
	}
	*ret_port = 0;
	for (unsigned ms = 0; *ret_port == 0; ms += 10) {
		char *log = rig_read(log_path);
		const char *at = strstr(log, " port ");
		*ret_port = at && strchr(at, '\n') ? (uint16_t)strtoul(at + 6, NULL, 10) : 0;
		free(log);
		if (ms > TIMEOUT_MS || waitpid(pid, &status, WNOHANG) == pid) {
			fail_with_log(log_path, "does not start");
		}
		sleep_ms(10);
	}
	return pid;
}

/* A sanitizer's complaint is a bad end, too. */
static void stop(pid_t pid, const char *log_path) {
	int status = -1;
	check_int(kill(pid, SIGTERM), ==, 0);
	for (unsigned ms = 0; waitpid(pid, &status, WNOHANG) == 0; ms += 5) {
		if (ms > TIMEOUT_MS) {
			fail_with_log(log_path, "does not end on SIGTERM");
		}
		sleep_ms(5);
	}
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		fail_with_log(log_path, "did not end well");
	}
}

static void start_exporter(struct rig *r, uint16_t port) {
	char number[16];
	const char *args[] = {getenv("HELIX_FRAME_EXPORT"), "--source", "pattern", "--mode",
		"640x480@60", "--max-outputs", "6", "--listen", number, NULL};
	(void)snprintf(number, sizeof(number), "%u", port);
	r->exporter = start(r, args, r->exporter_log_path, &r->exporter_port);
}

static void prepare(struct rig *r) {
	*r = (struct rig){0};
	if (!getenv("HELIX_DESKTOP_BRIDGE") || !getenv("HELIX_FRAME_EXPORT")) {
		skip("HELIX_DESKTOP_BRIDGE and HELIX_FRAME_EXPORT do not name the programs");
	}
	(void)snprintf(r->dir, sizeof(r->dir), "/tmp/helix-test-XXXXXX");
	check(mkdtemp(r->dir));
	(void)snprintf(r->log_path, sizeof(r->log_path), "%s/log", r->dir);
	(void)snprintf(
		r->exporter_log_path, sizeof(r->exporter_log_path), "%s/exporter-log", r->dir);
	(void)snprintf(r->out_path, sizeof(r->out_path), "%s/out", r->dir);
}

static void start_bridge(struct rig *r, unsigned scanout, const char *const *options) {
	char exporter[16], number[16];
	const char *args[ARGS_MAX] = {getenv("HELIX_DESKTOP_BRIDGE"), "--exporter", exporter,
		"--scanout", number, "--listen", "0", "--input", "log", "--web-root", r->dir};
	(void)snprintf(exporter, sizeof(exporter), "%u", r->exporter_port);
	(void)snprintf(number, sizeof(number), "%u", scanout);
	for (unsigned n = 11; options && *options && n + 1 < ARGS_MAX; n++, options++) {
		args[n] = *options;
	}
	r->bridge = start(r, args, r->log_path, &r->port);
}

void rig_start(struct rig *r, unsigned scanout, const char *const *options) {
	prepare(r);
	start_exporter(r, 0);
	start_bridge(r, scanout, options);
}

void rig_start_on(
	struct rig *r, uint16_t exporter_port, unsigned scanout, const char *const *options) {
	prepare(r);
	r->exporter_port = exporter_port;
	start_bridge(r, scanout, options);
}

void rig_stop_exporter(struct rig *r) {
	stop(r->exporter, r->exporter_log_path);
	r->exporter = 0;
}

void rig_restart_exporter(struct rig *r) {
	start_exporter(r, r->exporter_port);
}

void rig_stop_bridge(struct rig *r) {
	stop(r->bridge, r->log_path);
	r->bridge = 0;
}

void rig_stop(struct rig *r) {
	char command[96];
	if (r->bridge) {
		rig_stop_bridge(r);
	}
	if (r->exporter) {
		rig_stop_exporter(r);
	}
	(void)snprintf(command, sizeof(command), "rm -rf %s", r->dir);
	check_int(system(command), ==, 0);
}

unsigned rig_fds(const struct rig *r) {
	return test_fds_of(r->bridge);
}

size_t rig_rss(const struct rig *r) {
	char path[64];
	unsigned long size, resident;
	(void)snprintf(path, sizeof(path), "/proc/%d/statm", (int)r->bridge);
	FILE *f = fopen(path, "re");
	check(f && fscanf(f, "%lu %lu", &size, &resident) == 2);
	(void)fclose(f);
	return resident * 4096;
}

uint64_t rig_cpu_ns(const struct rig *r) {
	char path[64];
	unsigned long long ns;
	(void)snprintf(path, sizeof(path), "/proc/%d/schedstat", (int)r->bridge);
	FILE *f = fopen(path, "re");
	check(f && fscanf(f, "%llu", &ns) == 1);
	(void)fclose(f);
	return ns;
}

int http_ask(uint16_t port, const char *request, char *ret, size_t size, size_t *ret_size) {
	struct ws_client c = {.fd = tcp_open(port, 0)};
	int status = 0;
	size_t n = 0;
	ws_send_raw(&c, request, strlen(request));
	(void)shutdown(c.fd, SHUT_WR);
	for (;;) {
		struct pollfd p = {c.fd, POLLIN, 0};
		check_int(poll(&p, 1, (int)TIMEOUT_MS), ==, 1);
		ssize_t got = recv(c.fd, ret + n, size - 1 - n, 0);
		if (got <= 0) {
			break;
		}
		n += (size_t)got;
		check_int(n, <, size - 1);
	}
	ret[n] = '\0';
	*ret_size = n;
	(void)sscanf(ret, "HTTP/1.1 %d ", &status);
	ws_close(&c);
	return status;
}

int http_get(uint16_t port, const char *path, char *ret, size_t size, size_t *ret_size) {
	char request[512];
	(void)snprintf(request, sizeof(request),
		"GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nConnection: close\r\n\r\n", path, port);
	return http_ask(port, request, ret, size, ret_size);
}

double rig_metric(const struct rig *r, const char *name) {
	static char text[32768];
	char line[128];
	size_t n;
	check_int(http_get(r->port, "/metrics", text, sizeof(text), &n), ==, 200);
	(void)snprintf(line, sizeof(line), "\ndesktop_bridge_%s ", name);
	const char *at = strstr(text, line);
	if (!at) {
		fail("/metrics has no %s", name);
	}
	return strtod(at + strlen(line), NULL);
}

void watch_open(struct watch *w, const struct rig *r, const char *more_init) {
	*w = (struct watch){.decoder = decode_create()};
	check(w->decoder);
	check(ws_open(&w->ws, r->port, "/ws/stream", NULL));
	ws_send_init(&w->ws, more_init);
}

void watch_close(struct watch *w) {
	decode_destroy(w->decoder);
	ws_close(&w->ws);
}

void watch_take(struct watch *w, const struct ws_message *m) {
	struct ws_video_frame f;
	check_int(ws_decode_video_frame(m->data, m->size, &f), ==, WS_VIDEO_FRAME_SIZE);
	check(w->frames > 0 || (f.flags & WS_FRAME_KEY));
	check_int(f.pts_us, >, w->last_pts);
	/* What follows a gap begins with an IDR, else this fails. */
	check_ok(decode_feed(w->decoder, m->data + WS_VIDEO_FRAME_SIZE,
		m->size - WS_VIDEO_FRAME_SIZE, &w->picture));
	check_int(w->picture.key, ==, (f.flags & WS_FRAME_KEY) != 0);
	check_int(f.width, ==, w->picture.width);
	check_int(f.height, ==, w->picture.height);
	w->last_pts = f.pts_us;
	w->frames++;
	w->keyframes += w->picture.key;
}

bool watch_frame(struct watch *w, unsigned timeout_ms) {
	struct ws_message m;
	uint64_t until = now_ns() + timeout_ms * NSEC_PER_MSEC;
	while (now_ns() < until && ws_receive(&w->ws, &m, timeout_ms)) {
		if (m.opcode == OP_BINARY && m.size > 0 && m.data[0] == WS_VIDEO_FRAME) {
			watch_take(w, &m);
			return true;
		}
		if (m.opcode == OP_CLOSE) {
			fail("closed with %u", m.close_code);
		}
	}
	return false;
}
