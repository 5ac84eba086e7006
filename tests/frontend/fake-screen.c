/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "frontend.h"
#include "util.h"

static int create_buffer(struct fake_screen *s, unsigned i, enum guest_layout layout) {
	size_t size = 4 * (size_t)s->width * s->height;
	int r = guest_buffer_create(s->fe, size, layout, &s->buffers[i]);
	if (r < 0) {
		return r;
	}
	uint32_t id = s->fe->next_resource_id++;
	r = gpu_resource_create_2d(s->fe, id, s->format, s->width, s->height);
	if (r == VIRTIO_GPU_RESP_OK_NODATA) {
		s->ids[i] = id;
		r = gpu_resource_attach_backing(
			s->fe, id, s->buffers[i]->pieces, s->buffers[i]->n_pieces);
	}
	return r == VIRTIO_GPU_RESP_OK_NODATA ? 0 : r < 0 ? r : -EREMOTEIO;
}

int fake_screen_create(struct frontend *fe, uint32_t scanout, uint32_t width, uint32_t height,
	uint32_t format, unsigned n_buffers, enum guest_layout layout, struct fake_screen **ret) {
	if (n_buffers == 0 || n_buffers > FAKE_SCREEN_BUFFERS) {
		return -EINVAL;
	}
	struct fake_screen *s = calloc(1, sizeof(*s));
	if (!s) {
		return -ENOMEM;
	}
	*s = (struct fake_screen){.fe = fe,
		.scanout = scanout,
		.width = width,
		.height = height,
		.format = format,
		.n_buffers = n_buffers,
		.front = n_buffers,
		.fenced = true};
	for (unsigned i = 0; i < n_buffers; i++) {
		int r = create_buffer(s, i, layout);
		if (r < 0) {
			fake_screen_destroy(s);
			return r;
		}
	}
	*ret = s;
	return 0;
}

void fake_screen_destroy(struct fake_screen *s) {
	if (!s) {
		return;
	}
	if (s->calls[2]) {
		(void)fake_screen_finish(s, NULL);
	}
	if (s->fe->running && s->front < s->n_buffers) {
		(void)gpu_set_scanout(s->fe, s->scanout, 0, &(struct virtio_gpu_rect){0});
	}
	for (unsigned i = 0; i < s->n_buffers; i++) {
		if (s->fe->running && s->ids[i]) {
			(void)gpu_resource_unref(s->fe, s->ids[i]);
		}
		guest_buffer_destroy(s->buffers[i]);
	}
	free(s);
}

static unsigned back_index(const struct fake_screen *s) {
	return s->front >= s->n_buffers ? 0 : (s->front + 1) % s->n_buffers;
}

uint8_t *fake_screen_back(struct fake_screen *s) {
	return s->buffers[back_index(s)]->pixels;
}

uint8_t *fake_screen_front(struct fake_screen *s) {
	return s->front < s->n_buffers ? s->buffers[s->front]->pixels : NULL;
}

static int submit(struct fake_screen *s, unsigned i, const void *request, size_t size) {
	return gpu_submit(s->fe, FRONTEND_CONTROL, request, size,
		sizeof(struct virtio_gpu_ctrl_hdr), 0, &s->calls[i]);
}

int fake_screen_submit(struct fake_screen *s, const struct virtio_gpu_rect *damage) {
	const struct virtio_gpu_rect whole = {0, 0, s->width, s->height};
	const struct virtio_gpu_rect *rect = damage ? damage : &whole;
	unsigned back = back_index(s);
	uint32_t id = s->ids[back];
	guest_buffer_commit(s->buffers[back]);

	uint64_t offset = 4 * ((uint64_t)rect->y * s->width + rect->x);
	struct virtio_gpu_transfer_to_host_2d transfer = gpu_transfer_request(id, rect, offset);
	struct virtio_gpu_set_scanout scanout = gpu_set_scanout_request(s->scanout, id, &whole);
	struct virtio_gpu_resource_flush flush =
		gpu_flush_request(id, rect, s->fenced ? ++s->fence : 0);
	int r = submit(s, 0, &transfer, sizeof(transfer));
	/* As Linux: a plane whose buffer stays is only flushed. */
	if (r == 0 && back != s->front) {
		r = submit(s, 1, &scanout, sizeof(scanout));
	}
	r = r == 0 ? submit(s, 2, &flush, sizeof(flush)) : r;
	if (r < 0) {
		return r;
	}
	gpu_kick(s->fe, FRONTEND_CONTROL);
	s->front = back;
	s->flips++;
	return 0;
}

int fake_screen_finish(struct fake_screen *s, uint64_t *ret_ns) {
	int result = VIRTIO_GPU_RESP_OK_NODATA;
	for (unsigned i = 0; i < ARRAY_SIZE(s->calls); i++) {
		struct gpu_call *call = s->calls[i];
		if (!call) {
			continue;
		}
		int r = gpu_wait(call, FRONTEND_TIMEOUT_MS);
		r = r == 0 ? gpu_call_type(call) : r;
		if (r != VIRTIO_GPU_RESP_OK_NODATA && result == VIRTIO_GPU_RESP_OK_NODATA) {
			result = r;
		}
		if (ret_ns && i == 2) {
			*ret_ns = call->done_ns - call->submitted_ns;
		}
		gpu_call_destroy(call);
		s->calls[i] = NULL;
	}
	return result;
}

int fake_screen_flip(
	struct fake_screen *s, const struct virtio_gpu_rect *damage, uint64_t *ret_ns) {
	int r = fake_screen_submit(s, damage);
	return r < 0 ? r : fake_screen_finish(s, ret_ns);
}
