/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The 3D commands of the control queue. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "gl.h"
#include "log.h"
#include "udmabuf.h"
#include "util.h"

LOG_MODULE("gl");

/* A program of the guest has one; a desktop some ten. */
#define CONTEXTS_MAX 256u

/* Commands that the renderer has not done, with which others are not answered before they are. */
#define BACKLOG_MAX 4096u

static struct gl_context *find_context(struct gl *gl, uint32_t id) {
	struct gl_context *context;
	list_for_each(context, &gl->contexts, link) {
		if (context->id == id) {
			return context;
		}
	}
	return NULL;
}

int gl_ask(struct command *c, struct gl_renderer *r, struct render_message *m,
	struct render_extra *extra) {
	m->context = c->hdr.ctx_id;
	m->flags = c->hdr.flags & VIRTIO_GPU_FLAG_FENCE ? RENDER_FLAG_FENCE : 0;
	uint64_t tag = c->gpu->last_request + 1;
	int result = render_command(r->render, m, extra, tag);
	if (result >= 0) {
		command_hold_render(c, 1, r);
	} else if (result == -ENOMEM) {
		render_give_up(r->render);
	}
	return result;
}

int gl_tell(struct command *c, struct gl_renderer *r, struct render_message *m) {
	if (c->hdr.flags & VIRTIO_GPU_FLAG_FENCE || render_backlog(r->render) >= BACKLOG_MAX) {
		return gl_ask(c, r, m, NULL);
	}
	m->context = c->hdr.ctx_id;
	return render_command(r->render, m, NULL, 0);
}

struct gl_context *gl_context_of(struct command *c) {
	struct gl_context *context = find_context(c->gpu->gl, c->hdr.ctx_id);
	if (!context || context->lost) {
		c->response = VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID;
		return NULL;
	}
	return context;
}

/* Capsets. */

static int cmd_get_capset_info(struct command *c, const void *body) {
	const struct virtio_gpu_get_capset_info *cmd = body;
	const struct render_hello *hello = &c->gpu->gl->capsets.hello;
	struct virtio_gpu_resp_capset_info info = {0};
	if (cmd->capset_index >= hello->n_capsets) {
		return -EINVAL;
	}
	const struct render_capset *capset = &hello->capsets[cmd->capset_index];
	info.capset_id = capset->id;
	info.capset_max_version = capset->version;
	info.capset_max_size = capset->size;
	command_respond(c, VIRTIO_GPU_RESP_OK_CAPSET_INFO, &info.hdr, sizeof(info));
	return 0;
}

static int cmd_get_capset(struct command *c, const void *body) {
	const struct virtio_gpu_get_capset *cmd = body;
	const struct render_capsets *capsets = &c->gpu->gl->capsets;
	for (unsigned i = 0; i < capsets->hello.n_capsets; i++) {
		const struct render_capset *capset = &capsets->hello.capsets[i];
		if (capset->id != cmd->capset_id || cmd->capset_version > capset->version) {
			continue;
		}
		size_t size = sizeof(struct virtio_gpu_resp_capset) + capset->size;
		CLEANUP_FREE struct virtio_gpu_resp_capset *resp = calloc(1, size);
		if (!resp) {
			return -ENOMEM;
		}
		memcpy(resp->capset_data, capsets->data[i], capset->size);
		command_respond(c, VIRTIO_GPU_RESP_OK_CAPSET, &resp->hdr, size);
		return 0;
	}
	return -EINVAL;
}

/* Contexts. */

static int cmd_ctx_create(struct command *c, const void *body) {
	const struct virtio_gpu_ctx_create *cmd = body;
	struct gl *gl = c->gpu->gl;
	struct render_message m = {.type = RENDER_CONTEXT_CREATE};
	if (c->hdr.ctx_id == 0 || find_context(gl, c->hdr.ctx_id)) {
		c->response = VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID;
		return 0;
	}
	if (gl->n_contexts >= CONTEXTS_MAX) {
		return -ENOMEM;
	}
	struct gl_context *context = calloc(1, sizeof(*context));
	int r = context ? gl_renderer_get(gl, &context->renderer) : -ENOMEM;
	if (r < 0) {
		free(context);
		return r;
	}
	size_t n = MIN((size_t)cmd->nlen, sizeof(m.u.name) - 1);
	memcpy(m.u.name, cmd->debug_name, n);
	r = gl_tell(c, context->renderer, &m);
	if (r < 0) {
		gl_renderer_put(context->renderer);
		free(context);
		return r;
	}
	context->id = c->hdr.ctx_id;
	context->serial = ++gl->last_serial;
	gl_streams_init(&context->streams);
	list_append(&gl->contexts, &context->link);
	gl->n_contexts++;
	return 0;
}

static void context_free(struct gl *gl, struct gl_context *context) {
	list_remove(&context->link);
	gl->n_contexts--;
	gl_streams_finish(&context->streams);
	gl_renderer_put(context->renderer);
	free(context);
}

static int cmd_ctx_destroy(struct command *c, const void *body) {
	struct gl_context *context = find_context(c->gpu->gl, c->hdr.ctx_id);
	struct render_message m = {.type = RENDER_CONTEXT_DESTROY};
	(void)body;
	if (!context) {
		c->response = VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID;
		return 0;
	}
	int r = context->lost ? 0 : gl_tell(c, context->renderer, &m);
	context_free(c->gpu->gl, context);
	return r;
}

static int context_resource(struct command *c, uint32_t resource_id, uint32_t type) {
	struct render_message m = {.type = type, .resource = resource_id};
	struct resource *r = resource_find(&c->gpu->resources, resource_id);
	struct gl_context *context = gl_context_of(c);
	if (!context) {
		return 0;
	}
	/*
	 * Linux attaches all that a program has, dumb buffers included. The renderer knows nothing of
	 * those, and no command stream may name them.
	 */
	if (r && !r->gl) {
		return 0;
	}
	if (!r || r->gl->lost) {
		return -ENOENT;
	}
	struct gl_copy *copy = gl_copy_in(r, context->renderer);
	/* The copy stays: its renderer may not have done yet what it was told to do with guest memory. */
	if (type == RENDER_CONTEXT_DETACH) {
		return copy ? gl_tell(c, context->renderer, &m) : -ENOENT;
	}
	int result = copy ? 0 : gl_copy_make(c->gpu->gl, r, context->renderer, &copy);
	if (result < 0) {
		return result;
	}
	if (r->gl->painter == 0) {
		r->gl->painter = context->serial;
	}
	return gl_tell(c, context->renderer, &m);
}

static int cmd_ctx_attach(struct command *c, const void *body) {
	const struct virtio_gpu_ctx_resource *cmd = body;
	return context_resource(c, cmd->resource_id, RENDER_CONTEXT_ATTACH);
}

static int cmd_ctx_detach(struct command *c, const void *body) {
	const struct virtio_gpu_ctx_resource *cmd = body;
	return context_resource(c, cmd->resource_id, RENDER_CONTEXT_DETACH);
}

/* What is in the renderer of the context is as the guest's other programs left it. */
static void update_copies(struct gl *gl, struct gl_renderer *renderer) {
	struct gl_copy *copy;
	list_for_each(copy, &renderer->copies, of_renderer) {
		gl_copy_update(gl, copy);
	}
}

/* The command stream is copied: the guest may have it back before the renderer gets to it. */
static int cmd_submit_3d(struct command *c, const void *body) {
	const struct virtio_gpu_cmd_submit *cmd = body;
	struct render_message m = {.type = RENDER_SUBMIT};
	struct gl_context *context = gl_context_of(c);
	struct gl *gl = c->gpu->gl;
	if (!context) {
		return 0;
	}
	if (cmd->size == 0 || cmd->size % 4 != 0 || cmd->size > RENDER_MAX_PAYLOAD) {
		return -EINVAL;
	}
	uint32_t *words = malloc(cmd->size);
	struct render_extra extra = {
		.iov = calloc(1, sizeof(*extra.iov)), .n_iov = 1, .owner = words, .release = free};
	if (!words || !extra.iov || command_read(c, sizeof(*cmd), words, cmd->size) < cmd->size) {
		int error = words && extra.iov ? -EINVAL : -ENOMEM;
		free(extra.iov);
		free(words);
		return error;
	}
	extra.iov[0] = (struct iovec){words, cmd->size};
	if (!gl->together) {
		update_copies(gl, context->renderer);
		gl_stream_follow(gl, context, words, cmd->size / sizeof(*words));
	}
	return gl_ask(c, context->renderer, &m, &extra);
}

/* The renderer tells. */

bool gl_painter_broken(const struct gl *gl, const struct resource *r) {
	const struct gl_context *context;
	list_for_each(context, &gl->contexts, link) {
		if (context->serial == r->gl->painter) {
			return context->broken || context->lost;
		}
	}
	return false;
}

void gl_tell_losses(struct gl *gl) {
	for (uint32_t id = 0; id < gl->gpu->config.n_scanouts; id++) {
		if (scanout_check_lost(gl->gpu, id)) {
			gl->gpu->config.ops.scanout_changed(gl->gpu->config.ops.data, id);
		}
	}
}

int gl_create(sd_event *loop, const struct gl_config *config, struct gpu *g, struct gl **ret) {
	struct gl *gl = calloc(1, sizeof(*gl));
	if (!gl) {
		return -ENOMEM;
	}
	gl->gpu = g;
	gl->loop = sd_event_ref(loop);
	gl->config = *config;
	gl->budget = config->budget;
	gl->udmabuf = -1;
	list_init(&gl->contexts);
	gl_scanouts_init(gl);
	int r = gl_renderers_init(gl);
	if (r < 0) {
		gl_destroy(gl);
		return r;
	}
	gl->udmabuf = config->direct ? udmabuf_open() : -1;
	*ret = gl;
	return 0;
}

static void clear(struct gl *gl) {
	struct resource *r;
	gl_scanouts_reset(gl);
	for (size_t i = 0; i < RESOURCE_BUCKETS; i++) {
		list_for_each(r, &gl->gpu->resources.buckets[i], link) {
			if (r->gl) {
				gl_resource_finish(gl, r);
			}
		}
	}
	while (!list_empty(&gl->contexts)) {
		context_free(gl, list_first(&gl->contexts, struct gl_context, link));
	}
}

void gl_reset(struct gl *gl) {
	/* New processes are the one reset that leaves nothing of the old guest. */
	clear(gl);
	gl_renderers_clear(gl, false);
}

void gl_destroy(struct gl *gl) {
	if (!gl) {
		return;
	}
	clear(gl);
	gl_renderers_clear(gl, true);
	(void)close_fd(gl->udmabuf);
	sd_event_unref(gl->loop);
	free(gl);
}

unsigned gl_n_capsets(const struct gl *gl) {
	return gl->capsets.hello.n_capsets;
}

const struct command_handler gl_commands[] = {
	{VIRTIO_GPU_CMD_GET_CAPSET_INFO, sizeof(struct virtio_gpu_get_capset_info),
		cmd_get_capset_info},
	{VIRTIO_GPU_CMD_GET_CAPSET, sizeof(struct virtio_gpu_get_capset), cmd_get_capset},
	{VIRTIO_GPU_CMD_CTX_CREATE, sizeof(struct virtio_gpu_ctx_create), cmd_ctx_create},
	{VIRTIO_GPU_CMD_CTX_DESTROY, sizeof(struct virtio_gpu_ctx_destroy), cmd_ctx_destroy},
	{VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE, sizeof(struct virtio_gpu_ctx_resource),
		cmd_ctx_attach},
	{VIRTIO_GPU_CMD_CTX_DETACH_RESOURCE, sizeof(struct virtio_gpu_ctx_resource),
		cmd_ctx_detach},
	{VIRTIO_GPU_CMD_SUBMIT_3D, sizeof(struct virtio_gpu_cmd_submit), cmd_submit_3d},
	{0},
};
