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
	uint64_t now = now_ns();
	if (now - g->log_window_ns > NSEC_PER_SEC) {
		if (g->log_suppressed > 0) {
			log_info("%u more such lines were left out", g->log_suppressed);
		}
		g->log_window_ns = now;
		g->log_lines = g->log_suppressed = 0;
	}
	if (g->log_lines == PEER_LOG_LINES) {
		g->log_suppressed++;
		return false;
	}
	g->log_lines++;
	return true;
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
