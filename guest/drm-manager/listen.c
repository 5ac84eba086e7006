/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "log.h"
#include "manager.h"

LOG_MODULE("listen");

#define BACKLOG 128
/* Connections taken in one round of the loop, so that a flood leaves it to others. */
#define ACCEPT_BATCH 16
/* Pause after accept failed for want of descriptors or memory. */
#define ACCEPT_PAUSE_US (500 * 1000)
/* Lines a second about what peers do. */
#define PEER_LOG_LINES 20

bool manager_may_log(struct manager *m) {
	return log_rate_allows(&m->log_rate, PEER_LOG_LINES, log_module);
}

static unsigned count_peer(const struct manager *m, const struct peer *peer) {
	const struct conn *c;
	unsigned n = 0;
	list_for_each(c, &m->conns, link) {
		n += peer_same(&c->peer, peer);
	}
	return n;
}

static void admit(struct manager *m, int fd) {
	struct peer peer;
	struct conn *c;
	const char *why = NULL;
	int r = peer_read(fd, &peer);
	if (r < 0) {
		(void)close_fd(fd);
		return;
	}
	if (m->n_conns >= m->config.max_connections) {
		why = "there are too many connections";
	} else if (count_peer(m, &peer) >= m->config.max_peer_connections) {
		why = "it has too many connections";
	}
	if (why) {
		if (manager_may_log(m)) {
			log_warn("pid %d uid %u %s: refused: %s", (int)peer.pid, (unsigned)peer.uid,
				peer.group, why);
		}
		(void)close_fd(fd);
		return;
	}
	r = conn_create(m, fd, &peer, &c);
	if (r < 0) {
		log_warn_errno(r, "a connection cannot be served");
	}
}

static void set_listening(struct manager *m, bool on) {
	for (unsigned i = 0; i < LISTENERS_MAX; i++) {
		if (m->listeners[i].io) {
			(void)sd_event_source_set_enabled(
				m->listeners[i].io, on ? SD_EVENT_ON : SD_EVENT_OFF);
		}
	}
}

static int handle_accept_timer(sd_event_source *source, uint64_t usec, void *data) {
	set_listening(data, true);
	return 0;
}

static int handle_listen(sd_event_source *source, int fd, uint32_t events, void *data) {
	struct manager *m = data;
	for (unsigned i = 0; i < ACCEPT_BATCH; i++) {
		int conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (conn >= 0) {
			admit(m, conn);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
			if (manager_may_log(m)) {
				log_warn_errno(errno, "cannot accept a connection");
			}
			set_listening(m, false);
			(void)sd_event_source_set_time_relative(m->accept_timer, ACCEPT_PAUSE_US);
			(void)sd_event_source_set_enabled(m->accept_timer, SD_EVENT_ONESHOT);
		}
		/* EAGAIN, or a connection that broke while it waited. */
		return 0;
	}
	return 0;
}

/* The directory, which is what containers mount; it need not be in /run. */
static int make_directory(const char *path) {
	char dir[sizeof(((struct sockaddr_un *)0)->sun_path)];
	(void)snprintf(dir, sizeof(dir), "%s", path);
	char *slash = strrchr(dir, '/');
	if (!slash || slash == dir) {
		return 0;
	}
	*slash = '\0';
	return mkdir(dir, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

/* A lock beside the socket says whether the one that is there is alive: it is replaced if not. */
static int lock_path(struct listener *l) {
	char lock[sizeof(((struct sockaddr_un *)0)->sun_path) + 8];
	(void)snprintf(lock, sizeof(lock), "%s.lock", l->path);
	l->lock_fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (l->lock_fd < 0) {
		return -errno;
	}
	if (flock(l->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		return errno == EWOULDBLOCK ? -EADDRINUSE : -errno;
	}
	return 0;
}

static int remove_stale(const struct listener *l) {
	struct stat st;
	if (lstat(l->path, &st) == 0 && !S_ISSOCK(st.st_mode)) {
		return -EEXIST;
	}
	return unlink(l->path) < 0 && errno != ENOENT ? -errno : 0;
}

static int bind_socket(struct listener *l) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (strlen(l->path) >= sizeof(address.sun_path)) {
		return -ENAMETOOLONG;
	}
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", l->path);
	int r = remove_stale(l);
	if (r < 0) {
		return r;
	}
	l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l->fd < 0 || bind(l->fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		/* Who may ask is for the policy to say: containers have users of many kinds. */
		chmod(l->path, 0777) < 0 || listen(l->fd, BACKLOG) < 0) {
		return -errno;
	}
	return 0;
}

/* The socket that the process before us had, if it is still the one at that path. */
static int take_old(struct manager *m, struct listener *l, const char *name) {
	struct sockaddr_un address = {0};
	socklen_t size = sizeof(address);
	struct stat st;
	l->fd = store_take(&m->store, name);
	if (l->fd < 0) {
		return -ENOENT;
	}
	if (getsockname(l->fd, (struct sockaddr *)&address, &size) < 0 ||
		strncmp(address.sun_path, l->path, sizeof(address.sun_path)) != 0 ||
		stat(l->path, &st) < 0) {
		l->fd = close_fd(l->fd);
		store_remove(&m->store, name);
		return -ENOENT;
	}
	return 0;
}

static int start_listener(struct manager *m, unsigned index) {
	struct listener *l = &m->listeners[index];
	char name[STORE_NAME_SIZE];
	(void)snprintf(name, sizeof(name), "listener-%u", index);
	l->path = m->config.sockets[index];
	int r = make_directory(l->path);
	if (r >= 0) {
		r = lock_path(l);
	}
	if (r >= 0 && take_old(m, l, name) < 0) {
		r = bind_socket(l);
		if (r >= 0) {
			store_put(&m->store, name, l->fd);
		}
	}
	if (r >= 0) {
		r = sd_event_add_io(m->loop, &l->io, l->fd, EPOLLIN, handle_listen, m);
	}
	if (r < 0) {
		log_err_errno(r, "cannot listen on %s", l->path);
		return r;
	}
	log_info("listening on %s", l->path);
	return 0;
}

int listen_start(struct manager *m) {
	int r = sd_event_add_time(
		m->loop, &m->accept_timer, CLOCK_MONOTONIC, UINT64_MAX, 0, handle_accept_timer, m);
	if (r >= 0) {
		r = sd_event_source_set_enabled(m->accept_timer, SD_EVENT_OFF);
	}
	for (unsigned i = 0; r >= 0 && i < m->config.n_sockets; i++) {
		r = start_listener(m, i);
	}
	return r;
}

void listen_finish(struct manager *m) {
	while (!list_empty(&m->conns)) {
		conn_destroy(list_first(&m->conns, struct conn, link));
	}
	m->accept_timer = sd_event_source_disable_unref(m->accept_timer);
	for (unsigned i = 0; i < LISTENERS_MAX; i++) {
		struct listener *l = &m->listeners[i];
		l->io = sd_event_source_disable_unref(l->io);
		/* With a store somebody will listen on it again. */
		if (l->fd >= 0 && !m->store.kept) {
			(void)unlink(l->path);
		}
		l->fd = close_fd(l->fd);
		l->lock_fd = close_fd(l->lock_fd);
	}
}
