/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What exporter and renderer let pass of each other's messages. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "renderer/wire.h"
#include "test.h"
#include "util.h"

static int request(const struct render_message *m, unsigned n_fds) {
	return render_request_check(m, sizeof(*m), n_fds);
}

TEST(requests) {
	struct render_message m = {.type = RENDER_NOP};
	check_ok(request(&m, 0));
	check_int(request(&m, 1), ==, -EBADMSG);
	check_int(render_request_check(&m, sizeof(m) - 1, 0), ==, -EBADMSG);
	m.payload_size = 4;
	check_int(request(&m, 0), ==, -EBADMSG);

	m.type = RENDER_SUBMIT;
	check_ok(request(&m, 0));
	m.payload_size = 0;
	check_int(request(&m, 0), ==, -EBADMSG);
	m.payload_size = 6;
	check_int(request(&m, 0), ==, -EBADMSG);
	m.payload_size = RENDER_MAX_PAYLOAD;
	m.payload_offset = RENDER_RING_SIZE - RENDER_MAX_PAYLOAD;
	check_ok(request(&m, 0));
	m.payload_offset += 8;
	check_int(request(&m, 0), ==, -EBADMSG);
	m.payload_offset = 4;
	check_int(request(&m, 0), ==, -EBADMSG);
	m.payload_offset = 0;
	m.payload_size = RENDER_MAX_PAYLOAD + 4;
	check_int(request(&m, 0), ==, -EBADMSG);

	m = (struct render_message){.type = RENDER_MEMORY};
	m.payload_size = 2 * sizeof(struct render_region);
	check_ok(request(&m, 2));
	check_int(request(&m, 1), ==, -EBADMSG);
	check_int(request(&m, 0), ==, -EBADMSG);

	m = (struct render_message){.type = RENDER_CONTEXT_CREATE};
	check_ok(request(&m, 0));
	memset(m.u.name, 'x', sizeof(m.u.name));
	check_int(request(&m, 0), ==, -EBADMSG);

	for (uint32_t type = _RENDER_REQUEST_MAX; type < 300; type++) {
		m = (struct render_message){.type = type};
		check_int(request(&m, 0), ==, -EBADMSG);
	}
	m.type = 0;
	check_int(request(&m, 0), ==, -EBADMSG);
}

TEST(replies) {
	struct render_message m = {.type = RENDER_DONE};
	check_ok(render_reply_check(&m, sizeof(m), 0));
	m.u.done.error = 1;
	check_int(render_reply_check(&m, sizeof(m), 0), ==, -EBADMSG);
	m = (struct render_message){
		.type = RENDER_HELLO, .u.hello = {.version = RENDER_VERSION, .n_capsets = 2}};
	check_ok(render_reply_check(&m, sizeof(m), 1));
	check_int(render_reply_check(&m, sizeof(m), 0), ==, -EBADMSG);
	m.u.hello.capsets[1].size = RENDER_MAX_PAYLOAD + 1;
	check_int(render_reply_check(&m, sizeof(m), 1), ==, -EBADMSG);
	m.u.hello.n_capsets = RENDER_MAX_CAPSETS + 1;
	check_int(render_reply_check(&m, sizeof(m), 1), ==, -EBADMSG);
	m.u.hello = (struct render_hello){.version = RENDER_VERSION + 1};
	check_int(render_reply_check(&m, sizeof(m), 1), ==, -EBADMSG);
	m.type = RENDER_NOP;
	check_int(render_reply_check(&m, sizeof(m), 0), ==, -EBADMSG);
}

/* Descriptors cross; a datagram of another size, and the end, are told apart. */
TEST(messages_cross) {
	int pair[2], fds[RENDER_MAX_FDS];
	unsigned n = 0;
	struct render_message m = {.type = RENDER_SHADOW_ADD, .sequence = 7}, got;
	check_ok(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair));
	int fd = memfd_create("test", MFD_CLOEXEC);
	check_int(fd, >=, 0);
	check_ok(render_send(pair[0], &m, &fd, 1));
	check_int(render_receive(pair[1], &got, fds, &n), ==, sizeof(got));
	check_int(n, ==, 1);
	check_int(got.sequence, ==, 7);
	(void)close_fd(fds[0]);
	check_int(send(pair[0], "abc", 3, 0), ==, 3);
	check_int(render_receive(pair[1], &got, fds, &n), ==, 3);
	(void)close_fd(pair[0]);
	check_int(render_receive(pair[1], &got, fds, &n), ==, 0);
	(void)close_fd(pair[1]);
	(void)close_fd(fd);
}
