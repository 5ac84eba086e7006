/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Front ends that break the vhost-user protocol. They may lose their connection for it; the daemon
 * goes on, leaks nothing, and serves the next one.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "exporter.h"
#include "test.h"
#include "util.h"

#define VERSION    VHOST_USER_VERSION
#define NEED_REPLY (VHOST_USER_VERSION | VHOST_USER_FLAG_NEED_REPLY)

struct rig {
	struct exporter e;
	unsigned fds; /* of the daemon before anyone connected */
};

static void rig_start(struct rig *g) {
	exporter_start(&g->e, NULL);
	/* What is opened once and for all with the first front end. */
	exporter_check_serves(&g->e);
	sleep_ms(50);
	g->fds = exporter_fds(&g->e);
}

/* Whatever happened: the daemon serves, and holds nothing of those who are gone. */
static void rig_check(struct rig *g) {
	exporter_check_serves(&g->e);
	for (int i = 0; i < 100 && exporter_fds(&g->e) > g->fds; i++) {
		sleep_ms(10);
	}
	check_int(exporter_fds(&g->e), <=, g->fds);
}

static void rig_stop(struct rig *g) {
	rig_check(g);
	exporter_stop(&g->e);
}

/* A region of the front end's memory file. */
static struct vhost_user_memory_region region(struct frontend *fe, uint64_t at, uint64_t size) {
	return (struct vhost_user_memory_region){at, size, (uintptr_t)fe->ram + at, at};
}

/* Sends a table; it must be refused, by an answer or by hanging up, and not be used. */
static void check_table_refused(struct rig *g, const struct vhost_user_memory_region *regions,
	uint32_t n, const int *fds, unsigned n_fds) {
	struct frontend *fe = exporter_connect(&g->e, NULL);
	struct vhost_user_memory_table table = {.n_regions = n};
	memcpy(table.regions, regions, MIN(n, 8u) * sizeof(*regions));
	int r = frontend_ack(fe, VHOST_USER_SET_MEM_TABLE, &table,
		8 + MIN(n, 8u) * sizeof(*regions), fds, n_fds);
	check_int(r, <, 0);
	check(r == -EPROTO || r == -ECONNRESET || r == -EPIPE);
	frontend_destroy(fe);
	exporter_check_alive(&g->e);
}

TEST(memory_tables_that_make_no_sense_are_refused) {
	struct rig g;
	rig_start(&g);
	struct frontend *fe;
	/* Only for its memory file. */
	struct frontend_options options = {.ram_size = 16 << 20};
	fe = exporter_connect(&g.e, &options);
	const uint64_t mib = 1 << 20;
	int fds[9];
	for (unsigned i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = fcntl(fe->ram_fd, F_DUPFD_CLOEXEC, 3);
	}
	/* The front end itself goes: there may be only one. */
	struct vhost_user_memory_region a = region(fe, 0, mib), b = region(fe, mib, mib);
	frontend_destroy(fe);
	struct vhost_user_memory_region r[8] = {a, b};

	check_table_refused(&g, r, 0, fds, 0);
	check_table_refused(&g, r, 2, fds, 1);
	check_table_refused(&g, r, 1, fds, 2);
	check_table_refused(&g, r, 2, fds, 0);
	check_table_refused(&g, r, 9, fds, 8);
	check_table_refused(&g, r, UINT32_MAX, fds, 2);

	/* Overlap, in guest and in user addresses. */
	r[1].guest_address = mib - 4096;
	check_table_refused(&g, r, 2, fds, 2);
	r[1] = b;
	r[1].user_address = a.user_address + mib - 4096;
	check_table_refused(&g, r, 2, fds, 2);
	r[1] = a;
	check_table_refused(&g, r, 2, fds, 2);
	r[1] = b;

	/* Sizes and places. */
	r[0].size = 0;
	check_table_refused(&g, r, 1, fds, 1);
	r[0] = a;
	r[0].guest_address = UINT64_MAX - 4095;
	check_table_refused(&g, r, 1, fds, 1);
	r[0] = a;
	r[0].user_address = UINT64_MAX - 4095;
	check_table_refused(&g, r, 1, fds, 1);
	r[0] = a;
	r[0].size = UINT64_MAX;
	check_table_refused(&g, r, 1, fds, 1);
	r[0].size = UINT64_C(1) << 63;
	check_table_refused(&g, r, 1, fds, 1);
	r[0] = a;
	r[0].mmap_offset = UINT64_MAX - 4095;
	check_table_refused(&g, r, 1, fds, 1);
	r[0] = a;
	r[0].mmap_offset = 123;
	check_table_refused(&g, r, 1, fds, 1);

	/* More than the file holds: reading it would be SIGBUS. */
	r[0] = a;
	r[0].size = 16 * mib + 4096;
	check_table_refused(&g, r, 1, fds, 1);
	r[0] = a;
	r[0].mmap_offset = 16 * mib;
	check_table_refused(&g, r, 1, fds, 1);
	r[0].mmap_offset = 16 * mib - 4096;
	check_table_refused(&g, r, 1, fds, 1);

	for (unsigned i = 0; i < ARRAY_SIZE(fds); i++) {
		(void)close_fd(fds[i]);
	}
	rig_stop(&g);
}

TEST(memory_tables_of_odd_files_are_refused) {
	struct rig g;
	rig_start(&g);
	int pipes[2];
	check_int(pipe2(pipes, O_CLOEXEC), ==, 0);
	CLEANUP_CLOSE int event = eventfd(0, EFD_CLOEXEC);
	CLEANUP_CLOSE int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	CLEANUP_CLOSE int dir = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CLEANUP_CLOSE int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	CLEANUP_CLOSE int empty = memfd_create("empty", MFD_CLOEXEC);
	const int fds[] = {pipes[0], pipes[1], event, null, dir, self, empty};
	struct vhost_user_memory_region r = {0, 1 << 20, 1 << 30, 0};
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		/* Our own program may be large enough to map, but not to write to. */
		check_table_refused(&g, &r, 1, &fds[i], 1);
	}
	(void)close_fd(pipes[0]);
	(void)close_fd(pipes[1]);
	rig_stop(&g);
}

/* Sends bytes and hangs up. */
static void send_bytes(struct rig *g, const void *bytes, size_t size) {
	struct frontend *fe;
	check_ok(frontend_connect_silent(g->e.socket_path, NULL, &fe));
	check_int(send(fe->fd, bytes, size, MSG_NOSIGNAL), ==, (int64_t)size);
	sleep_ms(2);
	frontend_destroy(fe);
	exporter_check_alive(&g->e);
}

TEST(messages_may_be_cut_anywhere) {
	struct rig g;
	rig_start(&g);
	struct {
		struct vhost_user_header header;
		struct vhost_user_vring_addr addr;
	} __attribute__((packed))
	m = {{VHOST_USER_SET_VRING_ADDR, VERSION, sizeof(m.addr)}, {.index = 0}};
	for (size_t n = 1; n <= sizeof(m); n++) {
		send_bytes(&g, &m, n);
	}
	/* And arrive byte by byte. */
	struct frontend *fe;
	check_ok(frontend_connect_silent(g.e.socket_path, NULL, &fe));
	struct vhost_user_header get = {VHOST_USER_GET_FEATURES, VERSION, 0};
	for (size_t i = 0; i < sizeof(m); i++) {
		check_int(send(fe->fd, (uint8_t *)&m + i, 1, MSG_NOSIGNAL), ==, 1);
	}
	for (size_t i = 0; i < sizeof(get); i++) {
		sleep_ms(1);
		check_int(send(fe->fd, (uint8_t *)&get + i, 1, MSG_NOSIGNAL), ==, 1);
	}
	check_ok(frontend_wait(fe, fe->fd, 2000));
	struct {
		struct vhost_user_header header;
		uint64_t value;
	} __attribute__((packed)) reply;
	check_int(recv(fe->fd, &reply, sizeof(reply), MSG_WAITALL), ==, sizeof(reply));
	check_int(reply.header.request, ==, VHOST_USER_GET_FEATURES);
	frontend_destroy(fe);
	rig_stop(&g);
}

TEST(headers_that_lie_end_the_session) {
	static const struct vhost_user_header headers[] = {
		{VHOST_USER_GET_FEATURES, VERSION, UINT32_MAX},
		{VHOST_USER_GET_FEATURES, VERSION, 1025},
		{VHOST_USER_GET_FEATURES, 0, 0},
		{VHOST_USER_GET_FEATURES, 2, 0},
		{0, VERSION, 0},
		{UINT32_MAX, VERSION, 0},
		{VHOST_USER_SET_FEATURES, VERSION, 0},
		{VHOST_USER_SET_MEM_TABLE, VERSION, 0},
		{VHOST_USER_SET_VRING_NUM, VERSION, 0},
		{VHOST_USER_SET_VRING_ADDR, VERSION, 0},
		{VHOST_USER_GET_CONFIG, VERSION, 0},
		{VHOST_USER_SET_VRING_KICK, VERSION, 0},
		{VHOST_USER_GPU_SET_SOCKET, VERSION, 0},
	};
	struct rig g;
	rig_start(&g);
	for (size_t i = 0; i < ARRAY_SIZE(headers); i++) {
		struct frontend *fe;
		check_ok(frontend_connect_silent(g.e.socket_path, NULL, &fe));
		check_int(send(fe->fd, &headers[i], sizeof(headers[i]), MSG_NOSIGNAL), ==,
			sizeof(headers[i]));
		if (!frontend_hung_up(fe, 2000)) {
			fail("header %zu is taken", i);
		}
		frontend_destroy(fe);
		exporter_check_alive(&g.e);
	}
	rig_stop(&g);
}

/* An acknowledged message must be refused, by saying so or by hanging up. */
static void check_refused(struct rig *g, struct frontend **fe, uint32_t request,
	const void *payload, size_t size, const int *fds, unsigned n_fds) {
	int r = frontend_ack(*fe, request, payload, size, fds, n_fds);
	if (r >= 0) {
		fail("message %u with %u fds is taken", request, n_fds);
	}
	if (r != -EPROTO) {
		frontend_destroy(*fe);
		exporter_check_alive(&g->e);
		*fe = exporter_connect(&g->e, NULL);
	}
}

TEST(wrong_counts_of_fds_are_refused_and_closed) {
	struct rig g;
	rig_start(&g);
	struct frontend *fe = exporter_connect(&g.e, NULL);
	int fds[40];
	for (unsigned i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		check(fds[i] >= 0);
	}
	static const uint32_t requests[] = {
		VHOST_USER_SET_VRING_KICK, VHOST_USER_SET_VRING_CALL, VHOST_USER_SET_VRING_ERR};
	static const unsigned counts[] = {0, 2, 8};
	for (size_t i = 0; i < ARRAY_SIZE(requests) * ARRAY_SIZE(counts); i++) {
		uint64_t vring = 0;
		check_refused(&g, &fe, requests[i % 3], &vring, sizeof(vring), fds, counts[i / 3]);
	}
	uint64_t no_fd = VHOST_USER_VRING_NO_FD;
	check_refused(&g, &fe, VHOST_USER_SET_VRING_CALL, &no_fd, sizeof(no_fd), fds, 1);
	uint64_t ring = 2;
	check_refused(&g, &fe, VHOST_USER_SET_VRING_CALL, &ring, sizeof(ring), fds, 1);
	check_refused(&g, &fe, VHOST_USER_SET_VRING_KICK, &ring, sizeof(ring), fds, 1);
	ring = 255;
	check_refused(&g, &fe, VHOST_USER_SET_VRING_CALL, &ring, sizeof(ring), fds, 1);
	check_refused(&g, &fe, VHOST_USER_GPU_SET_SOCKET, NULL, 0, fds, 0);
	check_refused(&g, &fe, VHOST_USER_GPU_SET_SOCKET, NULL, 0, fds, 2);

	/* fds where none belong are no reason to refuse, but to close them. */
	uint64_t features = 0;
	(void)frontend_send(fe, VHOST_USER_SET_FEATURES, VERSION, &features, 8, fds, 8);
	(void)frontend_send(fe, VHOST_USER_SET_OWNER, VERSION, NULL, 0, fds, 3);
	/* More than any message has. */
	(void)frontend_send(fe, VHOST_USER_SET_OWNER, VERSION, NULL, 0, fds, 40);
	frontend_destroy(fe);

	/* A header with fds, and then nothing. */
	for (int i = 0; i < 50; i++) {
		check_ok(frontend_connect_silent(g.e.socket_path, NULL, &fe));
		(void)frontend_send(fe, VHOST_USER_SET_MEM_TABLE, VERSION, NULL, 0, fds, 8);
		frontend_destroy(fe);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(fds); i++) {
		(void)close_fd(fds[i]);
	}
	rig_stop(&g);
}

/* A session with memory, so that rings can be set up. */
static struct frontend *with_memory(struct rig *g) {
	struct frontend *fe = exporter_connect(&g->e, NULL);
	check_ok(frontend_send_memory(fe));
	check_ok(queue_setup(fe, FRONTEND_CONTROL));
	return fe;
}

TEST(ring_sizes_are_powers_of_two_up_to_1024) {
	static const uint32_t bad[] = {0, 3, 63, 65, 1000, 1025, 2048, 32768, 65536, UINT32_MAX};
	static const uint32_t good[] = {1, 2, 64, 256, 1024};
	struct rig g;
	rig_start(&g);
	struct frontend *fe = with_memory(&g);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct vhost_user_vring_state s = {0, bad[i]};
		check_refused(&g, &fe, VHOST_USER_SET_VRING_NUM, &s, sizeof(s), NULL, 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct vhost_user_vring_state s = {0, good[i]};
		check_ok(frontend_ack(fe, VHOST_USER_SET_VRING_NUM, &s, sizeof(s), NULL, 0));
	}
	struct vhost_user_vring_state s = {2, 64};
	check_refused(&g, &fe, VHOST_USER_SET_VRING_NUM, &s, sizeof(s), NULL, 0);
	check_refused(&g, &fe, VHOST_USER_SET_VRING_BASE, &s, sizeof(s), NULL, 0);
	check_refused(&g, &fe, VHOST_USER_SET_VRING_ENABLE, &s, sizeof(s), NULL, 0);
	s = (struct vhost_user_vring_state){0, 65536};
	check_refused(&g, &fe, VHOST_USER_SET_VRING_BASE, &s, sizeof(s), NULL, 0);
	frontend_destroy(fe);
	rig_stop(&g);
}

TEST(rings_outside_memory_do_not_start) {
	struct rig g;
	rig_start(&g);
	for (unsigned i = 0; i < 9; i++) {
		struct frontend *fe = with_memory(&g);
		uint64_t end = (uintptr_t)fe->ram + fe->ram_size;
		struct vhost_user_vring_addr a = {.index = 0,
			.descriptor = (uintptr_t)fe->queues[0].desc,
			.used = (uintptr_t)fe->queues[0].used,
			.available = (uintptr_t)fe->queues[0].avail};
		uint64_t *which[3] = {&a.descriptor, &a.available, &a.used};
		const uint64_t wrong[3] = {end - 16, UINT64_MAX - 15, 0};
		*which[i / 3] = wrong[i % 3];
		struct vhost_user_vring_state num = {0, 64};
		uint64_t ring = 0;
		check_ok(frontend_ack(fe, VHOST_USER_SET_VRING_NUM, &num, sizeof(num), NULL, 0));
		/* Refused as it comes, or when the ring is to start. */
		int r = frontend_ack(fe, VHOST_USER_SET_VRING_ADDR, &a, sizeof(a), NULL, 0);
		if (r >= 0) {
			r = frontend_ack(fe, VHOST_USER_SET_VRING_KICK, &ring, sizeof(ring),
				&fe->queues[0].kick_fd, 1);
		}
		check_int(r, <, 0);
		frontend_destroy(fe);
		exporter_check_alive(&g.e);
	}
	rig_stop(&g);
}

TEST(rings_in_odd_places_of_memory_do_no_harm) {
	struct rig g;
	rig_start(&g);
	for (unsigned i = 0; i < 4; i++) {
		struct frontend *fe = exporter_start_guest(&g.e, NULL);
		struct frontend_queue *q = &fe->queues[FRONTEND_CONTROL];
		check_ok(frontend_stop(fe));
		switch (i) {
		case 0: /* the used ring lies over the descriptors */
			q->used = (struct vring_used *)q->desc;
			break;
		case 1: /* the available ring is the used ring */
			q->used = (struct vring_used *)q->avail;
			break;
		case 2: /* not aligned as virtio 1.2, 2.7 asks */
			q->desc = (struct vring_desc *)((uint8_t *)q->desc + 1);
			break;
		default: /* at the very end of memory */
			q->used = (struct vring_used *)(fe->ram + fe->ram_size - 6 - 8 * 64);
			break;
		}
		if (frontend_resume(fe) == 0) {
			for (uint16_t head = 0; head < 64; head++) {
				queue_push_raw(fe, FRONTEND_CONTROL, head);
				queue_kick_raw(fe, FRONTEND_CONTROL);
			}
			sleep_ms(20);
		}
		frontend_destroy(fe);
		exporter_check_alive(&g.e);
	}
	rig_stop(&g);
}

/* At most a tenth of a CPU while nothing happens. */
static void check_idle(struct rig *g) {
	sleep_ms(100);
	uint64_t before = exporter_cpu_ns(&g->e);
	sleep_ms(500);
	check_int(exporter_cpu_ns(&g->e) - before, <, 50 * NSEC_PER_MSEC);
}

TEST(kick_fds_of_any_kind_cost_no_cpu) {
	struct rig g;
	rig_start(&g);
	int pipes[2], sockets[2];
	check_int(pipe2(pipes, O_CLOEXEC), ==, 0);
	check_int(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), ==, 0);
	CLEANUP_CLOSE int listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CLEANUP_CLOSE int epoll = epoll_create1(EPOLL_CLOEXEC);
	CLEANUP_CLOSE int event = eventfd(1, EFD_CLOEXEC);
	CLEANUP_CLOSE int file = memfd_create("kick", MFD_CLOEXEC);
	check_int(epoll_ctl(epoll, EPOLL_CTL_ADD, event, &(struct epoll_event){.events = EPOLLIN}),
		==, 0);
	/* Ends of which the other is closed, an epoll that is always ready, a file. */
	pipes[1] = close_fd(pipes[1]);
	sockets[1] = close_fd(sockets[1]);
	const int fds[] = {pipes[0], sockets[0], listening, epoll, file};
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		struct frontend *fe = exporter_start_guest(&g.e, NULL);
		uint64_t ring = 0;
		(void)frontend_ack(fe, VHOST_USER_SET_VRING_KICK, &ring, sizeof(ring), &fds[i], 1);
		check_idle(&g);
		frontend_destroy(fe);
		exporter_check_alive(&g.e);
	}
	(void)close_fd(pipes[0]);
	(void)close_fd(sockets[0]);
	rig_stop(&g);
}

TEST(call_fds_of_any_kind_are_written_to_in_vain) {
	struct rig g;
	rig_start(&g);
	int pipes[2], full[2], sockets[2];
	check_int(pipe2(pipes, O_CLOEXEC), ==, 0);
	check_int(pipe2(full, O_CLOEXEC | O_NONBLOCK), ==, 0);
	check_int(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), ==, 0);
	pipes[0] = close_fd(pipes[0]);
	sockets[1] = close_fd(sockets[1]);
	static const uint8_t bytes[4096];
	while (write(full[1], bytes, sizeof(bytes)) > 0) {
	}
	/* Blocking again: it is the daemon that must not block. */
	check_int(fcntl(full[1], F_SETFL, 0), ==, 0);
	CLEANUP_CLOSE int event = eventfd(0, EFD_CLOEXEC);
	check_int(write(event, &(uint64_t){UINT64_MAX - 1}, 8), ==, 8);
	CLEANUP_CLOSE int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	const int fds[] = {pipes[1], full[1], sockets[0], event, null};
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		struct frontend *fe = exporter_start_guest(&g.e, NULL);
		struct virtio_gpu_ctrl_hdr request;
		struct gpu_call *call;
		uint64_t ring = 0;
		check_ok(frontend_ack(
			fe, VHOST_USER_SET_VRING_CALL, &ring, sizeof(ring), &fds[i], 1));
		gpu_header(&request, VIRTIO_GPU_CMD_GET_DISPLAY_INFO, 0);
		check_ok(gpu_submit(fe, FRONTEND_CONTROL, &request, sizeof(request),
			sizeof(struct virtio_gpu_resp_display_info), 0, &call));
		gpu_kick(fe, FRONTEND_CONTROL);
		for (int k = 0; k < 200 && gpu_reap(fe, FRONTEND_CONTROL) == 0; k++) {
			sleep_ms(5);
		}
		check(call->done);
		gpu_call_destroy(call);
		frontend_destroy(fe);
		exporter_check_alive(&g.e);
	}
	(void)close_fd(pipes[1]);
	(void)close_fd(full[0]);
	(void)close_fd(full[1]);
	(void)close_fd(sockets[0]);
	rig_stop(&g);
}

TEST(floods_of_messages_do_not_hurt) {
	struct rig g;
	rig_start(&g);
	size_t rss = exporter_rss(&g.e);

	/* Questions whose answers are never read. */
	struct frontend *fe = exporter_connect(&g.e, NULL);
	int r = 0;
	for (int i = 0; i < 100000 && r == 0; i++) {
		r = frontend_send(fe, VHOST_USER_GET_FEATURES, VERSION, NULL, 0, NULL, 0);
	}
	frontend_destroy(fe);
	exporter_check_alive(&g.e);

	/* fds without end. */
	fe = exporter_connect(&g.e, NULL);
	CLEANUP_CLOSE int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	for (int i = 0; i < 20000; i++) {
		uint64_t ring = (uint64_t)i % 2;
		check_ok(frontend_send(
			fe, VHOST_USER_SET_VRING_CALL, VERSION, &ring, sizeof(ring), &event, 1));
	}
	check_int(exporter_fds(&g.e), <, g.fds + 20);
	frontend_destroy(fe);

	/* Starts, stops, resets, memory tables. */
	fe = exporter_start_guest(&g.e, NULL);
	for (int i = 0; i < 300; i++) {
		check_ok(frontend_send_memory(fe));
		check_ok(frontend_stop(fe));
		check_ok(frontend_resume(fe));
		check_ok(frontend_send(fe, VHOST_USER_RESET_DEVICE, VERSION, NULL, 0, NULL, 0));
	}
	frontend_destroy(fe);
	rig_check(&g);
	check_int(exporter_rss(&g.e), <, rss + (8 << 20));
	rig_stop(&g);
}

TEST(messages_in_the_wrong_order_do_no_harm) {
	static const uint32_t requests[] = {VHOST_USER_SET_VRING_ENABLE, VHOST_USER_SET_VRING_KICK,
		VHOST_USER_SET_VRING_NUM, VHOST_USER_SET_VRING_ADDR, VHOST_USER_SET_VRING_BASE,
		VHOST_USER_SET_FEATURES, VHOST_USER_RESET_DEVICE, VHOST_USER_RESET_OWNER,
		VHOST_USER_SET_MEM_TABLE, VHOST_USER_SET_CONFIG, VHOST_USER_GPU_SET_SOCKET};
	struct rig g;
	rig_start(&g);
	uint32_t seed = 1;
	for (int round = 0; round < 300; round++) {
		struct frontend *fe;
		check_ok(frontend_connect_silent(g.e.socket_path, NULL, &fe));
		if (round % 2) {
			(void)frontend_handshake(fe);
			(void)frontend_start(fe);
		}
		for (int i = 0; i < 12; i++) {
			uint64_t payload[5];
			for (unsigned k = 0; k < ARRAY_SIZE(payload); k++) {
				seed = seed * 1664525 + 1013904223;
				payload[k] = seed >> 30 ? (seed >> 8) % 3 : seed;
			}
			uint32_t request = requests[seed % ARRAY_SIZE(requests)];
			if (frontend_send(fe, request, VERSION, payload, sizeof(payload),
				    &fe->ram_fd, seed >> 16 & 1) < 0) {
				break;
			}
		}
		frontend_destroy(fe);
		exporter_check_alive(&g.e);
	}
	rig_stop(&g);
}
