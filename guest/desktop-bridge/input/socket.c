/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <jansson.h>
#include <math.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "log.h"
#include "socket.h"
#include "util.h"

LOG_MODULE("input");

#define CONNS_MAX 16u
#define NOTCH     15.0
#define BIG       100000.0 /* no move or scroll is larger */

struct socket_conn {
	struct list link; // input_socket.conns
	struct input_socket *socket;
	int fd;
	sd_event_source *io;
	struct input_client client;
	size_t size;
	bool skipping; /* the rest of a line that is too long */
	char line[INPUT_LINE_MAX];
};

struct input_socket {
	sd_event *loop;
	struct input *input;
	input_size_fn get_size;
	void *data;
	char *path;
	int fd;
	sd_event_source *io;
	struct list conns; // struct socket_conn.link
	unsigned n_conns;
};

static bool get_number(const json_t *root, const char *key, double max, double *ret) {
	const json_t *value = json_object_get(root, key);
	double n = json_number_value(value);
	*ret = n;
	return json_is_number(value) && isfinite(n) && fabs(n) <= max;
}

static bool get_code(const json_t *root, const char *key, uint16_t *ret) {
	double n;
	if (!get_number(root, key, KEY_MAX, &n) || n < 1) {
		return false;
	}
	*ret = (uint16_t)n;
	return true;
}

static double part(double v, uint32_t size) {
	double p = v / size;
	return p < 0 ? 0 : p > 1 ? 1 : p;
}

static bool get_position(const json_t *root, uint32_t width, uint32_t height, struct ws_event *e) {
	double x, y;
	if (!width || !height || !get_number(root, "x", BIG, &x) ||
		!get_number(root, "y", BIG, &y)) {
		return false;
	}
	e->x = part(x, width);
	e->y = part(y, height);
	return true;
}

static bool get_move(const json_t *root, double factor, struct ws_event *e) {
	if (!get_number(root, "dx", BIG, &e->dx) || !get_number(root, "dy", BIG, &e->dy)) {
		return false;
	}
	e->dx *= factor;
	e->dy *= factor;
	return true;
}

static bool get_touch(
	const json_t *root, const char *what, uint32_t width, uint32_t height, struct ws_event *e) {
	double slot;
	bool up = strcmp(what, "up") == 0;
	if (!get_number(root, "slot", WS_TOUCH_SLOTS - 1, &slot) || slot < 0) {
		return false;
	}
	e->kind = WS_EVENT_TOUCH;
	e->slot = (uint8_t)slot;
	e->touch = up ? WS_TOUCH_UP : strcmp(what, "down") == 0 ? WS_TOUCH_DOWN : WS_TOUCH_MOVE;
	return up || get_position(root, width, height, e);
}

static bool parse(const json_t *root, uint32_t width, uint32_t height, struct ws_event *e) {
	const char *type = json_string_value(json_object_get(root, "type"));
	e->down = json_is_true(json_object_get(root, "state"));
	if (!type) {
		return false;
	}
	if (strcmp(type, "mouse_move_abs") == 0) {
		e->kind = WS_EVENT_ABSOLUTE;
		return get_position(root, width, height, e);
	}
	if (strcmp(type, "mouse_move_rel") == 0) {
		e->kind = WS_EVENT_RELATIVE;
		return get_move(root, 1, e);
	}
	if (strcmp(type, "button") == 0) {
		e->kind = WS_EVENT_BUTTON;
		return get_code(root, "button", &e->code) && e->code >= BTN_MOUSE &&
			e->code <= BTN_TASK;
	}
	if (strcmp(type, "key") == 0) {
		e->kind = WS_EVENT_KEY;
		return get_code(root, "keycode", &e->code) &&
			(e->code < BTN_MISC || e->code >= KEY_OK);
	}
	if (strcmp(type, "scroll") == 0) {
		e->kind = WS_EVENT_SCROLL;
		e->wheel = true;
		return get_move(root, NOTCH, e);
	}
	if (strcmp(type, "scroll_smooth") == 0) {
		e->kind = WS_EVENT_SCROLL;
		return get_move(root, -1, e);
	}
	if (strcmp(type, "touch_down") == 0 || strcmp(type, "touch_up") == 0) {
		return get_touch(root, type + 6, width, height, e);
	}
	return strcmp(type, "touch_motion") == 0 && get_touch(root, "motion", width, height, e);
}

int input_line_parse(
	const char *line, size_t size, uint32_t width, uint32_t height, struct ws_event *ret) {
	json_t *root = json_loadb(line, size, 0, NULL);
	struct ws_event e = {0};
	bool good = root && parse(root, width, height, &e);
	json_decref(root);
	if (!good) {
		return -EBADMSG;
	}
	*ret = e;
	return 0;
}

static void conn_destroy(struct socket_conn *c) {
	input_leave(&c->client);
	list_remove(&c->link);
	c->socket->n_conns--;
	sd_event_source_disable_unref(c->io);
	(void)close_fd(c->fd);
	free(c);
}

static void take_line(struct socket_conn *c, size_t size) {
	struct input_socket *s = c->socket;
	uint32_t width, height;
	struct ws_event e;
	s->get_size(&width, &height, s->data);
	if (!c->skipping && input_line_parse(c->line, size, width, height, &e) == 0) {
		input_set_size(s->input, width, height);
		input_event(&c->client, &e);
	}
	c->skipping = false;
}

static void take_lines(struct socket_conn *c) {
	char *end;
	while ((end = memchr(c->line, '\n', c->size)) != NULL) {
		size_t n = (size_t)(end - c->line);
		take_line(c, n);
		c->size -= n + 1;
		memmove(c->line, end + 1, c->size);
	}
	if (c->size == sizeof(c->line)) {
		c->skipping = true;
		c->size = 0;
	}
}

static int handle_conn(sd_event_source *source, int fd, uint32_t revents, void *data) {
	struct socket_conn *c = data;
	ssize_t n = recv(fd, c->line + c->size, sizeof(c->line) - c->size, MSG_DONTWAIT);
	if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
		return 0;
	}
	if (n <= 0) {
		conn_destroy(c);
		return 0;
	}
	c->size += (size_t)n;
	take_lines(c);
	return 0;
}

static int handle_accept(sd_event_source *source, int fd, uint32_t revents, void *data) {
	struct input_socket *s = data;
	CLEANUP_CLOSE int conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (conn < 0 || s->n_conns == CONNS_MAX) {
		return 0;
	}
	struct socket_conn *c = calloc(1, sizeof(*c));
	if (!c || sd_event_add_io(s->loop, &c->io, conn, EPOLLIN, handle_conn, c) < 0) {
		free(c);
		return 0;
	}
	c->socket = s;
	c->fd = take_fd(&conn);
	list_append(&s->conns, &c->link);
	s->n_conns++;
	input_join(s->input, &c->client);
	return 0;
}

static int open_socket(const char *path) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(address.sun_path)) {
		return -ENAMETOOLONG;
	}
	memcpy(address.sun_path, path, strlen(path) + 1);
	CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		return -errno;
	}
	struct stat st;
	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode)) {
		(void)unlink(path);
	}
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || chmod(path, 0600) < 0 ||
		listen(fd, 8) < 0) {
		return -errno;
	}
	return take_fd(&fd);
}

int input_socket_create(sd_event *loop, const char *path, struct input *input, input_size_fn size,
	void *data, struct input_socket **ret) {
	struct input_socket *s = calloc(1, sizeof(*s));
	if (!s) {
		return -ENOMEM;
	}
	s->loop = sd_event_ref(loop);
	s->input = input;
	s->get_size = size;
	s->data = data;
	list_init(&s->conns);
	s->fd = open_socket(path);
	int r = s->fd;
	if (r >= 0) {
		s->path = strdup(path);
		r = s->path ? sd_event_add_io(loop, &s->io, s->fd, EPOLLIN, handle_accept, s)
			    : -ENOMEM;
	}
	if (r < 0) {
		input_socket_destroy(s);
		return r;
	}
	*ret = s;
	return 0;
}

void input_socket_destroy(struct input_socket *s) {
	struct socket_conn *c, *tmp;
	if (!s) {
		return;
	}
	list_for_each_safe(c, tmp, &s->conns, link) {
		conn_destroy(c);
	}
	sd_event_source_disable_unref(s->io);
	(void)close_fd(s->fd);
	if (s->path) {
		(void)unlink(s->path);
	}
	free(s->path);
	sd_event_unref(s->loop);
	free(s);
}
