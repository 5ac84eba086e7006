/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Dialling a desktop's bridge, whichever way it is reached. */
#ifndef HELIX_GATEWAY_UPSTREAM_H
#define HELIX_GATEWAY_UPSTREAM_H

#include "desktop.h"

struct upstream;

/*
 * Called once: a stream that is the callee's, or NULL and a negative errno (-ETIMEDOUT,
 * -EHOSTUNREACH: no bridge is connected). The upstream is gone by then.
 */
typedef void (*upstream_fn)(void *data, struct stream *stream, int error);

/* The callback never comes from within this call. */
int upstream_create(struct desktop *d, upstream_fn done, void *data, struct upstream **ret);
/* Calls it off: the callback does not come any more. */
void upstream_destroy(struct upstream *u);

#endif
