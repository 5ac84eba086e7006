/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The seatd protocol: its codec, and the face of logind-stub that speaks it. */
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include "logind-fixture.h"
#include "seatd-wire.h"
#include "test.h"

static const uint8_t golden_open_device[] = {
	3, 0, 16, 0, 14, 0, '/', 'd', 'e', 'v', '/', 'd', 'r', 'i', '/', 'c', 'a', 'r', 'd', 0};

TEST(codec_takes_what_libseat_sends) {
	const uint8_t open_seat[] = {1, 0, 0, 0};
	const uint8_t close_device[] = {4, 0, 4, 0, 0xfe, 0xff, 0xff, 0xff};
	struct seatd_request r;
	check_int(seatd_decode_request(open_seat, 4, &r), ==, 4);
	check_int(r.opcode, ==, SEATD_OPEN_SEAT);
	check_int(seatd_decode_request(close_device, 8, &r), ==, 8);
	check_int(r.opcode, ==, SEATD_CLOSE_DEVICE);
	check_int(r.number, ==, -2);
	check_int(seatd_decode_request(golden_open_device, sizeof(golden_open_device), &r), ==,
		sizeof(golden_open_device));
	check_str(r.path, "/dev/dri/card");
	for (size_t n = 0; n < sizeof(golden_open_device); n++) {
		check_int(seatd_decode_request(golden_open_device, n, &r), ==, 0);
	}
}

TEST(codec_goes_round) {
	for (uint16_t opcode = SEATD_OPEN_SEAT; opcode <= SEATD_PING; opcode++) {
		struct seatd_request in = {.opcode = opcode}, out = {0};
		uint8_t buf[SEATD_REQUEST_MAX];
		if (opcode == SEATD_OPEN_DEVICE) {
			memset(in.path, 'x', SEATD_PATH_MAX - 1);
		}
		if (opcode == SEATD_CLOSE_DEVICE || opcode == SEATD_SWITCH_SESSION) {
			in.number = INT32_MIN + opcode;
		}
		ssize_t n = seatd_encode_request(buf, sizeof(buf), &in);
		check_int(n, >=, 4);
		check_int(seatd_encode_request(buf, (size_t)n - 1, &in), ==, -ENOBUFS);
		check_int(seatd_encode_request(buf, sizeof(buf), &in), ==, n);
		check_int(seatd_decode_request(buf, (size_t)n, &out), ==, n);
		check(memcmp(&in, &out, sizeof(in)) == 0);
	}
}

TEST(codec_refuses_the_rest) {
	const struct {
		uint8_t bytes[12];
		size_t n;
	} bad[] = {
		{{0, 0, 0, 0}, 4},                   /* no opcode */
		{{8, 0, 0, 0}, 4},                   /* none of libseat's */
		{{1, 0x80, 0, 0}, 4},                /* ours */
		{{1, 0, 1, 0}, 4},                   /* too large */
		{{4, 0, 3, 0}, 4},                   /* too small */
		{{4, 0, 5, 0}, 4},                   /* too large */
		{{3, 0, 2, 0}, 4},                   /* a path without a NUL */
		{{3, 0, 3, 1}, 4},                   /* 259 bytes */
		{{3, 0, 4, 0, 1, 0, 0, 0}, 8},       /* lengths that disagree */
		{{3, 0, 4, 0, 3, 0, 'a', 0}, 8},     /* likewise */
		{{3, 0, 4, 0, 2, 0, 'a', 'b'}, 8},   /* no NUL */
		{{3, 0, 5, 0, 3, 0, 'a', 0, 0}, 9},  /* two */
		{{3, 0, 0xff, 0xff, 0xff, 0xff}, 6}, /* everything */
	};
	struct seatd_request r;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		check_int(seatd_decode_request(bad[i].bytes, bad[i].n, &r), ==, -EBADMSG);
	}
}

TEST(seat_and_card) {
	struct logind_fixture f = {0};
	int lease = -1, again = -1;
	logind_start(&f, false);
	int fd = seatd_connect(&f);
	uint8_t opened[15];
	const uint8_t golden[15] = {1, 0x80, 8, 0, 6, 0, 's', 'e', 'a', 't', '0', 0, 6, 0x80, 0};
	seatd_send(fd, SEATD_OPEN_SEAT, 0, NULL);
	check_int(recv(fd, opened, sizeof(opened), MSG_WAITALL), ==, sizeof(opened));
	check(memcmp(opened, golden, sizeof(golden)) == 0);
	check_int(recv(fd, opened, 1, 0), ==, 1);

	seatd_send(fd, SEATD_OPEN_DEVICE, 0, "/dev/null");
	check_int(seatd_expect(fd, SEATD_DEVICE_OPENED, &lease), ==, 1);
	check_int(fd_minor(lease), ==, CARD_MINOR);
	check_int(fcntl(lease, F_GETFL) & O_ACCMODE, ==, O_RDWR);
	seatd_send(fd, SEATD_OPEN_DEVICE, 0, "/dev/null");
	check_int(seatd_expect(fd, SEATD_DEVICE_OPENED, &again), ==, 2);
	(void)close(lease);
	(void)close(again);

	seatd_send(fd, SEATD_PING, 0, NULL);
	(void)seatd_expect(fd, SEATD_PONG, NULL);
	seatd_send(fd, SEATD_CLOSE_DEVICE, 1, NULL);
	(void)seatd_expect(fd, SEATD_DEVICE_CLOSED, NULL);
	for (int32_t id = -1; id <= 1; id++) {
		seatd_send(fd, SEATD_CLOSE_DEVICE, id, NULL);
		check_int(seatd_expect(fd, SEATD_ERROR, NULL), ==, EBADF);
	}
	seatd_send(fd, SEATD_CLOSE_DEVICE, INT32_MIN, NULL);
	check_int(seatd_expect(fd, SEATD_ERROR, NULL), ==, EBADF);
	seatd_send(fd, SEATD_CLOSE_SEAT, 0, NULL);
	(void)seatd_expect(fd, SEATD_SEAT_CLOSED, NULL);
	/* It may open it again. */
	seatd_send(fd, SEATD_OPEN_SEAT, 0, NULL);
	(void)seatd_expect(fd, SEATD_SEAT_OPENED, NULL);
	(void)seatd_expect(fd, SEATD_EVENT_ENABLE, NULL);
	(void)close(fd);
	logind_stop(&f);
}

TEST(only_our_devices) {
	static const char *const others[] = {"/dev/zero", "/etc/passwd", "/dev/../dev/null", "",
		"/proc/self/root/dev/null", "/dev/shm/../null", "null", "/dev/fd/0", "/dev",
		"/dev/dri/card0", "/dev/input/event0"};
	struct logind_fixture f = {0};
	int lease = -1;
	logind_start(&f, false);
	int fd = seatd_open(&f);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		seatd_send(fd, SEATD_OPEN_DEVICE, 0, others[i]);
		check_int(seatd_expect(fd, SEATD_ERROR, NULL), ==, ENOENT);
	}
	/* As many as there is room for, and no more. */
	for (unsigned i = 0; i < SEATD_DEVICES_MAX; i++) {
		seatd_send(fd, SEATD_OPEN_DEVICE, 0, "/dev/null");
		check_int(seatd_expect(fd, SEATD_DEVICE_OPENED, &lease), ==, i + 1);
		(void)close(lease);
	}
	seatd_send(fd, SEATD_OPEN_DEVICE, 0, "/dev/null");
	check_int(seatd_expect(fd, SEATD_ERROR, NULL), ==, EMFILE);
	seatd_send(fd, SEATD_CLOSE_DEVICE, 7, NULL);
	(void)seatd_expect(fd, SEATD_DEVICE_CLOSED, NULL);
	seatd_send(fd, SEATD_OPEN_DEVICE, 0, "/dev/null");
	check_int(seatd_expect(fd, SEATD_DEVICE_OPENED, &lease), ==, 7);
	(void)close(lease);
	(void)close(fd);
	logind_stop(&f);
}

TEST(one_client_at_a_time) {
	struct logind_fixture f = {0};
	logind_start(&f, false);
	int a = seatd_open(&f), b = seatd_connect(&f), c = seatd_connect(&f);
	seatd_send(b, SEATD_OPEN_SEAT, 0, NULL);
	(void)seatd_expect(b, SEATD_SEAT_OPENED, NULL);
	seatd_send(c, SEATD_OPEN_SEAT, 0, NULL);
	(void)seatd_expect(c, SEATD_SEAT_OPENED, NULL);
	/* Who is not enabled gets no device, and cannot take the seat. */
	seatd_send(b, SEATD_OPEN_DEVICE, 0, "/dev/null");
	check_int(seatd_expect(b, SEATD_ERROR, NULL), ==, EPERM);
	seatd_send(b, SEATD_SWITCH_SESSION, 2, NULL);
	check_int(seatd_expect(b, SEATD_ERROR, NULL), ==, EPERM);
	seatd_send(b, SEATD_DISABLE_SEAT, 0, NULL);
	check_int(seatd_expect(b, SEATD_ERROR, NULL), ==, EBUSY);

	/* Given away by the one that has it: to c, though b is first. */
	seatd_send(a, SEATD_SWITCH_SESSION, 99, NULL);
	check_int(seatd_expect(a, SEATD_ERROR, NULL), ==, EINVAL);
	seatd_send(a, SEATD_SWITCH_SESSION, 3, NULL);
	(void)seatd_expect(a, SEATD_SESSION_SWITCHED, NULL);
	(void)seatd_expect(a, SEATD_EVENT_DISABLE, NULL);
	seatd_send(a, SEATD_DISABLE_SEAT, 0, NULL);
	(void)seatd_expect(a, SEATD_SEAT_DISABLED, NULL);
	(void)seatd_expect(c, SEATD_EVENT_ENABLE, NULL);
	/* Died, and the first in line is next. */
	(void)close(c);
	(void)seatd_expect(a, SEATD_EVENT_ENABLE, NULL);
	(void)close(a);
	(void)seatd_expect(b, SEATD_EVENT_ENABLE, NULL);
	(void)close(b);
	logind_stop(&f);
}

TEST(lease_goes_and_comes) {
	struct logind_fixture f = {0};
	int lease = -1;
	logind_start(&f, false);
	int fd = seatd_open(&f);
	logind_pause(&f);
	(void)seatd_expect(fd, SEATD_EVENT_DISABLE, NULL);
	seatd_send(fd, SEATD_OPEN_DEVICE, 0, "/dev/null");
	check_int(seatd_expect(fd, SEATD_ERROR, NULL), ==, EPERM);
	seatd_send(fd, SEATD_DISABLE_SEAT, 0, NULL);
	(void)seatd_expect(fd, SEATD_SEAT_DISABLED, NULL);
	logind_resume(&f);
	(void)seatd_expect(fd, SEATD_EVENT_ENABLE, NULL);
	seatd_send(fd, SEATD_OPEN_DEVICE, 0, "/dev/null");
	check_int(seatd_expect(fd, SEATD_DEVICE_OPENED, &lease), ==, 1);
	check_int(fd_minor(lease), ==, NEXT_MINOR);
	(void)close(lease);

	/* Back before the client said that it stopped. */
	logind_pause(&f);
	(void)seatd_expect(fd, SEATD_EVENT_DISABLE, NULL);
	logind_resume(&f);
	seatd_send(fd, SEATD_PING, 0, NULL);
	(void)seatd_expect(fd, SEATD_PONG, NULL);
	seatd_send(fd, SEATD_DISABLE_SEAT, 0, NULL);
	(void)seatd_expect(fd, SEATD_SEAT_DISABLED, NULL);
	(void)seatd_expect(fd, SEATD_EVENT_ENABLE, NULL);

	/* Who comes while there is none waits for it. */
	(void)close(fd);
	logind_pause(&f);
	fd = seatd_connect(&f);
	seatd_send(fd, SEATD_OPEN_SEAT, 0, NULL);
	(void)seatd_expect(fd, SEATD_SEAT_OPENED, NULL);
	logind_resume(&f);
	(void)seatd_expect(fd, SEATD_EVENT_ENABLE, NULL);
	(void)close(fd);
	logind_stop(&f);
}

TEST(bus_and_seatd_share_the_session) {
	struct logind_fixture f = {0};
	char error[256];
	int lease = -1;
	logind_start(&f, true);
	check_ok(logind_take_control(&f, ":1.7", NULL));
	int fd = seatd_connect(&f);
	seatd_send(fd, SEATD_OPEN_SEAT, 0, NULL);
	(void)seatd_expect(fd, SEATD_SEAT_OPENED, NULL);
	seatd_send(fd, SEATD_OPEN_DEVICE, 0, "/dev/null");
	check_int(seatd_expect(fd, SEATD_ERROR, NULL), ==, EPERM);
	check_ok(logind_call(
		&f, ":1.7", SESSION_PATH, LOGIN_SESSION, "ReleaseControl", NULL, NULL, NULL));
	(void)seatd_expect(fd, SEATD_EVENT_ENABLE, NULL);
	check_int(logind_take_control(&f, ":1.7", error), <, 0);
	check_str(error, "System.Error.EBUSY");
	(void)close(fd);
	/* Its end is not ordered with the bus: an answer on another connection is. */
	fd = seatd_connect(&f);
	seatd_send(fd, SEATD_PING, 0, NULL);
	(void)seatd_expect(fd, SEATD_PONG, NULL);
	check_ok(logind_take_control(&f, ":1.7", NULL));
	lease = logind_take_card(&f, ":1.7", NULL);
	check_int(fd_minor(lease), ==, CARD_MINOR);
	(void)close(lease);
	(void)close(fd);
	logind_stop(&f);
}

/* Requests in one write, or byte by byte, are the same requests. */
TEST(pieces_do_not_matter) {
	struct logind_fixture f = {0};
	uint8_t stream[64];
	size_t n = 0;
	const struct seatd_request requests[] = {{.opcode = SEATD_OPEN_SEAT},
		{.opcode = SEATD_PING}, {.opcode = SEATD_OPEN_DEVICE, .path = "/dev/null"},
		{.opcode = SEATD_CLOSE_DEVICE, .number = 1}, {.opcode = SEATD_CLOSE_SEAT}};
	logind_start(&f, false);
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		n += (size_t)seatd_encode_request(stream + n, sizeof(stream) - n, &requests[i]);
	}
	for (size_t piece = 1; piece <= n; piece++) {
		int fd = seatd_connect(&f), lease = -1;
		for (size_t at = 0; at < n; at += piece) {
			size_t size = MIN(piece, n - at);
			check_int(send(fd, stream + at, size, MSG_NOSIGNAL), ==, size);
		}
		(void)seatd_expect(fd, SEATD_SEAT_OPENED, NULL);
		(void)seatd_expect(fd, SEATD_EVENT_ENABLE, NULL);
		(void)seatd_expect(fd, SEATD_PONG, NULL);
		(void)seatd_expect(fd, SEATD_DEVICE_OPENED, &lease);
		(void)close(lease);
		(void)seatd_expect(fd, SEATD_DEVICE_CLOSED, NULL);
		(void)seatd_expect(fd, SEATD_SEAT_CLOSED, NULL);
		(void)close(fd);
	}
	logind_stop(&f);
}

TEST(nonsense_ends_that_client_only) {
	static const struct {
		uint8_t bytes[8];
		size_t n;
	} nonsense[] = {{{0xff, 0xff, 0xff, 0xff}, 4}, {{3, 0, 3, 0, 1, 0, 0}, 7},
		{{2, 0, 0, 0}, 4}, {{5, 0, 0, 0}, 4}, {{1, 0, 0, 0, 1, 0, 0, 0}, 8}};
	struct logind_fixture f = {0};
	logind_start(&f, false);
	for (size_t i = 0; i < ARRAY_SIZE(nonsense); i++) {
		int fd = seatd_connect(&f);
		check_int(send(fd, nonsense[i].bytes, nonsense[i].n, MSG_NOSIGNAL), ==,
			nonsense[i].n);
		if (nonsense[i].n == 8) {
			(void)seatd_expect(fd, SEATD_SEAT_OPENED, NULL);
			(void)seatd_expect(fd, SEATD_EVENT_ENABLE, NULL);
		}
		seatd_expect_end(fd);
		(void)close(fd);
		(void)close(seatd_open(&f));
	}
	logind_stop(&f);
}

/* A client that reads nothing is not served either: its requests stay in its socket. */
TEST(who_does_not_read_waits) {
	struct logind_fixture f = {0};
	static const struct seatd_request open_it = {
		.opcode = SEATD_OPEN_DEVICE, .path = "/dev/null"};
	static const struct seatd_request close_it = {.opcode = SEATD_CLOSE_DEVICE, .number = 1};
	uint8_t buf[2 * SEATD_REQUEST_MAX];
	unsigned n_sent = 0;
	logind_start(&f, false);
	int fd = seatd_open(&f);
	ssize_t n = seatd_encode_request(buf, sizeof(buf), &open_it);
	n += seatd_encode_request(buf + n, sizeof(buf) - (size_t)n, &close_it);
	check_ok(fcntl(fd, F_SETFL, O_NONBLOCK));
	/* Until the sockets of both directions are full: seen by others being served twice. */
	for (unsigned idle = 0; idle < 2; idle++) {
		while (send(fd, buf, (size_t)n, MSG_NOSIGNAL) == n) {
			n_sent++;
			idle = 0;
			check_int(n_sent, <, 1000000);
		}
		int other = seatd_connect(&f);
		seatd_send(other, SEATD_PING, 0, NULL);
		(void)seatd_expect(other, SEATD_PONG, NULL);
		(void)close(other);
	}
	/* And once it reads, each gets its answer, with a descriptor of its own. */
	check_int(n_sent, >, 2 * SEATD_DEVICES_MAX);
	check_ok(fcntl(fd, F_SETFL, 0));
	for (unsigned i = 0; i < n_sent; i++) {
		int lease = -1;
		check_int(seatd_expect(fd, SEATD_DEVICE_OPENED, &lease), ==, 1);
		check_int(fd_minor(lease), ==, CARD_MINOR);
		(void)close(lease);
		(void)seatd_expect(fd, SEATD_DEVICE_CLOSED, NULL);
	}
	(void)close(fd);
	(void)close(seatd_open(&f));
	logind_stop(&f);
}

TEST(clients_are_bounded) {
	struct logind_fixture f = {0};
	int fds[SEATD_CLIENTS_MAX], extra;
	logind_start(&f, false);
	for (unsigned i = 0; i < SEATD_CLIENTS_MAX; i++) {
		fds[i] = seatd_connect(&f);
		seatd_send(fds[i], SEATD_PING, 0, NULL);
		(void)seatd_expect(fds[i], SEATD_PONG, NULL);
	}
	extra = seatd_connect(&f);
	seatd_expect_end(extra);
	(void)close(extra);
	for (unsigned i = 1; i < SEATD_CLIENTS_MAX; i++) {
		(void)close(fds[i]);
	}
	/* The loop takes events in the order of its rounds: after the second, they are all gone. */
	for (unsigned i = 0; i < 2; i++) {
		seatd_send(fds[0], SEATD_PING, 0, NULL);
		(void)seatd_expect(fds[0], SEATD_PONG, NULL);
	}
	(void)close(seatd_open(&f));
	(void)close(fds[0]);
	logind_stop(&f);
}
