/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The desktop's PipeWire: captures what the default sink plays, and gives the desktop a microphone.
 * PipeWire's own loop runs inside the sd-event loop; samples are moved in PipeWire's data thread, by
 * way of rings without locks. Nothing is tried again here: when PipeWire goes away, or a stream of
 * it fails, `lost` is called, once, and all is as before pipewire_connect.
 */
#ifndef HELIX_BRIDGE_AUDIO_PIPEWIRE_H
#define HELIX_BRIDGE_AUDIO_PIPEWIRE_H

#include <systemd/sd-event.h>

#include "blocks.h"
#include "jitter.h"

struct pipewire;

struct pipewire_handler {
	void (*captured)(void *data); /* blocks wait in `blocks` */
	void (*lost)(const char *why, void *data);
};

/* Connects to nothing yet. Both rings are borrowed. */
int pipewire_create(sd_event *loop, struct audio_blocks *blocks, struct jitter *microphone,
	const struct pipewire_handler *handler, void *data, struct pipewire **ret);
void pipewire_destroy(struct pipewire *p);

/* Connected already: 0. -ECONNREFUSED, -EHOSTDOWN and the like: it does not run. */
int pipewire_connect(struct pipewire *p);
bool pipewire_is_connected(const struct pipewire *p);
/* Only while connected. */
int pipewire_capture(struct pipewire *p, bool on);
int pipewire_offer_microphone(struct pipewire *p, bool on);

#endif
