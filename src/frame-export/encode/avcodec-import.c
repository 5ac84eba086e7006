/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "avcodec-import.h"

#include <errno.h>

#include <libavutil/hwcontext_drm.h>

/* <drm_fourcc.h>: DRM_FORMAT_NV12 and DRM_FORMAT_MOD_LINEAR */
#define FORMAT_NV12     0x3231564eu
#define MODIFIER_LINEAR 0u

/* Without a device: that would be for allocating them, too. */
int avcodec_import_create(uint32_t width, uint32_t height, AVBufferRef **ret) {
	AVBufferRef *device = av_hwdevice_ctx_alloc(AV_HWDEVICE_TYPE_DRM);
	if (!device) {
		return -ENOTSUP;
	}
	AVDRMDeviceContext *drm = ((AVHWDeviceContext *)device->data)->hwctx;
	drm->fd = -1;
	AVBufferRef *frames =
		av_hwdevice_ctx_init(device) < 0 ? NULL : av_hwframe_ctx_alloc(device);
	av_buffer_unref(&device);
	if (!frames) {
		return -ENOMEM;
	}
	AVHWFramesContext *context = (AVHWFramesContext *)frames->data;
	context->format = AV_PIX_FMT_DRM_PRIME;
	context->sw_format = AV_PIX_FMT_NV12;
	context->width = (int)width;
	context->height = (int)height;
	if (av_hwframe_ctx_init(frames) < 0) {
		av_buffer_unref(&frames);
		return -ENOTSUP;
	}
	*ret = frames;
	return 0;
}

static void describe(const struct gpu_picture *gpu, AVDRMFrameDescriptor *ret) {
	*ret = (AVDRMFrameDescriptor){
		.nb_objects = 1,
		.objects = {{.fd = gpu->dmabuf,
			.size = gpu->size,
			.format_modifier = MODIFIER_LINEAR}},
		.nb_layers = 1,
		.layers = {{
			.format = FORMAT_NV12,
			.nb_planes = 2,
			.planes =
				{
					{.offset = 0, .pitch = gpu->stride},
					{.offset = (ptrdiff_t)gpu->chroma, .pitch = gpu->stride},
				},
		}},
	};
}

static int map(const struct picture *p, AVBufferRef *dmabufs, AVFrame *source, AVFrame *ret) {
	source->buf[0] = av_buffer_allocz(sizeof(AVDRMFrameDescriptor));
	source->hw_frames_ctx = av_buffer_ref(dmabufs);
	if (!source->buf[0] || !source->hw_frames_ctx) {
		return -ENOMEM;
	}
	source->data[0] = source->buf[0]->data;
	describe(picture_dmabuf(p), (AVDRMFrameDescriptor *)source->data[0]);
	source->format = AV_PIX_FMT_DRM_PRIME;
	source->width = (int)p->width;
	source->height = (int)p->height;
	return av_hwframe_map(ret, source, AV_HWFRAME_MAP_READ) < 0 ? -EIO : 0;
}

int avcodec_import(
	const struct picture *p, AVBufferRef *dmabufs, AVBufferRef *frames, AVFrame *ret) {
	AVFrame *source = av_frame_alloc();
	if (!source) {
		return -ENOMEM;
	}
	ret->format = AV_PIX_FMT_NV12;
	int r = 0;
	if (frames) {
		ret->format = ((AVHWFramesContext *)frames->data)->format;
		ret->hw_frames_ctx = av_buffer_ref(frames);
		r = ret->hw_frames_ctx ? 0 : -ENOMEM;
	}
	if (r >= 0) {
		r = map(p, dmabufs, source, ret);
	}
	av_frame_free(&source);
	if (r < 0) {
		av_frame_unref(ret);
	}
	return r;
}
