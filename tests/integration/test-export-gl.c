/* SPDX-License-Identifier: GPL-2.0-or-later */
/* 3D: what contexts draw is what viewers see (gl-rig.h). */
#include <string.h>

#include "capture/content.h"
#include "gl-rig.h"
#include "test.h"
#include "util.h"

TEST(capsets) {
	struct rig g = {0};
	struct virtio_gpu_config config;
	rig_start(&g, NULL);
	check(g.fe->offered_features & FEATURE(VIRTIO_GPU_F_VIRGL));
	check_ok(frontend_get_config(g.fe, &config));
	check_int(config.num_capsets, ==, 2);
	for (uint32_t i = 0; i < 3; i++) {
		struct virtio_gpu_get_capset_info c = {.capset_index = i};
		struct virtio_gpu_resp_capset_info info;
		gpu_header(&c.hdr, VIRTIO_GPU_CMD_GET_CAPSET_INFO, 0);
		int r = gpu_command(g.fe, FRONTEND_CONTROL, &c, sizeof(c), &info, sizeof(info));
		if (i == 2) {
			check_int(r, ==, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER);
			break;
		}
		check_int(r, ==, VIRTIO_GPU_RESP_OK_CAPSET_INFO);
		check_int(info.capset_id, ==, i + 1);
		check_int(info.capset_max_size, >, 0);

		struct virtio_gpu_get_capset get = {
			.capset_id = info.capset_id, .capset_version = info.capset_max_version};
		uint8_t data[4096];
		check_int(info.capset_max_size, <=, sizeof(data) - sizeof(get.hdr));
		gpu_header(&get.hdr, VIRTIO_GPU_CMD_GET_CAPSET, 0);
		check_int(gpu_command(g.fe, FRONTEND_CONTROL, &get, sizeof(get), data,
				  sizeof(get.hdr) + info.capset_max_size),
			==, VIRTIO_GPU_RESP_OK_CAPSET);
	}
	rig_stop(&g);
}

TEST(off_is_off) {
	static const char *const options[] = {"--gl=off", NULL};
	struct rig g = {0};
	rig_start(&g, options);
	check(!(g.fe->offered_features & FEATURE(VIRTIO_GPU_F_VIRGL)));
	check_int(gl_context_create(g.fe, 1), ==, VIRTIO_GPU_RESP_ERR_UNSPEC);
	rig_stop(&g);
}

/* What a context draws is what a viewer sees, also one that comes later. */
TEST(drawn_is_seen) {
	struct rig g = {0};
	rig_start(&g, NULL);
	show_texture(&g, 1, 10);
	check_int(gl_fill(g.fe, 1, 1, 10, teal), ==, OK);
	check_int(flush(g.fe, 10), ==, OK);
	/* Nobody saw it; nor this, which is not even read. */
	check_int(gl_fill(g.fe, 1, 2, 10, orange), ==, OK);
	check_int(flush(g.fe, 10), ==, OK);

	viewer_open(&g.v, &g.e, g.loop, 0);
	viewer_run_refined(&g.v);
	check_colour(&g.v, WIDTH / 2, HEIGHT / 2, orange);
	/* But counted, and so is what was read when somebody came. */
	struct hxfr_stats stats;
	viewer_get_stats(&g.v, 0, &stats);
	check_int(stats.flips, ==, 3);
	check_int(gl_fill(g.fe, 1, 3, 10, blue), ==, OK);
	check_int(flush(g.fe, 10), ==, OK);
	viewer_run_refined(&g.v);
	check_colour(&g.v, WIDTH / 2, HEIGHT / 2, blue);
	viewer_close(&g.v);
	rig_stop(&g);
}

/* A flush that nobody takes soon is answered all the same. */
TEST(answer_limit) {
	static const char *const options[] = {"--gl=on", "--fps-cap=1", NULL};
	struct rig g = {0};
	rig_start(&g, options);
	show_texture(&g, 1, 10);
	check_int(gl_fill(g.fe, 1, 1, 10, teal), ==, OK);
	viewer_open(&g.v, &g.e, g.loop, 0);
	check_int(flush(g.fe, 10), ==, OK);
	check(loop_run_until(g.loop, &g.v.frames, 1, 20000));
	uint64_t start = now_ns();
	for (unsigned i = 0; i < 5; i++) {
		check_int(gl_fill(g.fe, 1, 2 + i, 10, i % 2 ? orange : blue), ==, OK);
		check_int(flush(g.fe, 10), ==, OK);
	}
	check_int(now_ns() - start, <, 3 * NSEC_PER_SEC);
	viewer_close(&g.v);
	rig_stop(&g);
}

/* A desktop in guest memory, and the texture that it is uploaded to; scanout 0 shows a part of it. */
struct upload {
	struct guest_buffer *b;
	struct virtio_gpu_rect view;
	uint32_t width, height;
};

static void upload_create(struct rig *g, struct upload *u, uint32_t flags) {
	struct virtio_gpu_resource_create_3d c = {
		.resource_id = 10,
		.target = GL_TARGET_2D,
		.format = GL_FORMAT,
		.bind = GL_BIND_RENDER_TARGET | GL_BIND_SCANOUT,
		.width = u->width,
		.height = u->height,
		.depth = 1,
		.array_size = 1,
		.flags = flags,
	};
	check_int(gl_context_create(g->fe, 1), ==, OK);
	check_int(gl_command(g->fe, &c, sizeof(c), VIRTIO_GPU_CMD_RESOURCE_CREATE_3D, 0, false), ==,
		OK);
	check_int(gl_context_attach(g->fe, 1, 10), ==, OK);
	check_ok(guest_buffer_create(
		g->fe, (size_t)4 * u->width * u->height, GUEST_SCATTERED, &u->b));
	check_int(gpu_resource_attach_backing(g->fe, 10, u->b->pieces, u->b->n_pieces), ==, OK);
	check_int(gpu_set_scanout(g->fe, 0, 10, &u->view), ==, OK);
}

static void upload_draw(struct rig *g, struct upload *u, uint64_t counter) {
	struct canvas canvas = {u->b->pixels, u->width, u->height, 4 * u->width, PIXEL_ORDER_BGRA};
	struct virtio_gpu_transfer_host_3d t = {
		.box = {0, 0, 0, u->width, u->height, 1},
		.resource_id = 10,
		.stride = 4 * u->width,
	};
	content_desktop(&canvas, counter);
	check_int(gl_command(g->fe, &t, sizeof(t), VIRTIO_GPU_CMD_TRANSFER_TO_HOST_3D, 1, true), ==,
		OK);
}

static void upload_check(struct rig *g, const struct upload *u) {
	const uint8_t *pixels = u->b->pixels + 4 * ((size_t)u->view.y * u->width + u->view.x);
	double psnr = viewer_psnr(
		&g->v, pixels, PIXEL_ORDER_BGRA, u->view.width, u->view.height, 4 * u->width);
	if (psnr < 45) {
		fail("PSNR is %.1f dB", psnr);
	}
}

static void upload_destroy(struct rig *g, struct upload *u) {
	check_int(gpu_resource_detach_backing(g->fe, 10), ==, OK);
	check_int(gl_resource_unref(g->fe, 10), ==, OK);
	check_int(gl_context_destroy(g->fe, 1), ==, OK);
	guest_buffer_destroy(u->b);
}

/* Uploaded, shown, a part of it drawn anew and flushed: right way up, to the last pixel. */
static void check_upload(const char *const *options, const struct upload *what, uint32_t flags) {
	struct rig g = {0};
	struct upload u = *what;
	rig_start(&g, options);
	upload_create(&g, &u, flags);
	upload_draw(&g, &u, 3);
	viewer_open(&g.v, &g.e, g.loop, 0);
	struct virtio_gpu_resource_flush all = {.r = {0, 0, u.width, u.height}, .resource_id = 10};
	check_int(gl_command(g.fe, &all, sizeof(all), VIRTIO_GPU_CMD_RESOURCE_FLUSH, 0, false), ==,
		OK);
	viewer_run_refined(&g.v);
	upload_check(&g, &u);

	/* Only the rectangle is told; what lies outside of it is drawn as before. */
	uint32_t x = u.view.x + u.view.width / 3, y = u.view.y + u.view.height / 2;
	for (uint32_t row = y; row < y + 35; row++) {
		memset(u.b->pixels + 4 * ((size_t)row * u.width + x), 200, (size_t)4 * 77);
	}
	struct virtio_gpu_transfer_host_3d t = {
		.box = {x, y, 0, 77, 35, 1},
		.offset = 4 * ((uint64_t)y * u.width + x),
		.resource_id = 10,
		.stride = 4 * u.width,
	};
	check_int(gl_command(g.fe, &t, sizeof(t), VIRTIO_GPU_CMD_TRANSFER_TO_HOST_3D, 1, true), ==,
		OK);
	struct virtio_gpu_resource_flush part = {.r = {x, y, 77, 35}, .resource_id = 10};
	check_int(gl_command(g.fe, &part, sizeof(part), VIRTIO_GPU_CMD_RESOURCE_FLUSH, 0, false),
		==, OK);
	viewer_run_refined(&g.v);
	upload_check(&g, &u);
	upload_destroy(&g, &u);
	viewer_close(&g.v);
	rig_stop(&g);
}

static const char *const by_cpu[] = {"--gl=on", "--gl-capture=cpu", NULL},
			 *const by_gpu[] = {"--gl=on", "--gl-capture=gpu", NULL};
static const struct upload entire = {.view = {0, 0, WIDTH, HEIGHT},
				   .width = WIDTH,
				   .height = HEIGHT},
			   part = {.view = {53, 31, 500, 362}, .width = WIDTH, .height = HEIGHT};

TEST(uploaded_is_seen) {
	check_upload(by_cpu, &entire, 0);
	check_upload(by_gpu, &entire, 0);
}

TEST(part_is_seen) {
	check_upload(by_cpu, &part, 0);
	check_upload(by_gpu, &part, 0);
}

TEST(turned_around_is_seen) {
	check_upload(by_cpu, &part, VIRTIO_GPU_RESOURCE_FLAG_Y_0_TOP);
	check_upload(by_gpu, &part, VIRTIO_GPU_RESOURCE_FLAG_Y_0_TOP);
}

/* What happens to others between two commands of a context is nothing to its GL. */
TEST(others_come_and_go) {
	struct rig g = {0};
	rig_start(&g, NULL);
	show_texture(&g, 1, 10);
	check_int(gl_fill(g.fe, 1, 1, 10, teal), ==, OK);
	check_int(flush(g.fe, 10), ==, OK);
	viewer_open(&g.v, &g.e, g.loop, 0);
	viewer_run_refined(&g.v);
	check_int(gl_clear(g.fe, 1, teal), ==, OK);
	check_int(gl_context_create(g.fe, 2), ==, OK);
	check_int(gl_clear(g.fe, 1, orange), ==, OK);
	check_int(flush(g.fe, 10), ==, OK);
	viewer_run_refined(&g.v);
	check_colour(&g.v, 5, 5, orange);
	check_int(gl_clear(g.fe, 1, teal), ==, OK);
	check_int(gl_context_destroy(g.fe, 2), ==, OK);
	check_int(gl_clear(g.fe, 1, blue), ==, OK);
	check_int(flush(g.fe, 10), ==, OK);
	viewer_run_refined(&g.v);
	check_colour(&g.v, 5, 5, blue);
	viewer_close(&g.v);
	rig_stop(&g);
}

/* Whatever a guest asks for, GL's error is not found by another context (target 3, bind 1 makes one). */
TEST(odd_resources_harm_nobody) {
	static const uint32_t binds[] = {1 << 0, 1 << 1, 1 << 3, 1 << 4, 1 << 18};
	struct rig g = {0};
	rig_start(&g, NULL);
	show_texture(&g, 1, 10);
	check_int(gl_fill(g.fe, 1, 1, 10, teal), ==, OK);
	for (uint32_t target = 0; target <= 9; target++) {
		for (size_t b = 0; b < ARRAY_SIZE(binds); b++) {
			for (uint32_t format = 0; format < 400; format++) {
				struct virtio_gpu_resource_create_3d c = {
					.resource_id = 100,
					.target = target,
					.format = format,
					.bind = binds[b],
					.width = 16,
					.height = target == 3 || target == 6 ? 1 : 16,
					.depth = target == 3 ? 4 : 1,
					.array_size = target >= 5 ? 6 : 1,
					.nr_samples = b == 1 ? 4 : 0,
				};
				(void)gl_command(g.fe, &c, sizeof(c),
					VIRTIO_GPU_CMD_RESOURCE_CREATE_3D, 0, false);
				(void)gl_resource_unref(g.fe, 100);
			}
			if (gl_clear(g.fe, 1, blue) != OK) {
				fail("target %u, bind %u", target, binds[b]);
			}
		}
	}
	rig_stop(&g);
}

/* Whoever comes sees what is shown now, and not first what was when the last one left. */
TEST(nothing_old_is_seen) {
	struct rig g = {0};
	rig_start(&g, NULL);
	show_texture(&g, 1, 10);
	check_int(gl_fill(g.fe, 1, 1, 10, teal), ==, OK);
	check_int(flush(g.fe, 10), ==, OK);
	for (unsigned i = 0; i < 4; i++) {
		const float *colour = i % 2 ? orange : blue;
		check_int(gl_clear(g.fe, 1, colour), ==, OK);
		check_int(flush(g.fe, 10), ==, OK);
		viewer_open(&g.v, &g.e, g.loop, 0);
		for (int k = 0; k < 300 && g.v.frames == 0; k++) {
			loop_run_ms(g.loop, 10);
		}
		check_int(g.v.frames, >, 0);
		check_near(&g.v, 5, 5, colour, 39);
		viewer_close(&g.v);
		loop_run_ms(g.loop, 200);
	}
	rig_stop(&g);
}
