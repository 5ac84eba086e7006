/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "gl-commands.h"
#include "test.h"
#include "util.h"

/* GL need not answer at once, least of all on a busy machine. */
#define GL_TIMEOUT_MS 60000u

/* Of the stream that contexts take; virgl_protocol.h of virglrenderer, which installs it not. */
enum {
	CMD_CREATE_OBJECT = 1,
	CMD_SET_FRAMEBUFFER = 5,
	CMD_CLEAR = 7,
	OBJECT_SURFACE = 8,
	CLEAR_COLOR0 = 4,
};

int gl_command(struct frontend *fe, void *request, size_t size, uint32_t type, uint32_t context,
	bool fenced) {
	struct virtio_gpu_ctrl_hdr *hdr = request;
	struct gpu_call *call;
	static uint64_t fence;
	gpu_header(hdr, type, fenced ? ++fence : 0);
	hdr->ctx_id = context;
	check_ok(gpu_submit(
		fe, FRONTEND_CONTROL, request, size, sizeof(struct virtio_gpu_ctrl_hdr), 0, &call));
	gpu_kick(fe, FRONTEND_CONTROL);
	int r = gpu_wait(call, GL_TIMEOUT_MS);
	r = r < 0 ? r : gpu_call_type(call);
	gpu_call_destroy(call);
	return r;
}

int gl_context_create(struct frontend *fe, uint32_t context) {
	struct virtio_gpu_ctx_create c = {.nlen = 4, .debug_name = "test"};
	return gl_command(fe, &c, sizeof(c), VIRTIO_GPU_CMD_CTX_CREATE, context, false);
}

int gl_context_destroy(struct frontend *fe, uint32_t context) {
	struct virtio_gpu_ctx_destroy c = {0};
	return gl_command(fe, &c, sizeof(c), VIRTIO_GPU_CMD_CTX_DESTROY, context, false);
}

int gl_texture_create(struct frontend *fe, uint32_t id, uint32_t width, uint32_t height) {
	struct virtio_gpu_resource_create_3d c = {
		.resource_id = id,
		.target = GL_TARGET_2D,
		.format = GL_FORMAT,
		.bind = GL_BIND_RENDER_TARGET | GL_BIND_SCANOUT,
		.width = width,
		.height = height,
		.depth = 1,
		.array_size = 1,
	};
	return gl_command(fe, &c, sizeof(c), VIRTIO_GPU_CMD_RESOURCE_CREATE_3D, 0, false);
}

int gl_context_attach(struct frontend *fe, uint32_t context, uint32_t resource) {
	struct virtio_gpu_ctx_resource c = {.resource_id = resource};
	return gl_command(fe, &c, sizeof(c), VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE, context, false);
}

int gl_resource_unref(struct frontend *fe, uint32_t id) {
	struct virtio_gpu_resource_unref c = {.resource_id = id};
	return gl_command(fe, &c, sizeof(c), VIRTIO_GPU_CMD_RESOURCE_UNREF, 0, false);
}

int gl_submit(struct frontend *fe, uint32_t context, const uint32_t *words, size_t n) {
	size_t size = sizeof(struct virtio_gpu_cmd_submit) + 4 * n;
	struct virtio_gpu_cmd_submit *c = calloc(1, size);
	check(c);
	c->size = (uint32_t)(4 * n);
	memcpy(c + 1, words, 4 * n);
	int r = gl_command(fe, c, size, VIRTIO_GPU_CMD_SUBMIT_3D, context, true);
	free(c);
	return r;
}

static uint32_t bits_of(float f) {
	uint32_t u;
	memcpy(&u, &f, sizeof(u));
	return u;
}

int gl_clear(struct frontend *fe, uint32_t context, const float rgb[static 3]) {
	const uint32_t words[] = {
		GL_COMMAND(CMD_CLEAR, 0, 8),
		CLEAR_COLOR0,
		bits_of(rgb[0]),
		bits_of(rgb[1]),
		bits_of(rgb[2]),
		bits_of(1),
		0,
		0,
		0,
	};
	return gl_submit(fe, context, words, ARRAY_SIZE(words));
}

int gl_fill(struct frontend *fe, uint32_t context, uint32_t handle, uint32_t texture,
	const float rgb[static 3]) {
	const uint32_t words[] = {
		GL_COMMAND(CMD_CREATE_OBJECT, OBJECT_SURFACE, 5),
		handle,
		texture,
		GL_FORMAT,
		0,
		0,
		GL_COMMAND(CMD_SET_FRAMEBUFFER, 0, 3),
		1,
		0,
		handle,
	};
	int r = gl_submit(fe, context, words, ARRAY_SIZE(words));
	return r == VIRTIO_GPU_RESP_OK_NODATA ? gl_clear(fe, context, rgb) : r;
}
