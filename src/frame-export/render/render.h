/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The exporter's side of the renderer, a child process (src/renderer, docs/protocol/renderer.md):
 * starts it, sends it commands in order, and tells when each is done. Lives on the device's loop
 * and never waits for the renderer, but for render_create. A renderer that ends, breaks the
 * protocol, or gets on with nothing for `patience` is killed; then all that it had is lost, and
 * the next render_start makes a new one.
 */
#ifndef HELIX_RENDER_RENDER_H
#define HELIX_RENDER_RENDER_H

#include <stdbool.h>
#include <sys/uio.h>
#include <systemd/sd-event.h>

#include "renderer/wire.h"

struct render;

struct render_config {
	const char *program;     // NULL: beside our own program
	const char *render_node; // NULL: none
	uint64_t patience_ns;
	/* A command is done; error 0 or -errno, -EIO if the renderer was lost. */
	void (*done)(void *data, uint64_t tag, int error);
	/* GL refuses a stream of this context, and all that come after it; `done` comes next. */
	void (*refused)(void *data, uint32_t context);
	/* The renderer was lost; `done` of each command comes next. */
	void (*lost)(void *data);
	void *data;
};

/* What a command has besides its message. All is consumed, on failure too. */
struct render_extra {
	struct iovec *iov; /* payload, on the heap; copied when the ring has room; NULL: none */
	unsigned n_iov;
	void *owner; /* kept until then, given to release; NULL: nothing */
	void (*release)(void *owner);
	int fds[RENDER_MAX_FDS];
	unsigned n_fds;
};

/* Starts a renderer and waits until it is ready, some seconds at most. -ENOTSUP: it has no GL. */
int render_create(sd_event *loop, const struct render_config *config, struct render **ret);
void render_destroy(struct render *r);

unsigned render_n_capsets(const struct render *r);
/* The capset and its data, borrowed. */
const struct render_capset *render_capset(const struct render *r, unsigned i, const void **ret);

/* RENDER_CAN_CONVERT and so on. */
uint32_t render_features(const struct render *r);

/* Which renderer it is: another number for each that was started; 0: none runs. */
uint32_t render_generation(const struct render *r);
/* Starts one if none runs. -EAGAIN: the last one was started only just now. */
int render_start(struct render *r);
/* Kills it with all that it has; nothing more is told of commands under way. */
void render_stop(struct render *r);

/*
 * Sends a command; fields of the message that concern sequence and payload are filled in. `tag` 0:
 * nobody wants to know. -EIO if no renderer runs, -ENOMEM.
 */
int render_command(
	struct render *r, const struct render_message *m, struct render_extra *extra, uint64_t tag);
/* Commands that are not done. */
unsigned render_backlog(const struct render *r);
/* Fences are outstanding. */
bool render_busy(const struct render *r);

#endif
