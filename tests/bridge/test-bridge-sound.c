/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The desktop's sound, with the real PipeWire and WirePlumber: what it plays, and microphones. */
#include <math.h>
#include <opus/opus.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "clock.h"
#include "proto/ws-messages.h"
#include "sound-rig.h"
#include "test.h"
#include "util.h"

#define WANT      "\"extensions\":[\"audio\"]"
#define RATE      48000u
#define FRAMES    480u
#define SPOKEN    960u
#define PACKETS   100u
#define PACKET_US 10000u

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
	uint64_t packets = h.packets;
	unsigned even = 0;
	for (unsigned i = 0; i < PACKETS; i++) {
		uint64_t last = h.last_pts;
		check(hear(&h, 5000));
		even += llabs((int64_t)(h.last_pts - last) - PACKET_US) < 3000;
	}
	/* PipeWire skips cycles on a machine that is too busy. */
	(void)printf("# %u of %u packets follow the one before\n", even, PACKETS);
	check_int(even, >=, PACKETS / 2);
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
	check_int(h.packets - end, <, 120);
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
	int16_t samples[SPOKEN] = {0};
	uint8_t buf[1 + sizeof(samples)];
	rig_start(&r, SHOW_STILL, options);
	hear_open(&h, &r, "\"extensions\":[\"audio\",\"microphone\"]");
	check_int(h.init.channels, ==, 0);
	ws_send(&h.ws, OP_BINARY, buf,
		(size_t)ws_encode_microphone(buf, sizeof(buf), samples, SPOKEN));
	check(!hear(&h, 300));
	hear_close(&h);
	rig_stop(&r);
}

/* 20 ms of a sine, of which `at` samples were said before. */
static void speak(struct ws_client *c, double hertz, unsigned *at) {
	int16_t samples[SPOKEN];
	uint8_t buf[1 + sizeof(samples)];
	for (unsigned i = 0; i < SPOKEN; i++, (*at)++) {
		samples[i] = (int16_t)(8000 * sin(2 * M_PI * hertz * *at / RATE));
	}
	ws_send(c, OP_BINARY, buf, (size_t)ws_encode_microphone(buf, sizeof(buf), samples, SPOKEN));
}

/* Both speak for so long, in real time; the second may be NULL. */
static void converse(struct hearing *a, double a_hertz, struct hearing *b, double b_hertz,
	unsigned ms, unsigned *at) {
	uint64_t begin = now_ns();
	unsigned at_b = *at;
	for (unsigned i = 0; i < ms / 20; i++) {
		speak(&a->ws, a_hertz, at);
		if (b) {
			speak(&b->ws, b_hertz, &at_b);
		}
		while (now_ns() < begin + (i + 1) * 20 * NSEC_PER_MSEC) {
			sleep_ms(1);
		}
	}
}

/* What pw-cat recorded, mono, of this much; in memory of the caller. */
static float *read_recording(const char *path, size_t *ret_n) {
	FILE *f = fopen(path, "re");
	check(f);
	static uint8_t bytes[4u << 20];
	size_t n = fread(bytes, 1, sizeof(bytes), f);
	(void)fclose(f);
	const uint8_t *data = memmem(bytes, MIN(n, 200u), "data", 4);
	check(data);
	size_t head = (size_t)(data - bytes) + 8;
	*ret_n = (n - head) / sizeof(float);
	float *samples = malloc(*ret_n * sizeof(float) + 1);
	check(samples);
	memcpy(samples, bytes + head, *ret_n * sizeof(float));
	return samples;
}

static bool has_microphone(const struct sound_rig *s) {
	static const char *const args[] = {"/usr/bin/pw-dump", NULL};
	char path[96];
	(void)snprintf(path, sizeof(path), "%s/dump", s->rig->dir);
	pid_t pid = sound_run(s, args, path);
	int status;
	check_int(waitpid(pid, &status, 0), ==, pid);
	char *text = rig_read(path);
	bool has = strstr(text, "\"helix-microphone\"") != NULL;
	free(text);
	return has;
}

TEST(microphone) {
	struct rig r;
	struct sound_rig s;
	struct hearing speaker, second, stranger;
	unsigned at = 0;
	size_t n;
	char path[96];
	rig_start(&r, SHOW_STILL, NULL);
	sound_start(&s, &r);
	hear_open(&speaker, &r, "\"extensions\":[\"microphone\"]");
	hear_open(&second, &r, "\"extensions\":[\"microphone\"]");
	hear_open(&stranger, &r, NULL);
	/* Who did not say that it would speak does not. Nor do messages that make no sense. */
	converse(&stranger, 440, NULL, 0, 100, &at);
	ws_send(&speaker.ws, OP_BINARY, "\x17", 1);
	ws_send(&speaker.ws, OP_BINARY, "\x17\x01\x02\x03", 4);
	sleep_ms(100);
	check_int(rig_metric(&r, "microphone_samples_total"), ==, 0);
	check(!has_microphone(&s));
	converse(&speaker, 440, NULL, 0, 500, &at);
	check(has_microphone(&s));
	(void)snprintf(path, sizeof(path), "%s/said.wav", r.dir);
	const char *const args[] = {"/usr/bin/pw-cat", "--record", "--target", "helix-microphone",
		"--format", "f32", "--channels", "1", path, NULL};
	pid_t recorder = sound_run(&s, args, NULL);
	converse(&speaker, 440, &second, 1300, 4000, &at);
	sound_end(recorder);
	float *said = read_recording(path, &n);
	(void)printf("# recorded %.1f s\n", (double)n / RATE);
	check_int(n, >, 2 * RATE);
	/* The last two seconds are the first speaker's; a busy machine tears them here and there. */
	const size_t window = RATE / 10;
	unsigned pure = 0, foreign = 0;
	for (const float *at_window = said + n - 20 * window; at_window < said + n;
		at_window += window) {
		pure += sound_rms(at_window, window, 1) > 0.12 &&
			sound_purity(at_window, window, 1, 440) > 0.95;
		foreign += sound_purity(at_window, window, 1, 1300) > 0.1;
	}
	(void)printf("# %u of 20 tenths of a second are pure\n", pure);
	check_int(pure, >=, 10);
	check_int(foreign, ==, 0);
	free(said);
	check_int(rig_metric(&r, "microphone_refused_total"), >, 3 * RATE);
	/* It ends; the other one is heard. */
	hear_close(&speaker);
	for (unsigned i = 0; rig_metric(&r, "viewers") > 2; i++) {
		check_int(i, <, 500);
		sleep_ms(10);
	}
	uint64_t before = (uint64_t)rig_metric(&r, "microphone_samples_total");
	converse(&second, 1300, NULL, 0, 200, &at);
	check_int(rig_metric(&r, "microphone_samples_total"), >, before);
	/* Nobody speaks: the source goes away. */
	for (unsigned ms = 0; rig_metric(&r, "microphone_open") > 0; ms += 50) {
		check_int(ms, <, 10000);
		sleep_ms(50);
	}
	check(!has_microphone(&s));
	hear_close(&second);
	hear_close(&stranger);
	rig_stop_bridge(&r);
	sound_stop(&s);
	rig_stop(&r);
}

/* More at once than there is room for, with nobody who records: bounded, and no harm. */
TEST(a_flood_of_speech) {
	struct rig r;
	struct sound_rig s;
	struct hearing h;
	unsigned at = 0;
	rig_start(&r, SHOW_STILL, NULL);
	sound_start(&s, &r);
	hear_open(&h, &r, "\"extensions\":[\"audio\",\"microphone\"]");
	for (unsigned i = 0; i < 1000; i++) {
		speak(&h.ws, 440, &at);
	}
	pid_t player = sound_play(&s, "1000", "0", NULL);
	hear_tone(&h, 1000, 20000);
	sound_end(player);
	hear_close(&h);
	rig_stop_bridge(&r);
	sound_stop(&s);
	rig_stop(&r);
}

/* One that stopped reading, while a film is shown: another one hears on, and later it hears the present. */
TEST(a_slow_viewer_has_gaps_and_no_delay) {
	struct rig r;
	struct sound_rig s;
	struct hearing good, slow;
	rig_start(&r, SHOW_FILM, NULL);
	sound_start(&s, &r);
	hear_open(&good, &r, WANT);
	hear_open(&slow, &r, WANT);
	pid_t player = sound_play(&s, "1000", "0", NULL);
	hear_tone(&good, 1000, 20000);
	uint64_t begin = good.last_pts, packets = good.packets;
	while (good.last_pts - begin < 4000000) {
		check(hear(&good, 5000));
	}
	(void)printf("# heard %d of 400 packets, lost blocks %.0f\n", (int)(good.packets - packets),
		rig_metric(&r, "audio_lost_blocks_total"));
	check_int(good.packets - packets, >, 300);
	check_int(rig_metric(&r, "audio_dropped_packets"), >, 0);
	/* What was in the socket comes first; from then on it is the present. */
	uint64_t until = now_ns() + 3 * NSEC_PER_SEC;
	while (now_ns() < until) {
		check(hear(&slow, 5000));
	}
	while (hear(&good, 3)) {
	}
	int64_t behind = (int64_t)(good.last_pts - slow.last_pts);
	(void)printf("# %.0f ms behind the other\n", (double)behind / 1000);
	check_int(behind, <, 300000);
	check_int(slow.packets, <, good.packets);
	sound_end(player);
	hear_close(&good);
	hear_close(&slow);
	rig_stop_bridge(&r);
	sound_stop(&s);
	rig_stop(&r);
}

TEST(many_viewers_leave_nothing) {
	struct rig r;
	struct sound_rig s;
	struct hearing h;
	unsigned fds = 0, at = 0;
	size_t rss = 0;
	rig_start(&r, SHOW_STILL, NULL);
	sound_start(&s, &r);
	pid_t player = sound_play(&s, "1000", "0", NULL);
	for (unsigned i = 0; i < 250; i++) {
		hear_open(&h, &r, "\"extensions\":[\"audio\",\"microphone\"]");
		if (i % 10 == 0) {
			hear_tone(&h, 1000, 20000);
			speak(&h.ws, 440, &at);
		}
		hear_close(&h);
		if (i == 50 || i == 249) {
			for (unsigned ms = 0; rig_metric(&r, "viewers") > 0; ms += 10) {
				check_int(ms, <, 5000);
				sleep_ms(10);
			}
			check_int(rig_metric(&r, "audio_listeners"), ==, 0);
			for (unsigned ms = 0; rig_metric(&r, "audio_captures") > 0; ms += 50) {
				check_int(ms, <, 10000);
				sleep_ms(50);
			}
			(void)printf("# after %u: %u descriptors, %zu KiB\n", i + 1, rig_fds(&r),
				rig_rss(&r) / 1024);
			if (i == 50) {
				fds = rig_fds(&r);
				rss = rig_rss(&r);
			}
		}
	}
	/* What PipeWire shares for a stream goes when its server says so. */
	for (unsigned ms = 0; rig_fds(&r) > fds + 2; ms += 50) {
		check_int(ms, <, 5000);
		sleep_ms(50);
	}
	check_int(rig_rss(&r), <, rss + (64u << 20)); /* sanitizers keep what was freed */
	check_int(rig_metric(&r, "audio_connects_total"), ==, 1);
	sound_end(player);
	rig_stop_bridge(&r);
	sound_stop(&s);
	rig_stop(&r);
}
