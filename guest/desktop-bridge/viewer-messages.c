/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a viewer says. Nothing of it can be trusted; what makes no sense is ignored. */
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "proto/ws-messages.h"
#include "util.h"
#include "viewer.h"
#include "ws-input.h"

LOG_MODULE("viewer");

/* A browser tab that connects again takes the place of its former self. */
static void evict_former(struct viewer *v) {
	struct viewer *other, *tmp;
	if (v->init.client_id[0] == '\0') {
		return;
	}
	list_for_each_safe(other, tmp, &v->bridge->viewers, link) {
		if (other != v && other->started && !other->closing &&
			strcmp(other->init.client_id, v->init.client_id) == 0 &&
			strcmp(other->init.session_id, v->init.session_id) == 0) {
			log_debug("viewer %u: superseded by viewer %u", other->id, v->id);
			viewer_close(other, WS_CLOSE_SUPERSEDED, "superseded");
		}
	}
}

void viewer_picture_size(const struct viewer *v, uint16_t *ret_width, uint16_t *ret_height) {
	uint32_t width, height;
	source_size(v->bridge->source, &width, &height);
	*ret_width = width ? (uint16_t)MIN(width, UINT16_MAX) : v->init.width;
	*ret_height = height ? (uint16_t)MIN(height, UINT16_MAX) : v->init.height;
}

static void send_greeting(struct viewer *v) {
	uint8_t buf[WS_STREAM_INIT_SIZE];
	char text[160];
	struct ws_stream_init msg = {.codec = WS_CODEC_H264, .fps = v->init.fps, .touch = 1};
	viewer_picture_size(v, &msg.width, &msg.height);
	if (v->init.extensions & INIT_AUDIO) {
		msg.channels = (uint8_t)audio_channels(v->bridge->audio);
		msg.sample_rate = msg.channels ? WS_AUDIO_RATE : 0;
	}
	(void)ws_encode_stream_init(buf, sizeof(buf), &msg);
	(void)ws_conn_send_binary(v->conn, buf, sizeof(buf));
	(void)snprintf(text, sizeof(text),
		"{\"ConnectionComplete\":{\"capabilities\":{\"touch\":true},"
		"\"width\":%u,\"height\":%u}}",
		msg.width, msg.height);
	(void)ws_conn_send_text(v->conn, text);
}

static void handle_init(struct viewer *v, const uint8_t *p, size_t size) {
	struct bridge *b = v->bridge;
	if (init_parse((const char *)p, size, &v->init) < 0) {
		viewer_close(v, WS_CLOSE_POLICY, "the first text message must be init");
		return;
	}
	v->id = ++b->next_client_id;
	evict_former(v);
	v->started = true;
	viewer_queue_init(&v->queue, b->config.queue_ns);
	rate_init(&v->watcher.rate, v->init.bitrate, now_ns());
	input_join(b->input, &v->input);
	send_greeting(v);
	presence_join(v);
	v->cursor_dirty = CURSOR_SHAPE;
	source_join(b->source, &v->watcher, &viewer_watcher_handler, v);
	if (v->init.extensions & INIT_CLIPBOARD) {
		v->clipboard_dirty = true;
		v->clipboard.changed = viewer_clipboard_changed;
		clipboard_watch(b->clipboard, &v->clipboard);
	}
	viewer_hear(v, true);
	ws_conn_kick(v->conn);
	log_info("viewer %u: '%s' watches, %u in all", v->id, v->init.user_name,
		source_watchers(b->source));
}

static void handle_ping(struct viewer *v, const uint8_t *p, size_t size) {
	struct ws_ping ping;
	uint8_t buf[WS_PONG_SIZE];
	if (ws_decode_ping(p, size, &ping) < 0) {
		return;
	}
	struct ws_pong pong = {
		.seq = ping.seq,
		.client_us = ping.client_us,
		.server_us = clock_wire_us(now_ns()),
		.pipeline_ms = v->pipeline_ms,
	};
	canary_read(&v->bridge->canary, &pong.late_p50_ms, &pong.late_p99_ms, &pong.late_max_ms);
	(void)ws_encode_pong(buf, sizeof(buf), &pong);
	(void)ws_conn_send_binary(v->conn, buf, sizeof(buf));
}

static void handle_control(struct viewer *v, const uint8_t *p, size_t size) {
	bool enabled;
	if (control_parse((const char *)p + 1, size - 1, &enabled) == 0) {
		viewer_ask_keyframe(v, viewer_queue_pause(&v->queue, !enabled));
	}
	if (control_parse_audio((const char *)p + 1, size - 1, &enabled) == 0) {
		viewer_hear(v, enabled);
	}
}

static void handle_event(struct viewer *v, const uint8_t *p, size_t size) {
	struct ws_event event;
	if (ws_decode_event(p, size, &event) < 0) {
		return;
	}
	if (ws_event_is_move(&event)) {
		v->bridge->last_mover = v->id;
	}
	if (event.kind == WS_EVENT_ABSOLUTE) {
		v->x = event.x;
		v->y = event.y;
		presence_moved(v);
	} else if (event.kind == WS_EVENT_TOUCH) {
		presence_touched(v, &event);
	}
	bridge_event(v->bridge, &v->input, &event);
}

void viewer_handle_message(bool text, const uint8_t *p, size_t size, void *data) {
	struct viewer *v = data;
	v->seen_ns = now_ns();
	if (text) {
		if (!v->started) {
			handle_init(v, p, size);
		}
		return;
	}
	/* A proxy may resume in the middle of a conversation: what has no init is skipped. */
	if (!v->started || size == 0) {
		return;
	}
	switch (p[0]) {
	case WS_PING:
		handle_ping(v, p, size);
		break;
	case WS_CONTROL:
		handle_control(v, p, size);
		break;
	case WS_MICROPHONE:
		viewer_handle_microphone(v, p, size);
		break;
	default:
		handle_event(v, p, size);
		break;
	}
}
