/* SPDX-License-Identifier: GPL-2.0-or-later */
/* /clients, /video/stats and /metrics: what goes on, for people and for monitors. */
#include <inttypes.h>
#include <jansson.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>

#include "bridge.h"
#include "http-status.h"
#include "util.h"
#include "viewer.h"

static void reply_json(struct http_request *rq, json_t *root) {
	char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
	json_decref(root);
	if (!text) {
		http_reply_text(rq, MHD_HTTP_INTERNAL_SERVER_ERROR, "out of memory\n");
		return;
	}
	http_reply(rq, MHD_HTTP_OK, "application/json", text, strlen(text));
	free(text);
}

static void format_time(uint64_t mono_ns, char *ret, size_t size) {
	time_t t = (time_t)(clock_wire_us(mono_ns) / 1000000);
	struct tm tm;
	ret[0] = '\0';
	if (gmtime_r(&t, &tm)) {
		(void)strftime(ret, size, "%Y-%m-%dT%H:%M:%SZ", &tm);
	}
}

static json_t *describe_viewer(const struct viewer *v) {
	uint16_t width, height;
	char seen[32];
	viewer_picture_size(v, &width, &height);
	format_time(v->seen_ns, seen, sizeof(seen));
	return json_pack("{s:I, s:s, s:s, s:s, s:s, s:i, s:i, s:s}", "id", (json_int_t)v->id,
		"user_id", v->init.user_id, "user_name", v->init.user_name, "avatar_url",
		v->init.avatar_url, "color", v->colour, "last_x", (int)(v->x * width), "last_y",
		(int)(v->y * height), "last_seen", seen);
}

/* The session of who came first: they are nearly always of one. */
static const char *session_of(const struct bridge *b) {
	const struct viewer *v;
	list_for_each(v, &b->viewers, link) {
		if (v->started && v->init.session_id[0]) {
			return v->init.session_id;
		}
	}
	return "";
}

void http_clients(struct http_request *rq, void *data) {
	const struct bridge *b = data;
	const struct viewer *v;
	json_t *list = json_array();
	list_for_each(v, &b->viewers, link) {
		if (v->started) {
			(void)json_array_append_new(list, describe_viewer(v));
		}
	}
	reply_json(rq, json_pack("{s:s, s:o}", "session_id", session_of(b), "clients", list));
}

static uint64_t queued_ms(const struct viewer_queue *q) {
	if (q->n < 2) {
		return 0;
	}
	const struct unit *first = q->units[q->first];
	const struct unit *last = q->units[(q->first + q->n - 1) % VIEWER_QUEUE_UNITS];
	return (last->pts_us - first->pts_us) / 1000;
}

static json_t *describe_queue(const struct viewer *v) {
	static const char *const states[] = {
		"waiting", "streaming", "stalled", "resting", "paused"};
	const struct viewer_queue *q = &v->queue;
	uint64_t ms = queued_ms(q), room = q->span_ns / NSEC_PER_MSEC;
	return json_pack("{s:I, s:I, s:I, s:I, s:s, s:I, s:I, s:I, s:I, s:i, s:I}", "client_id",
		(json_int_t)v->id, "buffer_used", (json_int_t)q->n, "buffer_size",
		(json_int_t)VIEWER_QUEUE_UNITS, "buffer_pct",
		(json_int_t)(room ? 100 * ms / room : 0), "state", states[q->state], "frames_sent",
		(json_int_t)v->units_sent, "bytes_sent", (json_int_t)v->bytes_sent,
		"frames_skipped", (json_int_t)q->skipped, "stalls", (json_int_t)q->stalls,
		"pipeline_ms", (int)v->pipeline_ms, "link_bits_per_second",
		(json_int_t)v->watcher.rate.cap);
}

void http_video_stats(struct http_request *rq, void *data) {
	const struct bridge *b = data;
	const struct viewer *v;
	struct source_stats stats;
	uint32_t width, height;
	uint64_t skipped = 0;
	json_t *list = json_array();
	source_get_stats(b->source, &stats);
	source_size(b->source, &width, &height);
	list_for_each(v, &b->viewers, link) {
		if (v->started) {
			(void)json_array_append_new(list, describe_queue(v));
			skipped += v->queue.skipped;
		}
	}
	enum upstream_state state = upstream_state(source_upstream(b->source));
	json_t *source = json_pack(
		"{s:I, s:b, s:b, s:i, s:I, s:I, s:i, s:I, s:I, s:I, s:i, s:i, s:o}", "node_id",
		(json_int_t)upstream_scanout(source_upstream(b->source)), "running",
		state == UPSTREAM_SUBSCRIBED, "pending_stop",
		state != UPSTREAM_IDLE && stats.watchers == 0, "client_count", (int)stats.watchers,
		"frames_received", (json_int_t)stats.units, "frames_dropped", (json_int_t)skipped,
		"gop_buffer_size", 0, "keyframes", (json_int_t)stats.keyframes, "keyframe_requests",
		(json_int_t)stats.keyframe_requests, "bitrate", (json_int_t)stats.bitrate, "width",
		(int)width, "height", (int)height, "clients", list);
	reply_json(rq, json_pack("{s:s, s:[o]}", "session_id", session_of(b), "sources", source));
}

static void metric(FILE *f, const char *name, const char *type, const char *help, uint64_t value) {
	(void)fprintf(f, "# HELP desktop_bridge_%s %s\n# TYPE desktop_bridge_%s %s\n", name, help,
		name, type);
	(void)fprintf(f, "desktop_bridge_%s %" PRIu64 "\n", name, value);
}

static void write_viewer_metrics(FILE *f, const struct bridge *b) {
	const struct viewer *v;
	uint64_t units = 0, bytes = 0, skipped = 0, slowest = 0;
	list_for_each(v, &b->viewers, link) {
		units += v->units_sent;
		bytes += v->bytes_sent;
		skipped += v->started ? v->queue.skipped : 0;
		slowest = MAX(slowest, v->pipeline_ms);
	}
	metric(f, "viewers", "gauge", "WebSockets with the stream.", b->n_viewers);
	metric(f, "input_sockets", "gauge", "WebSockets for input alone.", b->n_inputs);
	metric(f, "viewers_total", "counter", "Viewers so far.", b->viewers_total);
	metric(f, "viewer_stalls_total", "counter", "Times that a viewer fell behind.",
		b->viewers_stalled);
	metric(f, "viewers_closed_slow_total", "counter",
		"Viewers closed because they took nothing.", b->viewers_closed_slow);
	metric(f, "viewer_frames", "gauge", "Frames sent to the present viewers.", units);
	metric(f, "viewer_bytes", "gauge", "Bytes of them.", bytes);
	metric(f, "viewer_frames_skipped", "gauge", "Frames that the present viewers missed.",
		skipped);
	metric(f, "pipeline_milliseconds", "gauge",
		"Flip to socket, of the slowest viewer's last frame.", slowest);
}

static void write_sound_metrics(FILE *f, const struct bridge *b) {
	struct audio_stats s;
	uint64_t dropped = 0;
	const struct viewer *v;
	audio_get_stats(b->audio, &s);
	list_for_each(v, &b->viewers, link) {
		dropped += v->sound.dropped;
	}
	metric(f, "audio_connected", "gauge", "1 while PipeWire is there.", s.connected);
	metric(f, "audio_connects_total", "counter", "Connections to PipeWire.", s.connects);
	metric(f, "audio_captures", "gauge", "1 while listening at the sink.", s.captures);
	metric(f, "audio_listeners", "gauge", "Viewers that hear the desktop.", s.listeners);
	metric(f, "audio_packets_total", "counter", "Packets of sound.", s.packets);
	metric(f, "audio_bytes_total", "counter", "Bytes of them.", s.bytes);
	metric(f, "audio_encode_microseconds_total", "counter", "Time to encode them.",
		s.encode_ns / NSEC_PER_USEC);
	metric(f, "audio_lost_blocks_total", "counter", "Captured, and not taken in time.",
		s.lost_blocks);
	metric(f, "audio_dropped_packets", "gauge",
		"Packets that the present viewers missed, being slow.", dropped);
	metric(f, "microphone_open", "gauge", "1 while the desktop has a microphone.", s.speaks);
	metric(f, "microphone_samples_total", "counter", "Samples of microphones.", s.spoken);
	metric(f, "microphone_refused_total", "counter",
		"Samples dropped: another viewer speaks, or there is no PipeWire.", s.refused);
}

static void write_metrics(FILE *f, const struct bridge *b) {
	struct source_stats source;
	struct http_counters http;
	struct input_stats input;
	uint16_t p50, p99, max;
	source_get_stats(b->source, &source);
	http_server_get_counters(b->http, &http);
	input_get_stats(b->input, &input);
	canary_read(&b->canary, &p50, &p99, &max);
	metric(f, "up_seconds", "gauge", "Since the start.",
		(now_ns() - b->started_ns) / NSEC_PER_SEC);
	metric(f, "source_running", "gauge", "1 while subscribed to the exporter.",
		upstream_state(source_upstream(b->source)) == UPSTREAM_SUBSCRIBED);
	metric(f, "source_connects_total", "counter", "Connections to the exporter.",
		upstream_connects(source_upstream(b->source)));
	metric(f, "frames_total", "counter", "Frames from the exporter.", source.units);
	metric(f, "frame_bytes_total", "counter", "Bytes of them.", source.bytes);
	metric(f, "keyframes_total", "counter", "Keyframes among them.", source.keyframes);
	metric(f, "keyframe_requests_total", "counter", "Keyframes asked for.",
		source.keyframe_requests);
	metric(f, "bitrate_bits_per_second", "gauge", "Asked of the exporter; 0: no bound.",
		source.bitrate);
	write_viewer_metrics(f, b);
	write_sound_metrics(f, b);
	metric(f, "timer_late_p99_milliseconds", "gauge", "How late timers run.", p99);
	metric(f, "input_events_total", "counter", "Input events.", input.events);
	metric(f, "input_dropped_total", "counter", "Of these, not brought into the desktop.",
		input.dropped);
	metric(f, "http_connections", "gauge", "Connections now, WebSockets included.", http.open);
	metric(f, "http_connections_total", "counter", "Connections so far.", http.connections);
	metric(f, "http_refused_total", "counter", "Connections beyond the limit.", http.refused);
	metric(f, "http_timeouts_total", "counter", "Connections closed for being slow.",
		http.timeouts);
	metric(f, "http_requests_total", "counter", "Requests.", http.requests);
}

void http_metrics(struct http_request *rq, void *data) {
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);
	if (!f) {
		http_reply_text(rq, MHD_HTTP_INTERNAL_SERVER_ERROR, "out of memory\n");
		return;
	}
	write_metrics(f, data);
	if (fclose(f) != 0) {
		free(text);
		http_reply_text(rq, MHD_HTTP_INTERNAL_SERVER_ERROR, "out of memory\n");
		return;
	}
	http_reply_buffer(rq, MHD_HTTP_OK, "text/plain; version=0.0.4", text, size);
}
