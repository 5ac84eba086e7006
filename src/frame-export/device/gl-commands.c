/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The 3D commands of the control queue. */
#include <errno.h>
#include <fcntl.h>
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

/* What a 3D resource costs at least, so that the budget bounds their number, too. */
#define RESOURCE_COST 4096u

/* Commands that the renderer has not done, with which others are not answered before they are. */
#define BACKLOG_MAX 4096u

#define MAX_LAYERS  2048u
#define MAX_SAMPLES 32u

struct gl_context {
	uint32_t id;
	uint32_t generation; /* of its renderer */
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

/* Asks the renderer; the command is answered when it is done. `extra` may be NULL. */
static int ask(struct command *c, struct render_message *m, struct render_extra *extra) {
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

/*
 * The same for what a guest does not wait for: unless it is fenced it is answered now, and so keeps
 * no place in a queue that 2D needs, however long the renderer takes. What goes wrong there is seen
 * by what comes next. Bounded, for a guest may send much more than the renderer gets done.
 */
static int tell(struct command *c, struct render_message *m) {
	struct gl *gl = c->gpu->gl;
	if (c->hdr.flags & VIRTIO_GPU_FLAG_FENCE || render_backlog(gl->render) >= BACKLOG_MAX) {
		return ask(c, m, NULL);
	}
	m->context = c->hdr.ctx_id;
	return render_command(gl->render, m, NULL, 0);
}

/* True if the command's context is there, and was not lost; else the answer says so. */
static bool has_context(struct command *c) {
	const struct gl_context *context = find_context(c->gpu->gl, c->hdr.ctx_id);
	if (context && context->generation == render_generation(c->gpu->gl->render)) {
		return true;
	}
	c->response = VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID;
	return false;
}

static struct resource *find_resource(struct command *c, uint32_t id) {
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
	r = tell(c, &m);
	if (r < 0) {
		free(context);
		return r;
	}
	context->id = c->hdr.ctx_id;
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
	return lost ? 0 : tell(c, &m);
}

static int context_resource(struct command *c, uint32_t resource_id, uint32_t type) {
	struct render_message m = {.type = type, .resource = resource_id};
	struct resource *r = resource_find(&c->gpu->resources, resource_id);
	if (!has_context(c)) {
		return 0;
	}
	/*
	 * Linux attaches all that a program has, dumb buffers included. The renderer knows nothing of
	 * those, and no command stream may name them.
	 */
	if (r && !r->gl) {
		return 0;
	}
	return find_resource(c, resource_id) ? tell(c, &m) : -ENOENT;
}

static int cmd_ctx_attach(struct command *c, const void *body) {
	const struct virtio_gpu_ctx_resource *cmd = body;
	return context_resource(c, cmd->resource_id, RENDER_CONTEXT_ATTACH);
}

static int cmd_ctx_detach(struct command *c, const void *body) {
	const struct virtio_gpu_ctx_resource *cmd = body;
	return context_resource(c, cmd->resource_id, RENDER_CONTEXT_DETACH);
}

/* Resources. */

/* Bytes of a pixel, or more, for formats (virgl's numbers) that are not worth a line here. */
static unsigned pixel_size(uint32_t format) {
	switch (format) {
	case 9:  /* L8 */
	case 10: /* A8 */
	case 23: /* S8 */
	case 64: /* R8 */
		return 1;
	case 5: /* B5G5R5A1, B4G4R4A4, B5G6R5 */
	case 6:
	case 7:
	case 12: /* L8A8, L16, Z16 */
	case 13:
	case 16:
	case 65: /* R8G8 */
		return 2;
	case 1: /* four channels of 8 bits in any order, R10G10B10A2 */
	case 2:
	case 3:
	case 4:
	case 8:
	case 17: /* Z32, Z24 with and without stencil */
	case 18:
	case 19:
	case 20:
	case 21:
	case 22:
	case 28: /* R32 */
	case 67:
	case 68:
	case 121:
	case 134:
		return 4;
	default:
		return 16;
	}
}

static int cost_of(const struct virtio_gpu_resource_create_3d *cmd, uint64_t *ret) {
	if (cmd->target == 0) { /* a buffer: its width is in bytes */
		*ret = RESOURCE_COST + cmd->width;
		return 0;
	}
	if (cmd->width == 0 || cmd->height == 0 || cmd->width > RESOURCE_MAX_SIDE ||
		cmd->height > RESOURCE_MAX_SIDE || cmd->depth > MAX_LAYERS ||
		cmd->array_size > MAX_LAYERS || cmd->nr_samples > MAX_SAMPLES) {
		return -EINVAL;
	}
	uint64_t bytes = (uint64_t)cmd->width * cmd->height * MAX(cmd->depth, 1u) *
		MAX(cmd->array_size, 1u) * MAX(cmd->nr_samples, 1u) * pixel_size(cmd->format);
	*ret = RESOURCE_COST + (cmd->last_level > 0 ? bytes + bytes / 3 : bytes);
	return 0;
}

static int cmd_resource_create_3d(struct command *c, const void *body) {
	const struct virtio_gpu_resource_create_3d *cmd = body;
	struct gl *gl = c->gpu->gl;
	struct resource *r;
	uint64_t cost;
	if (cmd->resource_id == 0) {
		return -ENOENT;
	}
	int result = cost_of(cmd, &cost);
	if (result < 0) {
		return result;
	}
	if (cost > gl->budget) {
		return -ENOMEM;
	}
	result = resource_create(&c->gpu->resources, cmd->resource_id, &r);
	if (result < 0) {
		return result;
	}
	r->gl = calloc(1, sizeof(*r->gl));
	struct render_message m = {
		.type = RENDER_RESOURCE_CREATE,
		.resource = cmd->resource_id,
		.u.create =
			{
				.target = cmd->target,
				.format = cmd->format,
				.bind = cmd->bind,
				.width = cmd->width,
				.height = cmd->height,
				.depth = cmd->depth,
				.array_size = cmd->array_size,
				.last_level = cmd->last_level,
				.nr_samples = cmd->nr_samples,
				.flags = cmd->flags,
			},
	};
	result = r->gl ? tell(c, &m) : -ENOMEM;
	if (result < 0) {
		resource_destroy(&c->gpu->resources, r);
		return result;
	}
	r->width = cmd->width;
	r->height = MAX(cmd->height, 1u);
	r->gl->displayable = pixel_order_of(cmd->format, &r->order) == 0 && cmd->target != 0 &&
		cmd->nr_samples <= 1;
	r->gl->generation = render_generation(gl->render);
	r->gl->cost = cost;
	gl->budget -= cost;
	return 0;
}

int gl_unref(struct command *c, struct resource *r) {
	struct render_message m = {.type = RENDER_RESOURCE_UNREF, .resource = r->id};
	bool lost = r->gl->generation != render_generation(c->gpu->gl->render);
	c->gpu->gl->budget += r->gl->cost;
	resource_destroy(&c->gpu->resources, r);
	return lost ? 0 : ask(c, &m, NULL);
}

static void release_memory(void *memory) {
	guest_memory_unref(memory);
}

/* The renderer maps what the guest's RAM is now. */
static int share_memory(struct gl *gl, struct guest_memory *memory) {
	uint32_t generation = render_generation(gl->render);
	if (gl->memory == memory && gl->memory_generation == generation) {
		return 0;
	}
	struct render_message m = {.type = RENDER_MEMORY};
	struct render_extra extra = {0};
	struct render_region *regions = calloc(memory->n_regions, sizeof(*regions));
	extra.iov = calloc(1, sizeof(*extra.iov));
	if (!regions || !extra.iov || memory->n_regions > RENDER_MAX_REGIONS) {
		free(regions);
		free(extra.iov);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < memory->n_regions; i++) {
		const struct guest_region *region = &memory->regions[i];
		regions[i] = (struct render_region){region->size, region->fd_offset};
		extra.fds[i] = fcntl(region->fd, F_DUPFD_CLOEXEC, 3);
		extra.n_fds += extra.fds[i] >= 0 ? 1 : 0;
	}
	extra.iov[0] = (struct iovec){regions, memory->n_regions * sizeof(*regions)};
	extra.n_iov = 1;
	extra.owner = regions;
	extra.release = free;
	int r = render_command(gl->render, &m, &extra, 0);
	if (r < 0) {
		return r;
	}
	struct guest_memory *old = gl->memory;
	gl->memory = guest_memory_ref(memory);
	gl->memory_generation = generation;
	guest_memory_unref(old);
	return 0;
}

static struct render_piece *locate(
	const struct guest_memory *memory, const struct iovec *pieces, uint32_t n) {
	struct render_piece *out = calloc(MAX(n, 1u), sizeof(*out));
	for (uint32_t i = 0; out && i < n; i++) {
		const uint8_t *p = pieces[i].iov_base;
		uint32_t k = 0;
		while (k < memory->n_regions - 1 &&
			!(p >= memory->regions[k].base &&
				(size_t)(p - memory->regions[k].base) < memory->regions[k].size)) {
			k++;
		}
		out[i] = (struct render_piece){
			.region = k,
			.length = (uint32_t)pieces[i].iov_len,
			.offset = (uint64_t)(p - memory->regions[k].base),
		};
	}
	return out;
}

int gl_attach_backing(
	struct command *c, struct resource *r, struct iovec *pieces, uint32_t n_pieces) {
	struct gl *gl = c->gpu->gl;
	struct render_message m = {.type = RENDER_BACKING_ATTACH, .resource = r->id};
	size_t size = n_pieces * sizeof(struct render_piece);
	if (r->gl->attached || r->gl->generation != render_generation(gl->render) ||
		size > RENDER_MAX_PAYLOAD || size > gl->budget) {
		free(pieces);
		return r->gl->attached ? -EPERM : size > gl->budget ? -ENOMEM : -EINVAL;
	}
	int result = share_memory(gl, c->queue->memory);
	struct render_piece *list = result < 0 ? NULL : locate(c->queue->memory, pieces, n_pieces);
	pieces[0] = (struct iovec){list, size};
	struct render_extra extra = {
		.iov = pieces, .n_iov = n_pieces > 0 ? 1 : 0, .owner = list, .release = free};
	if (!list) {
		free(pieces);
		return result < 0 ? result : -ENOMEM;
	}
	result = ask(c, &m, &extra);
	if (result >= 0) {
		r->gl->attached = true;
		r->gl->cost += size;
		gl->budget -= size;
	}
	return result;
}

int gl_detach_backing(struct command *c, struct resource *r) {
	struct render_message m = {.type = RENDER_BACKING_DETACH, .resource = r->id};
	if (!r->gl->attached) {
		return -EPERM;
	}
	r->gl->attached = false;
	bool lost = r->gl->generation != render_generation(c->gpu->gl->render);
	return lost ? 0 : ask(c, &m, NULL);
}

static int transfer(
	struct command *c, const struct virtio_gpu_transfer_host_3d *cmd, uint32_t type) {
	struct render_message m = {
		.type = type,
		.resource = cmd->resource_id,
		.u.transfer =
			{
				.x = cmd->box.x,
				.y = cmd->box.y,
				.z = cmd->box.z,
				.width = cmd->box.w,
				.height = cmd->box.h,
				.depth = cmd->box.d,
				.level = cmd->level,
				.stride = cmd->stride,
				.layer_stride = cmd->layer_stride,
				.offset = cmd->offset,
			},
	};
	if (!has_context(c)) {
		return 0;
	}
	return find_resource(c, cmd->resource_id) ? ask(c, &m, NULL) : -ENOENT;
}

static int cmd_transfer_to_host_3d(struct command *c, const void *body) {
	return transfer(c, body, RENDER_TRANSFER_TO_HOST);
}

static int cmd_transfer_from_host_3d(struct command *c, const void *body) {
	return transfer(c, body, RENDER_TRANSFER_FROM_HOST);
}

/* The command stream stays in guest memory until the renderer's ring has room for it. */
static int cmd_submit_3d(struct command *c, const void *body) {
	const struct virtio_gpu_cmd_submit *cmd = body;
	struct render_message m = {.type = RENDER_SUBMIT};
	size_t skip = sizeof(*cmd), left = cmd->size;
	if (!has_context(c)) {
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
	return ask(c, &m, &extra);
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
	gl->udmabuf = config->direct ? udmabuf_open() : -1;
	struct render_config render = {
		.program = config->program,
		.render_node = config->render_node,
		.patience_ns = config->patience_ns,
		.done = handle_done,
		.lost = handle_lost,
		.data = gl,
	};
	int r = render_create(loop, &render, &gl->render);
	if (r < 0) {
		(void)close_fd(gl->udmabuf);
		free(gl);
		return r;
	}
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
	{VIRTIO_GPU_CMD_RESOURCE_CREATE_3D, sizeof(struct virtio_gpu_resource_create_3d),
		cmd_resource_create_3d},
	{VIRTIO_GPU_CMD_TRANSFER_TO_HOST_3D, sizeof(struct virtio_gpu_transfer_host_3d),
		cmd_transfer_to_host_3d},
	{VIRTIO_GPU_CMD_TRANSFER_FROM_HOST_3D, sizeof(struct virtio_gpu_transfer_host_3d),
		cmd_transfer_from_host_3d},
	{VIRTIO_GPU_CMD_SUBMIT_3D, sizeof(struct virtio_gpu_cmd_submit), cmd_submit_3d},
	{0},
};
