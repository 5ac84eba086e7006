/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "listener.h"

LOG_MODULE("listen");

#define BACKLOG 128
/* Connections taken in one round of the loop, so that a flood leaves it to others. */
#define ACCEPT_BATCH 16
/* Pause after accept failed for want of descriptors or memory. */
#define ACCEPT_PAUSE_US (500 * 1000)
/* Lines a second about what peers do. */
#define PEER_LOG_LINES 20

bool reception_may_log(struct reception *r) {
	return log_rate_allows(&r->log_rate, PEER_LOG_LINES, log_module);
}

void reception_log(
	struct reception *r, const char *module, const struct peer *peer, const char *what) {
	if (reception_may_log(r)) {
		log_write(LOG_LEVEL_INFO, module, 0, "pid %d uid %u %s: %s", (int)peer->pid,
			(unsigned)peer->uid, peer->group, what);
	}
}

static void admit(struct reception *r, int fd) {
	struct peer peer;
	const char *why = NULL;
	if (peer_read(fd, &peer) < 0) {
		(void)close_fd(fd);
		return;
	}
	if (r->count(NULL, r->data) >= r->max_connections) {
		why = "there are too many connections";
	} else if (r->count(&peer, r->data) >= r->max_peer_connections) {
		why = "it has too many connections";
	}
	if (why) {
		if (reception_may_log(r)) {
			log_warn("pid %d uid %u %s: refused: %s", (int)peer.pid, (unsigned)peer.uid,
				peer.group, why);
		}
		(void)close_fd(fd);
		return;
	}
	int e = r->connected(fd, &peer, r->data);
	if (e < 0) {
		log_warn_errno(e, "a connection cannot be served");
	}
}

static int handle_timer(sd_event_source *source, uint64_t usec, void *data) {
	struct listener *l = data;
	return sd_event_source_set_enabled(l->io, SD_EVENT_ON);
}

static int handle_io(sd_event_source *source, int fd, uint32_t events, void *data) {
	struct listener *l = data;
	for (unsigned i = 0; i < ACCEPT_BATCH; i++) {
		int conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (conn >= 0) {
			admit(l->reception, conn);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
			if (reception_may_log(l->reception)) {
				log_warn_errno(errno, "cannot accept a connection");
			}
			(void)sd_event_source_set_enabled(l->io, SD_EVENT_OFF);
			(void)sd_event_source_set_time_relative(l->timer, ACCEPT_PAUSE_US);
			(void)sd_event_source_set_enabled(l->timer, SD_EVENT_ONESHOT);
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

/* A socket that is there is replaced if nobody has the lock beside it. */
static int take_lock(struct listener *l) {
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

int listener_claim(struct listener *l, const char *path) {
	l->path = path;
	int r = make_directory(path);
	return r < 0 ? r : take_lock(l);
}

static int remove_stale(const char *path) {
	struct stat st;
	if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode)) {
		return -EEXIST;
	}
	return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

int listener_bind(struct listener *l, int type, mode_t mode) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (strlen(l->path) >= sizeof(address.sun_path)) {
		return -ENAMETOOLONG;
	}
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", l->path);
	int r = remove_stale(l->path);
	if (r < 0) {
		return r;
	}
	l->fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l->fd < 0 || bind(l->fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		/* Who may ask is for the policy to say: containers have users of many kinds. */
		chmod(l->path, mode) < 0 || listen(l->fd, BACKLOG) < 0) {
		return -errno;
	}
	return 0;
}

int listener_adopt(struct listener *l, int fd) {
	struct sockaddr_un address = {0};
	socklen_t size = sizeof(address);
	struct stat st;
	if (getsockname(fd, (struct sockaddr *)&address, &size) < 0 ||
		strncmp(address.sun_path, l->path, sizeof(address.sun_path)) != 0 ||
		stat(l->path, &st) < 0) {
		(void)close_fd(fd);
		return -ENOENT;
	}
	l->fd = fd;
	return 0;
}

int listener_start(struct listener *l, sd_event *loop, struct reception *reception) {
	l->reception = reception;
	int r = sd_event_add_time(loop, &l->timer, CLOCK_MONOTONIC, UINT64_MAX, 0, handle_timer, l);
	if (r >= 0) {
		r = sd_event_source_set_enabled(l->timer, SD_EVENT_OFF);
	}
	if (r >= 0) {
		r = sd_event_add_io(loop, &l->io, l->fd, EPOLLIN, handle_io, l);
	}
	return r;
}

void listener_finish(struct listener *l, bool keep) {
	l->io = sd_event_source_disable_unref(l->io);
	l->timer = sd_event_source_disable_unref(l->timer);
	if (l->fd >= 0 && !keep) {
		(void)unlink(l->path);
	}
	l->fd = close_fd(l->fd);
	l->lock_fd = close_fd(l->lock_fd);
}
