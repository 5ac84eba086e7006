/* SPDX-License-Identifier: GPL-2.0-or-later */
/* 3D resources, their guest memory, and transfers between the two. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "commands.h"
#include "gl.h"
#include "util.h"

/* What a 3D resource costs at least, so that the budget bounds their number, too. */
#define RESOURCE_COST 4096u

#define MAX_LAYERS  2048u
#define MAX_SAMPLES 32u

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
	result = r->gl ? gl_tell(c, &m) : -ENOMEM;
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
	return lost ? 0 : gl_ask(c, &m, NULL);
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
	result = gl_ask(c, &m, &extra);
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
	return lost ? 0 : gl_ask(c, &m, NULL);
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
	if (!gl_has_context(c)) {
		return 0;
	}
	return gl_find_resource(c, cmd->resource_id) ? gl_ask(c, &m, NULL) : -ENOENT;
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
