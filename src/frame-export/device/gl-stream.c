/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which resources a command stream draws into. Only what that takes is looked at: which surfaces
 * there are, and which of them is drawn into. Numbers are virgl's (virgl_protocol.h of virglrenderer
 * and Mesa); a command is a word with its kind, object and length, and so many words more. A stream
 * that lies to us is refused by virglrenderer, or gives its own desktop old pictures.
 */
#include <stdlib.h>

#include "gl.h"
#include "gpu.h"
#include "util.h"

enum {
	CMD_CREATE_OBJECT = 1,
	CMD_DESTROY_OBJECT = 3,
	CMD_SET_FRAMEBUFFER_STATE = 5,
	CMD_CLEAR = 7,
	CMD_DRAW_VBO = 8,
	CMD_RESOURCE_INLINE_WRITE = 9,
	CMD_BLIT = 16,
	CMD_RESOURCE_COPY_REGION = 17,
	CMD_SET_SUB_CTX = 28,
	CMD_CREATE_SUB_CTX = 29,
	CMD_DESTROY_SUB_CTX = 30,
	CMD_SET_SHADER_IMAGES = 35,
	CMD_LAUNCH_GRID = 37,
	CMD_TRANSFER3D = 43,
	CMD_COPY_TRANSFER3D = 45,
	CMD_CLEAR_TEXTURE = 47,
	CMD_CLEAR_SURFACE = 62,
};

enum {
	OBJECT_SURFACE = 8,
	OBJECT_MSAA_SURFACE = 11,
};

#define COLOUR_BUFFERS_MAX 8u
#define TRANSFER_FROM_HOST 2u /* TRANSFER3D, direction */
/* Surfaces of one context; of more, the oldest are forgotten. */
#define TARGETS_MAX      4096u
#define SUB_CONTEXTS_MAX 256u

/* A program's GL context, of which a virtio-gpu context has several. */
struct sub_context {
	uint32_t id;
	uint32_t bound[COLOUR_BUFFERS_MAX]; /* resources that are drawn into */
	unsigned n_bound;
	struct list link; // gl_streams.sub_contexts
};

/* A surface: a resource that can be drawn into. */
struct target {
	uint32_t sub_context, handle, resource;
	struct list link; // gl_streams.targets, the newest first
};

static struct sub_context *sub_context_get(struct gl_streams *s, uint32_t id) {
	struct sub_context *sub;
	unsigned n = 0;
	list_for_each(sub, &s->sub_contexts, link) {
		if (sub->id == id) {
			return sub;
		}
		n++;
	}
	sub = n < SUB_CONTEXTS_MAX ? calloc(1, sizeof(*sub)) : NULL;
	if (sub) {
		sub->id = id;
		list_append(&s->sub_contexts, &sub->link);
	}
	return sub;
}

static void target_free(struct gl_streams *s, struct target *t) {
	list_remove(&t->link);
	s->n_targets--;
	free(t);
}

static void sub_context_free(struct gl_streams *s, struct sub_context *sub) {
	struct target *t, *tmp;
	list_for_each_safe(t, tmp, &s->targets, link) {
		if (t->sub_context == sub->id) {
			target_free(s, t);
		}
	}
	s->current = s->current == sub ? NULL : s->current;
	list_remove(&sub->link);
	free(sub);
}

static struct target *find_target(const struct gl_streams *s, uint32_t handle) {
	struct target *t;
	list_for_each(t, &s->targets, link) {
		if (t->handle == handle && t->sub_context == s->current->id) {
			return t;
		}
	}
	return NULL;
}

static void add_target(struct gl_streams *s, uint32_t handle, uint32_t resource) {
	struct target *t = find_target(s, handle);
	if (!t && s->n_targets >= TARGETS_MAX) {
		target_free(s, container_of(s->targets.prev, struct target, link));
	}
	if (!t && (t = calloc(1, sizeof(*t)))) {
		s->n_targets++;
		list_insert(&s->targets, &t->link);
		t->sub_context = s->current->id;
		t->handle = handle;
	}
	if (t) {
		t->resource = resource;
	}
}

/* `words` are those behind the first. */
static void bind_targets(struct gl_streams *s, const uint32_t *words, size_t n) {
	struct sub_context *sub = s->current;
	sub->n_bound = 0;
	for (size_t i = 2; i < n && i - 2 < words[0] && sub->n_bound < COLOUR_BUFFERS_MAX; i++) {
		const struct target *t = words[i] ? find_target(s, words[i]) : NULL;
		if (t) {
			sub->bound[sub->n_bound++] = t->resource;
		}
	}
}

static void bind_images(struct gl_streams *s, const uint32_t *words, size_t n) {
	for (size_t i = 6; i < n && s->n_images < ARRAY_SIZE(s->images); i += 5) {
		unsigned k = 0;
		while (k < s->n_images && s->images[k] != words[i]) {
			k++;
		}
		s->images[k] = words[i];
		s->n_images = MAX(s->n_images, k + 1);
	}
}

static void written(struct gl *gl, const struct gl_context *context, uint32_t id) {
	struct resource *r = resource_find(&gl->gpu->resources, id);
	struct gl_copy *copy = r && r->gl ? gl_copy_in(r, context->renderer) : NULL;
	if (copy) {
		gl_copy_written(copy, context);
	}
}

static void drawn(struct gl *gl, const struct gl_context *context) {
	const struct gl_streams *s = &context->streams;
	for (unsigned i = 0; i < s->current->n_bound; i++) {
		written(gl, context, s->current->bound[i]);
	}
	for (unsigned i = 0; i < s->n_images; i++) {
		written(gl, context, s->images[i]);
	}
}

/* One command that has all the words that it needs: see `needed`. */
static void follow(struct gl *gl, struct gl_context *context, uint32_t header,
	const uint32_t *words, size_t n) {
	struct gl_streams *s = &context->streams;
	uint32_t object = header >> 8 & 0xff;
	struct target *t;
	switch (header & 0xff) {
	case CMD_CREATE_OBJECT:
		if (object == OBJECT_SURFACE || object == OBJECT_MSAA_SURFACE) {
			add_target(s, words[0], words[1]);
		}
		break;
	case CMD_DESTROY_OBJECT:
		t = object == OBJECT_SURFACE || object == OBJECT_MSAA_SURFACE
			? find_target(s, words[0])
			: NULL;
		if (t) {
			target_free(s, t);
		}
		break;
	case CMD_SET_FRAMEBUFFER_STATE:
		bind_targets(s, words, n);
		break;
	case CMD_CLEAR:
	case CMD_DRAW_VBO:
	case CMD_LAUNCH_GRID:
		drawn(gl, context);
		break;
	case CMD_CLEAR_SURFACE:
		t = find_target(s, words[1]);
		if (t) {
			written(gl, context, t->resource);
		}
		break;
	case CMD_BLIT:
		written(gl, context, words[3]);
		break;
	case CMD_TRANSFER3D:
		if (n >= 13 && words[12] == TRANSFER_FROM_HOST) {
			break;
		}
		written(gl, context, words[0]);
		break;
	case CMD_RESOURCE_INLINE_WRITE:
	case CMD_RESOURCE_COPY_REGION:
	case CMD_COPY_TRANSFER3D:
	case CMD_CLEAR_TEXTURE:
		written(gl, context, words[0]);
		break;
	case CMD_SET_SHADER_IMAGES:
		bind_images(s, words, n);
		break;
	default:
		break;
	}
}

/* Words behind the first that `follow` looks at without asking. */
static size_t needed(uint32_t cmd) {
	switch (cmd) {
	case CMD_CREATE_OBJECT:
	case CMD_CLEAR_SURFACE:
		return 2;
	case CMD_BLIT:
		return 4;
	case CMD_DESTROY_OBJECT:
	case CMD_SET_FRAMEBUFFER_STATE:
	case CMD_RESOURCE_INLINE_WRITE:
	case CMD_RESOURCE_COPY_REGION:
	case CMD_TRANSFER3D:
	case CMD_COPY_TRANSFER3D:
	case CMD_CLEAR_TEXTURE:
	case CMD_SET_SUB_CTX:
	case CMD_CREATE_SUB_CTX:
	case CMD_DESTROY_SUB_CTX:
		return 1;
	default:
		return 0;
	}
}

static void switch_sub_context(struct gl_streams *s, uint32_t cmd, uint32_t id) {
	struct sub_context *sub = sub_context_get(s, id);
	if (!sub) {
		return;
	}
	if (cmd == CMD_DESTROY_SUB_CTX) {
		sub_context_free(s, sub);
	} else if (cmd == CMD_SET_SUB_CTX) {
		s->current = sub;
	}
}

void gl_stream_follow(struct gl *gl, struct gl_context *context, const uint32_t *words, size_t n) {
	struct gl_streams *s = &context->streams;
	for (size_t at = 0; at < n;) {
		uint32_t header = words[at], cmd = header & 0xff;
		size_t length = header >> 16;
		if (length > n - at - 1) {
			return;
		}
		/* A context begins in one that nobody made. */
		s->current = s->current ? s->current : sub_context_get(s, 0);
		if (!s->current) {
			return;
		}
		if (length >= needed(cmd)) {
			const uint32_t *body = &words[at + 1];
			if (cmd >= CMD_SET_SUB_CTX && cmd <= CMD_DESTROY_SUB_CTX) {
				switch_sub_context(s, cmd, body[0]);
			} else {
				follow(gl, context, header, body, length);
			}
		}
		at += length + 1;
	}
}

void gl_streams_init(struct gl_streams *s) {
	*s = (struct gl_streams){0};
	list_init(&s->sub_contexts);
	list_init(&s->targets);
}

void gl_streams_finish(struct gl_streams *s) {
	while (!list_empty(&s->sub_contexts)) {
		sub_context_free(s, list_first(&s->sub_contexts, struct sub_context, link));
	}
}
