/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pictures that are a GPU's, into libavcodec's frames without a copy: a dmabuf is described as
 * libavutil wants it and mapped to a surface of the encoder's device, or, for tests, to memory.
 */
#ifndef HELIX_FRAME_EXPORT_AVCODEC_IMPORT_H
#define HELIX_FRAME_EXPORT_AVCODEC_IMPORT_H

#include <libavutil/hwcontext.h>

#include "picture.h"

/*
 * Makes `ret`, which is empty, the picture: of `frames`, the surfaces of a device, or, NULL, NV12 in
 * memory. The dmabuf must stay until it is unreferenced. 0; -ENOTSUP: this libavutil knows no
 * dmabufs; -ENOMEM, -EIO.
 */
int avcodec_import(const struct picture *p, uint32_t width, uint32_t height, AVBufferRef *frames,
	AVFrame *ret);

#endif
