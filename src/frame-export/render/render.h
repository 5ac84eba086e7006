/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The exporter's side of a renderer, a child process (src/renderer, docs/protocol/renderer.md):
 * starts it, sends it commands in order, and tells when each is done. Lives on the device's loop
 * and never waits for the renderer, but in render_wait. A renderer that ends, breaks the protocol,
 * or gets on with nothing for `patience` is killed; then all that it had is lost, and this one is
 * of no use any more.
 */
#ifndef HELIX_RENDER_RENDER_H
#define HELIX_RENDER_RENDER_H

#include <stdbool.h>
#include <sys/uio.h>
#include <systemd/sd-event.h>

#include "renderer/wire.h"

struct reaper;
struct render;

struct render_config {
	const char *program;
	const char *render_node; // NULL: none
	struct reaper *reaper;
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
	/* Not sent before the command of `after_tag` of that renderer is done; NULL: at once. */
	struct render *after;
	uint64_t after_tag;
};

/* What the driver can do, as the guest is told. */
struct render_capsets {
	struct render_hello hello;
	uint8_t *data[RENDER_MAX_CAPSETS];
};

/* Starts a renderer. The strings are borrowed for good. */
int render_create(sd_event *loop, const struct render_config *config, struct render **ret);
/* Nothing more is told of commands under way. */
void render_destroy(struct render *r);
/* Waits until it is ready, some seconds at most. -ENOTSUP: it has no GL. Finish `ret` at any rate. */
int render_wait(struct render *r, struct render_capsets *ret);
void render_capsets_finish(struct render_capsets *c);

bool render_alive(const struct render *r);
/* Commands that are not done. */
unsigned render_backlog(const struct render *r);
/*
 * Since when it has been at its oldest command, or waits for another renderer; UINT64_MAX: it has
 * nothing to do.
 */
uint64_t render_stuck_since(const struct render *r);
/* It holds what others need: it is given a second at most to get on with something. */
void render_hurry(struct render *r, bool on);
/* It is killed as soon as the loop runs. */
void render_give_up(struct render *r);

/*
 * Sends a command; fields of the message that concern sequence and payload are filled in. `tag` 0:
 * nobody wants to know. -EIO: it is gone; -ENOMEM: also, it is too far behind.
 */
int render_command(
	struct render *r, const struct render_message *m, struct render_extra *extra, uint64_t tag);

#endif
