/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sound, for viewers that asked for it. */
#include "proto/ws-messages.h"
#include "util.h"
#include "viewer.h"

static void handle_packet(struct audio_packet *p, void *data) {
	struct viewer *v = data;
	audio_queue_offer(&v->sound, p);
	ws_conn_kick(v->conn);
}

void viewer_hear(struct viewer *v, bool on) {
	bool hears = !list_empty(&v->listener.link);
	if (!on) {
		audio_unlisten(v->bridge->audio, &v->listener);
		audio_queue_clear(&v->sound);
	} else if (!hears && !v->closing && (v->init.extensions & INIT_AUDIO)) {
		v->listener.packet = handle_packet;
		v->listener.data = v;
		audio_listen(v->bridge->audio, &v->listener);
	}
}

bool viewer_pull_sound(struct viewer *v, struct ws_bulk *ret) {
	struct audio_packet *p = audio_queue_take(&v->sound);
	if (!p) {
		return false;
	}
	struct ws_audio_frame msg = {.channels = p->channels, .pts_us = p->pts_us};
	ret->head_size = (size_t)ws_encode_audio_frame(ret->head, sizeof(ret->head), &msg);
	ret->body = p->data;
	ret->body_size = p->size;
	v->sounding = p;
	return true;
}

void viewer_sound_pulled(struct viewer *v) {
	audio_packet_unref(v->sounding);
	v->sounding = NULL;
}

void viewer_handle_microphone(struct viewer *v, const uint8_t *p, size_t size) {
	int16_t samples[WS_MICROPHONE_MAX];
	size_t n;
	if ((v->init.extensions & INIT_MICROPHONE) &&
		ws_decode_microphone(p, size, samples, &n) > 0) {
		audio_speak(v->bridge->audio, v, samples, n);
	}
}

void viewer_sound_finish(struct viewer *v) {
	viewer_hear(v, false);
	audio_hush(v->bridge->audio, v);
}
