/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "list.h"
#include "log.h"
#include "memory.h"
#include "pictures.h"
#include "renderer.h"
#include "util.h"
#include "virgl.h"

LOG_MODULE("renderer");

/* What virglrenderer says of guests' commands is theirs to repeat: so much of it is shown. */
#define VIRGL_LINES_MAX 50

#define RESOURCE_BUCKETS 1024u

/* virgl_renderer_get_cap_set's; docs of virtio 1.2, 5.7.6.8, GET_CAPSET_INFO. */
static const uint32_t capset_ids[] = {1, 2};

#define TARGET_2D 2u /* Gallium's PIPE_TEXTURE_2D, of resource_create_3d.target */

struct resource {
	uint32_t id;
	bool plain;            /* a 2D texture with one sample */
	struct iovec *backing; // NULL: none
	struct memory *memory; // that the backing lies in
	struct list link;      // renderer.resources
};

struct fence {
	uint32_t id;
	uint64_t sequence;
	struct conversion *conversion; // whose pixels are there now; NULL: none
	struct list link;              // renderer.fences or .reached, oldest first
};

struct renderer {
	int socket;
	int drm_fd;
	const uint8_t *ring;
	struct memory *memory; // NULL until RENDER_MEMORY
	struct list resources[RESOURCE_BUCKETS];
	struct list fences;
	uint32_t last_fence;
	struct list reached; // struct fence.link, not answered yet
	struct pictures *pictures;
	struct conversion *conversion; // that the request at hand began; NULL: none
	int broken;                    /* -errno of a reply that could not be sent */
};

static int virgl_lines;

static void handle_virgl_log(const char *fmt, va_list args) {
	char line[256];
	if (virgl_lines >= VIRGL_LINES_MAX) {
		return;
	}
	(void)vsnprintf(line, sizeof(line), fmt, args);
	line[strcspn(line, "\n")] = '\0';
	log_info("virglrenderer: %s%s", line,
		++virgl_lines == VIRGL_LINES_MAX ? " (no more of these are shown)" : "");
}

static void reply(struct renderer *r, uint64_t sequence, int error) {
	struct render_message m = {
		.type = RENDER_DONE,
		.sequence = sequence,
		.u.done = {.error = error},
	};
	int result = render_send(r->socket, &m, NULL, 0);
	if (result < 0) {
		r->broken = result;
	}
}

/* Virglrenderer's callbacks. */

static void handle_fence(void *cookie, uint32_t id) {
	struct renderer *r = cookie;
	struct fence *f, *tmp;
	list_for_each_safe(f, tmp, &r->fences, link) {
		/* Numbers wrap; at most some hundreds are outstanding. */
		if ((int32_t)(f->id - id) > 0) {
			break;
		}
		list_remove(&f->link);
		list_append(&r->reached, &f->link);
	}
}

static int get_drm_fd(void *cookie) {
	struct renderer *r = cookie;
	return take_fd(&r->drm_fd); /* virglrenderer closes it */
}

/* Resources. */

static struct list *bucket(struct renderer *r, uint32_t id) {
	return &r->resources[id % RESOURCE_BUCKETS];
}

static struct resource *find(struct renderer *r, uint32_t id) {
	struct resource *resource;
	list_for_each(resource, bucket(r, id), link) {
		if (resource->id == id) {
			return resource;
		}
	}
	return NULL;
}

static void drop_backing(struct resource *resource) {
	if (resource->backing) {
		struct iovec *iov;
		int n;
		virgl_renderer_resource_detach_iov((int)resource->id, &iov, &n);
		free(resource->backing);
		memory_unref(resource->memory);
		resource->backing = NULL;
		resource->memory = NULL;
	}
}

static void resource_free(struct resource *resource) {
	drop_backing(resource);
	virgl_renderer_resource_unref(resource->id);
	list_remove(&resource->link);
	free(resource);
}

/* The requests. Each returns 0 or -errno, which is the answer. */

struct request {
	const struct render_message *m;
	const uint8_t *payload;
	const int *fds;
	unsigned n_fds;
};

static int do_nop(struct renderer *r, const struct request *q) {
	(void)r;
	(void)q;
	return 0;
}

static int do_memory(struct renderer *r, const struct request *q) {
	struct render_region regions[RENDER_MAX_REGIONS];
	struct memory *memory;
	memcpy(regions, q->payload, q->m->payload_size);
	int result = memory_create(regions, q->fds, q->n_fds, &memory);
	if (result < 0) {
		return result;
	}
	memory_unref(r->memory);
	r->memory = memory;
	return 0;
}

/*
 * virglrenderer makes a context and takes one apart in the GL of whichever was at work, leaves another
 * GL current, and believes that it did not. What the one that was at work draws next would fail and be
 * its end: a compositor's, when a program of some desktop begins or ends.
 */
static int do_context_create(struct renderer *r, const struct request *q) {
	const char *name = q->m->u.name;
	(void)r;
	virgl_renderer_force_ctx_0();
	int error = virgl_renderer_context_create(q->m->context, (uint32_t)strlen(name), name);
	virgl_renderer_force_ctx_0();
	return error == 0 ? 0 : -EINVAL;
}

static int do_context_destroy(struct renderer *r, const struct request *q) {
	(void)r;
	virgl_renderer_force_ctx_0();
	virgl_renderer_context_destroy(q->m->context);
	virgl_renderer_force_ctx_0();
	return 0;
}

static int do_context_attach(struct renderer *r, const struct request *q) {
	if (!find(r, q->m->resource)) {
		return -ENOENT;
	}
	virgl_renderer_ctx_attach_resource((int)q->m->context, (int)q->m->resource);
	return 0;
}

static int do_context_detach(struct renderer *r, const struct request *q) {
	if (!find(r, q->m->resource)) {
		return -ENOENT;
	}
	virgl_renderer_ctx_detach_resource((int)q->m->context, (int)q->m->resource);
	return 0;
}

static int do_resource_create(struct renderer *r, const struct request *q) {
	const struct render_create *c = &q->m->u.create;
	struct virgl_renderer_resource_create_args args = {
		.handle = q->m->resource,
		.target = c->target,
		.format = c->format,
		.bind = c->bind,
		.width = c->width,
		.height = c->height,
		.depth = c->depth,
		.array_size = c->array_size,
		.last_level = c->last_level,
		.nr_samples = c->nr_samples,
		.flags = c->flags,
	};
	struct resource *resource = find(r, args.handle) ? NULL : calloc(1, sizeof(*resource));
	if (!resource) {
		return -EEXIST;
	}
	/* Or a GL error that one desktop makes here would be found by another, and be its end. */
	virgl_renderer_force_ctx_0();
	int error = virgl_renderer_resource_create(&args, NULL, 0);
	if (error != 0) {
		free(resource);
		return error == ENOMEM || error == -ENOMEM ? -ENOMEM : -EINVAL;
	}
	resource->id = args.handle;
	resource->plain = c->target == TARGET_2D && c->nr_samples <= 1;
	list_append(bucket(r, args.handle), &resource->link);
	return 0;
}

static int do_resource_unref(struct renderer *r, const struct request *q) {
	struct resource *resource = find(r, q->m->resource);
	if (!resource) {
		return -ENOENT;
	}
	resource_free(resource);
	return 0;
}

static int do_backing_attach(struct renderer *r, const struct request *q) {
	struct resource *resource = find(r, q->m->resource);
	size_t n = q->m->payload_size / sizeof(struct render_piece);
	if (!resource || resource->backing || !r->memory) {
		return resource ? -EINVAL : -ENOENT;
	}
	struct iovec *iov = memory_pieces(r->memory, (const struct render_piece *)q->payload, n);
	if (!iov) {
		return -errno;
	}
	int error = virgl_renderer_resource_attach_iov((int)resource->id, iov, (int)n);
	if (error != 0) {
		free(iov);
		return -EINVAL;
	}
	resource->backing = iov;
	resource->memory = r->memory;
	r->memory->refs++;
	return 0;
}

static int do_backing_detach(struct renderer *r, const struct request *q) {
	struct resource *resource = find(r, q->m->resource);
	if (!resource || !resource->backing) {
		return resource ? -EINVAL : -ENOENT;
	}
	drop_backing(resource);
	return 0;
}

static struct virgl_box box_of(const struct render_transfer *t) {
	return (struct virgl_box){t->x, t->y, t->z, t->width, t->height, t->depth};
}

static int do_transfer_to_host(struct renderer *r, const struct request *q) {
	const struct render_transfer *t = &q->m->u.transfer;
	struct virgl_box box = box_of(t);
	struct resource *resource = find(r, q->m->resource);
	if (!resource || !resource->backing) {
		return resource ? -EINVAL : -ENOENT;
	}
	return virgl_renderer_transfer_write_iov(q->m->resource, q->m->context, (int)t->level,
		       t->stride, t->layer_stride, &box, t->offset, NULL, 0) == 0
		? 0
		: -EINVAL;
}

static int do_transfer_from_host(struct renderer *r, const struct request *q) {
	const struct render_transfer *t = &q->m->u.transfer;
	struct virgl_box box = box_of(t);
	struct resource *resource = find(r, q->m->resource);
	if (!resource || !resource->backing) {
		return resource ? -EINVAL : -ENOENT;
	}
	return virgl_renderer_transfer_read_iov(q->m->resource, q->m->context, t->level, t->stride,
		       t->layer_stride, &box, t->offset, NULL, 0) == 0
		? 0
		: -EINVAL;
}

static int do_submit(struct renderer *r, const struct request *q) {
	(void)r;
	return virgl_renderer_submit_cmd((void *)(uintptr_t)q->payload, (int)q->m->context,
		       (int)(q->m->payload_size / 4)) == 0
		? 0
		: -EINVAL;
}

static int do_shadow_add(struct renderer *r, const struct request *q) {
	return pictures_add(r->pictures, &q->m->u.shadow, q->fds, q->n_fds);
}

static int do_shadow_remove(struct renderer *r, const struct request *q) {
	return pictures_remove(r->pictures, q->m->u.shadow.shadow);
}

static int do_read(struct renderer *r, const struct request *q) {
	return find(r, q->m->resource) ? pictures_read(r->pictures, q->m->resource, &q->m->u.read)
				       : -ENOENT;
}

static int do_write(struct renderer *r, const struct request *q) {
	return find(r, q->m->resource) ? pictures_write(r->pictures, q->m->resource, &q->m->u.read)
				       : -ENOENT;
}

static int do_convert(struct renderer *r, const struct request *q) {
	const struct resource *resource = find(r, q->m->resource);
	if (!resource) {
		return -ENOENT;
	}
	if (!resource->plain) {
		return -EOPNOTSUPP;
	}
	return pictures_convert(r->pictures, q->m->resource, &q->m->u.convert, &r->conversion);
}

static int (*const handlers[_RENDER_REQUEST_MAX])(struct renderer *r, const struct request *q) = {
	[RENDER_NOP] = do_nop,
	[RENDER_MEMORY] = do_memory,
	[RENDER_CONTEXT_CREATE] = do_context_create,
	[RENDER_CONTEXT_DESTROY] = do_context_destroy,
	[RENDER_CONTEXT_ATTACH] = do_context_attach,
	[RENDER_CONTEXT_DETACH] = do_context_detach,
	[RENDER_RESOURCE_CREATE] = do_resource_create,
	[RENDER_RESOURCE_UNREF] = do_resource_unref,
	[RENDER_BACKING_ATTACH] = do_backing_attach,
	[RENDER_BACKING_DETACH] = do_backing_detach,
	[RENDER_TRANSFER_TO_HOST] = do_transfer_to_host,
	[RENDER_TRANSFER_FROM_HOST] = do_transfer_from_host,
	[RENDER_SUBMIT] = do_submit,
	[RENDER_SHADOW_ADD] = do_shadow_add,
	[RENDER_SHADOW_REMOVE] = do_shadow_remove,
	[RENDER_READ] = do_read,
	[RENDER_WRITE] = do_write,
	[RENDER_CONVERT] = do_convert,
};

/* Done when the GPU is: the fence's callback answers. */
static int fence(struct renderer *r, uint64_t sequence) {
	struct fence *f = calloc(1, sizeof(*f));
	if (!f) {
		return -ENOMEM;
	}
	*f = (struct fence){
		.id = ++r->last_fence, .sequence = sequence, .conversion = r->conversion};
	list_append(&r->fences, &f->link);
	int error = virgl_renderer_create_fence((int)f->id, 0);
	if (error != 0) {
		list_remove(&f->link);
		free(f);
		return -ENOMEM;
	}
	return 0;
}

/* Answers a request that was handled: now, or when its fence is reached. */
static void answer(struct renderer *r, const struct render_message *m, int error) {
	/* One that failed is answered in its place, too: after all before it. */
	bool fenced = error == 0 && (m->flags & RENDER_FLAG_FENCE || r->conversion);
	if (!fenced || fence(r, m->sequence) < 0) {
		if (r->conversion) {
			error = pictures_finish(r->pictures, r->conversion);
		}
		reply(r, m->sequence, error);
	}
	r->conversion = NULL;
}

int renderer_handle(
	struct renderer *r, const struct render_message *m, size_t size, int *fds, unsigned n_fds) {
	int result = render_request_check(m, size, n_fds);
	if (result >= 0) {
		struct request q = {m, r->ring + m->payload_offset, fds, n_fds};
		int error = handlers[m->type](r, &q);
		if (error < 0) {
			log_debug("%s of context %u, resource %u: %s", render_type_name(m->type),
				m->context, m->resource, strerror(-error));
		}
		answer(r, m, error);
	}
	for (unsigned i = 0; i < n_fds; i++) {
		(void)close_fd(fds[i]);
	}
	return result < 0 ? result : r->broken;
}

int renderer_poll_fd(struct renderer *r) {
	(void)r;
	return virgl_renderer_get_poll_fd();
}

int renderer_poll(struct renderer *r) {
	struct fence *f, *tmp;
	virgl_renderer_poll();
	list_for_each_safe(f, tmp, &r->reached, link) {
		int error = f->conversion ? pictures_finish(r->pictures, f->conversion) : 0;
		reply(r, f->sequence, error);
		list_remove(&f->link);
		free(f);
	}
	return r->broken;
}

int renderer_say_hello(struct renderer *r) {
	struct render_message m = {
		.type = RENDER_HELLO,
		.u.hello = {.version = RENDER_VERSION, .features = pictures_features(r->pictures)},
	};
	CLEANUP_CLOSE int fd = memfd_create("helix-capsets", MFD_CLOEXEC);
	if (fd < 0) {
		return -errno;
	}
	for (size_t i = 0; i < ARRAY_SIZE(capset_ids); i++) {
		struct render_capset *c = &m.u.hello.capsets[m.u.hello.n_capsets];
		virgl_renderer_get_cap_set(capset_ids[i], &c->version, &c->size);
		if (c->size == 0 || c->size > RENDER_MAX_PAYLOAD) {
			continue;
		}
		CLEANUP_FREE uint8_t *caps = calloc(1, c->size);
		if (!caps) {
			return -ENOMEM;
		}
		virgl_renderer_fill_caps(capset_ids[i], c->version, caps);
		if (write(fd, caps, c->size) != (ssize_t)c->size) {
			return -EIO;
		}
		c->id = capset_ids[i];
		m.u.hello.n_capsets++;
	}
	return m.u.hello.n_capsets > 0 ? render_send(r->socket, &m, &fd, 1) : -ENOTSUP;
}

int renderer_create(const struct renderer_config *config, struct renderer **ret) {
	static struct virgl_renderer_callbacks callbacks = {
		.version = 2,
		.write_fence = handle_fence,
		.get_drm_fd = get_drm_fd,
	};
	struct renderer *r = calloc(1, sizeof(*r));
	if (!r) {
		return -ENOMEM;
	}
	r->socket = config->socket;
	r->drm_fd = -1;
	list_init(&r->fences);
	list_init(&r->reached);
	for (size_t i = 0; i < RESOURCE_BUCKETS; i++) {
		list_init(&r->resources[i]);
	}
	int result = 0;
	void *ring = mmap(NULL, RENDER_RING_SIZE, PROT_READ, MAP_SHARED, config->ring, 0);
	if (ring == MAP_FAILED) {
		result = -errno;
		goto fail;
	}
	r->ring = ring;
	int flags = VIRGL_RENDERER_USE_EGL | VIRGL_RENDERER_THREAD_SYNC;
	if (config->render_node) {
		r->drm_fd = open(config->render_node, O_RDWR | O_CLOEXEC);
		if (r->drm_fd < 0) {
			result = -errno;
			goto fail;
		}
	} else {
		flags |= VIRGL_RENDERER_USE_SURFACELESS;
		callbacks.get_drm_fd = NULL;
	}
	(void)virgl_set_debug_callback(handle_virgl_log);
	if (virgl_renderer_init(r, flags, &callbacks) != 0) {
		result = -ENOTSUP;
		goto fail;
	}
	/* Without it fences would have to be polled for. */
	if (virgl_renderer_get_poll_fd() < 0) {
		log_err("the GL driver has no fences that can be waited for");
		result = -ENOTSUP;
		goto fail;
	}
	result = pictures_create(&r->pictures);
	if (result < 0) {
		goto fail;
	}
	*ret = r;
	return 0;
fail:
	(void)close_fd(r->drm_fd);
	if (r->ring) {
		(void)munmap(ring, RENDER_RING_SIZE);
	}
	free(r);
	return result;
}
