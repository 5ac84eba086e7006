/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "capture/convert.h"
#include "test.h"
#include "util.h"
#include "viewer.h"

#define ANSWER_MS 3000u

static void handle_hello(const struct hxfr_hello_resp *msg, void *data) {
	struct viewer *v = data;
	check_int(msg->features, ==, HXFR_FEATURES_ALL);
	v->hello_done = true;
}

static void handle_subscribed(const struct hxfr_subscribe_resp *msg, void *data) {
	struct viewer *v = data;
	v->subscribed = true;
	v->subscribe_ok = msg->success;
}

static void note_counter(struct viewer *v) {
	uint32_t value;
	int r = decode_read_counters(&v->picture, &value);
	if (r == -EILSEQ) {
		fail("a torn picture: frame %" PRIu64 " of scanout %u", v->frames, v->scanout);
	}
	check_ok(r);
	if (v->counters > 0) {
		check_int(value, >=, v->counter);
		v->counter_gaps += value > v->counter + 1;
		v->counter_latest += value == v->counter && v->flip.refine == 0;
	}
	v->counter = value;
	v->counters++;
}

static void handle_frame(const struct hxfr_frame *f, void *data) {
	struct viewer *v = data;
	check(v->subscribed);
	check_int(f->session_id, ==, v->scanout);
	if (v->frames == 0) {
		check(f->keyframe);
		v->first_frame_ns = f->received_ns;
	} else {
		check_int(f->pts_ns, >, v->last_pts);
	}
	v->frames++;
	v->keyframes += f->keyframe;
	v->bytes += f->size;
	v->last_size = f->size;
	v->last_pts = f->pts_ns;
	v->last_frame_ns = f->received_ns;
	check(f->flip);
	check_int(f->flip->scanout_id, ==, v->scanout);
	check_int(f->flip->sequence, >, v->last_sequence);
	v->sequence_gaps += v->last_sequence > 0 && f->flip->sequence > v->last_sequence + 1;
	v->last_sequence = f->flip->sequence;
	v->flip = *f->flip;
	v->dropped = f->flip->dropped;
	v->new_content += f->flip->refine == 0;
	if (!v->decoder) {
		return;
	}
	int r = decode_feed(v->decoder, f->data, f->size, &v->picture);
	if (r < 0) {
		fail("frame %" PRIu64 " (%zu bytes%s) of scanout %u does not decode: %d", v->frames,
			f->size, f->keyframe ? ", IDR" : "", v->scanout, r);
	}
	check_int(v->picture.width, ==, f->flip->width);
	check_int(v->picture.height, ==, f->flip->height);
	check(v->picture.bt709_limited);
	if (v->reads_counters) {
		note_counter(v);
	}
}

static void handle_scanout(const struct hxfr_scanout_resp *msg, void *data) {
	struct viewer *v = data;
	v->scanout_resp = *msg;
	v->n_scanout_resps++;
}

static void handle_cursor_image(
	const struct hxfr_cursor_image *msg, const uint8_t *bgra, void *data) {
	struct viewer *v = data;
	size_t size = 4 * (size_t)msg->width * msg->height;
	v->cursor = *msg;
	v->n_cursor_images++;
	if (size > 0 && size <= sizeof(v->cursor_pixels)) {
		memcpy(v->cursor_pixels, bgra, size);
	}
}

static void handle_cursor_position(const struct hxfr_cursor_position *msg, void *data) {
	struct viewer *v = data;
	v->cursor_position = *msg;
	v->n_cursor_positions++;
}

static void handle_state(const struct hxfr_scanout_state *msg, void *data) {
	struct viewer *v = data;
	check_int(msg->scanout_id, <, 16);
	v->states[msg->scanout_id] = *msg;
	v->n_states++;
}

static void handle_stats(const struct hxfr_stats *msg, uint64_t now, bool last, void *data) {
	struct viewer *v = data;
	(void)now;
	check_int(msg->scanout_id, <, 16);
	v->stats[msg->scanout_id] = *msg;
	v->stats_done = v->stats_done || last;
}

static void handle_error(const struct hxfr_error *msg, void *data) {
	(void)data;
	fail("the server says error %d: %s", msg->code, msg->message);
}

static void handle_closed(int error, void *data) {
	struct viewer *v = data;
	(void)error;
	v->closed = true;
}

static const struct hxfr_client_handler handler = {
	.hello = handle_hello,
	.subscribed = handle_subscribed,
	.frame = handle_frame,
	.scanout = handle_scanout,
	.cursor_image = handle_cursor_image,
	.cursor_position = handle_cursor_position,
	.state = handle_state,
	.stats = handle_stats,
	.error = handle_error,
	.closed = handle_closed,
};

static void run_until_true(sd_event *loop, const bool *done, const char *what) {
	uint64_t deadline = now_ns() + ANSWER_MS * NSEC_PER_MSEC;
	while (!*done) {
		uint64_t now = now_ns();
		if (now >= deadline) {
			fail("no answer: %s", what);
		}
		check_ok(sd_event_run(loop, (deadline - now) / NSEC_PER_USEC + 1));
	}
}

void viewer_open_counting(struct viewer *v, struct exporter *e, sd_event *loop, uint32_t scanout) {
	*v = (struct viewer){.loop = loop, .scanout = scanout};
	check_ok(
		hxfr_client_create(loop, "127.0.0.1", e->port, ANSWER_MS, &handler, v, &v->client));
	check_ok(hxfr_client_hello(v->client, HXFR_FEATURES_ALL));
	run_until_true(loop, &v->hello_done, "HELLO");
	if (scanout < 16) {
		check_ok(hxfr_client_subscribe(v->client, scanout));
		run_until_true(loop, &v->subscribed, "SUBSCRIBE");
		check(v->subscribe_ok);
	}
}

void viewer_open(struct viewer *v, struct exporter *e, sd_event *loop, uint32_t scanout) {
	struct decoder *decoder = decode_create();
	check(decoder);
	*v = (struct viewer){0};
	/* The decoder must be there with the first frame, which may follow the answer at once. */
	viewer_open_counting(v, e, loop, UINT32_MAX);
	v->decoder = decoder;
	v->scanout = scanout;
	if (scanout < 16) {
		check_ok(hxfr_client_subscribe(v->client, scanout));
		run_until_true(loop, &v->subscribed, "SUBSCRIBE");
		check(v->subscribe_ok);
	}
}

void viewer_close(struct viewer *v) {
	hxfr_client_destroy(v->client);
	decode_destroy(v->decoder);
	v->client = NULL;
	v->decoder = NULL;
}

void loop_run_ms(sd_event *loop, unsigned ms) {
	static const uint64_t zero;
	(void)loop_run_until(loop, &zero, 1, ms);
}

bool loop_run_until(sd_event *loop, const uint64_t *counter, uint64_t least, unsigned timeout_ms) {
	uint64_t deadline = now_ns() + timeout_ms * NSEC_PER_MSEC;
	while (*counter < least) {
		uint64_t now = now_ns();
		if (now >= deadline) {
			return false;
		}
		check_ok(sd_event_run(loop, (deadline - now) / NSEC_PER_USEC + 1));
	}
	return true;
}

void viewer_run_quiet(struct viewer *v, unsigned quiet_ms, unsigned timeout_ms) {
	uint64_t deadline = now_ns() + timeout_ms * NSEC_PER_MSEC;
	uint64_t frames;
	do {
		check(now_ns() < deadline);
		frames = v->frames;
	} while (loop_run_until(v->loop, &v->frames, frames + 1, quiet_ms));
}

void viewer_run_refined(struct viewer *v) {
	check(loop_run_until(v->loop, &v->frames, v->frames + 1, ANSWER_MS));
	viewer_run_quiet(v, 400, 20000);
}

bool viewer_run_counter(struct viewer *v, uint32_t counter, unsigned timeout_ms) {
	uint64_t deadline = now_ns() + timeout_ms * NSEC_PER_MSEC;
	while (v->counters == 0 || v->counter != counter) {
		uint64_t now = now_ns();
		if (now >= deadline) {
			return false;
		}
		check_ok(sd_event_run(v->loop, (deadline - now) / NSEC_PER_USEC + 1));
	}
	return true;
}

void viewer_get_stats(struct viewer *v, uint32_t scanout, struct hxfr_stats *ret) {
	v->stats_done = false;
	check_ok(hxfr_client_request_stats(v->client, scanout));
	run_until_true(v->loop, &v->stats_done, "STATS_REQ");
	*ret = v->stats[scanout];
}

void viewer_enable(struct viewer *v, uint32_t scanout, uint32_t width, uint32_t height) {
	struct hxfr_enable_scanout msg = {scanout, width, height, 60};
	uint64_t n = v->n_scanout_resps;
	check_ok(hxfr_client_enable(v->client, &msg));
	check(loop_run_until(v->loop, &v->n_scanout_resps, n + 1, ANSWER_MS));
	check(v->scanout_resp.success);
}

void viewer_disable(struct viewer *v, uint32_t scanout) {
	uint64_t n = v->n_scanout_resps;
	check_ok(hxfr_client_disable(v->client, scanout));
	check(loop_run_until(v->loop, &v->n_scanout_resps, n + 1, ANSWER_MS));
	check(v->scanout_resp.success);
}

static void keep_surface(struct surface *s) {
	(void)s; /* it is on a stack */
}

/* The reference: the conversion by itself, which has unit tests of its own. */
static struct picture *convert(const uint8_t *pixels, enum pixel_order order, uint32_t width,
	uint32_t height, uint32_t stride) {
	struct surface surface = {.refs = 1,
		.width = width,
		.height = height,
		.stride = stride,
		.order = order,
		.pixels = pixels,
		.release = keep_surface};
	struct rect all = {0, 0, width, height};
	struct picture *p = picture_create(width, height);
	struct converter *c = converter_create(width + 1);
	check(p && c);
	check_int(converter_update(c, p, &surface, &all, &all, NULL, 0), >=, 0);
	converter_destroy(c);
	return p;
}

double viewer_psnr(const struct viewer *v, const uint8_t *pixels, enum pixel_order order,
	uint32_t width, uint32_t height, uint32_t stride) {
	const struct decoded *d = &v->picture;
	check_int(d->width, ==, ALIGN_UP(width, 2u));
	check_int(d->height, ==, ALIGN_UP(height, 2u));
	struct picture *p = convert(pixels, order, width, height, stride);
	uint32_t w = d->width / 2, h = d->height / 2;
	uint8_t *u = malloc((size_t)w * h), *vv = malloc((size_t)w * h);
	check(u && vv);
	for (uint32_t y = 0; y < h; y++) {
		for (uint32_t x = 0; x < w; x++) {
			u[y * w + x] = p->uv[(size_t)y * p->stride + 2 * x];
			vv[y * w + x] = p->uv[(size_t)y * p->stride + 2 * x + 1];
		}
	}
	double worst = decode_psnr(p->y, p->stride, d->y, d->y_stride, d->width, d->height);
	worst = fmin(worst, decode_psnr(u, w, d->u, d->uv_stride, w, h));
	worst = fmin(worst, decode_psnr(vv, w, d->v, d->uv_stride, w, h));
	free(u);
	free(vv);
	picture_destroy(p);
	return worst;
}
