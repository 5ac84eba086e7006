/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The virtio-gpu device proper (virtio 1.2, 5.7): resources, scanouts, cursors, and an answer to
 * each command. Single-threaded; owns no socket and no loop.
 *
 * A flush is answered when capture has taken the pixels, or will not take them; taking resources
 * away, when nobody reads their pages any more. Until then the chain is held as a `struct
 * gpu_request`, other commands go on, and `gpu_expire` bounds the wait.
 */
#ifndef HELIX_DEVICE_GPU_H
#define HELIX_DEVICE_GPU_H

#include <linux/virtio_gpu.h>
#include <stdatomic.h>

#include "capture/capture.h"
#include "gl.h"
#include "resource.h"
#include "server/server.h"
#include "virtqueue.h"

enum {
	GPU_QUEUE_CONTROL,
	GPU_QUEUE_CURSOR,
	GPU_N_QUEUES,
};

/* The longest that a guest waits for an answer. Linux gives up on a fenced flush after 50 ms. */
#define GPU_ANSWER_LIMIT_NS (40 * NSEC_PER_MSEC)

/* What the guest is told of one output by GET_DISPLAY_INFO and GET_EDID. */
struct gpu_output {
	bool enabled;
	uint32_t width, height, refresh; /* refresh in Hz */
};

struct gpu_ops {
	/* The present outputs, `n` of them. */
	void (*get_outputs)(void *data, struct gpu_output *ret, unsigned n);
	/*
	 * The guest is about to be given display information or, if `scanout` is not negative, that
	 * output's EDID. Called before get_outputs: what is set between the two counts as not given.
	 */
	void (*outputs_told)(void *data, int scanout);
	/* A scanout shows something of another size, or nothing, now; or what drew it was lost. */
	void (*scanout_changed)(void *data, uint32_t scanout);
	/* `image` is consumed; NULL: hidden. */
	void (*cursor_defined)(
		void *data, uint32_t scanout, struct cursor_image *image, uint32_t x, uint32_t y);
	void (*cursor_moved)(void *data, uint32_t scanout, uint32_t x, uint32_t y);
	/* From any thread: gpu_reap and gpu_expire should be called. */
	void (*wake)(void *data);
	void *data;
};

struct gpu_config {
	unsigned n_scanouts;
	size_t memory_budget;      /* bytes of host memory for resources */
	struct capture **captures; /* one for each scanout; may be NULL (no capture) */
	struct gpu_ops ops;
};

struct gpu_scanout {
	struct resource *resource; // NULL: nothing shown
	uint32_t width, height;    /* of the resource, or of a blob as its scanout command has it */
	uint32_t stride, offset;
	struct rect viewport; /* within that */
	enum pixel_order order;
	bool full_damage; /* the next flush shows all of it anew */
	bool resized;     /* and in another size than what capture has */
};

struct gpu {
	struct gpu_config config;
	struct resource_table resources;
	struct gpu_scanout scanouts[SCANOUTS_MAX];
	struct virtqueue queues[GPU_N_QUEUES];
	struct virtqueue_chain chain; /* the one being handled; too large for a stack */
	struct list requests;         // struct gpu_request.link: held, oldest first
	struct list renders;          // the same: held until renderers are done, however long
	struct gl_renderer *blocking; // keeps others' fences waiting; NULL: none does
	uint64_t blocking_since;
	struct gl *gl;         // NULL: no 3D; borrowed
	atomic_uint lost;      /* bits of scanouts whose picture nobody draws any more */
	uint64_t last_request; /* id of the newest */
	uint64_t last_tag;
	uint64_t commands, errors; /* since the start, for logs and tests */
	bool used;                 /* commands came since the last reset */
};

int gpu_init(struct gpu *g, const struct gpu_config *config);
void gpu_finish(struct gpu *g);

/*
 * Handles what is in the queue. Returns 1 if there may be more: call again, after other work;
 * -EBADMSG if the driver broke it.
 */
int gpu_process_queue(struct gpu *g, unsigned queue);

/* Capture is done with a flip's pixels: its token. */
void gpu_complete(struct gpu *g, uint64_t token);
/* A renderer is done with a request. */
void gpu_render_done(struct gpu *g, uint64_t id, int error);
/* It goes: no request may name it any more. */
void gpu_renderer_gone(struct gpu *g, const struct gl_renderer *r);
/* One of a flush's reads is done; `held`: capture tells by gpu_complete when it took that. */
void gpu_read_done(struct gpu *g, uint64_t id, bool held);
/* A number that no request has or will have. */
#define GPU_TAG (UINT64_C(1) << 63)
uint64_t gpu_new_tag(struct gpu *g);
/* Answers what waited for pages that nobody reads any more. */
void gpu_reap(struct gpu *g);
/* Answers what waited too long. Returns when to call again, UINT64_MAX: nothing waits. */
uint64_t gpu_expire(struct gpu *g, uint64_t now);
/* Answers all that is held: before its queue stops. */
void gpu_flush_requests(struct gpu *g);

/*
 * Shows nothing on a scanout until the guest sets it again. Linux leaves what a lease's holder showed
 * there, and the next one's viewers are not to see that.
 */
void gpu_blank(struct gpu *g, uint32_t scanout);
/* As after power-on: no resources, no scanouts. Queues are not touched. */
void gpu_reset(struct gpu *g);

#endif
