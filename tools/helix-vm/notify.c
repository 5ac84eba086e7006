/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "notify.h"
#include "util.h"

#define MESSAGE_MAX 4096

static bool has_line(char *message, const char *wanted) {
	char *rest = message, *line;
	while ((line = strsep(&rest, "\n"))) {
		if (strcmp(line, wanted) == 0) {
			return true;
		}
	}
	return false;
}

static int handle_message(sd_event_source *source, int fd, uint32_t revents, void *data) {
	struct notify *n = data;
	char message[MESSAGE_MAX + 1];
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(struct ucred))];
	} control;
	struct iovec iov = {message, MESSAGE_MAX};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes)};
	/* Descriptors that somebody sends along find no room, and the kernel closes them. */
	ssize_t size = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (size < 0) {
		return 0;
	}
	message[size] = '\0';
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		struct ucred ucred;
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_CREDENTIALS ||
			c->cmsg_len != CMSG_LEN(sizeof(ucred))) {
			continue;
		}
		memcpy(&ucred, CMSG_DATA(c), sizeof(ucred));
		if (has_line(message, "READY=1")) {
			n->ready(ucred.pid, n->data);
		}
		break;
	}
	return 0;
}

int notify_listen(struct notify *n, sd_event *loop, const char *path) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(address.sun_path)) {
		return -ENAMETOOLONG;
	}
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &(int){1}, sizeof(int)) < 0) {
		return -errno;
	}
	int r = sd_event_add_io(loop, &n->source, fd, EPOLLIN, handle_message, n);
	if (r < 0) {
		return r;
	}
	(void)sd_event_source_set_io_fd_own(n->source, true);
	(void)take_fd(&fd);
	return 0;
}

void notify_finish(struct notify *n) {
	n->source = sd_event_source_disable_unref(n->source);
}
