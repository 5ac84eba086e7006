/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * 3D commands of a guest, with streams made by hand. All return the answer's type, or -errno; GL is
 * given a minute.
 */
#ifndef HELIX_TESTS_GL_COMMANDS_H
#define HELIX_TESTS_GL_COMMANDS_H

#include <stdbool.h>

#include "exporter.h"

#define GL_FORMAT VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM

/* Gallium's, as virtio_gpu_resource_create_3d has them. */
enum {
	GL_TARGET_2D = 2,
	GL_BIND_RENDER_TARGET = 1 << 1,
	GL_BIND_SCANOUT = 1 << 18,
};

/* The first word of a command in a stream, which has `length` more. */
#define GL_COMMAND(cmd, object, length) \
	((uint32_t)(cmd) | (uint32_t)(object) << 8 | (uint32_t)(length) << 16)

/* Like gpu_command, for a context. */
int gl_command(struct frontend *fe, void *request, size_t size, uint32_t type, uint32_t context,
	bool fenced);
int gl_context_create(struct frontend *fe, uint32_t context);
int gl_context_destroy(struct frontend *fe, uint32_t context);
int gl_context_attach(struct frontend *fe, uint32_t context, uint32_t resource);
/* Of GL_FORMAT, for a scanout. */
int gl_texture_create(struct frontend *fe, uint32_t id, uint32_t width, uint32_t height);
int gl_resource_unref(struct frontend *fe, uint32_t id);
int gl_submit(struct frontend *fe, uint32_t context, const uint32_t *words, size_t n);
/* What the context draws into becomes all of one colour. */
int gl_clear(struct frontend *fe, uint32_t context, const float rgb[static 3]);
/* Surface `handle` of the texture becomes the context's only target, and all of one colour. */
int gl_fill(struct frontend *fe, uint32_t context, uint32_t handle, uint32_t texture,
	const float rgb[static 3]);

#endif
