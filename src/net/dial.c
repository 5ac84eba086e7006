/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "net/dial.h"
#include "net/stream.h"

#define HOST_MAX 256

/* Shared with the thread that looks the name up; the last of the two frees it. */
struct lookup {
	atomic_int refs;
	int event_fd;
	char host[HOST_MAX];
	char port[8];
	int error; /* of getaddrinfo */
	struct addrinfo *found;
};

struct dial {
	sd_event *loop;
	struct lookup *lookup;
	const struct addrinfo *next;
	int fd; /* -1: not connecting */
	int error;
	sd_event_source *io;    /* of the lookup, then of each connection */
	sd_event_source *timer; /* of all of it */
	dial_fn done;
	void *data;
};

static void lookup_unref(struct lookup *l) {
	if (!l || atomic_fetch_sub(&l->refs, 1) > 1) {
		return;
	}
	if (l->found) {
		freeaddrinfo(l->found);
	}
	(void)close_fd(l->event_fd);
	free(l);
}

static void look_up(struct lookup *l, int flags) {
	struct addrinfo hints = {
		.ai_flags = flags | AI_NUMERICSERV,
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
	};
	l->error = getaddrinfo(l->host, l->port, &hints, &l->found);
}

static void announce(struct lookup *l) {
	(void)eventfd_write(l->event_fd, 1);
}

static void *lookup_thread(void *data) {
	struct lookup *l = data;
	look_up(l, AI_ADDRCONFIG);
	announce(l);
	lookup_unref(l);
	return NULL;
}

/* All signals are the main thread's business. */
static int start_thread(struct lookup *l) {
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all, old;
	sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	(void)pthread_attr_init(&attr);
	(void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	atomic_fetch_add(&l->refs, 1);
	int r = -pthread_create(&thread, &attr, lookup_thread, l);
	if (r < 0) {
		atomic_fetch_sub(&l->refs, 1);
	}
	(void)pthread_attr_destroy(&attr);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r;
}

static int lookup_create(const char *host, uint16_t port, struct lookup **ret) {
	if (strlen(host) >= HOST_MAX) {
		return -ENAMETOOLONG;
	}
	struct lookup *l = calloc(1, sizeof(*l));
	if (!l) {
		return -ENOMEM;
	}
	atomic_init(&l->refs, 1);
	(void)snprintf(l->host, sizeof(l->host), "%s", host);
	(void)snprintf(l->port, sizeof(l->port), "%u", (unsigned)port);
	l->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int r = l->event_fd < 0 ? -errno : 0;
	if (r == 0) {
		look_up(l, AI_NUMERICHOST);
		if (l->error == EAI_NONAME) {
			r = start_thread(l);
		} else {
			announce(l);
		}
	}
	if (r < 0) {
		lookup_unref(l);
		return r;
	}
	*ret = l;
	return 0;
}

static void finish(struct dial *d, int fd) {
	dial_fn done = d->done;
	void *data = d->data;
	dial_destroy(d);
	done(data, fd);
}

static void try_next(struct dial *d);

static int handle_connected(sd_event_source *source, int fd, uint32_t events, void *data) {
	struct dial *d = data;
	int error = 0;
	socklen_t size = sizeof(error);
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0) {
		error = errno;
	}
	if (error == 0) {
		finish(d, take_fd(&d->fd));
		return 0;
	}
	d->error = -error;
	try_next(d);
	return 0;
}

static int try_address(struct dial *d, const struct addrinfo *ai) {
	d->fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (d->fd < 0) {
		return -errno;
	}
	stream_set_tcp_options(d->fd);
	if (connect(d->fd, ai->ai_addr, ai->ai_addrlen) < 0 && errno != EINPROGRESS) {
		return -errno;
	}
	return sd_event_add_io(d->loop, &d->io, d->fd, EPOLLOUT, handle_connected, d);
}

static void try_next(struct dial *d) {
	while (d->next) {
		const struct addrinfo *ai = d->next;
		d->next = ai->ai_next;
		d->io = sd_event_source_disable_unref(d->io);
		d->fd = close_fd(d->fd);
		int r = try_address(d, ai);
		if (r >= 0) {
			return;
		}
		d->error = r;
	}
	finish(d, d->error);
}

static int handle_looked_up(sd_event_source *source, int fd, uint32_t events, void *data) {
	struct dial *d = data;
	d->error = -ENXIO;
	d->io = sd_event_source_disable_unref(d->io);
	d->next = d->lookup->error == 0 ? d->lookup->found : NULL;
	try_next(d);
	return 0;
}

static int handle_timeout(sd_event_source *source, uint64_t usec, void *data) {
	finish(data, -ETIMEDOUT);
	return 0;
}

int dial_create(sd_event *loop, const char *host, uint16_t port, unsigned timeout_ms, dial_fn done,
	void *data, struct dial **ret) {
	struct dial *d = calloc(1, sizeof(*d));
	if (!d) {
		return -ENOMEM;
	}
	*d = (struct dial){.loop = sd_event_ref(loop), .fd = -1, .done = done, .data = data};
	int r = lookup_create(host, port, &d->lookup);
	if (r >= 0) {
		r = sd_event_add_io(
			loop, &d->io, d->lookup->event_fd, EPOLLIN, handle_looked_up, d);
	}
	if (r >= 0) {
		r = sd_event_add_time_relative(loop, &d->timer, CLOCK_MONOTONIC,
			timeout_ms * UINT64_C(1000), 0, handle_timeout, d);
	}
	if (r < 0) {
		dial_destroy(d);
		return r;
	}
	*ret = d;
	return 0;
}

void dial_destroy(struct dial *d) {
	if (!d) {
		return;
	}
	sd_event_source_disable_unref(d->io);
	sd_event_source_disable_unref(d->timer);
	(void)close_fd(d->fd);
	lookup_unref(d->lookup);
	sd_event_unref(d->loop);
	free(d);
}
