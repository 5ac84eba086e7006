/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "control.h"
#include "log.h"

LOG_MODULE("control");

/* More than one descriptor in a message is more than there should be: they are closed. */
#define FDS_MAX 4u

/* Takes the descriptors out of a message; the first is returned, others are closed. */
static int take_fds(struct msghdr *msg) {
	int first = -1;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
			continue;
		}
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (first < 0) {
				first = fd;
			} else {
				(void)close_fd(fd);
			}
		}
	}
	return first;
}

static void handle_command(struct control_line *c, char command, int fd) {
	if (command == 'P' && fd < 0) {
		log_info("the lease is gone");
		session_pause(c->session);
	} else if (command == 'R' && fd >= 0) {
		log_info("there is a new lease");
		session_resume(c->session, fd);
		return;
	} else {
		log_warn("0x%02x %s a descriptor is no command", (unsigned char)command,
			fd < 0 ? "without" : "with");
	}
	(void)close_fd(fd);
}

static int handle_io(sd_event_source *source, int fd, uint32_t events, void *data) {
	struct control_line *c = data;
	char command;
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = &command, .iov_len = 1};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space)};
	ssize_t n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		return 0;
	}
	int passed = n >= 0 ? take_fds(&msg) : -1;
	if (n <= 0) {
		(void)close_fd(passed);
		log_info("whoever started us is gone");
		return sd_event_exit(sd_event_source_get_event(source), 0);
	}
	handle_command(c, command, passed);
	return 0;
}

int control_line_init(struct control_line *c, sd_event *loop, struct session *session, int fd) {
	*c = (struct control_line){.session = session, .fd = fd};
	int r = sd_event_add_io(loop, &c->io, fd, EPOLLIN, handle_io, c);
	if (r < 0) {
		c->fd = close_fd(c->fd);
	}
	return MIN(r, 0);
}

void control_line_finish(struct control_line *c) {
	if (c->session) {
		c->io = sd_event_source_disable_unref(c->io);
		c->fd = close_fd(c->fd);
		c->session = NULL;
	}
}
