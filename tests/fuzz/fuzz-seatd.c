/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The seatd face with up to four clients on socket pairs. The input is a script: a byte below 0xE0
 * says how many of the bytes that follow the current client sends in one piece; others change the
 * client, make it read, or make the lease go and come. Invariants are checked after each.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "log.h"
#include "seatd.h"
#include "util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CLIENTS 4u

enum {
	OP_CLIENT = 0xE0, /* … 0xE3: which one speaks; it connects if it has to */
	OP_READ = 0xE8,   /* it takes what there is */
	OP_READ_BYTE = 0xE9,
	OP_CLOSE = 0xEA,
	OP_HALF_CLOSE = 0xEB,
	OP_PAUSE = 0xEC,
	OP_RESUME = 0xED,
	OP_BUS_TAKE = 0xEE, /* as the other face would */
	OP_BUS_RELEASE = 0xEF,
	OP_INPUT_GONE = 0xF0,
};

static sd_event *loop;

struct scene {
	struct devices devices;
	struct session session;
	struct seatd seatd;
	struct controller bus;
	int fds[CLIENTS];
	unsigned current;
};

static void ignore(struct controller *c) {
}

static void ignore_device(struct controller *c, const struct device *device) {
}

static const struct controller_ops bus_ops = {ignore, ignore, ignore_device};

static int null_fd(void) {
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		abort();
	}
	return fd;
}

static void set_up(struct scene *s) {
	if (!loop && sd_event_new(&loop) < 0) {
		abort();
	}
	log_set_level(LOG_LEVEL_ERROR);
	*s = (struct scene){.bus.ops = &bus_ops};
	devices_init(&s->devices);
	session_init(&s->session, &s->devices);
	seatd_init(&s->seatd, loop, &s->session);
	if (devices_add(&s->devices, DEVICE_CARD, 226, 0, "/dev/dri/card0", null_fd()) < 0 ||
		devices_add(&s->devices, DEVICE_INPUT, 13, 64, "/dev/input/event0", null_fd()) <
			0) {
		abort();
	}
	for (unsigned i = 0; i < CLIENTS; i++) {
		s->fds[i] = -1;
	}
}

static void check(const struct scene *s) {
	const struct seatd_client *c;
	unsigned n = 0, n_active = 0;
	list_for_each(c, &s->seatd.clients, link) {
		bool active = c->state == SEATD_ENABLED || c->state == SEATD_DISABLING;
		n++;
		n_active += active;
		if (active != (s->session.controller == &c->control) ||
			(c->state == SEATD_ENABLED && !s->session.active) ||
			c->n_out > sizeof(c->out) || c->n_in > sizeof(c->in)) {
			abort();
		}
		/* Nobody waits while the seat is free. */
		if (c->state == SEATD_WAITING && s->session.active && !s->session.controller) {
			abort();
		}
	}
	if (n != s->seatd.n_clients || n_active > 1) {
		abort();
	}
}

static void run_loop(const struct scene *s) {
	while (sd_event_run(loop, 0) > 0) {
		check(s);
	}
}

static void connect_client(struct scene *s) {
	int fds[2];
	if (s->fds[s->current] >= 0) {
		return;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0 ||
		seatd_add_client(&s->seatd, fds[1]) < 0) {
		abort();
	}
	s->fds[s->current] = fds[0];
}

static void receive(int fd, size_t size) {
	uint8_t buf[4096];
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(4 * sizeof(int))];
	} control;
	for (;;) {
		struct iovec iov = {buf, MIN(size, sizeof(buf))};
		struct msghdr msg = {.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control.space,
			.msg_controllen = sizeof(control.space)};
		if (recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) <= 0) {
			return;
		}
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		if (c) {
			int got;
			memcpy(&got, CMSG_DATA(c), sizeof(got));
			(void)close(got);
		}
		if (size == 1) {
			return;
		}
	}
}

static void run_op(struct scene *s, uint8_t op) {
	int *fd = &s->fds[s->current];
	switch (op) {
	case OP_READ:
		receive(*fd, SIZE_MAX);
		break;
	case OP_READ_BYTE:
		receive(*fd, 1);
		break;
	case OP_CLOSE:
		*fd = close_fd(*fd);
		break;
	case OP_HALF_CLOSE:
		(void)shutdown(*fd, SHUT_WR);
		break;
	case OP_PAUSE:
		session_pause(&s->session);
		break;
	case OP_RESUME:
		session_resume(&s->session, null_fd());
		break;
	case OP_BUS_TAKE:
		(void)session_take(&s->session, &s->bus);
		break;
	case OP_BUS_RELEASE:
		session_release(&s->session, &s->bus);
		break;
	case OP_INPUT_GONE:
		session_drop_input(&s->session);
		break;
	default:
		s->current = op % CLIENTS;
		connect_client(s);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct scene s;
	set_up(&s);
	connect_client(&s);
	for (size_t at = 0; at < size;) {
		uint8_t op = data[at++];
		if (op < OP_CLIENT) {
			size_t n = MIN((size_t)op, size - at);
			(void)send(s.fds[s.current], data + at, n, MSG_NOSIGNAL | MSG_DONTWAIT);
			at += n;
		} else {
			run_op(&s, op);
		}
		check(&s);
		run_loop(&s);
	}
	for (unsigned i = 0; i < CLIENTS; i++) {
		s.fds[i] = close_fd(s.fds[i]);
	}
	run_loop(&s);
	if (s.seatd.n_clients != 0) {
		abort();
	}
	seatd_finish(&s.seatd);
	devices_finish(&s.devices);
	return 0;
}
