/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One client. Its first packet says what it is: the owner of a set, for as long as it is there, or
 * a link that sends events into one. Replies fit into any socket's buffer, so each is sent at once
 * or never.
 */
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "input-manager.h"
#include "log.h"
#include "send-fds.h"

LOG_MODULE("conn");

_Static_assert((unsigned)_INPUT_KIND_MAX <= SEND_FDS_MAX, "a set in one packet");

/*
 * How often a link that waits for the compositor to read looks whether it has, and for how long.
 * The kernel has no event for "it was read".
 */
#define READER_LOOK_NS     (1 * NSEC_PER_MSEC)
#define READER_PATIENCE_NS (2 * NSEC_PER_SEC)

void conn_log(const struct conn *c, const char *what) {
	reception_log(&c->manager->reception, log_module, &c->peer, what);
}

static void set_timer(struct conn *c, uint64_t ns) {
	(void)sd_event_source_set_time_relative(c->timer, DIV_ROUND_UP(ns, NSEC_PER_USEC));
	(void)sd_event_source_set_enabled(c->timer, SD_EVENT_ONESHOT);
}

static void stop_timer(struct conn *c) {
	(void)sd_event_source_set_enabled(c->timer, SD_EVENT_OFF);
}

/* All of it, with so many descriptors, in one packet; `size` is what the encoder said. */
static bool send_packet(
	struct conn *c, const uint8_t *buf, ssize_t size, const int *fds, unsigned n_fds) {
	return size >= 0 && send_with_fds(c->fd, buf, (size_t)size, fds, n_fds);
}

/* Freed when the loop comes round: callers up the stack still look at it. */
void conn_end(struct conn *c) {
	(void)sd_event_source_set_enabled(c->io, SD_EVENT_OFF);
	set_timer(c, 0);
	c->state = CONN_ENDED;
	/* The peer must see it now, even if this round of the loop has much to do. */
	(void)shutdown(c->fd, SHUT_RDWR);
}

static void refuse(struct conn *c, uint8_t type, enum input_code code, const char *text) {
	uint8_t buf[INPUT_HEADER_SIZE + INPUT_REPLY_SIZE];
	struct input_reply reply = {.code = code};
	text = text ? text : input_code_to_string(code);
	(void)snprintf(reply.text, sizeof(reply.text), "%s", text);
	conn_log(c, text);
	(void)send_packet(c, buf, input_encode_error(buf, sizeof(buf), type, &reply), NULL, 0);
	conn_end(c);
}

void conn_refused(struct conn *c, enum input_code code, const char *text) {
	refuse(c, INPUT_CREATE, code, text);
}

/* What the udev rules of the VM would have found out; the container has no udev. */
static const char *properties_of(enum input_kind kind) {
	static const char *const properties[_INPUT_KIND_MAX] = {
		[INPUT_KEYBOARD] = "ID_INPUT=1\nID_INPUT_KEY=1\nID_INPUT_KEYBOARD=1\n",
		[INPUT_POINTER] = "ID_INPUT=1\nID_INPUT_MOUSE=1\n",
		[INPUT_TOUCH] = "ID_INPUT=1\nID_INPUT_TOUCHSCREEN=1\n",
	};
	return properties[kind];
}

static bool send_created(struct conn *c) {
	uint8_t buf[INPUT_HEADER_SIZE + INPUT_CREATED_SIZE + _INPUT_KIND_MAX * INPUT_ENTRY_SIZE];
	const struct set *set = c->set;
	struct input_created msg = {0};
	int fds[_INPUT_KIND_MAX];
	memcpy(msg.token, set->token, sizeof(msg.token));
	for (unsigned kind = 0; kind < _INPUT_KIND_MAX; kind++) {
		const struct device *d = &set->devices[kind];
		if (d->uinput_fd < 0) {
			continue;
		}
		fds[msg.count] = d->evdev_fd;
		struct input_entry *e = &msg.entries[msg.count++];
		e->kind = kind;
		e->major = d->major;
		e->minor = d->minor;
		(void)snprintf(e->sysname, sizeof(e->sysname), "%s", d->sysname);
		(void)snprintf(e->properties, sizeof(e->properties), "%s", properties_of(d->kind));
	}
	return send_packet(c, buf, input_encode_created(buf, sizeof(buf), &msg), fds, msg.count);
}

void conn_created(struct conn *c) {
	c->state = CONN_OWNER;
	if (!send_created(c)) {
		conn_log(c, "did not take its devices");
		set_end(c->set);
		conn_end(c);
	}
}

/* Ends the connection, and what goes with it. */
static void fail_conn(struct conn *c, const char *why) {
	if (why) {
		conn_log(c, why);
	}
	if (c->set && c->state == CONN_LINK) {
		set_detach(c);
	} else if (c->set) {
		set_end(c->set);
	}
	conn_end(c);
}

/* Writes what came, or looks again later; meanwhile nothing more is received. */
static void feed(struct conn *c) {
	enum feed r = set_feed(c);
	uint64_t now = now_ns();
	if (r == FEED_ENDED) {
		return;
	}
	if (r == FEED_DONE) {
		c->waiting_since_ns = 0;
		stop_timer(c);
		(void)sd_event_source_set_enabled(c->io, SD_EVENT_ON);
		return;
	}
	c->waiting_since_ns = c->waiting_since_ns ? c->waiting_since_ns : now;
	if (now - c->waiting_since_ns > READER_PATIENCE_NS) {
		set_feed_anyway(c);
	}
	(void)sd_event_source_set_enabled(c->io, SD_EVENT_OFF);
	set_timer(c, READER_LOOK_NS);
}

static void handle_events(struct conn *c, const uint8_t *p, size_t len) {
	int n = input_decode_events(p, len, c->records);
	for (int i = 0; i < n; i++) {
		const struct input_record *record = &c->records[i];
		if (!input_record_is_valid(record) ||
			!(c->set->kinds & INPUT_KIND_BIT(record->kind))) {
			n = -EBADMSG;
		}
	}
	if (n < 0) {
		fail_conn(c, "sent what is no event");
		return;
	}
	c->n_records = (size_t)n;
	c->next_record = 0;
	feed(c);
}

static void handle_attach(struct conn *c, const uint8_t *p, size_t len) {
	uint8_t buf[INPUT_HEADER_SIZE + INPUT_ATTACHED_SIZE];
	struct input_attach request;
	if (input_decode_attach(p, len, &request) < 0) {
		refuse(c, INPUT_ATTACH, INPUT_INVALID, NULL);
		return;
	}
	struct set *set = set_find(c->manager, request.token);
	if (!set) {
		refuse(c, INPUT_ATTACH, INPUT_NO_SET, NULL);
		return;
	}
	if (set->n_links >= SET_LINKS_MAX) {
		refuse(c, INPUT_ATTACH, INPUT_LIMIT, "too many are attached to it");
		return;
	}
	c->state = CONN_LINK;
	set_attach(set, c);
	if (!send_packet(c, buf, input_encode_attached(buf, sizeof(buf), set->kinds), NULL, 0)) {
		fail_conn(c, "did not take its answer");
	}
}

static void handle_create(struct conn *c, const uint8_t *p, size_t len) {
	struct input_create request;
	if (input_decode_create(p, len, &request) < 0) {
		refuse(c, INPUT_CREATE, INPUT_INVALID, NULL);
		return;
	}
	set_create(c->manager, c, &request);
}

static void handle_first(struct conn *c, uint8_t type, const uint8_t *p, size_t len) {
	stop_timer(c);
	if (!policy_allows(&c->manager->config.policy, &c->peer, c->fd)) {
		refuse(c, type, INPUT_DENIED, NULL);
		return;
	}
	switch (type) {
	case INPUT_CREATE:
		handle_create(c, p, len);
		break;
	case INPUT_ATTACH:
		handle_attach(c, p, len);
		break;
	default:
		refuse(c, type, INPUT_UNSUPPORTED, NULL);
		break;
	}
}

static void handle_packet(struct conn *c, const uint8_t *buf, size_t size) {
	uint8_t type;
	int n = input_decode_header(buf, size, &type);
	if (n < 0) {
		fail_conn(c, "sent what is no request");
	} else if (c->state == CONN_NEW) {
		handle_first(c, type, buf + n, size - (size_t)n);
	} else if (c->state == CONN_LINK && type == INPUT_EVENTS) {
		handle_events(c, buf + n, size - (size_t)n);
	} else {
		fail_conn(c, "sent what it may not");
	}
}

/* One packet in each round of the loop, so that a flood leaves it to others. */
static int handle_io(sd_event_source *source, int fd, uint32_t events, void *data) {
	struct conn *c = data;
	uint8_t buf[INPUT_MESSAGE_MAX];
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n = recvmsg(fd, &msg, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		return 0;
	}
	if (n <= 0) {
		fail_conn(c, NULL);
	} else if (msg.msg_flags & MSG_CTRUNC) {
		/* The kernel has closed them. */
		fail_conn(c, "sent file descriptors");
	} else if (msg.msg_flags & MSG_TRUNC) {
		fail_conn(c, "sent too long a packet");
	} else {
		handle_packet(c, buf, (size_t)n);
	}
	return 0;
}

static int handle_timer(sd_event_source *source, uint64_t usec, void *data) {
	struct conn *c = data;
	if (c->state == CONN_ENDED) {
		conn_destroy(c);
	} else if (c->state == CONN_LINK) {
		feed(c);
	} else {
		fail_conn(c, "sent no request in time");
	}
	return 0;
}

int conn_create(struct manager *m, int fd, const struct peer *peer) {
	struct conn *c = calloc(1, sizeof(*c));
	if (!c) {
		(void)close_fd(fd);
		return -ENOMEM;
	}
	c->manager = m;
	c->fd = fd;
	c->peer = *peer;
	list_init(&c->set_link);
	list_append(&m->conns, &c->link);
	m->n_conns++;
	int r = sd_event_add_io(m->loop, &c->io, fd, EPOLLIN, handle_io, c);
	if (r >= 0) {
		r = sd_event_add_time_relative(m->loop, &c->timer, CLOCK_MONOTONIC,
			m->config.read_timeout_ns / NSEC_PER_USEC, TIMER_ACCURACY_US, handle_timer,
			c);
	}
	if (r < 0) {
		conn_destroy(c);
	}
	return r;
}

void conn_destroy(struct conn *c) {
	if (!c) {
		return;
	}
	list_remove(&c->set_link);
	list_remove(&c->link);
	c->manager->n_conns--;
	sd_event_source_disable_unref(c->io);
	sd_event_source_disable_unref(c->timer);
	(void)close_fd(c->fd);
	free(c);
}
