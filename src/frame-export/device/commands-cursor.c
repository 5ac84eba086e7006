/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The commands of the cursor queue (virtio 1.2, 5.7.6.10). */
#include <errno.h>

#include "commands.h"
#include "util.h"

/* Cursor planes are 64 by 64 with Linux; others are welcome up to this. */
#define CURSOR_MAX_SIDE 256u

/* A copy of a cursor resource's pixels in the order that the wire has. */
static struct cursor_image *read_cursor(
	struct gpu *g, struct resource *r, const struct virtio_gpu_update_cursor *cmd) {
	uint32_t width = r->width, height = r->height;
	if (r->blob) {
		/* A blob has no size of its own; a cursor is 64 by 64 (5.7.6.8, UPDATE_CURSOR). */
		width = height = 64;
	}
	if (width > CURSOR_MAX_SIDE || height > CURSOR_MAX_SIDE) {
		return NULL;
	}
	enum pixel_order order = r->blob ? PIXEL_ORDER_BGRA : r->order;
	uint32_t stride = width * SURFACE_BYTES_PER_PIXEL;
	struct surface *s = resource_surface(&g->resources, r, width, height, stride, 0, order);
	struct cursor_image *image = s ? cursor_image_create(width, height) : NULL;
	if (!image) {
		return NULL;
	}
	image->hot_x = MIN(cmd->hot_x, width - 1);
	image->hot_y = MIN(cmd->hot_y, height - 1);

	static const uint8_t channels[_PIXEL_ORDER_MAX][4] = {
		[PIXEL_ORDER_BGRA] = {0, 1, 2, 3},
		[PIXEL_ORDER_ARGB] = {3, 2, 1, 0},
		[PIXEL_ORDER_RGBA] = {2, 1, 0, 3},
		[PIXEL_ORDER_ABGR] = {1, 2, 3, 0},
	};
	struct rect all = {0, 0, width, height};
	uint8_t scratch[CURSOR_MAX_SIDE * SURFACE_BYTES_PER_PIXEL];
	for (all.y = 0, all.height = 1; all.y < height; all.y++) {
		uint32_t row_stride;
		const uint8_t *row = surface_rows(s, &all, scratch, &row_stride);
		uint8_t *out = image->bgra + (size_t)all.y * stride;
		for (uint32_t i = 0; i < stride; i++) {
			out[i] = row[(i & ~3u) + channels[order][i & 3]];
		}
	}
	return image;
}

static int cmd_update_cursor(struct command *c, const void *body) {
	const struct virtio_gpu_update_cursor *cmd = body;
	struct gpu *g = c->gpu;
	struct cursor_image *image = NULL;
	if (cmd->pos.scanout_id >= g->config.n_scanouts) {
		c->response = VIRTIO_GPU_RESP_ERR_INVALID_SCANOUT_ID;
		return 0;
	}
	if (cmd->resource_id != 0) {
		struct resource *r = resource_find(&g->resources, cmd->resource_id);
		if (!r) {
			return -ENOENT;
		}
		image = read_cursor(g, r, cmd);
		if (!image) {
			return -EINVAL;
		}
	}
	g->config.ops.cursor_defined(
		g->config.ops.data, cmd->pos.scanout_id, image, cmd->pos.x, cmd->pos.y);
	return 0;
}

static int cmd_move_cursor(struct command *c, const void *body) {
	const struct virtio_gpu_update_cursor *cmd = body;
	struct gpu *g = c->gpu;
	if (cmd->pos.scanout_id >= g->config.n_scanouts) {
		c->response = VIRTIO_GPU_RESP_ERR_INVALID_SCANOUT_ID;
		return 0;
	}
	g->config.ops.cursor_moved(g->config.ops.data, cmd->pos.scanout_id, cmd->pos.x, cmd->pos.y);
	return 0;
}

const struct command_handler cursor_commands[] = {
	{VIRTIO_GPU_CMD_UPDATE_CURSOR, sizeof(struct virtio_gpu_update_cursor), cmd_update_cursor},
	{VIRTIO_GPU_CMD_MOVE_CURSOR, sizeof(struct virtio_gpu_update_cursor), cmd_move_cursor},
	{0},
};
