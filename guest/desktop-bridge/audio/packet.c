/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "packet.h"

struct audio_packet *audio_packet_create(const uint8_t *data, size_t size) {
	struct audio_packet *p = malloc(sizeof(*p) + size);
	if (p) {
		*p = (struct audio_packet){.refs = 1, .size = size};
		memcpy(p->data, data, size);
	}
	return p;
}

struct audio_packet *audio_packet_ref(struct audio_packet *p) {
	p->refs++;
	return p;
}

void audio_packet_unref(struct audio_packet *p) {
	if (p && --p->refs == 0) {
		free(p);
	}
}

struct audio_packet *audio_queue_take(struct audio_queue *q) {
	if (q->n == 0) {
		return NULL;
	}
	struct audio_packet *p = q->packets[q->first];
	q->first = (q->first + 1) % AUDIO_QUEUE_PACKETS;
	q->n--;
	return p;
}

void audio_queue_offer(struct audio_queue *q, struct audio_packet *p) {
	while (q->n == AUDIO_QUEUE_PACKETS ||
		(q->n > 0 && p->pts_us - q->packets[q->first]->pts_us > AUDIO_QUEUE_US)) {
		audio_packet_unref(audio_queue_take(q));
		q->dropped++;
	}
	q->packets[(q->first + q->n) % AUDIO_QUEUE_PACKETS] = audio_packet_ref(p);
	q->n++;
}

void audio_queue_clear(struct audio_queue *q) {
	while (q->n > 0) {
		audio_packet_unref(audio_queue_take(q));
	}
}
