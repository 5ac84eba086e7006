/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <pipewire/pipewire.h>
#include <spa/param/audio/format-utils.h>
#include <stdio.h>
#include <sys/epoll.h>

#include "log.h"
#include "pipewire.h"
#include "util.h"

LOG_MODULE("audio");

#ifdef __clang__ /* what PipeWire's macros are made of */
#pragma clang diagnostic ignored "-Wgnu-statement-expression"
#pragma clang diagnostic ignored "-Wgnu-empty-initializer"
#pragma clang diagnostic ignored "-Wgnu-zero-variadic-macro-arguments"
#endif

#define FORMAT_SIZE 1024
/* Asked of the graph: about one packet in each cycle. */
#define LATENCY "960/48000"

struct pipewire {
	struct pw_loop *loop;
	struct pw_context *context; // NULL: not needed so far
	struct pw_core *core;       // NULL: not connected
	struct pw_stream *capture, *microphone;
	struct spa_hook core_listener, capture_listener, microphone_listener;
	struct spa_source *captured; /* of `loop`, signalled by the data thread */
	struct audio_blocks *blocks;
	struct jitter *samples;
	const struct pipewire_handler *handler;
	void *data;
	sd_event_source *io, *losing;
	char why[128];
};

static int handle_io(sd_event_source *source, int fd, uint32_t revents, void *data) {
	struct pipewire *p = data;
	(void)pw_loop_iterate(p->loop, 0);
	return 0;
}

static void disconnect(struct pipewire *p) {
	(void)pipewire_capture(p, false);
	(void)pipewire_offer_microphone(p, false);
	if (p->core) {
		spa_hook_remove(&p->core_listener);
		(void)pw_core_disconnect(p->core);
		p->core = NULL;
	}
}

/* Out of PipeWire's callbacks, in which nothing may be destroyed. */
static int handle_losing(sd_event_source *source, void *data) {
	struct pipewire *p = data;
	disconnect(p);
	p->handler->lost(p->why, p->data);
	return 0;
}

static void lose(struct pipewire *p, const char *why) {
	(void)snprintf(p->why, sizeof(p->why), "%s", why ? why : "no reason given");
	(void)sd_event_source_set_enabled(p->losing, SD_EVENT_ONESHOT);
}

static void handle_core_error(void *data, uint32_t id, int seq, int res, const char *message) {
	if (id == PW_ID_CORE) {
		lose(data, message);
	}
}

static const struct pw_core_events core_events = {
	PW_VERSION_CORE_EVENTS,
	.error = handle_core_error,
};

static void handle_state(
	void *data, enum pw_stream_state old, enum pw_stream_state state, const char *error) {
	struct pipewire *p = data;
	log_debug("stream: %s", pw_stream_state_as_string(state));
	if (state == PW_STREAM_STATE_ERROR) {
		lose(p, error);
	}
}

/*
 * When the first of the buffer's samples is heard: now, in this cycle of the graph. The graph's own
 * time is not used: a sink without a card lags behind the clock for ever after it was held up.
 */
static uint64_t sample_time(struct pw_stream *stream) {
	struct pw_time t = {0};
	uint64_t now = now_ns();
	if (pw_stream_get_time_n(stream, &t, sizeof(t)) < 0 || t.rate.denom == 0) {
		return now;
	}
	int64_t delay = t.delay * (int64_t)NSEC_PER_SEC * t.rate.num / t.rate.denom;
	return delay > 0 && delay < (int64_t)NSEC_PER_SEC ? now - (uint64_t)delay : now;
}

/* In the data thread. */
static void handle_capture(void *data) {
	struct pipewire *p = data;
	struct pw_buffer *b;
	bool some = false;
	uint64_t time_ns = sample_time(p->capture);
	while ((b = pw_stream_dequeue_buffer(p->capture))) {
		const struct spa_data *d = &b->buffer->datas[0];
		uint32_t offset = MIN(d->chunk->offset, d->maxsize);
		uint32_t size = MIN(d->chunk->size, d->maxsize - offset);
		size_t frames = size / (AUDIO_CHANNELS * sizeof(float));
		if (d->data && frames > 0) {
			const void *from = SPA_PTROFF(d->data, offset, void);
			audio_blocks_write(p->blocks, time_ns, from, frames);
			time_ns += AUDIO_FRAMES_NS(frames);
			some = true;
		}
		(void)pw_stream_queue_buffer(p->capture, b);
	}
	if (some) {
		(void)pw_loop_signal_event(p->loop, p->captured);
	}
}

static void handle_captured(void *data, uint64_t count) {
	struct pipewire *p = data;
	if (p->capture) {
		p->handler->captured(p->data);
	}
}

/* In the data thread. */
static void handle_microphone(void *data) {
	struct pipewire *p = data;
	struct pw_buffer *b = pw_stream_dequeue_buffer(p->microphone);
	if (!b) {
		return;
	}
	struct spa_data *d = &b->buffer->datas[0];
	size_t n = d->data ? d->maxsize / sizeof(int16_t) : 0;
	if (b->requested > 0) {
		n = MIN(n, b->requested);
	}
	jitter_read(p->samples, d->data, n);
	d->chunk->offset = 0;
	d->chunk->stride = sizeof(int16_t);
	d->chunk->size = (uint32_t)(n * sizeof(int16_t));
	(void)pw_stream_queue_buffer(p->microphone, b);
}

static const struct pw_stream_events capture_events = {
	PW_VERSION_STREAM_EVENTS,
	.state_changed = handle_state,
	.process = handle_capture,
};

static const struct pw_stream_events microphone_events = {
	PW_VERSION_STREAM_EVENTS,
	.state_changed = handle_state,
	.process = handle_microphone,
};

static int connect_stream(struct pw_stream *stream, enum pw_direction direction,
	struct spa_audio_info_raw *info, enum pw_stream_flags flags) {
	uint8_t buf[FORMAT_SIZE];
	struct spa_pod_builder builder = SPA_POD_BUILDER_INIT(buf, sizeof(buf));
	const struct spa_pod *params[] = {
		spa_format_audio_raw_build(&builder, SPA_PARAM_EnumFormat, info)};
	return pw_stream_connect(stream, direction, PW_ID_ANY,
		flags | PW_STREAM_FLAG_MAP_BUFFERS | PW_STREAM_FLAG_RT_PROCESS, params, 1);
}

static void destroy_stream(struct pw_stream **stream, struct spa_hook *listener) {
	if (*stream) {
		spa_hook_remove(listener);
		pw_stream_destroy(*stream);
		*stream = NULL;
	}
}

/*
 * Passive: the sink sleeps while nothing plays, although we listen. The session manager links it to
 * the monitor of the default sink, and of another one when that becomes the default.
 */
int pipewire_capture(struct pipewire *p, bool on) {
	if (!on) {
		destroy_stream(&p->capture, &p->capture_listener);
		return 0;
	}
	if (p->capture) {
		return 0;
	}
	struct spa_audio_info_raw info = SPA_AUDIO_INFO_RAW_INIT(.format = SPA_AUDIO_FORMAT_F32,
		.rate = AUDIO_RATE, .channels = AUDIO_CHANNELS,
		.position = {SPA_AUDIO_CHANNEL_FL, SPA_AUDIO_CHANNEL_FR});
	p->capture = pw_stream_new(p->core, "helix-viewers",
		pw_properties_new(PW_KEY_MEDIA_TYPE, "Audio", PW_KEY_MEDIA_CATEGORY, "Capture",
			PW_KEY_MEDIA_ROLE, "Music", PW_KEY_NODE_NAME, "helix-viewers",
			PW_KEY_NODE_DESCRIPTION, "Viewers of this desktop",
			PW_KEY_STREAM_CAPTURE_SINK, "true", PW_KEY_NODE_PASSIVE, "true",
			PW_KEY_NODE_LATENCY, LATENCY, NULL));
	if (!p->capture) {
		return -errno;
	}
	pw_stream_add_listener(p->capture, &p->capture_listener, &capture_events, p);
	int r = connect_stream(p->capture, PW_DIRECTION_INPUT, &info, PW_STREAM_FLAG_AUTOCONNECT);
	if (r < 0) {
		(void)pipewire_capture(p, false);
	}
	return r;
}

/* A source like that of a sound card: programs choose it, it chooses nobody. */
int pipewire_offer_microphone(struct pipewire *p, bool on) {
	if (!on) {
		destroy_stream(&p->microphone, &p->microphone_listener);
		return 0;
	}
	if (p->microphone) {
		return 0;
	}
	jitter_reset(p->samples);
	struct spa_audio_info_raw info = SPA_AUDIO_INFO_RAW_INIT(.format = SPA_AUDIO_FORMAT_S16,
		.rate = AUDIO_RATE, .channels = 1, .position = {SPA_AUDIO_CHANNEL_MONO});
	p->microphone = pw_stream_new(p->core, "helix-microphone",
		pw_properties_new(PW_KEY_MEDIA_CLASS, "Audio/Source", PW_KEY_NODE_NAME,
			"helix-microphone", PW_KEY_NODE_DESCRIPTION, "Viewer's microphone",
			PW_KEY_NODE_VIRTUAL, "true", PW_KEY_NODE_LATENCY, LATENCY, NULL));
	if (!p->microphone) {
		return -errno;
	}
	pw_stream_add_listener(p->microphone, &p->microphone_listener, &microphone_events, p);
	int r = connect_stream(p->microphone, PW_DIRECTION_OUTPUT, &info, PW_STREAM_FLAG_NONE);
	if (r < 0) {
		(void)pipewire_offer_microphone(p, false);
	}
	return r;
}

bool pipewire_is_connected(const struct pipewire *p) {
	int state = SD_EVENT_OFF;
	(void)sd_event_source_get_enabled(p->losing, &state);
	return p->core && state == SD_EVENT_OFF;
}

/* The context has a thread of its own, so who never needs sound has none. */
int pipewire_connect(struct pipewire *p) {
	if (pipewire_is_connected(p)) {
		return 0;
	}
	if (p->core) {
		return -ECONNRESET; /* it is just being lost */
	}
	if (!p->context) {
		p->context =
			pw_context_new(p->loop, pw_properties_new("module.rt", "false", NULL), 0);
	}
	p->core = p->context
		? pw_context_connect(
			  p->context, pw_properties_new(PW_KEY_APP_NAME, "desktop-bridge", NULL), 0)
		: NULL;
	if (!p->core) {
		return errno > 0 ? -errno : -EHOSTDOWN;
	}
	pw_core_add_listener(p->core, &p->core_listener, &core_events, p);
	return 0;
}

static int add_sources(struct pipewire *p, sd_event *loop) {
	int r = sd_event_add_io(loop, &p->io, pw_loop_get_fd(p->loop), EPOLLIN, handle_io, p);
	if (r >= 0) {
		r = sd_event_add_defer(loop, &p->losing, handle_losing, p);
	}
	return r < 0 ? r : sd_event_source_set_enabled(p->losing, SD_EVENT_OFF);
}

int pipewire_create(sd_event *loop, struct audio_blocks *blocks, struct jitter *microphone,
	const struct pipewire_handler *handler, void *data, struct pipewire **ret) {
	struct pipewire *p = calloc(1, sizeof(*p));
	if (!p) {
		return -ENOMEM;
	}
	pw_init(NULL, NULL);
	p->blocks = blocks;
	p->samples = microphone;
	p->handler = handler;
	p->data = data;
	p->loop = pw_loop_new(NULL);
	int r = p->loop ? 0 : -errno;
	if (r == 0) {
		pw_loop_enter(p->loop);
		p->captured = pw_loop_add_event(p->loop, handle_captured, p);
		r = p->captured ? add_sources(p, loop) : -errno;
	}
	if (r < 0) {
		pipewire_destroy(p);
		return r;
	}
	*ret = p;
	return 0;
}

void pipewire_destroy(struct pipewire *p) {
	if (!p) {
		return;
	}
	disconnect(p);
	if (p->context) {
		pw_context_destroy(p->context);
	}
	sd_event_source_disable_unref(p->losing);
	sd_event_source_disable_unref(p->io);
	if (p->captured) {
		pw_loop_destroy_source(p->loop, p->captured);
	}
	if (p->loop) {
		pw_loop_leave(p->loop);
		pw_loop_destroy(p->loop);
	}
	free(p);
	pw_deinit();
}
