/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include "log.h"
#include "logind-fixture.h"
#include "test.h"

#define CALL_TIMEOUT_US (20u * 1000 * 1000)

static void handle_ready(void *data) {
	struct logind_fixture *f = data;
	check_int(sem_post(&f->ready), ==, 0);
}

static void *run(void *data) {
	struct logind_fixture *f = data;
	sd_event *loop = NULL;
	check_ok(sd_event_new(&loop));
	check_ok(stub_init(&f->stub, loop, &f->config, handle_ready, f));
	f->result = sd_event_loop(loop);
	stub_finish(&f->stub);
	sd_event_unref(loop);
	return NULL;
}

static int null_fd(const char *path) {
	int fd = open(path, O_RDWR | O_CLOEXEC);
	check(fd >= 0);
	return fd;
}

static void connect_bus(struct logind_fixture *f, int fd) {
	check_ok(sd_bus_new(&f->bus));
	check_ok(sd_bus_set_fd(f->bus, fd, fd));
	check_ok(sd_bus_negotiate_fds(f->bus, true));
	check_ok(sd_bus_start(f->bus));
	check_ok(sd_bus_set_method_call_timeout(f->bus, CALL_TIMEOUT_US));
}

void logind_start(struct logind_fixture *f, bool bus) {
	int control[2], wire[2] = {-1, -1};
	log_set_level(LOG_LEVEL_ERROR);
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/helix-logind-XXXXXX");
	check(mkdtemp(f->dir) != NULL);
	(void)snprintf(f->socket, sizeof(f->socket), "%s/seatd.sock", f->dir);
	check_int(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control), ==, 0);
	if (bus) {
		check_int(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, wire), ==, 0);
	}
	f->control = control[0];
	f->config.control_fd = control[1];
	f->config.bus_fd = wire[1];
	f->config.lease_fd = null_fd("/dev/null");
	f->config.card = "/dev/null";
	f->config.seatd_socket = f->socket;
	f->config.user_name = "somebody";
	f->config.uid = 1000;
	f->config.gid = 1001;
	check_int(sem_init(&f->ready, 0, 0), ==, 0);
	check_int(pthread_create(&f->thread, NULL, run, f), ==, 0);
	check_int(sem_wait(&f->ready), ==, 0);
	if (bus) {
		connect_bus(f, wire[0]);
	}
}

void logind_stop(struct logind_fixture *f) {
	(void)close(f->control);
	check_int(pthread_join(f->thread, NULL), ==, 0);
	check_int(f->result, ==, 0);
	f->bus = sd_bus_close_unref(f->bus);
	check_int(access(f->socket, F_OK), <, 0);
	check_int(rmdir(f->dir), ==, 0);
	(void)sem_destroy(&f->ready);
}

static void send_command(struct logind_fixture *f, char command, int fd) {
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {.header = {.cmsg_level = SOL_SOCKET,
			     .cmsg_type = SCM_RIGHTS,
			     .cmsg_len = CMSG_LEN(sizeof(int))}};
	struct iovec iov = {&command, 1};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	if (fd >= 0) {
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(int));
		msg.msg_control = control.space;
		msg.msg_controllen = sizeof(control.space);
	}
	check_int(sendmsg(f->control, &msg, MSG_NOSIGNAL), ==, 1);
	(void)close_fd(fd);
}

void logind_pause(struct logind_fixture *f) {
	send_command(f, 'P', -1);
}

void logind_resume(struct logind_fixture *f) {
	send_command(f, 'R', null_fd("/dev/zero"));
}

int logind_call(struct logind_fixture *f, const char *sender, const char *path,
	const char *interface, const char *member, char *error, sd_bus_message **ret,
	const char *types, ...) {
	sd_bus_error e = SD_BUS_ERROR_NULL;
	sd_bus_message *m = NULL;
	va_list args;
	check_ok(sd_bus_message_new_method_call(
		f->bus, &m, "org.freedesktop.login1", path, interface, member));
	if (sender) {
		check_ok(sd_bus_message_set_sender(m, sender));
	}
	va_start(args, types);
	check_ok(sd_bus_message_appendv(m, types ? types : "", args));
	va_end(args);
	int r = sd_bus_call(f->bus, m, 0, &e, ret);
	if (r < 0) {
		if (!error) {
			fail("%s: %s: %s", member, e.name, e.message);
		}
		(void)snprintf(error, SD_BUS_MAXIMUM_NAME_LENGTH, "%s", e.name);
	}
	sd_bus_error_free(&e);
	sd_bus_message_unref(m);
	return r;
}

int logind_take_control(struct logind_fixture *f, const char *sender, char *error) {
	return logind_call(
		f, sender, SESSION_PATH, LOGIN_SESSION, "TakeControl", error, NULL, "b", false);
}

int logind_take_card(struct logind_fixture *f, const char *sender, char *error) {
	sd_bus_message *reply = NULL;
	int fd, inactive;
	int r = logind_call(f, sender, SESSION_PATH, LOGIN_SESSION, "TakeDevice", error, &reply,
		"uu", CARD_MAJOR, CARD_MINOR);
	if (r < 0) {
		return r;
	}
	check_ok(sd_bus_message_read(reply, "hb", &fd, &inactive));
	check(!inactive);
	fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	check(fd >= 0);
	sd_bus_message_unref(reply);
	return fd;
}

sd_bus_message *logind_wait_signal(struct logind_fixture *f, const char *member) {
	for (;;) {
		sd_bus_message *m = NULL;
		int r = sd_bus_process(f->bus, &m);
		check_ok(r);
		if (m && sd_bus_message_is_signal(m, NULL, member)) {
			return m;
		}
		sd_bus_message_unref(m);
		if (r == 0) {
			check_int(sd_bus_wait(f->bus, CALL_TIMEOUT_US), >, 0);
		}
	}
}

uint32_t fd_minor(int fd) {
	struct stat st;
	check_int(fstat(fd, &st), ==, 0);
	check(S_ISCHR(st.st_mode));
	return minor(st.st_rdev);
}

int seatd_connect(const struct logind_fixture *f) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", f->socket);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	check(fd >= 0);
	check_int(connect(fd, (struct sockaddr *)&address, sizeof(address)), ==, 0);
	return fd;
}

void seatd_send(int fd, uint16_t opcode, int32_t number, const char *path) {
	struct seatd_request request = {.opcode = opcode, .number = number};
	uint8_t buf[SEATD_REQUEST_MAX];
	(void)snprintf(request.path, sizeof(request.path), "%s", path ? path : "");
	ssize_t n = seatd_encode_request(buf, sizeof(buf), &request);
	check_int(n, >, 0);
	check_int(send(fd, buf, (size_t)n, MSG_NOSIGNAL), ==, n);
}

/* Receives exactly that many bytes, and the descriptor that comes with them. */
static void receive(int fd, uint8_t *buf, size_t size, int *ret_fd) {
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	while (size > 0) {
		struct iovec iov = {buf, size};
		struct msghdr msg = {.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control.space,
			.msg_controllen = sizeof(control.space)};
		ssize_t n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
		check_int(n, >, 0);
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		if (c) {
			check(ret_fd != NULL);
			check_int(c->cmsg_type, ==, SCM_RIGHTS);
			memcpy(ret_fd, CMSG_DATA(c), sizeof(int));
		}
		buf += n;
		size -= (size_t)n;
	}
}

int32_t seatd_expect(int fd, uint16_t opcode, int *ret_fd) {
	uint8_t buf[SEATD_MESSAGE_MAX];
	receive(fd, buf, SEATD_HEADER_SIZE, ret_fd);
	uint16_t got = (uint16_t)(buf[0] | buf[1] << 8), size = (uint16_t)(buf[2] | buf[3] << 8);
	check_int(size, <=, sizeof(buf) - 4);
	receive(fd, buf, size, ret_fd);
	check_int(got, ==, opcode);
	return size == 4 ? (int32_t)((uint32_t)buf[0] | (uint32_t)buf[1] << 8 |
				   (uint32_t)buf[2] << 16 | (uint32_t)buf[3] << 24)
			 : 0;
}

void seatd_expect_end(int fd) {
	char byte;
	ssize_t n = recv(fd, &byte, 1, 0);
	check(n == 0 || (n < 0 && errno == ECONNRESET));
}

int seatd_open(const struct logind_fixture *f) {
	int fd = seatd_connect(f);
	seatd_send(fd, SEATD_OPEN_SEAT, 0, NULL);
	(void)seatd_expect(fd, SEATD_SEAT_OPENED, NULL);
	(void)seatd_expect(fd, SEATD_EVENT_ENABLE, NULL);
	return fd;
}
