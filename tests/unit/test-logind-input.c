/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * logind-stub's input devices, with a manager that hands out descriptors of /dev/null's neighbours
 * and pipes instead of event nodes: both faces give them out, files tell of them, and all of it
 * ends and comes again with the manager.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "logind-fixture.h"
#include "proto/input.h"
#include "test.h"

#define INPUT_MAJOR    13u
#define KEYBOARD_MINOR 77u
#define POINTER_MINOR  78u
#define ERROR_SIZE     SD_BUS_MAXIMUM_NAME_LENGTH

struct manager {
	char dir[64], socket[96], udev[96];
	int listener;
	int connection; /* of the set that was made last */
	int keyboard;   /* writing end of the keyboard's events */
};

static void manager_start(struct manager *m) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	(void)snprintf(m->dir, sizeof(m->dir), "/tmp/helix-logind-input-XXXXXX");
	check(mkdtemp(m->dir) != NULL);
	(void)snprintf(m->socket, sizeof(m->socket), "%s/input.sock", m->dir);
	(void)snprintf(m->udev, sizeof(m->udev), "%s/udev", m->dir);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", m->socket);
	m->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	check_int(bind(m->listener, (struct sockaddr *)&address, sizeof(address)), ==, 0);
	check_int(listen(m->listener, 4), ==, 0);
	m->connection = m->keyboard = -1;
}

/* Serves one request for a set. On a thread, while the stub starts. */
static void *manager_serve(void *data) {
	struct manager *m = data;
	uint8_t buf[4096];
	int pipes[2], fds[2];
	struct input_created created = {.count = 2,
		.entries = {{INPUT_KEYBOARD, INPUT_MAJOR, KEYBOARD_MINOR, "event13",
				    "ID_INPUT=1\nID_INPUT_KEYBOARD=1\nnonsense\n"},
			{INPUT_POINTER, INPUT_MAJOR, POINTER_MINOR, "event14",
				"ID_INPUT=1\nID_INPUT_MOUSE=1\n"}}};
	memset(created.token, 0xab, sizeof(created.token));
	m->connection = accept4(m->listener, NULL, NULL, SOCK_CLOEXEC);
	check(m->connection >= 0);
	check_int(recv(m->connection, buf, sizeof(buf), 0), ==,
		INPUT_HEADER_SIZE + INPUT_CREATE_SIZE);
	ssize_t n = input_encode_created(buf, sizeof(buf), &created);
	check_int(n, >, 0);

	check_int(pipe2(pipes, O_CLOEXEC | O_NONBLOCK), ==, 0);
	m->keyboard = pipes[1];
	fds[0] = pipes[0];
	fds[1] = open("/dev/zero", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	/* Typed before anybody had the device. */
	check_int(write(m->keyboard, "secret", 6), ==, 6);
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(fds))];
	} control = {.header = {.cmsg_level = SOL_SOCKET,
			     .cmsg_type = SCM_RIGHTS,
			     .cmsg_len = CMSG_LEN(sizeof(fds))}};
	struct iovec iov = {buf, (size_t)n};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control.space)};
	memcpy(CMSG_DATA(&control.header), fds, sizeof(fds));
	check_int(sendmsg(m->connection, &msg, MSG_NOSIGNAL), ==, n);
	(void)close(fds[0]);
	(void)close(fds[1]);
	return NULL;
}

static void manager_drop(struct manager *m) {
	m->connection = close_fd(m->connection);
	m->keyboard = close_fd(m->keyboard);
}

static void manager_stop(struct manager *m) {
	static const char *const below[] = {"udev/data", "udev/tags/seat", "udev/tags", "udev"};
	manager_drop(m);
	m->listener = close_fd(m->listener);
	(void)unlink(m->socket);
	for (size_t i = 0; i < ARRAY_SIZE(below); i++) {
		char path[192];
		(void)snprintf(path, sizeof(path), "%s/%s", m->dir, below[i]);
		(void)rmdir(path);
	}
	check_int(rmdir(m->dir), ==, 0);
}

static void start(struct logind_fixture *f, struct manager *m) {
	pthread_t thread;
	manager_start(m);
	check_int(pthread_create(&thread, NULL, manager_serve, m), ==, 0);
	f->config.input_socket = m->socket;
	f->config.udev_dir = m->udev;
	f->config.runtime_dir = m->dir;
	logind_start(f, true);
	check_int(pthread_join(thread, NULL), ==, 0);
}

/* "" if there is none. */
static const char *file_text(const char *dir, const char *name) {
	static char text[1024];
	char path[192];
	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;
	text[MAX(n, 0)] = '\0';
	(void)close_fd(fd);
	return text;
}

static int take(struct logind_fixture *f, uint32_t minor, char *error) {
	sd_bus_message *reply = NULL;
	int fd;
	int r = logind_call(f, NULL, SESSION_PATH, LOGIN_SESSION, "TakeDevice", error, &reply, "uu",
		INPUT_MAJOR, minor);
	if (r < 0) {
		return r;
	}
	check_ok(sd_bus_message_read(reply, "h", &fd));
	fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	sd_bus_message_unref(reply);
	return fd;
}

TEST(files_tell_of_them) {
	struct logind_fixture f = {0};
	struct manager m;
	struct stat st;
	char path[192];
	start(&f, &m);
	const char *token = file_text(m.dir, "helix-input-token");
	check_int(strlen(token), ==, 64);
	check_int(strspn(token, "ab"), ==, 64);
	(void)snprintf(path, sizeof(path), "%s/helix-input-token", m.dir);
	check_int(stat(path, &st), ==, 0);
	check_int(st.st_mode & 0777, ==, 0600);
	const char *entry = file_text(m.udev, "data/c13:77");
	check(strncmp(entry, "I:", 2) == 0);
	check(strstr(entry, "\nE:HELIX_DESKTOP_INPUT=1\n") != NULL);
	check(strstr(entry, "\nE:ID_INPUT=1\nE:ID_INPUT_KEYBOARD=1\nG:seat\nQ:seat\nV:1\n") !=
		NULL);
	check(strstr(file_text(m.udev, "data/c13:78"), "E:ID_INPUT_MOUSE=1\n") != NULL);
	(void)snprintf(path, sizeof(path), "%s/tags/seat/c13:77", m.udev);
	check_int(access(path, F_OK), ==, 0);
	logind_stop(&f);
	/* And nothing is left. */
	check_str(file_text(m.dir, "helix-input-token"), "");
	check_int(access(path, F_OK), <, 0);
	manager_stop(&m);
}

TEST(faces_hand_them_out) {
	struct logind_fixture f = {0};
	struct manager m;
	char error[ERROR_SIZE], byte;
	start(&f, &m);
	check_int(take(&f, KEYBOARD_MINOR, error), <, 0);
	check_str(error, ERROR_NOT_IN_CONTROL);
	check_ok(logind_take_control(&f, NULL, NULL));
	int fd = take(&f, KEYBOARD_MINOR, NULL);
	/* What was typed before is not for who comes now. */
	check_int(read(fd, &byte, 1), <, 0);
	check_int(write(m.keyboard, "k", 1), ==, 1);
	check_int(read(fd, &byte, 1), ==, 1);
	(void)close(fd);
	check_int(take(&f, KEYBOARD_MINOR, error), <, 0);
	check_str(error, ERROR_IS_TAKEN);
	check_int(take(&f, KEYBOARD_MINOR + 2, error), <, 0);
	check_str(error, "System.Error.ENODEV");
	check_ok(logind_call(&f, NULL, SESSION_PATH, LOGIN_SESSION, "ReleaseDevice", NULL, NULL,
		"uu", INPUT_MAJOR, KEYBOARD_MINOR));
	(void)close(take(&f, KEYBOARD_MINOR, NULL));
	check_ok(logind_call(
		&f, NULL, SESSION_PATH, LOGIN_SESSION, "ReleaseControl", NULL, NULL, NULL));

	int client = seatd_open(&f);
	seatd_send(client, SEATD_OPEN_DEVICE, 0, "/dev/input/event14");
	check_int(seatd_expect(client, SEATD_DEVICE_OPENED, &fd), ==, 1);
	check_int(fd_minor(fd), ==, NEXT_MINOR); /* of /dev/zero, its stand-in */
	(void)close(fd);
	seatd_send(client, SEATD_OPEN_DEVICE, 0, "/dev/input/event15");
	check_int(seatd_expect(client, SEATD_ERROR, NULL), ==, ENOENT);
	(void)close(client);
	logind_stop(&f);
	manager_stop(&m);
}

TEST(manager_restarts) {
	struct logind_fixture f = {0};
	struct manager m;
	char error[ERROR_SIZE];
	uint32_t major, minor;
	const char *type;
	start(&f, &m);
	check_ok(logind_take_control(&f, NULL, NULL));
	(void)close(take(&f, KEYBOARD_MINOR, NULL));
	manager_drop(&m);
	sd_bus_message *s = logind_wait_signal(&f, "PauseDevice");
	check_ok(sd_bus_message_read(s, "uus", &major, &minor, &type));
	check_int(major, ==, INPUT_MAJOR);
	check_int(minor, ==, KEYBOARD_MINOR);
	check_str(type, "gone");
	sd_bus_message_unref(s);
	check_int(take(&f, KEYBOARD_MINOR, error), <, 0);
	check_str(error, "System.Error.ENODEV");
	check_str(file_text(m.dir, "helix-input-token"), "");
	check_str(file_text(m.udev, "data/c13:77"), "");
	/* It asks for a new set; that is handed out before the next call is answered. */
	(void)manager_serve(&m);
	int fd = take(&f, KEYBOARD_MINOR, error);
	while (fd < 0) {
		fd = take(&f, KEYBOARD_MINOR, error);
	}
	(void)close(fd);
	check_int(strlen(file_text(m.dir, "helix-input-token")), ==, 64);
	logind_stop(&f);
	manager_stop(&m);
}

TEST(without_a_manager) {
	struct logind_fixture f = {.config = {.input_socket = "/nonexistent/input.sock",
					   .udev_dir = "/nonexistent/udev"}};
	char error[ERROR_SIZE];
	logind_start(&f, true);
	check_ok(logind_take_control(&f, NULL, NULL));
	(void)close(logind_take_card(&f, NULL, NULL));
	check_int(take(&f, KEYBOARD_MINOR, error), <, 0);
	logind_stop(&f);
}

/* What an instance that was killed left behind goes; what others wrote stays. */
TEST(stale_entries_go) {
	struct logind_fixture f = {0};
	struct manager m;
	char path[192];
	static const char *const directories[] = {
		"udev", "udev/data", "udev/tags", "udev/tags/seat"};
	static const struct {
		const char *name, *text;
	} files[] = {{"udev/data/c13:99", "I:1\nE:HELIX_DESKTOP_INPUT=1\nG:seat\nV:1\n"},
		{"udev/tags/seat/c13:99", ""}, {"udev/data/c13:98", "I:1\nG:seat\nV:1\n"}};
	manager_start(&m);
	for (size_t i = 0; i < ARRAY_SIZE(directories); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", m.dir, directories[i]);
		check_int(mkdir(path, 0755), ==, 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", m.dir, files[i].name);
		int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		check_int(
			write(fd, files[i].text, strlen(files[i].text)), ==, strlen(files[i].text));
		(void)close(fd);
	}
	m.listener = close_fd(m.listener);
	f.config.input_socket = m.socket;
	f.config.udev_dir = m.udev;
	logind_start(&f, false);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", m.dir, files[i].name);
		check_int(access(path, F_OK) == 0, ==, i == 2);
	}
	(void)unlink(path);
	logind_stop(&f);
	manager_stop(&m);
}
