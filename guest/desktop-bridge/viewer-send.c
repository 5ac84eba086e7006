/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What goes to a viewer: pointer, other people's pointers, access units. */
#include <string.h>

#include "log.h"
#include "proto/ws-messages.h"
#include "util.h"
#include "viewer.h"

LOG_MODULE("viewer");

void viewer_ask_keyframe(struct viewer *v, bool ask) {
	if (ask) {
		source_want_keyframe(v->bridge->source);
	}
}

void viewer_update_rate(struct viewer *v, uint64_t now) {
	if (rate_update(
		    &v->watcher.rate, ws_conn_sent_bytes(v->conn), ws_conn_blocked(v->conn), now)) {
		log_debug("viewer %u: its link carries %u bits/s", v->id, v->watcher.rate.cap);
		source_rates_changed(v->bridge->source);
	}
}

static void handle_unit(struct unit *u, bool gap, void *data) {
	struct viewer *v = data;
	uint64_t now = now_ns();
	bool alone = source_watchers(v->bridge->source) < 2;
	uint64_t stalls = v->queue.stalls;
	if (gap && !u->keyframe) {
		viewer_ask_keyframe(v, viewer_queue_lost(&v->queue));
	}
	viewer_queue_offer(&v->queue, u, alone, now);
	v->bridge->viewers_stalled += v->queue.stalls - stalls;
	ws_conn_kick(v->conn);
	viewer_update_rate(v, now);
	viewer_arm(v);
}

static void handle_cursor(unsigned changed, void *data) {
	struct viewer *v = data;
	if (!(v->init.extensions & INIT_CURSOR_POSITION)) {
		changed &= ~(unsigned)CURSOR_MOVED;
	}
	v->cursor_dirty |= changed;
	if (changed) {
		ws_conn_kick(v->conn);
	}
}

/* Once: it is tried again and again. */
static void handle_failed(const char *why, void *data) {
	struct viewer *v = data;
	uint8_t buf[WS_STREAM_ERROR_SIZE + 512];
	if (v->told_error || v->units_sent > 0) {
		return;
	}
	v->told_error = true;
	ssize_t n = ws_encode_stream_error(buf, sizeof(buf), why);
	if (n > 0) {
		(void)ws_conn_send_binary(v->conn, buf, (size_t)n);
	}
}

const struct source_watcher_handler viewer_watcher_handler = {
	.unit = handle_unit,
	.cursor = handle_cursor,
	.failed = handle_failed,
};

/* The shape, or "none", or where it is now; without a bitmap the shape stays. */
static bool pull_cursor(struct viewer *v, struct ws_bulk *ret) {
	const struct cursor *c = source_cursor(v->bridge->source);
	bool shape = v->cursor_dirty & CURSOR_SHAPE;
	v->cursor_dirty = 0;
	if (!c->known || (!shape && !c->visible)) {
		return false;
	}
	if (!c->visible) {
		struct ws_cursor_name hidden = {
			.last_mover = v->bridge->last_mover, .name = "none"};
		ret->head_size =
			(size_t)ws_encode_cursor_name(ret->head, sizeof(ret->head), &hidden);
		return true;
	}
	size_t pixels = shape ? 4 * (size_t)c->width * c->height : 0;
	struct ws_cursor_image msg = {
		.last_mover = v->bridge->last_mover,
		.x = c->x,
		.y = c->y,
		.hot_x = (int32_t)c->hot_x,
		.hot_y = (int32_t)c->hot_y,
		.bitmap_size = pixels ? WS_CURSOR_BITMAP_SIZE + (uint32_t)pixels : 0,
		.fourcc = WS_CURSOR_RGBA,
		.width = c->width,
		.height = c->height,
		.stride = (int32_t)(4 * c->width),
	};
	if (pixels) {
		/* The image may be another one before this is sent. */
		v->scratch = malloc(pixels);
		if (!v->scratch) {
			return false;
		}
		memcpy(v->scratch, c->rgba, pixels);
		ret->body = v->scratch;
		ret->body_size = pixels;
	}
	ret->head_size = (size_t)ws_encode_cursor_image(ret->head, sizeof(ret->head), &msg);
	return true;
}

void viewer_clipboard_changed(struct clipboard_watcher *w) {
	struct viewer *v = container_of(w, struct viewer, clipboard);
	v->clipboard_dirty = true;
	ws_conn_kick(v->conn);
}

/* As it is now: of several changes only the last one matters. */
static bool pull_clipboard(struct viewer *v, struct ws_bulk *ret) {
	struct clipboard_state state;
	clipboard_get_state(v->bridge->clipboard, &state);
	struct ws_clipboard msg = {
		.generation = state.generation,
		.flags = (uint8_t)((state.available ? WS_CLIPBOARD_AVAILABLE : 0) |
			(state.text ? WS_CLIPBOARD_TEXT : 0) |
			(state.image ? WS_CLIPBOARD_IMAGE : 0) |
			(state.ours ? WS_CLIPBOARD_OURS : 0)),
	};
	v->clipboard_dirty = false;
	ret->head_size = (size_t)ws_encode_clipboard(ret->head, sizeof(ret->head), &msg);
	return true;
}

static bool pull_remote_cursor(struct viewer *v, struct ws_bulk *ret) {
	ret->head_size = presence_next_cursor(v, ret->head, sizeof(ret->head));
	return ret->head_size > 0;
}

static uint32_t us_between(uint64_t from_ns, uint64_t to_ns) {
	uint64_t us = to_ns > from_ns ? (to_ns - from_ns) / NSEC_PER_USEC : 0;
	return (uint32_t)MIN(us, UINT32_MAX);
}

static void make_times(struct viewer *v, const struct unit *u, uint64_t now, struct ws_bulk *ret) {
	struct ws_frame_times msg = {
		.pts_us = u->pts_us,
		.sequence = u->sequence,
		.encoded_us = us_between(u->flip_ns, u->encoded_ns),
		.received_us = us_between(u->flip_ns, u->received_ns),
		.sent_us = us_between(u->flip_ns, now),
		.skipped = (uint32_t)v->queue.skipped,
	};
	ret->head_size = (size_t)ws_encode_frame_times(ret->head, sizeof(ret->head), &msg);
}

static bool pull_unit(struct viewer *v, struct ws_bulk *ret) {
	uint64_t now = now_ns();
	struct unit *u = v->next;
	if (!u) {
		u = viewer_queue_take(&v->queue, now);
		if (!u) {
			return false;
		}
		if (v->init.extensions & INIT_FRAME_TIMES) {
			v->next = u;
			make_times(v, u, now, ret);
			ret->more = true;
			return true;
		}
	}
	v->next = NULL;
	v->sending = u;
	struct ws_video_frame msg = {
		.codec = WS_CODEC_H264,
		.flags = u->keyframe ? WS_FRAME_KEY : 0,
		.pts_us = u->pts_us,
		.width = u->width ? (uint16_t)u->width : v->init.width,
		.height = u->height ? (uint16_t)u->height : v->init.height,
	};
	ret->head_size = (size_t)ws_encode_video_frame(ret->head, sizeof(ret->head), &msg);
	ret->body = u->data;
	ret->body_size = u->size;
	return true;
}

bool viewer_pull(struct ws_bulk *ret, void *data) {
	struct viewer *v = data;
	*ret = (struct ws_bulk){.head_size = 0};
	if (!v->started) {
		return false;
	}
	if (v->next) {
		return pull_unit(v, ret); /* nothing comes between a frame and its times */
	}
	return (v->cursor_dirty && pull_cursor(v, ret)) ||
		(v->moved && pull_remote_cursor(v, ret)) || viewer_pull_sound(v, ret) ||
		(v->clipboard_dirty && pull_clipboard(v, ret)) || pull_unit(v, ret);
}

void viewer_pulled(void *data) {
	struct viewer *v = data;
	struct unit *u = v->sending;
	free(v->scratch);
	v->scratch = NULL;
	viewer_sound_pulled(v);
	if (!u) {
		return;
	}
	uint64_t now = now_ns();
	v->sending = NULL;
	v->units_sent++;
	v->bytes_sent += u->size;
	v->pipeline_ms = (uint16_t)MIN((now - u->flip_ns) / NSEC_PER_MSEC, UINT16_MAX);
	viewer_ask_keyframe(v, viewer_queue_sent(&v->queue, u->keyframe, now));
	unit_unref(u);
	viewer_update_rate(v, now);
}
