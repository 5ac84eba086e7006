/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "util.h"
#include "wire.h"

_Static_assert(sizeof(struct render_message) == 96, "no padding that would leak memory");

/* What a type has besides its fields. `unit`: of the payload; 0: there is none. */
struct shape {
	const char *name;
	uint32_t unit;
	uint32_t min_units;
	unsigned min_fds, max_fds;
};

static const struct shape requests[_RENDER_REQUEST_MAX] = {
	[RENDER_NOP] = {"nop", 0, 0, 0, 0},
	[RENDER_MEMORY] = {"memory", sizeof(struct render_region), 1, 1, RENDER_MAX_REGIONS},
	[RENDER_CONTEXT_CREATE] = {"create context", 0, 0, 0, 0},
	[RENDER_CONTEXT_DESTROY] = {"destroy context", 0, 0, 0, 0},
	[RENDER_CONTEXT_ATTACH] = {"attach resource", 0, 0, 0, 0},
	[RENDER_CONTEXT_DETACH] = {"detach resource", 0, 0, 0, 0},
	[RENDER_RESOURCE_CREATE] = {"create resource", 0, 0, 0, 0},
	[RENDER_RESOURCE_UNREF] = {"unref resource", 0, 0, 0, 0},
	[RENDER_BACKING_ATTACH] = {"attach backing", sizeof(struct render_piece), 0, 0, 0},
	[RENDER_BACKING_DETACH] = {"detach backing", 0, 0, 0, 0},
	[RENDER_TRANSFER_TO_HOST] = {"transfer to host", 0, 0, 0, 0},
	[RENDER_TRANSFER_FROM_HOST] = {"transfer from host", 0, 0, 0, 0},
	[RENDER_SUBMIT] = {"submit", 4, 1, 0, 0},
	[RENDER_SHADOW_ADD] = {"add shadow", 0, 0, 1, 2},
	[RENDER_SHADOW_REMOVE] = {"remove shadow", 0, 0, 0, 0},
	[RENDER_READ] = {"read", 0, 0, 0, 0},
	[RENDER_WRITE] = {"write", 0, 0, 0, 0},
	[RENDER_CONVERT] = {"convert", 0, 0, 0, 0},
};

const char *render_type_name(uint32_t type) {
	return type < _RENDER_REQUEST_MAX && requests[type].name ? requests[type].name : "?";
}

int render_request_check(const void *message, size_t size, unsigned n_fds) {
	struct render_message m;
	if (size != sizeof(m)) {
		return -EBADMSG;
	}
	memcpy(&m, message, sizeof(m));
	if (m.type >= _RENDER_REQUEST_MAX || !requests[m.type].name) {
		return -EBADMSG;
	}
	const struct shape *s = &requests[m.type];
	if (n_fds < s->min_fds || n_fds > s->max_fds) {
		return -EBADMSG;
	}
	if (s->unit == 0 ? m.payload_size != 0
			 : m.payload_size % s->unit != 0 ||
				m.payload_size / s->unit < s->min_units) {
		return -EBADMSG;
	}
	if (m.payload_size > RENDER_MAX_PAYLOAD || m.payload_offset % 8 != 0 ||
		m.payload_offset > RENDER_RING_SIZE - m.payload_size) {
		return -EBADMSG;
	}
	if (m.type == RENDER_MEMORY && m.payload_size != n_fds * s->unit) {
		return -EBADMSG;
	}
	if (m.type == RENDER_CONTEXT_CREATE && m.u.name[sizeof(m.u.name) - 1] != '\0') {
		return -EBADMSG;
	}
	return 0;
}

int render_reply_check(const void *message, size_t size, unsigned n_fds) {
	struct render_message m;
	if (size != sizeof(m)) {
		return -EBADMSG;
	}
	memcpy(&m, message, sizeof(m));
	switch (m.type) {
	case RENDER_HELLO:
		if (n_fds != 1 || m.u.hello.version != RENDER_VERSION ||
			m.u.hello.n_capsets > RENDER_MAX_CAPSETS) {
			return -EBADMSG;
		}
		for (uint32_t i = 0; i < m.u.hello.n_capsets; i++) {
			if (m.u.hello.capsets[i].size > RENDER_MAX_PAYLOAD) {
				return -EBADMSG;
			}
		}
		return 0;
	case RENDER_DONE:
		return n_fds == 0 && m.u.done.error <= 0 ? 0 : -EBADMSG;
	default:
		return -EBADMSG;
	}
}

union control {
	char bytes[CMSG_SPACE(sizeof(int) * RENDER_MAX_FDS)];
	struct cmsghdr align;
};

int render_send(int fd, const struct render_message *m, const int *fds, unsigned n_fds) {
	struct iovec iov = {(void *)m, sizeof(*m)};
	union control control = {0};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	if (n_fds > 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
	}
	ssize_t n;
	do {
		n = sendmsg(fd, &msg, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

int render_receive(int fd, struct render_message *m, int *fds, unsigned *ret_n_fds) {
	struct iovec iov = {m, sizeof(*m)};
	union control control;
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t n;
	do {
		n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0) {
		return -errno;
	}
	unsigned n_fds = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
			continue;
		}
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count && n_fds < RENDER_MAX_FDS; i++) {
			memcpy(&fds[n_fds++], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
		}
	}
	*ret_n_fds = n_fds;
	/* One that was cut off has a size that no check lets pass. */
	return msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC) ? 1 : (int)n;
}
