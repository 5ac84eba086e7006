/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From 3D resources on scanouts to surfaces for capture. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "gl.h"
#include "gpu.h"
#include "log.h"
#include "udmabuf.h"
#include "util.h"

LOG_MODULE("gl");

/* Flushes of a scanout that wait for a renderer; more are answered, and shown with the next read. */
#define READS_MAX 8u

struct gl_surface {
	struct surface surface;
	struct gpu_picture gpu; /* of a dmabuf; else not used */
	void *map;
	size_t size;
};

/* A read that the renderer was asked for. */
struct gl_read {
	uint64_t tag;
	uint64_t request; /* gpu_request that it is of; 0: none */
	uint32_t scanout, epoch;
	unsigned slot;
	struct rect damage;
	uint64_t flip_ns;
	struct list link; // gl.reads
};

static void release_surface(struct surface *surface) {
	struct gl_surface *s = container_of(surface, struct gl_surface, surface);
	(void)munmap(s->map, s->size);
	(void)close_fd(s->gpu.dmabuf);
	free(s);
}

static struct capture *capture_of(const struct gl *gl, uint32_t scanout) {
	struct capture **captures = gl->gpu->config.captures;
	return captures ? captures[scanout] : NULL;
}

/* Slots. */

/* The renderer has it not any more. */
static void slot_unshare(struct gl_slot *slot) {
	struct render_message m = {
		.type = RENDER_SHADOW_REMOVE,
		.u.shadow = {.shadow = slot->shadow},
	};
	if (slot->renderer && gl_renderer_alive(slot->renderer)) {
		(void)render_command(slot->renderer->render, &m, NULL, 0);
	}
	slot->renderer = NULL;
}

static void slot_drop(struct gl *gl, struct gl_slot *slot) {
	if (!slot->surface) {
		return;
	}
	slot_unshare(slot);
	gl_shadow_put(gl, slot->shadow);
	surface_unref(&slot->surface->surface);
	(void)close_fd(slot->fd);
	*slot = (struct gl_slot){.fd = -1};
}

static void drop_slots(struct gl *gl, struct gl_scanout *s) {
	for (unsigned i = 0; i < GL_SLOTS; i++) {
		slot_drop(gl, &s->slots[i]);
	}
	s->width = s->height = 0;
	s->damage = s->unshown = (struct rect){0};
	s->shown = false;
	s->epoch++; /* reads under way are of slots that are gone */
}

/* Where pixels of a slot lie. */
struct layout {
	uint32_t stride;
	size_t chroma; /* offset; 0: RGB */
	size_t size;
};

static struct layout layout_of(const struct gl_scanout *s) {
	struct layout l = {.stride = s->width * SURFACE_BYTES_PER_PIXEL};
	if (!s->nv12) {
		l.size = (size_t)l.stride * s->height;
		return l;
	}
	l.stride = ALIGN_UP(s->width, GPU_STRIDE_ALIGN);
	l.chroma = (size_t)l.stride * ALIGN_UP(s->height, (uint32_t)MB_SIZE);
	l.size = ALIGN_UP(l.chroma + l.chroma / 2, (size_t)sysconf(_SC_PAGESIZE));
	return l;
}

/* Memory for a slot, mapped to be read, and as a dmabuf where somebody takes that. */
static struct gl_surface *surface_make(const struct gl *gl, const struct layout *l, int *ret_fd) {
	struct gl_surface *s = calloc(1, sizeof(*s));
	CLEANUP_CLOSE int fd = udmabuf_memory(l->size);
	if (!s || fd < 0) {
		free(s);
		return NULL;
	}
	s->map = mmap(NULL, l->size, PROT_READ, MAP_SHARED, fd, 0);
	if (s->map == MAP_FAILED) {
		free(s);
		return NULL;
	}
	s->size = l->size;
	s->gpu = (struct gpu_picture){
		.dmabuf = l->chroma > 0 && gl->udmabuf >= 0
			? udmabuf_create(gl->udmabuf, fd, l->size)
			: -1,
		.stride = l->stride,
		.chroma = l->chroma,
		.size = l->size,
		.map = s->map,
	};
	*ret_fd = take_fd(&fd);
	return s;
}

static int slot_make(struct gl *gl, struct gl_scanout *s, struct gl_slot *slot) {
	uint32_t shadow = gl_shadow_get(gl);
	struct layout l = layout_of(s);
	int fd = -1;
	struct gl_surface *surface = shadow < RENDER_MAX_SHADOWS ? surface_make(gl, &l, &fd) : NULL;
	if (!surface) {
		if (shadow < RENDER_MAX_SHADOWS) {
			gl_shadow_put(gl, shadow);
		}
		return -ENOMEM;
	}
	surface->surface = (struct surface){
		.width = s->width,
		.height = s->height,
		.stride = l.stride,
		.pixels = surface->map,
		.chroma = s->nv12 ? (const uint8_t *)surface->map + l.chroma : NULL,
		.gpu = surface->gpu.dmabuf >= 0 ? &surface->gpu : NULL,
		.stable = true,
		.release = release_surface,
	};
	atomic_init(&surface->surface.refs, 1);
	*slot = (struct gl_slot){
		.surface = surface,
		.shadow = shadow,
		.fd = fd,
		.nv12 = s->nv12,
		.stale = {0, 0, s->width, s->height},
	};
	return 0;
}

/* The renderer has it mapped, and no other. */
static int slot_share(struct gl_slot *slot, struct gl_renderer *renderer) {
	if (slot->renderer == renderer) {
		return 0;
	}
	slot_unshare(slot);
	const struct gl_surface *s = slot->surface;
	struct render_shadow shadow = {.shadow = slot->shadow, .size = s->size};
	if (s->surface.gpu) {
		shadow.stride = s->gpu.stride;
		shadow.rows = (uint32_t)(s->gpu.chroma / s->gpu.stride);
	}
	int r = gl_shadow_share(renderer, &shadow, slot->fd, s->gpu.dmabuf);
	if (r >= 0) {
		slot->renderer = renderer;
	}
	return r;
}

static bool slot_unread(const struct gl_slot *slot) {
	return atomic_load_explicit(&slot->surface->surface.refs, memory_order_acquire) == 1;
}

static bool slot_fits(
	const struct gl_slot *slot, const struct gl_scanout *s, enum pixel_order order) {
	return slot->nv12 == s->nv12 && slot->surface->surface.order == order;
}

/*
 * One that nobody reads. If all of them are taken, one that is being filled: what was read into it
 * first is then not shown. At most two are capture's (what it works on, and what comes next).
 */
static struct gl_slot *slot_choose(struct gl *gl, struct gl_scanout *s, enum pixel_order order) {
	struct gl_slot *filling = NULL;
	for (unsigned i = 0; i < GL_SLOTS; i++) {
		struct gl_slot *slot = &s->slots[i];
		if (slot->surface && !slot_fits(slot, s, order) && slot->reading == 0 &&
			slot_unread(slot)) {
			slot_drop(gl, slot);
		}
		if (!slot->surface) {
			if (slot_make(gl, s, slot) < 0) {
				continue;
			}
			slot->surface->surface.order = order;
		}
		if (!slot_unread(slot) || !slot_fits(slot, s, order)) {
			continue;
		}
		if (slot->reading == 0) {
			return slot;
		}
		filling = slot;
	}
	return filling;
}

/* Reads. */

/* What of the slot is out of date. */
static struct render_read read_of(const struct gl_slot *slot, const struct rect *viewport) {
	const struct rect *stale = &slot->stale;
	uint32_t stride = slot->surface->surface.stride;
	return (struct render_read){
		.shadow = slot->shadow,
		.x = viewport->x + stale->x,
		.y = viewport->y + stale->y,
		.width = stale->width,
		.height = stale->height,
		.stride = stride,
		.pixel = SURFACE_BYTES_PER_PIXEL,
		.offset =
			(uint64_t)stale->y * stride + (uint64_t)stale->x * SURFACE_BYTES_PER_PIXEL,
	};
}

static struct render_convert convert_of(const struct gl_slot *slot, const struct rect *viewport) {
	const struct rect *stale = &slot->stale;
	return (struct render_convert){
		.shadow = slot->shadow,
		.stride = slot->surface->surface.stride,
		.view = {viewport->x, viewport->y, viewport->width, viewport->height},
		.damage = {stale->x, stale->y, stale->width, stale->height},
	};
}

static bool start_read(struct gl *gl, uint32_t id, uint64_t request) {
	struct gl_scanout *s = &gl->scanouts[id];
	const struct gpu_scanout *from = &gl->gpu->scanouts[id];
	struct gl_renderer *renderer = from->resource->gl->latest->renderer;
	struct gl_slot *slot = slot_choose(gl, s, from->order);
	struct gl_read *read = slot ? calloc(1, sizeof(*read)) : NULL;
	if (!read || slot_share(slot, renderer) < 0) {
		free(read);
		return false;
	}
	struct render_message m = {.resource = from->resource->id};
	if (slot->nv12) {
		m.type = RENDER_CONVERT;
		m.flags = RENDER_FLAG_FENCE;
		m.u.convert = convert_of(slot, &from->viewport);
	} else {
		m.type = RENDER_READ;
		m.u.read = read_of(slot, &from->viewport);
	}
	*read = (struct gl_read){
		.tag = gpu_new_tag(gl->gpu),
		.request = request,
		.scanout = id,
		.epoch = s->epoch,
		.slot = (unsigned)(slot - s->slots),
		.damage = s->damage,
		.flip_ns = now_ns(),
	};
	if (render_command(renderer->render, &m, NULL, read->tag) < 0) {
		free(read);
		return false;
	}
	list_append(&gl->reads, &read->link);
	slot->stale = (struct rect){0};
	slot->reading++;
	s->damage = (struct rect){0};
	s->behind = false;
	return true;
}

/* Shows what was read. Returns true if capture tells the request when it has taken it. */
static bool show(struct gl *gl, const struct gl_read *read) {
	struct gl_scanout *s = &gl->scanouts[read->scanout];
	struct gl_slot *slot = &s->slots[read->slot];
	struct rect damage = rect_union(&s->unshown, &read->damage);
	const struct resource *r = gl->gpu->scanouts[read->scanout].resource;
	if (slot->reading > 0) {
		s->unshown = damage;
		return false;
	}
	if (!r || !r->gl) {
		return false;
	}
	bool first = !s->shown;
	s->unshown = (struct rect){0};
	s->shown = true;
	bool held = capture_flip(capture_of(gl, read->scanout),
		&(struct capture_flip){
			.surface = &slot->surface->surface,
			.viewport = {0, 0, s->width, s->height},
			.damage = damage,
			.flip_ns = read->flip_ns,
			.token = read->request,
		});
	if (first) {
		gl->gpu->config.ops.scanout_changed(gl->gpu->config.ops.data, read->scanout);
	}
	return held;
}

bool gl_scanout_lost(const struct gl *gl, uint32_t id) {
	const struct resource *r = gl->gpu->scanouts[id].resource;
	return r && r->gl && (r->gl->lost || gl_painter_broken(gl, r));
}

static bool readable(const struct gl *gl, uint32_t id) {
	const struct resource *r = gl->gpu->scanouts[id].resource;
	return r && r->gl && r->gl->latest && capture_of(gl, id);
}

static unsigned reads_of(const struct gl *gl, uint32_t id) {
	const struct gl_read *read;
	unsigned n = 0;
	list_for_each(read, &gl->reads, link) {
		n += read->scanout == id ? 1 : 0;
	}
	return n;
}

bool gl_read_done(struct gl *gl, uint64_t tag, int error) {
	struct gl_read *read, *found = NULL;
	list_for_each(read, &gl->reads, link) {
		if (read->tag == tag) {
			found = read;
			break;
		}
	}
	if (!found) {
		return false;
	}
	struct gl_scanout *s = &gl->scanouts[found->scanout];
	bool held = false, again = false;
	if (found->epoch == s->epoch) {
		s->slots[found->slot].reading--;
		if (error == 0) {
			held = show(gl, found);
		} else {
			struct rect all = {0, 0, s->width, s->height};
			s->slots[found->slot].stale = all;
			s->damage = all;
			/* A kind of texture that is not converted is read as it is. */
			again = error == -EOPNOTSUPP && s->nv12;
			s->nv12 = s->nv12 && !again;
		}
	}
	if (!again || !readable(gl, found->scanout) ||
		!start_read(gl, found->scanout, found->request)) {
		gpu_read_done(gl->gpu, found->request, held);
	}
	uint32_t id = found->scanout;
	list_remove(&found->link);
	free(found);
	gl_refresh(gl, id);
	return true;
}

/* The renderer is to convert. */
static bool converts(const struct gl *gl) {
	uint32_t features = gl->capsets.hello.features;
	return (features & RENDER_CAN_CONVERT) && gl->config.capture != GL_CAPTURE_CPU &&
		(gl->config.capture == GL_CAPTURE_GPU || !(features & RENDER_SOFTWARE));
}

bool gl_flush(struct gl *gl, uint32_t id, const struct rect *damage, bool full, uint64_t token) {
	struct gl_scanout *s = &gl->scanouts[id];
	const struct rect *viewport = &gl->gpu->scanouts[id].viewport;
	if (!readable(gl, id)) {
		return false;
	}
	if (s->width != viewport->width || s->height != viewport->height) {
		drop_slots(gl, s);
		s->width = viewport->width;
		s->height = viewport->height;
		s->nv12 = converts(gl);
		full = true;
	}
	struct rect all = {0, 0, s->width, s->height};
	const struct rect *changed = full ? &all : damage;
	if (rect_empty(changed)) {
		return false;
	}
	for (unsigned i = 0; i < GL_SLOTS; i++) {
		if (s->slots[i].surface) {
			s->slots[i].stale = rect_union(&s->slots[i].stale, changed);
		}
	}
	s->damage = rect_union(&s->damage, changed);
	/* The first tells the size of what is shown, whoever watches. */
	if (s->shown && !capture_wanted(capture_of(gl, id))) {
		s->behind = true;
		capture_outdated(capture_of(gl, id));
		return false;
	}
	if (reads_of(gl, id) >= READS_MAX) {
		s->behind = true;
		return false;
	}
	return start_read(gl, id, token);
}

void gl_refresh(struct gl *gl, uint32_t id) {
	struct gl_scanout *s = &gl->scanouts[id];
	if (s->behind && s->width > 0 && readable(gl, id) && capture_wanted(capture_of(gl, id))) {
		(void)start_read(gl, id, 0);
	}
}

void gl_scanout_off(struct gl *gl, uint32_t id) {
	gl->scanouts[id].behind = false;
	drop_slots(gl, &gl->scanouts[id]);
	gl_sweep_soon(gl);
}

void gl_scanouts_init(struct gl *gl) {
	list_init(&gl->reads);
	for (unsigned i = 0; i < SCANOUTS_MAX; i++) {
		for (unsigned k = 0; k < GL_SLOTS; k++) {
			gl->scanouts[i].slots[k].fd = -1;
		}
	}
}

void gl_scanouts_forget(struct gl *gl, struct gl_renderer *r) {
	for (unsigned i = 0; i < SCANOUTS_MAX; i++) {
		for (unsigned k = 0; k < GL_SLOTS; k++) {
			if (gl->scanouts[i].slots[k].renderer == r) {
				slot_unshare(&gl->scanouts[i].slots[k]);
			}
		}
	}
}

void gl_scanouts_reset(struct gl *gl) {
	for (unsigned i = 0; i < SCANOUTS_MAX; i++) {
		gl_scanout_off(gl, i);
	}
	while (!list_empty(&gl->reads)) {
		struct gl_read *read = list_first(&gl->reads, struct gl_read, link);
		list_remove(&read->link);
		free(read);
	}
}
