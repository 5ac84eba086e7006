/* SPDX-License-Identifier: GPL-2.0-or-later */
/* desktop-bridge: see bridge.h for its parts. */
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "bridge-options.h"
#include "bridge.h"
#include "http-routes.h"
#include "input/backend.h"
#include "log.h"
#include "loop.h"
#include "revdial-client.h"
#include "viewer.h"
#include "ws-input.h"

LOG_MODULE("bridge");

/* For viewers to read why they are left, before the process ends. */
#define GOODBYE_US (300 * UINT64_C(1000))

static int handle_goodbye(sd_event_source *source, uint64_t usec, void *data) {
	return sd_event_exit(sd_event_source_get_event(source), 0);
}

static int handle_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *data) {
	struct bridge *b = data;
	(void)sd_notify(0, "STOPPING=1");
	viewers_close(b, WS_CLOSE_RESTART, "the bridge is being restarted");
	ws_inputs_close(b, WS_CLOSE_RESTART, "the bridge is being restarted");
	if (b->n_viewers + b->n_inputs == 0) {
		return sd_event_exit(b->loop, 0);
	}
	return sd_event_add_time_relative(
		b->loop, NULL, CLOCK_MONOTONIC, GOODBYE_US, 0, handle_goodbye, NULL);
}

static void get_size(uint32_t *ret_width, uint32_t *ret_height, void *data) {
	bridge_size(data, ret_width, ret_height);
}

/* For events that wait in `input`, too. */
static void handle_size(uint32_t width, uint32_t height, void *data) {
	struct bridge *b = data;
	input_set_size(b->input, width, height);
}

/* Without a runtime directory there is no token and no socket, and that is all right. */
static int create_input(struct bridge *b) {
	const struct bridge_config *c = &b->config;
	const char *dir = c->runtime_dir ? c->runtime_dir : "/nonexistent";
	struct input_backend *backend = NULL;
	char path[256];
	(void)snprintf(b->token_path, sizeof(b->token_path), "%s/helix-input-token", dir);
	int r = input_backend_create(b->loop, c->input, c->input_socket, b->token_path, &backend);
	if (r >= 0) {
		r = input_create(b->loop, backend, &b->input);
	}
	if (r >= 0) {
		r = wayland_output_create(b->loop, handle_size, b, &b->output);
	}
	if (r < 0 || !c->runtime_dir) {
		return r;
	}
	(void)snprintf(path, sizeof(path), "%s/helix-input.sock", dir);
	int s = input_socket_create(b->loop, path, b->input, get_size, b, &b->input_lines);
	if (s < 0) {
		log_warn_errno(s, "%s: no input from there", path);
	}
	return 0;
}

/* The gateway cannot connect to a container, so the bridge calls it. */
static int call_gateway(struct bridge *b, uint16_t port) {
	const struct bridge_config *c = &b->config;
	struct revdial_config config = {
		.url = c->gateway,
		.session = c->session,
		.token = c->gateway_token,
		.ca_file = c->gateway_ca,
		.insecure = c->gateway_insecure,
		.local_port = port,
	};
	if (!c->gateway) {
		return 0;
	}
	if (!c->session) {
		log_err("--gateway needs --session (HELIX_SESSION_ID)");
		return -EINVAL;
	}
	int r = revdial_client_create(b->loop, &config, NULL, NULL, &b->revdial);
	if (r < 0) {
		log_err_errno(r, "cannot call the gateway %s", c->gateway);
	}
	return r;
}

static int run(struct bridge *b, struct http_config *http) {
	uint16_t port;
	int r = loop_create(handle_signal, b, &b->loop);
	if (r >= 0) {
		r = canary_init(&b->canary, b->loop);
	}
	if (r >= 0) {
		r = sd_event_add_defer(b->loop, &b->moved, presence_handle_moved, b);
	}
	if (r >= 0) {
		(void)sd_event_source_set_enabled(b->moved, SD_EVENT_OFF);
		r = source_create(b->loop, &b->config.source, &b->source);
	}
	if (r >= 0) {
		r = still_create(b->loop, b->source, &b->still);
	}
	if (r >= 0) {
		r = resizer_create(b->loop, b->config.runtime_dir, &b->resizer);
	}
	if (r >= 0) {
		r = create_input(b);
	}
	if (r >= 0) {
		r = clipboard_create(b->loop, input_clipboard(b->input), &b->clipboard);
	}
	if (r >= 0) {
		r = audio_create(b->loop, &b->config.audio, &b->audio);
	}
	if (r >= 0) {
		r = http_server_create(b->loop, http, &b->http);
	}
	if (r < 0) {
		log_err_errno(r, "cannot start");
		return r;
	}
	r = http_server_listen(b->http, b->config.listen_host, b->config.listen_port, &port);
	if (r < 0) {
		log_err_errno(
			r, "cannot listen on %s:%u", b->config.listen_host, b->config.listen_port);
		return r;
	}
	r = call_gateway(b, port);
	if (r < 0) {
		return r;
	}
	log_info("serves on %s port %u", b->config.listen_host, port);
	(void)sd_notifyf(0, "READY=1\nSTATUS=port %u", port);
	return sd_event_loop(b->loop);
}

static void finish(struct bridge *b) {
	revdial_client_destroy(b->revdial);
	viewers_destroy(b);
	ws_inputs_destroy(b);
	input_socket_destroy(b->input_lines);
	still_destroy(b->still);
	clipboard_destroy(b->clipboard);
	resizer_destroy(b->resizer);
	http_server_destroy(b->http);
	wayland_output_destroy(b->output);
	input_destroy(b->input);
	audio_destroy(b->audio);
	source_destroy(b->source);
	canary_finish(&b->canary);
	sd_event_source_disable_unref(b->moved);
	sd_event_unref(b->loop);
}

int main(int argc, char *argv[]) {
	static struct bridge b;
	switch (bridge_options_parse(argc, argv, &b.config)) {
	case OPTIONS_ERROR:
		return 2;
	case OPTIONS_EXIT:
		return 0;
	case OPTIONS_RUN:
		break;
	}
	list_init(&b.viewers);
	list_init(&b.inputs);
	b.started_ns = now_ns();
	struct http_config http = {
		.max_connections = b.config.max_connections,
		.origins = b.config.origins,
		.n_origins = b.config.n_origins,
		.routes = bridge_routes,
		.data = &b,
	};

	int r = run(&b, &http);
	finish(&b);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
