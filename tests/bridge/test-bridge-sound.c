/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The desktop's sound, with the real PipeWire and WirePlumber: what it plays, and microphones. */
#include <math.h>
#include <opus/opus.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "clock.h"
#include "proto/ws-messages.h"
#include "sound-rig.h"
#include "test.h"
#include "util.h"

#define WANT      "\"extensions\":[\"audio\"]"
#define RATE      48000u
#define FRAMES    960u
#define PACKETS   50u
#define PACKET_US 20000u

/* What a viewer hears. */
struct hearing {
	struct ws_client ws;
	struct ws_stream_init init;
	OpusDecoder *opus;
	uint64_t packets, last_pts;
	float samples[2 * FRAMES];
};

static void hear_open(struct hearing *h, const struct rig *r, const char *more_init) {
	struct ws_message m;
	int error;
	*h = (struct hearing){.opus = opus_decoder_create((opus_int32)RATE, 2, &error)};
	check(h->opus);
	check(ws_open(&h->ws, r->port, "/ws/stream", NULL));
	ws_send_init(&h->ws, more_init);
	ws_expect(&h->ws, WS_STREAM_INIT, &m, 5000);
	check_int(ws_decode_stream_init(m.data, m.size, &h->init), >, 0);
}

static void hear_close(struct hearing *h) {
	opus_decoder_destroy(h->opus);
	ws_close(&h->ws);
}

/* The next packet, decoded; false: none within the time. */
static bool hear(struct hearing *h, unsigned timeout_ms) {
	struct ws_message m;
	struct ws_audio_frame f;
	uint64_t until = now_ns() + timeout_ms * NSEC_PER_MSEC;
	while (now_ns() < until && ws_receive(&h->ws, &m, timeout_ms)) {
		check_int(m.opcode, !=, OP_CLOSE);
		if (m.opcode != OP_BINARY || m.data[0] != WS_AUDIO_FRAME) {
			continue;
		}
		check_int(ws_decode_audio_frame(m.data, m.size, &f), ==, WS_AUDIO_FRAME_SIZE);
		check_int(f.channels, ==, 2);
		check_int(f.pts_us, >, h->last_pts);
		h->last_pts = f.pts_us;
		check_int(
			opus_decode_float(h->opus, m.data + f.channels + 8,
				(opus_int32)(m.size - WS_AUDIO_FRAME_SIZE), h->samples, FRAMES, 0),
			==, FRAMES);
		h->packets++;
		return true;
	}
	return false;
}

/* Waits for the sine: whatever was before is skipped. */
static void hear_tone(struct hearing *h, double hertz, unsigned timeout_ms) {
	uint64_t until = now_ns() + timeout_ms * NSEC_PER_MSEC;
	for (unsigned pure = 0; pure < 5;) {
		check(now_ns() < until);
		check(hear(h, timeout_ms));
		bool is_pure = sound_rms(h->samples, FRAMES, 2) > 0.1 &&
			sound_purity(h->samples, FRAMES, 2, hertz) > 0.95 &&
			sound_purity(h->samples + 1, FRAMES, 2, hertz) > 0.95;
		pure = is_pure ? pure + 1 : 0;
	}
}

TEST(a_tone_arrives) {
	struct rig r;
	struct sound_rig s;
	struct hearing h, deaf;
	rig_start(&r, SHOW_STILL, NULL);
	sound_start(&s, &r);
	hear_open(&deaf, &r, NULL);
	check_int(deaf.init.channels, ==, 0);
	check_int(deaf.init.sample_rate, ==, 0);
	check_int(rig_metric(&r, "audio_listeners"), ==, 0);
	hear_open(&h, &r, WANT);
	check_int(h.init.channels, ==, 2);
	check_int(h.init.sample_rate, ==, RATE);
	pid_t player = sound_play(&s, "1000", "0", NULL);
	hear_tone(&h, 1000, 20000);
	check(sound_purity(h.samples, FRAMES, 2, 700) < 0.05);
	/* Presentation times are those of the samples. */
	uint64_t begin = h.last_pts, packets = h.packets;
	for (unsigned i = 0; i < PACKETS; i++) {
		uint64_t last = h.last_pts;
		check(hear(&h, 5000));
		check_int(llabs((int64_t)(h.last_pts - last) - PACKET_US), <, 5000);
	}
	check_int(llabs((int64_t)(h.last_pts - begin - PACKETS * PACKET_US)), <, 20000);
	(void)printf("# encoding: %.0f us a packet\n",
		rig_metric(&r, "audio_encode_microseconds_total") /
			rig_metric(&r, "audio_packets_total"));
	check_int(h.packets, ==, packets + PACKETS);
	/* Who did not ask hears nothing. */
	check(!hear(&deaf, 300));
	sound_end(player);
	hear_close(&deaf);
	hear_close(&h);
	rig_stop_bridge(&r);
	sound_stop(&s);
	rig_stop(&r);
}

/* On the clock of the picture, and when the program says that the sink plays it. */
TEST(presentation_times) {
	struct rig r;
	struct sound_rig s;
	struct hearing h;
	struct ws_message m;
	struct ws_pong pong;
	char path[96];
	uint8_t buf[16];
	rig_start(&r, SHOW_STILL, NULL);
	sound_start(&s, &r);
	hear_open(&h, &r, WANT);
	struct ws_ping ping = {1, 2};
	uint64_t before = now_ns();
	ws_send(&h.ws, OP_BINARY, buf, (size_t)ws_encode_ping(buf, sizeof(buf), &ping));
	ws_expect(&h.ws, WS_PONG, &m, 5000);
	check_int(ws_decode_pong(m.data, m.size, &pong), >, 0);
	int64_t offset_us = (int64_t)pong.server_us - (int64_t)((before + now_ns()) / 2000);
	(void)snprintf(path, sizeof(path), "%s/onset", r.dir);
	/* Some sound first: the onset is to be a matter of samples and not of what wakes up. */
	pid_t first = sound_play(&s, "300", "0", NULL);
	hear_tone(&h, 300, 20000);
	pid_t player = sound_play(&s, "3000", "1000", path);
	while (sound_purity(h.samples, FRAMES, 2, 3000) < 0.25) {
		check(hear(&h, 5000));
	}
	uint64_t heard_us = h.last_pts;
	char *text = NULL;
	for (unsigned ms = 0; !text || !strchr(text, '\n'); ms += 10) {
		check_int(ms, <, 5000);
		free(text);
		sleep_ms(10);
		text = rig_read(path);
	}
	int64_t played_us = strtoll(text, NULL, 10) / 1000 + offset_us;
	free(text);
	(void)printf("# pts of the onset: %.1f ms after what the program says\n",
		(double)((int64_t)heard_us - played_us) / 1000);
	check_int(llabs((int64_t)heard_us - played_us), <, 45000);
	sound_end(player);
	sound_end(first);
	hear_close(&h);
	rig_stop_bridge(&r);
	sound_stop(&s);
	rig_stop(&r);
}

TEST(silence_costs_nothing) {
	struct rig r;
	struct sound_rig s;
	struct hearing h;
	rig_start(&r, SHOW_STILL, NULL);
	sound_start(&s, &r);
	hear_open(&h, &r, WANT);
	check(!hear(&h, 3000)); /* nothing plays */
	check_int(rig_metric(&r, "audio_packets_total"), ==, 0);
	check_int(rig_metric(&r, "audio_encode_microseconds_total"), ==, 0); /* not even captured */
	/* A program that plays silence; then a sound, then nothing. */
	pid_t player = sound_play(&s, "1000", "4000", NULL);
	check(!hear(&h, 2000));
	check_int(rig_metric(&r, "audio_packets_total"), ==, 0);
	hear_tone(&h, 1000, 20000);
	sound_end(player);
	uint64_t end = h.packets;
	while (hear(&h, 1500)) {
	}
	(void)printf("# packets after the end: %d\n", (int)(h.packets - end));
	check_int(h.packets - end, <, 60);
	/* A switched off ear. */
	static const char off[] = "\x20{\"set_audio_enabled\":false}";
	static const char on[] = "\x20{\"set_audio_enabled\":true}";
	player = sound_play(&s, "1000", "0", NULL);
	hear_tone(&h, 1000, 20000);
	ws_send(&h.ws, OP_BINARY, off, sizeof(off) - 1);
	while (hear(&h, 500)) {
	}
	check_int(rig_metric(&r, "audio_listeners"), ==, 0);
	ws_send(&h.ws, OP_BINARY, on, sizeof(on) - 1);
	hear_tone(&h, 1000, 20000);
	sound_end(player);
	hear_close(&h);
	rig_stop_bridge(&r);
	sound_stop(&s);
	rig_stop(&r);
}

TEST(pipewire_comes_and_goes) {
	struct rig r;
	struct sound_rig s;
	struct hearing h, later;
	rig_start(&r, SHOW_STILL, NULL);
	hear_open(&h, &r, WANT);
	check_int(h.init.channels, ==, 0); /* none so far */
	sound_start(&s, &r);
	pid_t player = sound_play(&s, "1000", "0", NULL);
	hear_tone(&h, 1000, 30000); /* the bridge found it by itself */
	for (unsigned i = 0; i < 2; i++) {
		sound_kill(&s);
		sound_end(player);
		while (hear(&h, 500)) {
		}
		check_int(rig_metric(&r, "audio_connected"), ==, 0);
		sound_restart(&s);
		player = sound_play(&s, "2000", "0", NULL);
		hear_tone(&h, 2000, 30000);
	}
	hear_open(&later, &r, WANT);
	check_int(later.init.channels, ==, 2);
	hear_tone(&later, 2000, 5000);
	sound_end(player);
	hear_close(&later);
	hear_close(&h);
	rig_stop_bridge(&r);
	sound_stop(&s);
	rig_stop(&r);
}

TEST(off_is_off) {
	static const char *const options[] = {"--audio", "off", NULL};
	struct rig r;
	struct hearing h;
	int16_t samples[FRAMES] = {0};
	uint8_t buf[1 + sizeof(samples)];
	rig_start(&r, SHOW_STILL, options);
	hear_open(&h, &r, "\"extensions\":[\"audio\",\"microphone\"]");
	check_int(h.init.channels, ==, 0);
	ws_send(&h.ws, OP_BINARY, buf,
		(size_t)ws_encode_microphone(buf, sizeof(buf), samples, FRAMES));
	check(!hear(&h, 300));
	hear_close(&h);
	rig_stop(&r);
}
