/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "log.h"
#include "seatd.h"

LOG_MODULE("seatd");

static struct seatd_client *first_waiting(struct seatd *s) {
	struct seatd_client *c;
	if (s->next && s->next->state == SEATD_WAITING) {
		return s->next;
	}
	list_for_each(c, &s->clients, link) {
		if (c->state == SEATD_WAITING) {
			return c;
		}
	}
	return NULL;
}

void seatd_advance(struct seatd *s) {
	struct seatd_client *c = first_waiting(s);
	if (!c || !s->session->active || session_take(s->session, &c->control) < 0) {
		return;
	}
	if (s->next == c) {
		s->next = NULL;
	}
	seatd_client_enable(c);
}

static void handle_released(struct session_listener *l) {
	seatd_advance(container_of(l, struct seatd, listener));
}

static void handle_changed(struct session_listener *l, uint32_t what) {
	if (what & SESSION_CHANGED_ACTIVE) {
		seatd_advance(container_of(l, struct seatd, listener));
	}
}

void seatd_init(struct seatd *s, sd_event *loop, struct session *session) {
	*s = (struct seatd){
		.loop = loop,
		.session = session,
		.listener = {.changed = handle_changed, .released = handle_released},
		.fd = -1,
	};
	list_init(&s->clients);
	session_listen(session, &s->listener);
}

int seatd_add_client(struct seatd *s, int fd) {
	if (s->n_clients >= SEATD_CLIENTS_MAX) {
		log_warn("a client is refused: there are %u", s->n_clients);
		(void)close_fd(fd);
		return -EAGAIN;
	}
	return seatd_client_create(s, fd);
}

static int handle_listen(sd_event_source *source, int fd, uint32_t events, void *data) {
	int conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (conn >= 0) {
		(void)seatd_add_client(data, conn);
	}
	return 0;
}

/* Whether somebody listens there; what a dead server left behind is removed. */
static int remove_stale(const struct sockaddr_un *address) {
	int fd CLEANUP_CLOSE = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		return -errno;
	}
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
		errno == EAGAIN) {
		return -EADDRINUSE;
	}
	if (errno == ECONNREFUSED && unlink(address->sun_path) < 0) {
		return -errno;
	}
	return 0;
}

int seatd_listen(struct seatd *s, const char *path) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(address.sun_path)) {
		return -ENAMETOOLONG;
	}
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	int r = remove_stale(&address);
	if (r < 0) {
		return r;
	}
	int fd CLEANUP_CLOSE = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		return -errno;
	}
	/* On the unbound socket it says what mode the file is made with, less the umask. */
	(void)fchmod(fd, 0600);
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		return -errno;
	}
	s->path = strdup(path);
	if (!s->path || listen(fd, SEATD_CLIENTS_MAX) < 0) {
		r = s->path ? -errno : -ENOMEM;
		(void)unlink(path);
		return r;
	}
	r = sd_event_add_io(s->loop, &s->io, fd, EPOLLIN, handle_listen, s);
	if (r >= 0) {
		s->fd = take_fd(&fd);
	}
	return MIN(r, 0);
}

void seatd_finish(struct seatd *s) {
	if (!s->loop) {
		return;
	}
	list_remove(&s->listener.link);
	s->io = sd_event_source_disable_unref(s->io);
	if (s->path) {
		(void)unlink(s->path);
	}
	free(s->path);
	s->path = NULL;
	s->fd = close_fd(s->fd);
	while (!list_empty(&s->clients)) {
		seatd_client_destroy(list_first(&s->clients, struct seatd_client, link));
	}
	s->loop = NULL;
}
