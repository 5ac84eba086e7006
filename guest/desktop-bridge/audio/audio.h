/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The desktop's sound: what it plays, as Opus packets to who listens; what one viewer says, into the
 * desktop's microphone (docs/decisions/sound.md).
 *
 *   default sink ─ pipewire ─ blocks ─ encoder ─┬─ listener (a viewer, its queue) ─ ws-conn
 *                                               └─ listener …
 *   viewer ─ audio_speak ─ jitter ─ pipewire ─ source "helix-microphone"
 *
 * Nobody listens: soon nothing is captured. Nobody speaks: there is no microphone. Without PipeWire there
 * is no sound; while somebody wants some, it is looked for again and again, ever more seldom.
 */
#ifndef HELIX_BRIDGE_AUDIO_H
#define HELIX_BRIDGE_AUDIO_H

#include <systemd/sd-event.h>

#include "list.h"
#include "packet.h"

struct audio;

struct audio_config {
	bool off;
	uint32_t bitrate; /* bits/s */
};

/* Embedded in whoever listens. */
struct audio_listener {
	struct list link; // audio.listeners
	void (*packet)(struct audio_packet *p, void *data);
	void *data;
};

struct audio_stats {
	bool connected;
	bool captures;
	unsigned listeners;
	bool speaks;
	uint64_t packets, bytes, lost_blocks, connects;
	uint64_t spoken, refused; /* samples of microphones */
	uint64_t encode_ns;       /* in all */
};

int audio_create(sd_event *loop, const struct audio_config *config, struct audio **ret);
void audio_destroy(struct audio *a);

/* Channels of sound that there are now: 2, or 0. It may come and go later. */
unsigned audio_channels(struct audio *a);
void audio_listen(struct audio *a, struct audio_listener *l);
/* Does nothing for who does not listen. */
void audio_unlisten(struct audio *a, struct audio_listener *l);

/*
 * Who speaks first has the microphone, until it says nothing for a second or is hushed; what others
 * say meanwhile is dropped.
 */
void audio_speak(struct audio *a, const void *speaker, const int16_t *samples, size_t n);
void audio_hush(struct audio *a, const void *speaker);

void audio_get_stats(const struct audio *a, struct audio_stats *ret);

#endif
