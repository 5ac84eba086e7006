/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A small request of the gateway's own to a bridge: GET, with the whole answer in memory. */
#ifndef HELIX_GATEWAY_FETCH_H
#define HELIX_GATEWAY_FETCH_H

#include "desktop.h"

struct fetch;

/*
 * Called once: the status, and a body that is the callee's to unref (NULL if it is empty); or a
 * negative errno. The fetch is gone by then.
 */
typedef void (*fetch_fn)(void *data, int status, struct blob *body);

/* The callback never comes from within this call. */
int fetch_create(struct desktop *d, const char *path, size_t body_max, unsigned timeout_ms,
	fetch_fn done, void *data, struct fetch **ret);
void fetch_destroy(struct fetch *f);

#endif
