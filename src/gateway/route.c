/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who may ask for what. */
#include <stdio.h>
#include <string.h>

#include "conn.h"
#include "desktop.h"
#include "login.h"
#include "metrics.h"
#include "proto/revdial.h"
#include "proxy.h"
#include "revdial-server.h"
#include "static-files.h"
#include "thumbnail.h"

#define TARGET_MAX 2048u
#define BODY_MAX   (512ull * 1024 * 1024)
#define SESSIONS   "/api/v1/external-agents/"
#define DESKTOPS   "/api/v1/desktops"
#define BEARER     "Bearer "
#define ORIGIN_MAX 320
#define READING    "GET, HEAD"

static bool method_is(const struct conn *c, const char *method) {
	return http_text_is(c->head.method, method);
}

static bool is_reading(const struct conn *c) {
	return method_is(c, "GET") || method_is(c, "HEAD");
}

static bool is_websocket(const struct conn *c) {
	return http_has_token(&c->head, "Upgrade", "websocket");
}

/* RFC 6455 section 4.4: of what speaks another version, nothing can be passed on. */
static bool is_websocket_13(const struct conn *c) {
	struct http_text version;
	return is_websocket(c) && http_has_token(&c->head, "Connection", "upgrade") &&
		http_get(&c->head, "Sec-WebSocket-Version", &version) == 0 &&
		http_text_is(version, "13");
}

/* Cuts `prefix` off. */
static bool cut_prefix(struct http_text *text, const char *prefix) {
	size_t n = strlen(prefix);
	if (text->n < n || memcmp(text->p, prefix, n) != 0) {
		return false;
	}
	text->p += n;
	text->n -= n;
	return true;
}

/* A bad token is not made good by a cookie. */
static void identify(struct conn *c) {
	struct gateway *g = c->gateway;
	struct identity *who = auth_everybody(g->auth);
	struct http_text text;
	char cookie[AUTH_COOKIE_SIZE];
	if (!who && http_get(&c->head, "Authorization", &text) == 0) {
		struct http_text scheme = {text.p, MIN(text.n, strlen(BEARER))};
		if (http_text_is_caseless(scheme, BEARER)) {
			who = auth_check_token(g->auth, text.p + scheme.n, text.n - scheme.n);
		}
	} else if (!who && http_cookie(&c->head, AUTH_COOKIE, cookie, sizeof(cookie)) == 0) {
		who = auth_check_cookie(g->auth, cookie);
		c->by_cookie = true;
	}
	c->who = who ? identity_ref(who) : NULL;
}

/*
 * Browsers say where a page comes from that opens a WebSocket or changes something. It must come
 * from here, or from where the options say. Programs say nothing, and have no cookie.
 */
static bool origin_is_good(const struct conn *c) {
	const struct gateway *g = c->gateway;
	struct http_text origin, host;
	char own[ORIGIN_MAX], name[256];
	if (http_get(&c->head, "Origin", &origin) < 0) {
		return true;
	}
	for (unsigned i = 0; i < g->options.n_origins; i++) {
		if (http_text_is_caseless(origin, g->options.origins[i])) {
			return true;
		}
	}
	if (http_get(&c->head, "Host", &host) < 0 || http_text_copy(host, name, sizeof(name)) < 0) {
		return false;
	}
	(void)snprintf(own, sizeof(own), "%s://%s", g->tls ? "https" : "http", name);
	return http_text_is_caseless(origin, own);
}

/*
 * Where everybody is let in, a page from elsewhere could come under a name of its own that leads
 * here. So only names of this machine are answered to.
 */
static bool host_is_good(const struct conn *c) {
	static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
	struct http_text host;
	if (!auth_everybody(c->gateway->auth)) {
		return true;
	}
	if (http_get(&c->head, "Host", &host) < 0) {
		return c->head.minor == 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct http_text rest = host;
		if (cut_prefix(&rest, names[i]) && (rest.n == 0 || rest.p[0] == ':')) {
			return true;
		}
	}
	return false;
}

/* What a viewer without control may ask a bridge for. */
static bool viewer_may_ask(const struct conn *c, struct http_text rest) {
	static const char *const paths[] = {
		"/ws/stream", "/health", "/screenshot", "/clients", "/video/stats"};
	struct http_text path, query;
	http_split_target(rest, &path, &query);
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		if (http_text_is(path, paths[i])) {
			return is_reading(c);
		}
	}
	return false;
}

/*
 * The desktop named by the first segment of `*text`, which is cut off. NULL: answered. Whoever may
 * not see a desktop does not learn whether there is one.
 */
static struct desktop *find_desktop(struct conn *c, struct http_text *text) {
	char name[DESKTOP_NAME_SIZE];
	const char *slash = text->n > 0 ? memchr(text->p, '/', text->n) : NULL;
	struct http_text segment = {text->p, slash ? (size_t)(slash - text->p) : text->n};
	if (http_text_copy(segment, name, sizeof(name)) < 0 || !desktop_name_is_valid(name)) {
		conn_answer_text(c, 404, "There is no such desktop.\n");
		return NULL;
	}
	if (!identity_may_see(c->who, name)) {
		conn_answer_text(c, 403, "Forbidden.\n");
		return NULL;
	}
	struct desktop *d = desktop_find(c->gateway, name);
	if (!d) {
		conn_answer_text(c, 404, "There is no such desktop.\n");
		return NULL;
	}
	text->p += segment.n;
	text->n -= segment.n;
	return d;
}

/* `rest`: what follows SESSIONS, with the query. */
static void route_session(struct conn *c, struct http_text rest) {
	uint64_t length;
	struct http_text path, query;
	struct desktop *d = find_desktop(c, &rest);
	if (!d) {
		return;
	}
	http_split_target(rest, &path, &query);
	bool stream = http_text_is(path, "/ws/stream"), input = http_text_is(path, "/ws/input");
	if (c->who->role != ROLE_CONTROL && !viewer_may_ask(c, rest)) {
		conn_answer_text(c, 403, "Forbidden.\n");
	} else if (path.n == 0) {
		conn_answer_text(c, 404, "There is nothing here.\n");
	} else if ((stream || input) && (!is_websocket_13(c) || !method_is(c, "GET"))) {
		conn_answer(c, 426, "text/plain",
			"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n",
			"This is a WebSocket.\n", 21);
	} else if (is_websocket(c) && !stream && !input) {
		conn_answer_text(c, 400, "This is no WebSocket.\n");
	} else if (stream || input) {
		/* Its query is for us; who it is says the first message. */
		proxy_start(c, d, c->who, stream ? PROXY_STREAM : PROXY_INPUT, path);
	} else if (http_content_length(&c->head, &length) == 0 && length > BODY_MAX) {
		conn_answer_text(c, 413, "That is too large.\n");
	} else {
		proxy_start(c, d, c->who, PROXY_HTTP, rest);
	}
}

/* Frees `text`; NULL: there was no memory for it. */
static void answer_owned(struct conn *c, const char *type, char *text) {
	if (!text) {
		conn_answer_text(c, 503, "Out of memory.\n");
		return;
	}
	conn_answer(c, 200, type, "Cache-Control: no-store\r\n", text, strlen(text));
	free(text);
}

/* `rest`: what follows DESKTOPS. */
static void route_desktops(struct conn *c, struct http_text rest) {
	struct desktop *d;
	if (!is_reading(c)) {
		conn_answer_method(c, READING, "It can only be read.\n");
		return;
	}
	if (rest.n == 0) {
		list_for_each(d, &c->gateway->desktops, link) {
			if (identity_may_see(c->who, d->name)) {
				thumbnail_probe(d);
			}
		}
		answer_owned(c, "application/json", desktops_to_json(c->gateway, c->who));
		return;
	}
	rest.p++; /* the slash */
	rest.n--;
	d = find_desktop(c, &rest);
	if (d && http_text_is(rest, "/thumbnail")) {
		thumbnail_answer(c, d);
	} else if (d) {
		conn_answer_text(c, 404, "There is nothing here.\n");
	}
}

static void answer_unknown(struct conn *c) {
	struct http_text accept;
	bool page = is_reading(c) && http_get(&c->head, "Accept", &accept) == 0 && accept.n >= 9 &&
		memmem(accept.p, accept.n, "text/html", 9) != NULL;
	if (page) {
		conn_answer(
			c, 303, NULL, "Location: /login\r\nCache-Control: no-store\r\n", NULL, 0);
	} else {
		conn_answer_text(c, 401, "A token is needed.\n");
	}
}

/* What needs no token. True: answered, or `*ret` says that more is needed. */
static bool route_open(struct conn *c, struct http_text path, enum routed *ret) {
	bool api = cut_prefix(&path, "/api/v1/log");
	if (!api && http_text_is(path, "/health")) {
		conn_answer_text(c, 200, "OK\n");
		return true;
	}
	if (!api && !cut_prefix(&path, "/log")) {
		return false;
	}
	bool in = http_text_is(path, "in"), out = http_text_is(path, "out"), page = in && !api;
	if (page && is_reading(c)) {
		login_answer_page(c, 200);
	} else if ((in || out) && !method_is(c, "POST")) {
		conn_answer_method(c, page ? READING ", POST" : "POST", "POST, please.\n");
	} else if (in) {
		*ret = login_answer(c, api);
	} else if (out) {
		logout_answer(c, api);
	} else {
		return false;
	}
	return true;
}

static void route_known(struct conn *c, struct http_text path, struct http_text target) {
	struct http_text rest = path;
	if (cut_prefix(&target, SESSIONS)) {
		route_session(c, target);
	} else if (cut_prefix(&rest, DESKTOPS) && (rest.n == 0 || rest.p[0] == '/')) {
		route_desktops(c, rest);
	} else if (http_text_is(path, "/metrics")) {
		answer_owned(c, "text/plain; version=0.0.4", metrics_format(c->gateway));
	} else if (cut_prefix(&path, "/api/")) {
		conn_answer_text(c, 404, "There is nothing here.\n");
	} else if (!is_reading(c)) {
		conn_answer_method(c, READING, "It can only be read.\n");
	} else {
		static_files_answer(c, path);
	}
}

/* What must be right with any request before it is looked at. */
static const char *find_fault(const struct conn *c, unsigned *ret_status) {
	const struct http_head *h = &c->head;
	*ret_status = 400;
	if (h->target.n > TARGET_MAX) {
		*ret_status = 414;
		return "The address is too long.\n";
	}
	if (h->target.p[0] != '/') {
		return "That is no path.\n";
	}
	if (http_count(h, "Host") > 1 || (http_count(h, "Host") == 0 && h->minor == 1)) {
		return "There must be one Host.\n";
	}
	uint64_t length;
	if (http_content_length(h, &length) == -EBADMSG) {
		return "Bad Content-Length.\n";
	}
	if (http_count(h, "Transfer-Encoding") > 0) {
		*ret_status = 411;
		return "Bodies need a Content-Length.\n";
	}
	bool changes = !is_reading(c) || is_websocket(c);
	*ret_status = 403;
	if (!host_is_good(c)) {
		return "This machine is not called that.\n";
	}
	return changes && !origin_is_good(c) ? "Not from there.\n" : NULL;
}

enum routed route(struct conn *c) {
	enum routed result = ROUTED;
	struct http_text path, query;
	unsigned status;
	const char *fault = find_fault(c, &status);
	if (fault) {
		c->keep_alive = false;
		conn_answer_text(c, status, fault);
		return ROUTED;
	}
	http_split_target(c->head.target, &path, &query);
	if (route_open(c, path, &result)) {
		return result;
	}
	identify(c);
	if (http_text_is(path, REVDIAL_PATH)) {
		revdial_answer(c, c->who, query);
	} else if (!c->who) {
		answer_unknown(c);
	} else if (c->who->role == ROLE_RUNNER) {
		conn_answer_text(c, 403, "Forbidden.\n");
	} else {
		route_known(c, path, c->head.target);
	}
	return result;
}
