/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The device as a whole: listens for a front end, runs the virtio-gpu device for it, and keeps what
 * must outlive a front end or a guest's boot (which outputs are on). It lives on one sd-event loop,
 * in a thread of its own in helix-frame-export; the functions at the end are for other threads.
 */
#ifndef HELIX_DEVICE_DEVICE_H
#define HELIX_DEVICE_DEVICE_H

#include <systemd/sd-event.h>

#include "gpu.h"

struct device;

struct device_ops {
	/* All on the device's thread. */
	void (*scanout_changed)(void *data, uint32_t scanout);
	void (*cursor_defined)(
		void *data, uint32_t scanout, struct cursor_image *image, uint32_t x, uint32_t y);
	void (*cursor_moved)(void *data, uint32_t scanout, uint32_t x, uint32_t y);
	/* The guest starts anew: its outputs are as at first again. */
	void (*guest_reset)(void *data);
	/* The front end given by device_connect is gone. */
	void (*disconnected)(void *data);
	void *data;
};

struct device_config {
	unsigned n_scanouts;
	size_t memory_budget;
	struct capture **captures;
	const struct gl_config *gl; // NULL: no 3D
	struct gpu_output first;    /* output 0; if enabled, it is always on */
	struct device_ops ops;
};

int device_create(sd_event *loop, const struct device_config *config, struct device **ret);
void device_destroy(struct device *d);

/* Waits for front ends, one at a time, on a Unix socket that is made here. -errno. */
int device_listen(struct device *d, const char *path);
/* As above on a socket that listens already, or speaks with the front end on a connected one. */
int device_adopt(struct device *d, int fd);

/* From any thread. */

/* What GET_DISPLAY_INFO and GET_EDID answer from now on. */
void device_set_output(struct device *d, uint32_t id, const struct gpu_output *output);
/*
 * Whether the guest has been given display information, and the EDID of each output that is on,
 * since they were last set. From any thread.
 */
bool device_outputs_known(struct device *d);
void device_get_output(struct device *d, uint32_t id, struct gpu_output *ret);
/* Counts guest resets and front ends, from 1. */
uint32_t device_generation(struct device *d);
/* What drew the scanout's picture draws no more: its renderer is gone, or its context is broken. */
bool device_scanout_lost(struct device *d, uint32_t scanout);
/* Somebody watches the scanout now who did not before. */
void device_refresh(struct device *d, uint32_t scanout);
/* capture_config.done and .settle; `data` is the device. */
void device_done(void *data, uint64_t token);
bool device_settle(void *data);

#endif
