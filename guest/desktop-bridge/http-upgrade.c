/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <microhttpd.h>
#include <nettle/base64.h>
#include <nettle/sha1.h>
#include <string.h>
#include <strings.h>

#include "http-private.h"
#include "http-upgrade.h"
#include "util.h"

#define WS_GUID     "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" /* RFC 6455, 1.3 */
#define WS_KEY_SIZE 24u                                    /* 16 bytes in base64 */

int http_accept_key(const char *key, char ret[HTTP_ACCEPT_SIZE]) {
	struct base64_decode_ctx decode;
	struct sha1_ctx sha1;
	uint8_t nonce[BASE64_DECODE_LENGTH(WS_KEY_SIZE)], digest[SHA1_DIGEST_SIZE];
	size_t n = sizeof(nonce);
	base64_decode_init(&decode);
	if (strnlen(key, WS_KEY_SIZE + 1) != WS_KEY_SIZE ||
		!base64_decode_update(&decode, &n, nonce, WS_KEY_SIZE, key) ||
		!base64_decode_final(&decode) || n != 16) {
		return -EBADMSG;
	}
	sha1_init(&sha1);
	sha1_update(&sha1, WS_KEY_SIZE, (const uint8_t *)key);
	sha1_update(&sha1, strlen(WS_GUID), (const uint8_t *)WS_GUID);
	sha1_digest(&sha1, sizeof(digest), digest);
	base64_encode_raw(ret, sizeof(digest), digest);
	ret[HTTP_ACCEPT_SIZE - 1] = '\0';
	return 0;
}

bool http_list_has(const char *list, const char *token) {
	size_t n = strlen(token);
	while (list && *list) {
		list += strspn(list, " \t,");
		size_t word = strcspn(list, " \t,");
		if (word == n && strncasecmp(list, token, n) == 0) {
			return true;
		}
		list += word;
	}
	return false;
}

bool http_origin_allowed(
	const char *origin, const char *host, const char *const *origins, unsigned n_origins) {
	if (!origin) {
		return true;
	}
	const char *rest = strstr(origin, "://");
	if (rest && host && host[0] && strcasecmp(rest + 3, host) == 0) {
		return true;
	}
	for (unsigned i = 0; i < n_origins; i++) {
		if (strcmp(origins[i], "*") == 0 || strcasecmp(origins[i], origin) == 0) {
			return true;
		}
	}
	return false;
}

/* How a WebSocket gives its connection back to libmicrohttpd, which owns it. */
struct upgraded {
	struct http_server *server;
	struct MHD_UpgradeResponseHandle *handle;
};

static void release(void *data) {
	struct upgraded *u = data;
	(void)MHD_upgrade_action(u->handle, MHD_UPGRADE_ACTION_CLOSE);
	http_server_kick(u->server);
	free(u);
}

static void handle_upgrade(void *cls, struct MHD_Connection *connection, void *context,
	const char *early, size_t early_size, MHD_socket fd,
	struct MHD_UpgradeResponseHandle *handle) {
	struct http_request *rq = cls;
	struct http_server *s = rq->server;
	struct upgraded *u = malloc(sizeof(*u));
	rq->upgraded = true;
	http_conn_upgraded(s, connection);
	if (!u) {
		(void)MHD_upgrade_action(handle, MHD_UPGRADE_ACTION_CLOSE);
		return;
	}
	*u = (struct upgraded){.server = s, .handle = handle};
	struct ws_socket socket = {.fd = fd, .release = release, .data = u};
	/* Whether it works or not, the socket is theirs. */
	(void)rq->route->upgraded(&socket, (const uint8_t *)early, early_size, s->config->data);
}

static bool is_websocket(const struct http_request *rq) {
	return rq->get && http_list_has(http_header(rq, MHD_HTTP_HEADER_UPGRADE), "websocket") &&
		http_list_has(http_header(rq, MHD_HTTP_HEADER_CONNECTION), "upgrade");
}

void http_upgrade(struct http_request *rq) {
	const struct http_config *config = rq->server->config;
	const char *version = http_header(rq, "Sec-WebSocket-Version");
	const char *key = http_header(rq, "Sec-WebSocket-Key");
	char accept[HTTP_ACCEPT_SIZE];
	if (!is_websocket(rq)) {
		http_set_header(rq, "Upgrade", "websocket");
		http_reply_text(rq, MHD_HTTP_UPGRADE_REQUIRED, "this is for WebSocket\n");
	} else if (!version || strcmp(version, "13") != 0) {
		http_set_header(rq, "Sec-WebSocket-Version", "13");
		http_reply_text(rq, MHD_HTTP_UPGRADE_REQUIRED, "WebSocket version 13 only\n");
	} else if (!key || http_accept_key(key, accept) < 0) {
		http_reply_text(rq, MHD_HTTP_BAD_REQUEST, "bad Sec-WebSocket-Key\n");
	} else if (!http_origin_allowed(http_header(rq, "Origin"), http_header(rq, "Host"),
			   config->origins, config->n_origins)) {
		http_reply_text(rq, MHD_HTTP_FORBIDDEN, "pages of other sites may not do this\n");
	} else if (rq->route->has_room && !rq->route->has_room(config->data)) {
		http_set_header(rq, "Retry-After", "5");
		http_reply_text(rq, MHD_HTTP_SERVICE_UNAVAILABLE, "too many viewers\n");
	} else {
		http_set_header(rq, "Upgrade", "websocket");
		http_set_header(rq, "Sec-WebSocket-Accept", accept);
		http_respond(rq, MHD_HTTP_SWITCHING_PROTOCOLS,
			MHD_create_response_for_upgrade(handle_upgrade, rq));
	}
}
