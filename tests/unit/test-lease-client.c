/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The lease client against a manager of the old kind, and against one that talks nonsense. */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <helix/lease-client.h>

#include "proto/lease.h"
#include "test.h"
#include "util.h"

struct old_manager {
	char path[64];
	int listener;
	pthread_t thread;
	const uint8_t *nonsense; /* instead of a reply; NULL: behaves */
	size_t size;
	unsigned n; /* connections to serve */
};

static void send_reply(int fd, const struct lease_response *m, int lease_fd) {
	uint8_t buf[LEASE_RESPONSE_SIZE];
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {.header = {.cmsg_level = SOL_SOCKET,
			     .cmsg_type = SCM_RIGHTS,
			     .cmsg_len = CMSG_LEN(sizeof(int))}};
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	check_int(lease_encode_response(buf, sizeof(buf), m), ==, sizeof(buf));
	if (lease_fd >= 0) {
		memcpy(CMSG_DATA(&control.header), &lease_fd, sizeof(int));
		msg.msg_control = control.space;
		msg.msg_controllen = sizeof(control.space);
	}
	check_int(sendmsg(fd, &msg, MSG_NOSIGNAL), ==, sizeof(buf));
}

static void *serve(void *data) {
	struct old_manager *o = data;
	for (unsigned i = 0; i < o->n; i++) {
		uint8_t request[LEASE_REQUEST_SIZE];
		int fd = accept4(o->listener, NULL, NULL, SOCK_CLOEXEC);
		check_int(recv(fd, request, sizeof(request), MSG_WAITALL), ==, sizeof(request));
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (o->nonsense) {
			(void)send(fd, o->nonsense, o->size, MSG_NOSIGNAL);
		} else if (request[0] == LEASE_CMD_LEASE) {
			send_reply(fd, &(struct lease_response){0, 4, "Virtual-5"}, null);
			/* The lease lasts until the client has gone. */
			(void)recv(fd, request, 1, 0);
		} else {
			send_reply(fd, &(struct lease_response){1, 0, "unknown command"}, -1);
		}
		(void)close(null);
		(void)close(fd);
	}
	return NULL;
}

static void start(struct old_manager *o) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	(void)snprintf(o->path, sizeof(o->path), "/tmp/helix-old-manager-%d", (int)getpid());
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", o->path);
	o->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	check(bind(o->listener, (struct sockaddr *)&address, sizeof(address)) == 0);
	check(listen(o->listener, 4) == 0);
	check_int(pthread_create(&o->thread, NULL, serve, o), ==, 0);
}

static void stop(struct old_manager *o) {
	check_int(pthread_join(o->thread, NULL), ==, 0);
	(void)close(o->listener);
	(void)unlink(o->path);
}

TEST(old_manager) {
	struct old_manager o = {.n = 2};
	struct lease lease;
	char error[LEASE_ERROR_SIZE] = "";
	start(&o);
	struct lease_wish wish = {.socket = o.path, .width = 640, .height = 480, .name = "new"};
	check_ok(lease_acquire(&wish, &lease, error));
	check(lease.fd >= 0 && lease.connection >= 0 && !lease.extended);
	check_int(lease.about.scanout, ==, 4);
	check_str(lease.about.connector, "Virtual-5");
	check_int(fcntl(lease.fd, F_GETFD), ==, FD_CLOEXEC);
	lease_finish(&lease);
	lease_finish(&lease);
	stop(&o);
}

/* What only a new manager can do is refused, not half done. */
TEST(old_manager_cannot_do_more) {
	struct old_manager o = {.n = 3};
	struct lease lease;
	struct lease_ext_entry *entries;
	size_t n;
	uint8_t token[LEASE_TOKEN_SIZE] = {1};
	char error[LEASE_ERROR_SIZE] = "";
	start(&o);
	struct lease_wish wish = {.socket = o.path, .scanout = 3};
	check_int(lease_acquire(&wish, &lease, error), ==, -EOPNOTSUPP);
	check_int(lease_list(o.path, 0, &entries, &n, error), ==, -EOPNOTSUPP);
	check_int(lease_release(o.path, token, 0, error), ==, -EOPNOTSUPP);
	check_str(error, "the manager is too old for this");
	stop(&o);
}

TEST(nonsense) {
	static const uint8_t huge[] = {0x90, 'H', 'X', 'L', '1', 0xff, 0xff, 0xff, 0xff};
	static const uint8_t wrong[] = {0x91, 'H', 'X', 'L', '1', 72, 1, 0, 0};
	static const struct {
		const uint8_t *data;
		size_t size;
		int error;
	} cases[] = {{huge, sizeof(huge), -EBADMSG}, {wrong, sizeof(wrong), -EBADMSG},
		{wrong, 3, -ECONNRESET}, {huge, 0, -ECONNRESET}};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct old_manager o = {.n = 1, .nonsense = cases[i].data, .size = cases[i].size};
		struct lease lease;
		char error[LEASE_ERROR_SIZE] = "";
		start(&o);
		struct lease_wish wish = {.socket = o.path, .timeout_ms = 2000};
		check_int(lease_acquire(&wish, &lease, error), ==, cases[i].error);
		check(error[0]);
		stop(&o);
	}
}

TEST(nobody_there) {
	struct lease lease;
	char error[LEASE_ERROR_SIZE] = "";
	struct lease_wish wish = {.socket = "/tmp/helix-no-such-socket"};
	check_int(lease_acquire(&wish, &lease, error), ==, -ENOENT);
	check(strstr(error, "/tmp/helix-no-such-socket: No such file"));
}
