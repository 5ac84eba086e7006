/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Clients of the input manager that helix-input is too well-behaved for; runs in the test guest.
 *
 *   input-driver bare            types into a keyboard that is not grabbed: a console sees it
 *   input-driver ungrab|revoke   lets go of its keyboard's grab, then types into it
 *   input-driver write           tries to write to its keyboard's node
 *   input-driver latency N       how long keys take, alone and while N sets come and go
 *   input-driver flood           sends rubbish of all kinds, from many connections
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "devices.h"
#include "input-client.h"
#include "proto/input.h"
#include "util.h"

#define ANSWER_MS 20000

static _Noreturn void die(const char *what, int r) {
	printf("%s: %s\n", what, strerror(-r));
	exit(1);
}

static struct input_set create_set(uint32_t kinds) {
	char error[INPUT_ERROR_SIZE] = "";
	struct input_wish wish = {.name = "driver", .kinds = kinds, .timeout_ms = ANSWER_MS};
	struct input_set set;
	int r = input_set_create(&wish, &set, error);
	if (r < 0) {
		die(error, r);
	}
	return set;
}

static struct input_link open_link(const struct input_set *set) {
	char error[INPUT_ERROR_SIZE] = "";
	struct input_link link;
	int r = input_link_open(&link, NULL, set->token, ANSWER_MS, error);
	if (r < 0) {
		die(error, r);
	}
	return link;
}

static void bare(void) {
	static const struct input_event events[] = {
		{.type = EV_KEY, .code = KEY_X, .value = 1},
		{.type = EV_SYN},
		{.type = EV_KEY, .code = KEY_X, .value = 0},
		{.type = EV_SYN},
		{.type = EV_KEY, .code = KEY_ENTER, .value = 1},
		{.type = EV_SYN},
		{.type = EV_KEY, .code = KEY_ENTER, .value = 0},
		{.type = EV_SYN},
	};
	struct device d;
	int r = device_make(&d, INPUT_KEYBOARD, "bare", "bare", ANSWER_MS);
	if (r == 0 && ioctl(d.evdev_fd, EVIOCGRAB, 0) < 0) {
		r = -errno;
	}
	if (r == 0) {
		r = device_write(&d, events, ARRAY_SIZE(events));
	}
	if (r < 0) {
		die("bare", r);
	}
	device_unmake(&d);
	printf("typed\n");
}

static bool has_ended(int fd) {
	struct pollfd p = {.fd = fd, .events = POLLIN};
	return poll(&p, 1, ANSWER_MS) == 1 && recv(fd, &p, 1, MSG_DONTWAIT) == 0;
}

static void lose_grab(unsigned long request) {
	struct input_set set = create_set(0);
	struct input_link link = open_link(&set);
	if (ioctl(set.devices[0].fd, request, 0) < 0) {
		die("ioctl", -errno);
	}
	(void)input_link_key(&link, KEY_Y, true);
	(void)input_link_key(&link, KEY_Y, false);
	(void)input_link_key(&link, KEY_ENTER, true);
	if (input_link_flush(&link) < 0 || !has_ended(link.fd) || !has_ended(set.connection)) {
		die("the set lives on", -EBUSY);
	}
	printf("ended\n");
	input_link_close(&link);
	input_set_finish(&set);
}

static void write_node(void) {
	static const struct input_event event = {.type = EV_KEY, .code = KEY_Z, .value = 1};
	struct input_set set = create_set(0);
	for (unsigned i = 0; i < set.n_devices; i++) {
		if (write(set.devices[i].fd, &event, sizeof(event)) >= 0 || errno != EBADF) {
			die("it can be written to", -EBUSY);
		}
	}
	printf("refused\n");
	input_set_finish(&set);
}

/* Sets come and go, until the parent has seen enough. */
static pid_t start_churn(unsigned n) {
	pid_t pid = fork();
	if (pid != 0) {
		return pid;
	}
	for (;;) {
		struct input_set sets[16];
		n = MIN(n, ARRAY_SIZE(sets));
		for (unsigned i = 0; i < n; i++) {
			sets[i] = create_set(0);
		}
		for (unsigned i = 0; i < n; i++) {
			input_set_finish(&sets[i]);
		}
	}
}

static void read_report(int fd) {
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct input_event events[64];
	ssize_t n = 0;
	while (n <= 0 || events[n / (ssize_t)sizeof(*events) - 1].type != EV_SYN) {
		if (poll(&p, 1, ANSWER_MS) != 1) {
			die("no key came", -ETIMEDOUT);
		}
		n = read(fd, events, sizeof(events));
	}
}

static int compare(const void *a, const void *b) {
	const double *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

static void measure(const char *when, struct input_link *link, int fd) {
	static double ms[400];
	for (unsigned i = 0; i < ARRAY_SIZE(ms); i++) {
		struct timespec pause = {.tv_nsec = 5 * (long)NSEC_PER_MSEC};
		uint64_t before = now_ns();
		(void)input_link_key(link, KEY_A, i % 2 == 0);
		int r = input_link_flush(link);
		if (r < 0) {
			die("flush", r);
		}
		read_report(fd);
		ms[i] = (double)(now_ns() - before) / 1e6;
		(void)nanosleep(&pause, NULL);
	}
	qsort(ms, ARRAY_SIZE(ms), sizeof(*ms), compare);
	printf("%s: keys took p50 %.2f p95 %.2f longest %.2f ms\n", when, ms[ARRAY_SIZE(ms) / 2],
		ms[ARRAY_SIZE(ms) * 95 / 100], ms[ARRAY_SIZE(ms) - 1]);
}

static void latency(unsigned n) {
	struct input_set set = create_set(0);
	struct input_link link = open_link(&set);
	uint64_t before = now_ns();
	struct input_set other = create_set(0);
	printf("a set took %.1f ms to make\n", (double)(now_ns() - before) / 1e6);
	before = now_ns();
	input_set_finish(&other);
	/* Answered when the worker has unmade the one before. */
	other = create_set(INPUT_KIND_BIT(INPUT_TOUCH));
	printf("%.1f ms until it was gone and a touch screen made\n",
		(double)(now_ns() - before) / 1e6);
	input_set_finish(&other);
	measure("alone", &link, set.devices[0].fd);
	pid_t pid = start_churn(n);
	measure("among others", &link, set.devices[0].fd);
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	input_link_close(&link);
	input_set_finish(&set);
}

static int connect_raw(void) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", INPUT_SOCKET_DEFAULT);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		return close_fd(fd);
	}
	return fd;
}

/* Of each kind in turn; `fds`: those that are kept open. */
static void send_rubbish(unsigned i, int fd) {
	uint8_t buf[4096];
	size_t size = 1 + (i * 7919) % sizeof(buf);
	for (size_t j = 0; j < size; j++) {
		buf[j] = (uint8_t)(i * 31 + j * 17);
	}
	if (i % 2) {
		(void)input_encode_create(buf, sizeof(buf), &(struct input_create){.name = "x"});
		buf[4] = (uint8_t)(i / 2); /* any type */
		size = MIN(size, 64);
	}
	(void)send(fd, buf, size, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void flood(void) {
	int fds[256];
	for (unsigned round = 0; round < 4; round++) {
		for (unsigned i = 0; i < ARRAY_SIZE(fds); i++) {
			fds[i] = connect_raw();
			send_rubbish(round * 256 + i, fds[i]);
		}
		for (unsigned i = 0; i < ARRAY_SIZE(fds); i++) {
			fds[i] = close_fd(fds[i]);
		}
	}
	printf("flooded\n");
}

int main(int argc, char *argv[]) {
	const char *command = argc > 1 ? argv[1] : "";
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	if (strcmp(command, "bare") == 0) {
		bare();
	} else if (strcmp(command, "ungrab") == 0) {
		lose_grab(EVIOCGRAB);
	} else if (strcmp(command, "revoke") == 0) {
		lose_grab(EVIOCREVOKE);
	} else if (strcmp(command, "write") == 0) {
		write_node();
	} else if (strcmp(command, "latency") == 0) {
		latency(argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 8);
	} else if (strcmp(command, "flood") == 0) {
		flood();
	} else {
		printf("unknown command\n");
		return 2;
	}
	return 0;
}
