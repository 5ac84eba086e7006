/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The commands of the control queue (virtio 1.2, 5.7.6.8). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "edid.h"
#include "util.h"

/* Scanouts. */

static struct capture *capture_of(const struct gpu *g, uint32_t scanout) {
	return g->config.captures ? g->config.captures[scanout] : NULL;
}

bool scanout_check_lost(struct gpu *g, uint32_t id) {
	unsigned bit = 1u << id;
	bool lost = g->gl && gl_scanout_lost(g->gl, id);
	unsigned before = lost ? atomic_fetch_or(&g->lost, bit) : atomic_fetch_and(&g->lost, ~bit);
	return lost != ((before & bit) != 0);
}

void scanout_off(struct gpu *g, uint32_t id) {
	struct gpu_scanout *s = &g->scanouts[id];
	if (!s->resource) {
		return;
	}
	s->resource->scanouts &= ~(1u << id);
	*s = (struct gpu_scanout){0};
	if (g->gl) {
		gl_scanout_off(g->gl, id);
	}
	if (capture_of(g, id)) {
		capture_blank(capture_of(g, id));
	}
	(void)scanout_check_lost(g, id);
	g->config.ops.scanout_changed(g->config.ops.data, id);
}

/* Nothing may show a resource whose pages go. */
static void hide_resource(struct gpu *g, struct resource *r) {
	for (uint32_t id = 0; r->scanouts && id < g->config.n_scanouts; id++) {
		if (r->scanouts & 1u << id) {
			scanout_off(g, id);
		}
	}
}

static void scanout_set(struct gpu *g, uint32_t id, const struct gpu_scanout *to) {
	struct gpu_scanout *s = &g->scanouts[id];
	const struct rect *a = &s->viewport, *b = &to->viewport;
	bool same = s->resource == to->resource && s->width == to->width &&
		s->height == to->height && s->stride == to->stride && s->offset == to->offset &&
		s->order == to->order && a->x == b->x && a->y == b->y && a->width == b->width &&
		a->height == b->height;
	bool resized = s->resized || a->width != b->width || a->height != b->height;
	if (same) {
		return;
	}
	if (s->resource) {
		s->resource->scanouts &= ~(1u << id);
	}
	*s = *to;
	s->full_damage = true;
	s->resized = resized;
	s->resource->scanouts |= 1u << id;
	if (scanout_check_lost(g, id)) {
		g->config.ops.scanout_changed(g->config.ops.data, id);
	}
}

/* Within `width` by `height`, not empty, no sum that wraps. */
static bool rect_valid(const struct virtio_gpu_rect *r, uint32_t width, uint32_t height) {
	return r->width > 0 && r->height > 0 && r->x < width && r->y < height &&
		r->width <= width - r->x && r->height <= height - r->y;
}

static struct rect rect_of(const struct virtio_gpu_rect *r) {
	return (struct rect){r->x, r->y, r->width, r->height};
}

int pixel_order_of(uint32_t format, enum pixel_order *ret) {
	switch (format) {
	case VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM:
	case VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM:
		*ret = PIXEL_ORDER_BGRA;
		return 0;
	case VIRTIO_GPU_FORMAT_A8R8G8B8_UNORM:
	case VIRTIO_GPU_FORMAT_X8R8G8B8_UNORM:
		*ret = PIXEL_ORDER_ARGB;
		return 0;
	case VIRTIO_GPU_FORMAT_R8G8B8A8_UNORM:
	case VIRTIO_GPU_FORMAT_R8G8B8X8_UNORM:
		*ret = PIXEL_ORDER_RGBA;
		return 0;
	case VIRTIO_GPU_FORMAT_A8B8G8R8_UNORM:
	case VIRTIO_GPU_FORMAT_X8B8G8R8_UNORM:
		*ret = PIXEL_ORDER_ABGR;
		return 0;
	default:
		return -EINVAL;
	}
}

/* The commands. */

static int cmd_get_display_info(struct command *c, const void *body) {
	struct virtio_gpu_resp_display_info info = {0};
	struct gpu_output outputs[SCANOUTS_MAX];
	(void)body;
	c->gpu->config.ops.outputs_told(c->gpu->config.ops.data, -1);
	c->gpu->config.ops.get_outputs(c->gpu->config.ops.data, outputs, c->gpu->config.n_scanouts);
	for (unsigned i = 0; i < c->gpu->config.n_scanouts; i++) {
		if (outputs[i].enabled) {
			info.pmodes[i].enabled = 1;
			info.pmodes[i].r.width = outputs[i].width;
			info.pmodes[i].r.height = outputs[i].height;
		}
	}
	command_respond(c, VIRTIO_GPU_RESP_OK_DISPLAY_INFO, &info.hdr, sizeof(info));
	return 0;
}

static int cmd_get_edid(struct command *c, const void *body) {
	const struct virtio_gpu_cmd_get_edid *cmd = body;
	struct virtio_gpu_resp_edid resp = {0};
	struct gpu_output outputs[SCANOUTS_MAX];
	if (cmd->scanout >= c->gpu->config.n_scanouts) {
		return -EINVAL;
	}
	c->gpu->config.ops.outputs_told(c->gpu->config.ops.data, (int)cmd->scanout);
	c->gpu->config.ops.get_outputs(c->gpu->config.ops.data, outputs, c->gpu->config.n_scanouts);
	const struct gpu_output *o = &outputs[cmd->scanout];
	struct edid_monitor monitor = {o->width, o->height, o->refresh, cmd->scanout};
	int size = edid_write(&monitor, resp.edid);
	/* An output that is off has no monitor, hence no EDID. */
	resp.size = o->enabled && size > 0 ? (uint32_t)size : 0;
	command_respond(c, VIRTIO_GPU_RESP_OK_EDID, &resp.hdr, sizeof(resp));
	return 0;
}

static int cmd_resource_create_2d(struct command *c, const void *body) {
	const struct virtio_gpu_resource_create_2d *cmd = body;
	enum pixel_order order;
	struct resource *r;
	if (cmd->resource_id == 0) {
		return -ENOENT;
	}
	if (pixel_order_of(cmd->format, &order) < 0 || cmd->width == 0 || cmd->height == 0 ||
		cmd->width > RESOURCE_MAX_SIDE || cmd->height > RESOURCE_MAX_SIDE) {
		return -EINVAL;
	}
	int result = resource_create(&c->gpu->resources, cmd->resource_id, &r);
	if (result < 0) {
		return result;
	}
	r->width = cmd->width;
	r->height = cmd->height;
	r->order = order;
	return 0;
}

/* Reads a list of `n` memory entries that follows `offset` bytes of request; checks each. */
static int read_entries(struct command *c, size_t offset, uint32_t n, struct iovec **ret) {
	struct virtio_gpu_mem_entry entries[256];
	if (n > BACKING_MAX_ENTRIES ||
		iov_size(c->chain->out, c->chain->n_out) <
			offset + (size_t)n * sizeof(entries[0])) {
		return -EINVAL;
	}
	struct iovec *pieces = calloc(MAX(n, 1u), sizeof(*pieces));
	if (!pieces) {
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < n; i++) {
		uint32_t k = i % ARRAY_SIZE(entries);
		if (k == 0) {
			size_t part =
				MIN((size_t)(n - i), ARRAY_SIZE(entries)) * sizeof(entries[0]);
			(void)command_read(
				c, offset + (size_t)i * sizeof(entries[0]), entries, part);
		}
		void *p = entries[k].length > 0
			? guest_memory_at(c->queue->memory, entries[k].addr, entries[k].length)
			: NULL;
		if (!p) {
			free(pieces);
			return -EINVAL;
		}
		pieces[i] = (struct iovec){p, entries[k].length};
	}
	*ret = pieces;
	return 0;
}

static int cmd_attach_backing(struct command *c, const void *body) {
	const struct virtio_gpu_resource_attach_backing *cmd = body;
	struct resource *r = resource_find(&c->gpu->resources, cmd->resource_id);
	struct iovec *pieces;
	if (!r || r->blob || r->backing) {
		return r ? -EPERM : -ENOENT;
	}
	int result = read_entries(c, sizeof(*cmd), cmd->nr_entries, &pieces);
	if (result < 0) {
		return result;
	}
	if (r->gl) {
		return gl_attach_backing(c, r, pieces, cmd->nr_entries);
	}
	return resource_attach(&c->gpu->resources, r, c->queue->memory, pieces, cmd->nr_entries);
}

/* Takes the pages from a resource; the answer waits while they are being read. */
static void detach(struct command *c, struct resource *r) {
	hide_resource(c->gpu, r);
	uint64_t id = c->gpu->last_request + 1;
	if (resource_detach(&c->gpu->resources, r, id)) {
		command_hold(c, 1);
	}
}

static int cmd_detach_backing(struct command *c, const void *body) {
	const struct virtio_gpu_resource_detach_backing *cmd = body;
	struct resource *r = resource_find(&c->gpu->resources, cmd->resource_id);
	if (r && r->gl) {
		return gl_detach_backing(c, r);
	}
	if (!r || !r->backing || r->blob) {
		return r ? -EPERM : -ENOENT;
	}
	detach(c, r);
	return 0;
}

static int cmd_resource_unref(struct command *c, const void *body) {
	const struct virtio_gpu_resource_unref *cmd = body;
	struct resource *r = resource_find(&c->gpu->resources, cmd->resource_id);
	if (!r) {
		return -ENOENT;
	}
	if (r->gl) {
		hide_resource(c->gpu, r);
		return gl_unref(c, r);
	}
	detach(c, r);
	resource_destroy(&c->gpu->resources, r);
	return 0;
}

/*
 * What both kinds of SET_SCANOUT start with. 1: the scanout is to show `*ret`; 0: the command is done
 * with, the scanout was turned off or does not exist.
 */
static int scanout_target(
	struct command *c, uint32_t scanout_id, uint32_t resource_id, struct resource **ret) {
	if (scanout_id >= c->gpu->config.n_scanouts) {
		c->response = VIRTIO_GPU_RESP_ERR_INVALID_SCANOUT_ID;
		return 0;
	}
	if (resource_id == 0) {
		scanout_off(c->gpu, scanout_id);
		return 0;
	}
	*ret = resource_find(&c->gpu->resources, resource_id);
	return *ret ? 1 : -ENOENT;
}

static int cmd_set_scanout(struct command *c, const void *body) {
	const struct virtio_gpu_set_scanout *cmd = body;
	struct resource *r;
	int result = scanout_target(c, cmd->scanout_id, cmd->resource_id, &r);
	if (result <= 0) {
		return result;
	}
	if (r->blob || (r->gl && !r->gl->displayable) ||
		!rect_valid(&cmd->r, r->width, r->height) || cmd->r.width > PICTURE_MAX_SIDE ||
		cmd->r.height > PICTURE_MAX_SIDE) {
		return -EINVAL;
	}
	scanout_set(c->gpu, cmd->scanout_id,
		&(struct gpu_scanout){
			.resource = r,
			.width = r->width,
			.height = r->height,
			.stride = r->width * SURFACE_BYTES_PER_PIXEL,
			.viewport = rect_of(&cmd->r),
			.order = r->order,
		});
	return 0;
}

static int cmd_set_scanout_blob(struct command *c, const void *body) {
	const struct virtio_gpu_set_scanout_blob *cmd = body;
	struct resource *r;
	int result = scanout_target(c, cmd->scanout_id, cmd->resource_id, &r);
	if (result <= 0) {
		return result;
	}
	if (!r->blob) {
		return -ENOENT;
	}
	struct gpu_scanout to = {
		.resource = r,
		.width = cmd->width,
		.height = cmd->height,
		.stride = cmd->strides[0],
		.offset = cmd->offsets[0],
		.viewport = rect_of(&cmd->r),
	};
	if (pixel_order_of(cmd->format, &to.order) < 0 || cmd->width == 0 || cmd->height == 0 ||
		cmd->width > RESOURCE_MAX_SIDE || cmd->height > RESOURCE_MAX_SIDE ||
		to.stride < cmd->width * SURFACE_BYTES_PER_PIXEL ||
		!rect_valid(&cmd->r, cmd->width, cmd->height) || cmd->r.width > PICTURE_MAX_SIDE ||
		cmd->r.height > PICTURE_MAX_SIDE) {
		return -EINVAL;
	}
	uint64_t end = (uint64_t)to.offset + (uint64_t)to.stride * (cmd->height - 1) +
		(uint64_t)cmd->width * SURFACE_BYTES_PER_PIXEL;
	if (end > r->blob_size) {
		return -EINVAL;
	}
	/* What a flush of the blob is checked against. */
	r->width = cmd->width;
	r->height = cmd->height;
	scanout_set(c->gpu, cmd->scanout_id, &to);
	return 0;
}

static int cmd_transfer_to_host_2d(struct command *c, const void *body) {
	const struct virtio_gpu_transfer_to_host_2d *cmd = body;
	struct resource *r = resource_find(&c->gpu->resources, cmd->resource_id);
	if (!r) {
		return -ENOENT;
	}
	/* A blob in guest memory is its own host copy: nothing to do (5.7.6.8, RESOURCE_CREATE_BLOB). */
	if (r->blob) {
		return 0;
	}
	if (r->gl || !rect_valid(&cmd->r, r->width, r->height)) {
		return -EINVAL;
	}
	struct rect rect = rect_of(&cmd->r);
	return resource_transfer(&c->gpu->resources, r, &rect, cmd->offset);
}

/* Tells capture of what a scanout shows now. Returns true if the flush has to wait for it. */
static bool flip(
	struct gpu *g, uint32_t id, const struct rect *flushed, uint64_t now, uint64_t token) {
	struct gpu_scanout *s = &g->scanouts[id];
	struct resource *r = s->resource;
	struct rect damage = rect_intersect(flushed, &s->viewport);
	if (!capture_of(g, id) || (rect_empty(&damage) && !s->full_damage)) {
		return false;
	}
	if (r->gl) {
		bool full = s->full_damage;
		damage.x -= s->viewport.x;
		damage.y -= s->viewport.y;
		s->full_damage = false;
		return gl_flush(g->gl, id, &damage, full, token);
	}
	struct surface *surface = resource_surface(
		&g->resources, r, s->width, s->height, s->stride, s->offset, s->order);
	if (!surface) {
		return false;
	}
	damage.x -= s->viewport.x;
	damage.y -= s->viewport.y;
	if (s->full_damage) {
		damage = (struct rect){0, 0, s->viewport.width, s->viewport.height};
		s->full_damage = false;
	}
	bool held = capture_flip(capture_of(g, id),
		&(struct capture_flip){
			.surface = surface,
			.viewport = s->viewport,
			.damage = damage,
			.flip_ns = now,
			.token = token,
		});
	if (s->resized) {
		s->resized = false;
		g->config.ops.scanout_changed(g->config.ops.data, id);
	}
	return held;
}

static int cmd_resource_flush(struct command *c, const void *body) {
	const struct virtio_gpu_resource_flush *cmd = body;
	struct gpu *g = c->gpu;
	struct resource *r = resource_find(&g->resources, cmd->resource_id);
	if (!r) {
		return -ENOENT;
	}
	if (r->width == 0 || !rect_valid(&cmd->r, r->width, r->height)) {
		return -EINVAL;
	}
	struct rect flushed = rect_of(&cmd->r);
	uint64_t now = now_ns();
	/* The request exists before a capture can report on it; nearly always none is needed. */
	uint64_t token = g->last_request + 1;
	unsigned pending = 0;
	for (uint32_t id = 0; id < g->config.n_scanouts; id++) {
		if (r->scanouts & 1u << id) {
			pending += flip(g, id, &flushed, now, token);
		}
	}
	if (pending > 0 && r->gl) {
		command_hold_read(c, pending);
	} else if (pending > 0) {
		command_hold(c, pending);
	}
	return 0;
}

static int cmd_resource_create_blob(struct command *c, const void *body) {
	const struct virtio_gpu_resource_create_blob *cmd = body;
	struct gpu *g = c->gpu;
	struct iovec *pieces;
	struct resource *r;
	if (cmd->resource_id == 0 || resource_find(&g->resources, cmd->resource_id)) {
		return -ENOENT;
	}
	/* Only guest memory: host memory would need 3D and a shared memory window. */
	if (cmd->blob_mem != VIRTIO_GPU_BLOB_MEM_GUEST || cmd->size == 0) {
		return -EINVAL;
	}
	int result = read_entries(c, sizeof(*cmd), cmd->nr_entries, &pieces);
	if (result < 0) {
		return result;
	}
	if (iov_size(pieces, cmd->nr_entries) < cmd->size) {
		free(pieces);
		return -EINVAL;
	}
	result = resource_create(&g->resources, cmd->resource_id, &r);
	if (result < 0) {
		free(pieces);
		return result;
	}
	r->blob = true;
	r->blob_size = cmd->size;
	result = resource_attach(&g->resources, r, c->queue->memory, pieces, cmd->nr_entries);
	if (result < 0) {
		resource_destroy(&g->resources, r);
	}
	return result;
}

const struct command_handler control_commands[] = {
	{VIRTIO_GPU_CMD_GET_DISPLAY_INFO, sizeof(struct virtio_gpu_ctrl_hdr), cmd_get_display_info},
	{VIRTIO_GPU_CMD_GET_EDID, sizeof(struct virtio_gpu_cmd_get_edid), cmd_get_edid},
	{VIRTIO_GPU_CMD_RESOURCE_CREATE_2D, sizeof(struct virtio_gpu_resource_create_2d),
		cmd_resource_create_2d},
	{VIRTIO_GPU_CMD_RESOURCE_UNREF, sizeof(struct virtio_gpu_resource_unref),
		cmd_resource_unref},
	{VIRTIO_GPU_CMD_SET_SCANOUT, sizeof(struct virtio_gpu_set_scanout), cmd_set_scanout},
	{VIRTIO_GPU_CMD_RESOURCE_FLUSH, sizeof(struct virtio_gpu_resource_flush),
		cmd_resource_flush},
	{VIRTIO_GPU_CMD_TRANSFER_TO_HOST_2D, sizeof(struct virtio_gpu_transfer_to_host_2d),
		cmd_transfer_to_host_2d},
	{VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING, sizeof(struct virtio_gpu_resource_attach_backing),
		cmd_attach_backing},
	{VIRTIO_GPU_CMD_RESOURCE_DETACH_BACKING, sizeof(struct virtio_gpu_resource_detach_backing),
		cmd_detach_backing},
	{VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB, sizeof(struct virtio_gpu_resource_create_blob),
		cmd_resource_create_blob},
	{VIRTIO_GPU_CMD_SET_SCANOUT_BLOB, sizeof(struct virtio_gpu_set_scanout_blob),
		cmd_set_scanout_blob},
	{0},
};
