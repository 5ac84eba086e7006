/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Input from programs of the desktop itself: lines of JSON on a Unix socket in the runtime directory
 * (docs/protocol/http.md, section 3). No answers; what makes no sense is skipped.
 */
#ifndef HELIX_BRIDGE_INPUT_SOCKET_H
#define HELIX_BRIDGE_INPUT_SOCKET_H

#include "input.h"

#define INPUT_LINE_MAX 4096u

struct input_socket;

typedef void (*input_size_fn)(uint32_t *ret_width, uint32_t *ret_height, void *data);

/* `size` tells the desktop's size in pixels, in which positions are. Removes a stale socket. */
int input_socket_create(sd_event *loop, const char *path, struct input *input, input_size_fn size,
	void *data, struct input_socket **ret);
void input_socket_destroy(struct input_socket *s);

/* One line to an event. -EBADMSG: no JSON object, or not one of these. For tests. */
int input_line_parse(
	const char *line, size_t size, uint32_t width, uint32_t height, struct ws_event *ret);

#endif
