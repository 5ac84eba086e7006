/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a captured frame of 1920 by 1080 costs, by the way that it takes: from a guest's pages, from
 * a texture that is read as RGB (--gl-capture=cpu), and from one that GL converts (gpu). CPU time of
 * each stage; the guest is a fake front end, GL is what this machine has.
 *
 * device    the exporter's device thread
 * draw      the renderer, for the guest's upload of what changed
 * read      the renderer, for the picture: what it needs more than with nobody watching
 * convert   finding out what changed and, of RGB, converting it
 * encode    x264
 *
 * The last part is a flipper that clears the whole texture for each frame.
 */
#include <stdio.h>
#include <stdlib.h>

#include "capture/content.h"
#include "exporter.h"
#include "gl-commands.h"
#include "parse.h"
#include "test.h"
#include "util.h"
#include "viewer.h"

#define WIDTH   1920u
#define HEIGHT  1080u
#define OK      VIRTIO_GPU_RESP_OK_NODATA
#define CONTEXT 1u
#define TEXTURE 1u

enum way {
	WAY_PAGES,
	WAY_CPU,
	WAY_GPU,
	_WAY_MAX,
};

static const char *const way_names[] = {"guest's pages", "texture, cpu", "texture, gpu"};

static unsigned n_frames(void) {
	uint32_t n = 100;
	(void)parse_u32(getenv("HELIX_BENCH_FRAMES"), 1, 1000000, &n);
	return n;
}

struct rig {
	enum way way;
	struct exporter e;
	struct frontend *fe;
	sd_event *loop;
	struct viewer v;
	struct canvas canvas;
	struct fake_screen *screen; // of WAY_PAGES
	struct guest_buffer *pages; // of the texture
};

static const struct virtio_gpu_rect everything = {0, 0, WIDTH, HEIGHT};

static void rig_start(struct rig *g, enum way way) {
	const char *args[] = {"--fps-cap=0", way == WAY_PAGES ? NULL : "--gl=on",
		way == WAY_CPU ? "--gl-capture=cpu" : "--gl-capture=gpu", NULL};
	struct frontend_options options = {
		.ram_size = UINT64_C(256) << 20, .queue_size = {256, 16}};
	*g = (struct rig){.way = way};
	exporter_start(&g->e, args);
	g->fe = exporter_start_guest(&g->e, &options);
	check_ok(sd_event_new(&g->loop));
	if (way == WAY_PAGES) {
		check_ok(fake_screen_create(g->fe, 0, WIDTH, HEIGHT,
			VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, 1, GUEST_SCATTERED, &g->screen));
		g->canvas.pixels = fake_screen_back(g->screen);
	} else {
		check_int(gl_context_create(g->fe, CONTEXT), ==, OK);
		check_int(gl_texture_create(g->fe, TEXTURE, WIDTH, HEIGHT), ==, OK);
		check_int(gl_context_attach(g->fe, CONTEXT, TEXTURE), ==, OK);
		check_ok(guest_buffer_create(
			g->fe, (size_t)4 * WIDTH * HEIGHT, GUEST_SCATTERED, &g->pages));
		check_int(gpu_resource_attach_backing(
				  g->fe, TEXTURE, g->pages->pieces, g->pages->n_pieces),
			==, OK);
		check_int(gpu_set_scanout(g->fe, 0, TEXTURE, &everything), ==, OK);
		g->canvas.pixels = g->pages->pixels;
	}
	g->canvas = (struct canvas){g->canvas.pixels, WIDTH, HEIGHT, 4 * WIDTH, PIXEL_ORDER_BGRA};
}

static void rig_stop(struct rig *g) {
	if (g->screen) {
		fake_screen_destroy(g->screen);
	} else {
		guest_buffer_destroy(g->pages);
	}
	sd_event_unref(g->loop);
	frontend_destroy(g->fe);
	exporter_stop(&g->e);
}

static void flush(struct rig *g, const struct virtio_gpu_rect *damage) {
	struct virtio_gpu_resource_flush f = {.r = *damage, .resource_id = TEXTURE};
	check_int(gl_command(g->fe, &f, sizeof(f), VIRTIO_GPU_CMD_RESOURCE_FLUSH, 0, true), ==, OK);
}

/* What was drawn into the canvas is shown. */
static void show(struct rig *g, const struct virtio_gpu_rect *damage) {
	if (g->screen) {
		check_int(fake_screen_flip(g->screen, damage, NULL), ==, OK);
		return;
	}
	struct virtio_gpu_transfer_host_3d t = {
		.box = {damage->x, damage->y, 0, damage->width, damage->height, 1},
		.offset = 4 * ((uint64_t)damage->y * WIDTH + damage->x),
		.resource_id = TEXTURE,
		.stride = 4 * WIDTH,
	};
	check_int(gl_command(
			  g->fe, &t, sizeof(t), VIRTIO_GPU_CMD_TRANSFER_TO_HOST_3D, CONTEXT, false),
		==, OK);
	flush(g, damage);
}

/* Draws the n-th step; returns what of the canvas changed. */
static struct virtio_gpu_rect step_typing(struct canvas *c, unsigned n) {
	uint32_t x = 400 + n % 100 * 8, y = 300 + n / 100 % 20 * 16;
	char text[2] = {(char)('a' + n * 7 % 26), 0};
	canvas_text(c, x, y, text, 0xffffff, 0x202020);
	return (struct virtio_gpu_rect){x, y, 8, 16};
}

static struct virtio_gpu_rect step_scroll(struct canvas *c, unsigned n) {
	const struct rect terminal = {300, 140, 960, 800};
	char line[121];
	canvas_scroll(c, terminal, 16);
	content_line(n, line, sizeof(line));
	canvas_fill(c, (struct rect){300, 140 + 784, 960, 16}, 0x101010);
	canvas_text(c, 300, 140 + 784, line, 0xd0d0d0, 0x101010);
	return (struct virtio_gpu_rect){300, 140, 960, 800};
}

static struct virtio_gpu_rect step_desktop(struct canvas *c, unsigned n) {
	content_desktop(c, 100 + n);
	return everything;
}

static const struct scenario {
	const char *name;
	struct virtio_gpu_rect (*step)(struct canvas *c, unsigned n);
	unsigned divisor; /* of the number of frames */
} scenarios[] = {
	{"typing", step_typing, 1},
	{"terminal scroll 960x800", step_scroll, 2},
	{"full change, desktop", step_desktop, 4},
};

struct costs {
	uint64_t device, renderer, convert, encode;
};

static struct costs read_costs(struct rig *g, bool watched) {
	struct hxfr_stats s = {0};
	if (watched) {
		viewer_get_stats(&g->v, 0, &s);
	}
	return (struct costs){exporter_thread_ns(&g->e, "device"),
		g->screen ? 0 : exporter_renderers_ns(&g->e), s.convert_ns, s.encode_ns};
}

/* So many steps, each awaited if somebody watches; what they cost. */
static struct costs run_steps(
	struct rig *g, const struct scenario *s, unsigned first, unsigned n, bool watched) {
	struct costs a = read_costs(g, watched);
	for (unsigned i = first; i < first + n; i++) {
		struct virtio_gpu_rect damage = s->step(&g->canvas, i);
		uint64_t start = now_ns();
		show(g, &damage);
		while (watched && g->v.flip.flip_ns < start) {
			check(now_ns() - start < 20 * NSEC_PER_SEC);
			check_ok(sd_event_run(g->loop, 100000));
		}
	}
	struct costs b = read_costs(g, watched);
	return (struct costs){b.device - a.device, b.renderer - a.renderer, b.convert - a.convert,
		b.encode - a.encode};
}

static void run_scenario(struct rig *g, const struct scenario *s) {
	unsigned n = MAX(n_frames() / s->divisor, 5u);
	double us = 1e3 * n;
	content_desktop(&g->canvas, 1);
	show(g, &everything);
	struct costs alone = run_steps(g, s, 0, n, false);
	viewer_open_counting(&g->v, &g->e, g->loop, 0);
	viewer_run_quiet(&g->v, 500, 120000);
	struct costs c = run_steps(g, s, n, n, true);
	viewer_close(&g->v);
	uint64_t read = c.renderer > alone.renderer ? c.renderer - alone.renderer : 0;
	printf("# %-24s %-14s %7.0f %7.0f %7.0f %7.0f %7.0f | %7.0f\n", s->name, way_names[g->way],
		(double)c.device / us, (double)(c.renderer - read) / us, (double)read / us,
		(double)c.convert / us, (double)c.encode / us,
		(double)(c.device + read + c.convert + c.encode) / us);
	(void)fflush(stdout);
}

TEST_TIMEOUT(captured_frame, 900) {
	printf("# CPU us per frame, 1920x1080; the total is without drawing\n"
	       "# %-24s %-14s %7s %7s %7s %7s %7s | %7s\n",
		"", "", "device", "draw", "read", "convert", "encode", "total");
	for (size_t i = 0; i < ARRAY_SIZE(scenarios); i++) {
		for (enum way way = 0; way < _WAY_MAX; way++) {
			struct rig g;
			rig_start(&g, way);
			run_scenario(&g, &scenarios[i]);
			rig_stop(&g);
		}
	}
}

static void run_flipper(enum way way, bool watched) {
	struct rig g;
	rig_start(&g, way);
	if (watched) {
		viewer_open_counting(&g.v, &g.e, g.loop, 0);
	}
	uint64_t start = now_ns(), frames = watched ? g.v.new_content : 0;
	unsigned n = 0;
	while (now_ns() - start < 5 * NSEC_PER_SEC) {
		const float colour[3] = {(float)(n % 16) / 16, 0.5f, (float)(n % 7) / 7};
		check_int(gl_fill(g.fe, CONTEXT, ++n, TEXTURE, colour), ==, OK);
		flush(&g, &everything);
		if (watched) {
			check_ok(sd_event_run(g.loop, 0));
		}
	}
	double seconds = (double)(now_ns() - start) / 1e9;
	printf("# %-14s %-12s %8.0f %8.0f\n", way_names[way], watched ? "watched" : "unwatched",
		n / seconds, watched ? (double)(g.v.new_content - frames) / seconds : 0);
	(void)fflush(stdout);
	if (watched) {
		viewer_close(&g.v);
	}
	rig_stop(&g);
}

TEST_TIMEOUT(gl_flipper, 300) {
	printf("# a flipper that clears 1920x1080 by GL: flips/s, frames/s received\n");
	run_flipper(WAY_CPU, false);
	run_flipper(WAY_CPU, true);
	run_flipper(WAY_GPU, true);
}
