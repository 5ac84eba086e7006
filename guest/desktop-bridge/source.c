/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "log.h"
#include "source.h"
#include "util.h"

LOG_MODULE("source");

/* Who asks within so much of another request shares its IDR. */
#define KEYFRAME_SHARE_NS (100 * NSEC_PER_MSEC)
/* An IDR that was asked for and did not come is asked for again. */
#define KEYFRAME_AGAIN_NS (1 * NSEC_PER_SEC)
/* HXFR has no "no bound"; and none is sent unless there was one. */
#define BITRATE_FREE 1000000000u

struct source {
	const struct source_config *config;
	struct upstream *upstream;
	struct list watchers; // struct source_watcher.link
	unsigned n_watchers, n_passive;
	sd_event_source *grace;
	sd_event_source *keyframe;
	bool keyframe_wanted;
	uint64_t keyframe_asked_ns;
	uint32_t width, height;
	struct cursor cursor;
	struct source_stats stats;
};

static bool flowing(const struct source *s) {
	return upstream_state(s->upstream) == UPSTREAM_SUBSCRIBED;
}

static void ask_for_keyframe(struct source *s, uint64_t now) {
	s->keyframe_asked_ns = now;
	s->stats.keyframe_requests++;
	upstream_request_keyframe(s->upstream);
	(void)sd_event_source_set_time(s->keyframe, (now + KEYFRAME_AGAIN_NS) / NSEC_PER_USEC);
	(void)sd_event_source_set_enabled(s->keyframe, SD_EVENT_ONESHOT);
}

static int handle_keyframe_timer(sd_event_source *source, uint64_t usec, void *data) {
	struct source *s = data;
	if (s->keyframe_wanted && s->n_watchers > 0 && flowing(s)) {
		ask_for_keyframe(s, now_ns());
	}
	return 0;
}

void source_want_keyframe(struct source *s) {
	uint64_t now = now_ns(), next = s->keyframe_asked_ns + KEYFRAME_SHARE_NS;
	if (!flowing(s)) {
		return; /* a subscription begins with one */
	}
	if (s->keyframe_wanted && now < next) {
		return; /* the one that was just asked for is on its way */
	}
	s->keyframe_wanted = true;
	if (now >= next) {
		ask_for_keyframe(s, now);
	} else {
		(void)sd_event_source_set_time(s->keyframe, next / NSEC_PER_USEC);
		(void)sd_event_source_set_enabled(s->keyframe, SD_EVENT_ONESHOT);
	}
}

static void handle_unit(struct unit *u, bool gap, void *data) {
	struct source *s = data;
	struct source_watcher *w, *tmp;
	s->stats.units++;
	s->stats.bytes += u->size;
	s->stats.keyframes += u->keyframe;
	s->stats.gaps += gap;
	s->stats.last_unit_ns = u->received_ns;
	if (u->width && u->height) {
		s->width = u->width;
		s->height = u->height;
	}
	if (u->keyframe) {
		s->keyframe_wanted = false;
		(void)sd_event_source_set_enabled(s->keyframe, SD_EVENT_OFF);
	}
	list_for_each_safe(w, tmp, &s->watchers, link) {
		w->handler->unit(u, gap, w->data);
	}
}

static void tell_cursor(struct source *s, unsigned changed) {
	struct source_watcher *w, *tmp;
	list_for_each_safe(w, tmp, &s->watchers, link) {
		if (w->handler->cursor) {
			w->handler->cursor(changed, w->data);
		}
	}
}

/* Premultiplied B,G,R,A to plain R,G,B,A. */
static void convert_cursor(const uint8_t *bgra, uint8_t *rgba, size_t n_pixels) {
	for (size_t i = 0; i < n_pixels; i++, bgra += 4, rgba += 4) {
		unsigned a = bgra[3];
		for (unsigned k = 0; k < 3; k++) {
			unsigned v = bgra[2 - k];
			rgba[k] = (uint8_t)(a ? MIN(255u, (v * 255 + a / 2) / a) : 0);
		}
		rgba[3] = (uint8_t)a;
	}
}

static void handle_cursor_image(
	const struct hxfr_cursor_image *msg, const uint8_t *bgra, void *data) {
	struct source *s = data;
	struct cursor *c = &s->cursor;
	size_t n = (size_t)msg->width * msg->height;
	uint8_t *rgba = msg->visible && n > 0 ? malloc(4 * n) : NULL;
	if (rgba) {
		convert_cursor(bgra, rgba, n);
	}
	free(c->rgba);
	*c = (struct cursor){
		.known = true,
		.visible = rgba != NULL,
		.x = msg->x,
		.y = msg->y,
		.hot_x = msg->hot_x,
		.hot_y = msg->hot_y,
		.width = rgba ? msg->width : 0,
		.height = rgba ? msg->height : 0,
		.rgba = rgba,
		.generation = c->generation + 1,
	};
	tell_cursor(s, CURSOR_SHAPE | CURSOR_MOVED);
}

static void handle_cursor_position(const struct hxfr_cursor_position *msg, void *data) {
	struct source *s = data;
	s->cursor.x = msg->x;
	s->cursor.y = msg->y;
	tell_cursor(s, CURSOR_MOVED);
}

static void handle_size(uint32_t width, uint32_t height, void *data) {
	struct source *s = data;
	if (width && height) {
		s->width = width;
		s->height = height;
	}
}

static void handle_lost(const char *why, void *data) {
	struct source *s = data;
	struct source_watcher *w, *tmp;
	s->keyframe_wanted = false;
	list_for_each_safe(w, tmp, &s->watchers, link) {
		if (w->handler->failed) {
			w->handler->failed(why, w->data);
		}
	}
}

static const struct upstream_handler upstream_handler = {
	.unit = handle_unit,
	.cursor_image = handle_cursor_image,
	.cursor_position = handle_cursor_position,
	.size = handle_size,
	.lost = handle_lost,
};

static int handle_grace(sd_event_source *source, uint64_t usec, void *data) {
	struct source *s = data;
	log_debug("nobody watches");
	upstream_want(s->upstream, false);
	return 0;
}

static int add_timer(
	sd_event *loop, sd_event_time_handler_t handler, struct source *s, sd_event_source **ret) {
	int r = sd_event_add_time(loop, ret, CLOCK_MONOTONIC, 0, 0, handler, s);
	return r < 0 ? r : sd_event_source_set_enabled(*ret, SD_EVENT_OFF);
}

int source_create(sd_event *loop, const struct source_config *config, struct source **ret) {
	struct source *s = calloc(1, sizeof(*s));
	if (!s) {
		return -ENOMEM;
	}
	s->config = config;
	list_init(&s->watchers);
	int r = upstream_create(loop, &config->upstream, &upstream_handler, s, &s->upstream);
	if (r >= 0) {
		r = add_timer(loop, handle_grace, s, &s->grace);
	}
	if (r >= 0) {
		r = add_timer(loop, handle_keyframe_timer, s, &s->keyframe);
	}
	if (r < 0) {
		source_destroy(s);
		return r;
	}
	*ret = s;
	return 0;
}

void source_destroy(struct source *s) {
	if (!s) {
		return;
	}
	upstream_destroy(s->upstream);
	sd_event_source_disable_unref(s->grace);
	sd_event_source_disable_unref(s->keyframe);
	free(s->cursor.rgba);
	free(s);
}

void source_join(struct source *s, struct source_watcher *w,
	const struct source_watcher_handler *handler, void *data) {
	w->handler = handler;
	w->data = data;
	list_append(&s->watchers, &w->link);
	s->n_watchers++;
	s->n_passive += w->passive;
	(void)sd_event_source_set_enabled(s->grace, SD_EVENT_OFF);
	upstream_want(s->upstream, true);
	source_want_keyframe(s);
	source_rates_changed(s);
}

void source_leave(struct source *s, struct source_watcher *w) {
	if (!w->handler) {
		return;
	}
	w->handler = NULL;
	list_remove(&w->link);
	s->n_passive -= w->passive;
	if (--s->n_watchers == 0) {
		(void)sd_event_source_set_time(
			s->grace, (now_ns() + s->config->grace_ns) / NSEC_PER_USEC);
		(void)sd_event_source_set_enabled(s->grace, SD_EVENT_ONESHOT);
	} else {
		source_rates_changed(s);
	}
}

/*
 * The stream is made for the best link: no viewer makes the others' picture worse. Who cannot carry
 * it skips from IDR to IDR.
 */
void source_rates_changed(struct source *s) {
	struct source_watcher *w;
	uint32_t best = 0;
	list_for_each(w, &s->watchers, link) {
		if (w->passive) {
			continue;
		}
		uint32_t rate = rate_of(&w->rate);
		if (rate == RATE_UNBOUND) {
			best = RATE_UNBOUND;
			break;
		}
		best = MAX(best, rate);
	}
	if (best == s->stats.bitrate) {
		return;
	}
	log_debug("bitrate: %u bits/s", best);
	s->stats.bitrate = best;
	upstream_set_bitrate(s->upstream, best == RATE_UNBOUND ? BITRATE_FREE : best);
}

void source_size(const struct source *s, uint32_t *ret_width, uint32_t *ret_height) {
	*ret_width = s->width;
	*ret_height = s->height;
}

const struct cursor *source_cursor(const struct source *s) {
	return &s->cursor;
}

struct upstream *source_upstream(struct source *s) {
	return s->upstream;
}

void source_get_stats(const struct source *s, struct source_stats *ret) {
	*ret = s->stats;
	ret->watchers = source_watchers(s);
}

unsigned source_watchers(const struct source *s) {
	return s->n_watchers - s->n_passive;
}
