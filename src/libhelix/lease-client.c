/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <helix/lease-client.h>

#include "proto/lease.h"
#include "util.h"

#define TIMEOUT_DEFAULT_MS 10000u
#define FDS_MAX            4u /* of one message; one is expected */

/* A conversation: one connection until a deadline. */
struct talk {
	int fd;
	int lease_fd;
	uint64_t deadline_ns;
	char *error; // may be NULL
};

static int failed(const struct talk *t, int r, const char *text) {
	if (t->error) {
		(void)snprintf(t->error, LEASE_ERROR_SIZE, "%s", text);
	}
	return r;
}

static int failed_errno(const struct talk *t, int r, const char *what) {
	if (t->error) {
		(void)snprintf(t->error, LEASE_ERROR_SIZE, "%s: %s", what, strerror(-r));
	}
	return r;
}

static int wait_for(const struct talk *t, short events) {
	struct pollfd p = {.fd = t->fd, .events = events};
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

static int talk_open(struct talk *t, const char *path, unsigned timeout_ms, char *error) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	path = path ? path : LEASE_SOCKET_DEFAULT;
	timeout_ms = timeout_ms ? timeout_ms : TIMEOUT_DEFAULT_MS;
	*t = (struct talk){.fd = -1,
		.lease_fd = -1,
		.deadline_ns = now_ns() + timeout_ms * NSEC_PER_MSEC,
		.error = error};
	if (strlen(path) >= sizeof(address.sun_path)) {
		return failed_errno(t, -ENAMETOOLONG, path);
	}
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	t->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (t->fd < 0) {
		return failed_errno(t, -errno, "socket");
	}
	if (connect(t->fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		int r = -errno;
		t->fd = close_fd(t->fd);
		return failed_errno(t, r, path);
	}
	return 0;
}

static void talk_close(struct talk *t) {
	t->fd = close_fd(t->fd);
	t->lease_fd = close_fd(t->lease_fd);
}

static int talk_send(struct talk *t, const uint8_t *buf, ssize_t size) {
	if (size < 0) {
		return (int)size;
	}
	ssize_t n = send(t->fd, buf, (size_t)size, MSG_NOSIGNAL);
	if (n == size) {
		return 0;
	}
	return failed_errno(t, n < 0 ? -errno : -EIO, "cannot ask the manager");
}

/* Keeps the first descriptor; anything beyond is closed. */
static void keep_fds(struct talk *t, struct msghdr *msg) {
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
			continue;
		}
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (t->lease_fd < 0) {
				t->lease_fd = fd;
			} else {
				(void)close_fd(fd);
			}
		}
	}
}

/* Exactly so many bytes. */
static int talk_receive(struct talk *t, uint8_t *buf, size_t size) {
	for (size_t done = 0; done < size;) {
		union {
			struct cmsghdr header;
			char space[CMSG_SPACE(FDS_MAX * sizeof(int))];
		} control;
		struct iovec iov = {buf + done, size - done};
		struct msghdr msg = {.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control.space,
			.msg_controllen = sizeof(control.space)};
		int r = wait_for(t, POLLIN);
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
		done += (size_t)n;
	}
	return 0;
}

static int code_to_errno(uint32_t code) {
	return code == LEASE_NO_OUTPUT ? -EBUSY : -EREMOTEIO;
}

/*
 * The header of the answer to `command`: -EOPNOTSUPP if it is the first bytes of an error of an
 * older manager, which does not know such commands.
 */
static int receive_header(struct talk *t, uint8_t command, uint32_t *ret_size) {
	uint8_t buf[LEASE_RESPONSE_SIZE];
	int r = talk_receive(t, buf, LEASE_REQUEST_SIZE);
	if (r < 0) {
		return r;
	}
	if (buf[0] == LEASE_STATUS_ERROR) {
		return failed(t, -EOPNOTSUPP, "the manager is too old for this");
	}
	if (lease_decode_ext_reply_header(buf, LEASE_REQUEST_SIZE, command, ret_size) <= 0) {
		return failed(t, -EBADMSG, "what the manager said is no answer");
	}
	return 0;
}

/* The answer to anything but LIST. */
static int receive_reply(struct talk *t, uint8_t command, struct lease_ext_reply *ret) {
	static const size_t size_max = 4096;
	uint8_t buf[4096];
	uint32_t size;
	int r = receive_header(t, command, &size);
	if (r < 0) {
		return r;
	}
	if (size > size_max) {
		return failed(t, -EBADMSG, "what the manager said is no answer");
	}
	r = talk_receive(t, buf, size);
	if (r < 0) {
		return r;
	}
	if (lease_decode_ext_reply(buf, size, ret) <= 0) {
		return failed(t, -EBADMSG, "what the manager said is no answer");
	}
	if (ret->code != LEASE_OK) {
		return failed(t, code_to_errno(ret->code),
			ret->text[0] ? ret->text : lease_code_to_string(ret->code));
	}
	return 0;
}

/* As older managers want it: a size and nothing else. */
static int acquire_plain(const struct lease_wish *wish, struct lease *ret, char *error) {
	struct talk t;
	uint8_t buf[LEASE_RESPONSE_SIZE];
	struct lease_response response;
	struct lease_request request = {
		.command = LEASE_CMD_LEASE, .a = wish->width, .b = wish->height};
	int r = talk_open(&t, wish->socket, wish->timeout_ms, error);
	if (r < 0) {
		return r;
	}
	r = talk_send(&t, buf, lease_encode_request(buf, sizeof(buf), &request));
	if (r == 0) {
		r = talk_receive(&t, buf, sizeof(buf));
	}
	if (r == 0) {
		(void)lease_decode_response(buf, sizeof(buf), &response);
		if (response.status != LEASE_STATUS_OK) {
			r = failed(&t,
				strncmp(response.text, "no scanouts", 11) == 0 ? -EBUSY
									       : -EREMOTEIO,
				response.text);
		} else if (t.lease_fd < 0) {
			r = failed(&t, -EBADMSG, "the manager sent no lease");
		}
	}
	if (r < 0) {
		talk_close(&t);
		return r;
	}
	*ret = (struct lease){.fd = t.lease_fd, .connection = t.fd};
	ret->about.scanout = response.scanout;
	(void)snprintf(ret->about.connector, sizeof(ret->about.connector), "%s", response.text);
	return 0;
}

int lease_acquire(const struct lease_wish *wish, struct lease *ret, char *error) {
	struct talk t;
	uint8_t buf[LEASE_REQUEST_SIZE + LEASE_EXT_LEASE_SIZE];
	struct lease_ext_reply about = {0};
	struct lease_ext_lease request = {
		.width = wish->width,
		.height = wish->height,
		.refresh = wish->refresh,
		.scanout = wish->scanout,
		.wait_ms = wish->wait_ms,
	};
	(void)snprintf(request.name, sizeof(request.name), "%s", wish->name ? wish->name : "");
	int r = talk_open(&t, wish->socket, wish->timeout_ms, error);
	if (r < 0) {
		return r;
	}
	t.deadline_ns += wish->wait_ms * NSEC_PER_MSEC;
	r = talk_send(&t, buf, lease_encode_ext_lease(buf, sizeof(buf), &request));
	if (r == 0) {
		r = receive_reply(&t, LEASE_EXT_LEASE, &about);
	}
	if (r == 0 && t.lease_fd < 0) {
		r = failed(&t, -EBADMSG, "the manager sent no lease");
	}
	if (r < 0) {
		talk_close(&t);
		return r == -EOPNOTSUPP && wish->scanout == 0 ? acquire_plain(wish, ret, error) : r;
	}
	*ret = (struct lease){
		.fd = t.lease_fd, .connection = t.fd, .extended = true, .about = about};
	return 0;
}

/* Asks with a token and takes the answer; the conversation stays open on success. */
static int ask(struct talk *t, const char *socket, unsigned timeout_ms, uint8_t command,
	const uint8_t *buf, ssize_t size, struct lease_ext_reply *ret, char *error) {
	int r = talk_open(t, socket, timeout_ms, error);
	if (r < 0) {
		return r;
	}
	r = talk_send(t, buf, size);
	if (r == 0) {
		r = receive_reply(t, command, ret);
	}
	if (r < 0) {
		talk_close(t);
	}
	return r;
}

int lease_reclaim(const char *socket, const uint8_t token[LEASE_TOKEN_SIZE], unsigned timeout_ms,
	struct lease *ret, char *error) {
	struct talk t;
	uint8_t buf[LEASE_REQUEST_SIZE + LEASE_EXT_RECLAIM_SIZE];
	struct lease_ext_reply about;
	ssize_t n = lease_encode_ext_token(buf, sizeof(buf), LEASE_EXT_RECLAIM, token);
	int r = ask(&t, socket, timeout_ms, LEASE_EXT_RECLAIM, buf, n, &about, error);
	if (r < 0) {
		return r;
	}
	*ret = (struct lease){
		.fd = t.lease_fd, .connection = t.fd, .extended = true, .about = about};
	return 0;
}

int lease_resize(const char *socket, const uint8_t token[LEASE_TOKEN_SIZE], uint32_t width,
	uint32_t height, uint32_t refresh, unsigned timeout_ms, char *error) {
	struct talk t;
	uint8_t buf[LEASE_REQUEST_SIZE + LEASE_EXT_RESIZE_SIZE];
	struct lease_ext_reply about;
	struct lease_ext_resize request = {.width = width, .height = height, .refresh = refresh};
	memcpy(request.token, token, sizeof(request.token));
	ssize_t n = lease_encode_ext_resize(buf, sizeof(buf), &request);
	int r = ask(&t, socket, timeout_ms, LEASE_EXT_RESIZE, buf, n, &about, error);
	if (r == 0) {
		talk_close(&t);
	}
	return r;
}

int lease_release(const char *socket, const uint8_t token[LEASE_TOKEN_SIZE], unsigned timeout_ms,
	char *error) {
	struct talk t;
	uint8_t buf[LEASE_REQUEST_SIZE + LEASE_EXT_RELEASE_SIZE];
	struct lease_ext_reply about;
	ssize_t n = lease_encode_ext_token(buf, sizeof(buf), LEASE_EXT_RELEASE, token);
	int r = ask(&t, socket, timeout_ms, LEASE_EXT_RELEASE, buf, n, &about, error);
	if (r == 0) {
		talk_close(&t);
	}
	return r;
}

static int decode_list(const struct talk *t, const uint8_t *buf, size_t size,
	struct lease_ext_entry **ret_entries, size_t *ret_count) {
	uint32_t count, entry_size;
	ssize_t n = lease_decode_ext_list(buf, size, &count, &entry_size);
	if (n <= 0 || count > (size - (size_t)n) / entry_size) {
		return failed(t, -EBADMSG, "what the manager said is no list");
	}
	struct lease_ext_entry *entries = calloc(MAX(count, 1u), sizeof(*entries));
	if (!entries) {
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < count; i++) {
		(void)lease_decode_ext_entry(
			buf + n + (size_t)i * entry_size, entry_size, &entries[i]);
	}
	*ret_entries = entries;
	*ret_count = count;
	return 0;
}

int lease_list(const char *socket, unsigned timeout_ms, struct lease_ext_entry **ret_entries,
	size_t *ret_count, char *error) {
	struct talk t;
	uint8_t request[LEASE_REQUEST_SIZE];
	uint32_t size = 0;
	int r = talk_open(&t, socket, timeout_ms, error);
	if (r < 0) {
		return r;
	}
	r = talk_send(&t, request, lease_encode_ext_list(request, sizeof(request)));
	if (r == 0) {
		r = receive_header(&t, LEASE_EXT_LIST, &size);
	}
	uint8_t *buf = r == 0 ? malloc(MAX(size, 1u)) : NULL;
	if (r == 0) {
		r = buf ? talk_receive(&t, buf, size) : -ENOMEM;
	}
	if (r == 0) {
		r = decode_list(&t, buf, size, ret_entries, ret_count);
	}
	free(buf);
	talk_close(&t);
	return r;
}

void lease_finish(struct lease *lease) {
	lease->fd = close_fd(lease->fd);
	lease->connection = close_fd(lease->connection);
}
