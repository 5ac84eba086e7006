/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RevDial's client (docs/protocol/revdial.md): keeps a control connection to a gateway, and for each
 * data connection that the gateway asks for joins it with one to a server of this machine. So that
 * server can be reached through the gateway, though nobody can connect to this machine. It reconnects
 * by itself for as long as it lives. Never waits; runs in the caller's sd-event loop.
 */
#ifndef HELIX_REVDIAL_CLIENT_H
#define HELIX_REVDIAL_CLIENT_H

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

struct revdial_client;

struct revdial_config {
	const char *url; /* http(s)://HOST[:PORT], as in HELIX_API_BASE_URL; a path is ignored */
	const char *session;    /* the runner id is "desktop-" and this */
	const char *token;      /* may be NULL */
	const char *ca_file;    /* authorities of https, PEM; NULL: the system's */
	bool insecure;          /* https without looking at the certificate */
	const char *local_host; /* NULL: 127.0.0.1 */
	uint16_t local_port;
};

struct revdial_status {
	bool connected;
	unsigned tunnels;  /* open now */
	uint64_t connects; /* of the control connection */
	uint64_t dials;    /* data connections asked for, */
	uint64_t failures; /* and those that failed */
	int error;         /* why it is not connected: negative errno, -EACCES is 401 and 403 */
};

/* Called when `connected` or `error` changed; may be NULL. Must not destroy the client. */
typedef void (*revdial_changed_fn)(void *data, const struct revdial_status *status);

/* Copies what it needs. -EINVAL for a URL, session or token that cannot be right. */
int revdial_client_create(sd_event *loop, const struct revdial_config *config,
	revdial_changed_fn changed, void *data, struct revdial_client **ret);
void revdial_client_destroy(struct revdial_client *c);
void revdial_client_status(const struct revdial_client *c, struct revdial_status *ret);

#endif
