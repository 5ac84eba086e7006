/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "util.h"
#include "watch.h"

#define NOTIFY_MAX 4096u
#define LINE_MAX_  512u

struct dir_watch {
	int fd;
	sd_event_source *io;
	dir_watch_func appeared;
	void *data;
};

struct notify_socket {
	int fd;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	sd_event_source *io;
	notify_func ready;
	void *data;
};

struct line_reader {
	int fd;
	sd_event_source *io;
	line_func done;
	void *data;
	char text[LINE_MAX_];
	size_t used;
};

static int handle_dir(sd_event_source *source, int fd, uint32_t events, void *data) {
	struct dir_watch *w = data;
	union {
		struct inotify_event align;
		char space[4096];
	} buf;
	ssize_t n = read(fd, buf.space, sizeof(buf.space));
	for (ssize_t at = 0; at + (ssize_t)sizeof(struct inotify_event) <= n;) {
		struct inotify_event e;
		memcpy(&e, buf.space + at, sizeof(e));
		if (e.len > 0) {
			w->appeared(buf.space + at + sizeof(e), w->data);
		}
		at += (ssize_t)(sizeof(e) + e.len);
	}
	return 0;
}

int dir_watch_create(sd_event *loop, const char *dir, dir_watch_func appeared, void *data,
	struct dir_watch **ret) {
	struct dir_watch *w = calloc(1, sizeof(*w));
	if (!w) {
		return -ENOMEM;
	}
	*w = (struct dir_watch){.appeared = appeared, .data = data};
	w->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	int r = w->fd < 0 ? -errno : 0;
	if (r == 0 && inotify_add_watch(w->fd, dir, IN_CREATE | IN_MOVED_TO) < 0) {
		r = -errno;
	}
	if (r == 0) {
		r = sd_event_add_io(loop, &w->io, w->fd, EPOLLIN, handle_dir, w);
	}
	if (r < 0) {
		dir_watch_destroy(w);
		return r;
	}
	*ret = w;
	return 0;
}

void dir_watch_destroy(struct dir_watch *w) {
	if (!w) {
		return;
	}
	sd_event_source_disable_unref(w->io);
	(void)close_fd(w->fd);
	free(w);
}

static int set_address(struct sockaddr_un *a, const char *path) {
	*a = (struct sockaddr_un){.sun_family = AF_UNIX};
	int n = snprintf(a->sun_path, sizeof(a->sun_path), "%s", path);
	return n < 0 || (size_t)n >= sizeof(a->sun_path) ? -ENAMETOOLONG : 0;
}

bool socket_answers(const char *path) {
	struct sockaddr_un address;
	if (set_address(&address, path) < 0) {
		return false;
	}
	CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* EAGAIN: it is there, and busy. */
	return fd >= 0 &&
		(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 || errno == EAGAIN);
}

static bool says_ready(const char *text) {
	for (const char *line = text; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, "READY=1", 7) == 0 && (line[7] == '\n' || line[7] == '\0')) {
			return true;
		}
	}
	return false;
}

static int handle_notify(sd_event_source *source, int fd, uint32_t events, void *data) {
	struct notify_socket *n = data;
	char text[NOTIFY_MAX];
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(struct ucred))];
	} control;
	struct iovec iov = {text, sizeof(text) - 1};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space)};
	/* There is no room for descriptors: what others send is closed by the kernel. */
	ssize_t size = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (size < 0) {
		return 0;
	}
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	struct ucred from;
	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_CREDENTIALS) {
		return 0;
	}
	memcpy(&from, CMSG_DATA(c), sizeof(from));
	text[size] = '\0';
	if (says_ready(text)) {
		n->ready(from.pid, n->data);
	}
	return 0;
}

int notify_socket_create(sd_event *loop, const char *path, notify_func ready, void *data,
	struct notify_socket **ret) {
	static const int on = 1;
	struct sockaddr_un address;
	int r = set_address(&address, path);
	if (r < 0) {
		return r;
	}
	struct notify_socket *n = calloc(1, sizeof(*n));
	if (!n) {
		return -ENOMEM;
	}
	*n = (struct notify_socket){.ready = ready, .data = data};
	n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	r = n->fd < 0 ? -errno : 0;
	if (r == 0) {
		(void)unlink(path);
		r = bind(n->fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
				setsockopt(n->fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0
			? -errno
			: 0;
	}
	if (r == 0) {
		(void)snprintf(n->path, sizeof(n->path), "%s", path);
		r = sd_event_add_io(loop, &n->io, n->fd, EPOLLIN, handle_notify, n);
	}
	if (r < 0) {
		notify_socket_destroy(n);
		return r;
	}
	*ret = n;
	return 0;
}

void notify_socket_destroy(struct notify_socket *n) {
	if (!n) {
		return;
	}
	sd_event_source_disable_unref(n->io);
	(void)close_fd(n->fd);
	if (n->path[0]) {
		(void)unlink(n->path);
	}
	free(n);
}

static int handle_line(sd_event_source *source, int fd, uint32_t events, void *data) {
	struct line_reader *r = data;
	ssize_t n = read(fd, r->text + r->used, sizeof(r->text) - 1 - r->used);
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		return 0;
	}
	r->used += n > 0 ? (size_t)n : 0;
	r->text[r->used] = '\0';
	char *end = strchr(r->text, '\n');
	if (!end && n > 0 && r->used < sizeof(r->text) - 1) {
		return 0;
	}
	if (end) {
		*end = '\0';
	}
	(void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
	r->done(end ? r->text : NULL, r->data);
	return 0;
}

int line_reader_create(
	sd_event *loop, int fd, line_func done, void *data, struct line_reader **ret) {
	struct line_reader *l = calloc(1, sizeof(*l));
	if (!l) {
		(void)close_fd(fd);
		return -ENOMEM;
	}
	*l = (struct line_reader){.fd = fd, .done = done, .data = data};
	int r = fcntl(fd, F_SETFL, O_NONBLOCK) < 0
		? -errno
		: sd_event_add_io(loop, &l->io, fd, EPOLLIN, handle_line, l);
	if (r < 0) {
		line_reader_destroy(l);
		return r;
	}
	*ret = l;
	return 0;
}

void line_reader_destroy(struct line_reader *r) {
	if (!r) {
		return;
	}
	sd_event_source_disable_unref(r->io);
	(void)close_fd(r->fd);
	free(r);
}
