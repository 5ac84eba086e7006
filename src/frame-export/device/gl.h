/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * 3D for the guest (virtio 1.2, 5.7.6.8, "Device Operation: controlq (3d)"): keeps count of the
 * guest's contexts and 3D resources, and passes what it asks to the renderer's process. Of
 * scanouts that show a 3D resource, the renderer reads what is flushed into slots: shared memory
 * that capture takes as its surface. A slot is not written again while anybody reads it, so what
 * is captured is never torn, however fast the guest draws.
 *
 * Device thread only. Answers come back by the gpu's held requests.
 */
#ifndef HELIX_DEVICE_GL_H
#define HELIX_DEVICE_GL_H

#include <systemd/sd-event.h>

#include "capture/capture.h"
#include "guest-memory.h"
#include "list.h"
#include "render/render.h"
#include "server/server.h"

struct command;
struct gl;
struct gpu;
struct resource;

/* Where pictures of 3D scanouts become NV12. */
enum gl_capture {
	GL_CAPTURE_AUTO, /* by the GPU, if there is one */
	GL_CAPTURE_GPU,
	GL_CAPTURE_CPU,
};

struct gl_config {
	enum gl_capture capture;
	bool direct;             /* encoders take pictures where a GPU has them */
	const char *program;     // of the renderer; NULL: beside ours
	const char *render_node; // NULL: none
	size_t budget;           /* bytes that textures and buffers of all contexts may take */
	uint64_t patience_ns;    /* a renderer that gets on with nothing for so long is killed */
};

/* What a 3D resource has besides. */
struct resource_gl {
	uint32_t generation; /* of the renderer that has it; it is lost with that one */
	uint64_t painter;    /* serial of the context that had it first; 0: none yet */
	size_t cost;         /* of the budget */
	bool displayable;
	bool attached; /* has guest memory */
};

/* -ENOTSUP: no GL here. The gpu must outlive it. */
int gl_create(sd_event *loop, const struct gl_config *config, struct gpu *g, struct gl **ret);
void gl_destroy(struct gl *gl);
/* As after power-on. Requests that are held must have been answered. */
void gl_reset(struct gl *gl);
unsigned gl_n_capsets(const struct gl *gl);

/* Of commands that both kinds of resource have; `pieces` is consumed. */
int gl_attach_backing(
	struct command *c, struct resource *r, struct iovec *pieces, uint32_t n_pieces);
int gl_detach_backing(struct command *c, struct resource *r);
int gl_unref(struct command *c, struct resource *r);
/*
 * Without contexts' own rings, which stock QEMU does not offer, Linux has one order for all fences:
 * answering a later one says that all before are reached. So a fenced command that is done waits
 * for those that the renderer has.
 */
void gl_order(struct command *c);

/*
 * A scanout's 3D resource was flushed. Returns true if it is being read: gpu_read_done comes for
 * `token`. Nobody watching, nothing is read; gl_refresh does that when somebody comes.
 */
bool gl_flush(
	struct gl *gl, uint32_t scanout, const struct rect *damage, bool full, uint64_t token);
void gl_refresh(struct gl *gl, uint32_t scanout);
/* Whether what the scanout shows was drawn by a renderer that is gone, or a context that is broken. */
bool gl_scanout_lost(const struct gl *gl, uint32_t scanout);
/* What is being read of it is not to be shown. */
void gl_scanout_off(struct gl *gl, uint32_t scanout);

/* Private to the gl-*.c files. */

#define GL_SLOTS 4u

struct gl_slot {
	struct gl_surface *surface; // NULL: not made yet
	uint32_t shadow;
	uint32_t generation; /* of the renderer that has it mapped */
	bool nv12;
	int fd;
	struct rect stale; /* what was flushed since it was read last */
	unsigned reading;  /* reads under way */
};

struct gl_scanout {
	uint32_t width, height;
	struct gl_slot slots[GL_SLOTS];
	uint32_t epoch;      /* another for each time that it was turned off */
	bool nv12;           /* the renderer converts; else it reads RGB */
	bool shown;          /* capture has something of it */
	bool behind;         /* flushed with nobody watching */
	struct rect damage;  /* flushed, and in no read yet */
	struct rect unshown; /* read, but a later read went into the same slot */
};

struct gl {
	struct gpu *gpu;
	struct gl_config config;
	struct render *render;
	size_t budget;        /* left */
	struct list contexts; // struct gl_context.link
	unsigned n_contexts;
	uint64_t last_serial;        /* of a context */
	struct guest_memory *memory; // the renderer knows; may be NULL
	uint32_t memory_generation;  /* of the renderer that knows it */
	struct gl_scanout scanouts[SCANOUTS_MAX];
	struct list reads; // struct gl_read.link
	bool shadow_used[RENDER_MAX_SHADOWS];
	int udmabuf; /* device; -1: there is none, or nobody would take what it makes */
};

/* Asks the renderer; the command is answered when it is done. `extra` may be NULL. */
int gl_ask(struct command *c, struct render_message *m, struct render_extra *extra);
/*
 * The same for what a guest does not wait for: unless it is fenced it is answered now, and so keeps
 * no place in a queue that 2D needs, however long the renderer takes. What goes wrong there is seen
 * by what comes next. Bounded, for a guest may send much more than the renderer gets done.
 */
int gl_tell(struct command *c, struct render_message *m);
/* True if the command's context is there, and was not lost; else the answer says so. */
bool gl_has_context(struct command *c);
/* One that the renderer has; NULL: there is none. */
struct resource *gl_find_resource(struct command *c, uint32_t id);

/* What draws a 3D resource draws no more. */
bool gl_painter_broken(const struct gl *gl, const struct resource *r);
void gl_scanouts_init(struct gl *gl);
void gl_scanouts_reset(struct gl *gl);
/* True if the tag is a read's. */
bool gl_read_done(struct gl *gl, uint64_t tag, int error);

#endif
