/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HELIX_RENDERER_VIRGL_H
#define HELIX_RENDERER_VIRGL_H

#include <stdint.h>
#include <virgl/virglrenderer.h>

/* Of its transfers; it has no public definition of this one. */
struct virgl_box {
	uint32_t x, y, z, w, h, d;
};

#endif
