/* SPDX-License-Identifier: GPL-2.0-or-later */
/* /ws/input: a WebSocket that carries input and nothing else. */
#ifndef HELIX_BRIDGE_WS_INPUT_H
#define HELIX_BRIDGE_WS_INPUT_H

#include "bridge.h"
#include "ws-conn.h"

/* Takes over the socket, also if it fails. */
int ws_input_create(
	struct bridge *b, const struct ws_socket *socket, const uint8_t *early, size_t early_size);
void ws_inputs_destroy(struct bridge *b);
void ws_inputs_close(struct bridge *b, uint16_t code, const char *reason);

/* Of the desktop that input goes to; 0 by 0 while it is not known. */
void bridge_size(const struct bridge *b, uint32_t *ret_width, uint32_t *ret_height);
/* An event of anybody, with what has to be known for it. */
void bridge_event(struct bridge *b, struct input_client *c, const struct ws_event *e);

#endif
