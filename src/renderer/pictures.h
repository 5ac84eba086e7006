/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The shadows: memory of the exporter's that pictures of resources are read into. */
#ifndef HELIX_RENDERER_PICTURES_H
#define HELIX_RENDERER_PICTURES_H

#include "wire.h"

struct pictures;
/* A conversion under way. */
struct conversion;

/* With virglrenderer up. */
int pictures_create(struct pictures **ret);
/* RENDER_CAN_CONVERT and so on. */
uint32_t pictures_features(const struct pictures *p);

/* These return 0 or -errno: the request's answer. */
/* The descriptors are borrowed: memory and, with a second, a dmabuf of it. */
int pictures_add(struct pictures *p, const struct render_shadow *s, const int *fds, unsigned n_fds);
int pictures_remove(struct pictures *p, uint32_t shadow);
int pictures_read(struct pictures *p, uint32_t resource, const struct render_read *d);
int pictures_write(struct pictures *p, uint32_t resource, const struct render_read *d);
/*
 * Begins one, of a 2D texture with one sample. A fence that is made after this is reached when
 * pictures_finish will not have to wait.
 */
int pictures_convert(struct pictures *p, uint32_t resource, const struct render_convert *d,
	struct conversion **ret);
/* Writes the pixels, unless the shadow has gone, which is no error. Consumes the conversion. */
int pictures_finish(struct pictures *p, struct conversion *c);

#endif
