/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Viewers that do not keep up: what they get, and that nobody else notices. */
#include <stdlib.h>

#include "proto/ws-messages.h"
#include "rig.h"
#include "test.h"
#include "util.h"

static void watch_both(struct watch *a, struct watch *b, unsigned ms) {
	uint64_t begin = now_ns();
	while (now_ns() - begin < ms * NSEC_PER_MSEC) {
		(void)watch_frame(a, 20);
		(void)watch_frame(b, 20);
	}
}

/*
 * A film for two, of whom one stops reading. The other one's frames go on as those of somebody who watches
 * another one alone; the first is told where it has a gap: when it reads again, all that comes decodes.
 */
TEST_TIMEOUT(one_stops_reading, 120) {
	struct rig quiet, r;
	struct watch lone, good, bad;
	rig_start(&quiet, SHOW_FILM, NULL);
	rig_start(&r, SHOW_FILM, NULL);
	watch_open(&lone, &quiet, NULL);
	watch_open(&good, &r, NULL);
	check(watch_frame(&lone, 10000) && watch_frame(&good, 10000));
	bad = (struct watch){.decoder = decode_create()};
	check(ws_open_small(&bad.ws, r.port, "/ws/stream", 4096));
	ws_send_init(&bad.ws, NULL);
	check(watch_frame(&bad, 10000));
	watch_both(&lone, &good, 500); /* what was left lying meanwhile */
	uint64_t alone = lone.frames, beside = good.frames;
	watch_both(&lone, &good, 4000);
	alone = lone.frames - alone;
	beside = good.frames - beside;
	(void)printf(
		"# in 4 s: alone %d frames, beside a stopped one %d\n", (int)alone, (int)beside);
	check_int(beside, >=, alone / 2); /* test-wire-slow.mjs is stricter */
	check_int(rig_metric(&r, "viewer_stalls_total"), >=, 1);
	/* Now it reads again. */
	uint64_t keyframes = bad.keyframes;
	uint64_t until = now_ns() + 20 * NSEC_PER_SEC;
	while (now_ns() < until && bad.keyframes == keyframes) {
		check(watch_frame(&bad, 10000));
		watch_both(&lone, &good, 10);
	}
	check_int(bad.keyframes, >, keyframes);
	watch_close(&lone);
	watch_close(&good);
	watch_close(&bad);
	rig_stop(&quiet);
	rig_stop(&r);
}

/* It takes nothing at all for 10 s: closed, and gone. */
TEST_TIMEOUT(a_stuck_one_is_closed, 120) {
	struct rig r;
	struct watch bad;
	rig_start(&r, SHOW_FILM, NULL);
	bad = (struct watch){.decoder = decode_create()};
	check(ws_open_small(&bad.ws, r.port, "/ws/stream", 4096));
	ws_send_init(&bad.ws, NULL);
	check(watch_frame(&bad, 10000));
	uint64_t begin = now_ns();
	while (rig_metric(&r, "viewers") > 0) {
		check_int(now_ns() - begin, <, 40 * NSEC_PER_SEC);
		sleep_ms(250);
	}
	(void)printf("# closed after %d s\n", (int)((now_ns() - begin) / NSEC_PER_SEC));
	check_int(now_ns() - begin, >, 8 * NSEC_PER_SEC);
	check_int(rig_metric(&r, "viewers_closed_slow_total"), ==, 1);
	watch_close(&bad);
	rig_stop(&r);
}

/* It reads, but answers no pings. */
TEST_TIMEOUT(a_mute_one_is_closed, 120) {
	struct rig r;
	struct watch w;
	rig_start(&r, SHOW_STILL, NULL);
	watch_open(&w, &r, NULL);
	w.ws.mute = true;
	uint64_t begin = now_ns();
	check_int(ws_expect_close(&w.ws, 60000), ==, 1008);
	check_int(now_ns() - begin, >, 25 * NSEC_PER_SEC);
	watch_close(&w);
	rig_stop(&r);
}

/* The longest time between two frames. */
static uint64_t watch_gap(struct watch *w, unsigned ms) {
	uint64_t gap = 0, last = now_ns(), until = last + ms * NSEC_PER_MSEC;
	while (now_ns() < until) {
		bool frame = watch_frame(w, 20);
		uint64_t now = now_ns();
		gap = MAX(gap, now - last);
		last = frame ? now : last;
	}
	return gap;
}

/* One viewer on a narrow link: the stream gets as small as the link, so that frames arrive. */
TEST_TIMEOUT(bitrate_follows_a_narrow_link, 120) {
	struct rig r;
	struct watch w;
	rig_start(&r, SHOW_FILM, NULL);
	w = (struct watch){.decoder = decode_create()};
	check(ws_open_small(&w.ws, r.port, "/ws/stream", 8192));
	w.ws.bytes_per_s = 100000; /* 0.8 Mbit/s */
	ws_send_init(&w.ws, NULL);
	(void)watch_gap(&w, 4000);
	uint64_t before = w.frames, gap = watch_gap(&w, 4000);
	double bitrate = rig_metric(&r, "bitrate_bits_per_second");
	(void)fprintf(stderr,
		"# 0.8 Mbit/s: asked for %.0f bit/s, %d frames in 4 s, %d ms between two\n",
		bitrate, (int)(w.frames - before), (int)(gap / NSEC_PER_MSEC));
	check(bitrate > 0 && bitrate < 1200000);
	check_int(w.frames - before, >, 40);
	check_int(gap, <, 1 * NSEC_PER_SEC);
	/* A second one with a good link: the stream is for the best link again. */
	struct watch good;
	watch_open(&good, &r, NULL);
	check(watch_frame(&good, 10000));
	check_int(rig_metric(&r, "bitrate_bits_per_second"), ==, 0);
	watch_close(&good);
	watch_close(&w);
	rig_stop(&r);
}
