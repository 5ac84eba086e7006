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

struct gl_context {
	uint32_t id;
	uint32_t generation; /* of its renderer */
	uint64_t serial;     /* numbers are used again */
	bool broken;         /* GL takes nothing more of it */
	struct list link;    // gl.contexts
};

static struct gl_context *find_context(struct gl *gl, uint32_t id) {
	struct gl_context *context;
	list_for_each(context, &gl->contexts, link) {
		if (context->id == id) {
			return context;
		}
	}
	return NULL;
}

int gl_ask(struct command *c, struct render_message *m, struct render_extra *extra) {
	struct gl *gl = c->gpu->gl;
	m->context = c->hdr.ctx_id;
	m->flags = c->hdr.flags & VIRTIO_GPU_FLAG_FENCE ? RENDER_FLAG_FENCE : 0;
	uint64_t tag = c->gpu->last_request + 1;
	int r = render_command(gl->render, m, extra, tag);
	if (r >= 0) {
		command_hold_render(c, 1, true);
	}
	return r;
}

int gl_tell(struct command *c, struct render_message *m) {
	struct gl *gl = c->gpu->gl;
	if (c->hdr.flags & VIRTIO_GPU_FLAG_FENCE || render_backlog(gl->render) >= BACKLOG_MAX) {
		return gl_ask(c, m, NULL);
	}
	m->context = c->hdr.ctx_id;
	return render_command(gl->render, m, NULL, 0);
}

bool gl_has_context(struct command *c) {
	const struct gl_context *context = find_context(c->gpu->gl, c->hdr.ctx_id);
	if (context && context->generation == render_generation(c->gpu->gl->render)) {
		return true;
	}
	c->response = VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID;
	return false;
}

struct resource *gl_find_resource(struct command *c, uint32_t id) {
	struct resource *r = resource_find(&c->gpu->resources, id);
	return r && r->gl && r->gl->generation == render_generation(c->gpu->gl->render) ? r : NULL;
}

/* Capsets. */

static int cmd_get_capset_info(struct command *c, const void *body) {
	const struct virtio_gpu_get_capset_info *cmd = body;
	struct render *render = c->gpu->gl->render;
	struct virtio_gpu_resp_capset_info info = {0};
	const void *data;
	if (cmd->capset_index >= render_n_capsets(render)) {
		return -EINVAL;
	}
	const struct render_capset *capset = render_capset(render, cmd->capset_index, &data);
	info.capset_id = capset->id;
	info.capset_max_version = capset->version;
	info.capset_max_size = capset->size;
	command_respond(c, VIRTIO_GPU_RESP_OK_CAPSET_INFO, &info.hdr, sizeof(info));
	return 0;
}

static int cmd_get_capset(struct command *c, const void *body) {
	const struct virtio_gpu_get_capset *cmd = body;
	struct render *render = c->gpu->gl->render;
	for (unsigned i = 0; i < render_n_capsets(render); i++) {
		const void *data;
		const struct render_capset *capset = render_capset(render, i, &data);
		if (capset->id != cmd->capset_id || cmd->capset_version > capset->version) {
			continue;
		}
		size_t size = sizeof(struct virtio_gpu_resp_capset) + capset->size;
		CLEANUP_FREE struct virtio_gpu_resp_capset *resp = calloc(1, size);
		if (!resp) {
			return -ENOMEM;
		}
		memcpy(resp->capset_data, data, capset->size);
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
	int r = render_start(gl->render);
	if (r < 0) {
		return r;
	}
	struct gl_context *context = calloc(1, sizeof(*context));
	if (!context) {
		return -ENOMEM;
	}
	size_t n = MIN((size_t)cmd->nlen, sizeof(m.u.name) - 1);
	memcpy(m.u.name, cmd->debug_name, n);
	r = gl_tell(c, &m);
	if (r < 0) {
		free(context);
		return r;
	}
	context->id = c->hdr.ctx_id;
	context->serial = ++gl->last_serial;
	context->generation = render_generation(gl->render);
	list_append(&gl->contexts, &context->link);
	gl->n_contexts++;
	return 0;
}

static int cmd_ctx_destroy(struct command *c, const void *body) {
	struct gl *gl = c->gpu->gl;
	struct gl_context *context = find_context(gl, c->hdr.ctx_id);
	struct render_message m = {.type = RENDER_CONTEXT_DESTROY};
	(void)body;
	if (!context) {
		c->response = VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID;
		return 0;
	}
	bool lost = context->generation != render_generation(gl->render);
	list_remove(&context->link);
	free(context);
	gl->n_contexts--;
	return lost ? 0 : gl_tell(c, &m);
}

static int context_resource(struct command *c, uint32_t resource_id, uint32_t type) {
	struct gl *gl = c->gpu->gl;
	struct render_message m = {.type = type, .resource = resource_id};
	struct resource *r = resource_find(&c->gpu->resources, resource_id);
	if (!gl_has_context(c)) {
		return 0;
	}
	/*
	 * Linux attaches all that a program has, dumb buffers included. The renderer knows nothing of
	 * those, and no command stream may name them.
	 */
	if (r && !r->gl) {
		return 0;
	}
	if (!gl_find_resource(c, resource_id)) {
		return -ENOENT;
	}
	if (r->gl->painter == 0) {
		r->gl->painter = find_context(gl, c->hdr.ctx_id)->serial;
	}
	return gl_tell(c, &m);
}

static int cmd_ctx_attach(struct command *c, const void *body) {
	const struct virtio_gpu_ctx_resource *cmd = body;
	return context_resource(c, cmd->resource_id, RENDER_CONTEXT_ATTACH);
}

static int cmd_ctx_detach(struct command *c, const void *body) {
	const struct virtio_gpu_ctx_resource *cmd = body;
	return context_resource(c, cmd->resource_id, RENDER_CONTEXT_DETACH);
}

static void release_memory(void *memory) {
	guest_memory_unref(memory);
}

/* The command stream stays in guest memory until the renderer's ring has room for it. */
static int cmd_submit_3d(struct command *c, const void *body) {
	const struct virtio_gpu_cmd_submit *cmd = body;
	struct render_message m = {.type = RENDER_SUBMIT};
	size_t skip = sizeof(*cmd), left = cmd->size;
	if (!gl_has_context(c)) {
		return 0;
	}
	if (left == 0 || left % 4 != 0 || left > RENDER_MAX_PAYLOAD ||
		left > iov_size(c->chain->out, c->chain->n_out) - skip) {
		return -EINVAL;
	}
	struct render_extra extra = {
		.iov = calloc(c->chain->n_out, sizeof(*extra.iov)),
		.owner = guest_memory_ref(c->queue->memory),
		.release = release_memory,
	};
	if (!extra.iov) {
		guest_memory_unref(c->queue->memory);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < c->chain->n_out && left > 0; i++) {
		const struct iovec *from = &c->chain->out[i];
		if (skip >= from->iov_len) {
			skip -= from->iov_len;
			continue;
		}
		size_t part = MIN(from->iov_len - skip, left);
		extra.iov[extra.n_iov++] = (struct iovec){(uint8_t *)from->iov_base + skip, part};
		left -= part;
		skip = 0;
	}
	return gl_ask(c, &m, &extra);
}

void gl_order(struct command *c) {
	struct gl *gl = c->gpu->gl;
	struct render_message m = {.type = RENDER_NOP, .flags = RENDER_FLAG_FENCE};
	if (!render_busy(gl->render)) {
		return;
	}
	uint64_t tag = c->gpu->last_request + 1;
	if (render_command(gl->render, &m, NULL, tag) >= 0) {
		command_hold_render(c, 1, false);
	}
}

/* The renderer tells. */

static void handle_done(void *data, uint64_t tag, int error) {
	struct gl *gl = data;
	if (!gl_read_done(gl, tag, error)) {
		gpu_render_done(gl->gpu, tag, error);
	}
}

bool gl_painter_broken(const struct gl *gl, const struct resource *r) {
	const struct gl_context *context;
	list_for_each(context, &gl->contexts, link) {
		if (context->serial == r->gl->painter) {
			return context->broken;
		}
	}
	return false;
}

static void tell_losses(struct gl *gl) {
	for (uint32_t id = 0; id < gl->gpu->config.n_scanouts; id++) {
		if (scanout_check_lost(gl->gpu, id)) {
			gl->gpu->config.ops.scanout_changed(gl->gpu->config.ops.data, id);
		}
	}
}

static void handle_refused(void *data, uint32_t id) {
	struct gl *gl = data;
	struct gl_context *context = find_context(gl, id);
	if (context && !context->broken) {
		log_debug("context %u is broken", id);
		context->broken = true;
		tell_losses(gl);
	}
}

static void handle_lost(void *data) {
	struct gl *gl = data;
	for (size_t i = 0; i < RESOURCE_BUCKETS; i++) {
		struct resource *r;
		list_for_each(r, &gl->gpu->resources.buckets[i], link) {
			if (r->gl) {
				gl->budget += r->gl->cost;
				r->gl->cost = 0;
			}
		}
	}
	tell_losses(gl);
}

int gl_create(sd_event *loop, const struct gl_config *config, struct gpu *g, struct gl **ret) {
	struct gl *gl = calloc(1, sizeof(*gl));
	if (!gl) {
		return -ENOMEM;
	}
	gl->gpu = g;
	gl->config = *config;
	gl->budget = config->budget;
	list_init(&gl->contexts);
	gl_scanouts_init(gl);
	struct render_config render = {
		.program = config->program,
		.render_node = config->render_node,
		.patience_ns = config->patience_ns,
		.done = handle_done,
		.refused = handle_refused,
		.lost = handle_lost,
		.data = gl,
	};
	int r = render_create(loop, &render, &gl->render);
	if (r < 0) {
		free(gl);
		return r;
	}
	gl->udmabuf = config->direct ? udmabuf_open() : -1;
	*ret = gl;
	return 0;
}

static void clear(struct gl *gl) {
	render_stop(gl->render);
	gl_scanouts_reset(gl);
	while (!list_empty(&gl->contexts)) {
		struct gl_context *context = list_first(&gl->contexts, struct gl_context, link);
		list_remove(&context->link);
		free(context);
	}
	gl->n_contexts = 0;
	guest_memory_unref(gl->memory);
	gl->memory = NULL;
	gl->budget = gl->config.budget;
}

void gl_reset(struct gl *gl) {
	/* A new process is the one reset that leaves nothing of the old guest. */
	clear(gl);
	(void)render_start(gl->render);
}

void gl_destroy(struct gl *gl) {
	if (!gl) {
		return;
	}
	clear(gl);
	render_destroy(gl->render);
	(void)close_fd(gl->udmabuf);
	free(gl);
}

unsigned gl_n_capsets(const struct gl *gl) {
	return render_n_capsets(gl->render);
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
