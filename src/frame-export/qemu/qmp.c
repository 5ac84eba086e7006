/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "list.h"
#include "log.h"
#include "qmp.h"
#include "util.h"

LOG_MODULE("qmp");

#define READ_BYTES 4096

enum qmp_state {
	QMP_GREETING,    /* waiting for QEMU's first line */
	QMP_NEGOTIATING, /* qmp_capabilities sent */
	QMP_READY,
};

/* One command, from when it is queued until its reply. */
struct command {
	struct list link; // qmp.unsent or qmp.unanswered
	json_int_t id;
	qmp_reply_func func;
	void *data;
	int fd; // -1 when sent, or if there is none
	char *text;
	size_t size, sent;
};

struct qmp {
	const struct qmp_handler *handler;
	void *data;
	sd_event_source *io;
	int fd;
	enum qmp_state state;
	json_int_t last_id;
	struct list unsent;     // struct command.link
	struct list unanswered; // struct command.link

	char *in; // the line that is being received
	size_t in_size, in_capacity;

	bool *destroyed; // set by qmp_destroy() while a handler runs; may be NULL
};

static void command_free(struct command *c) {
	list_remove(&c->link);
	(void)close_fd(c->fd);
	free(c->text);
	free(c);
}

static int send_some(struct qmp *q, struct command *c) {
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {c->text + c->sent, c->size - c->sent};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	if (c->fd >= 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &c->fd, sizeof(int));
	}
	ssize_t n = sendmsg(q->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0) {
		return -errno;
	}
	c->fd = close_fd(c->fd);
	c->sent += (size_t)n;
	return 0;
}

/* Sends what the socket takes, and asks to be woken for the rest. */
static int flush(struct qmp *q) {
	int r = 0;
	while (!list_empty(&q->unsent)) {
		struct command *c = list_first(&q->unsent, struct command, link);
		r = send_some(q, c);
		if (r == -EINTR) {
			continue;
		}
		if (r < 0) {
			break;
		}
		if (c->sent == c->size) {
			list_remove(&c->link);
			list_append(&q->unanswered, &c->link);
		}
	}
	if (r < 0 && r != -EAGAIN) {
		return r;
	}
	return sd_event_source_set_io_events(
		q->io, EPOLLIN | (list_empty(&q->unsent) ? 0 : EPOLLOUT));
}

static int command_text(const char *name, json_t *arguments, json_int_t id, char **ret) {
	json_t *object = json_pack("{s:s, s:I}", "execute", name, "id", id);
	if (object && arguments && json_object_set(object, "arguments", arguments) < 0) {
		json_decref(object);
		object = NULL;
	}
	char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
	json_decref(object);
	if (!text) {
		return -ENOMEM;
	}
	*ret = text;
	return 0;
}

int qmp_execute(struct qmp *q, const char *name, json_t *arguments, int fd, qmp_reply_func func,
	void *data) {
	struct command *c = calloc(1, sizeof(*c));
	if (!c) {
		(void)close_fd(fd);
		json_decref(arguments);
		return -ENOMEM;
	}
	c->fd = fd;
	c->func = func;
	c->data = data;
	c->id = ++q->last_id;
	list_init(&c->link);
	int r = command_text(name, arguments, c->id, &c->text);
	json_decref(arguments);
	if (r < 0) {
		command_free(c);
		return r;
	}
	c->size = strlen(c->text);
	list_append(&q->unsent, &c->link);
	return flush(q);
}

static void close_with(struct qmp *q, int error) {
	q->handler->closed(error, q->data);
}

static void handle_capabilities(const char *error, void *data) {
	struct qmp *q = data;
	if (error) {
		log_warn("qmp_capabilities: %s", error);
		close_with(q, -EPROTO);
		return;
	}
	q->state = QMP_READY;
	q->handler->ready(q->data);
}

static void handle_greeting(struct qmp *q, json_t *line) {
	if (!json_is_object(json_object_get(line, "QMP"))) {
		return;
	}
	q->state = QMP_NEGOTIATING;
	int r = qmp_execute(q, "qmp_capabilities", NULL, -1, handle_capabilities, q);
	if (r < 0) {
		close_with(q, r);
	}
}

static void handle_reply(struct qmp *q, json_t *line) {
	json_t *error = json_object_get(line, "error");
	json_t *id = json_object_get(line, "id");
	if (!error && !json_object_get(line, "return")) {
		return; // an event
	}
	struct command *c, *tmp, *found = NULL;
	list_for_each_safe(c, tmp, &q->unanswered, link) {
		if (json_is_integer(id) && json_integer_value(id) == c->id) {
			found = c;
			break;
		}
	}
	if (!found) {
		return;
	}
	const char *text = NULL;
	if (error) {
		text = json_string_value(json_object_get(error, "desc"));
		text = text ? text : "error without a description";
	}
	qmp_reply_func func = found->func;
	void *data = found->data;
	command_free(found);
	func(text, data);
}

static void handle_line(struct qmp *q, const char *text, size_t size) {
	json_error_t error;
	json_t *line = json_loadb(text, size, 0, &error);
	if (!json_is_object(line)) {
		log_debug("passed over %zu bytes that are no JSON object", size);
	} else if (q->state == QMP_GREETING) {
		handle_greeting(q, line);
	} else {
		handle_reply(q, line);
	}
	json_decref(line);
}

/* Handles the whole lines among the received bytes. Returns false if a handler destroyed `q`. */
static bool handle_lines(struct qmp *q) {
	bool destroyed = false;
	size_t start = 0;
	q->destroyed = &destroyed;
	for (;;) {
		const char *end = memchr(q->in + start, '\n', q->in_size - start);
		if (!end) {
			break;
		}
		size_t size = (size_t)(end - (q->in + start));
		handle_line(q, q->in + start, size);
		if (destroyed) {
			return false;
		}
		start += size + 1;
	}
	q->destroyed = NULL;
	memmove(q->in, q->in + start, q->in_size - start);
	q->in_size -= start;
	return true;
}

static int receive(struct qmp *q) {
	if (q->in_size > QMP_LINE_MAX) {
		return -EMSGSIZE; // what is left over is one unfinished line
	}
	if (q->in_capacity - q->in_size < READ_BYTES) {
		size_t capacity = MAX(2 * q->in_capacity, (size_t)2 * READ_BYTES);
		char *in = realloc(q->in, capacity);
		if (!in) {
			return -ENOMEM;
		}
		q->in = in;
		q->in_capacity = capacity;
	}
	ssize_t n = recv(q->fd, q->in + q->in_size, READ_BYTES, MSG_DONTWAIT);
	if (n < 0) {
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	}
	if (n == 0) {
		return -ECONNRESET;
	}
	q->in_size += (size_t)n;
	return 0;
}

static int handle_io(sd_event_source *source, int fd, uint32_t revents, void *data) {
	struct qmp *q = data;
	int r = 0;
	if (revents & EPOLLOUT) {
		r = flush(q);
	}
	if (r >= 0 && (revents & (EPOLLIN | EPOLLHUP | EPOLLERR))) {
		r = receive(q);
		if (r >= 0 && !handle_lines(q)) {
			return 0;
		}
	}
	if (r < 0) {
		close_with(q, r);
	}
	return 0;
}

static int connect_to(const char *path) {
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(addr.sun_path)) {
		return -ENAMETOOLONG;
	}
	memcpy(addr.sun_path, path, strlen(path));
	CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		return -errno;
	}
	return take_fd(&fd);
}

int qmp_connect(sd_event *loop, const char *path, const struct qmp_handler *handler, void *data,
	struct qmp **ret) {
	int fd = connect_to(path);
	if (fd < 0) {
		return fd;
	}
	struct qmp *q = calloc(1, sizeof(*q));
	if (!q) {
		(void)close_fd(fd);
		return -ENOMEM;
	}
	q->fd = fd;
	q->handler = handler;
	q->data = data;
	list_init(&q->unsent);
	list_init(&q->unanswered);
	int r = sd_event_add_io(loop, &q->io, fd, EPOLLIN, handle_io, q);
	if (r < 0) {
		qmp_destroy(q);
		return r;
	}
	*ret = q;
	return 0;
}

void qmp_destroy(struct qmp *q) {
	if (!q) {
		return;
	}
	if (q->destroyed) {
		*q->destroyed = true;
	}
	struct command *c, *tmp;
	list_for_each_safe(c, tmp, &q->unsent, link) {
		command_free(c);
	}
	list_for_each_safe(c, tmp, &q->unanswered, link) {
		command_free(c);
	}
	sd_event_source_disable_unref(q->io);
	(void)close_fd(q->fd);
	free(q->in);
	free(q);
}
