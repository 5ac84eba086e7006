/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The input client: what it queues, and what it makes of managers that talk nonsense. */
#include <fcntl.h>
#include <linux/input-event-codes.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "input-client.h"
#include "proto/input.h"
#include "test.h"
#include "util.h"

static struct input_link link_of(uint32_t kinds) {
	return (struct input_link){.fd = -1, .kinds = kinds};
}

static void check_record(
	const struct input_link *l, unsigned i, unsigned type, unsigned code, int value) {
	check_int(i, <, l->n_records);
	check_int(l->records[i].type, ==, type);
	check_int(l->records[i].code, ==, code);
	check_int(l->records[i].value, ==, value);
}

TEST(what_is_queued) {
	struct input_link l = link_of(INPUT_KINDS_ALL);
	check_ok(input_link_key(&l, KEY_A, true));
	check_int(input_link_key(&l, KEY_POWER, true), ==, -EINVAL);
	check_int(input_link_key(&l, BTN_LEFT, true), ==, -EINVAL);
	check_ok(input_link_button(&l, BTN_RIGHT, false));
	check_int(input_link_button(&l, KEY_A, false), ==, -EINVAL);
	check_ok(input_link_move(&l, -5, 70000));
	check_ok(input_link_move_relative(&l, -50000, 3));
	check_ok(input_link_touch(&l, 9, true, 1, 2));
	check_ok(input_link_touch(&l, 9, false, 3, 4));
	check_ok(input_link_touch_end(&l, 9));
	check_int(input_link_touch(&l, 10, true, 1, 2), ==, -EINVAL);
	check_int(input_link_touch_end(&l, 10), ==, -EINVAL);
	check_record(&l, 0, EV_KEY, KEY_A, 1);
	check_record(&l, 1, EV_KEY, BTN_RIGHT, 0);
	check_record(&l, 2, EV_ABS, ABS_X, 0);
	check_record(&l, 3, EV_ABS, ABS_Y, 65535);
	check_record(&l, 4, EV_REL, REL_X, -32767);
	check_record(&l, 5, EV_REL, REL_Y, 3);
	check_record(&l, 6, EV_ABS, ABS_MT_SLOT, 9);
	check_record(&l, 7, EV_ABS, ABS_MT_TRACKING_ID, 0);
	check_record(&l, 9, EV_ABS, ABS_MT_POSITION_Y, 2);
	check_record(&l, 12, EV_ABS, ABS_MT_POSITION_Y, 4);
	check_record(&l, 14, EV_ABS, ABS_MT_TRACKING_ID, -1);
	check_int(l.n_records, ==, 15);
	for (unsigned i = 0; i < l.n_records; i++) {
		check(input_record_is_valid(&l.records[i]));
	}
}

TEST(no_room_and_no_device) {
	struct input_link l = link_of(INPUT_KIND_BIT(INPUT_TOUCH));
	check_int(input_link_key(&l, KEY_A, true), ==, -ENODEV);
	check_int(input_link_move(&l, 1, 1), ==, -ENODEV);
	check_int(input_link_scroll(&l, 1, 1), ==, -ENODEV);
	for (unsigned i = 0; i < INPUT_RECORDS_MAX / 4; i++) {
		check_ok(input_link_touch(&l, 0, true, 1, 2));
	}
	check_int(input_link_touch(&l, 0, false, 1, 2), ==, -ENOBUFS);
	check_int(l.n_records, ==, INPUT_RECORDS_MAX);
}

TEST(wheels) {
	struct input_link l = link_of(INPUT_KINDS_ALL);
	/* Down is negative to the kernel; a notch when so many steps have come together. */
	check_ok(input_link_scroll(&l, 0, 100));
	check_int(l.n_records, ==, 1);
	check_record(&l, 0, EV_REL, REL_WHEEL_HI_RES, -100);
	check_ok(input_link_scroll(&l, 0, 100));
	check_record(&l, 1, EV_REL, REL_WHEEL_HI_RES, -100);
	check_record(&l, 2, EV_REL, REL_WHEEL, -1);
	/* The 80 that are left do not count when it turns back. */
	check_ok(input_link_scroll(&l, 0, -60));
	check_ok(input_link_scroll(&l, 0, -60));
	check_record(&l, 4, EV_REL, REL_WHEEL_HI_RES, 60);
	check_record(&l, 5, EV_REL, REL_WHEEL, 1);
	l.n_records = 0;
	check_ok(input_link_scroll(&l, 360, 0));
	check_record(&l, 0, EV_REL, REL_HWHEEL_HI_RES, 360);
	check_record(&l, 1, EV_REL, REL_HWHEEL, 3);
	check_ok(input_link_scroll(&l, 0, 0));
	check_int(l.n_records, ==, 2);
	/* What did not fit has not been scrolled. */
	l.n_records = INPUT_RECORDS_MAX;
	check_int(input_link_scroll(&l, 119, 0), ==, -ENOBUFS);
	l.n_records = 0;
	check_ok(input_link_scroll(&l, 1, 0));
	check_int(l.n_records, ==, 1);
}

TEST(flush_keeps_what_was_not_sent) {
	int fds[2];
	uint8_t buf[INPUT_MESSAGE_MAX];
	struct input_record records[INPUT_RECORDS_MAX];
	struct input_link l = link_of(INPUT_KINDS_ALL);
	check(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
	l.fd = fds[0];
	check_ok(input_link_flush(&l));
	unsigned sent = 0;
	for (int r = 0; r == 0; sent += r == 0) {
		check_ok(input_link_move(&l, (int)sent, 0));
		r = input_link_flush(&l);
		check(r == 0 || r == -EAGAIN);
	}
	check_int(sent, >, 0);
	check_int(l.n_records, ==, 2);
	for (unsigned i = 0; i < sent; i++) {
		ssize_t n = recv(fds[1], buf, sizeof(buf), 0);
		check_int(n, ==, 8 + 18);
		check_int(input_decode_events(buf + 8, 18, records), ==, 2);
		check_int(records[0].value, ==, (int)i);
	}
	check_ok(input_link_flush(&l));
	check_int(l.n_records, ==, 0);
	(void)close(fds[1]);
	check_ok(input_link_move(&l, 1, 1));
	check_int(input_link_flush(&l), <, 0);
	input_link_close(&l);
	input_link_close(&l);
}

/* Answers one request with what it is told to. */
struct liar {
	char path[64];
	int listener;
	pthread_t thread;
	uint8_t answer[2048];
	size_t size; /* 0: closes; SIZE_MAX: says nothing until the client has gone */
	unsigned n_fds;
};

static void send_answer(const struct liar *l, int fd) {
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(16 * sizeof(int))];
	} control = {.header = {.cmsg_level = SOL_SOCKET,
			     .cmsg_type = SCM_RIGHTS,
			     .cmsg_len = CMSG_LEN(l->n_fds * sizeof(int))}};
	struct iovec iov = {(void *)(uintptr_t)l->answer, l->size};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	for (unsigned i = 0; i < l->n_fds; i++) {
		memcpy(CMSG_DATA(&control.header) + i * sizeof(int), &fd, sizeof(int));
	}
	if (l->n_fds > 0) {
		msg.msg_control = control.space;
		msg.msg_controllen = CMSG_SPACE(l->n_fds * sizeof(int));
	}
	check_int(sendmsg(fd, &msg, MSG_NOSIGNAL), ==, l->size);
}

static void *serve(void *data) {
	struct liar *l = data;
	uint8_t request[256];
	int fd = accept4(l->listener, NULL, NULL, SOCK_CLOEXEC);
	check_int(recv(fd, request, sizeof(request), 0), >, 0);
	if (l->size == SIZE_MAX) {
		(void)recv(fd, request, sizeof(request), 0);
	} else if (l->size > 0) {
		send_answer(l, fd);
	}
	(void)close(fd);
	return NULL;
}

static void start(struct liar *l) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	(void)snprintf(l->path, sizeof(l->path), "/tmp/helix-input-liar-%d", (int)getpid());
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", l->path);
	l->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	check(bind(l->listener, (struct sockaddr *)&address, sizeof(address)) == 0);
	check(listen(l->listener, 4) == 0);
	check_int(pthread_create(&l->thread, NULL, serve, l), ==, 0);
}

static void stop(struct liar *l) {
	check_int(pthread_join(l->thread, NULL), ==, 0);
	(void)close(l->listener);
	(void)unlink(l->path);
}

static int create(struct liar *l, char *error) {
	struct input_set set = {.connection = -1};
	struct input_wish wish = {.socket = l->path, .timeout_ms = 200};
	start(l);
	int r = input_set_create(&wish, &set, error);
	input_set_finish(&set);
	stop(l);
	return r;
}

static int attach(struct liar *l, char *error) {
	static const uint8_t token[INPUT_TOKEN_SIZE];
	struct input_link link = {.fd = -1};
	start(l);
	int r = input_link_open(&link, l->path, token, 200, error);
	input_link_close(&link);
	stop(l);
	return r;
}

TEST(answers_of_liars) {
	static struct liar l;
	char error[INPUT_ERROR_SIZE] = "";
	struct input_created created = {.count = 2};
	struct input_reply reply = {INPUT_NO_SET, ""};

	check_int(create(&l, error), ==, -ECONNRESET);
	check_str(error, "the manager closed the connection");
	l.size = SIZE_MAX;
	check_int(create(&l, error), ==, -ETIMEDOUT);
	for (l.size = 1; l.size < 200; l.size += 7) {
		check_int(create(&l, error), ==, -EBADMSG);
	}
	/* As many descriptors as devices, no fewer and no more; whatever came is closed. */
	l.size = (size_t)input_encode_created(l.answer, sizeof(l.answer), &created);
	for (l.n_fds = 0; l.n_fds < 12; l.n_fds++) {
		check_int(create(&l, error), ==, l.n_fds == 2 ? 0 : -EBADMSG);
	}
	l.n_fds = 1;
	check_int(attach(&l, error), ==, -EBADMSG);
	l.n_fds = 3;
	l.size = (size_t)input_encode_attached(l.answer, sizeof(l.answer), 1);
	check_int(create(&l, error), ==, -EBADMSG);
	check_int(attach(&l, error), ==, 0);
	l.size = (size_t)input_encode_error(l.answer, sizeof(l.answer), INPUT_ATTACH, &reply);
	check_int(attach(&l, error), ==, -ENOENT);
	check_str(error, "no devices have that token");
	reply = (struct input_reply){99, "no way"};
	l.size = (size_t)input_encode_error(l.answer, sizeof(l.answer), INPUT_CREATE, &reply);
	check_int(create(&l, error), ==, -EREMOTEIO);
	check_str(error, "no way");
}

TEST(no_manager) {
	char error[INPUT_ERROR_SIZE] = "", path[200];
	struct input_set set;
	struct input_wish wish = {.socket = "/nonexistent/input.sock"};
	check_int(input_set_create(&wish, &set, error), ==, -ENOENT);
	check_str(error, "/nonexistent/input.sock: No such file or directory");
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	wish.socket = path;
	check_int(input_set_create(&wish, &set, NULL), ==, -ENAMETOOLONG);
}
