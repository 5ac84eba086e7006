/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <sys/socket.h>

#include "log.h"
#include "manager.h"

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
	struct conn *c;
	return conn_create(data, fd, peer, &c);
}

/* The socket that the process before us had, if it is still the one at that path. */
static int take_old(struct manager *m, struct listener *l, const char *name) {
	int fd = store_take(&m->store, name);
	int r = fd < 0 ? -ENOENT : listener_adopt(l, fd);
	if (fd >= 0 && r < 0) {
		store_remove(&m->store, name);
	}
	return r;
}

static int start_listener(struct manager *m, unsigned index) {
	struct listener *l = &m->listeners[index];
	const char *path = m->config.sockets[index];
	char name[STORE_NAME_SIZE];
	(void)snprintf(name, sizeof(name), "listener-%u", index);
	int r = listener_claim(l, path);
	if (r >= 0 && take_old(m, l, name) < 0) {
		r = listener_bind(l, SOCK_STREAM, 0777);
		if (r >= 0) {
			store_put(&m->store, name, l->fd);
		}
	}
	if (r >= 0) {
		r = listener_start(l, m->loop, &m->reception);
	}
	if (r < 0) {
		log_err_errno(r, "cannot listen on %s", path);
		return r;
	}
	log_info("listening on %s", path);
	return 0;
}

int listen_start(struct manager *m) {
	int r = 0;
	m->reception = (struct reception){
		.max_connections = m->config.max_connections,
		.max_peer_connections = m->config.max_peer_connections,
		.count = count_conns,
		.connected = handle_connected,
		.data = m,
	};
	for (unsigned i = 0; r >= 0 && i < m->config.n_sockets; i++) {
		r = start_listener(m, i);
	}
	return r;
}

void listen_finish(struct manager *m) {
	while (!list_empty(&m->conns)) {
		conn_destroy(list_first(&m->conns, struct conn, link));
	}
	for (unsigned i = 0; i < LISTENERS_MAX; i++) {
		/* With a store somebody will listen on it again. */
		listener_finish(&m->listeners[i], m->store.kept);
	}
}
