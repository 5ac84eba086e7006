/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Encoders of libavcodec, with a software one where hardware would be, in the whole program. */
#include <unistd.h>

#include "capture/content.h"
#include "exporter.h"
#include "test.h"
#include "util.h"
#include "viewer.h"

#define OK       VIRTIO_GPU_RESP_OK_NODATA
#define HARDWARE "avcodec:libx264"

struct rig {
	struct exporter e;
	struct frontend *fe;
	struct fake_screen *screen;
	sd_event *loop;
	struct viewer v;
	uint32_t counter;
};

static void rig_start(struct rig *g, const char *const *args) {
	*g = (struct rig){0};
	exporter_start(&g->e, args);
	g->fe = exporter_start_guest(&g->e, NULL);
	check_ok(sd_event_new(&g->loop));
	viewer_open(&g->v, &g->e, g->loop, 0);
	g->v.reads_counters = true;
	check_ok(fake_screen_create(g->fe, 0, 640, 480, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, 2,
		GUEST_CONTIGUOUS, &g->screen));
}

static void rig_stop(struct rig *g) {
	viewer_close(&g->v);
	sd_event_unref(g->loop);
	fake_screen_destroy(g->screen);
	frontend_destroy(g->fe);
	exporter_stop(&g->e);
}

static void flip(struct rig *g, unsigned times) {
	struct fake_screen *s = g->screen;
	while (times-- > 0) {
		struct canvas c = {
			fake_screen_back(s), s->width, s->height, 4 * s->width, PIXEL_ORDER_BGRA};
		content_desktop(&c, 7);
		canvas_counter(&c, COUNTER_X, COUNTER_TOP_Y, ++g->counter);
		canvas_counter(&c, COUNTER_X, counter_bottom_y(c.height), g->counter);
		check_int(fake_screen_flip(s, NULL, NULL), ==, OK);
		check(viewer_run_counter(&g->v, g->counter, 20000));
	}
}

TEST(pictures_by_libavcodec) {
	static const char *const args[] = {"--encoder", HARDWARE, NULL};
	struct rig g;
	struct hxfr_stats stats;
	rig_start(&g, args);
	check(exporter_logged(&g.e, HARDWARE ", tried in"));
	flip(&g, 30);
	check_int(g.v.keyframes, ==, 1);
	viewer_get_stats(&g.v, 0, &stats);
	check_str(stats.encoder, HARDWARE);
	check_int(stats.encoder_lost, ==, 0);

	/* Who comes later gets an IDR; nothing is left of who goes. */
	unsigned fds = 0;
	for (unsigned i = 0; i < 5; i++) {
		struct viewer late;
		viewer_open(&late, &g.e, g.loop, 0);
		check(loop_run_until(g.loop, &late.frames, 1, 20000));
		viewer_close(&late);
		flip(&g, 1);
		fds = i == 0 ? exporter_fds(&g.e) : fds;
		check_int(exporter_fds(&g.e), <=, fds);
	}
	rig_stop(&g);
}

TEST(no_session_left) {
	static const char *const args[] = {"--encoder", HARDWARE, "--hardware-sessions", "0", NULL};
	struct rig g;
	struct hxfr_stats stats;
	rig_start(&g, args);
	flip(&g, 10);
	viewer_get_stats(&g.v, 0, &stats);
	check_str(stats.encoder, "x264");
	check_int(stats.encoder_lost, ==, 1);
	check_int(stats.encoder_recovered, ==, 0);
	check(exporter_logged(&g.e, HARDWARE " fails at 640x480, x264 encodes"));
	rig_stop(&g);
}

static void check_x264(const char *encoder, const char *text) {
	const char *args[] = {"--encoder", encoder, NULL};
	struct rig g;
	struct hxfr_stats stats;
	rig_start(&g, args);
	check(exporter_logged(&g.e, text));
	flip(&g, 3);
	viewer_get_stats(&g.v, 0, &stats);
	check_str(stats.encoder, "x264");
	check_int(stats.encoder_lost, ==, 0);
	rig_stop(&g);
}

TEST(no_hardware) {
	if (access("/dev/dri", F_OK) == 0) {
		skip("there may be a GPU");
	}
	check_x264("vaapi", "x264 instead of vaapi: no hardware");
	check_x264("nvenc", "x264 instead of nvenc: no hardware");
}
