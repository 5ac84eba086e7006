/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Capture of surfaces that a GPU has as NV12, and of those in memory, in turns. */
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "capture.h"
#include "content.h"
#include "convert.h"
#include "decode.h"
#include "test.h"
#include "util.h"

#define WIDTH  602u
#define HEIGHT 182u
#define ROWS   192u /* in whole macroblocks */
#define STRIDE 768u

static const struct rect all = {0, 0, WIDTH, HEIGHT};

/* What capture posts, the newest only, and who decodes it: the test's thread. */
struct rig {
	struct capture *capture;
	struct decoder *decoder;
	struct decoded shown;
	pthread_mutex_t lock;
	pthread_cond_t posted;
	struct access_unit *units[16];
	unsigned n_units;
};

static void handle_unit(void *data, struct access_unit *au) {
	struct rig *r = data;
	pthread_mutex_lock(&r->lock);
	check_int(r->n_units, <, ARRAY_SIZE(r->units));
	r->units[r->n_units++] = au;
	pthread_cond_signal(&r->posted);
	pthread_mutex_unlock(&r->lock);
}

static void rig_init(struct rig *r, const struct encoder_ops *encoder) {
	const struct capture_config config = {
		.encoder = encoder,
		.encoder_config = {.fps = 60, .quality = 20, .threads = 1, .use_damage = true},
		.shared = encoder->imports,
		.post = handle_unit,
		.post_data = r,
	};
	*r = (struct rig){.decoder = decode_create()};
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->posted, NULL);
	check_ok(capture_create(&config, &r->capture));
	capture_set_viewers(r->capture, 1, 1);
}

static void rig_finish(struct rig *r) {
	capture_destroy(r->capture);
	for (unsigned i = 0; i < r->n_units; i++) {
		access_unit_unref(r->units[i]);
	}
	decode_destroy(r->decoder);
	pthread_cond_destroy(&r->posted);
	pthread_mutex_destroy(&r->lock);
}

/* Decodes the next access unit; true if it was an IDR. */
static bool rig_next(struct rig *r) {
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 20;
	pthread_mutex_lock(&r->lock);
	while (r->n_units == 0) {
		check_int(pthread_cond_timedwait(&r->posted, &r->lock, &until), ==, 0);
	}
	struct access_unit *au = r->units[0];
	memmove(r->units, r->units + 1, --r->n_units * sizeof(r->units[0]));
	pthread_mutex_unlock(&r->lock);
	bool key = au->keyframe;
	check_ok(decode_feed(r->decoder, au->data, au->size, &r->shown));
	access_unit_unref(au);
	return key;
}

/* A desktop in RGB and, by the CPU, as the NV12 that a GPU would make of it. */
struct screen {
	struct surface surface;
	struct gpu_picture gpu;
	struct canvas canvas;
	struct picture *picture;
	uint8_t *map;
};

static void release(struct surface *s) {
	(void)s;
}

static void screen_draw(struct screen *s, uint64_t counter) {
	const struct surface rgb = {.refs = 1,
		.width = WIDTH,
		.height = HEIGHT,
		.stride = s->canvas.stride,
		.order = s->canvas.order,
		.pixels = s->canvas.pixels};
	struct converter *c = converter_create(WIDTH);
	content_desktop(&s->canvas, counter);
	canvas_counters(&s->canvas, (uint32_t)counter);
	check(converter_update(c, s->picture, &rgb, &all, &all, NULL, 0) >= 0);
	converter_destroy(c);
	for (size_t y = 0; y < ROWS; y++) {
		memcpy(s->map + y * STRIDE, s->picture->y + y * s->picture->stride,
			s->picture->stride);
		memcpy(s->map + s->gpu.chroma + y / 2 * STRIDE,
			s->picture->uv + y / 2 * s->picture->stride, s->picture->stride);
	}
}

static void screen_init(struct screen *s, bool gpu) {
	size_t size = (size_t)STRIDE * ROWS * 3 / 2;
	int fd = memfd_create("test", MFD_CLOEXEC);
	check_ok(ftruncate(fd, (off_t)size));
	s->map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	check(s->map != MAP_FAILED);
	s->picture = picture_create(WIDTH, HEIGHT);
	s->canvas = (struct canvas){
		calloc(4, (size_t)WIDTH * HEIGHT), WIDTH, HEIGHT, 4 * WIDTH, PIXEL_ORDER_BGRA};
	s->gpu = (struct gpu_picture){fd, STRIDE, (size_t)STRIDE * ROWS, size, s->map};
	s->surface = (struct surface){.refs = 1,
		.width = WIDTH,
		.height = HEIGHT,
		.stride = gpu ? STRIDE : s->canvas.stride,
		.order = s->canvas.order,
		.stable = true,
		.pixels = gpu ? s->map : s->canvas.pixels,
		.chroma = gpu ? s->map + s->gpu.chroma : NULL,
		.gpu = gpu ? &s->gpu : NULL,
		.release = release};
	screen_draw(s, 1);
}

static void screen_finish(struct screen *s) {
	check_int(atomic_load(&s->surface.refs), ==, 1);
	picture_destroy(s->picture);
	free(s->canvas.pixels);
	(void)munmap(s->map, s->gpu.size);
	(void)close(s->gpu.dmabuf);
}

static void flip(struct rig *r, struct screen *s, const struct rect *damage) {
	(void)capture_flip(r->capture,
		&(struct capture_flip){.surface = &s->surface,
			.viewport = all,
			.damage = *damage,
			.flip_ns = now_ns()});
}

/* Until the viewer sees what the screen has, which is drawn with this counter. */
static void wait_shown(struct rig *r, const struct screen *s, uint32_t counter) {
	uint32_t seen;
	do {
		(void)rig_next(r);
		check_ok(decode_read_counters(&r->shown, &seen));
	} while (seen != counter);
	double psnr = decode_psnr(
		r->shown.y, r->shown.y_stride, s->picture->y, s->picture->stride, WIDTH, HEIGHT);
	if (psnr < 36) {
		fail("PSNR is %.1f dB", psnr);
	}
}

/* Flips between surfaces of both kinds, an IDR of what stands still, and nothing is held on to. */
static void run_both(const struct encoder_ops *encoder) {
	struct rig r;
	uint32_t seen;
	struct screen a = {0}, b = {0}, memory = {0};
	screen_init(&a, true);
	screen_init(&b, true);
	screen_init(&memory, false);
	rig_init(&r, encoder);
	flip(&r, &a, &all);
	wait_shown(&r, &a, 1);
	struct screen *const turns[] = {&b, &a, &memory, &b, &memory, &a};
	for (unsigned i = 0; i < ARRAY_SIZE(turns); i++) {
		screen_draw(turns[i], 10 + i);
		flip(&r, turns[i], &all);
		wait_shown(&r, turns[i], 10 + i);
	}
	capture_request_idr(r.capture);
	while (!rig_next(&r)) {
	}
	check_ok(decode_read_counters(&r.shown, &seen));
	check_int(seen, ==, 15);
	rig_finish(&r);
	screen_finish(&a);
	screen_finish(&b);
	screen_finish(&memory);
}

TEST(imported) {
	run_both(&encoder_avcodec_x264);
}

TEST(fetched) {
	run_both(&encoder_x264);
}
