/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "config.h"
#include "gateway-options.h"
#include "parse.h"
#include "proto/revdial.h"
#include "util.h"

bool desktop_name_is_valid(const char *name) {
	char runner[REVDIAL_RUNNER_MAX + 1];
	return strnlen(name, DESKTOP_NAME_SIZE) < DESKTOP_NAME_SIZE &&
		snprintf(runner, sizeof(runner), REVDIAL_RUNNER_PREFIX "%s", name) > 0 &&
		revdial_runner_is_valid(runner);
}

static int set_listen(const char *value, void *data) {
	struct gateway_options *o = data;
	char host[sizeof(o->listen_host)] = "";
	/* Any free one, which is logged. */
	if (strcmp(value, "0") == 0) {
		o->listen_port = 0;
		return 0;
	}
	int r = parse_host_port(value, host, sizeof(host), &o->listen_port);
	if (r >= 0 && host[0] != '\0') {
		(void)snprintf(o->listen_host, sizeof(o->listen_host), "%s", host);
	}
	return r;
}

static int set_desktop(const char *value, void *data) {
	struct gateway_options *o = data;
	struct direct_desktop *d = &o->desktops[o->n_desktops];
	const char *equals = strchr(value, '=');
	size_t n = equals ? (size_t)(equals - value) : 0;
	if (n == 0 || n >= sizeof(d->name)) {
		return -EINVAL;
	}
	if (o->n_desktops == DESKTOPS_MAX) {
		return -ERANGE;
	}
	(void)snprintf(d->name, sizeof(d->name), "%.*s", (int)n, value);
	if (!desktop_name_is_valid(d->name)) {
		return -EINVAL;
	}
	for (unsigned i = 0; i < o->n_desktops; i++) {
		if (strcmp(o->desktops[i].name, d->name) == 0) {
			return -EINVAL;
		}
	}
	int r = parse_host_port(equals + 1, d->host, sizeof(d->host), &d->port);
	if (r < 0 || d->host[0] == '\0' || d->port == 0) {
		return -EINVAL;
	}
	o->n_desktops++;
	return 0;
}

static int set_web_root(const char *value, void *data) {
	((struct gateway_options *)data)->web_root = value;
	return 0;
}

static int set_tokens(const char *value, void *data) {
	((struct gateway_options *)data)->tokens = value;
	return 0;
}

static int set_no_auth(const char *value, void *data) {
	((struct gateway_options *)data)->no_auth = true;
	return 0;
}

static int set_cookie_key(const char *value, void *data) {
	((struct gateway_options *)data)->cookie_key = value;
	return 0;
}

static int set_tls_cert(const char *value, void *data) {
	((struct gateway_options *)data)->tls_cert = value;
	return 0;
}

static int set_tls_key(const char *value, void *data) {
	((struct gateway_options *)data)->tls_key = value;
	return 0;
}

static int set_self_signed(const char *value, void *data) {
	((struct gateway_options *)data)->self_signed = true;
	return 0;
}

/* As browsers write it: scheme://host[:port], without a path. */
static int set_allow_origin(const char *value, void *data) {
	struct gateway_options *o = data;
	const char *host = strstr(value, "://");
	if (!host || host == value || host[3] == '\0' || strchr(host + 3, '/')) {
		return -EINVAL;
	}
	if (o->n_origins == ORIGINS_MAX) {
		return -ERANGE;
	}
	o->origins[o->n_origins++] = value;
	return 0;
}

static int set_max_connections(const char *value, void *data) {
	return parse_u32(value, 1, 65536, &((struct gateway_options *)data)->max_connections);
}

static int set_max_per_address(const char *value, void *data) {
	return parse_u32(value, 1, 65536, &((struct gateway_options *)data)->max_per_address);
}

static int set_thumbnail_ms(const char *value, void *data) {
	return parse_u64(value, 100, 3600000, &((struct gateway_options *)data)->thumbnail_ms);
}

static int set_new_token(const char *value, void *data) {
	((struct gateway_options *)data)->new_token = true;
	return 0;
}

static const struct option_spec options[] = {
	{"listen", 'l', "[HOST:]PORT", "serve here (default 127.0.0.1:8080)", set_listen},
	{"desktop", 'd', "NAME=HOST:PORT",
		"a desktop whose bridge can be reached directly (repeat)", set_desktop},
	{"web-root", 'w', "DIR", "the viewer's files (default " HELIX_WEB_ROOT ")", set_web_root},
	{"tokens", 't', "FILE", "who may do what; read again on SIGHUP", set_tokens},
	{"no-auth", 0, NULL, "let everybody do everything; only on a loopback address",
		set_no_auth},
	{"cookie-key", 0, "FILE", "keeps logins over a restart; made if it does not exist",
		set_cookie_key},
	{"tls-cert", 0, "FILE", "certificate chain, PEM; read again on SIGHUP", set_tls_cert},
	{"tls-key", 0, "FILE", "its key, PEM", set_tls_key},
	{"self-signed", 0, NULL, "TLS with a certificate made at the start, for tests",
		set_self_signed},
	{"allow-origin", 0, "ORIGIN", "let pages from there connect too (repeat)",
		set_allow_origin},
	{"max-connections", 0, "N", "most connections at once (default 1024)", set_max_connections},
	{"max-per-address", 0, "N", "most of one address (default 256)", set_max_per_address},
	{"thumbnail-ms", 0, "MS", "least age of a thumbnail that is replaced (default 2000)",
		set_thumbnail_ms},
	{"new-token", 0, NULL, "print a new token and its hash, and exit", set_new_token},
	{"log-level", 0, "LEVEL", "error, warn, info or debug (default info)",
		options_set_log_level},
	{0},
};

static bool is_loopback(const char *host) {
	return strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 ||
		strncmp(host, "127.", 4) == 0;
}

static const char *find_conflict(const struct gateway_options *o) {
	if (!o->tls_cert != !o->tls_key) {
		return "--tls-cert and --tls-key belong together";
	}
	if (o->tls_cert && o->self_signed) {
		return "--tls-cert and --self-signed exclude each other";
	}
	if (o->no_auth && o->tokens) {
		return "--no-auth and --tokens exclude each other";
	}
	if (o->no_auth && !is_loopback(o->listen_host)) {
		return "--no-auth needs --listen with a loopback address";
	}
	if (!o->no_auth && !o->tokens) {
		return "--tokens is needed (or, on a loopback address, --no-auth)";
	}
	return NULL;
}

enum options_result gateway_options_parse(int argc, char *argv[], struct gateway_options *ret) {
	static const struct program_spec program = {
		.name = "helix-gateway",
		.summary = "The web front door of many desktops: viewer, WebSockets, RevDial.",
		.options = options,
	};
	*ret = (struct gateway_options){
		.listen_host = "127.0.0.1",
		.listen_port = 8080,
		.web_root = HELIX_WEB_ROOT,
		.max_connections = 1024,
		.max_per_address = 256,
		.thumbnail_ms = 2000,
	};
	int index;
	enum options_result result = options_parse(&program, argc, argv, ret, &index);
	if (result != OPTIONS_RUN || ret->new_token) {
		return result;
	}
	const char *error = find_conflict(ret);
	if (error) {
		fprintf(stderr, "%s: %s\n", program.name, error);
		return OPTIONS_ERROR;
	}
	return OPTIONS_RUN;
}
