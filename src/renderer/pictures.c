/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "log.h"
#include "nv12.h"
#include "pictures.h"
#include "util.h"
#include "virgl.h"

LOG_MODULE("pictures");

#define PIXEL_MAX    16u
#define FLAG_Y_0_TOP 1u /* VIRTIO_GPU_RESOURCE_FLAG_Y_0_TOP: virtio 1.2, 5.7.6.8 */

struct shadow {
	uint8_t *pixels; // NULL: there is none
	size_t size;
	uint64_t serial;            /* another for each that had this number */
	struct nv12_target *target; // that GL draws into; NULL: pixels are read back
};

struct conversion {
	struct nv12_readback *readback;
	uint32_t shadow, stride;
	uint64_t serial; /* of the shadow */
};

struct pictures {
	struct shadow shadows[RENDER_MAX_SHADOWS];
	uint64_t last_serial;
	struct nv12 *nv12; // NULL: GL has not what it takes
	bool said;         /* that dmabufs are not drawn into */
};

static struct shadow *find(struct pictures *p, uint32_t id) {
	return id < RENDER_MAX_SHADOWS && p->shadows[id].pixels ? &p->shadows[id] : NULL;
}

int pictures_create(struct pictures **ret) {
	struct pictures *p = calloc(1, sizeof(*p));
	if (!p) {
		return -ENOMEM;
	}
	virgl_renderer_force_ctx_0();
	int r = nv12_create(&p->nv12);
	if (r < 0) {
		log_info("GL cannot convert pictures: %s", strerror(-r));
	}
	*ret = p;
	return 0;
}

uint32_t pictures_features(const struct pictures *p) {
	if (!p->nv12) {
		return 0;
	}
	return RENDER_CAN_CONVERT | (nv12_software(p->nv12) ? RENDER_SOFTWARE : 0);
}

/* A dmabuf that GL cannot draw into is no error: what is read back comes to the same. */
static struct nv12_target *import(struct pictures *p, const struct render_shadow *s, int dmabuf) {
	struct nv12_target *target = NULL;
	if (!p->nv12 || (uint64_t)s->stride * s->rows * 3 / 2 > s->size) {
		return NULL;
	}
	int r = nv12_target_create(p->nv12, dmabuf, s->stride, s->rows, &target);
	if (r < 0 && !p->said) {
		log_info("GL does not draw into dmabufs: %s", strerror(-r));
		p->said = true;
	}
	return target;
}

int pictures_add(
	struct pictures *p, const struct render_shadow *s, const int *fds, unsigned n_fds) {
	struct stat st;
	if (s->shadow >= RENDER_MAX_SHADOWS || find(p, s->shadow) || fstat(fds[0], &st) < 0 ||
		s->size == 0 || st.st_size < 0 || s->size > (uint64_t)st.st_size) {
		return -EINVAL;
	}
	void *map = mmap(NULL, s->size, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0);
	if (map == MAP_FAILED) {
		return -errno;
	}
	p->shadows[s->shadow] = (struct shadow){
		.pixels = map,
		.size = s->size,
		.serial = ++p->last_serial,
		.target = n_fds > 1 ? import(p, s, fds[1]) : NULL,
	};
	return 0;
}

int pictures_remove(struct pictures *p, uint32_t id) {
	struct shadow *s = find(p, id);
	if (!s) {
		return -EINVAL;
	}
	nv12_target_destroy(p->nv12, s->target);
	(void)munmap(s->pixels, s->size);
	*s = (struct shadow){0};
	return 0;
}

/* The shadow as memory, if all of the rectangle lies in it. */
static int memory_of(struct pictures *p, const struct render_read *d, struct iovec *ret) {
	const struct shadow *s = find(p, d->shadow);
	if (!s || d->width == 0 || d->height == 0 || d->pixel == 0 || d->pixel > PIXEL_MAX) {
		return -EINVAL;
	}
	uint64_t row = (uint64_t)d->width * d->pixel;
	uint64_t span = (uint64_t)d->stride * (d->height - 1) + row;
	if (row > d->stride || d->offset > s->size || span > s->size - d->offset) {
		return -EINVAL;
	}
	*ret = (struct iovec){s->pixels, s->size};
	return 0;
}

int pictures_read(struct pictures *p, uint32_t resource, const struct render_read *d) {
	struct virgl_box box = {d->x, d->y, 0, d->width, d->height, 1};
	struct iovec iov;
	int r = memory_of(p, d, &iov);
	if (r < 0) {
		return r;
	}
	return virgl_renderer_transfer_read_iov(
		       resource, 0, 0, d->stride, 0, &box, d->offset, &iov, 1) == 0
		? 0
		: -EINVAL;
}

int pictures_write(struct pictures *p, uint32_t resource, const struct render_read *d) {
	struct virgl_box box = {d->x, d->y, 0, d->width, d->height, 1};
	struct iovec iov;
	int r = memory_of(p, d, &iov);
	if (r < 0) {
		return r;
	}
	return virgl_renderer_transfer_write_iov(
		       resource, 0, 0, (int)d->stride, 0, &box, d->offset, &iov, 1) == 0
		? 0
		: -EINVAL;
}

static bool inside(const struct render_rect *r, uint32_t width, uint32_t height) {
	return r->width > 0 && r->height > 0 && r->width <= width && r->x <= width - r->width &&
		r->height <= height && r->y <= height - r->height;
}

static struct nv12_rect rect_of(const struct render_rect *r) {
	return (struct nv12_rect){r->x, r->y, r->width, r->height};
}

int pictures_convert(struct pictures *p, uint32_t resource, const struct render_convert *d,
	struct conversion **ret) {
	struct virgl_renderer_resource_info info = {0};
	const struct shadow *s = find(p, d->shadow);
	if (!p->nv12) {
		return -EOPNOTSUPP;
	}
	if (!s || virgl_renderer_resource_get_info((int)resource, &info) != 0 ||
		!inside(&d->view, info.width, info.height) ||
		!inside(&d->damage, d->view.width, d->view.height) ||
		d->stride < nv12_row(d->view.width) ||
		(uint64_t)d->stride * nv12_rows(d->view.height) * 3 / 2 > s->size) {
		return -EINVAL;
	}
	if (info.tex_id == 0) {
		return -EOPNOTSUPP;
	}
	struct conversion *c = calloc(1, sizeof(*c));
	if (!c) {
		return -ENOMEM;
	}
	const struct nv12_source source = {
		.texture = info.tex_id,
		.bottom_up = info.flags & FLAG_Y_0_TOP,
		.texture_height = info.height,
		.view = rect_of(&d->view),
		.damage = rect_of(&d->damage),
	};
	*c = (struct conversion){.shadow = d->shadow, .stride = d->stride, .serial = s->serial};
	int r = nv12_start(p->nv12, &source, s->target, &c->readback);
	if (r < 0) {
		free(c);
		return r;
	}
	*ret = c;
	return 0;
}

int pictures_finish(struct pictures *p, struct conversion *c) {
	const struct shadow *s = find(p, c->shadow);
	bool wanted = s && s->serial == c->serial;
	int r = nv12_finish(p->nv12, c->readback, wanted ? s->pixels : NULL, c->stride);
	free(c);
	return wanted ? r : 0;
}
