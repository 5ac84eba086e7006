/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * 3D for tests: the real exporter with the real helix-renderer, on whatever GL this machine has
 * (llvmpipe, if nothing else), driven with command streams made by hand. All of it fails the test
 * where something goes wrong.
 */
#ifndef HELIX_TESTS_GL_RIG_H
#define HELIX_TESTS_GL_RIG_H

#include "exporter.h"
#include "gl-commands.h"
#include "viewer.h"

#define OK     VIRTIO_GPU_RESP_OK_NODATA
#define WIDTH  640u
#define HEIGHT 480u

struct rig {
	struct exporter e;
	struct frontend *fe;
	sd_event *loop;
	struct viewer v;
};

static const struct virtio_gpu_rect whole = {0, 0, WIDTH, HEIGHT};
static const float orange[3] = {1, 0.5f, 0}, teal[3] = {0, 0.5f, 0.5f}, blue[3] = {0, 0, 1};

/* NULL: with 3D, and nothing else. */
void rig_start(struct rig *g, const char *const *options);
void rig_stop(struct rig *g);
/* All of it. Returns the answer's type. */
int flush(struct frontend *fe, uint32_t resource);
/* A pixel of what the viewer has. */
void check_near(struct viewer *v, uint32_t x, uint32_t y, const float rgb[static 3], int tolerance);
/* Of a picture that was refined. */
void check_colour(struct viewer *v, uint32_t x, uint32_t y, const float rgb[static 3]);
/* A context that has a texture, which scanout 0 shows. */
void show_texture(struct rig *g, uint32_t context, uint32_t texture);

#endif
