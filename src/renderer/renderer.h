/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The renderer: libvirglrenderer, whose state is the process's, and what the exporter's messages do
 * to it. One thread; virglrenderer's own waits for fences.
 */
#ifndef HELIX_RENDERER_RENDERER_H
#define HELIX_RENDERER_RENDERER_H

#include <stdbool.h>

#include "wire.h"

struct renderer;

struct renderer_config {
	int socket;              /* to the exporter; borrowed */
	int ring;                /* the ring's memory; borrowed */
	const char *render_node; // NULL: none, EGL without a surface on whatever driver it finds
};

/* Brings GL up. -errno; -ENOTSUP: no GL that virglrenderer can use. */
int renderer_create(const struct renderer_config *config, struct renderer **ret);
int renderer_say_hello(struct renderer *r);
/* Readable when renderer_poll is to be called. */
int renderer_poll_fd(struct renderer *r);
/* Tells the exporter of fences that were reached. */
int renderer_poll(struct renderer *r);
/*
 * Handles one message; fds are consumed. A negative result is the end of the connection: what the
 * exporter checks before it sends did not hold, or the socket is gone.
 */
int renderer_handle(
	struct renderer *r, const struct render_message *m, size_t size, int *fds, unsigned n_fds);

#endif
