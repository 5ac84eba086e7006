/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "fake-qemu.h"
#include "test.h"
#include "util.h"

const char fake_greeting[] =
	"{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 2, \"minor\": 0, \"major\": 10}, "
	"\"package\": \"\"}, \"capabilities\": [\"oob\"]}}\r\n";

static int append_property(sd_bus_message *m, const char *name, char type, const void *value) {
	const char signature[] = {type, '\0'};
	check_ok(sd_bus_message_open_container(m, 'e', "sv"));
	check_ok(sd_bus_message_append(m, "s", name));
	check_ok(sd_bus_message_open_container(m, 'v', signature));
	check_ok(sd_bus_message_append_basic(m, type, value));
	check_ok(sd_bus_message_close_container(m));
	return sd_bus_message_close_container(m);
}

static int reply_properties(sd_bus_message *call, const struct fake_console *c) {
	sd_bus_message *m = NULL;
	const uint32_t number = 800;
	check_ok(sd_bus_message_new_method_return(call, &m));
	check_ok(sd_bus_message_open_container(m, 'a', "{sv}"));
	check_ok(append_property(m, "Width", 'u', &number));
	check_ok(append_property(m, "Label", 's', c->label));
	check_ok(append_property(m, "Head", 'u', &c->head));
	check_ok(append_property(m, "Type", 's', c->type));
	if (c->address) {
		check_ok(append_property(m, "DeviceAddress", 's', c->address));
	} else {
		check_ok(append_property(m, "DeviceAddress", 'u', &number));
	}
	check_ok(sd_bus_message_close_container(m));
	int r = sd_bus_send(NULL, m, NULL);
	sd_bus_message_unref(m);
	return r;
}

static int reply_ids(struct fake_qemu *f, sd_bus_message *call) {
	uint32_t ids[FAKE_CONSOLES_MAX];
	sd_bus_message *m = NULL;
	for (unsigned i = 0; i < f->n_consoles; i++) {
		ids[i] = i;
	}
	check_ok(sd_bus_message_new_method_return(call, &m));
	check_ok(sd_bus_message_open_container(m, 'v', "au"));
	check_ok(sd_bus_message_append_array(m, 'u', ids, f->n_consoles * sizeof(ids[0])));
	check_ok(sd_bus_message_close_container(m));
	int r = sd_bus_send(NULL, m, NULL);
	sd_bus_message_unref(m);
	return r;
}

static int record_ui_info(struct fake_qemu *f, sd_bus_message *m, uint32_t console) {
	struct fake_call c = {.console = console};
	check(console < f->n_consoles);
	check_ok(sd_bus_message_read(
		m, "qqiiuu", &c.width_mm, &c.height_mm, &c.x, &c.y, &c.width, &c.height));
	struct fake_call *last = &f->last[console];
	c.event = c.width_mm != last->width_mm || c.height_mm != last->height_mm ||
		c.x != last->x || c.y != last->y || c.width != last->width ||
		c.height != last->height;
	*last = c;
	check_int(f->n_calls, <, FAKE_CALLS_MAX);
	f->calls[f->n_calls++] = c;
	if (f->hold && sd_bus_message_get_expect_reply(m) > 0) {
		check(!f->held); // one under way at a time
		f->held = sd_bus_message_ref(m);
		return 1;
	}
	return sd_bus_reply_method_return(m, NULL);
}

static int handle_call(sd_bus_message *m, void *data, sd_bus_error *error) {
	struct fake_qemu *f = data;
	uint32_t console = 0;
	char end;
	const char *path = sd_bus_message_get_path(m);
	if (!path) {
		return 0;
	}
	if (sd_bus_message_is_method_call(m, "org.freedesktop.DBus.Properties", "Get")) {
		check_str(path, "/org/qemu/Display1/VM");
		return reply_ids(f, m);
	}
	if (sscanf(path, "/org/qemu/Display1/Console_%u%c", &console, &end) != 1) {
		return 0;
	}
	if (sd_bus_message_is_method_call(m, "org.freedesktop.DBus.Properties", "GetAll")) {
		check_int(console, <, f->n_consoles);
		return reply_properties(m, &f->consoles[console]);
	}
	if (sd_bus_message_is_method_call(m, "org.qemu.Display1.Console", "SetUIInfo")) {
		return record_ui_info(f, m, console);
	}
	fail("call of %s", sd_bus_message_get_member(m));
}

static void open_bus(struct fake_qemu *f) {
	sd_id128_t id = SD_ID128_MAKE(1, 2, 3, 4, 5, 6, 7, 8, 9, a, b, c, d, e, f, 0);
	check_int(f->passed_fd, >=, 0);
	check(!f->bus);
	check_ok(sd_bus_new(&f->bus));
	check_ok(sd_bus_set_fd(f->bus, f->passed_fd, f->passed_fd));
	f->passed_fd = -1;
	check_ok(sd_bus_set_server(f->bus, true, id));
	check_ok(sd_bus_start(f->bus));
	check_ok(sd_bus_add_filter(f->bus, NULL, handle_call, f));
	check_ok(sd_bus_attach_event(f->bus, f->loop, 0));
}

static void say(struct fake_qemu *f, const char *text) {
	size_t left = strlen(text);
	while (left > 0) {
		ssize_t n = send(f->qmp_fd, text, left, MSG_NOSIGNAL);
		if (n < 0) {
			return; // the other end has had enough
		}
		text += n;
		left -= (size_t)n;
	}
}

static void close_qmp(struct fake_qemu *f) {
	f->qmp_io = sd_event_source_disable_unref(f->qmp_io);
	f->qmp_fd = close_fd(f->qmp_fd);
	f->line_size = 0;
}

static void handle_command(struct fake_qemu *f, const char *text, size_t size) {
	json_t *object = json_loadb(text, size, 0, NULL);
	check(object);
	const char *name = json_string_value(json_object_get(object, "execute"));
	json_int_t id = json_integer_value(json_object_get(object, "id"));
	const char *error = NULL;
	char reply[512];
	if (strcmp(name, "add_client") == 0) {
		json_t *arguments = json_object_get(object, "arguments");
		check_str(
			json_string_value(json_object_get(arguments, "protocol")), "@dbus-display");
		error = f->add_error;
	} else if (strcmp(name, "getfd") == 0) {
		check_int(f->passed_fd, >=, 0);
	} else {
		check_str(name, "qmp_capabilities");
	}
	if (f->noise) {
		say(f, f->noise);
	}
	if (error) {
		(void)snprintf(reply, sizeof(reply),
			"{\"id\":%lld,\"error\":{\"class\":\"GenericError\",\"desc\":\"%s\"}}\r\n",
			(long long)id, error);
	} else {
		(void)snprintf(
			reply, sizeof(reply), "{\"return\": {}, \"id\": %lld}\r\n", (long long)id);
	}
	if (!error && strcmp(name, "add_client") == 0) {
		open_bus(f);
	}
	json_decref(object);
	say(f, reply);
}

static void take_fds(struct fake_qemu *f, struct msghdr *msg) {
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		check(c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)));
		f->passed_fd = close_fd(f->passed_fd);
		memcpy(&f->passed_fd, CMSG_DATA(c), sizeof(int));
	}
}

/* As much of the greeting as the reader takes: it runs in this thread too. */
static void greet(struct fake_qemu *f) {
	ssize_t n = send(
		f->qmp_fd, f->greeting_left, strlen(f->greeting_left), MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n >= 0) {
		f->greeting_left += n;
	}
	if (*f->greeting_left == '\0') {
		check_ok(sd_event_source_set_io_events(f->qmp_io, EPOLLIN));
	}
}

/* Commands need no line ends: whole JSON objects, which here come one per send. */
static int handle_qmp(sd_event_source *source, int fd, uint32_t revents, void *data) {
	struct fake_qemu *f = data;
	if ((revents & (EPOLLIN | EPOLLOUT)) == EPOLLOUT) {
		greet(f);
		return 0;
	}
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {f->line, sizeof(f->line)};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes)};
	ssize_t n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
	if (n <= 0) {
		close_qmp(f);
		return 0;
	}
	take_fds(f, &msg);
	handle_command(f, f->line, (size_t)n);
	return 0;
}

static int handle_connection(sd_event_source *source, int fd, uint32_t revents, void *data) {
	struct fake_qemu *f = data;
	if (f->qmp_fd >= 0) {
		close_qmp(f);
	}
	f->qmp_fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	check_int(f->qmp_fd, >=, 0);
	f->n_accepted++;
	f->greeting_left = f->silent ? "" : f->greeting;
	check_ok(
		sd_event_add_io(f->loop, &f->qmp_io, f->qmp_fd, EPOLLIN | EPOLLOUT, handle_qmp, f));
	return 0;
}

void fake_start(struct fake_qemu *f) {
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	f->qmp_fd = f->passed_fd = -1;
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", f->path);
	(void)unlink(f->path);
	f->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	check_int(f->listen_fd, >=, 0);
	check_int(bind(f->listen_fd, (struct sockaddr *)&addr, sizeof(addr)), ==, 0);
	check_int(listen(f->listen_fd, 1), ==, 0);
	check_ok(sd_event_add_io(
		f->loop, &f->listen_io, f->listen_fd, EPOLLIN, handle_connection, f));
	f->greeting = f->greeting ? f->greeting : fake_greeting;
}

void fake_stop(struct fake_qemu *f) {
	f->listen_io = sd_event_source_disable_unref(f->listen_io);
	f->listen_fd = close_fd(f->listen_fd);
	close_qmp(f);
	f->passed_fd = close_fd(f->passed_fd);
	f->held = sd_bus_message_unref(f->held);
	f->bus = sd_bus_close_unref(f->bus);
}

void fake_forget(struct fake_qemu *f) {
	memset(f->last, 0, sizeof(f->last));
}

void fake_answer(struct fake_qemu *f) {
	check(f->held);
	check_ok(sd_bus_reply_method_return(f->held, NULL));
	f->held = sd_bus_message_unref(f->held);
}
