/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A program of a desktop that makes a noise: sound-player HERTZ SILENT_MS. Silence first, then a sine
 * until it is ended. Prints CLOCK_MONOTONIC, in ns, at which the sink plays the first of the sine.
 */
#include <math.h>
#include <pipewire/pipewire.h>
#include <signal.h>
#include <spa/param/audio/format-utils.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#ifdef __clang__ /* what PipeWire's macros are made of */
#pragma clang diagnostic ignored "-Wgnu-statement-expression"
#pragma clang diagnostic ignored "-Wgnu-empty-initializer"
#pragma clang diagnostic ignored "-Wgnu-zero-variadic-macro-arguments"
#endif

#define RATE      48000u
#define AMPLITUDE 0.25

struct player {
	struct pw_main_loop *loop;
	struct pw_stream *stream;
	struct spa_source *began;
	double hertz;
	uint64_t silent, at; /* frames */
	_Atomic int64_t onset_ns;
};

static int64_t now(void) {
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return SPA_TIMESPEC_TO_NSEC(&ts);
}

static void handle_process(void *data) {
	struct player *p = data;
	struct pw_time t = {0};
	struct pw_buffer *b = pw_stream_dequeue_buffer(p->stream);
	if (!b || pw_stream_get_time_n(p->stream, &t, sizeof(t)) < 0 || t.rate.denom == 0) {
		return;
	}
	struct spa_data *d = &b->buffer->datas[0];
	float *to = d->data;
	uint32_t n = d->maxsize / (2 * sizeof(float));
	n = b->requested > 0 && b->requested < n ? (uint32_t)b->requested : n;
	for (uint32_t i = 0; i < n; i++, p->at++) {
		double phase = 2 * M_PI * p->hertz * (double)p->at / RATE;
		to[2 * i] = to[2 * i + 1] =
			p->at < p->silent ? 0.0F : (float)(AMPLITUDE * sin(phase));
		if (p->at == p->silent) {
			int64_t delay = t.delay * SPA_NSEC_PER_SEC * t.rate.num / t.rate.denom;
			p->onset_ns = now() + delay + (int64_t)i * SPA_NSEC_PER_SEC / RATE;
			(void)pw_loop_signal_event(pw_main_loop_get_loop(p->loop), p->began);
		}
	}
	d->chunk->offset = 0;
	d->chunk->stride = 2 * sizeof(float);
	d->chunk->size = n * 2 * sizeof(float);
	(void)pw_stream_queue_buffer(p->stream, b);
}

static void handle_began(void *data, uint64_t count) {
	struct player *p = data;
	(void)printf("%lld\n", (long long)p->onset_ns);
	(void)fflush(stdout);
}

static void handle_end(void *data, int signal_number) {
	(void)pw_main_loop_quit(((struct player *)data)->loop);
}

static void handle_state(
	void *data, enum pw_stream_state old, enum pw_stream_state state, const char *error) {
	if (state == PW_STREAM_STATE_ERROR || state == PW_STREAM_STATE_UNCONNECTED) {
		handle_end(data, 0); /* PipeWire went away */
	}
}

static const struct pw_stream_events events = {
	PW_VERSION_STREAM_EVENTS,
	.state_changed = handle_state,
	.process = handle_process,
};

int main(int argc, char *argv[]) {
	static struct player p;
	uint8_t buf[1024];
	struct spa_pod_builder builder = SPA_POD_BUILDER_INIT(buf, sizeof(buf));
	struct spa_audio_info_raw info = SPA_AUDIO_INFO_RAW_INIT(.format = SPA_AUDIO_FORMAT_F32,
		.rate = RATE, .channels = 2);
	pw_init(&argc, &argv);
	if (argc != 3) {
		return 2;
	}
	p.hertz = strtod(argv[1], NULL);
	p.silent = strtoull(argv[2], NULL, 10) * RATE / 1000;
	p.loop = pw_main_loop_new(NULL);
	if (!p.loop) {
		return 1;
	}
	struct pw_loop *loop = pw_main_loop_get_loop(p.loop);
	(void)pw_loop_add_signal(loop, SIGTERM, handle_end, &p);
	p.began = pw_loop_add_event(loop, handle_began, &p);
	p.stream = pw_stream_new_simple(loop, "sound-player",
		pw_properties_new(PW_KEY_MEDIA_TYPE, "Audio", PW_KEY_MEDIA_CATEGORY, "Playback",
			PW_KEY_NODE_LATENCY, "960/48000", NULL),
		&events, &p);
	const struct spa_pod *params[] = {
		spa_format_audio_raw_build(&builder, SPA_PARAM_EnumFormat, &info)};
	if (!p.stream ||
		pw_stream_connect(p.stream, PW_DIRECTION_OUTPUT, PW_ID_ANY,
			PW_STREAM_FLAG_AUTOCONNECT | PW_STREAM_FLAG_MAP_BUFFERS |
				PW_STREAM_FLAG_RT_PROCESS,
			params, 1) < 0) {
		return 1;
	}
	(void)pw_main_loop_run(p.loop);
	pw_stream_destroy(p.stream);
	pw_main_loop_destroy(p.loop);
	pw_deinit();
	return 0;
}
