/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "content.h"
#include "log.h"
#include "pattern.h"
#include "util.h"

LOG_MODULE("pattern");

/* One is shown, one may be in a conversion, one is drawn into. */
#define BUFFERS 3

#define MIN_SIDE 128u

#define TYPING_INTERVAL 6u /* frames a character */
#define BAR_WIDTH       64u
#define BAR_SPEED       8u /* pixels a frame */

struct buffer {
	struct surface surface;
	struct canvas canvas;
	struct rect stale; /* where the scene is newer */
};

struct output {
	unsigned kind;
	/* Under the pattern's lock: what is asked for. */
	uint32_t want_width, want_height;
	/* The thread's own. */
	uint32_t width, height;
	struct canvas scene; /* the whole picture; buffers are copies of it */
	struct buffer *buffers[BUFFERS];
	uint32_t frame;
	struct rect window; /* being dragged */
	uint32_t column, line;
};

struct pattern {
	struct capture **captures;
	unsigned n_outputs;
	uint32_t fps;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	pthread_t thread;
	bool stop, changed;
	struct output outputs[SCANOUTS_MAX];
};

static struct rect all_of(const struct canvas *c) {
	return (struct rect){0, 0, c->width, c->height};
}

/* Each draws the next frame into the scene and returns what it changed. */

static struct rect draw_bars(struct output *o) {
	const struct canvas *c = &o->scene;
	uint32_t period = 2 * BAR_WIDTH;
	uint32_t top = 96, bottom = c->height > 192 ? c->height - 96 : 96;
	if (o->frame == 0) {
		canvas_fill(c, all_of(c), 0x203040);
	}
	for (uint32_t x = 0; x < c->width; x += BAR_WIDTH / 2) {
		bool light = (x + (uint64_t)o->frame * BAR_SPEED) % period < BAR_WIDTH;
		canvas_fill(c, (struct rect){x, top, BAR_WIDTH / 2, bottom - top},
			light ? 0xe0c040 : 0x3060a0);
	}
	canvas_counters(c, o->frame);
	return all_of(c);
}

static struct rect draw_static(struct output *o) {
	if (o->frame > 0) {
		return (struct rect){0};
	}
	content_desktop(&o->scene, o->kind);
	return all_of(&o->scene);
}

static struct rect draw_typing(struct output *o) {
	const struct canvas *c = &o->scene;
	if (o->frame == 0) {
		canvas_fill(c, all_of(c), 0xfcfcf8);
		return all_of(c);
	}
	if (o->frame % TYPING_INTERVAL) {
		return (struct rect){0};
	}
	char text[128];
	content_line(o->line, text, sizeof(text));
	uint32_t x = 16 + o->column * GLYPH_WIDTH, y = 16 + o->line * GLYPH_HEIGHT;
	if (text[o->column] == '\0' || x + GLYPH_WIDTH > c->width - 16) {
		o->column = 0;
		o->line++;
		if (16 + (o->line + 1) * GLYPH_HEIGHT > c->height) {
			o->line = 0;
			canvas_fill(c, all_of(c), 0xfcfcf8);
			return all_of(c);
		}
		return (struct rect){0};
	}
	char glyph[2] = {text[o->column], '\0'};
	canvas_text(c, x, y, glyph, 0x202020, 0xfcfcf8);
	o->column++;
	return (struct rect){x, y, GLYPH_WIDTH, GLYPH_HEIGHT};
}

static struct rect draw_scroll(struct output *o) {
	const struct canvas *c = &o->scene;
	struct rect terminal = {
		0, 0, MIN(c->width, 960u), MIN(c->height, 800u) / GLYPH_HEIGHT * GLYPH_HEIGHT};
	if (o->frame == 0) {
		content_desktop(c, o->kind);
		canvas_fill(c, terminal, 0x101418);
		return all_of(c);
	}
	char text[128];
	struct rect last = {0, terminal.height - GLYPH_HEIGHT, terminal.width, GLYPH_HEIGHT};
	content_line(o->frame, text, sizeof(text));
	canvas_scroll(c, terminal, GLYPH_HEIGHT);
	canvas_fill(c, last, 0x101418);
	canvas_text(c, 8, last.y, text, 0xd0d8c0, 0x101418);
	return terminal;
}

static struct rect draw_drag(struct output *o) {
	const struct canvas *c = &o->scene;
	struct rect size = {0, 0, MIN(c->width / 2, 640u), MIN(c->height / 2, 480u)};
	uint32_t room_x = c->width - size.width, room_y = c->height - size.height;
	struct rect from = o->window;
	/* To and fro, in both directions at its own speed. */
	uint32_t at_x = o->frame * 6 % (2 * room_x), at_y = o->frame * 4 % (2 * room_y);
	o->window = (struct rect){at_x < room_x ? at_x : 2 * room_x - at_x,
		at_y < room_y ? at_y : 2 * room_y - at_y, size.width, size.height};
	if (o->frame == 0) {
		canvas_gradient(c, all_of(c), 0x305878, 0x102030);
	} else {
		canvas_fill(c, from, 0x204058);
	}
	content_window(c, o->window, "drag", 1);
	return o->frame == 0 ? all_of(c) : rect_union(&from, &o->window);
}

static struct rect draw_film(struct output *o) {
	canvas_photo(&o->scene, all_of(&o->scene), o->frame);
	return all_of(&o->scene);
}

static struct rect (*const draw[PATTERN_KINDS])(struct output *o) = {
	draw_bars, draw_static, draw_typing, draw_scroll, draw_drag, draw_film};

static void release_buffer(struct surface *surface) {
	struct buffer *b = container_of(surface, struct buffer, surface);
	free(b->canvas.pixels);
	free(b);
}

static struct buffer *create_buffer(uint32_t width, uint32_t height) {
	struct buffer *b = calloc(1, sizeof(*b));
	uint8_t *pixels = calloc((size_t)width * height, SURFACE_BYTES_PER_PIXEL);
	if (!b || !pixels) {
		free(b);
		free(pixels);
		return NULL;
	}
	uint32_t stride = width * SURFACE_BYTES_PER_PIXEL;
	b->canvas = (struct canvas){pixels, width, height, stride, PIXEL_ORDER_BGRA};
	b->surface = (struct surface){
		.width = width,
		.height = height,
		.stride = stride,
		.order = PIXEL_ORDER_BGRA,
		.pixels = pixels,
		.release = release_buffer,
	};
	atomic_init(&b->surface.refs, 1);
	b->stale = all_of(&b->canvas);
	return b;
}

static void drop_output(struct output *o) {
	for (unsigned i = 0; i < BUFFERS; i++) {
		if (o->buffers[i]) {
			surface_unref(&o->buffers[i]->surface);
			o->buffers[i] = NULL;
		}
	}
	free(o->scene.pixels);
	o->scene = (struct canvas){0};
	o->width = o->height = o->frame = o->column = o->line = 0;
	o->window = (struct rect){0};
}

static int make_output(struct output *o, uint32_t width, uint32_t height) {
	o->scene = (struct canvas){
		.pixels = calloc((size_t)width * height, SURFACE_BYTES_PER_PIXEL),
		.width = width,
		.height = height,
		.stride = width * SURFACE_BYTES_PER_PIXEL,
		.order = PIXEL_ORDER_BGRA,
	};
	bool complete = o->scene.pixels != NULL;
	for (unsigned i = 0; i < BUFFERS; i++) {
		o->buffers[i] = create_buffer(width, height);
		complete = complete && o->buffers[i];
	}
	if (!complete) {
		drop_output(o);
		return -ENOMEM;
	}
	o->width = width;
	o->height = height;
	return 0;
}

/* A buffer that nobody reads. One of three always is, but for a conversion that just ended. */
static struct buffer *idle_buffer(struct output *o) {
	for (unsigned i = 0; i < BUFFERS; i++) {
		if (atomic_load_explicit(&o->buffers[i]->surface.refs, memory_order_acquire) == 1) {
			return o->buffers[i];
		}
	}
	return NULL;
}

static void next_frame(struct output *o, struct capture *capture) {
	struct buffer *b = idle_buffer(o);
	if (!b) {
		return;
	}
	struct rect damage = draw[o->kind](o);
	o->frame++;
	if (rect_empty(&damage)) {
		return;
	}
	for (unsigned i = 0; i < BUFFERS; i++) {
		o->buffers[i]->stale = rect_union(&o->buffers[i]->stale, &damage);
	}
	canvas_copy(&b->canvas, &o->scene, b->stale);
	b->stale = (struct rect){0};
	(void)capture_flip(capture,
		&(struct capture_flip){
			.surface = &b->surface,
			.viewport = all_of(&b->canvas),
			.damage = damage,
			.flip_ns = now_ns(),
		});
}

/* One tick. Returns true if any output wants another. */
static bool tick(struct pattern *p) {
	bool more = false;
	for (unsigned i = 0; i < p->n_outputs; i++) {
		struct output *o = &p->outputs[i];
		pthread_mutex_lock(&p->lock);
		uint32_t width = o->want_width, height = o->want_height;
		pthread_mutex_unlock(&p->lock);

		if (width != o->width || height != o->height) {
			capture_blank(p->captures[i]);
			drop_output(o);
			if (width && make_output(o, width, height) < 0) {
				log_err("output %u: out of memory for %ux%u", i, width, height);
			}
		}
		bool wanted = o->width && capture_wanted(p->captures[i]);
		if (wanted || (o->width && o->frame == 0)) {
			next_frame(o, p->captures[i]);
		}
		more = more || wanted;
	}
	return more;
}

static void *run(void *data) {
	struct pattern *p = data;
	uint64_t interval = NSEC_PER_SEC / p->fps;
	uint64_t next = now_ns();
	(void)pthread_setname_np(pthread_self(), "pattern");

	pthread_mutex_lock(&p->lock);
	while (!p->stop) {
		p->changed = false;
		pthread_mutex_unlock(&p->lock);
		bool more = tick(p);
		next = MAX(next + interval, now_ns());
		pthread_mutex_lock(&p->lock);
		struct timespec ts = {
			.tv_sec = (time_t)(next / NSEC_PER_SEC),
			.tv_nsec = (long)(next % NSEC_PER_SEC),
		};
		int r = 0;
		while (!p->stop && (more ? r == 0 : !p->changed)) {
			r = more ? pthread_cond_timedwait(&p->wake, &p->lock, &ts)
				 : pthread_cond_wait(&p->wake, &p->lock);
		}
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

void pattern_wake(struct pattern *p) {
	pthread_mutex_lock(&p->lock);
	p->changed = true;
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
}

int pattern_set_output(struct pattern *p, uint32_t id, uint32_t width, uint32_t height) {
	bool off = width == 0 && height == 0;
	if (!off &&
		(width < MIN_SIDE || height < MIN_SIDE || width > PICTURE_MAX_SIDE ||
			height > PICTURE_MAX_SIDE)) {
		return -EINVAL;
	}
	pthread_mutex_lock(&p->lock);
	p->outputs[id].want_width = width;
	p->outputs[id].want_height = height;
	pthread_mutex_unlock(&p->lock);
	pattern_wake(p);
	return 0;
}

int pattern_create(unsigned n_outputs, struct capture **captures, uint32_t width, uint32_t height,
	uint32_t fps, struct pattern **ret) {
	struct pattern *p = calloc(1, sizeof(*p));
	if (!p) {
		return -ENOMEM;
	}
	p->n_outputs = n_outputs;
	p->captures = captures;
	p->fps = fps;
	pthread_mutex_init(&p->lock, NULL);
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&p->wake, &attr);
	pthread_condattr_destroy(&attr);

	int r = 0;
	for (unsigned i = 0; i < n_outputs && r >= 0; i++) {
		p->outputs[i].kind = i % PATTERN_KINDS;
		r = pattern_set_output(p, i, width, height);
	}
	if (r >= 0) {
		r = -pthread_create(&p->thread, NULL, run, p);
	}
	if (r < 0) {
		pthread_cond_destroy(&p->wake);
		pthread_mutex_destroy(&p->lock);
		free(p);
		return r;
	}
	*ret = p;
	return 0;
}

void pattern_destroy(struct pattern *p) {
	if (!p) {
		return;
	}
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
	pthread_join(p->thread, NULL);
	for (unsigned i = 0; i < p->n_outputs; i++) {
		drop_output(&p->outputs[i]);
	}
	pthread_cond_destroy(&p->wake);
	pthread_mutex_destroy(&p->lock);
	free(p);
}
