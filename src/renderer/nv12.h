/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a texture to NV12 in one pass of the GPU, read back without waiting for it: BT.709, limited
 * range, the same bytes as the exporter's own kernels make (frame-export/capture/rgb-nv12.h). The
 * pass has a GL context of its own. That shares objects with virglrenderer's, so that it can sample
 * their textures, and no state: nothing of a guest's has to be saved and put back.
 *
 * All functions want one of virglrenderer's contexts to be current, and leave it so.
 */
#ifndef HELIX_RENDERER_NV12_H
#define HELIX_RENDERER_NV12_H

#include <stdbool.h>
#include <stdint.h>

struct nv12;
struct nv12_readback;
struct nv12_target; /* a picture in a dmabuf, which is drawn into */

struct nv12_rect {
	uint32_t x, y, width, height;
};

struct nv12_source {
	uint32_t texture; /* name of a 2D texture with one sample */
	bool bottom_up;   /* its first row is the picture's last */
	uint32_t texture_height;
	struct nv12_rect view;   /* what of it is the picture */
	struct nv12_rect damage; /* within the picture; widened to whole macroblocks */
};

/* Bytes of a row, and rows of luma, that a picture of that size has: whole macroblocks. */
uint32_t nv12_row(uint32_t width);
uint32_t nv12_rows(uint32_t height);

/* -ENOTSUP: GL here lacks what it takes; -ENOMEM. */
int nv12_create(struct nv12 **ret);
/* After all its targets and readbacks. */
void nv12_destroy(struct nv12 *n);
/* GL draws with this machine's CPUs. */
bool nv12_software(const struct nv12 *n);

/*
 * A target of so many rows of luma, and half as many of chroma behind them, `stride` bytes each. The
 * dmabuf is borrowed. -ENOTSUP: GL does not draw into it.
 */
int nv12_target_create(
	struct nv12 *n, int dmabuf, uint32_t stride, uint32_t rows, struct nv12_target **ret);
void nv12_target_destroy(struct nv12 *n, struct nv12_target *target); /* NULL is fine */

/*
 * Begins to convert, into `target`, which must be of the picture's size, or, NULL, for nv12_finish. A fence that is made in the current context after this is reached only when
 * the pixels can be taken. -EINVAL: nothing damaged; -ENOMEM, -EIO.
 */
int nv12_start(struct nv12 *n, const struct nv12_source *source, const struct nv12_target *target,
	struct nv12_readback **ret);
/*
 * Writes what was converted into a picture, unless it went to a target, where it is now: luma, rows of `stride` bytes, and behind all
 * nv12_rows() of them chroma, half as many. The readback is gone then; NULL drops it. 0, -EIO.
 */
int nv12_finish(struct nv12 *n, struct nv12_readback *readback, uint8_t *picture, uint32_t stride);

#endif
