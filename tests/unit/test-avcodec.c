/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The code that drives hardware encoders, with libavcodec's software one in their place; kinds of
 * the tests' own make it behave as bad hardware does.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "avcodec.h"
#include "encoder-rig.h"
#include "test.h"
#include "util.h"

#define GOOD "preset=ultrafast:tune=zerolatency:profile=baseline:forced-idr=1"

static void check_nothing_left(void) {
	size_t bytes;
	check_int(avcodec_sessions(&bytes), ==, 0);
	check_int(bytes, ==, 0);
}

/* As a kind of avcodec-kinds.c, but what it is made of is the test's. */
static const struct encoder_ops ops = {
	.name = "test",
	.destroy = avcodec_encoder_destroy,
	.encode = avcodec_encoder_encode,
	.set_bitrate = avcodec_encoder_set_bitrate,
	.refine_passes = avcodec_encoder_refine_passes,
};

static const struct avcodec_kind good = {
	.ops = &ops,
	.codec = "libx264",
	.options = {GOOD},
	.quality_options = "",
	.bitrate_options = "",
	.surfaces_in_flight = 2,
};

TEST(one_in_one_out) {
	static const uint32_t sizes[][2] = {{640, 360}, {1366, 768}, {322, 182}, {16, 16}, {64, 2}};
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct encoder_rig r;
		struct encoder *e;
		encoder_rig_init(&r, sizes[i][0], sizes[i][1]);
		struct encoder_config config = encoder_rig_config(&r);
		check_ok(encoder_avcodec_x264.create(&config, &e));
		for (unsigned n = 0; n < 12; n++) {
			encoder_rig_draw(&r, false);
			encoder_rig_encode(&r, e, n == 5 || n == 6, 0);
			check(r.au->keyframe == (n == 0 || n == 5 || n == 6));
			check(r.psnr > 35);
		}
		check_int(e->ops->refine_passes(e), ==, 0);
		e->ops->destroy(e);
		encoder_rig_finish(&r);
	}
	check_nothing_left();
}

/* As a GPU would have it: the rig's picture in memory that can be mapped, and none in ours. */
static void move_to_gpu(struct picture *p, struct gpu_picture *gpu) {
	size_t rows = (size_t)p->mb_height * MB_SIZE;
	*gpu = (struct gpu_picture){
		.dmabuf = memfd_create("test", MFD_CLOEXEC),
		.stride = p->stride + 64,
		.chroma = (p->stride + 64) * rows,
		.size = (p->stride + 64) * rows * 3 / 2,
	};
	check_ok(ftruncate(gpu->dmabuf, (off_t)gpu->size));
	uint8_t *map = mmap(NULL, gpu->size, PROT_READ | PROT_WRITE, MAP_SHARED, gpu->dmabuf, 0);
	check(map != MAP_FAILED);
	for (size_t y = 0; y < rows; y++) {
		memcpy(map + y * gpu->stride, p->y + y * p->stride, p->stride);
		memcpy(map + gpu->chroma + y / 2 * gpu->stride, p->uv + y / 2 * p->stride,
			p->stride);
	}
	memset(p->y, 16, p->stride * rows);
	gpu->map = map;
	picture_set_gpu(p, gpu, &(struct rect){0, 0, p->width, p->height});
}

static void leave_gpu(struct picture *p, struct gpu_picture *gpu) {
	picture_set_gpu(p, NULL, NULL);
	(void)munmap((void *)(uintptr_t)gpu->map, gpu->size);
	(void)close(gpu->dmabuf);
}

/* Encoded from where it is; if the device refuses it, from a copy. */
TEST(gpu_pictures) {
	for (unsigned refused = 0; refused < 2; refused++) {
		struct encoder_rig r;
		struct encoder *e;
		encoder_rig_init(&r, 322, 182);
		struct encoder_config config = encoder_rig_config(&r);
		check_ok(encoder_avcodec_x264.create(&config, &e));
		for (unsigned n = 0; n < 4; n++) {
			struct gpu_picture gpu;
			encoder_rig_draw(&r, false);
			move_to_gpu(r.picture, &gpu);
			int dmabuf = gpu.dmabuf;
			gpu.dmabuf = refused ? -1 : dmabuf;
			encoder_rig_encode(&r, e, false, 0);
			gpu.dmabuf = dmabuf;
			check(refused || r.picture->fetched == 0);
			picture_fetch(r.picture);
			check(decode_psnr(r.shown.y, r.shown.y_stride, r.picture->y,
				      r.picture->stride, r.picture->width, r.picture->height) > 35);
			leave_gpu(r.picture, &gpu);
		}
		e->ops->destroy(e);
		encoder_rig_finish(&r);
	}
	check_nothing_left();
}

/* What our CPUs made, from memory that a device has, too; if it refuses that, from a copy. */
TEST(shared_pictures) {
	struct encoder_rig r;
	struct encoder *e;
	encoder_rig_init(&r, 322, 182);
	picture_destroy(r.picture);
	r.picture = picture_create_shared(322, 182);
	check(r.picture && r.picture->shared.dmabuf >= 0);
	struct encoder_config config = encoder_rig_config(&r);
	check_ok(encoder_avcodec_x264.create(&config, &e));
	for (unsigned n = 0; n < 4; n++) {
		encoder_rig_draw(&r, false);
		encoder_rig_encode(&r, e, false, 0);
		check(r.psnr > 35);
	}
	/* It is the dmabuf that is read: another one shows something else. */
	int dmabuf = r.picture->shared.dmabuf;
	struct picture *black = picture_create_shared(322, 182);
	check(black);
	r.picture->shared.dmabuf = black->shared.dmabuf;
	encoder_rig_draw(&r, false);
	encoder_rig_encode(&r, e, false, 0);
	check(r.psnr < 20);
	picture_destroy(black);
	int none = open("/dev/null", O_RDONLY | O_CLOEXEC);
	r.picture->shared.dmabuf = none;
	for (unsigned n = 0; n < 4; n++) {
		encoder_rig_draw(&r, false);
		encoder_rig_encode(&r, e, false, 0);
		check(r.psnr > 35);
	}
	(void)close(none);
	r.picture->shared.dmabuf = dmabuf;
	e->ops->destroy(e);
	encoder_rig_finish(&r);
	check_nothing_left();
}

TEST(by_name) {
	check(encoder_by_name("vaapi") == &encoder_vaapi);
	check(encoder_by_name("nvenc") == &encoder_nvenc);
	check(encoder_by_name("qsv") == &encoder_qsv);
	check(encoder_by_name("v4l2m2m") == &encoder_v4l2m2m);
	check(encoder_by_name("videotoolbox") == &encoder_videotoolbox);
	check(encoder_by_name("auto") == NULL);
	encoder_vaapi.destroy(NULL);
}

TEST(hardware_that_is_not_there) {
	static const struct encoder_ops *const all[] = {&encoder_vaapi, &encoder_nvenc,
		&encoder_qsv, &encoder_v4l2m2m, &encoder_videotoolbox};
	struct encoder_rig r;
	encoder_rig_init(&r, 640, 360);
	struct encoder_config config = encoder_rig_config(&r);
	config.render_node = "/dev/null";
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		for (uint32_t bitrate = 0; bitrate <= 1000000; bitrate += 1000000) {
			struct encoder *e;
			config.bitrate = bitrate;
			check_int(all[i]->create(&config, &e), <, 0);
		}
	}
	encoder_rig_finish(&r);
	check_nothing_left();
}

TEST(bad_configurations) {
	struct encoder *e;
	struct encoder_config config = {
		.width = 640, .height = 360, .fps = 60, .quality = 23, .threads = 1};
	struct encoder_config odd = config, large = config, quality = config, node = config;
	odd.width = 641;
	large.height = PICTURE_MAX_SIDE + 2;
	quality.quality = 52;
	node.render_node =
		"/dev/dri/a-name-that-is-longer-than-any-render-node-could-ever-be-given";
	check_int(encoder_avcodec_x264.create(&odd, &e), ==, -EINVAL);
	check_int(encoder_avcodec_x264.create(&large, &e), ==, -EINVAL);
	check_int(encoder_avcodec_x264.create(&quality, &e), ==, -EINVAL);
	check_int(encoder_avcodec_x264.create(&node, &e), ==, -EINVAL);
	struct avcodec_kind unknown = good;
	unknown.codec = "h264_of_tomorrow";
	check_int(avcodec_encoder_create(&unknown, &config, &e), ==, -ENODEV);
	check_nothing_left();
}

/* A second of what does not compress; its bits. */
static size_t second_of_noise(struct encoder_rig *r, struct encoder *e) {
	size_t bits = 0;
	for (unsigned n = 0; n < 60; n++) {
		encoder_rig_draw(r, true);
		encoder_rig_encode(r, e, false, 0);
		bits += r->au->size * 8;
	}
	return bits;
}

TEST(bitrate_without_rebuild) {
	struct encoder_rig r;
	struct encoder *e;
	encoder_rig_init(&r, 320, 192);
	struct encoder_config config = encoder_rig_config(&r);
	config.bitrate = 4000000;
	check_ok(encoder_avcodec_x264.create(&config, &e));
	(void)second_of_noise(&r, e);
	size_t high = second_of_noise(&r, e);
	check_ok(e->ops->set_bitrate(e, 1000000));
	(void)second_of_noise(&r, e);
	size_t low = second_of_noise(&r, e);
	check_int(high, >, 2500000);
	check_int(high, <, 5000000);
	check_int(low, >, 600000);
	check_int(low, <, 1400000);
	check_int(r.keyframes, ==, 1);
	e->ops->destroy(e);
	encoder_rig_finish(&r);
}

TEST(bitrate_with_rebuild) {
	struct encoder_rig r;
	struct encoder *e;
	encoder_rig_init(&r, 320, 192);
	struct encoder_config config = encoder_rig_config(&r);
	config.bitrate = 4000000;
	check_ok(avcodec_encoder_create(&good, &config, &e));
	(void)second_of_noise(&r, e);
	check_ok(ops.set_bitrate(e, 1000000));
	/* Not at once: an IDR costs more than it saves. */
	size_t still_high = second_of_noise(&r, e);
	check_int(r.keyframes, ==, 1);
	check_int(still_high, >, 2500000);
	/* With the next that somebody wants. */
	encoder_rig_encode(&r, e, true, 0);
	(void)second_of_noise(&r, e);
	size_t low = second_of_noise(&r, e);
	check_int(low, <, 1400000);
	check_int(r.keyframes, ==, 2);
	/* Nobody wants one: after a while. */
	check_ok(ops.set_bitrate(e, 4000000));
	encoder_rig_encode(&r, e, false, 0);
	check_int(r.keyframes, ==, 2);
	r.pts_ns += 5 * NSEC_PER_SEC;
	encoder_rig_encode(&r, e, false, 0);
	check_int(r.keyframes, ==, 3);
	check_int(second_of_noise(&r, e), >, 2500000);
	/* No bound is another mode. */
	check_ok(ops.set_bitrate(e, 0));
	encoder_rig_encode(&r, e, true, 0);
	check_int(second_of_noise(&r, e), >, 5000000);
	check_int(r.keyframes, ==, 4);
	ops.destroy(e);
	encoder_rig_finish(&r);
	check_nothing_left();
}

TEST(refinement) {
	struct encoder_rig r;
	struct encoder *e;
	encoder_rig_init(&r, 320, 192);
	struct encoder_config config = encoder_rig_config(&r);
	config.bitrate = 2000000;
	check_ok(encoder_avcodec_x264.create(&config, &e));
	encoder_rig_draw(&r, true);
	encoder_rig_encode(&r, e, false, 0);
	double before = r.psnr;
	unsigned passes = 0;
	while (e->ops->refine_passes(e) > 0) {
		encoder_rig_encode(&r, e, false, ++passes);
		check_int(r.au->refine, ==, passes);
		check_int(passes, <, 20);
	}
	check_int(passes, >, 1);
	if (r.psnr < before + 3) {
		fail("refined from %.1f dB to %.1f dB only", before, r.psnr);
	}
	check_int(r.keyframes, ==, 1);
	e->ops->destroy(e);
	encoder_rig_finish(&r);
}

TEST(sessions_and_memory_are_bounded) {
	struct encoder_config config = {
		.width = 320, .height = 192, .fps = 60, .quality = 23, .threads = 1};
	struct encoder *e[2], *third;
	size_t bytes;
	avcodec_set_max_sessions(2);
	check_ok(encoder_avcodec_x264.create(&config, &e[0]));
	check_ok(encoder_avcodec_x264.create(&config, &e[1]));
	check_int(encoder_avcodec_x264.create(&config, &third), ==, -EBUSY);
	check_int(avcodec_sessions(&bytes), ==, 2);
	check_int(bytes, ==, 2 * 2 * 320 * 192 * 3 / 2);
	encoder_avcodec_x264.destroy(e[0]);
	check_ok(encoder_avcodec_x264.create(&config, &e[0]));
	encoder_avcodec_x264.destroy(e[0]);
	encoder_avcodec_x264.destroy(e[1]);
	struct avcodec_kind greedy = good;
	greedy.surfaces_in_flight = 50000;
	check_int(avcodec_encoder_create(&greedy, &config, &third), ==, -ENOMEM);
	check_nothing_left();
}

TEST(one_that_holds_pictures_back_is_broken) {
	struct avcodec_kind kind = good;
	struct encoder_rig r;
	struct encoder *e;
	struct access_unit *au;
	kind.options[0] = "preset=medium:forced-idr=1";
	encoder_rig_init(&r, 320, 192);
	struct encoder_config config = encoder_rig_config(&r);
	check_ok(avcodec_encoder_create(&kind, &config, &e));
	struct encode_request request = {.picture = r.picture, .pts_ns = 1};
	check_int(ops.encode(e, &request, &au), ==, -EIO);
	ops.destroy(e);
	encoder_rig_finish(&r);
	check_nothing_left();
}

TEST(second_options_are_tried) {
	struct avcodec_kind kind = good;
	struct encoder_rig r;
	struct encoder *e;
	kind.options[0] = "preset=none-such";
	kind.options[1] = GOOD ":an-option-of-another-version=1";
	encoder_rig_init(&r, 320, 192);
	struct encoder_config config = encoder_rig_config(&r);
	check_ok(avcodec_encoder_create(&kind, &config, &e));
	encoder_rig_encode(&r, e, false, 0);
	ops.destroy(e);
	encoder_rig_finish(&r);
}

#define SPS 0x67, 0x42, 0xc0, 0x28, 0x95, 0xa0, 0x1e, 0x00, 0x89, 0xf9, 0x50
#define SPS2                                                                                      \
	0x67, 0x42, 0xd0, 0x28, 0x95, 0xa0, 0x1e, 0x00, 0x89, 0xf9, 0x60, 0x1b, 0x41, 0x10, 0x8d, \
		0x40
#define PPS 0x68, 0xce, 0x38, 0x80
#define IDR 0x65, 0x88, 0x84, 0x21

TEST(access_units) {
	/* Delimiter, message, sets, IDR, filling; short start codes. */
	static const uint8_t full[] = {0, 0, 1, 9, 0xf0, 0, 0, 1, 6, 5, 1, 0, 0x80, 0, 0, 1, SPS, 0,
		0, 1, PPS, 0, 0, 1, IDR, 0, 0, 1, 12, 0xff, 0x80};
	static const uint8_t bare[] = {0, 0, 1, IDR};
	static const uint8_t sets[] = {0, 0, 0, 1, SPS, 0, 0, 0, 1, PPS};
	static const uint8_t later[] = {0, 0, 1, 0x41, 0x9a, 0x21};
	static const uint8_t want[] = {0, 0, 0, 1, SPS2, 0, 0, 0, 1, PPS, 0, 0, 0, 1, IDR};
	static const uint8_t want_later[] = {0, 0, 0, 1, 0x41, 0x9a, 0x21};
	struct access_unit *au;
	check_ok(avcodec_make_access_unit(full, sizeof(full), NULL, 0, &au));
	check(au->keyframe && au->size == sizeof(want) && memcmp(au->data, want, au->size) == 0);
	access_unit_unref(au);
	check_ok(avcodec_make_access_unit(bare, sizeof(bare), sets, sizeof(sets), &au));
	check(au->keyframe && au->size == sizeof(want) && memcmp(au->data, want, au->size) == 0);
	access_unit_unref(au);
	check_ok(avcodec_make_access_unit(later, sizeof(later), sets, sizeof(sets), &au));
	check(!au->keyframe && au->size == sizeof(want_later));
	check(memcmp(au->data, want_later, au->size) == 0);
	access_unit_unref(au);
	check_int(avcodec_make_access_unit(bare, sizeof(bare), NULL, 0, &au), ==, -EIO);
	check_int(avcodec_make_access_unit(bare, sizeof(bare), sets, 16, &au), ==, -EIO);
	check_int(avcodec_make_access_unit(sets, sizeof(sets), NULL, 0, &au), ==, -EIO);
	check_int(avcodec_make_access_unit(full, 0, NULL, 0, &au), ==, -EIO);
}
