/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "audio.h"
#include "encoder.h"
#include "log.h"
#include "pipewire.h"
#include "util.h"

LOG_MODULE("audio");

#define RETRY_MIN_NS  (1 * NSEC_PER_SEC)
#define RETRY_MAX_NS  (30 * NSEC_PER_SEC)
#define SPEAK_HOLD_NS (1 * NSEC_PER_SEC)
/*
 * The stream outlives its last listener by this: PipeWire 0.3.65 loses a descriptor when a stream is
 * destroyed while the answer to its creation is on the way, so it is not to follow every click.
 */
#define LINGER_NS (5 * NSEC_PER_SEC)
/* Programs lose their microphone when the source goes away, so that takes longer. */
#define MICROPHONE_HOLD_NS (5 * NSEC_PER_SEC)

struct audio {
	struct audio_config config;
	sd_event *loop;
	struct pipewire *pipewire; // NULL: off
	struct audio_encoder *encoder;
	struct list listeners; // struct audio_listener.link
	unsigned n_listeners;
	sd_event_source *retry, *quiet, *linger;
	bool lingers;      /* the capture, without listeners */
	uint64_t retry_ns; /* the present back-off; 0: nothing failed */
	uint64_t retry_at_ns;
	bool told; /* that there is no sound: once until there is some */
	const void *speaker;
	bool offered; /* the microphone is wanted */
	uint64_t spoke_ns;
	struct audio_stats stats;
	struct audio_blocks blocks;
	struct jitter microphone;
};

static bool wanted(const struct audio *a) {
	return a->n_listeners > 0 || a->offered;
}

static void set_timer(sd_event_source *timer, uint64_t at_ns) {
	(void)sd_event_source_set_time(timer, at_ns / NSEC_PER_USEC);
	(void)sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT);
}

static void back_off(struct audio *a, const char *why) {
	uint64_t now = now_ns();
	if (now >= a->retry_at_ns) {
		a->retry_ns = MIN(MAX(2 * a->retry_ns, RETRY_MIN_NS), RETRY_MAX_NS);
		a->retry_at_ns = now + a->retry_ns;
	}
	if (!a->told) {
		log_warn("PipeWire: %s: no sound, until it is there", why);
		a->told = true;
	}
	if (wanted(a)) {
		set_timer(a->retry, a->retry_at_ns);
	}
}

static bool try_connect(struct audio *a) {
	if (!a->pipewire) {
		return false;
	}
	if (pipewire_is_connected(a->pipewire)) {
		return true;
	}
	int r = pipewire_connect(a->pipewire);
	if (r < 0) {
		back_off(a, strerror(-r));
		return false;
	}
	a->stats.connects++;
	a->told = false;
	log_info("PipeWire: connected");
	return true;
}

static void forget_captured(struct audio *a) {
	while (audio_blocks_peek(&a->blocks)) {
		audio_blocks_release(&a->blocks);
	}
	audio_encoder_restart(a->encoder);
}

/* Streams for what is wanted, and no others. */
static void update(struct audio *a) {
	if (!a->pipewire || (wanted(a) && !try_connect(a)) || !pipewire_is_connected(a->pipewire)) {
		return;
	}
	int r = pipewire_capture(a->pipewire, a->n_listeners > 0 || a->lingers);
	if (r >= 0) {
		r = pipewire_offer_microphone(a->pipewire, a->offered);
	}
	if (r < 0) {
		back_off(a, strerror(-r));
	}
	if (a->n_listeners == 0 && !a->lingers) {
		forget_captured(a);
	}
}

static int handle_retry(sd_event_source *source, uint64_t usec, void *data) {
	update(data);
	return 0;
}

static void handle_lost(const char *why, void *data) {
	struct audio *a = data;
	forget_captured(a);
	back_off(a, why);
}

static void handle_packet(struct audio_packet *p, void *data) {
	struct audio *a = data;
	struct audio_listener *l, *tmp;
	a->stats.packets++;
	a->stats.bytes += p->size;
	list_for_each_safe(l, tmp, &a->listeners, link) {
		l->packet(p, l->data);
	}
}

static void handle_captured(void *data) {
	struct audio *a = data;
	const struct audio_block *block;
	uint64_t begin = now_ns();
	a->retry_ns = 0; /* it works */
	if (a->n_listeners == 0) {
		forget_captured(a);
	}
	while ((block = audio_blocks_peek(&a->blocks))) {
		audio_encoder_feed(a->encoder, block);
		audio_blocks_release(&a->blocks);
	}
	a->stats.encode_ns += now_ns() - begin;
}

static const struct pipewire_handler pipewire_handler = {
	.captured = handle_captured,
	.lost = handle_lost,
};

static int handle_linger(sd_event_source *source, uint64_t usec, void *data) {
	struct audio *a = data;
	a->lingers = false;
	update(a);
	return 0;
}

/* Nobody spoke for a while. */
static int handle_quiet(sd_event_source *source, uint64_t usec, void *data) {
	struct audio *a = data;
	uint64_t end = a->spoke_ns + MICROPHONE_HOLD_NS;
	if (now_ns() < end) {
		set_timer(a->quiet, end);
		return 0;
	}
	a->offered = false;
	a->speaker = NULL;
	update(a);
	return 0;
}

static int add_timer(struct audio *a, sd_event_source **ret,
	int (*handler)(sd_event_source *, uint64_t, void *)) {
	int r = sd_event_add_time(a->loop, ret, CLOCK_MONOTONIC, 0, 0, handler, a);
	return r < 0 ? r : sd_event_source_set_enabled(*ret, SD_EVENT_OFF);
}

int audio_create(sd_event *loop, const struct audio_config *config, struct audio **ret) {
	struct audio *a = calloc(1, sizeof(*a));
	if (!a) {
		return -ENOMEM;
	}
	a->config = *config;
	a->loop = sd_event_ref(loop);
	list_init(&a->listeners);
	int r = add_timer(a, &a->retry, handle_retry);
	if (r >= 0) {
		r = add_timer(a, &a->quiet, handle_quiet);
	}
	if (r >= 0) {
		r = add_timer(a, &a->linger, handle_linger);
	}
	if (r >= 0 && !config->off) {
		r = audio_encoder_create(config->bitrate, handle_packet, a, &a->encoder);
	}
	if (r >= 0 && !config->off) {
		r = pipewire_create(
			loop, &a->blocks, &a->microphone, &pipewire_handler, a, &a->pipewire);
	}
	if (r < 0) {
		audio_destroy(a);
		return r;
	}
	*ret = a;
	return 0;
}

void audio_destroy(struct audio *a) {
	if (!a) {
		return;
	}
	pipewire_destroy(a->pipewire);
	audio_encoder_destroy(a->encoder);
	sd_event_source_disable_unref(a->retry);
	sd_event_source_disable_unref(a->quiet);
	sd_event_source_disable_unref(a->linger);
	sd_event_unref(a->loop);
	free(a);
}

unsigned audio_channels(struct audio *a) {
	return try_connect(a) ? AUDIO_CHANNELS : 0;
}

void audio_listen(struct audio *a, struct audio_listener *l) {
	list_append(&a->listeners, &l->link);
	a->n_listeners++;
	a->lingers = false;
	(void)sd_event_source_set_enabled(a->linger, SD_EVENT_OFF);
	update(a);
}

void audio_unlisten(struct audio *a, struct audio_listener *l) {
	if (list_empty(&l->link)) {
		return;
	}
	list_remove(&l->link);
	a->n_listeners--;
	if (a->n_listeners == 0) {
		a->lingers = true;
		set_timer(a->linger, now_ns() + LINGER_NS);
	}
}

void audio_speak(struct audio *a, const void *speaker, const int16_t *samples, size_t n) {
	uint64_t now = now_ns();
	bool taken = a->speaker && a->speaker != speaker && now - a->spoke_ns < SPEAK_HOLD_NS;
	if (taken || !a->pipewire) {
		a->stats.refused += n;
		return;
	}
	a->speaker = speaker;
	a->spoke_ns = now;
	if (!a->offered) {
		a->offered = true;
		set_timer(a->quiet, now + MICROPHONE_HOLD_NS);
		update(a);
	}
	if (!pipewire_is_connected(a->pipewire)) {
		a->stats.refused += n;
		return;
	}
	a->stats.spoken += n;
	jitter_write(&a->microphone, samples, n);
}

/* The source stays for a while: another one may speak, or the same one again. */
void audio_hush(struct audio *a, const void *speaker) {
	if (a->speaker == speaker) {
		a->speaker = NULL;
	}
}

void audio_get_stats(const struct audio *a, struct audio_stats *ret) {
	*ret = a->stats;
	ret->connected = a->pipewire && pipewire_is_connected(a->pipewire);
	ret->captures = ret->connected && (a->n_listeners > 0 || a->lingers);
	ret->listeners = a->n_listeners;
	ret->speaks = a->offered;
	ret->lost_blocks = atomic_load_explicit(&a->blocks.dropped, memory_order_relaxed);
}
