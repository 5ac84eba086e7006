/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>

#include <helix/hxfr.h>

#include "server.h"
#include "util.h"

struct cursor_image *cursor_image_create(uint32_t width, uint32_t height) {
	if (width == 0 || height == 0 || width > HXFR_CURSOR_MAX_SIDE ||
		height > HXFR_CURSOR_MAX_SIDE) {
		errno = EINVAL;
		return NULL;
	}
	struct cursor_image *image = calloc(1, sizeof(*image) + 4 * (size_t)width * height);
	if (!image) {
		return NULL;
	}
	atomic_init(&image->refs, 1);
	image->width = width;
	image->height = height;
	return image;
}

struct cursor_image *cursor_image_ref(struct cursor_image *image) {
	atomic_fetch_add_explicit(&image->refs, 1, memory_order_relaxed);
	return image;
}

void cursor_image_unref(struct cursor_image *image) {
	if (image && atomic_fetch_sub_explicit(&image->refs, 1, memory_order_acq_rel) == 1) {
		free(image);
	}
}
