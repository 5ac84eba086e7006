/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The device's vhost-user session, on a socket pair, with the virtio-gpu device behind it. The
 * input is a script of messages, fds that go with them, and writes to the memory file that the
 * memory table may name; see `enum`. When the session is closed the next begins.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "bytes.h"
#include "gpu-stub.h"
#include "log.h"
#include "script.h"
#include "vhost.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	/*
	 * 0x00 … 0x3f: the message of that number; then a byte (bits 0-3: fds, see open_kind; 4:
	 * wants a reply; 5: bad version; 6: one byte less than announced), a byte for each fd's
	 * kind, u16 size of the payload, the payload.
	 */
	OP_MESSAGE_LAST = 0x3f,
	OP_MEMORY = 0x80, /* u24 offset, u16 size, bytes: into the memory file */
	OP_KICK = 0x81,   /* … 0x82: ring 0 and 1 */
	OP_RAW = 0x83,    /* u16 size, bytes: to the socket */
	OP_EXPIRE = 0x84, /* all waits are over */
	OP_HANG_UP = 0x85,
};

#define MEMORY_SIZE (256u << 10)
#define STEPS_MAX   200u /* of the loop, for one operation */
#define FDS_MAX     15u

static struct {
	sd_event *loop;
	struct gpu gpu;
	struct vhost *vhost; // NULL: closed
	int fd;              /* the front end's end */
	bool closed;
	int memory_fd;
	uint8_t *memory;
	int kick[GPU_N_QUEUES];
} f;

static void kicked(void *data, unsigned queue) {
	(void)gpu_process_queue(&f.gpu, queue);
}

static void reset(void *data) {
	gpu_flush_requests(&f.gpu);
	gpu_reset(&f.gpu);
}

static void closed(void *data) {
	f.closed = true;
}

static void open_session(void) {
	static const struct vhost_ops ops = {.kicked = kicked, .reset = reset, .closed = closed};
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0 ||
		vhost_create(f.loop, pair[1], &f.gpu, &ops, &f.vhost) < 0) {
		abort();
	}
	f.fd = pair[0];
	f.closed = false;
}

static void close_session(void) {
	vhost_destroy(f.vhost);
	f.vhost = NULL;
	f.fd = close_fd(f.fd);
	reset(NULL);
}

/* Lets the session work until it has nothing left to do. */
static void settle(void) {
	uint8_t replies[4096];
	for (unsigned i = 0; i < STEPS_MAX && !f.closed; i++) {
		if (sd_event_run(f.loop, 0) <= 0) {
			break;
		}
		while (recv(f.fd, replies, sizeof(replies), MSG_DONTWAIT) > 0) {
		}
	}
	if (f.closed) {
		close_session();
		open_session();
	}
}

/* A new fd of one of the kinds that a front end may send, rightly or not. */
static int open_kind(unsigned kind) {
	int pair[2];
	switch (kind % 8) {
	case 0:
		return fcntl(f.memory_fd, F_DUPFD_CLOEXEC, 3);
	case 1:
	case 2:
		return fcntl(f.kick[kind % 8 - 1], F_DUPFD_CLOEXEC, 3);
	case 3:
		return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	case 4:
		return open("/dev/null", O_RDWR | O_CLOEXEC);
	case 5:
		return memfd_create("small", MFD_CLOEXEC);
	case 6:
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
			return -1;
		}
		(void)close_fd(pair[1]);
		return pair[0];
	default:
		return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	}
}

static void send_message(struct script *s, uint32_t request) {
	uint32_t how = take(s, 1);
	unsigned n_fds = MIN(how & 15, FDS_MAX);
	int fds[FDS_MAX];
	for (unsigned i = 0; i < n_fds; i++) {
		fds[i] = open_kind(take(s, 1));
	}
	struct vhost_user_header header = {.request = request,
		.flags = how & 0x20 ? 2 : VHOST_USER_VERSION,
		.size = take(s, 2)};
	header.flags |= how & 0x10 ? VHOST_USER_FLAG_NEED_REPLY : 0;
	size_t size;
	const uint8_t *payload = take_bytes(s, header.size, &size);
	header.size = (uint32_t)size + (how >> 6 & 1);

	struct iovec iov[2] = {{&header, sizeof(header)}, {(void *)(uintptr_t)payload, size}};
	union {
		char buf[CMSG_SPACE(sizeof(fds))];
		struct cmsghdr align;
	} control = {{0}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = size > 0 ? 2 : 1};
	if (n_fds > 0) {
		msg.msg_control = control.buf;
		msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
	}
	(void)sendmsg(f.fd, &msg, MSG_NOSIGNAL);
	for (unsigned i = 0; i < n_fds; i++) {
		(void)close_fd(fds[i]);
	}
}

static void run_op(struct script *s) {
	uint32_t op = take(s, 1);
	size_t size, offset;
	const uint8_t *p;
	if (op <= OP_MESSAGE_LAST) {
		send_message(s, op);
	}
	switch (op) {
	case OP_MEMORY:
		offset = take(s, 3) % MEMORY_SIZE;
		p = take_bytes(s, take(s, 2), &size);
		memcpy(f.memory + offset, p, MIN(size, MEMORY_SIZE - offset));
		break;
	case OP_KICK:
	case OP_KICK + 1:
		(void)!write(f.kick[op - OP_KICK], &(uint64_t){1}, sizeof(uint64_t));
		break;
	case OP_RAW:
		p = take_bytes(s, take(s, 2), &size);
		(void)send(f.fd, p, size, MSG_NOSIGNAL);
		break;
	case OP_EXPIRE:
		(void)gpu_expire(&f.gpu, UINT64_MAX - 1);
		break;
	case OP_HANG_UP:
		(void)shutdown(f.fd, SHUT_RDWR);
		break;
	default:
		break;
	}
	settle();
}

static void init_once(void) {
	if (f.loop) {
		return;
	}
	log_set_level(LOG_LEVEL_ERROR - 1);
	(void)signal(SIGPIPE, SIG_IGN);
	f.memory_fd = memfd_create("memory", MFD_CLOEXEC);
	if (sd_event_new(&f.loop) < 0 || ftruncate(f.memory_fd, MEMORY_SIZE) < 0) {
		abort();
	}
	f.memory = mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, f.memory_fd, 0);
	for (unsigned i = 0; i < GPU_N_QUEUES; i++) {
		f.kick[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	}
	if (f.memory == MAP_FAILED) {
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	init_once();
	memset(f.memory, 0, MEMORY_SIZE);
	struct gpu_config config = {
		.n_scanouts = 16, .memory_budget = 4 << 20, .ops = gpu_stub_ops};
	if (gpu_init(&f.gpu, &config) < 0) {
		abort();
	}
	open_session();
	for (struct script s = {data, data + size}; s.p < s.end;) {
		run_op(&s);
	}
	close_session();
	if (!list_empty(&f.gpu.requests)) {
		abort();
	}
	gpu_finish(&f.gpu);
	return 0;
}
