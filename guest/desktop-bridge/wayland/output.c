/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "link.h"
#include "output.h"
#include "util.h"

struct wayland_output {
	struct wayland_link *link;
	struct wl_output *proxy; // of the connection; NULL without
	uint32_t name;
	int32_t transform;
	uint32_t width, height; /* of the mode, before the transform; 0: not told yet */
	wayland_output_fn handler;
	void *data;
};

static void drop(struct wayland_output *o) {
	if (o->proxy) {
		wl_output_destroy(o->proxy);
	}
	o->proxy = NULL;
	o->transform = WL_OUTPUT_TRANSFORM_NORMAL;
	o->width = o->height = 0;
}

static void tell(struct wayland_output *o) {
	uint32_t width, height;
	wayland_output_size(o, &width, &height);
	if (width) {
		o->handler(width, height, o->data);
	}
}

/* Also without a mode behind it, where only the transform changed. */
static void handle_geometry(void *data, struct wl_output *proxy, int32_t x, int32_t y,
	int32_t width_mm, int32_t height_mm, int32_t subpixel, const char *make, const char *model,
	int32_t transform) {
	struct wayland_output *o = data;
	o->transform = transform;
	tell(o);
}

static void handle_mode(void *data, struct wl_output *proxy, uint32_t flags, int32_t width,
	int32_t height, int32_t refresh) {
	struct wayland_output *o = data;
	if ((flags & WL_OUTPUT_MODE_CURRENT) && width > 0 && height > 0) {
		o->width = (uint32_t)width;
		o->height = (uint32_t)height;
		tell(o);
	}
}

/* Of version 1: the others are told only to who binds a later one. */
static const struct wl_output_listener output_listener = {
	.geometry = handle_geometry,
	.mode = handle_mode,
};

/* A desktop has one. Where it is replaced, the new one may come before the old one goes. */
static void handle_global(struct wl_registry *registry, uint32_t name, const char *interface,
	uint32_t version, void *data) {
	struct wayland_output *o = data;
	if (strcmp(interface, wl_output_interface.name) != 0) {
		return;
	}
	drop(o);
	o->name = name;
	o->proxy = wl_registry_bind(registry, name, &wl_output_interface, 1);
	if (o->proxy) {
		(void)wl_output_add_listener(o->proxy, &output_listener, o);
	}
}

static void handle_global_removed(uint32_t name, void *data) {
	struct wayland_output *o = data;
	if (o->proxy && name == o->name) {
		drop(o);
	}
}

static void handle_told(void *data) {
}

static void handle_lost(const char *why, void *data) {
	drop(data);
}

static const struct wayland_events link_events = {
	.global = handle_global,
	.global_removed = handle_global_removed,
	.told = handle_told,
	.lost = handle_lost,
};

int wayland_output_create(
	sd_event *loop, wayland_output_fn handler, void *data, struct wayland_output **ret) {
	struct wayland_output *o = calloc(1, sizeof(*o));
	if (!o) {
		return -ENOMEM;
	}
	o->handler = handler;
	o->data = data;
	int r = wayland_link_create(loop, &link_events, o, &o->link);
	if (r < 0) {
		free(o);
		return r;
	}
	wayland_link_open(o->link);
	*ret = o;
	return 0;
}

void wayland_output_destroy(struct wayland_output *o) {
	if (!o) {
		return;
	}
	drop(o);
	wayland_link_destroy(o->link);
	free(o);
}

void wayland_output_size(
	const struct wayland_output *o, uint32_t *ret_width, uint32_t *ret_height) {
	/* By a quarter turn or three, mirrored or not: those are the odd ones. */
	bool turned = o->transform & WL_OUTPUT_TRANSFORM_90;
	*ret_width = turned ? o->height : o->width;
	*ret_height = turned ? o->width : o->height;
}
