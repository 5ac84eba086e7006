/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log.h"
#include "util.h"

LOG_MODULE("encoder");

/* How long a killed child may take to go; one that a driver holds in the kernel does not. */
#define REAP_MS 1000u

/* What the child writes into the pipe; smaller than PIPE_BUF. */
struct report {
	int r;
	char why[PROBE_WHY_MAX];
};

/* Drivers print, dump core, and install what they like: none of it is ours. */
static _Noreturn void run_child(
	const struct encoder_ops *ops, const char *render_node, int fd, pid_t parent) {
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent) {
		_exit(EXIT_FAILURE);
	}
	(void)setrlimit(RLIMIT_CORE, &(struct rlimit){0});
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0) {
		for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++) {
			(void)dup2(null, i);
		}
	}
	/* Sockets that QEMU and clients wait on must close when the parent says so. */
	enum {
		REPORT_FD = STDERR_FILENO + 1
	};
	if (dup2(fd, REPORT_FD) < 0 || close_range(REPORT_FD + 1, UINT_MAX, 0) < 0) {
		_exit(EXIT_FAILURE);
	}
	struct report report = {0};
	report.r = probe_check(ops, render_node, report.why);
	ssize_t n = write(REPORT_FD, &report, sizeof(report));
	_exit(n == sizeof(report) ? EXIT_SUCCESS : EXIT_FAILURE);
}

/* True once there is something to read, or nothing more to come. */
static bool wait_readable(int fd, uint64_t deadline) {
	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		int r = poll(&p, 1, ms_until(deadline));
		if (r > 0) {
			return true;
		}
		if (r == 0 || errno != EINTR) {
			return false;
		}
	}
}

static void reap(pid_t pid) {
	(void)kill(pid, SIGKILL);
	int fd = pidfd_open(pid, 0); /* readable when it has ended */
	bool ended = fd >= 0 && wait_readable(fd, now_ns() + REAP_MS * NSEC_PER_MSEC);
	if (fd >= 0) {
		(void)close(fd);
	}
	if (waitpid(pid, NULL, ended ? 0 : WNOHANG) != pid) {
		log_warn("process %d, which tried an encoder, cannot be ended: the driver hangs",
			pid);
	}
}

int probe_run(const struct encoder_ops *ops, const char *render_node, unsigned timeout_ms,
	char ret_why[static PROBE_WHY_MAX]) {
	int fds[2];
	ret_why[0] = '\0';
	if (pipe2(fds, O_CLOEXEC) < 0) {
		return -errno;
	}
	uint64_t deadline = now_ns() + timeout_ms * NSEC_PER_MSEC;
	pid_t parent = getpid();
	pid_t pid = fork();
	if (pid < 0) {
		int r = -errno;
		(void)close(fds[0]);
		(void)close(fds[1]);
		return r;
	}
	if (pid == 0) {
		(void)close(fds[0]);
		run_child(ops, render_node, fds[1], parent);
	}
	(void)close(fds[1]);
	struct report report = {.r = -ETIMEDOUT, .why = "its driver hangs"};
	if (wait_readable(fds[0], deadline) &&
		read(fds[0], &report, sizeof(report)) != sizeof(report)) {
		report = (struct report){.r = -EIO, .why = "its driver crashed"};
	}
	reap(pid);
	(void)close(fds[0]);
	(void)snprintf(ret_why, PROBE_WHY_MAX, "%.*s", (int)PROBE_WHY_MAX - 1, report.why);
	return report.r;
}

static const char *vendor_name(uint32_t vendor) {
	switch (vendor) {
	case 0x1002:
		return "AMD";
	case 0x10de:
		return "NVIDIA";
	case 0x8086:
		return "Intel";
	case 0:
		return "";
	default:
		return "of another vendor";
	}
}

/* "vaapi on /dev/dri/renderD128 (AMD)" */
static void describe(const struct probe_candidate *c, char *buf, size_t size) {
	(void)snprintf(buf, size, "%s%s%s%s%s%s", c->ops->name, c->render_node[0] ? " on " : "",
		c->render_node, c->vendor ? " (" : "", vendor_name(c->vendor),
		c->vendor ? ")" : "");
}

const struct encoder_ops *probe_select(
	const char *name, const char *render_node, char ret_render_node[static PROBE_NODE_MAX]) {
	struct probe_candidate found[PROBE_CANDIDATES];
	unsigned n = probe_find("", name, render_node, found);
	bool by_name = strcmp(name, "auto") != 0;
	uint64_t begin = now_ns(), end = begin + PROBE_TOTAL_MS * NSEC_PER_MSEC;
	char text[PROBE_NODE_MAX + 64], tried[512] = "no hardware that encodes was found";
	size_t len = 0;

	ret_render_node[0] = '\0';
	for (unsigned i = 0; i < n; i++) {
		const struct probe_candidate *c = &found[i];
		char why[PROBE_WHY_MAX];
		uint64_t now = now_ns();
		unsigned ms = now < end ? (unsigned)((end - now) / NSEC_PER_MSEC) : 0;
		int r = probe_run(c->ops, c->render_node[0] ? c->render_node : NULL,
			MIN(ms, PROBE_TIMEOUT_MS), why);
		bool may_pass = by_name && r != -ETIMEDOUT && r != -ENODEV;
		describe(c, text, sizeof(text));
		if (r >= 0 || may_pass) {
			(void)snprintf(ret_render_node, PROBE_NODE_MAX, "%s", c->render_node);
		}
		if (r >= 0) {
			log_info("%s, tried in %" PRIu64 " ms", text,
				(now_ns() - begin) / NSEC_PER_MSEC);
			return c->ops;
		}
		if (may_pass) {
			log_warn_errno(r,
				"%s fails now (%s) and will be tried again; until then x264", text,
				why);
			return c->ops;
		}
		if (len < sizeof(tried)) {
			len += (size_t)snprintf(tried + len, sizeof(tried) - len, "%s%s: %s",
				len > 0 ? "; " : "", text, why[0] ? why : strerror(-r));
		}
	}
	if (by_name) {
		log_err("x264 instead of %s: %s", name, tried);
	} else {
		log_info("x264 (%s)", tried);
	}
	return NULL;
}
