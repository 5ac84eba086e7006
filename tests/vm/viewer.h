/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What somebody sees who watches one output: subscribes to it by HXFR, decodes every frame, and
 * reads the frame counter that drm-flipper draws. Any number of viewers share one loop.
 */
#ifndef HELIX_TEST_VIEWER_H
#define HELIX_TEST_VIEWER_H

#include <helix/hxfr-client.h>

#include "decode.h"
#include "util.h"
#include "vm.h"

struct viewer {
	uint32_t scanout;
	bool blind; /* may be set after viewer_init: frames are counted, not decoded */
	struct hxfr_client *client;
	struct decoder *decoder;
	bool connected, closed;
	uint64_t frames, bytes, keys, broken; /* broken: not decodable one in, one out */
	uint64_t counted, torn, backwards;    /* frames with a counter; of these, how many bad */
	uint32_t counter;                     /* the newest, if there was one */
	uint64_t first_ns, last_ns;           /* when frames were received; 0: none was */
	uint64_t counter_ns, longest_gap_ns;  /* the newest counter came; between two of them */
	uint64_t size_changes;
	struct decoded picture;                     /* the newest; valid until the next frame */
	unsigned answers;                           /* SCANOUT_RESPs */
	bool accepted;                              /* what the last one said */
	int32_t hot_x, hot_y, pointer_x, pointer_y; /* of the pointer; where its hot spot is */
	uint64_t pointer_moves;                     /* 0: nothing was told of it */
	struct hxfr_stats stats;                    /* of `scanout`, once asked for */
	bool stats_fresh;
};

/* Connects and subscribes; the answers come while the loop runs. */
void viewer_init(struct viewer *v, sd_event *loop, const struct vm *vm, uint32_t scanout);
/* The same of any exporter on this machine, such as that of a second card. */
void viewer_init_port(struct viewer *v, sd_event *loop, uint16_t port, uint32_t scanout);
void viewer_finish(struct viewer *v);
/* Counts from zero again. */
void viewer_reset_counts(struct viewer *v);

/* Runs the loop, for so long. */
void run_loop(sd_event *loop, unsigned ms);
/* Runs the loop until the number is at least `n`; the test fails, saying `what`, after the time. */
void run_loop_until(
	sd_event *loop, const uint64_t *number, uint64_t n, unsigned timeout_ms, const char *what);

/* Asks for an output, and waits for a positive answer. */
void viewer_enable(struct viewer *v, sd_event *loop, uint32_t width, uint32_t height, uint32_t hz);
void viewer_disable(struct viewer *v, sd_event *loop);
/* Fetches v->stats. */
void viewer_get_stats(struct viewer *v, sd_event *loop);

#endif
