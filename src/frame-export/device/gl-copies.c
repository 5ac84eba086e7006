/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Resources that contexts of several renderers have: a client's buffer, which its compositor samples,
 * or what one context was given by another to draw into. Each renderer has a copy; pixels go from the
 * one that was drawn into last through shared memory, the exchange, to the one that is about to be
 * used. All of that is commands in the renderers' order, so what is copied is what was there when the
 * guest used it; neither renderer waits for the other at any other time.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "gl.h"
#include "gpu.h"
#include "util.h"

#define TARGET_2D 2u /* Gallium's PIPE_TEXTURE_2D */
/* Of all desktops; scanouts need descriptors and numbers, too. */
#define EXCHANGES_MAX 512u

struct gl_exchange {
	uint32_t shadow;
	int fd;
	size_t size;
	/* What was begun with it last; the next comes after that. */
	struct gl_renderer *user; // NULL: nothing
	uint64_t tag;
};

uint32_t gl_shadow_get(struct gl *gl) {
	uint32_t shadow = 0;
	while (shadow < RENDER_MAX_SHADOWS && gl->shadow_used[shadow]) {
		shadow++;
	}
	if (shadow < RENDER_MAX_SHADOWS) {
		gl->shadow_used[shadow] = true;
	}
	return shadow;
}

void gl_shadow_put(struct gl *gl, uint32_t shadow) {
	gl->shadow_used[shadow] = false;
}

int gl_shadow_share(struct gl_renderer *r, const struct render_shadow *s, int fd, int dmabuf) {
	struct render_message m = {.type = RENDER_SHADOW_ADD, .u.shadow = *s};
	const int shared[] = {fd, dmabuf};
	struct render_extra extra = {0};
	for (size_t i = 0; i < ARRAY_SIZE(shared) && shared[i] >= 0; i++) {
		int copy = fcntl(shared[i], F_DUPFD_CLOEXEC, 3);
		if (copy < 0) {
			break; /* without the memory it is refused, without the dmabuf read back */
		}
		extra.fds[extra.n_fds++] = copy;
	}
	return render_command(r->render, &m, &extra, 0);
}

struct gl_copy *gl_copy_in(const struct resource *r, const struct gl_renderer *renderer) {
	struct gl_copy *copy;
	list_for_each(copy, &r->gl->copies, of_resource) {
		if (copy->renderer == renderer) {
			return copy;
		}
	}
	return NULL;
}

int gl_copy_back(struct gl_copy *copy) {
	const struct resource_gl *g = copy->resource->gl;
	struct render_message m = {.type = RENDER_BACKING_ATTACH, .resource = copy->resource->id};
	size_t size = g->n_pieces * sizeof(*g->pieces);
	int result = gl_renderer_share_memory(copy->renderer, g->memory);
	struct render_extra extra = {
		.iov = calloc(1, sizeof(*extra.iov)),
		.n_iov = g->n_pieces > 0 ? 1 : 0,
		.owner = malloc(MAX(size, (size_t)1)),
		.release = free,
	};
	if (result < 0 || !extra.iov || !extra.owner) {
		free(extra.iov);
		free(extra.owner);
		return result < 0 ? result : -ENOMEM;
	}
	memcpy(extra.owner, g->pieces, size);
	extra.iov[0] = (struct iovec){extra.owner, size};
	return render_command(copy->renderer->render, &m, &extra, 0);
}

int gl_copy_make(
	struct gl *gl, struct resource *r, struct gl_renderer *renderer, struct gl_copy **ret) {
	struct resource_gl *g = r->gl;
	bool first = list_empty(&g->copies);
	struct render_message m = {
		.type = RENDER_RESOURCE_CREATE, .resource = r->id, .u.create = g->create};
	if (!first && g->cost > gl->budget) {
		return -ENOMEM;
	}
	struct gl_copy *copy = calloc(1, sizeof(*copy));
	if (!copy) {
		return -ENOMEM;
	}
	int result = render_command(renderer->render, &m, NULL, 0);
	if (result < 0) {
		free(copy);
		return result;
	}
	copy->resource = r;
	copy->renderer = renderer;
	list_append(&g->copies, &copy->of_resource);
	list_append(&renderer->copies, &copy->of_renderer);
	copy->cost = first ? 0 : g->cost;
	gl->budget -= copy->cost;
	g->latest = first ? copy : g->latest;
	*ret = copy;
	return g->pieces ? gl_copy_back(copy) : 0;
}

static void find_latest(struct resource_gl *g) {
	struct gl_copy *copy;
	g->latest = NULL;
	list_for_each(copy, &g->copies, of_resource) {
		if (!g->latest || copy->version > g->latest->version) {
			g->latest = copy;
		}
	}
}

void gl_copy_free(struct gl *gl, struct gl_copy *copy) {
	struct resource_gl *g = copy->resource->gl;
	struct gl_renderer *r = copy->renderer;
	if (copy->shares && gl_renderer_alive(r)) {
		struct render_message m = {
			.type = RENDER_SHADOW_REMOVE, .u.shadow = {.shadow = g->exchange->shadow}};
		(void)render_command(r->render, &m, NULL, 0);
	}
	if (g->exchange && g->exchange->user == r) {
		g->exchange->user = NULL;
	}
	list_remove(&copy->of_resource);
	list_remove(&copy->of_renderer);
	if (g->latest == copy) {
		find_latest(g);
	}
	gl->budget += copy->cost;
	free(copy);
	if (r->contexts == 0) {
		gl_sweep_soon(gl);
	}
}

/* Buffers, arrays and the like are shared by no program that is known; they start empty elsewhere. */
static bool can_exchange(const struct resource *r) {
	const struct render_create *c = &r->gl->create;
	return c->target == TARGET_2D && c->nr_samples <= 1 && c->last_level == 0;
}

static struct gl_exchange *exchange_of(struct gl *gl, struct resource *r) {
	if (r->gl->exchange) {
		return r->gl->exchange;
	}
	size_t size = (size_t)r->width * r->height * gl_pixel_size(r->gl->create.format);
	if (gl->n_exchanges >= EXCHANGES_MAX || size > gl->budget) {
		return NULL;
	}
	struct gl_exchange *x = calloc(1, sizeof(*x));
	uint32_t shadow = x ? gl_shadow_get(gl) : RENDER_MAX_SHADOWS;
	if (shadow == RENDER_MAX_SHADOWS) {
		free(x);
		return NULL;
	}
	x->shadow = shadow;
	x->size = size;
	x->fd = memfd_create("helix-exchange", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (x->fd < 0 || ftruncate(x->fd, (off_t)x->size) < 0 ||
		fcntl(x->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0) {
		gl_shadow_put(gl, shadow);
		(void)close_fd(x->fd);
		free(x);
		return NULL;
	}
	gl->n_exchanges++;
	gl->budget -= size;
	r->gl->exchange = x;
	return x;
}

/* One step by way of the exchange, after the step before it. */
static int step(struct gl *gl, struct gl_copy *copy, uint32_t type) {
	const struct resource *r = copy->resource;
	struct gl_exchange *x = r->gl->exchange;
	uint32_t pixel = gl_pixel_size(r->gl->create.format);
	if (!copy->shares) {
		struct render_shadow shadow = {.shadow = x->shadow, .size = x->size};
		int result = gl_shadow_share(copy->renderer, &shadow, x->fd, -1);
		if (result < 0) {
			return result;
		}
		copy->shares = true;
	}
	struct render_message m = {
		.type = type,
		.resource = r->id,
		.u.read =
			{
				.shadow = x->shadow,
				.width = r->width,
				.height = r->height,
				.stride = r->width * pixel,
				.pixel = pixel,
			},
	};
	struct render_extra extra = {
		.after = x->user ? x->user->render : NULL,
		.after_tag = x->tag,
	};
	uint64_t tag = gpu_new_tag(gl->gpu);
	int result = render_command(copy->renderer->render, &m, &extra, tag);
	if (result >= 0) {
		x->user = copy->renderer;
		x->tag = tag;
	}
	return result;
}

void gl_copy_update(struct gl *gl, struct gl_copy *copy) {
	struct resource_gl *g = copy->resource->gl;
	if (copy->version == g->version || g->latest == copy) {
		return;
	}
	copy->version = g->version;
	if (can_exchange(copy->resource) && exchange_of(gl, copy->resource) &&
		step(gl, g->latest, RENDER_READ) >= 0) {
		(void)step(gl, copy, RENDER_WRITE);
	}
}

void gl_copy_written(struct gl_copy *copy, const struct gl_context *by) {
	struct resource_gl *g = copy->resource->gl;
	copy->version = ++g->version;
	g->latest = copy;
	g->painter = by->serial;
}

void gl_resource_finish(struct gl *gl, struct resource *r) {
	struct resource_gl *g = r->gl;
	while (!list_empty(&g->copies)) {
		gl_copy_free(gl, list_first(&g->copies, struct gl_copy, of_resource));
	}
	if (g->exchange) {
		gl->n_exchanges--;
		gl->budget += g->exchange->size;
		gl_shadow_put(gl, g->exchange->shadow);
		(void)close_fd(g->exchange->fd);
		free(g->exchange);
		g->exchange = NULL;
	}
	free(g->pieces);
	g->pieces = NULL;
	guest_memory_unref(g->memory);
	g->memory = NULL;
	gl->budget += g->cost;
	g->cost = 0;
}
