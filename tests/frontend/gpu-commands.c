/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The virtio-gpu commands (virtio 1.2, 5.7.6), one at a time. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "frontend.h"
#include "util.h"

/* Linux splits page lists at page boundaries too. */
#define SPLIT GUEST_PAGE

void gpu_header(struct virtio_gpu_ctrl_hdr *hdr, uint32_t type, uint64_t fence) {
	*hdr = (struct virtio_gpu_ctrl_hdr){
		.type = type, .flags = fence ? VIRTIO_GPU_FLAG_FENCE : 0, .fence_id = fence};
}

/* Submits, kicks, waits; `*ret_ns` is from the kick to the answer. */
static int run(struct frontend *fe, unsigned queue, const void *request, size_t size,
	void *response, size_t response_size, uint64_t *ret_ns) {
	struct gpu_call *call;
	int r = gpu_submit(fe, queue, request, size, response_size, SPLIT, &call);
	if (r < 0) {
		return r;
	}
	gpu_kick(fe, queue);
	r = gpu_wait(call, FRONTEND_TIMEOUT_MS);
	if (r == 0) {
		memcpy(response, call->response, MIN(response_size, call->written));
		r = gpu_call_type(call);
	}
	if (ret_ns) {
		*ret_ns = call->done_ns - call->submitted_ns;
	}
	gpu_call_destroy(call);
	return r;
}

int gpu_command(struct frontend *fe, unsigned queue, const void *request, size_t size,
	void *response, size_t response_size) {
	return run(fe, queue, request, size, response, response_size, NULL);
}

/* A command of the control queue that is answered by a bare header. */
static int simple(struct frontend *fe, const void *request, size_t size) {
	struct virtio_gpu_ctrl_hdr response;
	return run(fe, FRONTEND_CONTROL, request, size, &response, sizeof(response), NULL);
}

int gpu_get_display_info(struct frontend *fe, struct virtio_gpu_resp_display_info *ret) {
	struct virtio_gpu_ctrl_hdr request;
	gpu_header(&request, VIRTIO_GPU_CMD_GET_DISPLAY_INFO, 0);
	return gpu_command(fe, FRONTEND_CONTROL, &request, sizeof(request), ret, sizeof(*ret));
}

int gpu_get_edid(struct frontend *fe, uint32_t scanout, struct virtio_gpu_resp_edid *ret) {
	struct virtio_gpu_cmd_get_edid request = {.scanout = scanout};
	gpu_header(&request.hdr, VIRTIO_GPU_CMD_GET_EDID, 0);
	return gpu_command(fe, FRONTEND_CONTROL, &request, sizeof(request), ret, sizeof(*ret));
}

int gpu_resource_create_2d(
	struct frontend *fe, uint32_t id, uint32_t format, uint32_t width, uint32_t height) {
	struct virtio_gpu_resource_create_2d request = {
		.resource_id = id, .format = format, .width = width, .height = height};
	gpu_header(&request.hdr, VIRTIO_GPU_CMD_RESOURCE_CREATE_2D, 0);
	return simple(fe, &request, sizeof(request));
}

/* A command with the list of pieces behind it. */
static int with_pieces(struct frontend *fe, const void *request, size_t size,
	const struct guest_piece *pieces, uint32_t n) {
	size_t total = size + (size_t)n * sizeof(struct virtio_gpu_mem_entry);
	CLEANUP_FREE uint8_t *whole = malloc(total);
	if (!whole) {
		return -ENOMEM;
	}
	memcpy(whole, request, size);
	for (uint32_t i = 0; i < n; i++) {
		struct virtio_gpu_mem_entry entry = {pieces[i].address, pieces[i].length, 0};
		memcpy(whole + size + (size_t)i * sizeof(entry), &entry, sizeof(entry));
	}
	struct virtio_gpu_ctrl_hdr response;
	struct gpu_call *call;
	/* A long list must not need more descriptors than the ring (or a table) may have. */
	size_t split = MAX((size_t)SPLIT, ALIGN_UP(total / 32, GUEST_PAGE));
	int r = gpu_submit(fe, FRONTEND_CONTROL, whole, total, sizeof(response), split, &call);
	if (r < 0) {
		return r;
	}
	gpu_kick(fe, FRONTEND_CONTROL);
	r = gpu_wait(call, FRONTEND_TIMEOUT_MS);
	r = r == 0 ? gpu_call_type(call) : r;
	gpu_call_destroy(call);
	return r;
}

int gpu_resource_attach_backing(
	struct frontend *fe, uint32_t id, const struct guest_piece *pieces, uint32_t n_pieces) {
	struct virtio_gpu_resource_attach_backing request = {
		.resource_id = id, .nr_entries = n_pieces};
	gpu_header(&request.hdr, VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING, 0);
	return with_pieces(fe, &request, sizeof(request), pieces, n_pieces);
}

int gpu_resource_detach_backing(struct frontend *fe, uint32_t id) {
	struct virtio_gpu_resource_detach_backing request = {.resource_id = id};
	gpu_header(&request.hdr, VIRTIO_GPU_CMD_RESOURCE_DETACH_BACKING, 0);
	return simple(fe, &request, sizeof(request));
}

int gpu_resource_unref(struct frontend *fe, uint32_t id) {
	struct virtio_gpu_resource_unref request = {.resource_id = id};
	gpu_header(&request.hdr, VIRTIO_GPU_CMD_RESOURCE_UNREF, 0);
	return simple(fe, &request, sizeof(request));
}

int gpu_resource_create_blob(struct frontend *fe, uint32_t id, uint64_t size,
	const struct guest_piece *pieces, uint32_t n_pieces) {
	struct virtio_gpu_resource_create_blob request = {.resource_id = id,
		.blob_mem = VIRTIO_GPU_BLOB_MEM_GUEST,
		.blob_flags = VIRTIO_GPU_BLOB_FLAG_USE_SHAREABLE,
		.nr_entries = n_pieces,
		.size = size};
	gpu_header(&request.hdr, VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB, 0);
	return with_pieces(fe, &request, sizeof(request), pieces, n_pieces);
}

struct virtio_gpu_transfer_to_host_2d gpu_transfer_request(
	uint32_t id, const struct virtio_gpu_rect *rect, uint64_t offset) {
	struct virtio_gpu_transfer_to_host_2d request = {
		.r = *rect, .offset = offset, .resource_id = id};
	gpu_header(&request.hdr, VIRTIO_GPU_CMD_TRANSFER_TO_HOST_2D, 0);
	return request;
}

int gpu_transfer(
	struct frontend *fe, uint32_t id, const struct virtio_gpu_rect *rect, uint64_t offset) {
	struct virtio_gpu_transfer_to_host_2d request = gpu_transfer_request(id, rect, offset);
	return simple(fe, &request, sizeof(request));
}

struct virtio_gpu_set_scanout gpu_set_scanout_request(
	uint32_t scanout, uint32_t id, const struct virtio_gpu_rect *rect) {
	struct virtio_gpu_set_scanout request = {
		.r = *rect, .scanout_id = scanout, .resource_id = id};
	gpu_header(&request.hdr, VIRTIO_GPU_CMD_SET_SCANOUT, 0);
	return request;
}

int gpu_set_scanout(
	struct frontend *fe, uint32_t scanout, uint32_t id, const struct virtio_gpu_rect *rect) {
	struct virtio_gpu_set_scanout request = gpu_set_scanout_request(scanout, id, rect);
	return simple(fe, &request, sizeof(request));
}

int gpu_set_scanout_blob(struct frontend *fe, uint32_t scanout, uint32_t id,
	const struct virtio_gpu_rect *rect, uint32_t format, uint32_t width, uint32_t height,
	uint32_t stride, uint32_t offset) {
	struct virtio_gpu_set_scanout_blob request = {.r = *rect,
		.scanout_id = scanout,
		.resource_id = id,
		.width = width,
		.height = height,
		.format = format,
		.strides = {stride},
		.offsets = {offset}};
	gpu_header(&request.hdr, VIRTIO_GPU_CMD_SET_SCANOUT_BLOB, 0);
	return simple(fe, &request, sizeof(request));
}

struct virtio_gpu_resource_flush gpu_flush_request(
	uint32_t id, const struct virtio_gpu_rect *rect, uint64_t fence) {
	struct virtio_gpu_resource_flush request = {.r = *rect, .resource_id = id};
	gpu_header(&request.hdr, VIRTIO_GPU_CMD_RESOURCE_FLUSH, fence);
	return request;
}

int gpu_flush(struct frontend *fe, uint32_t id, const struct virtio_gpu_rect *rect, bool fenced,
	uint64_t *ret_ns) {
	static uint64_t fence;
	struct virtio_gpu_resource_flush request =
		gpu_flush_request(id, rect, fenced ? ++fence : 0);
	struct virtio_gpu_ctrl_hdr response;
	int r = run(fe, FRONTEND_CONTROL, &request, sizeof(request), &response, sizeof(response),
		ret_ns);
	/* 5.7.6.7: a fence comes back with its flag and number. */
	if (r > 0 && fenced &&
		(!(response.flags & VIRTIO_GPU_FLAG_FENCE) || response.fence_id != fence)) {
		return -EPROTO;
	}
	return r;
}

static int cursor(struct frontend *fe, uint32_t type, const struct virtio_gpu_update_cursor *c) {
	struct virtio_gpu_update_cursor request = *c;
	struct gpu_call *call;
	gpu_header(&request.hdr, type, 0);
	/* Linux gives cursor commands no room for an answer. */
	int r = gpu_submit(fe, FRONTEND_CURSOR, &request, sizeof(request), 0, 0, &call);
	if (r < 0) {
		return r;
	}
	gpu_kick(fe, FRONTEND_CURSOR);
	r = gpu_wait(call, FRONTEND_TIMEOUT_MS);
	gpu_call_destroy(call);
	return r < 0 ? r : VIRTIO_GPU_RESP_OK_NODATA;
}

int gpu_update_cursor(struct frontend *fe, uint32_t scanout, uint32_t id, uint32_t x, uint32_t y,
	uint32_t hot_x, uint32_t hot_y) {
	struct virtio_gpu_update_cursor c = {.pos = {.scanout_id = scanout, .x = x, .y = y},
		.resource_id = id,
		.hot_x = hot_x,
		.hot_y = hot_y};
	return cursor(fe, VIRTIO_GPU_CMD_UPDATE_CURSOR, &c);
}

int gpu_move_cursor(struct frontend *fe, uint32_t scanout, uint32_t x, uint32_t y) {
	struct virtio_gpu_update_cursor c = {.pos = {.scanout_id = scanout, .x = x, .y = y}};
	return cursor(fe, VIRTIO_GPU_CMD_MOVE_CURSOR, &c);
}
