/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Accepts connections, so many and not more: in all, and of each address. */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "conn.h"
#include "gateway.h"
#include "log.h"

LOG_MODULE("listener");

#define BACKLOG 128
/* Connections accepted before the loop goes on with something else. */
#define ACCEPT_BATCH 16
/* Pause after accept failed for want of descriptors or memory. */
#define ACCEPT_PAUSE_US (500 * 1000)

/* An address with connections. */
struct peer {
	struct list link; // gateway.peers
	struct gateway *gateway;
	struct in6_addr address; /* of IPv4: mapped */
	unsigned n;
};

static void address_of(const struct sockaddr_storage *addr, struct in6_addr *ret) {
	*ret = (struct in6_addr){0};
	if (addr->ss_family == AF_INET6) {
		*ret = ((const struct sockaddr_in6 *)addr)->sin6_addr;
		if (!IN6_IS_ADDR_V4MAPPED(ret)) {
			/* Whoever has one address of a /64 has them all. */
			memset(ret->s6_addr + 8, 0, 8);
		}
	} else if (addr->ss_family == AF_INET) {
		ret->s6_addr[10] = ret->s6_addr[11] = 0xff;
		memcpy(ret->s6_addr + 12, &((const struct sockaddr_in *)addr)->sin_addr, 4);
	}
}

static struct peer *peer_find(struct gateway *g, const struct in6_addr *address) {
	struct peer *p;
	list_for_each(p, &g->peers, link) {
		if (memcmp(&p->address, address, sizeof(*address)) == 0) {
			return p;
		}
	}
	p = calloc(1, sizeof(*p));
	if (p) {
		p->gateway = g;
		p->address = *address;
		list_append(&g->peers, &p->link);
	}
	return p;
}

/* A stream of this peer is gone. */
static void handle_gone(void *data) {
	struct peer *p = data;
	p->gateway->n_connections--;
	if (--p->n == 0) {
		list_remove(&p->link);
		free(p);
	}
}

static void format_address(const struct sockaddr *addr, socklen_t size, char *peer, size_t n) {
	char host[48], port[8];
	if (getnameinfo(addr, size, host, sizeof(host), port, sizeof(port),
		    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
		(void)snprintf(peer, n, "client");
		return;
	}
	(void)snprintf(peer, n, addr->sa_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

/* Consumes `fd`. */
static void add_connection(
	struct gateway *g, int fd, const struct sockaddr_storage *addr, socklen_t size) {
	struct in6_addr address;
	struct stream *stream;
	char name[64];
	address_of(addr, &address);
	struct peer *peer = peer_find(g, &address);
	if (!peer || g->n_connections >= g->options.max_connections ||
		peer->n >= g->options.max_per_address) {
		g->stats.refused++;
		if (gateway_may_log(g)) {
			log_warn(
				"a connection is refused: there are %u, %u of them from its address",
				g->n_connections, peer ? peer->n : 0);
		}
		(void)close_fd(fd);
		return;
	}
	stream_set_tcp_options(fd);
	format_address((const struct sockaddr *)addr, size, name, sizeof(name));
	int r = g->tls ? stream_create_tls(g->loop, fd, g->tls, NULL, &stream)
		       : stream_create(g->loop, fd, &stream);
	if (r < 0) {
		if (peer->n == 0) {
			list_remove(&peer->link);
			free(peer);
		}
		return;
	}
	peer->n++;
	g->n_connections++;
	g->stats.accepted++;
	stream_on_gone(stream, handle_gone, peer);
	(void)conn_create(g, stream, name);
}

static int handle_listen_timer(sd_event_source *source, uint64_t usec, void *data) {
	struct gateway *g = data;
	return sd_event_source_set_enabled(g->listen_source, SD_EVENT_ON);
}

/* Out of descriptors: level-triggered, the listener would keep the loop spinning. */
static int pause_listening(struct gateway *g, int error) {
	if (gateway_may_log(g)) {
		log_warn_errno(error, "cannot accept a connection");
	}
	(void)sd_event_source_set_enabled(g->listen_source, SD_EVENT_OFF);
	(void)sd_event_source_set_time_relative(g->listen_timer, ACCEPT_PAUSE_US);
	return sd_event_source_set_enabled(g->listen_timer, SD_EVENT_ONESHOT);
}

static int handle_listen(sd_event_source *source, int fd, uint32_t events, void *data) {
	struct gateway *g = data;
	for (unsigned i = 0; i < ACCEPT_BATCH; i++) {
		struct sockaddr_storage addr;
		socklen_t size = sizeof(addr);
		int conn =
			accept4(fd, (struct sockaddr *)&addr, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (conn < 0) {
			if (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
				errno == ENOBUFS) {
				return pause_listening(g, -errno);
			}
			/* EAGAIN, or a connection that broke while it waited. */
			return 0;
		}
		add_connection(g, conn, &addr, size);
	}
	return 0;
}

static int open_socket(struct gateway *g) {
	struct addrinfo hints = {
		.ai_flags = AI_NUMERICSERV | AI_PASSIVE,
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
	};
	struct addrinfo *ai;
	char port[8];
	static const int one = 1;
	(void)snprintf(port, sizeof(port), "%u", (unsigned)g->options.listen_port);
	int error = getaddrinfo(g->options.listen_host, port, &hints, &ai);
	if (error != 0) {
		log_err("%s: %s", g->options.listen_host, gai_strerror(error));
		return -EINVAL;
	}
	int r = 0;
	g->listen_fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (g->listen_fd < 0 ||
		setsockopt(g->listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
		bind(g->listen_fd, ai->ai_addr, ai->ai_addrlen) < 0 ||
		listen(g->listen_fd, BACKLOG) < 0) {
		r = -errno;
		log_err_errno(r, "cannot listen on %s port %s", g->options.listen_host, port);
	}
	freeaddrinfo(ai);
	return r;
}

int listener_open(struct gateway *g) {
	struct sockaddr_storage addr;
	socklen_t size = sizeof(addr);
	int r = open_socket(g);
	if (r < 0) {
		return r;
	}
	if (getsockname(g->listen_fd, (struct sockaddr *)&addr, &size) < 0) {
		return -errno;
	}
	/* The port is at the same place in both kinds of address. */
	g->port = ntohs(((struct sockaddr_in *)&addr)->sin_port);
	r = sd_event_add_io(g->loop, &g->listen_source, g->listen_fd, EPOLLIN, handle_listen, g);
	if (r >= 0) {
		r = sd_event_add_time(g->loop, &g->listen_timer, CLOCK_MONOTONIC, UINT64_MAX, 0,
			handle_listen_timer, g);
	}
	return r < 0 ? r : sd_event_source_set_enabled(g->listen_timer, SD_EVENT_OFF);
}

void listener_close(struct gateway *g) {
	sd_event_source_disable_unref(g->listen_source);
	sd_event_source_disable_unref(g->listen_timer);
	g->listen_fd = close_fd(g->listen_fd);
}
