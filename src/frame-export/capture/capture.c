/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "capture.h"
#include "convert.h"
#include "log.h"
#include "util.h"

LOG_MODULE("capture");

/*
 * A cap equal to the display's rate must not drop every other frame because one came a little
 * early: a frame may come this much before its time, the average is still held.
 */
#define PACING_SLACK_NS (3 * NSEC_PER_MSEC)

/* A screen is quiet when nothing changed for this long; then its quality is raised in passes. */
#define REFINE_DELAY_NS    (150 * NSEC_PER_MSEC)
#define REFINE_INTERVAL_NS (40 * NSEC_PER_MSEC)

/*
 * A guest that flips faster than a frame can be read would have every reading thrown away. If none
 * was good for so long, and for so many, the next is taken as it is.
 */
#define TORN_MAX_NS (250 * NSEC_PER_MSEC)
#define TORN_MAX    4

/* Presentation times of two access units differ by at least this: the encoder's clock tick. */
#define PTS_STEP_NS NSEC_PER_USEC

/* A broken encoder is not made anew more often than this. */
#define ENCODER_RETRY_NS NSEC_PER_SEC

struct counters {
	atomic_uint_fast64_t flips, captured, superseded, torn;
	atomic_uint_fast64_t encoded, keyframes, encoded_bytes, dirty_mbs;
	atomic_uint_fast64_t convert_ns, encode_ns;
};

struct capture {
	struct capture_config config;
	struct counters counters;
	/*
	 * Counts the times the guest turned to another surface. Atomic, for a conversion under way
	 * looks at it; written under the lock.
	 */
	atomic_uint switches;

	pthread_mutex_t lock;
	pthread_cond_t wake;
	pthread_t thread;
	bool thread_running;

	/* Under the lock. */
	struct surface *front; // may be NULL
	struct rect viewport;
	struct rect damage; /* of the front, not converted yet */
	bool pending;       /* a flip was not taken yet */
	uint64_t flip_ns;
	uint64_t token;    /* of the pending flip; 0: none */
	bool drop_picture; /* the picture shows what must not be shown any more */
	unsigned watching, ready;
	bool idr;
	uint32_t bitrate;
	bool bitrate_changed;
	bool stop;

	/* The thread's own. */
	struct converter *converter;
	struct picture *picture; // NULL until the first frame, and when nobody watches
	struct surface *held;    // that the picture is in, if it is a GPU's; else NULL
	struct encoder *encoder; // may be NULL
	uint32_t encoded_update; /* of the picture: what viewers have */
	unsigned refine_pass;    /* passes done since the last change */
	uint64_t refine_at;      /* 0: there is nothing to refine */
	uint64_t slot;           /* earliest time of the next frame, slack included */
	uint64_t last_pts;
	uint64_t sequence;
	unsigned torn;       /* readings thrown away in a row */
	uint64_t torn_since; /* time of the first of them */
	uint64_t encoder_retry_at;
};

/* What the thread took out of the mailbox. */
struct take {
	struct surface *surface; // NULL: nothing to convert
	struct rect viewport, damage;
	uint64_t flip_ns, token;
	unsigned switches;
	bool idr;
	unsigned refine;
};

static uint64_t thread_cpu_ns(void) {
	struct timespec ts;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

static void count(atomic_uint_fast64_t *counter, uint64_t n) {
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static void report_done(struct capture *c, uint64_t token) {
	if (token && c->config.done) {
		c->config.done(c->config.source_data, token);
	}
}

static struct rect whole(const struct rect *viewport) {
	return (struct rect){0, 0, viewport->width, viewport->height};
}

/* The source's side. */

bool capture_flip(struct capture *c, const struct capture_flip *flip) {
	struct surface *dropped = NULL;
	uint64_t superseded = 0;
	bool held = false;

	count(&c->counters.flips, 1);
	pthread_mutex_lock(&c->lock);
	struct rect damage = flip->damage;
	if (c->front != flip->surface) {
		dropped = c->front;
		c->front = surface_ref(flip->surface);
		atomic_fetch_add(&c->switches, 1);
	}
	if (c->viewport.width != flip->viewport.width ||
		c->viewport.height != flip->viewport.height) {
		damage = whole(&flip->viewport);
		c->damage = (struct rect){0};
	}
	c->viewport = flip->viewport;
	c->damage = rect_union(&c->damage, &damage);
	c->flip_ns = flip->flip_ns;
	if (c->pending && c->ready > 0) {
		count(&c->counters.superseded, 1);
	}
	c->pending = true;
	superseded = c->token;
	c->token = 0;
	if (c->ready > 0) {
		c->token = flip->token;
		held = flip->token != 0;
		pthread_cond_signal(&c->wake);
	}
	pthread_mutex_unlock(&c->lock);

	report_done(c, superseded);
	surface_unref(dropped);
	return held;
}

static void drop_front(struct capture *c, bool blank) {
	pthread_mutex_lock(&c->lock);
	struct surface *dropped = c->front;
	uint64_t token = c->token;
	c->front = NULL;
	c->damage = (struct rect){0};
	c->pending = false;
	c->token = 0;
	if (blank) {
		c->viewport = (struct rect){0};
		c->drop_picture = true;
	}
	atomic_fetch_add(&c->switches, 1);
	pthread_cond_signal(&c->wake);
	pthread_mutex_unlock(&c->lock);

	report_done(c, token);
	surface_unref(dropped);
}

void capture_blank(struct capture *c) {
	drop_front(c, true);
}

void capture_outdated(struct capture *c) {
	count(&c->counters.flips, 1);
	drop_front(c, false);
}

void capture_get_size(struct capture *c, uint32_t *ret_width, uint32_t *ret_height) {
	pthread_mutex_lock(&c->lock);
	*ret_width = c->viewport.width;
	*ret_height = c->viewport.height;
	pthread_mutex_unlock(&c->lock);
}

/* The encoder thread. */

static void drop_encoder(struct capture *c) {
	if (c->encoder) {
		c->encoder->ops->destroy(c->encoder);
		c->encoder = NULL;
	}
	c->refine_at = 0;
}

static void drop_picture(struct capture *c) {
	drop_encoder(c);
	picture_destroy(c->picture);
	converter_destroy(c->converter);
	surface_unref(c->held);
	c->picture = NULL;
	c->converter = NULL;
	c->held = NULL;
}

/* Room for pictures of the viewport's size; an old one of another size goes. */
static int ensure_picture(struct capture *c, const struct rect *viewport) {
	if (c->picture && c->picture->width == ALIGN_UP(viewport->width, 2u) &&
		c->picture->height == ALIGN_UP(viewport->height, 2u)) {
		return 0;
	}
	drop_picture(c);
	c->converter = converter_create(viewport->width);
	c->picture = (c->config.shared ? picture_create_shared : picture_create)(
		viewport->width, viewport->height);
	if (!c->converter || !c->picture) {
		drop_picture(c);
		return -ENOMEM;
	}
	c->encoded_update = 0;
	return 0;
}

static int ensure_encoder(struct capture *c) {
	if (c->encoder) {
		return 0;
	}
	uint64_t now = now_ns();
	if (now < c->encoder_retry_at) {
		return -EAGAIN;
	}
	struct encoder_config config = c->config.encoder_config;
	config.width = c->picture->width;
	config.height = c->picture->height;
	pthread_mutex_lock(&c->lock);
	config.bitrate = c->bitrate;
	c->bitrate_changed = false;
	pthread_mutex_unlock(&c->lock);

	int r = c->config.encoder->create(&config, &c->encoder);
	if (r < 0) {
		log_err_errno(r, "scanout %u: no %s encoder for %ux%u", c->config.scanout_id,
			c->config.encoder->name, config.width, config.height);
		c->encoder_retry_at = now + ENCODER_RETRY_NS;
	}
	return r;
}

/* The picture is where the surface has it, or in memory. */
static void place(struct capture *c, const struct take *t) {
	picture_set_gpu(c->picture, t->surface->gpu, &t->damage);
	surface_unref(c->held);
	c->held = t->surface->gpu ? surface_ref(t->surface) : NULL;
}

/* True if what was read may go out; else the damage is back in the mailbox. */
static bool convert(struct capture *c, const struct take *t) {
	place(c, t);
	if (t->surface->gpu) {
		count(&c->counters.captured, 1);
		return true;
	}
	uint64_t start = thread_cpu_ns();
	bool insist = !c->config.settle || t->surface->stable ||
		(c->torn >= TORN_MAX && now_ns() - c->torn_since >= TORN_MAX_NS);
	picture_begin_write(c->picture);
	int r = converter_update(c->converter, c->picture, t->surface, &t->viewport, &t->damage,
		insist ? NULL : &c->switches, t->switches);
	picture_end_write(c->picture);
	count(&c->counters.convert_ns, thread_cpu_ns() - start);

	bool torn = r == -ECANCELED;
	if (r >= 0 && !insist) {
		torn = !c->config.settle(c->config.source_data) ||
			atomic_load(&c->switches) != t->switches;
	}
	if (!torn) {
		c->torn = 0;
		count(&c->counters.captured, 1);
		return true;
	}
	if (c->torn++ == 0) {
		c->torn_since = now_ns();
	}
	count(&c->counters.torn, 1);
	pthread_mutex_lock(&c->lock);
	if (c->viewport.width == t->viewport.width && c->viewport.height == t->viewport.height) {
		c->damage = rect_union(&c->damage, &t->damage);
		c->pending = true;
	}
	c->idr = c->idr || t->idr;
	pthread_mutex_unlock(&c->lock);
	return false;
}

static void post(struct capture *c, struct access_unit *au, const struct take *t,
	const struct rect *bounds, uint32_t dirty) {
	au->scanout_id = c->config.scanout_id;
	au->width = c->picture->width;
	au->height = c->picture->height;
	au->sequence = ++c->sequence;
	au->flip_ns = c->picture->flip_ns;
	au->encoded_ns = now_ns();
	au->refine = (uint8_t)MIN(t->refine, (unsigned)UINT8_MAX);
	au->dirty_mbs = dirty;
	au->damage = *bounds;
	count(&c->counters.encoded, 1);
	count(&c->counters.keyframes, au->keyframe);
	count(&c->counters.encoded_bytes, au->size);
	count(&c->counters.dirty_mbs, dirty);
	c->config.post(c->config.post_data, au);
}

/* The number of macroblocks, and their bounds, that viewers do not have yet. */
static uint32_t unsent(const struct capture *c, struct rect *ret_bounds) {
	if (c->picture->update <= c->encoded_update) {
		*ret_bounds = (struct rect){0};
		return 0;
	}
	return picture_dirty_since(c->picture, c->encoded_update, NULL, ret_bounds);
}

static void encode(struct capture *c, const struct take *t) {
	if (ensure_encoder(c) < 0) {
		return;
	}
	pthread_mutex_lock(&c->lock);
	uint32_t bitrate = c->bitrate;
	bool changed = c->bitrate_changed;
	c->bitrate_changed = false;
	pthread_mutex_unlock(&c->lock);
	if (changed && c->encoder->ops->set_bitrate(c->encoder, bitrate) < 0) {
		log_warn("scanout %u: bitrate %u refused by the encoder", c->config.scanout_id,
			bitrate);
	}

	struct rect bounds;
	uint32_t dirty = unsent(c, &bounds);
	bool first = c->encoded_update == 0;
	if (dirty == 0 && !t->idr && !t->refine) {
		return;
	}
	struct encode_request request = {
		.picture = c->picture,
		/* A refinement shows nothing new: its time is now, a frame's is its flip's. */
		.pts_ns =
			MAX(t->refine ? now_ns() : c->picture->flip_ns, c->last_pts + PTS_STEP_NS),
		.idr = t->idr || first,
		.refine = dirty == 0 && !t->idr ? t->refine : 0,
	};
	struct access_unit *au = NULL;
	uint64_t start = thread_cpu_ns();
	int r = c->encoder->ops->encode(c->encoder, &request, &au);
	count(&c->counters.encode_ns, thread_cpu_ns() - start);
	if (r < 0) {
		log_err_errno(
			r, "scanout %u: encoder failed and is made anew", c->config.scanout_id);
		drop_encoder(c);
		c->encoder_retry_at = now_ns() + ENCODER_RETRY_NS;
		c->encoded_update = 0;
		return;
	}
	c->last_pts = request.pts_ns;
	c->encoded_update = c->picture->update;
	post(c, au, t, &bounds, dirty);

	c->refine_pass = request.refine;
	bool more = c->encoder->ops->refine_passes(c->encoder) > 0;
	uint64_t delay = request.refine ? REFINE_INTERVAL_NS : REFINE_DELAY_NS;
	c->refine_at = more ? now_ns() + delay : 0;
}

/* When a pending flip may be taken; see PACING_SLACK_NS. */
static uint64_t next_slot(const struct capture *c) {
	return c->config.fps_cap ? c->slot : 0;
}

static void use_slot(struct capture *c) {
	if (c->config.fps_cap) {
		uint64_t interval = NSEC_PER_SEC / c->config.fps_cap;
		uint64_t now = now_ns();
		uint64_t slack = MIN(PACING_SLACK_NS, interval / 2);
		c->slot = MAX(c->slot + interval, now + interval - slack);
	}
}

/*
 * Under the lock: decides what to do now and takes it. Returns false if there is nothing, with the
 * time to look again (UINT64_MAX: when woken).
 */
static bool take(struct capture *c, struct take *t, uint64_t *ret_until) {
	uint64_t now = now_ns();
	*ret_until = UINT64_MAX;
	*t = (struct take){0};
	if (c->ready == 0 || !c->front) {
		return false;
	}
	/* Nobody watched when the content came: a picture that is not there yet needs all of it. */
	bool fresh = !c->picture;
	bool due = (c->pending && now >= next_slot(c)) || fresh;
	if (!due && !c->idr) {
		if (c->pending) {
			*ret_until = next_slot(c);
		} else if (c->refine_at) {
			*ret_until = c->refine_at;
			t->refine = c->refine_pass + 1;
			return now >= c->refine_at;
		}
		return false;
	}
	t->idr = c->idr;
	c->idr = false;
	if (due || c->pending) {
		t->surface = surface_ref(c->front);
		t->viewport = c->viewport;
		t->damage = fresh ? whole(&c->viewport) : c->damage;
		t->flip_ns = c->flip_ns;
		t->token = c->token;
		t->switches = atomic_load(&c->switches);
		c->damage = (struct rect){0};
		c->pending = false;
		c->token = 0;
	}
	return true;
}

static void work(struct capture *c, struct take *t) {
	bool good = true;
	if (t->surface) {
		if (ensure_picture(c, &t->viewport) < 0) {
			log_err("scanout %u: out of memory for %ux%u", c->config.scanout_id,
				t->viewport.width, t->viewport.height);
			good = false;
		} else {
			if (c->encoded_update == 0) {
				t->damage = whole(&t->viewport);
			}
			good = convert(c, t);
			if (good) {
				/* A torn reading is done again at once: it takes no slot. */
				use_slot(c);
				c->picture->flip_ns = t->flip_ns;
			}
		}
		surface_unref(t->surface);
		report_done(c, t->token);
	}
	if (good && c->picture) {
		encode(c, t);
	}
}

static void wait_until(struct capture *c, uint64_t until) {
	if (until == UINT64_MAX) {
		pthread_cond_wait(&c->wake, &c->lock);
		return;
	}
	struct timespec ts = {
		.tv_sec = (time_t)(until / NSEC_PER_SEC),
		.tv_nsec = (long)(until % NSEC_PER_SEC),
	};
	(void)pthread_cond_timedwait(&c->wake, &c->lock, &ts);
}

/*
 * Else this thread's heap keeps the encoder's smaller blocks: 2.6 MiB at 1280x720 (large ones are no part of
 * it: main.c). With AddressSanitizer the heap is not glibc's, which would begin its own here, and in two
 * threads at once ends the program.
 */
static void trim_heap(void) {
#ifndef __SANITIZE_ADDRESS__
	(void)malloc_trim(0);
#endif
}

static void *run(void *data) {
	struct capture *c = data;
	char name[16];
	(void)snprintf(name, sizeof(name), "encoder %u", c->config.scanout_id);
	(void)pthread_setname_np(pthread_self(), name);

	pthread_mutex_lock(&c->lock);
	while (!c->stop) {
		if (c->drop_picture || (c->watching == 0 && c->picture)) {
			c->drop_picture = false;
			pthread_mutex_unlock(&c->lock);
			drop_picture(c);
			trim_heap();
			pthread_mutex_lock(&c->lock);
			continue;
		}
		struct take t;
		uint64_t until;
		if (!take(c, &t, &until)) {
			wait_until(c, until);
			continue;
		}
		pthread_mutex_unlock(&c->lock);
		work(c, &t);
		pthread_mutex_lock(&c->lock);
	}
	pthread_mutex_unlock(&c->lock);
	drop_picture(c);
	return NULL;
}

/* The viewers' side. */

void capture_set_viewers(struct capture *c, unsigned watching, unsigned ready) {
	uint64_t token = 0;
	pthread_mutex_lock(&c->lock);
	c->watching = watching;
	c->ready = ready;
	if (ready == 0) {
		/* Nobody will take it soon: the guest need not wait. */
		token = c->token;
		c->token = 0;
	}
	if (watching > 0 && !c->thread_running && !c->stop) {
		int r = pthread_create(&c->thread, NULL, run, c);
		if (r != 0) {
			log_err_errno(r, "scanout %u: no encoder thread", c->config.scanout_id);
		}
		c->thread_running = r == 0;
	}
	pthread_cond_signal(&c->wake);
	pthread_mutex_unlock(&c->lock);
	report_done(c, token);
}

bool capture_wanted(struct capture *c) {
	pthread_mutex_lock(&c->lock);
	bool wanted = c->ready > 0;
	pthread_mutex_unlock(&c->lock);
	return wanted;
}

void capture_request_idr(struct capture *c) {
	pthread_mutex_lock(&c->lock);
	c->idr = true;
	pthread_cond_signal(&c->wake);
	pthread_mutex_unlock(&c->lock);
}

void capture_set_bitrate(struct capture *c, uint32_t bits_per_second) {
	pthread_mutex_lock(&c->lock);
	c->bitrate_changed = c->bitrate_changed || c->bitrate != bits_per_second;
	c->bitrate = bits_per_second;
	pthread_mutex_unlock(&c->lock);
}

void capture_get_stats(const struct capture *c, struct capture_stats *ret) {
	const struct counters *n = &c->counters;
	*ret = (struct capture_stats){
		.flips = atomic_load_explicit(&n->flips, memory_order_relaxed),
		.captured = atomic_load_explicit(&n->captured, memory_order_relaxed),
		.superseded = atomic_load_explicit(&n->superseded, memory_order_relaxed),
		.torn = atomic_load_explicit(&n->torn, memory_order_relaxed),
		.encoded = atomic_load_explicit(&n->encoded, memory_order_relaxed),
		.keyframes = atomic_load_explicit(&n->keyframes, memory_order_relaxed),
		.encoded_bytes = atomic_load_explicit(&n->encoded_bytes, memory_order_relaxed),
		.dirty_mbs = atomic_load_explicit(&n->dirty_mbs, memory_order_relaxed),
		.convert_ns = atomic_load_explicit(&n->convert_ns, memory_order_relaxed),
		.encode_ns = atomic_load_explicit(&n->encode_ns, memory_order_relaxed),
	};
}

int capture_create(const struct capture_config *config, struct capture **ret) {
	struct capture *c = calloc(1, sizeof(*c));
	if (!c) {
		return -ENOMEM;
	}
	c->config = *config;
	c->bitrate = config->encoder_config.bitrate;
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->wake, &attr);
	pthread_condattr_destroy(&attr);
	*ret = c;
	return 0;
}

void capture_stop(struct capture *c) {
	if (!c) {
		return;
	}
	pthread_mutex_lock(&c->lock);
	c->stop = true;
	pthread_cond_signal(&c->wake);
	pthread_mutex_unlock(&c->lock);
	if (c->thread_running) {
		pthread_join(c->thread, NULL);
		c->thread_running = false;
	}
}

void capture_destroy(struct capture *c) {
	if (!c) {
		return;
	}
	capture_stop(c);
	surface_unref(c->front);
	pthread_cond_destroy(&c->wake);
	pthread_mutex_destroy(&c->lock);
	free(c);
}
