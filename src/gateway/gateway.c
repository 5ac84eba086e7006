/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "gateway.h"
#include "auth.h"
#include "conn.h"
#include "desktop.h"
#include "log.h"
#include "proxy.h"
#include "revdial-server.h"

LOG_MODULE("gateway");

/* Lines a second about what peers do. */
#define PEER_LOG_LINES 10

bool gateway_may_log(struct gateway *g) {
	return log_rate_allows(&g->log_rate, PEER_LOG_LINES, log_module);
}

void gateway_init(struct gateway *g) {
	g->listen_fd = g->web_root = -1;
	list_init(&g->peers);
	list_init(&g->conns);
	list_init(&g->proxies);
	list_init(&g->desktops);
	list_init(&g->controls);
}

void gateway_finish(struct gateway *g) {
	listener_close(g);
	proxies_finish(g);
	revdial_finish(g);
	desktops_finish(g);
	while (!list_empty(&g->conns)) {
		conn_destroy(list_first(&g->conns, struct conn, link));
	}
	tls_config_destroy(g->tls);
	auth_destroy(g->auth);
	(void)close_fd(g->web_root);
	sd_event_unref(g->loop);
}
