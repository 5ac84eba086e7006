/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a frame of a desktop costs: CPU time of conversion and encoding and bytes, at 1920×1080, with
 * what capture knows of damage and as plain x264 would (everything converted, every flip encoded).
 *
 * bench-encode [FRAMES [WIDTH HEIGHT]]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if HAVE_LIBYUV
#include <libyuv.h>
#endif

#include "content.h"
#include "convert.h"
#include "encoder.h"
#include "parse.h"
#include "util.h"

#define FPS 60

struct scene {
	struct canvas now, background;
	uint32_t random;
};

struct bench_case {
	const char *name;
	/* Draws frame `n`, says what a compositor would call damaged. */
	struct rect (*draw)(struct scene *s, uint32_t n);
};

struct sample {
	double convert_us, encode_us, bytes, dirty;
};

static double thread_us(void) {
	struct timespec ts;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static struct rect all_of(const struct scene *s) {
	return (struct rect){0, 0, s->now.width, s->now.height};
}

static struct rect draw_static(struct scene *s, uint32_t n) {
	(void)n;
	return all_of(s);
}

static struct rect draw_cursor(struct scene *s, uint32_t n) {
	struct rect r = {s->now.width / 4 + 3, s->now.height / 4 + 5, 2, 16};
	canvas_fill(&s->now, r, n & 1 ? 0xc8e0c8 : 0x101418);
	return r;
}

static struct rect draw_key(struct scene *s, uint32_t n) {
	uint32_t columns = s->now.width / 2 / GLYPH_WIDTH;
	struct rect r = {s->now.width / 8 + n % columns * GLYPH_WIDTH,
		s->now.height / 4 + n / columns * GLYPH_HEIGHT, GLYPH_WIDTH, GLYPH_HEIGHT};
	char text[2] = {(char)('!' + n * 7 % 90), '\0'};
	canvas_text(&s->now, r.x, r.y, text, 0xc8e0c8, 0x101418);
	return r;
}

static struct rect draw_key_full_damage(struct scene *s, uint32_t n) {
	(void)draw_key(s, n);
	return all_of(s);
}

static struct rect draw_scroll(struct scene *s, uint32_t n) {
	struct rect r = {160, 112, 960, 800};
	struct rect line = {r.x, r.y + r.height - GLYPH_HEIGHT, r.width, GLYPH_HEIGHT};
	canvas_scroll(&s->now, r, GLYPH_HEIGHT);
	content_page(&s->now, line, 5000 + n, 0xc8e0c8, 0x101418);
	return r;
}

static struct rect draw_drag(struct scene *s, uint32_t n) {
	struct rect at = {100 + n * 7 % 800, 80 + n * 3 % 400, 640, 480};
	struct rect old = {100 + (n - 1) * 7 % 800, 80 + (n - 1) * 3 % 400, 640, 480};
	if (n > 0) {
		canvas_copy(&s->now, &s->background, old);
	}
	content_window(&s->now, at, "moving window", 77);
	return n > 0 ? rect_union(&at, &old) : at;
}

static struct rect draw_pages(struct scene *s, uint32_t n) {
	content_page(&s->now, all_of(s), 9000 + n * 100, 0x202020, 0xf8f8f8);
	return all_of(s);
}

static struct rect draw_photo(struct scene *s, uint32_t n) {
	canvas_photo(&s->now, all_of(s), n);
	return all_of(s);
}

static const struct bench_case cases[] = {
	{"static flip", draw_static},
	{"blinking cursor", draw_cursor},
	{"typing", draw_key},
	{"typing, all damaged", draw_key_full_damage},
	{"scroll 960x800", draw_scroll},
	{"drag 640x480", draw_drag},
	{"full change, text", draw_pages},
	{"full change, photo", draw_photo},
};

static void fail(const char *what) {
	fprintf(stderr, "bench-encode: %s\n", what);
	exit(EXIT_FAILURE);
}

static void canvas_create(struct canvas *c, uint32_t width, uint32_t height) {
	*c = (struct canvas){.width = width,
		.height = height,
		.stride = width * SURFACE_BYTES_PER_PIXEL,
		.order = PIXEL_ORDER_BGRA};
	c->pixels = aligned_alloc(4096, ALIGN_UP((size_t)c->stride * height, (size_t)4096));
	if (!c->pixels) {
		fail("out of memory");
	}
}

struct run {
	struct scene scene;
	struct surface surface;
	struct rect view;
	struct picture *picture;
	struct converter *converter;
	struct encoder *encoder;
	uint64_t pts_ns;
};

static void run_init(struct run *r, uint32_t width, uint32_t height, bool use_damage) {
	*r = (struct run){.view = {0, 0, width, height}};
	canvas_create(&r->scene.now, width, height);
	canvas_create(&r->scene.background, width, height);
	content_desktop(&r->scene.now, 1);
	content_desktop(&r->scene.background, 1);
	r->surface = (struct surface){.refs = 1,
		.width = width,
		.height = height,
		.stride = r->scene.now.stride,
		.order = r->scene.now.order,
		.pixels = r->scene.now.pixels};
	r->picture = picture_create(width, height);
	r->converter = converter_create(width);
	struct encoder_config config = {.width = width & ~1u,
		.height = height & ~1u,
		.fps = FPS,
		.quality = ENCODER_QUALITY_DEFAULT,
		.threads = 1,
		.use_damage = use_damage};
	if (!r->picture || !r->converter || encoder_x264.create(&config, &r->encoder) < 0) {
		fail("cannot create an encoder");
	}
}

static void run_finish(struct run *r) {
	encoder_x264.destroy(r->encoder);
	converter_destroy(r->converter);
	picture_destroy(r->picture);
	free(r->scene.now.pixels);
	free(r->scene.background.pixels);
}

static size_t encode(struct run *r, unsigned refine) {
	struct access_unit *au;
	r->pts_ns += NSEC_PER_SEC / FPS;
	struct encode_request request = {
		.picture = r->picture, .pts_ns = r->pts_ns, .refine = refine};
	if (encoder_x264.encode(r->encoder, &request, &au) < 0) {
		fail("encoding failed");
	}
	size_t size = au->size;
	access_unit_unref(au);
	return size;
}

/* As capture does: convert what is damaged, encode if anything came of it. */
static struct sample frame(struct run *r, const struct rect *damage, bool always) {
	struct sample s = {0};
	double begin = thread_us();
	int changed =
		converter_update(r->converter, r->picture, &r->surface, &r->view, damage, NULL, 0);
	double converted = thread_us();
	s.convert_us = converted - begin;
	s.dirty = changed;
	if (changed > 0 || always) {
		s.bytes = (double)encode(r, 0);
		s.encode_us = thread_us() - converted;
	}
	return s;
}

static int compare(const void *a, const void *b) {
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

/* The median of one field of all samples. */
static double median(const struct sample *samples, size_t n, size_t field) {
	double *v = calloc(n, sizeof(*v));
	if (!v) {
		fail("out of memory");
	}
	for (size_t i = 0; i < n; i++) {
		memcpy(&v[i], (const char *)&samples[i] + field, sizeof(*v));
	}
	qsort(v, n, sizeof(*v), compare);
	double m = v[n / 2];
	free(v);
	return m;
}

#define MEDIAN(samples, n, member) median(samples, n, offsetof(struct sample, member))

/* The refinement of a picture that then stays: passes, CPU time and bytes of all. */
static void refine(struct run *r, unsigned *ret_passes, double *ret_us, size_t *ret_bytes) {
	*ret_passes = 0;
	*ret_bytes = 0;
	double begin = thread_us();
	while (encoder_x264.refine_passes(r->encoder) > 0) {
		*ret_bytes += encode(r, ++*ret_passes);
	}
	*ret_us = thread_us() - begin;
}

static void bench_case(const struct bench_case *c, uint32_t width, uint32_t height, bool damage,
	struct sample *samples, uint32_t frames) {
	struct run r;
	run_init(&r, width, height, damage);
	(void)frame(&r, &r.view, true);
	unsigned passes;
	double us;
	size_t bytes;
	refine(&r, &passes, &us, &bytes);
	for (uint32_t n = 0; n < frames; n++) {
		struct rect d = c->draw(&r.scene, n);
		samples[n] = frame(&r, damage ? &d : &r.view, !damage);
	}
	if (damage) {
		refine(&r, &passes, &us, &bytes);
		printf("%-20s %6.0f %8.0f %8.0f %8.0f   %u %6.0f %7zu", c->name,
			MEDIAN(samples, frames, dirty), MEDIAN(samples, frames, convert_us),
			MEDIAN(samples, frames, encode_us), MEDIAN(samples, frames, bytes), passes,
			us, bytes);
	} else {
		printf("   %8.0f %8.0f %8.0f\n", MEDIAN(samples, frames, convert_us),
			MEDIAN(samples, frames, encode_us), MEDIAN(samples, frames, bytes));
	}
	fflush(stdout);
	run_finish(&r);
}

/* The first picture of a stream and its refinement. */
static void bench_first(uint32_t width, uint32_t height) {
	struct run r;
	run_init(&r, width, height, true);
	struct sample s = frame(&r, &r.view, true);
	unsigned passes;
	double us;
	size_t bytes;
	refine(&r, &passes, &us, &bytes);
	printf("%-20s %6.0f %8.0f %8.0f %8.0f   %u %6.0f %7zu\n\n", "first picture (IDR)", s.dirty,
		s.convert_us, s.encode_us, s.bytes, passes, us, bytes);
	run_finish(&r);
}

/* Conversion of a whole unchanged frame against libyuv and against reading the memory. */
static void bench_convert(uint32_t width, uint32_t height, struct sample *samples, uint32_t n) {
	struct run r;
	run_init(&r, width, height, true);
	(void)frame(&r, &r.view, true);
	size_t size = (size_t)r.surface.stride * height;
	volatile int sink = 0;
	for (uint32_t i = 0; i < n; i++) {
		double t = thread_us();
		sink = converter_update(
			r.converter, r.picture, &r.surface, &r.view, &r.view, NULL, 0);
		samples[i].convert_us = thread_us() - t;
		t = thread_us();
#if HAVE_LIBYUV
		(void)ARGBToNV12(r.surface.pixels, (int)r.surface.stride, r.picture->y,
			(int)r.picture->stride, r.picture->uv, (int)r.picture->stride, (int)width,
			(int)height);
#endif
		samples[i].encode_us = thread_us() - t;
		/* Ours again, so that the next round finds nothing changed. */
		(void)converter_update(
			r.converter, r.picture, &r.surface, &r.view, &r.view, NULL, 0);
		t = thread_us();
		sink = memcmp(r.surface.pixels, r.scene.background.pixels, size);
		samples[i].bytes = thread_us() - t;
	}
	(void)sink;
	printf("unchanged frame, us: ours %.0f, libyuv ARGBToNV12 (BT.601, no comparison) %.0f, "
	       "memcmp of the RGB %.0f\n\n",
		MEDIAN(samples, n, convert_us), MEDIAN(samples, n, encode_us),
		MEDIAN(samples, n, bytes));
	run_finish(&r);
}

int main(int argc, char *argv[]) {
	uint32_t frames = 120, width = 1920, height = 1080;
	if ((argc > 1 && parse_u32(argv[1], 1, 100000, &frames) < 0) ||
		(argc > 3 &&
			(parse_u32(argv[2], 64, PICTURE_MAX_SIDE, &width) < 0 ||
				parse_u32(argv[3], 64, PICTURE_MAX_SIDE, &height) < 0))) {
		fprintf(stderr, "usage: bench-encode [FRAMES [WIDTH HEIGHT]]\n");
		return 2;
	}
	struct sample *samples = calloc(frames, sizeof(*samples));
	if (!samples) {
		fail("out of memory");
	}
	printf("%ux%u, %u frames a case, x264 at quality %d; CPU of the thread, medians\n\n", width,
		height, frames, ENCODER_QUALITY_DEFAULT);
	bench_convert(width, height, samples, frames);
	printf("%-20s %33s   %16s   %26s\n", "", "with damage", "then refined", "plain x264");
	printf("%-20s %6s %8s %8s %8s   %s %6s %7s   %8s %8s %8s\n", "case", "MBs", "conv us",
		"enc us", "bytes", "#", "us", "bytes", "conv us", "enc us", "bytes");
	bench_first(width, height);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		bench_case(&cases[i], width, height, true, samples, frames);
		bench_case(&cases[i], width, height, false, samples, frames);
	}
	free(samples);
	return 0;
}
