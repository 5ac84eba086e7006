/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "gpu.h"
#include "log.h"
#include "util.h"

LOG_MODULE("gpu");

/* A chain whose answer waits for something. */
struct gpu_request {
	struct list link; // gpu.requests
	uint64_t id;
	unsigned pending;       /* captures that have not taken the pixels yet, reads among them */
	unsigned reads;         /* of a 3D resource, under way; else renderers decide the answer */
	bool done;              /* but a fence before it is not reached */
	struct gl_renderer *by; // that it waits for; NULL: none, or several
	uint64_t deadline;
	struct virtqueue *queue;
	uint16_t head;
	struct virtio_gpu_ctrl_hdr response;
	unsigned n_in;
	struct iovec in[];
};

size_t command_read(const struct command *c, size_t offset, void *buf, size_t size) {
	return iov_read(c->chain->out, c->chain->n_out, offset, buf, size);
}

void command_respond(
	struct command *c, uint32_t type, struct virtio_gpu_ctrl_hdr *hdr, size_t size) {
	hdr->type = type;
	hdr->flags = c->hdr.flags & VIRTIO_GPU_FLAG_FENCE;
	hdr->fence_id = hdr->flags ? c->hdr.fence_id : 0;
	hdr->ctx_id = hdr->flags ? c->hdr.ctx_id : 0;
	c->written = iov_write(c->chain->in, c->chain->n_in, hdr, size);
}

static uint32_t response_of(int r) {
	switch (r) {
	case -ENOMEM:
	case -ENOSPC:
		return VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY;
	case -EINVAL:
		return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	case -ENOENT:
	case -EEXIST:
		return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
	default:
		return r < 0 ? VIRTIO_GPU_RESP_ERR_UNSPEC : VIRTIO_GPU_RESP_OK_NODATA;
	}
}

/* Held requests. */

static struct gpu_request *hold(struct command *c, unsigned pending, struct list *where) {
	struct gpu *g = c->gpu;
	unsigned n_in = c->chain->n_in;
	struct gpu_request *request = calloc(1, sizeof(*request) + n_in * sizeof(request->in[0]));
	if (!request) {
		return NULL;
	}
	request->id = ++g->last_request;
	request->pending = pending;
	request->deadline = now_ns() + GPU_ANSWER_LIMIT_NS;
	request->queue = c->queue;
	request->head = c->chain->head;
	request->n_in = n_in;
	memcpy(request->in, c->chain->in, n_in * sizeof(request->in[0]));
	request->response = (struct virtio_gpu_ctrl_hdr){
		.type = VIRTIO_GPU_RESP_OK_NODATA,
		.flags = c->hdr.flags & VIRTIO_GPU_FLAG_FENCE,
	};
	if (request->response.flags) {
		request->response.fence_id = c->hdr.fence_id;
		request->response.ctx_id = c->hdr.ctx_id;
	}
	list_append(where, &request->link);
	c->held = true;
	return request;
}

void command_hold(struct command *c, unsigned pending) {
	(void)hold(c, pending, &c->gpu->requests);
}

void command_hold_render(struct command *c, unsigned pending, struct gl_renderer *by) {
	struct gpu_request *request = hold(c, pending, &c->gpu->renders);
	if (request && by) {
		request->by = by;
		gl_renderer_holds(by, 1);
	}
}

void command_hold_read(struct command *c, unsigned pending) {
	struct gpu_request *request = hold(c, pending, &c->gpu->renders);
	if (request) {
		request->reads = pending;
	}
}

uint64_t gpu_new_tag(struct gpu *g) {
	return GPU_TAG | ++g->last_tag;
}

static void answer(struct gpu_request *request) {
	size_t n = iov_write(
		request->in, request->n_in, &request->response, sizeof(request->response));
	virtqueue_push(request->queue, request->head, (uint32_t)n);
	virtqueue_notify(request->queue);
	if (request->by) {
		gl_renderer_holds(request->by, -1);
	}
	list_remove(&request->link);
	free(request);
}

static struct gpu_request *find_in(struct list *list, uint64_t id) {
	struct gpu_request *request;
	list_for_each(request, list, link) {
		if (request->id == id) {
			return request;
		}
	}
	return NULL;
}

static struct gpu_request *find_request(struct gpu *g, uint64_t id) {
	struct gpu_request *request = find_in(&g->requests, id);
	return request ? request : find_in(&g->renders, id);
}

static bool fenced(const struct gpu_request *request) {
	return request->response.flags & VIRTIO_GPU_FLAG_FENCE;
}

/*
 * Without contexts' own rings, which stock QEMU does not offer, Linux has one order for all fences:
 * answering a later one says that all before are reached. So a fenced command that is done waits for
 * those before it, but not for ever: a renderer that keeps others waiting uses its credit up, and
 * then its commands are answered as if they were done. Its own programs may then see what they drew,
 * or change what is to be drawn, too early; nobody else does, for renderers keep their own order.
 */
static void settle(struct gpu *g, uint64_t now) {
	struct gpu_request *request, *tmp, *first = NULL;
	bool waiting = false;
	if (g->blocking) {
		gl_renderer_charge(g->blocking, now, now - g->blocking_since);
	}
	list_for_each_safe(request, tmp, &g->renders, link) {
		if (request->done && (!first || !fenced(request))) {
			answer(request);
		} else if (request->done) {
			waiting = waiting || request->by != first->by || !first->by;
		} else if (request->reads == 0 && fenced(request) && !first) {
			if (request->by && gl_renderer_credit(request->by, now) == 0) {
				answer(request);
			} else {
				first = request;
			}
		}
	}
	bool was = g->blocking;
	g->blocking = waiting ? first->by : NULL;
	g->blocking_since = now;
	if (g->blocking && !was) {
		g->config.ops.wake(g->config.ops.data);
	}
}

void gpu_render_done(struct gpu *g, uint64_t id, int error) {
	struct gpu_request *request = find_in(&g->renders, id);
	if (!request) {
		return;
	}
	if (error < 0) {
		request->response.type = response_of(error);
		g->errors++;
	}
	if (--request->pending == 0) {
		request->done = true;
		settle(g, now_ns());
	}
}

void gpu_renderer_gone(struct gpu *g, const struct gl_renderer *r) {
	struct gpu_request *request;
	list_for_each(request, &g->renders, link) {
		request->by = request->by == r ? NULL : request->by;
	}
	g->blocking = g->blocking == r ? NULL : g->blocking;
}

/* A command that is done, but not what was fenced before it. */
static bool fences_before(const struct gpu *g) {
	const struct gpu_request *request;
	list_for_each(request, &g->renders, link) {
		if (request->reads == 0 && fenced(request)) {
			return true;
		}
	}
	return false;
}

static void hold_done(struct command *c) {
	struct gpu_request *request = hold(c, 0, &c->gpu->renders);
	if (request) {
		request->response.type = c->response;
		request->done = true;
		settle(c->gpu, now_ns());
	}
}

void gpu_read_done(struct gpu *g, uint64_t id, bool held) {
	struct gpu_request *request = find_in(&g->renders, id);
	if (!request) {
		return;
	}
	request->reads--;
	request->pending -= held ? 0 : 1;
	if (request->pending == 0) {
		answer(request);
	} else if (request->reads == 0) {
		/* From here on it is capture that it waits for. */
		request->deadline = now_ns() + GPU_ANSWER_LIMIT_NS;
		list_remove(&request->link);
		list_append(&g->requests, &request->link);
		g->config.ops.wake(g->config.ops.data);
	}
}

void gpu_complete(struct gpu *g, uint64_t token) {
	/* One that was answered early, or before a reset, is not there any more. */
	struct gpu_request *request = find_request(g, token);
	if (request && --request->pending == 0) {
		answer(request);
	}
}

void gpu_reap(struct gpu *g) {
	uint64_t id;
	while ((id = backing_pool_reap(&g->resources.pool)) != 0) {
		gpu_complete(g, id);
	}
}

uint64_t gpu_expire(struct gpu *g, uint64_t now) {
	uint64_t next = UINT64_MAX;
	while (!list_empty(&g->requests)) {
		struct gpu_request *oldest = list_first(&g->requests, struct gpu_request, link);
		if (oldest->deadline > now) {
			next = oldest->deadline;
			break;
		}
		answer(oldest);
	}
	if (g->blocking) {
		settle(g, now);
	}
	if (g->blocking) {
		next = MIN(next, now + gl_renderer_credit(g->blocking, now));
	}
	return next;
}

void gpu_flush_requests(struct gpu *g) {
	(void)gpu_expire(g, UINT64_MAX);
	while (!list_empty(&g->renders)) {
		answer(list_first(&g->renders, struct gpu_request, link));
	}
}

static const struct command_handler *find_handler(
	const struct gpu *g, unsigned queue, uint32_t type) {
	const struct command_handler *tables[] = {
		queue == GPU_QUEUE_CONTROL ? control_commands : cursor_commands,
		queue == GPU_QUEUE_CONTROL && g->gl ? gl_commands : NULL,
		queue == GPU_QUEUE_CONTROL && g->gl ? gl_resource_commands : NULL,
	};
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		for (const struct command_handler *h = tables[i]; h && h->type != 0; h++) {
			if (h->type == type) {
				return h;
			}
		}
	}
	return NULL;
}

static void handle(struct gpu *g, unsigned queue) {
	struct command c = {
		.gpu = g,
		.queue = &g->queues[queue],
		.chain = &g->chain,
		.response = VIRTIO_GPU_RESP_ERR_UNSPEC,
	};
	/* The guest may change its memory meanwhile: the fixed part is copied, then looked at. */
	union {
		struct virtio_gpu_ctrl_hdr hdr;
		uint8_t bytes[128];
	} body = {0};
	size_t got = command_read(&c, 0, &body, sizeof(body));

	g->commands++;
	g->used = true;
	if (got >= sizeof(body.hdr)) {
		c.hdr = body.hdr;
		const struct command_handler *h = find_handler(g, queue, c.hdr.type);
		if (h && got >= h->size) {
			c.response = VIRTIO_GPU_RESP_OK_NODATA;
			int r = h->handle(&c, &body);
			c.response = r < 0 ? response_of(r) : c.response;
		}
	}
	if (!c.held && c.written == 0 && c.hdr.flags & VIRTIO_GPU_FLAG_FENCE && fences_before(g)) {
		hold_done(&c);
	}
	if (c.held) {
		return;
	}
	if (c.written == 0) {
		struct virtio_gpu_ctrl_hdr hdr = {0};
		if (c.response >= VIRTIO_GPU_RESP_ERR_UNSPEC) {
			g->errors++;
			log_debug("command 0x%x: error 0x%x", c.hdr.type, c.response);
		}
		command_respond(&c, c.response, &hdr, sizeof(hdr));
	}
	virtqueue_push(c.queue, g->chain.head, (uint32_t)c.written);
}

int gpu_process_queue(struct gpu *g, unsigned queue) {
	struct virtqueue *vq = &g->queues[queue];
	if (!virtqueue_running(vq)) {
		return 0;
	}
	/* A driver that fills the ring as fast as we empty it must not keep us here for ever. */
	uint32_t budget = vq->size;
	int r = 0;
	do {
		virtqueue_disable_kicks(vq);
		while (budget > 0 && (r = virtqueue_pop(vq, &g->chain)) > 0) {
			handle(g, queue);
			budget--;
		}
		if (budget == 0) {
			r = 1;
			break;
		}
	} while (r == 0 && virtqueue_running(vq) && vq->enabled && !virtqueue_enable_kicks(vq));
	virtqueue_notify(vq);
	return r;
}

void gpu_blank(struct gpu *g, uint32_t scanout) {
	scanout_off(g, scanout);
	g->config.ops.cursor_defined(g->config.ops.data, scanout, NULL, 0, 0);
}

void gpu_reset(struct gpu *g) {
	for (uint32_t id = 0; id < g->config.n_scanouts; id++) {
		gpu_blank(g, id);
	}
	if (g->gl) {
		gl_reset(g->gl);
	}
	resource_table_clear(&g->resources);
	gpu_reap(g);
	g->used = false;
}

int gpu_init(struct gpu *g, const struct gpu_config *config) {
	if (config->n_scanouts < 1 || config->n_scanouts > SCANOUTS_MAX) {
		return -EINVAL;
	}
	*g = (struct gpu){.config = *config};
	list_init(&g->requests);
	list_init(&g->renders);
	resource_table_init(
		&g->resources, config->memory_budget, config->ops.wake, config->ops.data);
	for (unsigned i = 0; i < GPU_N_QUEUES; i++) {
		virtqueue_init(&g->queues[i]);
	}
	return 0;
}

void gpu_finish(struct gpu *g) {
	gpu_flush_requests(g);
	gpu_reset(g);
	resource_table_finish(&g->resources);
	for (unsigned i = 0; i < GPU_N_QUEUES; i++) {
		virtqueue_finish(&g->queues[i]);
	}
}
