/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The clipboard of compositors that let a client manage it: ext-data-control-v1, or what it was made
 * from, wlr-data-control-unstable-v1, at WAYLAND_DISPLAY. Connected while somebody listens.
 */
#ifndef HELIX_BRIDGE_CLIPBOARD_DATA_CONTROL_H
#define HELIX_BRIDGE_CLIPBOARD_DATA_CONTROL_H

#include <systemd/sd-event.h>

#include "backend.h"

int clipboard_data_control_create(sd_event *loop, struct clipboard_backend **ret);
void clipboard_data_control_destroy(struct clipboard_backend *b);

#endif
