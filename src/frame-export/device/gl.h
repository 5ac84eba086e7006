/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * 3D for the guest (virtio 1.2, 5.7.6.8, "Device Operation: controlq (3d)"): keeps count of the
 * guest's contexts and 3D resources, and passes what it asks to renderers, which are processes. Of
 * scanouts that show a 3D resource, a renderer reads what is flushed into slots: shared memory
 * that capture takes as its surface. A slot is not written again while anybody reads it, so what
 * is captured is never torn, however fast the guest draws.
 *
 * Each context has a renderer of its own (docs/decisions/renderer-per-context.md), so one that hangs
 * or crashes is nobody else's loss. A resource is made in the renderer of each context that it is
 * attached to; when one of them has drawn into it, the others' copies are brought up to date before
 * they are used. With `together` all contexts share one renderer, and there are no copies.
 *
 * Device thread only. Answers come back by the gpu's held requests.
 */
#ifndef HELIX_DEVICE_GL_H
#define HELIX_DEVICE_GL_H

#include <limits.h>
#include <systemd/sd-event.h>

#include "capture/capture.h"
#include "guest-memory.h"
#include "list.h"
#include "render/render.h"
#include "server/server.h"

struct command;
struct gl;
struct gl_copy;
struct gl_exchange;
struct gl_renderer;
struct gpu;
struct resource;

/* Where pictures of 3D scanouts become NV12. */
enum gl_capture {
	GL_CAPTURE_AUTO, /* by the GPU, if there is one */
	GL_CAPTURE_GPU,
	GL_CAPTURE_CPU,
};

/* Whether contexts have renderers of their own. */
enum gl_isolate {
	GL_ISOLATE_AUTO, /* if GL is drawn by the CPUs */
	GL_ISOLATE_ON,
	GL_ISOLATE_OFF,
};

struct gl_config {
	enum gl_capture capture;
	bool direct; /* encoders take pictures where a GPU has them */
	enum gl_isolate isolate;
	const char *program;     // of the renderer; NULL: beside ours
	const char *render_node; // NULL: none
	size_t budget;           /* bytes that textures and buffers of all contexts may take */
	uint64_t patience_ns;    /* a renderer that gets on with nothing for so long is killed */
};

/* What a 3D resource has besides. */
struct resource_gl {
	struct render_create create; /* for renderers that need it later */
	struct list copies;          // struct gl_copy.of_resource
	struct gl_copy *latest;      // that was drawn into last; NULL: none has it yet, or any more
	uint64_t version;            /* of what is in it; 0: nothing was drawn */
	uint64_t painter;            /* serial of the context that drew last; 0: none */
	struct gl_exchange *exchange; // between copies; NULL: not needed yet
	struct render_piece *pieces;  // guest memory; NULL: none
	uint32_t n_pieces;
	struct guest_memory *memory; // that the pieces lie in
	size_t cost;                 /* of the budget; each copy costs as much again */
	bool displayable;
	bool lost; /* with the renderer that had it */
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
 * How long others' fences may still be kept waiting by this renderer's, ns; 0: they go on without
 * it. What it takes is charged, and comes back with time.
 */
uint64_t gl_renderer_credit(struct gl_renderer *r, uint64_t now);
void gl_renderer_charge(struct gl_renderer *r, uint64_t now, uint64_t ns);
/* It holds another place of the control queue, or one less. */
void gl_renderer_holds(struct gl_renderer *r, int change);

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

/* One process, with what is in it. */
struct gl_renderer {
	struct gl *gl;
	struct render *render;
	unsigned contexts;           /* that are in it */
	bool served;                 /* there was one, at any time */
	uint64_t unused_ns;          /* when it was found to be of no use; 0: it is of use */
	struct guest_memory *memory; // it knows; may be NULL
	struct list copies;          // struct gl_copy.of_renderer
	unsigned held;               /* places of the control queue that wait for it */
	uint64_t credit_ns, credit_at_ns;
	bool said;        /* that it is used up */
	struct list link; // gl.renderers, oldest first
};

/* A resource as one renderer has it. */
struct gl_copy {
	struct resource *resource;
	struct gl_renderer *renderer;
	uint64_t version; /* of the resource's that it has */
	size_t cost;      /* of the budget, besides the resource's own */
	bool shares;      /* the renderer has the exchange mapped */
	struct list of_resource, of_renderer;
};

/* What command streams say of where a context draws: see gl-stream.c. */
struct gl_streams {
	struct list sub_contexts; // struct sub_context.link
	struct list targets;      // struct target.link
	struct sub_context *current;
	unsigned n_targets;
	uint32_t images[32]; /* resources that shaders may write */
	unsigned n_images;
};

struct gl_context {
	uint32_t id;
	uint64_t serial; /* numbers are used again */
	struct gl_renderer *renderer;
	struct gl_streams streams;
	bool broken;      /* GL takes nothing more of it */
	bool lost;        /* with its renderer */
	struct list link; // gl.contexts
};

struct gl_slot {
	struct gl_surface *surface; // NULL: not made yet
	uint32_t shadow;
	struct gl_renderer *renderer; // that has it mapped; NULL: none
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
	sd_event *loop;
	struct gl_config config;
	char program[PATH_MAX];
	struct render_capsets capsets;
	bool together; /* all contexts share one renderer */
	struct reaper *reaper;
	struct list renderers; // struct gl_renderer.link
	unsigned starts;       /* that may be made at once */
	uint64_t starts_at_ns; /* when that was counted */
	sd_event_source *sweep;
	size_t budget;        /* left */
	struct list contexts; // struct gl_context.link
	unsigned n_contexts;
	uint64_t last_serial; /* of a context */
	struct gl_scanout scanouts[SCANOUTS_MAX];
	struct list reads; // struct gl_read.link
	bool shadow_used[RENDER_MAX_SHADOWS];
	unsigned n_exchanges;
	int udmabuf; /* device; -1: there is none, or nobody would take what it makes */
};

/* gl-renderers.c */

int gl_renderers_init(struct gl *gl);
/* All end, and what they had is lost; without `final` there is one in reserve again. */
void gl_renderers_clear(struct gl *gl, bool final);
/* One for a new context. -EAGAIN: too many were started of late. */
int gl_renderer_get(struct gl *gl, struct gl_renderer **ret);
/* Without contexts, and with nothing that is shown or shared, it goes after a while. */
void gl_renderer_put(struct gl_renderer *r);
/* Something was let go that may have been the last that a renderer was needed for. */
void gl_sweep_soon(struct gl *gl);
bool gl_renderer_alive(const struct gl_renderer *r);
/* It maps what the guest's RAM is. */
int gl_renderer_share_memory(struct gl_renderer *r, struct guest_memory *memory);

/* gl-commands.c */

/* Asks the renderer; the command is answered when it is done. `extra` may be NULL. */
int gl_ask(struct command *c, struct gl_renderer *r, struct render_message *m,
	struct render_extra *extra);
/*
 * The same for what a guest does not wait for: unless it is fenced it is answered now, and so keeps
 * no place in a queue that 2D needs, however long the renderer takes. What goes wrong there is seen
 * by what comes next. Bounded, for a guest may send much more than the renderer gets done.
 */
int gl_tell(struct command *c, struct gl_renderer *r, struct render_message *m);
/* The command's context; NULL: it is not there, or was lost, and the answer says so. */
struct gl_context *gl_context_of(struct command *c);
/* What drew a 3D resource last draws no more. */
bool gl_painter_broken(const struct gl *gl, const struct resource *r);
/* After something was lost: scanouts that show it are. */
void gl_tell_losses(struct gl *gl);

/* gl-resources.c */

/* Bytes of a pixel, or more, for formats (virgl's numbers) that are not worth a line there. */
unsigned gl_pixel_size(uint32_t format);

/* gl-copies.c */

struct gl_copy *gl_copy_in(const struct resource *r, const struct gl_renderer *renderer);
/* Makes the resource in a renderer that has it not. -ENOMEM: also, over the budget. */
int gl_copy_make(
	struct gl *gl, struct resource *r, struct gl_renderer *renderer, struct gl_copy **ret);
/* The renderer was told that the resource goes, or is gone. */
void gl_copy_free(struct gl *gl, struct gl_copy *copy);
/* Brings it up to date, in the order of the renderers' commands. */
void gl_copy_update(struct gl *gl, struct gl_copy *copy);
/* The context draws into it. */
void gl_copy_written(struct gl_copy *copy, const struct gl_context *by);
int gl_copy_back(struct gl_copy *copy);
/* The resource goes; its copies were freed. */
void gl_resource_finish(struct gl *gl, struct resource *r);
/* A number for shared memory, that no renderer has. RENDER_MAX_SHADOWS: there is none left. */
uint32_t gl_shadow_get(struct gl *gl);
void gl_shadow_put(struct gl *gl, uint32_t shadow);
/* Tells the renderer of shared memory. `dmabuf` of it may be -1; both are borrowed. */
int gl_shadow_share(struct gl_renderer *r, const struct render_shadow *s, int fd, int dmabuf);

/* gl-stream.c */

void gl_streams_init(struct gl_streams *s);
void gl_streams_finish(struct gl_streams *s);
/* Notes what the stream draws into. */
void gl_stream_follow(struct gl *gl, struct gl_context *context, const uint32_t *words, size_t n);

/* gl-scanout.c */

void gl_scanouts_init(struct gl *gl);
void gl_scanouts_reset(struct gl *gl);
/* The renderer goes: no slot is its any more. */
void gl_scanouts_forget(struct gl *gl, struct gl_renderer *r);
/* True if the tag is a read's. */
bool gl_read_done(struct gl *gl, uint64_t tag, int error);

#endif
