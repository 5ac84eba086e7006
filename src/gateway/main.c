/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helix-gateway: see gateway.h for its parts. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>

#include "auth.h"
#include "desktop.h"
#include "gateway.h"
#include "log.h"
#include "loop.h"
#include "proxy.h"
#include "revdial-server.h"

LOG_MODULE("gateway");

#define TOKEN_BYTES 32
/* Descriptors besides those of connections; each of these may have one to a bridge. */
#define OTHER_FDS 64

static int print_new_token(void) {
	uint8_t bytes[TOKEN_BYTES], hash[SHA256_SIZE];
	char token[HEX_SIZE(TOKEN_BYTES)], text[HEX_SIZE(SHA256_SIZE)];
	int r = random_bytes(bytes, sizeof(bytes));
	if (r < 0) {
		return r;
	}
	hex_encode(bytes, sizeof(bytes), token);
	sha256(token, strlen(token), hash);
	hex_encode(hash, sizeof(hash), text);
	printf("token:   %s\nin file: sha256:%s\n", token, text);
	return fflush(stdout) == 0 ? 0 : -EIO;
}

static int load_tls(struct gateway *g) {
	const struct gateway_options *o = &g->options;
	char fingerprint[TLS_FINGERPRINT_SIZE];
	struct tls_config *tls = NULL;
	const char *why;
	int r = 0;
	if (o->tls_cert) {
		r = tls_config_create_server(o->tls_cert, o->tls_key, &tls, &why);
		if (r < 0) {
			log_err("%s, %s: %s", o->tls_cert, o->tls_key, why);
		}
	} else if (o->self_signed) {
		r = tls_config_create_self_signed(&tls, fingerprint);
		if (r >= 0) {
			log_info("self-signed certificate, SHA-256 %s", fingerprint);
		}
	}
	if (r >= 0) {
		tls_config_destroy(g->tls);
		g->tls = tls;
	}
	return r;
}

static int handle_reload(sd_event_source *source, const struct signalfd_siginfo *info, void *data) {
	struct gateway *g = data;
	(void)sd_notify(0, "RELOADING=1");
	if (g->options.tls_cert) {
		(void)load_tls(g); /* complains; the old one stays */
	}
	if (auth_reload(g->auth) >= 0) {
		log_info("the tokens were read again");
		proxies_check_identities(g);
		revdial_check_identities(g);
	}
	(void)sd_notify(0, "READY=1");
	return 0;
}

/* As many descriptors as we may have, and no more connections than that allows. */
static void fit_limits(struct gateway *g) {
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0) {
		return;
	}
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
	rlim_t most = limit.rlim_cur > 2 * OTHER_FDS ? (limit.rlim_cur - OTHER_FDS) / 2 : OTHER_FDS;
	if (g->options.max_connections > most) {
		log_warn("--max-connections: only %llu, for want of file descriptors",
			(unsigned long long)most);
		g->options.max_connections = (unsigned)most;
	}
}

static void open_web_root(struct gateway *g) {
	g->web_root = open(g->options.web_root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (g->web_root < 0) {
		log_warn_errno(-errno, "there is no viewer: %s", g->options.web_root);
	}
}

static int start(struct gateway *g) {
	const struct gateway_options *o = &g->options;
	int r = loop_create(NULL, NULL, &g->loop);
	if (r >= 0) {
		r = loop_handle_signal(g->loop, SIGHUP, handle_reload, g);
	}
	if (r >= 0) {
		r = o->no_auth ? auth_create_open(&g->auth)
			       : auth_create(o->tokens, o->cookie_key, &g->auth);
	}
	if (r >= 0) {
		r = load_tls(g);
	}
	if (r >= 0) {
		r = desktops_init(g);
	}
	if (r >= 0) {
		r = listener_open(g);
	}
	return r;
}

static int run(struct gateway *g) {
	fit_limits(g);
	open_web_root(g);
	int r = start(g);
	if (r < 0) {
		log_err_errno(r, "cannot start");
		return r;
	}
	bool v6 = strchr(g->options.listen_host, ':') != NULL;
	log_info("serving %s://%s%s%s:%u/", g->tls ? "https" : "http", v6 ? "[" : "",
		g->options.listen_host, v6 ? "]" : "", (unsigned)g->port);
	if (g->options.no_auth) {
		log_warn("everybody on this machine may do everything: --no-auth");
	}
	(void)sd_notify(0, "READY=1");
	r = sd_event_loop(g->loop);
	(void)sd_notify(0, "STOPPING=1");
	return r;
}

int main(int argc, char *argv[]) {
	static struct gateway g;
	switch (gateway_options_parse(argc, argv, &g.options)) {
	case OPTIONS_ERROR:
		return 2;
	case OPTIONS_EXIT:
		return 0;
	case OPTIONS_RUN:
		break;
	}
	if (g.options.new_token) {
		return print_new_token() < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	}
	gateway_init(&g);

	int r = run(&g);
	gateway_finish(&g);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
