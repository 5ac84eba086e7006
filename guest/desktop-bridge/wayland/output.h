/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How large the desktop is, as the compositor at WAYLAND_DISPLAY tells all its clients (wl_output): known
 * also while nobody watches, which is when the exporter tells this bridge nothing.
 */
#ifndef HELIX_BRIDGE_WAYLAND_OUTPUT_H
#define HELIX_BRIDGE_WAYLAND_OUTPUT_H

#include <stdint.h>
#include <systemd/sd-event.h>

struct wayland_output;

/* Pixels, as shown; called when they are first known and when they change. */
typedef void (*wayland_output_fn)(uint32_t width, uint32_t height, void *data);

/* Waits for a compositor to come, and to come back. */
int wayland_output_create(
	sd_event *loop, wayland_output_fn handler, void *data, struct wayland_output **ret);
/* NULL does nothing. */
void wayland_output_destroy(struct wayland_output *o);

/* 0 by 0 while it is not known. */
void wayland_output_size(const struct wayland_output *o, uint32_t *ret_width, uint32_t *ret_height);

#endif
