/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What gpu.c and the files with the commands have in common: a command being handled, and the tables
 * of handlers.
 */
#ifndef HELIX_DEVICE_COMMANDS_H
#define HELIX_DEVICE_COMMANDS_H

#include "gpu.h"

/* The command being handled. */
struct command {
	struct gpu *gpu;
	struct virtqueue *queue;
	struct virtqueue_chain *chain;
	struct virtio_gpu_ctrl_hdr hdr;
	uint32_t response; /* VIRTIO_GPU_RESP_…, unless the handler wrote its own */
	size_t written;    /* by the handler; 0: only the header is to be written */
	bool held;         /* a gpu_request answers it */
};

/* Copies from `offset` of the request; returns how much there was. */
size_t command_read(const struct command *c, size_t offset, void *buf, size_t size);
/* Answers with a structure that starts with a control header. */
void command_respond(
	struct command *c, uint32_t type, struct virtio_gpu_ctrl_hdr *hdr, size_t size);
/*
 * Keeps the chain: it is answered when gpu_complete was called `pending` times with the id, which is
 * that of gpu.last_request + 1 before the call. Without memory for it, it is answered at once.
 */
void command_hold(struct command *c, unsigned pending);

/*
 * The same for what renderers do, without a limit of time: until `pending` gpu_render_done, whose
 * result is the answer. `by`: the renderer; NULL: it must not be answered before, whatever others
 * suffer. And for flushes: until `pending` gpu_read_done.
 */
void command_hold_render(struct command *c, unsigned pending, struct gl_renderer *by);
void command_hold_read(struct command *c, unsigned pending);

/*
 * One row per command: the bytes that must be there, and the handler, which returns 0 or the -errno
 * that stands for a response (see response_of). Tables end with type 0.
 */
struct command_handler {
	uint32_t type;
	size_t size;
	int (*handle)(struct command *c, const void *body);
};

extern const struct command_handler control_commands[];
extern const struct command_handler cursor_commands[];
extern const struct command_handler gl_commands[];
extern const struct command_handler gl_resource_commands[];

/* Virtio 1.2, 5.7.6.8, enum virtio_gpu_formats. -EINVAL: not one that can be shown. */
int pixel_order_of(uint32_t format, enum pixel_order *ret);

/* The scanout shows nothing any more. */
void scanout_off(struct gpu *g, uint32_t id);
/* Brings gpu.lost up to date; true: it was not. */
bool scanout_check_lost(struct gpu *g, uint32_t id);

#endif
