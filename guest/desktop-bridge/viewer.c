/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "util.h"
#include "viewer.h"

LOG_MODULE("viewer");

/* docs/protocol/websocket.md, section 3. */
#define PING_EVERY_NS    (5 * NSEC_PER_SEC)
#define PONG_DEADLINE_NS (30 * NSEC_PER_SEC)
#define INIT_DEADLINE_NS (10 * NSEC_PER_SEC)
#define STUCK_NS         (10 * NSEC_PER_SEC) /* nothing taken of what waits */
/* While something waits, the link's rate is measured so often. */
#define MEASURE_EVERY_NS (100 * NSEC_PER_MSEC)
#define MESSAGE_MAX      (64u * 1024)

static void handle_pong(void *data) {
	struct viewer *v = data;
	v->pong_ns = now_ns();
}

static void viewer_destroy(struct viewer *v) {
	struct bridge *b = v->bridge;
	if (v->started) {
		source_leave(b->source, &v->watcher);
		clipboard_unwatch(&v->clipboard);
		list_remove(&v->link);
		presence_leave(v);
		input_leave(&v->input);
		viewer_queue_finish(&v->queue);
		viewer_sound_finish(v);
		log_info("viewer %u: gone, %u left", v->id, source_watchers(b->source));
	} else {
		list_remove(&v->link);
	}
	b->n_viewers--;
	canary_run(&b->canary, b->n_viewers > 0);
	sd_event_source_disable_unref(v->timer);
	ws_conn_destroy(v->conn);
	unit_unref(v->sending);
	unit_unref(v->next);
	free(v->scratch);
	free(v);
}

static void handle_closed(void *data) {
	viewer_destroy(data);
}

static const struct ws_conn_handler conn_handler = {
	.message = viewer_handle_message,
	.pong = handle_pong,
	.pull = viewer_pull,
	.pulled = viewer_pulled,
	.closed = handle_closed,
};

/* The next of the times that matter: a ping, a deadline, the end of a rest, a measurement. */
void viewer_arm(struct viewer *v) {
	if (v->closing) {
		return;
	}
	uint64_t next = v->ping_ns, wake = v->started ? viewer_queue_wake_ns(&v->queue) : 0;
	if (wake) {
		next = MIN(next, wake);
	}
	if (v->started && ws_conn_blocked(v->conn)) {
		next = MIN(next, now_ns() + MEASURE_EVERY_NS);
	}
	(void)sd_event_source_set_time(v->timer, next / NSEC_PER_USEC);
	(void)sd_event_source_set_enabled(v->timer, SD_EVENT_ONESHOT);
}

void viewer_close(struct viewer *v, uint16_t code, const char *reason) {
	if (v->closing) {
		return;
	}
	v->closing = true;
	source_leave(v->bridge->source, &v->watcher);
	viewer_sound_finish(v);
	(void)sd_event_source_set_enabled(v->timer, SD_EVENT_OFF);
	ws_conn_close(v->conn, code, reason);
}

static bool check_deadlines(struct viewer *v, uint64_t now) {
	if (!v->started && now - v->created_ns >= INIT_DEADLINE_NS) {
		viewer_close(v, WS_CLOSE_POLICY, "no init message");
	} else if (now - v->pong_ns >= PONG_DEADLINE_NS) {
		viewer_close(v, WS_CLOSE_POLICY, "no answer to pings");
	} else if (ws_conn_blocked(v->conn) && now - ws_conn_progress_ns(v->conn) >= STUCK_NS) {
		v->bridge->viewers_closed_slow++;
		log_info("viewer %u: takes nothing, closed", v->id);
		viewer_close(v, WS_CLOSE_TRY_LATER, "too slow");
	} else {
		return true;
	}
	return false;
}

static int handle_timer(sd_event_source *source, uint64_t usec, void *data) {
	struct viewer *v = data;
	uint64_t now = now_ns();
	if (!check_deadlines(v, now)) {
		return 0;
	}
	if (now >= v->ping_ns) {
		ws_conn_send_ping(v->conn);
		v->ping_ns = now + PING_EVERY_NS;
	}
	if (v->started) {
		viewer_update_rate(v, now);
		viewer_ask_keyframe(v, viewer_queue_wake(&v->queue, now));
	}
	viewer_arm(v);
	return 0;
}

int viewer_create(
	struct bridge *b, const struct ws_socket *socket, const uint8_t *early, size_t early_size) {
	struct viewer *v = calloc(1, sizeof(*v));
	if (!v) {
		socket->release(socket->data);
		return -ENOMEM;
	}
	v->bridge = b;
	v->created_ns = v->pong_ns = v->seen_ns = now_ns();
	v->ping_ns = v->created_ns + PING_EVERY_NS;
	list_init(&v->link);
	list_init(&v->clipboard.link);
	list_init(&v->listener.link);
	int r = ws_conn_create(
		b->loop, socket, early, early_size, MESSAGE_MAX, &conn_handler, v, &v->conn);
	if (r < 0) {
		free(v);
		return r;
	}
	/* Lateness of this timer does no harm: let the kernel join it with others. */
	r = sd_event_add_time(b->loop, &v->timer, CLOCK_MONOTONIC, v->ping_ns / NSEC_PER_USEC,
		10000, handle_timer, v);
	b->n_viewers++;
	b->viewers_total++;
	list_append(&b->viewers, &v->link);
	if (r < 0) {
		viewer_destroy(v);
		return r;
	}
	canary_run(&b->canary, true);
	return 0;
}

void viewers_destroy(struct bridge *b) {
	struct viewer *v, *tmp;
	list_for_each_safe(v, tmp, &b->viewers, link) {
		viewer_destroy(v);
	}
}

void viewers_close(struct bridge *b, uint16_t code, const char *reason) {
	struct viewer *v, *tmp;
	list_for_each_safe(v, tmp, &b->viewers, link) {
		viewer_close(v, code, reason);
	}
}
