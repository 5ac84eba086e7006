/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "input-manager.h"
#include "log.h"

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
	r = conn_create(m, fd, &peer);
	if (r < 0) {
		log_warn_errno(r, "a connection cannot be served");
	}
}

static int handle_accept_timer(sd_event_source *source, uint64_t usec, void *data) {
	struct manager *m = data;
	return sd_event_source_set_enabled(m->listen_io, SD_EVENT_ON);
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
			(void)sd_event_source_set_enabled(m->listen_io, SD_EVENT_OFF);
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
static int lock_path(struct manager *m) {
	char lock[sizeof(((struct sockaddr_un *)0)->sun_path) + 8];
	(void)snprintf(lock, sizeof(lock), "%s.lock", m->config.socket);
	m->lock_fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (m->lock_fd < 0) {
		return -errno;
	}
	if (flock(m->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		return errno == EWOULDBLOCK ? -EADDRINUSE : -errno;
	}
	return 0;
}

static int bind_socket(struct manager *m) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *path = m->config.socket;
	struct stat st;
	size_t size = strlen(path) + 1;
	if (size > sizeof(address.sun_path)) {
		return -ENAMETOOLONG;
	}
	memcpy(address.sun_path, path, size);
	if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode)) {
		return -EEXIST;
	}
	if (unlink(path) < 0 && errno != ENOENT) {
		return -errno;
	}
	m->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (m->listen_fd < 0 ||
		bind(m->listen_fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		/* Who may ask is for the policy to say: containers have users of many kinds. */
		chmod(path, 0666) < 0 || listen(m->listen_fd, BACKLOG) < 0) {
		return -errno;
	}
	return 0;
}

int listen_start(struct manager *m) {
	int r = make_directory(m->config.socket);
	if (r >= 0) {
		r = lock_path(m);
	}
	if (r >= 0) {
		r = bind_socket(m);
	}
	if (r >= 0) {
		r = sd_event_add_io(
			m->loop, &m->listen_io, m->listen_fd, EPOLLIN, handle_listen, m);
	}
	if (r >= 0) {
		r = sd_event_add_time(m->loop, &m->accept_timer, CLOCK_MONOTONIC, UINT64_MAX, 0,
			handle_accept_timer, m);
	}
	if (r >= 0) {
		r = sd_event_source_set_enabled(m->accept_timer, SD_EVENT_OFF);
	}
	if (r < 0) {
		log_err_errno(r, "cannot listen on %s", m->config.socket);
		return r;
	}
	log_info("listening on %s", m->config.socket);
	return 0;
}

void listen_finish(struct manager *m) {
	m->listen_io = sd_event_source_disable_unref(m->listen_io);
	m->accept_timer = sd_event_source_disable_unref(m->accept_timer);
	while (!list_empty(&m->conns)) {
		conn_destroy(list_first(&m->conns, struct conn, link));
	}
	if (m->listen_fd >= 0) {
		(void)unlink(m->config.socket);
	}
	m->listen_fd = close_fd(m->listen_fd);
	m->lock_fd = close_fd(m->lock_fd);
}
