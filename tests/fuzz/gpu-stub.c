/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "gpu-stub.h"

static void get_outputs(void *data, struct gpu_output *ret, unsigned n) {
	memset(ret, 0, n * sizeof(*ret));
	ret[0] = (struct gpu_output){true, 1280, 800, 60};
}

static void outputs_told(void *data, int scanout) {
}

static void check_scanout(uint32_t scanout) {
	if (scanout >= SCANOUTS_MAX) {
		abort();
	}
}

static void scanout_changed(void *data, uint32_t scanout) {
	check_scanout(scanout);
}

/* Looks at every pixel, as a viewer would. */
static void cursor_defined(
	void *data, uint32_t scanout, struct cursor_image *image, uint32_t x, uint32_t y) {
	static volatile uint8_t sum;
	check_scanout(scanout);
	for (uint32_t i = 0; image && i < 4 * image->width * image->height; i++) {
		sum = (uint8_t)(sum + image->bgra[i]);
	}
	cursor_image_unref(image);
}

static void cursor_moved(void *data, uint32_t scanout, uint32_t x, uint32_t y) {
	check_scanout(scanout);
}

static void wake(void *data) {
}

const struct gpu_ops gpu_stub_ops = {
	.get_outputs = get_outputs,
	.outputs_told = outputs_told,
	.scanout_changed = scanout_changed,
	.cursor_defined = cursor_defined,
	.cursor_moved = cursor_moved,
	.wake = wake,
};
