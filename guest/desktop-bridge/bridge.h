/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * desktop-bridge: shows one desktop to browsers and carries their input back.
 *
 *   exporter ──HXFR── upstream ─ source ─┬─ viewer ─ ws-conn ──WebSocket── browser
 *                                        ├─ viewer …        (http-server took its handshake)
 *                                        └─ still: screenshots, decoded on a thread of its own
 *   browser … http-resize ─ resizer ─ the launcher's socket: another size of the desktop
 *   browser … viewer ─ input ─ back end (Mutter by D-Bus, wlroots by Wayland, uinput, log)
 *   compositor ─ wayland/output: how many pixels positions are on
 *   browser … http-clipboard ─ clipboard ─ back end (Mutter, by the same session)
 *   PipeWire ─ audio ─┬─ viewer …           (and a viewer's microphone the other way)
 *
 * All but the decoding of screenshots runs on one sd-event loop.
 */
#ifndef HELIX_BRIDGE_H
#define HELIX_BRIDGE_H

#include "audio/audio.h"
#include "clipboard/clipboard.h"
#include "clock.h"
#include "http-server.h"
#include "input/input.h"
#include "input/socket.h"
#include "list.h"
#include "resize.h"
#include "source.h"
#include "still.h"
#include "wayland/output.h"

#define BRIDGE_ORIGINS_MAX 16u

struct bridge_config {
	struct source_config source;
	char listen_host[UPSTREAM_HOST_SIZE];
	uint16_t listen_port;
	const char *web_root; /* NULL: no pages */
	const char *origins[BRIDGE_ORIGINS_MAX];
	unsigned n_origins;
	uint32_t max_viewers, max_connections;
	uint64_t queue_ns;
	struct audio_config audio;
	const char *input;        /* name of the back end */
	const char *input_socket; /* of the input manager */
	const char *runtime_dir;  /* may be NULL */
	/* A gateway to call; `gateway` NULL: none. */
	const char *gateway, *session, *gateway_token, *gateway_ca;
	bool gateway_insecure;
};

struct bridge {
	struct bridge_config config;
	sd_event *loop;
	struct source *source;
	struct still *still;
	struct resizer *resizer;
	struct http_server *http;
	struct revdial_client *revdial; // NULL: no gateway to call
	struct canary canary;
	struct input *input;
	struct wayland_output *output;
	struct audio *audio;
	struct input_socket *input_lines; // may be NULL
	struct clipboard *clipboard;      /* by the back end of input */
	struct list viewers;              // struct viewer.link
	struct list inputs;               // struct ws_input.link
	sd_event_source *moved;           /* brings positions to those who see them */
	unsigned n_viewers, n_inputs;
	uint32_t next_client_id, next_colour;
	uint32_t last_mover; /* client id of who moved the pointer last; 0: nobody */
	uint64_t viewers_total, viewers_stalled, viewers_closed_slow;
	uint64_t started_ns;
	char token_path[256]; /* of the desktop's input devices */
};

#endif
