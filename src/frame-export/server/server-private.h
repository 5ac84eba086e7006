/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the server share. Everything here runs on its thread. */
#ifndef HELIX_FRAME_EXPORT_SERVER_PRIVATE_H
#define HELIX_FRAME_EXPORT_SERVER_PRIVATE_H

#include "channel.h"
#include "list.h"
#include "log-rate.h"
#include "mailbox.h"
#include "server.h"

#define DISCARD_SIZE (64u * 1024)

struct server {
	sd_event *loop;
	const struct server_backend *backend;
	void *data;
	unsigned max_clients;
	unsigned n_scanouts, first_scanout; /* the first that may be switched */
	uint64_t queue_ns;
	uint64_t silence_ns; /* unsubscribed connections without a message are closed after this */
	uint64_t id;         /* HELLO_RESP's server_id */

	int listen_fd;
	uint16_t port;
	sd_event_source *listen_source;
	sd_event_source *listen_timer; /* pauses accept(2) while the process is out of fds */
	sd_event_source *mail_source;
	sd_event_source *reap_source; /* frees clients, once nothing on the stack uses them */

	struct list clients; // client.link
	struct list dead;    // client.link
	unsigned n_clients;  /* in `clients` */
	struct channel channels[SCANOUTS_MAX];
	struct access access;
	struct mailbox *mailbox;

	struct log_rate log_rate; /* see server_may_log */

	uint8_t discard[DISCARD_SIZE]; /* where payloads go that nobody wants */
};

/* Serves a connected stream socket; consumes `fd`, also on failure. */
int server_add_client(struct server *server, int fd, const char *peer);
/* Whether a line about what some peer did may be logged: a few a second. */
bool server_may_log(struct server *server);
/* Clients that asked for it are told the state of a scanout. */
void server_state_changed(struct server *server, uint32_t scanout);

#endif
