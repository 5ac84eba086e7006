/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "client.h"
#include "log.h"
#include "server-private.h"
#include "util.h"

LOG_MODULE("server");

#define BACKLOG 128
/* Connections that neither subscribe nor send a whole message are closed after this. */
#define SILENCE_NS (60 * NSEC_PER_SEC)
/* Connections accepted before the loop goes on with something else. */
#define ACCEPT_BATCH 16
/* Pause after accept failed for want of descriptors or memory. */
#define ACCEPT_PAUSE_US (500 * 1000)
/* Lines a second about what peers do. */
#define PEER_LOG_LINES 10

bool server_may_log(struct server *s) {
	return log_rate_allows(&s->log_rate, PEER_LOG_LINES, log_module);
}

void server_state_changed(struct server *s, uint32_t scanout) {
	struct client *client;
	list_for_each(client, &s->clients, link) {
		if (client->features & HXFR_FEATURE_STATE) {
			client->states_dirty |= 1u << scanout;
			client_kick(client);
		}
	}
}

int server_add_client(struct server *s, int fd, const char *peer) {
	struct client *client;
	if (s->n_clients >= s->max_clients) {
		if (server_may_log(s)) {
			log_warn("%s: refused: there are %u clients already", peer, s->n_clients);
		}
		(void)close_fd(fd);
		return -EBUSY;
	}
	int r = client_create(s, fd, peer, &client);
	if (r < 0) {
		(void)close_fd(fd);
		return r;
	}
	list_append(&s->clients, &client->link);
	s->n_clients++;
	log_debug("%s: connected", peer);
	return 0;
}

static void format_peer(const struct sockaddr *addr, socklen_t size, char *peer, size_t peer_size) {
	char host[48], port[8];
	if (getnameinfo(addr, size, host, sizeof(host), port, sizeof(port),
		    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
		(void)snprintf(peer, peer_size, "client");
		return;
	}
	(void)snprintf(
		peer, peer_size, addr->sa_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

static int handle_listen_timer(sd_event_source *source, uint64_t usec, void *data) {
	struct server *s = data;
	return sd_event_source_set_enabled(s->listen_source, SD_EVENT_ON);
}

/* Out of descriptors: level-triggered, the listener would keep the loop spinning. */
static int pause_listening(struct server *s, int error) {
	if (server_may_log(s)) {
		log_warn_errno(error, "cannot accept a connection");
	}
	(void)sd_event_source_set_enabled(s->listen_source, SD_EVENT_OFF);
	(void)sd_event_source_set_time_relative(s->listen_timer, ACCEPT_PAUSE_US);
	return sd_event_source_set_enabled(s->listen_timer, SD_EVENT_ONESHOT);
}

static int handle_listen(sd_event_source *source, int fd, uint32_t events, void *data) {
	struct server *s = data;
	for (unsigned i = 0; i < ACCEPT_BATCH; i++) {
		struct sockaddr_storage addr;
		socklen_t size = sizeof(addr);
		char peer[64];
		int conn =
			accept4(fd, (struct sockaddr *)&addr, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (conn < 0) {
			if (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
				errno == ENOBUFS) {
				return pause_listening(s, errno);
			}
			/* EAGAIN, or a connection that broke while it waited. */
			return 0;
		}
		format_peer((struct sockaddr *)&addr, size, peer, sizeof(peer));
		(void)server_add_client(s, conn, peer);
	}
	return 0;
}

static int handle_mail(sd_event_source *source, int fd, uint32_t events, void *data) {
	struct server *s = data;
	struct mail *mail = mailbox_take(s->mailbox);

	for (unsigned i = 0; i < mail->n_units; i++) {
		channel_post(&s->channels[mail->units[i]->scanout_id], mail->units[i]);
		access_unit_unref(mail->units[i]);
	}
	for (uint32_t i = 0; i < s->n_scanouts; i++) {
		if (mail->lost & 1u << i) {
			channel_lost(&s->channels[i]);
		}
		if (mail->states_changed & 1u << i) {
			server_state_changed(s, i);
		}
		if (mail->cursors[i].changed) {
			channel_set_cursor(&s->channels[i], &mail->cursors[i]);
		}
	}
	mail_clear(mail);
	return 0;
}

static void reap(struct server *s) {
	while (!list_empty(&s->dead)) {
		client_destroy(list_first(&s->dead, struct client, link));
	}
}

static int handle_reap(sd_event_source *source, void *data) {
	reap(data);
	return 0;
}

static int open_listener(struct server *s, const struct server_config *config) {
	struct addrinfo hints = {
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
	};
	struct addrinfo *ai;
	char port[8];
	static const int one = 1;
	(void)snprintf(port, sizeof(port), "%u", (unsigned)config->port);
	if (getaddrinfo(config->address, port, &hints, &ai) != 0) {
		return -EINVAL;
	}
	int r = 0;
	s->listen_fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->listen_fd < 0 ||
		setsockopt(s->listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
		bind(s->listen_fd, ai->ai_addr, ai->ai_addrlen) < 0 ||
		listen(s->listen_fd, BACKLOG) < 0) {
		r = -errno;
	}
	freeaddrinfo(ai);
	if (r < 0) {
		return r;
	}
	struct sockaddr_storage addr;
	socklen_t size = sizeof(addr);
	if (getsockname(s->listen_fd, (struct sockaddr *)&addr, &size) < 0) {
		return -errno;
	}
	/* The port is at the same place in both kinds of address. */
	s->port = ntohs(((struct sockaddr_in *)&addr)->sin_port);
	return 0;
}

static int add_sources(struct server *s) {
	int r = sd_event_add_io(
		s->loop, &s->listen_source, s->listen_fd, EPOLLIN, handle_listen, s);
	if (r >= 0) {
		r = sd_event_add_time(s->loop, &s->listen_timer, CLOCK_MONOTONIC, UINT64_MAX, 0,
			handle_listen_timer, s);
	}
	if (r >= 0) {
		r = sd_event_source_set_enabled(s->listen_timer, SD_EVENT_OFF);
	}
	if (r >= 0) {
		r = sd_event_add_io(
			s->loop, &s->mail_source, s->mailbox->event_fd, EPOLLIN, handle_mail, s);
	}
	if (r >= 0) {
		r = sd_event_add_defer(s->loop, &s->reap_source, handle_reap, s);
	}
	if (r >= 0) {
		r = sd_event_source_set_enabled(s->reap_source, SD_EVENT_OFF);
	}
	for (uint32_t i = 0; r >= 0 && i < SCANOUTS_MAX; i++) {
		r = channel_init(&s->channels[i], s, i);
	}
	return r;
}

int server_create(sd_event *loop, const struct server_config *config,
	const struct server_backend *backend, void *data, struct server **ret) {
	if (config->n_scanouts == 0 || config->n_scanouts > SCANOUTS_MAX) {
		return -EINVAL;
	}
	struct server *s = calloc(1, sizeof(*s));
	if (!s) {
		return -ENOMEM;
	}
	struct timespec started;
	(void)clock_gettime(CLOCK_REALTIME, &started);
	s->loop = sd_event_ref(loop);
	s->backend = backend;
	s->data = data;
	s->max_clients = config->max_clients;
	s->n_scanouts = config->n_scanouts;
	s->first_scanout = config->has_console ? 1 : 0;
	s->queue_ns = config->queue_ms * NSEC_PER_MSEC;
	s->access.config = config->access;
	s->silence_ns = SILENCE_NS;
	s->id = (uint64_t)started.tv_sec * NSEC_PER_SEC + (uint64_t)started.tv_nsec;
	s->listen_fd = -1;
	list_init(&s->clients);
	list_init(&s->dead);

	int r = mailbox_create(&s->mailbox);
	if (r >= 0) {
		r = open_listener(s, config);
	}
	if (r >= 0) {
		r = add_sources(s);
	}
	if (r < 0) {
		server_destroy(s);
		return r;
	}
	*ret = s;
	return 0;
}

void server_destroy(struct server *s) {
	if (!s) {
		return;
	}
	while (!list_empty(&s->clients)) {
		client_destroy(list_first(&s->clients, struct client, link));
	}
	reap(s);
	for (unsigned i = 0; i < SCANOUTS_MAX; i++) {
		channel_finish(&s->channels[i]);
	}
	sd_event_source_disable_unref(s->reap_source);
	sd_event_source_disable_unref(s->mail_source);
	sd_event_source_disable_unref(s->listen_timer);
	sd_event_source_disable_unref(s->listen_source);
	(void)close_fd(s->listen_fd);
	mailbox_destroy(s->mailbox);
	sd_event_unref(s->loop);
	free(s);
}

uint16_t server_port(const struct server *s) {
	return s->port;
}

void server_post_access_unit(struct server *s, struct access_unit *au) {
	if (au->scanout_id >= s->n_scanouts) {
		access_unit_unref(au);
		return;
	}
	mailbox_post_unit(s->mailbox, au);
}

void server_post_scanout_state(struct server *s, uint32_t scanout) {
	if (scanout < s->n_scanouts) {
		mailbox_post_state(s->mailbox, scanout);
	}
}

void server_post_cursor(
	struct server *s, uint32_t scanout, struct cursor_image *image, uint32_t x, uint32_t y) {
	if (scanout >= s->n_scanouts) {
		cursor_image_unref(image);
		return;
	}
	mailbox_post_cursor(s->mailbox, scanout, image, x, y);
}

void server_post_cursor_position(struct server *s, uint32_t scanout, uint32_t x, uint32_t y) {
	if (scanout < s->n_scanouts) {
		mailbox_post_cursor_position(s->mailbox, scanout, x, y);
	}
}
