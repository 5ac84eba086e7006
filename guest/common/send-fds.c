/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <assert.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "send-fds.h"

bool send_with_fds(int fd, const void *buf, size_t size, const int *fds, unsigned n_fds) {
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(SEND_FDS_MAX * sizeof(int))];
	} control = {0};
	struct iovec iov = {(void *)(uintptr_t)buf, size};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	assert(n_fds <= SEND_FDS_MAX);
	if (n_fds > 0) {
		msg.msg_control = control.space;
		msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, n_fds * sizeof(int));
	}
	return sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)size;
}
