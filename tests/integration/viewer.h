/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A subscriber that looks at what it gets: decodes every access unit and keeps account of it. Many
 * may share a loop. Fails the test at what must never come: a unit that does not decode to one
 * picture, a torn one, a presentation time that does not increase, a delta as the first.
 */
#ifndef HELIX_TESTS_VIEWER_H
#define HELIX_TESTS_VIEWER_H

#include <helix/hxfr-client.h>

#include "capture/surface.h"
#include "decode.h"
#include "exporter.h"

struct viewer {
	sd_event *loop;
	struct hxfr_client *client;
	struct decoder *decoder; // NULL: units are only counted
	uint32_t scanout;
	bool reads_counters; /* every picture has the frame counters of content.h */
	bool subscribed, subscribe_ok, hello_done, closed;

	uint64_t frames, keyframes, bytes;
	uint64_t first_frame_ns, last_frame_ns; /* CLOCK_MONOTONIC of arrival */
	size_t last_size;
	int64_t last_pts;
	struct decoded picture;     /* the last one; width 0 until there is one */
	struct hxfr_flip_info flip; /* of the last frame */
	uint32_t dropped;           /* units missed, as the server says */
	uint64_t new_content;       /* frames that were no refinement */
	uint64_t last_sequence, sequence_gaps;

	uint32_t counter;        /* of the last picture */
	uint64_t counters;       /* pictures in which it was read */
	uint64_t counter_gaps;   /* times that it grew by more than 1 */
	uint64_t counter_latest; /* new content that showed the same as the one before */

	struct hxfr_stats stats[16];
	bool stats_done;
	struct hxfr_scanout_state states[16];
	uint64_t n_states;
	uint64_t n_cursor_images, n_cursor_positions;
	struct hxfr_cursor_image cursor;
	struct hxfr_cursor_position cursor_position;
	uint8_t cursor_pixels[4 * 64 * 64];
	struct hxfr_scanout_resp scanout_resp;
	uint64_t n_scanout_resps;
};

/* Connects and says HELLO; `scanout` below 16: subscribes and waits for the answer. */
void viewer_open(struct viewer *v, struct exporter *e, sd_event *loop, uint32_t scanout);
/* The same without decoding: for those who only count. */
void viewer_open_counting(struct viewer *v, struct exporter *e, sd_event *loop, uint32_t scanout);
void viewer_close(struct viewer *v);

/* Runs the loop for a time. */
void loop_run_ms(sd_event *loop, unsigned ms);
/* Until *counter is at least `least`. False: not within the time. */
bool loop_run_until(sd_event *loop, const uint64_t *counter, uint64_t least, unsigned timeout_ms);
/* Until no frame came for `quiet_ms`; fails after `timeout_ms`. */
void viewer_run_quiet(struct viewer *v, unsigned quiet_ms, unsigned timeout_ms);
/* At least one more frame, and then quiet: the picture is as good as it gets. */
void viewer_run_refined(struct viewer *v);
/* Until a picture with this counter came. */
bool viewer_run_counter(struct viewer *v, uint32_t counter, unsigned timeout_ms);

void viewer_get_stats(struct viewer *v, uint32_t scanout, struct hxfr_stats *ret);
void viewer_enable(struct viewer *v, uint32_t scanout, uint32_t width, uint32_t height);
void viewer_disable(struct viewer *v, uint32_t scanout);

/*
 * PSNR in dB of the last picture against what the pixels (in `order`, 4·width bytes a row) convert
 * to: the worst of its three planes.
 */
double viewer_psnr(const struct viewer *v, const uint8_t *pixels, enum pixel_order order,
	uint32_t width, uint32_t height, uint32_t stride);

#endif
