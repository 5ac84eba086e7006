/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The messages of leases and tokens (docs/protocol/hxfr.md, section 4.6). */
#include <errno.h>

#include "client.h"
#include "log.h"
#include "proto/hxfr.h"
#include "server-private.h"

LOG_MODULE("server");

void client_handle_authenticate(struct client *c, const struct hxfr_header *h, const uint8_t *p) {
	uint8_t buf[HXFR_HEADER_SIZE + HXFR_AUTHENTICATE_RESP_SIZE], key[HXFR_TOKEN_SIZE];
	(void)hxfr_decode_authenticate(p, HXFR_AUTHENTICATE_SIZE, key);
	c->credentials.manager = access_check_key(&c->server->access, key);
	if (!c->credentials.manager && server_may_log(c->server)) {
		log_warn("%s: shows a key that is not the manager's", c->peer);
	}
	ssize_t n = hxfr_encode_authenticate_resp(
		buf, sizeof(buf), h->session_id, c->credentials.manager);
	client_reply(c, buf, (size_t)n);
}

void client_access_changed(struct server *s, uint32_t scanout) {
	struct client *client, *tmp;
	list_for_each_safe(client, tmp, &s->clients, link) {
		if (client->channel == &s->channels[scanout] &&
			!access_may_watch(&s->access, &client->credentials, scanout)) {
			client_fail(client, -EACCES, "somebody else has leased what it watches");
		}
	}
}

void client_handle_enable_lease(struct client *c, const struct hxfr_header *h, const uint8_t *p) {
	static const uint8_t none[HXFR_TOKEN_SIZE];
	struct server *s = c->server;
	uint8_t buf[HXFR_HEADER_SIZE + HXFR_LEASE_RESP_SIZE];
	struct hxfr_enable_lease m;
	(void)hxfr_decode_enable_lease(p, HXFR_ENABLE_LEASE_SIZE, &m);
	uint32_t id = m.scanout.scanout_id;
	int r = client_enable(c, &m.scanout);
	if (r >= 0) {
		r = access_begin(&s->access, id, m.token);
		client_access_changed(s, id);
	}
	ssize_t n = hxfr_encode_lease_resp(buf, sizeof(buf), h->session_id, id, r >= 0,
		r >= 0 ? s->access.scanouts[id].token : none);
	client_reply(c, buf, (size_t)n);
}

void client_handle_show_token(struct client *c, const struct hxfr_header *h, const uint8_t *p) {
	(void)h;
	(void)hxfr_decode_show_token(p, HXFR_SHOW_TOKEN_SIZE, &c->credentials.token);
	c->credentials.has_token = true;
}
