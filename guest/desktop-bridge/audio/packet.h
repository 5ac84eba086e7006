/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Opus packets, shared by all that they are sent to, and what of them waits for one viewer: bounded
 * by the time that it spans. A viewer that falls behind loses the oldest, so it hears gaps and never
 * the past. Pure.
 */
#ifndef HELIX_BRIDGE_AUDIO_PACKET_H
#define HELIX_BRIDGE_AUDIO_PACKET_H

#include <stddef.h>
#include <stdint.h>

struct audio_packet {
	unsigned refs;
	uint8_t channels;
	uint64_t pts_us; /* on the wire's clock, strictly increasing */
	size_t size;
	uint8_t data[];
};

/* One reference, for the caller; NULL: out of memory. */
struct audio_packet *audio_packet_create(const uint8_t *data, size_t size);
struct audio_packet *audio_packet_ref(struct audio_packet *p);
void audio_packet_unref(struct audio_packet *p);

#define AUDIO_QUEUE_PACKETS 32u
#define AUDIO_QUEUE_US      (200u * 1000)

struct audio_queue {
	struct audio_packet *packets[AUDIO_QUEUE_PACKETS]; /* ring */
	unsigned first, n;
	uint64_t dropped;
};

void audio_queue_offer(struct audio_queue *q, struct audio_packet *p);
/* The next to send, with its reference; NULL: none. */
struct audio_packet *audio_queue_take(struct audio_queue *q);
/* Drops all, which are not counted. */
void audio_queue_clear(struct audio_queue *q);

#endif
