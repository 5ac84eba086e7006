/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The desktop's own keyboard, pointer and touch screen: asked of the input manager, which makes
 * them and keeps them while our connection lasts. They become devices of the session; libinput
 * finds them by the udev database entries that are written for them, and the bridge finds the set
 * by the token that is left in XDG_RUNTIME_DIR.
 */
#ifndef HELIX_LOGIND_STUB_INPUT_H
#define HELIX_LOGIND_STUB_INPUT_H

#include <systemd/sd-event.h>

#include "session.h"

#define INPUT_TOKEN_FILE "helix-input-token"

struct input_config {
	const char *socket;
	const char *udev_dir;
	const char *runtime_dir; /* NULL: the token is not written */
};

struct input;

/* Devices that cannot be had are a warning, and asked for again: only -ENOMEM is a failure. */
int input_create(sd_event *loop, struct session *session, const struct input_config *config,
	struct input **ret);
void input_destroy(struct input *input);

#endif
