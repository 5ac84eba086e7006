/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line of helix-gateway. */
#ifndef HELIX_GATEWAY_OPTIONS_H
#define HELIX_GATEWAY_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "options.h"

#define DESKTOPS_MAX      256u
#define ORIGINS_MAX       16u
#define DESKTOP_NAME_SIZE 121u /* as in a RevDial runner id, without its prefix */

struct direct_desktop {
	char name[DESKTOP_NAME_SIZE];
	char host[256];
	uint16_t port;
};

struct gateway_options {
	char listen_host[256];
	uint16_t listen_port;
	const char *web_root;
	const char *tokens; // NULL: nobody is let in, unless no_auth
	bool no_auth;
	const char *cookie_key;         // may be NULL
	const char *tls_cert, *tls_key; // NULL: without TLS
	bool self_signed;
	const char *origins[ORIGINS_MAX];
	unsigned n_origins;
	struct direct_desktop desktops[DESKTOPS_MAX];
	unsigned n_desktops;
	unsigned max_connections, max_per_address;
	uint64_t thumbnail_ms;
	bool new_token;
};

/* Complains on stderr. */
enum options_result gateway_options_parse(int argc, char *argv[], struct gateway_options *ret);

/* Letters, digits, '.', '_' and '-', the first a letter or digit; shorter than DESKTOP_NAME_SIZE. */
bool desktop_name_is_valid(const char *name);

#endif
