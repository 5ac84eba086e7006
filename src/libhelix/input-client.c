/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <linux/input-event-codes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "input-client.h"
#include "proto/input.h"
#include "util.h"

#define TIMEOUT_DEFAULT_MS 10000u
#define FDS_MAX            8u /* of one message; one for each device is expected */
#define REPLY_MAX          8192u

/* The one question of a connection, and its answer. */
struct talk {
	int fd;
	uint64_t deadline_ns;
	char *error; // may be NULL
	uint8_t reply[REPLY_MAX];
	size_t size; /* of what is behind the header */
	int fds[FDS_MAX];
	unsigned n_fds;
};

static int failed(const struct talk *t, int r, const char *text) {
	if (t->error) {
		(void)snprintf(t->error, INPUT_ERROR_SIZE, "%s", text);
	}
	return r;
}

static int failed_errno(const struct talk *t, int r, const char *what) {
	if (t->error) {
		(void)snprintf(t->error, INPUT_ERROR_SIZE, "%s: %s", what, strerror(-r));
	}
	return r;
}

static void talk_close(struct talk *t) {
	t->fd = close_fd(t->fd);
	while (t->n_fds > 0) {
		(void)close_fd(t->fds[--t->n_fds]);
	}
}

static int talk_open(struct talk *t, const char *path, unsigned timeout_ms, char *error) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	path = path ? path : INPUT_SOCKET_DEFAULT;
	timeout_ms = timeout_ms ? timeout_ms : TIMEOUT_DEFAULT_MS;
	t->deadline_ns = now_ns() + timeout_ms * NSEC_PER_MSEC;
	t->error = error;
	t->n_fds = 0;
	t->fd = -1;
	if (strlen(path) >= sizeof(address.sun_path)) {
		return failed_errno(t, -ENAMETOOLONG, path);
	}
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	t->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (t->fd < 0) {
		return failed_errno(t, -errno, "socket");
	}
	if (connect(t->fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		int r = -errno;
		talk_close(t);
		return failed_errno(t, r, path);
	}
	return 0;
}

static int wait_for_answer(const struct talk *t) {
	struct pollfd p = {.fd = t->fd, .events = POLLIN};
	for (;;) {
		int n = poll(&p, 1, ms_until(t->deadline_ns));
		if (n > 0) {
			return 0;
		}
		if (n == 0) {
			return -ETIMEDOUT;
		}
		if (errno != EINTR) {
			return -errno;
		}
	}
}

static void keep_fds(struct talk *t, struct msghdr *msg) {
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
			continue;
		}
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (t->n_fds < FDS_MAX) {
				t->fds[t->n_fds++] = fd;
			} else {
				(void)close_fd(fd);
			}
		}
	}
}

static int receive(struct talk *t) {
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} control;
	for (;;) {
		struct iovec iov = {t->reply, sizeof(t->reply)};
		struct msghdr msg = {.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control.space,
			.msg_controllen = sizeof(control.space)};
		int r = wait_for_answer(t);
		if (r < 0) {
			return failed_errno(t, r, "no answer from the manager");
		}
		ssize_t n = recvmsg(t->fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
		if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
			continue;
		}
		if (n < 0) {
			return failed_errno(t, -errno, "no answer from the manager");
		}
		keep_fds(t, &msg);
		if (n == 0) {
			return failed(t, -ECONNRESET, "the manager closed the connection");
		}
		t->size = (size_t)n;
		return 0;
	}
}

static int code_to_errno(uint32_t code) {
	return code == INPUT_NO_SET ? -ENOENT : -EREMOTEIO;
}

/* What comes back, if it is the good answer to `type`, is behind the header of `reply`. */
static int talk_ask(struct talk *t, uint8_t type, const uint8_t *request, ssize_t request_size) {
	struct input_reply reply;
	uint8_t answered;
	if (request_size < 0) {
		return (int)request_size;
	}
	if (send(t->fd, request, (size_t)request_size, MSG_NOSIGNAL) != request_size) {
		return failed_errno(t, errno ? -errno : -EIO, "cannot ask the manager");
	}
	int r = receive(t);
	if (r < 0) {
		return r;
	}
	if (input_decode_header(t->reply, t->size, &answered) < 0 ||
		answered != (type | INPUT_REPLY_BIT) ||
		input_decode_reply(
			t->reply + INPUT_HEADER_SIZE, t->size - INPUT_HEADER_SIZE, &reply) < 0) {
		return failed(t, -EBADMSG, "what the manager said is no answer");
	}
	t->size -= INPUT_HEADER_SIZE;
	if (reply.code != INPUT_OK) {
		return failed(t, code_to_errno(reply.code),
			reply.text[0] ? reply.text : input_code_to_string(reply.code));
	}
	return 0;
}

static int take_created(struct talk *t, struct input_set *ret) {
	struct input_created created;
	if (input_decode_created(t->reply + INPUT_HEADER_SIZE, t->size, &created) < 0 ||
		created.count != t->n_fds) {
		return failed(t, -EBADMSG, "what the manager said is no answer");
	}
	*ret = (struct input_set){.connection = take_fd(&t->fd), .n_devices = created.count};
	memcpy(ret->token, created.token, sizeof(ret->token));
	for (unsigned i = 0; i < created.count; i++) {
		ret->devices[i].fd = take_fd(&t->fds[i]);
		ret->devices[i].about = created.entries[i];
	}
	return 0;
}

int input_set_create(const struct input_wish *wish, struct input_set *ret, char *error) {
	struct talk t;
	uint8_t buf[INPUT_HEADER_SIZE + INPUT_CREATE_SIZE];
	struct input_create request = {.kinds = wish->kinds};
	(void)snprintf(request.name, sizeof(request.name), "%s", wish->name ? wish->name : "");
	int r = talk_open(&t, wish->socket, wish->timeout_ms, error);
	if (r < 0) {
		return r;
	}
	r = talk_ask(&t, INPUT_CREATE, buf, input_encode_create(buf, sizeof(buf), &request));
	if (r == 0) {
		r = take_created(&t, ret);
	}
	talk_close(&t);
	return r;
}

void input_set_finish(struct input_set *set) {
	for (unsigned i = 0; i < set->n_devices; i++) {
		set->devices[i].fd = close_fd(set->devices[i].fd);
	}
	set->n_devices = 0;
	set->connection = close_fd(set->connection);
}

int input_link_open(struct input_link *ret, const char *socket,
	const uint8_t token[INPUT_TOKEN_SIZE], unsigned timeout_ms, char *error) {
	struct talk t;
	uint8_t buf[INPUT_HEADER_SIZE + INPUT_ATTACH_SIZE];
	struct input_attach request;
	uint32_t kinds;
	memcpy(request.token, token, sizeof(request.token));
	int r = talk_open(&t, socket, timeout_ms, error);
	if (r < 0) {
		return r;
	}
	r = talk_ask(&t, INPUT_ATTACH, buf, input_encode_attach(buf, sizeof(buf), &request));
	if (r == 0 && input_decode_attached(t.reply + INPUT_HEADER_SIZE, t.size, &kinds) < 0) {
		r = failed(&t, -EBADMSG, "what the manager said is no answer");
	}
	if (r == 0) {
		*ret = (struct input_link){.fd = take_fd(&t.fd), .kinds = kinds};
	}
	talk_close(&t);
	return r;
}

void input_link_close(struct input_link *link) {
	link->fd = close_fd(link->fd);
}

/* All of `records`, or none. */
static int queue(struct input_link *link, const struct input_record *records, unsigned n) {
	if (!(link->kinds & INPUT_KIND_BIT(records[0].kind))) {
		return -ENODEV;
	}
	if (n > INPUT_RECORDS_MAX - link->n_records) {
		return -ENOBUFS;
	}
	memcpy(link->records + link->n_records, records, n * sizeof(*records));
	link->n_records += n;
	return 0;
}

int input_link_key(struct input_link *link, uint16_t key, bool down) {
	const struct input_record record = {INPUT_KEYBOARD, EV_KEY, key, down};
	return input_record_is_valid(&record) ? queue(link, &record, 1) : -EINVAL;
}

int input_link_button(struct input_link *link, uint16_t button, bool down) {
	const struct input_record record = {INPUT_POINTER, EV_KEY, button, down};
	return input_record_is_valid(&record) ? queue(link, &record, 1) : -EINVAL;
}

static int32_t clamp(int32_t v, int32_t min, int32_t max) {
	return v < min ? min : MIN(v, max);
}

static int32_t position(int32_t v) {
	return clamp(v, 0, INPUT_POSITION_MAX);
}

int input_link_move(struct input_link *link, int32_t x, int32_t y) {
	const struct input_record records[] = {
		{INPUT_POINTER, EV_ABS, ABS_X, position(x)},
		{INPUT_POINTER, EV_ABS, ABS_Y, position(y)},
	};
	return queue(link, records, ARRAY_SIZE(records));
}

static int32_t relative(int32_t v) {
	return clamp(v, -INPUT_RELATIVE_MAX, INPUT_RELATIVE_MAX);
}

int input_link_move_relative(struct input_link *link, int32_t dx, int32_t dy) {
	const struct input_record records[] = {
		{INPUT_POINTER, EV_REL, REL_X, relative(dx)},
		{INPUT_POINTER, EV_REL, REL_Y, relative(dy)},
	};
	return queue(link, records, ARRAY_SIZE(records));
}

/* Fine steps, and a whole notch whenever so many of them have come together. */
static unsigned add_wheel(struct input_record *to, uint16_t fine, uint16_t notch, int32_t v,
	int32_t rest, int32_t *ret_rest) {
	unsigned n = 0;
	*ret_rest = rest;
	if (v == 0) {
		return 0;
	}
	to[n++] = (struct input_record){INPUT_POINTER, EV_REL, fine, v};
	/* What was left of the other direction does not count. */
	rest = (rest < 0) == (v < 0) ? rest + v : v;
	if (rest / INPUT_WHEEL_NOTCH != 0) {
		to[n++] = (struct input_record){
			INPUT_POINTER, EV_REL, notch, rest / INPUT_WHEEL_NOTCH};
	}
	*ret_rest = rest % INPUT_WHEEL_NOTCH;
	return n;
}

int input_link_scroll(struct input_link *link, int32_t dx, int32_t dy) {
	struct input_record records[4];
	int32_t wheel, hwheel;
	unsigned n = add_wheel(
		records, REL_HWHEEL_HI_RES, REL_HWHEEL, relative(dx), link->hwheel_rest, &hwheel);
	/* The kernel's wheel turns up. */
	n += add_wheel(
		records + n, REL_WHEEL_HI_RES, REL_WHEEL, -relative(dy), link->wheel_rest, &wheel);
	int r = n > 0 ? queue(link, records, n) : 0;
	if (r == 0) {
		link->wheel_rest = wheel;
		link->hwheel_rest = hwheel;
	}
	return r;
}

int input_link_touch(struct input_link *link, unsigned slot, bool begins, int32_t x, int32_t y) {
	struct input_record records[4];
	unsigned n = 0;
	if (slot >= INPUT_SLOTS) {
		return -EINVAL;
	}
	records[n++] = (struct input_record){INPUT_TOUCH, EV_ABS, ABS_MT_SLOT, (int32_t)slot};
	if (begins) {
		records[n++] = (struct input_record){INPUT_TOUCH, EV_ABS, ABS_MT_TRACKING_ID, 0};
	}
	records[n++] = (struct input_record){INPUT_TOUCH, EV_ABS, ABS_MT_POSITION_X, position(x)};
	records[n++] = (struct input_record){INPUT_TOUCH, EV_ABS, ABS_MT_POSITION_Y, position(y)};
	return queue(link, records, n);
}

int input_link_touch_end(struct input_link *link, unsigned slot) {
	const struct input_record records[] = {
		{INPUT_TOUCH, EV_ABS, ABS_MT_SLOT, (int32_t)slot},
		{INPUT_TOUCH, EV_ABS, ABS_MT_TRACKING_ID, -1},
	};
	return slot < INPUT_SLOTS ? queue(link, records, 2) : -EINVAL;
}

int input_link_flush(struct input_link *link) {
	uint8_t buf[INPUT_MESSAGE_MAX];
	if (link->n_records == 0) {
		return 0;
	}
	ssize_t n = input_encode_events(buf, sizeof(buf), link->records, link->n_records);
	if (n < 0) {
		return (int)n;
	}
	if (send(link->fd, buf, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) != n) {
		return errno ? -errno : -EIO;
	}
	link->n_records = 0;
	return 0;
}
