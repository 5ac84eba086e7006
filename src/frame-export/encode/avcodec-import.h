/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pictures that are dmabufs (picture_dmabuf), into libavcodec's frames without a copy: one is
 * described as libavutil wants it and mapped to a surface of the encoder's device, or, for tests, to memory.
 */
#ifndef HELIX_FRAME_EXPORT_AVCODEC_IMPORT_H
#define HELIX_FRAME_EXPORT_AVCODEC_IMPORT_H

#include <libavutil/hwcontext.h>

#include "picture.h"

/* What dmabufs of that size are described in. -ENOTSUP: this libavutil knows none; -ENOMEM. */
int avcodec_import_create(uint32_t width, uint32_t height, AVBufferRef **ret);
/*
 * Makes `ret`, which is empty, the picture: of `frames`, the surfaces of a device, or, NULL, NV12 in
 * memory. `dmabufs`: from avcodec_import_create. The dmabuf must stay until `ret` is unreferenced.
 * 0, -ENOMEM, -EIO.
 */
int avcodec_import(
	const struct picture *p, AVBufferRef *dmabufs, AVBufferRef *frames, AVFrame *ret);

#endif
