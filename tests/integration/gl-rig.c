/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>

#include "gl-rig.h"
#include "test.h"
#include "util.h"

void rig_start(struct rig *g, const char *const *options) {
	static const char *const usual[] = {"--gl=on", NULL};
	struct frontend_options guest = {
		.ram_size = UINT64_C(256) << 20,
		.queue_size = {256, 16},
	};
	exporter_start(&g->e, options ? options : usual);
	g->fe = exporter_start_guest(&g->e, &guest);
	check_ok(sd_event_new(&g->loop));
}

void rig_stop(struct rig *g) {
	sd_event_unref(g->loop);
	frontend_destroy(g->fe);
	exporter_stop(&g->e);
}

int flush(struct frontend *fe, uint32_t resource) {
	struct virtio_gpu_resource_flush c = {.r = whole, .resource_id = resource};
	return gl_command(fe, &c, sizeof(c), VIRTIO_GPU_CMD_RESOURCE_FLUSH, 0, false);
}

void check_near(
	struct viewer *v, uint32_t x, uint32_t y, const float rgb[static 3], int tolerance) {
	uint8_t seen[3];
	check_int(v->picture.width, ==, WIDTH);
	decode_pixel(&v->picture, x, y, seen);
	for (unsigned k = 0; k < 3; k++) {
		check_int(abs((int)seen[k] - (int)(rgb[k] * 255.0f + 0.5f)), <=, tolerance);
	}
}

void check_colour(struct viewer *v, uint32_t x, uint32_t y, const float rgb[static 3]) {
	check_near(v, x, y, rgb, 3);
}

void show_texture(struct rig *g, uint32_t context, uint32_t texture) {
	check_int(gl_context_create(g->fe, context), ==, OK);
	check_int(gl_texture_create(g->fe, texture, WIDTH, HEIGHT), ==, OK);
	check_int(gl_context_attach(g->fe, context, texture), ==, OK);
	check_int(gpu_set_scanout(g->fe, 0, texture, &whole), ==, OK);
}
