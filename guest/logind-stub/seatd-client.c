/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One client of the seatd face. What it does not read is never more than a few messages: while any
 * wait, its requests wait too. A message that libseat would not send ends its connection.
 */
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "log.h"
#include "seatd.h"

LOG_MODULE("seatd");

static ssize_t send_out(struct seatd_client *c) {
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {.iov_base = c->out, .iov_len = c->n_out};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	if (c->out_fd >= 0) {
		msg.msg_control = control.space;
		msg.msg_controllen = sizeof(control.space);
		struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &c->out_fd, sizeof(int));
	}
	return sendmsg(c->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/*
 * Sends what it can. A broken connection is only shut: its own events end it, so that nobody who
 * calls this loses the client under his feet.
 */
static void flush(struct seatd_client *c) {
	while (c->n_out > 0) {
		ssize_t n = send_out(c);
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0 && errno == EAGAIN) {
			break;
		}
		if (n < 0) {
			(void)shutdown(c->fd, SHUT_RDWR);
			c->n_out = 0;
			break;
		}
		c->out_fd = close_fd(c->out_fd);
		c->n_out -= (size_t)n;
		memmove(c->out, c->out + n, c->n_out);
	}
	if (c->n_out == 0) {
		c->out_fd = close_fd(c->out_fd);
	}
	(void)sd_event_source_set_io_events(c->io, c->n_out > 0 ? EPOLLOUT : EPOLLIN);
}

static void queued(struct seatd_client *c, ssize_t n) {
	if (n < 0) {
		/* Cannot be: see SEATD_OUT_SIZE. It would have lost a message. */
		(void)shutdown(c->fd, SHUT_RDWR);
		return;
	}
	c->n_out += (size_t)n;
}

static void reply(struct seatd_client *c, uint16_t opcode) {
	queued(c, seatd_encode_plain(c->out + c->n_out, sizeof(c->out) - c->n_out, opcode));
}

static void reply_number(struct seatd_client *c, uint16_t opcode, int32_t number) {
	queued(c,
		seatd_encode_number(c->out + c->n_out, sizeof(c->out) - c->n_out, opcode, number));
}

static void reply_error(struct seatd_client *c, int error) {
	reply_number(c, SEATD_ERROR, -error);
}

void seatd_client_enable(struct seatd_client *c) {
	c->state = SEATD_ENABLED;
	log_info("client %d is enabled", c->session);
	reply(c, SEATD_EVENT_ENABLE);
	flush(c);
}

void seatd_client_disable(struct seatd_client *c) {
	if (c->state == SEATD_ENABLED) {
		c->state = SEATD_DISABLING;
		reply(c, SEATD_EVENT_DISABLE);
		flush(c);
	}
}

static void handle_pause(struct controller *control) {
	seatd_client_disable(container_of(control, struct seatd_client, control));
}

/* Who was disabled has to say so first, and then waits for its turn; others go on. */
static void handle_resume(struct controller *control) {
}

static void handle_device_gone(struct controller *control, const struct device *device) {
	/* libseat has no such message: the client meets ENODEV when it reads the device. */
}

static const struct controller_ops controller_ops = {
	.pause = handle_pause,
	.resume = handle_resume,
	.device_gone = handle_device_gone,
};

static int open_seat(struct seatd_client *c) {
	if (c->state != SEATD_IDLE) {
		return -EBADMSG;
	}
	queued(c, seatd_encode_seat_opened(c->out + c->n_out, sizeof(c->out) - c->n_out, SEAT_ID));
	c->state = SEATD_WAITING;
	return 0;
}

static void leave_seat(struct seatd_client *c) {
	c->state = SEATD_IDLE;
	memset(c->opened, 0, sizeof(c->opened));
	session_release(c->seatd->session, &c->control);
}

static void open_device(struct seatd_client *c, const char *path) {
	const struct device *d = devices_find_path(c->seatd->session->devices, path);
	unsigned i = 0;
	if (c->state != SEATD_ENABLED) {
		reply_error(c, -EPERM);
		return;
	}
	if (!d) {
		log_debug("client %d may not have %s", c->session, path);
		reply_error(c, -ENOENT);
		return;
	}
	while (i < SEATD_DEVICES_MAX && c->opened[i].major != 0) {
		i++;
	}
	int fd = i < SEATD_DEVICES_MAX ? device_open(d) : -EMFILE;
	if (fd < 0) {
		reply_error(c, fd);
		return;
	}
	device_drain(d);
	c->opened[i].major = d->major;
	c->opened[i].minor = d->minor;
	reply_number(c, SEATD_DEVICE_OPENED, (int32_t)i + 1);
	(void)close_fd(c->out_fd);
	c->out_fd = fd;
}

static void close_device(struct seatd_client *c, int32_t id) {
	if (id < 1 || id > (int32_t)SEATD_DEVICES_MAX || c->opened[id - 1].major == 0) {
		reply_error(c, -EBADF);
		return;
	}
	c->opened[id - 1].major = 0;
	reply(c, SEATD_DEVICE_CLOSED);
}

static void disable_seat(struct seatd_client *c) {
	if (c->state != SEATD_DISABLING) {
		reply_error(c, -EBUSY);
		return;
	}
	c->state = SEATD_WAITING;
	reply(c, SEATD_SEAT_DISABLED);
	session_release(c->seatd->session, &c->control);
}

/* The seat goes to another client only if the one that has it asks for that. */
static void switch_session(struct seatd_client *c, int32_t session) {
	struct seatd_client *other, *found = NULL;
	list_for_each(other, &c->seatd->clients, link) {
		if (other->session == session && other->state != SEATD_IDLE) {
			found = other;
		}
	}
	if (c->state != SEATD_ENABLED) {
		reply_error(c, -EPERM);
		return;
	}
	if (!found) {
		reply_error(c, -EINVAL);
		return;
	}
	reply(c, SEATD_SESSION_SWITCHED);
	if (found != c) {
		c->seatd->next = found;
		seatd_client_disable(c);
	}
}

static int handle_request(struct seatd_client *c, const struct seatd_request *request) {
	if (c->state == SEATD_IDLE && request->opcode != SEATD_OPEN_SEAT &&
		request->opcode != SEATD_PING) {
		return -EBADMSG;
	}
	switch (request->opcode) {
	case SEATD_OPEN_SEAT:
		if (open_seat(c) < 0) {
			return -EBADMSG;
		}
		break;
	case SEATD_CLOSE_SEAT:
		reply(c, SEATD_SEAT_CLOSED);
		leave_seat(c);
		break;
	case SEATD_OPEN_DEVICE:
		open_device(c, request->path);
		break;
	case SEATD_CLOSE_DEVICE:
		close_device(c, request->number);
		break;
	case SEATD_DISABLE_SEAT:
		disable_seat(c);
		break;
	case SEATD_SWITCH_SESSION:
		switch_session(c, request->number);
		break;
	default:
		reply(c, SEATD_PONG);
		break;
	}
	flush(c);
	seatd_advance(c->seatd);
	return 0;
}

/* 1 if a request was handled, 0 if there is none, -EBADMSG. */
static int next_request(struct seatd_client *c) {
	struct seatd_request request;
	ssize_t n = c->n_out == 0 ? seatd_decode_request(c->in, c->n_in, &request) : 0;
	if (n <= 0) {
		return (int)n;
	}
	c->n_in -= (size_t)n;
	memmove(c->in, c->in + n, c->n_in);
	int r = handle_request(c, &request);
	return r < 0 ? r : 1;
}

/* -ECONNRESET at its end. */
static int receive(struct seatd_client *c) {
	ssize_t n = recv(c->fd, c->in + c->n_in, sizeof(c->in) - c->n_in, MSG_DONTWAIT);
	if (n < 0) {
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	}
	c->n_in += (size_t)n;
	return n > 0 ? 0 : -ECONNRESET;
}

static int handle_io(sd_event_source *source, int fd, uint32_t events, void *data) {
	struct seatd_client *c = data;
	int r = events & (EPOLLHUP | EPOLLERR) ? -ECONNRESET : 0;
	if (r == 0 && (events & EPOLLOUT)) {
		flush(c);
	}
	if (r == 0 && (events & EPOLLIN)) {
		r = receive(c);
	}
	/* At most as many as the buffer holds; what is left there waits for more bytes, or to be sent. */
	do {
		r = r < 0 ? r : next_request(c);
	} while (r > 0);
	if (r < 0) {
		if (r == -EBADMSG) {
			log_warn("client %d sent what is no request: dropped", c->session);
		}
		seatd_client_destroy(c);
	}
	return 0;
}

int seatd_client_create(struct seatd *s, int fd) {
	struct seatd_client *c = calloc(1, sizeof(*c));
	if (!c) {
		(void)close_fd(fd);
		return -ENOMEM;
	}
	c->seatd = s;
	c->fd = fd;
	c->out_fd = -1;
	c->control.ops = &controller_ops;
	s->last_session = s->last_session == INT32_MAX ? 1 : s->last_session + 1;
	c->session = s->last_session;
	list_append(&s->clients, &c->link);
	s->n_clients++;
	int r = sd_event_add_io(s->loop, &c->io, fd, EPOLLIN, handle_io, c);
	if (r < 0) {
		seatd_client_destroy(c);
	}
	return MIN(r, 0);
}

void seatd_client_destroy(struct seatd_client *c) {
	if (!c) {
		return;
	}
	struct seatd *s = c->seatd;
	list_remove(&c->link);
	s->n_clients--;
	if (s->next == c) {
		s->next = NULL;
	}
	c->io = sd_event_source_disable_unref(c->io);
	c->fd = close_fd(c->fd);
	c->out_fd = close_fd(c->out_fd);
	session_release(s->session, &c->control);
	free(c);
}
