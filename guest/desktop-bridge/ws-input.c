/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ws-input.h"
#include "proto/ws-messages.h"
#include "util.h"

#define MESSAGE_MAX 4096u
/* As on /ws/stream. */
#define PING_EVERY_US    (5 * UINT64_C(1000000))
#define PONG_DEADLINE_NS (30 * NSEC_PER_SEC)

struct ws_input {
	struct list link; // bridge.inputs
	struct bridge *bridge;
	struct ws_conn *conn;
	sd_event_source *timer;
	uint64_t pong_ns;
	struct input_client client;
};

/* The compositor knows; the picture's size is that of when somebody watched last. */
void bridge_size(const struct bridge *b, uint32_t *ret_width, uint32_t *ret_height) {
	wayland_output_size(b->output, ret_width, ret_height);
	if (!*ret_width) {
		source_size(b->source, ret_width, ret_height);
	}
}

void bridge_event(struct bridge *b, struct input_client *c, const struct ws_event *e) {
	uint32_t width, height;
	if (e->kind == WS_EVENT_ABSOLUTE || e->kind == WS_EVENT_TOUCH) {
		bridge_size(b, &width, &height);
		input_set_size(b->input, width, height);
	}
	input_event(c, e);
}

static void handle_message(bool text, const uint8_t *p, size_t size, void *data) {
	struct ws_input *w = data;
	struct ws_event e;
	if (text || ws_decode_input_event(p, size, &e) <= 0) {
		return;
	}
	if (ws_event_is_move(&e)) {
		w->bridge->last_mover = 0;
	}
	bridge_event(w->bridge, &w->client, &e);
}

static void handle_pong(void *data) {
	struct ws_input *w = data;
	w->pong_ns = now_ns();
}

static void handle_closed(void *data) {
	struct ws_input *w = data;
	input_leave(&w->client);
	list_remove(&w->link);
	w->bridge->n_inputs--;
	sd_event_source_disable_unref(w->timer);
	ws_conn_destroy(w->conn);
	free(w);
}

static const struct ws_conn_handler conn_handler = {
	.message = handle_message,
	.pong = handle_pong,
	.closed = handle_closed,
};

static int handle_timer(sd_event_source *source, uint64_t usec, void *data) {
	struct ws_input *w = data;
	if (now_ns() - w->pong_ns >= PONG_DEADLINE_NS) {
		ws_conn_close(w->conn, WS_CLOSE_POLICY, "no answer to pings");
		return 0;
	}
	ws_conn_send_ping(w->conn);
	(void)sd_event_source_set_time(source, usec + PING_EVERY_US);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

int ws_input_create(
	struct bridge *b, const struct ws_socket *socket, const uint8_t *early, size_t early_size) {
	struct ws_input *w = calloc(1, sizeof(*w));
	if (!w) {
		socket->release(socket->data);
		return -ENOMEM;
	}
	w->bridge = b;
	w->pong_ns = now_ns();
	int r = ws_conn_create(
		b->loop, socket, early, early_size, MESSAGE_MAX, &conn_handler, w, &w->conn);
	if (r < 0) {
		free(w);
		return r;
	}
	list_append(&b->inputs, &w->link);
	b->n_inputs++;
	input_join(b->input, &w->client);
	r = sd_event_add_time_relative(
		b->loop, &w->timer, CLOCK_MONOTONIC, PING_EVERY_US, 10000, handle_timer, w);
	if (r < 0) {
		handle_closed(w);
	}
	return r;
}

void ws_inputs_destroy(struct bridge *b) {
	struct ws_input *w, *tmp;
	list_for_each_safe(w, tmp, &b->inputs, link) {
		handle_closed(w);
	}
}

void ws_inputs_close(struct bridge *b, uint16_t code, const char *reason) {
	struct ws_input *w, *tmp;
	list_for_each_safe(w, tmp, &b->inputs, link) {
		ws_conn_close(w->conn, code, reason);
	}
}
