/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "test.h"
#include "viewer.h"

#define ANSWER_TIMEOUT_MS 10000

static void handle_connected(void *data) {
	struct viewer *v = data;
	v->connected = true;
}

static void handle_closed(int error, void *data) {
	struct viewer *v = data;
	v->closed = true;
}

static void handle_frame(const struct hxfr_frame *frame, void *data) {
	struct viewer *v = data;
	uint32_t width = v->picture.width, height = v->picture.height, counter;
	v->first_ns = v->first_ns ? v->first_ns : frame->received_ns;
	v->last_ns = frame->received_ns;
	v->frames++;
	v->bytes += frame->size;
	v->keys += frame->keyframe;
	if (v->blind) {
		return;
	}
	if (decode_feed(v->decoder, frame->data, frame->size, &v->picture) < 0) {
		v->broken++;
		return;
	}
	v->size_changes += v->picture.width != width || v->picture.height != height;
	int r = decode_read_counters(&v->picture, &counter);
	if (r == -EILSEQ) {
		v->torn++;
	} else if (r == 0) {
		/* A refined picture shows the same number again; its content did not change. */
		v->backwards += v->counted > 0 && counter < v->counter;
		if (v->counter_ns == 0 || counter != v->counter) {
			v->longest_gap_ns = v->counter_ns
				? MAX(v->longest_gap_ns, frame->received_ns - v->counter_ns)
				: 0;
			v->counter_ns = frame->received_ns;
		}
		v->counter = counter;
		v->counted++;
	}
}

static void handle_scanout(const struct hxfr_scanout_resp *msg, void *data) {
	struct viewer *v = data;
	v->answers++;
	v->accepted = msg->success;
}

static void handle_stats(const struct hxfr_stats *msg, uint64_t now, bool last, void *data) {
	struct viewer *v = data;
	if (msg->scanout_id == v->scanout) {
		v->stats = *msg;
		v->stats_fresh = true;
	}
}

static void move_pointer(struct viewer *v, int32_t x, int32_t y) {
	v->pointer_x = x + v->hot_x;
	v->pointer_y = y + v->hot_y;
	v->pointer_moves++;
}

static void handle_cursor_image(
	const struct hxfr_cursor_image *msg, const uint8_t *bgra, void *data) {
	struct viewer *v = data;
	v->hot_x = (int32_t)msg->hot_x;
	v->hot_y = (int32_t)msg->hot_y;
	move_pointer(v, msg->x, msg->y);
}

static void handle_cursor_position(const struct hxfr_cursor_position *msg, void *data) {
	move_pointer(data, msg->x, msg->y);
}

static const struct hxfr_client_handler handler = {
	.connected = handle_connected,
	.closed = handle_closed,
	.frame = handle_frame,
	.scanout = handle_scanout,
	.cursor_image = handle_cursor_image,
	.cursor_position = handle_cursor_position,
	.stats = handle_stats,
};

void viewer_init(struct viewer *v, sd_event *loop, const struct vm *vm, uint32_t scanout) {
	viewer_init_port(v, loop, vm->port, scanout);
}

void viewer_init_port(struct viewer *v, sd_event *loop, uint16_t port, uint32_t scanout) {
	*v = (struct viewer){.scanout = scanout, .decoder = decode_create()};
	check(v->decoder);
	check_ok(hxfr_client_create(
		loop, "127.0.0.1", port, ANSWER_TIMEOUT_MS, &handler, v, &v->client));
	check_ok(hxfr_client_hello(v->client, HXFR_FEATURE_STATS | HXFR_FEATURE_CURSOR));
	check_ok(hxfr_client_subscribe(v->client, scanout));
}

void viewer_finish(struct viewer *v) {
	hxfr_client_destroy(v->client);
	decode_destroy(v->decoder);
	*v = (struct viewer){0};
}

void viewer_reset_counts(struct viewer *v) {
	v->frames = v->bytes = v->keys = v->broken = 0;
	v->counted = v->torn = v->backwards = v->size_changes = 0;
	v->first_ns = v->last_ns = v->counter_ns = v->longest_gap_ns = 0;
}

static void step(sd_event *loop, uint64_t deadline) {
	check_ok(sd_event_run(loop, (uint64_t)ms_until(deadline) * 1000));
}

void run_loop(sd_event *loop, unsigned ms) {
	uint64_t deadline = now_ns() + ms * NSEC_PER_MSEC;
	while (now_ns() < deadline) {
		step(loop, deadline);
	}
}

void run_loop_until(
	sd_event *loop, const uint64_t *number, uint64_t n, unsigned timeout_ms, const char *what) {
	uint64_t deadline = now_ns() + timeout_ms * NSEC_PER_MSEC;
	while (*number < n) {
		if (now_ns() >= deadline) {
			fail("%s: %llu of %llu after %u ms", what, (unsigned long long)*number,
				(unsigned long long)n, timeout_ms);
		}
		step(loop, deadline);
	}
}

static void wait_answer(struct viewer *v, sd_event *loop, unsigned before) {
	uint64_t deadline = now_ns() + ANSWER_TIMEOUT_MS * NSEC_PER_MSEC;
	while (v->answers == before && !v->closed && now_ns() < deadline) {
		step(loop, deadline);
	}
	check(!v->closed);
	check_int(v->answers, ==, before + 1);
	check(v->accepted);
}

void viewer_enable(struct viewer *v, sd_event *loop, uint32_t width, uint32_t height, uint32_t hz) {
	struct hxfr_enable_scanout msg = {
		.scanout_id = v->scanout, .width = width, .height = height, .refresh = hz};
	unsigned before = v->answers;
	check_ok(hxfr_client_enable(v->client, &msg));
	wait_answer(v, loop, before);
}

void viewer_disable(struct viewer *v, sd_event *loop) {
	unsigned before = v->answers;
	check_ok(hxfr_client_disable(v->client, v->scanout));
	wait_answer(v, loop, before);
}

void viewer_get_stats(struct viewer *v, sd_event *loop) {
	uint64_t deadline = now_ns() + ANSWER_TIMEOUT_MS * NSEC_PER_MSEC;
	v->stats_fresh = false;
	check_ok(hxfr_client_request_stats(v->client, v->scanout));
	while (!v->stats_fresh && !v->closed && now_ns() < deadline) {
		step(loop, deadline);
	}
	check(v->stats_fresh);
}
