/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RevDial's server (docs/protocol/revdial.md): bridges that nobody can connect to keep a control
 * connection to us; a data connection is asked for on it, and comes.
 */
#ifndef HELIX_GATEWAY_REVDIAL_SERVER_H
#define HELIX_GATEWAY_REVDIAL_SERVER_H

#include "conn.h"
#include "desktop.h"

struct runner;
struct pickup;

/* A data connection, or NULL and a negative errno: see upstream.h. */
typedef void (*pickup_fn)(void *data, struct stream *stream, int error);

/* The callback never comes from within this call. */
int pickup_create(struct runner *r, pickup_fn done, void *data, struct pickup **ret);
void pickup_destroy(struct pickup *p);

/* A request for REVDIAL_PATH. `who` may be NULL. */
void revdial_answer(struct conn *c, struct identity *who, struct http_text query);
/* Drops runners whose token is no longer known. */
void revdial_check_identities(struct gateway *g);
void revdial_finish(struct gateway *g);

#endif
