/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <math.h>
#include <opus/opus.h>
#include <string.h>

#include "clock.h"
#include "encoder.h"
#include "util.h"

/* Below half a step of 16 bits. */
#define SILENCE (1.0F / 65536)
/* For reverberation to end, and so that pauses in speech cost no restart. */
#define SILENT_PACKETS 50u
/* A block that is later than expected by more comes after a gap. */
#define GAP_NS (60 * (int64_t)NSEC_PER_MSEC)
/* Blocks that were held up come in a bunch, earlier than expected: by so much that is all right. */
#define BUNCH_NS (200 * (int64_t)NSEC_PER_MSEC)
/* Of a smaller difference this part is corrected with each block: clocks drift slowly. */
#define FOLLOW 32
/* Better than the default's quality per bit is not heard at 128 kbit/s; its cost is twice. */
#define COMPLEXITY 5

struct audio_encoder {
	OpusEncoder *opus;
	audio_encoder_packet handler;
	void *data;
	bool running;     /* next_ns is known */
	uint64_t next_ns; /* when the next frame to come is heard */
	uint64_t last_us; /* pts of the last packet */
	unsigned silent;  /* packets */
	unsigned frames;  /* in `samples` */
	float samples[AUDIO_PACKET_FRAMES * AUDIO_CHANNELS];
};

int audio_encoder_create(
	uint32_t bitrate, audio_encoder_packet handler, void *data, struct audio_encoder **ret) {
	int error;
	struct audio_encoder *e = calloc(1, sizeof(*e));
	if (!e) {
		return -ENOMEM;
	}
	e->opus = opus_encoder_create(
		(opus_int32)AUDIO_RATE, AUDIO_CHANNELS, OPUS_APPLICATION_AUDIO, &error);
	if (!e->opus) {
		free(e);
		return error == OPUS_ALLOC_FAIL ? -ENOMEM : -EINVAL;
	}
	(void)opus_encoder_ctl(e->opus, OPUS_SET_BITRATE((opus_int32)bitrate));
	(void)opus_encoder_ctl(e->opus, OPUS_SET_COMPLEXITY(COMPLEXITY));
	e->handler = handler;
	e->data = data;
	e->silent = SILENT_PACKETS;
	*ret = e;
	return 0;
}

void audio_encoder_destroy(struct audio_encoder *e) {
	if (e) {
		opus_encoder_destroy(e->opus);
		free(e);
	}
}

void audio_encoder_restart(struct audio_encoder *e) {
	e->running = false;
	e->frames = 0;
	e->silent = SILENT_PACKETS;
}

/* Brings what programs play into -1 … 1, NaN too. True: it is silence. */
static bool clean(struct audio_encoder *e) {
	float loudest = 0;
	for (size_t i = 0; i < ARRAY_SIZE(e->samples); i++) {
		float v = e->samples[i];
		v = isnan(v) ? 0 : fminf(fmaxf(v, -1), 1);
		loudest = fmaxf(loudest, fabsf(v));
		e->samples[i] = v;
	}
	return loudest < SILENCE;
}

static void encode(struct audio_encoder *e) {
	uint8_t buf[AUDIO_PACKET_MAX];
	bool silent = clean(e);
	if (silent && e->silent >= SILENT_PACKETS) {
		return;
	}
	if (e->silent >= SILENT_PACKETS) {
		(void)opus_encoder_ctl(e->opus, OPUS_RESET_STATE);
	}
	e->silent = silent ? e->silent + 1 : 0;
	opus_int32 n =
		opus_encode_float(e->opus, e->samples, AUDIO_PACKET_FRAMES, buf, sizeof(buf));
	struct audio_packet *p = n > 0 ? audio_packet_create(buf, (size_t)n) : NULL;
	if (!p) {
		return;
	}
	uint64_t pts_us = clock_wire_us(e->next_ns - AUDIO_FRAMES_NS(AUDIO_PACKET_FRAMES));
	p->channels = AUDIO_CHANNELS;
	p->pts_us = e->last_us = MAX(pts_us, e->last_us + 1);
	e->handler(p, e->data);
	audio_packet_unref(p);
}

/* Where in time the block belongs. */
static void follow(struct audio_encoder *e, const struct audio_block *block) {
	int64_t off = (int64_t)(block->time_ns - e->next_ns);
	if (!e->running || off > GAP_NS || off < -BUNCH_NS) {
		e->frames = 0;
		e->next_ns = block->time_ns;
		e->running = true;
	} else {
		e->next_ns += (uint64_t)(off / FOLLOW);
	}
}

void audio_encoder_feed(struct audio_encoder *e, const struct audio_block *block) {
	const float *from = block->samples;
	unsigned left = block->frames;
	follow(e, block);
	while (left > 0) {
		unsigned n = MIN(left, AUDIO_PACKET_FRAMES - e->frames);
		memcpy(e->samples + (size_t)e->frames * AUDIO_CHANNELS, from,
			(size_t)n * AUDIO_CHANNELS * sizeof(float));
		from += (size_t)n * AUDIO_CHANNELS;
		left -= n;
		e->frames += n;
		e->next_ns += AUDIO_FRAMES_NS(n);
		if (e->frames == AUDIO_PACKET_FRAMES) {
			encode(e);
			e->frames = 0;
		}
	}
}
