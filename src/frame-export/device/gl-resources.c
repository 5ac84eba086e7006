/* SPDX-License-Identifier: GPL-2.0-or-later */
/* 3D resources, their guest memory, and transfers between the two. */
#include <errno.h>
#include <stdlib.h>

#include "commands.h"
#include "gl.h"
#include "util.h"

/* What a 3D resource costs at least, so that the budget bounds their number, too. */
#define RESOURCE_COST 4096u

#define MAX_LAYERS  2048u
#define MAX_SAMPLES 32u

unsigned gl_pixel_size(uint32_t format) {
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
	case 98: /* the same, sRGB */
	case 99:
	case 100:
	case 101:
	case 102:
	case 103:
	case 104:
	case 121:
	case 131: /* B10G10R10A2 and, without alpha, B10G10R10X2, R10G10B10X2 */
	case 134:
	case 233:
	case 308:
		return 4;
	case 51: /* four channels of 16 bits, and floats, with and without alpha */
	case 94:
	case 234:
	case 236:
		return 8;
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
		MAX(cmd->array_size, 1u) * MAX(cmd->nr_samples, 1u) * gl_pixel_size(cmd->format);
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
	if (!r->gl) {
		resource_destroy(&c->gpu->resources, r);
		return -ENOMEM;
	}
	/* It is made in the renderer of the context that it is attached to, which comes next. */
	*r->gl = (struct resource_gl){
		.create =
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
		.cost = cost,
		.displayable = pixel_order_of(cmd->format, &r->order) == 0 && cmd->target != 0 &&
			cmd->nr_samples <= 1,
	};
	list_init(&r->gl->copies);
	r->width = cmd->width;
	r->height = MAX(cmd->height, 1u);
	gl->budget -= cost;
	return 0;
}

/* Asks all renderers that have it; the command is answered when the last is done. */
static int ask_all(struct command *c, struct resource *r, struct render_message *m) {
	struct gl_copy *copy;
	unsigned n = 0;
	uint64_t tag = c->gpu->last_request + 1;
	list_for_each(copy, &r->gl->copies, of_resource) {
		n += render_command(copy->renderer->render, m, NULL, tag) >= 0 ? 1 : 0;
	}
	if (n > 0) {
		command_hold_render(c, n, NULL);
	}
	return 0;
}

int gl_unref(struct command *c, struct resource *r) {
	struct render_message m = {.type = RENDER_RESOURCE_UNREF, .resource = r->id};
	int result = ask_all(c, r, &m);
	gl_resource_finish(c->gpu->gl, r);
	resource_destroy(&c->gpu->resources, r);
	return result;
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
	struct resource_gl *g = r->gl;
	size_t size = n_pieces * sizeof(struct render_piece);
	if (g->pieces || g->lost || size > RENDER_MAX_PAYLOAD || size > gl->budget) {
		free(pieces);
		return g->pieces ? -EPERM : size > gl->budget ? -ENOMEM : -EINVAL;
	}
	g->pieces = locate(c->queue->memory, pieces, n_pieces);
	free(pieces);
	if (!g->pieces) {
		return -ENOMEM;
	}
	g->n_pieces = n_pieces;
	g->memory = guest_memory_ref(c->queue->memory);
	g->cost += size;
	gl->budget -= size;
	struct gl_copy *copy;
	list_for_each(copy, &g->copies, of_resource) {
		int result = gl_copy_back(copy);
		if (result < 0) {
			return result;
		}
	}
	return 0;
}

int gl_detach_backing(struct command *c, struct resource *r) {
	struct render_message m = {.type = RENDER_BACKING_DETACH, .resource = r->id};
	struct resource_gl *g = r->gl;
	if (!g->pieces) {
		return -EPERM;
	}
	free(g->pieces);
	g->pieces = NULL;
	guest_memory_unref(g->memory);
	g->memory = NULL;
	return ask_all(c, r, &m);
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
	struct resource *r = resource_find(&c->gpu->resources, cmd->resource_id);
	struct gl_context *context = gl_context_of(c);
	if (!context) {
		return 0;
	}
	struct gl_copy *copy = r && r->gl ? gl_copy_in(r, context->renderer) : NULL;
	if (!copy) {
		return -ENOENT;
	}
	gl_copy_update(c->gpu->gl, copy);
	if (type == RENDER_TRANSFER_TO_HOST) {
		gl_copy_written(copy, context);
	}
	return gl_ask(c, context->renderer, &m, NULL);
}

static int cmd_transfer_to_host_3d(struct command *c, const void *body) {
	return transfer(c, body, RENDER_TRANSFER_TO_HOST);
}

static int cmd_transfer_from_host_3d(struct command *c, const void *body) {
	return transfer(c, body, RENDER_TRANSFER_FROM_HOST);
}

const struct command_handler gl_resource_commands[] = {
	{VIRTIO_GPU_CMD_RESOURCE_CREATE_3D, sizeof(struct virtio_gpu_resource_create_3d),
		cmd_resource_create_3d},
	{VIRTIO_GPU_CMD_TRANSFER_TO_HOST_3D, sizeof(struct virtio_gpu_transfer_host_3d),
		cmd_transfer_to_host_3d},
	{VIRTIO_GPU_CMD_TRANSFER_FROM_HOST_3D, sizeof(struct virtio_gpu_transfer_host_3d),
		cmd_transfer_from_host_3d},
	{0},
};
