/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fake-manager.h"
#include "proto/lease.h"
#include "test.h"
#include "util.h"

struct held {
	int fd; /* -1: none */
	bool lease;
};

static void send_with_fd(int fd, uint8_t *buf, size_t size, int lease_fd) {
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {.header = {.cmsg_level = SOL_SOCKET,
			     .cmsg_type = SCM_RIGHTS,
			     .cmsg_len = CMSG_LEN(sizeof(int))}};
	struct iovec iov = {buf, size};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	if (lease_fd >= 0) {
		memcpy(CMSG_DATA(&control.header), &lease_fd, sizeof(int));
		msg.msg_control = control.space;
		msg.msg_controllen = sizeof(control.space);
	}
	(void)sendmsg(fd, &msg, MSG_NOSIGNAL);
}

static void send_reply(int fd, uint8_t command, const struct lease_ext_reply *m, int lease_fd) {
	uint8_t buf[LEASE_REQUEST_SIZE + LEASE_EXT_REPLY_SIZE];
	check_int(lease_encode_ext_reply(buf, sizeof(buf), command, m), ==, sizeof(buf));
	send_with_fd(fd, buf, sizeof(buf), lease_fd);
}

static void refuse(int fd, uint8_t command, enum lease_code code, const char *text) {
	struct lease_ext_reply m = {.code = code};
	(void)snprintf(m.text, sizeof(m.text), "%s", text);
	send_reply(fd, command, &m, -1);
}

static struct lease_ext_reply describe(const struct fake_manager *f) {
	struct lease_ext_reply m = {.scanout = 2 + f->n_acquired,
		.width = f->last.width,
		.height = f->last.height,
		.refresh = f->last.refresh,
		.connector_id = 37,
		.crtc_id = 36,
		.primary_plane_id = 32,
		.cursor_plane_id = 33,
		.export_id = 2 + f->n_acquired};
	memset(m.token, (int)(0xa0 + f->n_acquired), sizeof(m.token));
	(void)snprintf(m.connector, sizeof(m.connector), "Virtual-%u", m.scanout + 1);
	(void)snprintf(m.exporter, sizeof(m.exporter), "10.0.2.2:15937");
	return m;
}

/* As managers of old answer; `lease_fd` -1: that they do not know what that is. */
static bool answer_plain(int fd, int lease_fd) {
	uint8_t buf[LEASE_RESPONSE_SIZE];
	struct lease_response m = {.status = LEASE_STATUS_ERROR, .text = "unknown command"};
	if (lease_fd >= 0) {
		m = (struct lease_response){.scanout = 9, .text = "Virtual-10"};
	}
	check_int(lease_encode_response(buf, sizeof(buf), &m), ==, sizeof(buf));
	send_with_fd(fd, buf, sizeof(buf), lease_fd);
	return lease_fd >= 0;
}

/* Whether the connection goes on, with a lease. */
static bool grant(struct fake_manager *f, int fd, const uint8_t *payload, size_t size) {
	(void)lease_decode_ext_lease(payload, size, &f->last);
	if (f->refuses) {
		refuse(fd, LEASE_EXT_LEASE, LEASE_NO_OUTPUT,
			"no scanouts available (all 3 in use)");
		return false;
	}
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	f->n_acquired++;
	struct lease_ext_reply m = describe(f);
	send_reply(fd, LEASE_EXT_LEASE, &m, null);
	(void)close(null);
	return true;
}

static bool reclaim(struct fake_manager *f, int fd, const uint8_t *payload, size_t size) {
	uint8_t token[LEASE_TOKEN_SIZE];
	struct lease_ext_reply m = describe(f);
	(void)lease_decode_ext_token(payload, size, token);
	if (f->forgets || memcmp(token, m.token, sizeof(token)) != 0) {
		refuse(fd, LEASE_EXT_RECLAIM, LEASE_NO_LEASE, "there is no such lease");
		return false;
	}
	f->n_reclaimed++;
	send_reply(fd, LEASE_EXT_RECLAIM, &m, -1);
	return true;
}

static bool serve(struct fake_manager *f, int fd) {
	uint8_t buf[LEASE_REQUEST_SIZE + LEASE_EXT_REQUEST_MAX];
	struct lease_request request;
	uint32_t size;
	ssize_t n = recv(fd, buf, LEASE_REQUEST_SIZE, MSG_WAITALL);
	if (n != (ssize_t)LEASE_REQUEST_SIZE) {
		return false;
	}
	(void)lease_decode_request(buf, LEASE_REQUEST_SIZE, &request);
	if (f->old) {
		int null = request.command == LEASE_CMD_LEASE
			? open("/dev/null", O_RDWR | O_CLOEXEC)
			: -1;
		f->n_acquired += null >= 0;
		bool granted = answer_plain(fd, null);
		(void)close_fd(null);
		return granted;
	}
	check(lease_is_extended(&request, &size));
	check_int(size, <=, LEASE_EXT_REQUEST_MAX);
	check_int(recv(fd, buf, size, MSG_WAITALL), ==, size);
	if (f->silent) {
		return true;
	}
	switch (request.command) {
	case LEASE_EXT_LEASE:
		return grant(f, fd, buf, size);
	case LEASE_EXT_RECLAIM:
		return reclaim(f, fd, buf, size);
	case LEASE_EXT_RESIZE: {
		(void)lease_decode_ext_resize(buf, size, &f->resized);
		f->n_resized++;
		struct lease_ext_reply m = describe(f);
		send_reply(fd, LEASE_EXT_RESIZE, &m, -1);
		return false;
	}
	default:
		fail("request %u", request.command);
	}
}

static void drop(struct held *h, struct fake_manager *f) {
	(void)close_fd(h->fd);
	f->held -= h->lease;
	*h = (struct held){.fd = -1};
}

static void *run(void *data) {
	struct fake_manager *f = data;
	struct held held[RIG_LEASES_MAX];
	struct pollfd p[RIG_LEASES_MAX + 2] = {
		{.fd = f->listener, .events = POLLIN}, {.fd = f->stop_fd, .events = POLLIN}};
	for (unsigned i = 0; i < RIG_LEASES_MAX; i++) {
		held[i] = (struct held){.fd = -1};
	}
	for (;;) {
		for (unsigned i = 0; i < RIG_LEASES_MAX; i++) {
			p[i + 2] = (struct pollfd){.fd = held[i].fd, .events = POLLIN};
		}
		(void)poll(p, ARRAY_SIZE(p), 20);
		(void)pthread_mutex_lock(&f->lock);
		for (unsigned i = 0; i < RIG_LEASES_MAX; i++) {
			struct held *h = &held[i];
			if (h->fd >= 0 && f->drops) {
				drop(h, f);
			} else if (h->fd >= 0 && p[i + 2].revents && !h->lease) {
				h->lease = serve(f, h->fd);
				f->held += h->lease;
				if (!h->lease) {
					drop(h, f);
				}
			} else if (h->fd >= 0 && p[i + 2].revents) {
				drop(h, f);
			}
		}
		f->drops = false;
		for (unsigned i = 0; i < RIG_LEASES_MAX && p[0].revents; i++) {
			if (held[i].fd < 0) {
				held[i].fd = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC);
				p[0].revents = 0;
			}
		}
		bool stop = p[1].revents != 0;
		for (unsigned i = 0; i < RIG_LEASES_MAX && stop; i++) {
			drop(&held[i], f);
		}
		(void)pthread_mutex_unlock(&f->lock);
		if (stop) {
			return NULL;
		}
	}
}

void fake_manager_start(struct fake_manager *f, const char *path) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	(void)snprintf(f->path, sizeof(f->path), "%s", path);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	(void)unlink(path);
	f->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	f->stop_fd = eventfd(0, EFD_CLOEXEC);
	check(bind(f->listener, (struct sockaddr *)&address, sizeof(address)) == 0);
	check(listen(f->listener, 8) == 0);
	(void)pthread_mutex_init(&f->lock, NULL);
	check_int(pthread_create(&f->thread, NULL, run, f), ==, 0);
}

void fake_manager_stop(struct fake_manager *f) {
	uint64_t one = 1;
	check_int(write(f->stop_fd, &one, sizeof(one)), ==, sizeof(one));
	check_int(pthread_join(f->thread, NULL), ==, 0);
	f->listener = close_fd(f->listener);
	f->stop_fd = close_fd(f->stop_fd);
	(void)unlink(f->path);
}

unsigned fake_manager_get(struct fake_manager *f, const unsigned *value) {
	(void)pthread_mutex_lock(&f->lock);
	unsigned v = *value;
	(void)pthread_mutex_unlock(&f->lock);
	return v;
}

void fake_manager_await(struct fake_manager *f, const unsigned *value, unsigned wanted) {
	uint64_t deadline = now_ns() + 10 * NSEC_PER_SEC;
	while (fake_manager_get(f, value) != wanted) {
		if (now_ns() > deadline) {
			fail("the manager counts %u, not %u", fake_manager_get(f, value), wanted);
		}
		(void)poll(NULL, 0, 10);
	}
}

void fake_manager_set(struct fake_manager *f, bool *what, bool value) {
	(void)pthread_mutex_lock(&f->lock);
	*what = value;
	(void)pthread_mutex_unlock(&f->lock);
}
