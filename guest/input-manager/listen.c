/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <sys/socket.h>

#include "input-manager.h"
#include "log.h"

LOG_MODULE("listen");

static unsigned count_conns(const struct peer *peer, void *data) {
	const struct manager *m = data;
	const struct conn *c;
	unsigned n = 0;
	if (!peer) {
		return m->n_conns;
	}
	list_for_each(c, &m->conns, link) {
		n += peer_same(&c->peer, peer);
	}
	return n;
}

static int handle_connected(int fd, const struct peer *peer, void *data) {
	return conn_create(data, fd, peer);
}

int listen_start(struct manager *m) {
	const char *path = m->config.socket;
	m->reception = (struct reception){
		.max_connections = m->config.max_connections,
		.max_peer_connections = m->config.max_peer_connections,
		.count = count_conns,
		.connected = handle_connected,
		.data = m,
	};
	int r = listener_claim(&m->listener, path);
	if (r >= 0) {
		r = listener_bind(&m->listener, SOCK_SEQPACKET, 0666);
	}
	if (r >= 0) {
		r = listener_start(&m->listener, m->loop, &m->reception);
	}
	if (r < 0) {
		log_err_errno(r, "cannot listen on %s", path);
		return r;
	}
	log_info("listening on %s", path);
	return 0;
}

void listen_finish(struct manager *m) {
	while (!list_empty(&m->conns)) {
		conn_destroy(list_first(&m->conns, struct conn, link));
	}
	listener_finish(&m->listener, false);
}
