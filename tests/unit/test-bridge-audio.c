/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The sound's parts without PipeWire: a viewer's queue, rings, presentation times, silence. */
#include <math.h>
#include <opus/opus.h>
#include <string.h>

#include "audio/encoder.h"
#include "audio/jitter.h"
#include "clock.h"
#include "test.h"
#include "util.h"

static void offer(struct audio_queue *q, uint64_t pts_us) {
	struct audio_packet *p = audio_packet_create((const uint8_t *)"x", 1);
	check(p);
	p->pts_us = pts_us;
	audio_queue_offer(q, p);
	audio_packet_unref(p);
}

static uint64_t take(struct audio_queue *q) {
	struct audio_packet *p = audio_queue_take(q);
	uint64_t pts = p ? p->pts_us : 0;
	audio_packet_unref(p);
	return pts;
}

TEST(queue_drops_the_oldest) {
	struct audio_queue q = {.n = 0};
	for (uint64_t pts = 1000000; pts < 1500000; pts += 20000) {
		offer(&q, pts);
	}
	check_int(q.dropped, ==, 14);
	check_int(take(&q), ==, 1280000);
	check_int(take(&q), ==, 1300000);
	/* After a pause all that waited is the past; short packets are bounded in number. */
	offer(&q, 9000000);
	check_int(take(&q), ==, 9000000);
	check_int(take(&q), ==, 0);
	for (uint64_t i = 0; i < 100; i++) {
		offer(&q, 10000000 + i);
	}
	check_int(q.n, ==, AUDIO_QUEUE_PACKETS);
	audio_queue_clear(&q);
	check_int(q.n, ==, 0);
}

TEST(blocks_are_bounded) {
	static struct audio_blocks b;
	static float samples[2 * 3000];
	samples[2 * 2999 + 1] = 0.5F;
	audio_blocks_write(&b, 1000, samples, 3000);
	const struct audio_block *block = audio_blocks_peek(&b);
	check_int(block->frames, ==, 1024);
	check_int(block->time_ns, ==, 1000);
	audio_blocks_release(&b);
	audio_blocks_release(&b);
	block = audio_blocks_peek(&b);
	check_int(block->frames, ==, 3000 - 2048);
	check_int(block->time_ns, ==, 1000 + 2 * AUDIO_FRAMES_NS(1024));
	check(block->samples[2 * 951 + 1] > 0.4F);
	audio_blocks_release(&b);
	check(!audio_blocks_peek(&b));
	for (unsigned i = 0; i < 40; i++) {
		audio_blocks_write(&b, i, samples, 10);
	}
	check_int(b.dropped, ==, 40 - AUDIO_BLOCKS);
	for (unsigned i = 0; i < AUDIO_BLOCKS; i++) {
		check_int(audio_blocks_peek(&b)->time_ns, ==, i);
		audio_blocks_release(&b);
	}
	check(!audio_blocks_peek(&b));
}

TEST(jitter_waits_and_skips) {
	static struct jitter j;
	static int16_t in[JITTER_SAMPLES], out[JITTER_SAMPLES];
	for (unsigned i = 0; i < JITTER_SAMPLES; i++) {
		in[i] = (int16_t)(i + 1);
	}
	jitter_write(&j, in, 2000);
	jitter_read(&j, out, 480);
	check_int(out[0], ==, 0); /* too little waits */
	jitter_write(&j, in + 2000, 1000);
	jitter_read(&j, out, 480);
	check_int(out[0], ==, 1);
	check_int(out[479], ==, 480);
	jitter_read(&j, out, 2520);
	check_int(out[2519], ==, 3000);
	check_int(j.underruns, ==, 0);
	jitter_read(&j, out, 480);
	check_int(out[0], ==, 0);
	check_int(j.underruns, ==, 1);
	jitter_read(&j, out, 480);
	check_int(j.underruns, ==, 1); /* silence is not one after the other */
	/* Nobody read for long: the past is skipped, and what there is no room for is not kept. */
	jitter_write(&j, in, JITTER_SAMPLES);
	jitter_write(&j, in, JITTER_SAMPLES);
	jitter_read(&j, out, 480);
	check_int(out[0], ==, (int16_t)(JITTER_SAMPLES - JITTER_TARGET + 1));
	check_int(j.skipped, ==, JITTER_SAMPLES - JITTER_TARGET);
	/* A reader of large pieces. */
	jitter_reset(&j);
	jitter_write(&j, in, 20000);
	jitter_read(&j, out, 8192);
	check(out[0] != 0 && out[8191] != 0);
}

/* What the encoder made. */
struct made {
	unsigned n;
	uint64_t first_us, last_us;
	bool ordered;
};

static void handle_packet(struct audio_packet *p, void *data) {
	struct made *m = data;
	m->first_us = m->n == 0 ? p->pts_us : m->first_us;
	m->ordered = m->n == 0 || (m->ordered && p->pts_us > m->last_us);
	m->last_us = p->pts_us;
	m->n++;
	check_int(opus_packet_get_nb_samples(p->data, (opus_int32)p->size, AUDIO_RATE), ==,
		AUDIO_PACKET_FRAMES);
}

/* A second in blocks of 1000 frames that begins at `time_ns`; each may come later by `jitter_ns`. */
static void feed(struct audio_encoder *e, uint64_t time_ns, float level, uint64_t jitter_ns) {
	static struct audio_block block;
	for (unsigned i = 0; i < 48; i++) {
		block.frames = 1000;
		block.time_ns = time_ns + AUDIO_FRAMES_NS(1000 * i) + (i % 3) * jitter_ns;
		for (unsigned k = 0; k < 2000; k++) {
			block.samples[k] = k % 50 < 25 ? level : -level;
		}
		audio_encoder_feed(e, &block);
	}
}

TEST(times_follow_the_samples) {
	struct made m = {.n = 0};
	struct audio_encoder *e;
	uint64_t t = 5000 * NSEC_PER_SEC;
	check_ok(audio_encoder_create(128000, handle_packet, &m, &e));
	for (unsigned i = 0; i < 10; i++) {
		feed(e, t + i * NSEC_PER_SEC, 0.5F, 2 * NSEC_PER_MSEC);
	}
	check_int(m.n, ==, 1000);
	check(m.ordered);
	check_int(m.first_us, ==, clock_wire_us(t));
	int64_t off = (int64_t)(m.last_us - m.first_us) - 999 * 10000;
	check_int(llabs(off), <, 4000); /* two ms of jitter on the average */
	/* A gap, and then held up blocks: never back, and the present again. */
	feed(e, t + 15 * NSEC_PER_SEC, 0.5F, 0);
	check_int(llabs((int64_t)(m.last_us - clock_wire_us(t + 16 * NSEC_PER_SEC))), <, 45000);
	feed(e, t + 14 * NSEC_PER_SEC, 0.5F, 0);
	feed(e, t + 17 * NSEC_PER_SEC, 0.5F, 0);
	check(m.ordered);
	check_int(llabs((int64_t)(m.last_us - clock_wire_us(t + 18 * NSEC_PER_SEC))), <, 45000);
	audio_encoder_destroy(e);
}

TEST(silence_is_not_sent) {
	struct made m = {.n = 0};
	struct audio_encoder *e;
	uint64_t t = 5000 * NSEC_PER_SEC;
	check_ok(audio_encoder_create(16000, handle_packet, &m, &e));
	feed(e, t, 0, 0);
	check_int(m.n, ==, 0);
	feed(e, t + NSEC_PER_SEC, 0.1F, 0);
	check_int(m.n, ==, 100);
	feed(e, t + 2 * NSEC_PER_SEC, 1e-6F, 0);
	check_int(m.n, ==, 150); /* half a second of it */
	feed(e, t + 3 * NSEC_PER_SEC, 0, 0);
	check_int(m.n, ==, 150);
	/* What is no number, or far too loud, is taken nevertheless. */
	feed(e, t + 4 * NSEC_PER_SEC, NAN, 0);
	check_int(m.n, ==, 150);
	feed(e, t + 5 * NSEC_PER_SEC, INFINITY, 0);
	check_int(m.n, ==, 250);
	check(m.ordered);
	audio_encoder_destroy(e);
}
