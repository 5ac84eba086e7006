/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Hardware that is lost, exhausted and comes back: a wrapper that fails when the test says so. */
#include <errno.h>
#include <stdlib.h>

#include "encoder-rig.h"
#include "fallback.h"
#include "test.h"
#include "util.h"

/* The hardware: libavcodec's x264, until it breaks. */
struct fragile {
	struct encoder base;
	struct encoder *inner;
};

static struct {
	unsigned creates, live;
	int create_error;  /* 0: it can be had */
	unsigned good_for; /* pictures until one fails */
	uint32_t bitrate;
} hardware;

static uint64_t now;

static uint64_t test_clock(void) {
	return now;
}

static const struct encoder_ops fragile_ops;

static int fragile_create(const struct encoder_config *config, struct encoder **ret) {
	hardware.creates++;
	if (hardware.create_error) {
		return hardware.create_error;
	}
	struct fragile *f = calloc(1, sizeof(*f));
	check(f != NULL);
	f->base.ops = &fragile_ops;
	check_ok(encoder_avcodec_x264.create(config, &f->inner));
	hardware.live++;
	hardware.bitrate = config->bitrate;
	*ret = &f->base;
	return 0;
}

static void fragile_destroy(struct encoder *encoder) {
	if (encoder) {
		struct fragile *f = container_of(encoder, struct fragile, base);
		f->inner->ops->destroy(f->inner);
		free(f);
		hardware.live--;
	}
}

static int fragile_encode(
	struct encoder *encoder, const struct encode_request *request, struct access_unit **ret) {
	struct fragile *f = container_of(encoder, struct fragile, base);
	if (hardware.good_for == 0) {
		return -EIO;
	}
	hardware.good_for--;
	return f->inner->ops->encode(f->inner, request, ret);
}

static int fragile_set_bitrate(struct encoder *encoder, uint32_t bitrate) {
	(void)encoder;
	hardware.bitrate = bitrate;
	return 0;
}

static unsigned fragile_refine_passes(const struct encoder *encoder) {
	(void)encoder;
	return 0;
}

static const struct encoder_ops fragile_ops = {
	.name = "fragile",
	.create = fragile_create,
	.destroy = fragile_destroy,
	.encode = fragile_encode,
	.set_bitrate = fragile_set_bitrate,
	.refine_passes = fragile_refine_passes,
};

struct rig {
	struct encoder_rig r;
	struct fallback state;
	struct encoder_config config;
	struct encoder *e;
};

static void rig_init(struct rig *t, const struct encoder_ops *primary, unsigned good_for) {
	hardware.good_for = good_for;
	now = 1000 * NSEC_PER_SEC;
	encoder_rig_init(&t->r, 320, 192);
	t->state = (struct fallback){.scanout_id = 3, .primary = primary, .clock = test_clock};
	t->config = encoder_rig_config(&t->r);
	t->config.fallback = &t->state;
	check_ok(encoder_fallback.create(&t->config, &t->e));
}

static void rig_finish(struct rig *t) {
	t->e->ops->destroy(t->e);
	check(atomic_load(&t->state.current) == NULL);
	check_int(hardware.live, ==, 0);
	encoder_rig_finish(&t->r);
}

/* Pictures that each decode, and look right, whoever encoded them. */
static void run(struct rig *t, unsigned frames) {
	for (unsigned i = 0; i < frames; i++) {
		encoder_rig_draw(&t->r, false);
		encoder_rig_encode(&t->r, t->e, false, 0);
		check(t->r.psnr > 30);
	}
}

static bool is_current(const struct rig *t, const struct encoder_ops *ops) {
	return atomic_load(&t->state.current) == ops;
}

TEST(lost_in_the_middle) {
	struct rig t;
	rig_init(&t, &fragile_ops, 10);
	check(is_current(&t, &fragile_ops));
	run(&t, 10);
	check_int(t.r.keyframes, ==, 1);
	/* The picture on which it fails is encoded nevertheless, by x264, as an IDR. */
	run(&t, 1);
	check(t.r.au->keyframe && is_current(&t, &encoder_x264));
	check_int(atomic_load(&t.state.lost), ==, 1);
	check_int(hardware.live, ==, 0);
	run(&t, 20);
	check_int(t.r.keyframes, ==, 2);
	check_int(hardware.creates, ==, 1);
	check(t.e->ops->refine_passes(t.e) > 0);
	rig_finish(&t);
}

TEST(comes_back_at_an_idr) {
	struct rig t;
	rig_init(&t, &fragile_ops, 5);
	run(&t, 6);
	hardware.good_for = 100;
	now += FALLBACK_RETRY_FIRST_NS - 1;
	run(&t, 3);
	check(is_current(&t, &encoder_x264));
	now += 1;
	/* Not while a quiet screen is refined. */
	encoder_rig_encode(&t.r, t.e, false, 1);
	check(is_current(&t, &encoder_x264));
	run(&t, 1);
	check(t.r.au->keyframe && is_current(&t, &fragile_ops));
	check_int(atomic_load(&t.state.recovered), ==, 1);
	run(&t, 20);
	check_int(t.r.keyframes, ==, 3);
	rig_finish(&t);
}

TEST(tried_ever_more_rarely) {
	struct rig t;
	rig_init(&t, &fragile_ops, 1);
	run(&t, 2);
	hardware.create_error = -EBUSY;
	uint64_t wait = FALLBACK_RETRY_FIRST_NS;
	for (unsigned i = 0; i < 10; i++) {
		now += wait - 1;
		run(&t, 2);
		check_int(hardware.creates, ==, 1 + i);
		now += 1;
		run(&t, 2);
		check_int(hardware.creates, ==, 2 + i);
		wait = MIN(2 * wait, FALLBACK_RETRY_LAST_NS);
	}
	check_int(wait, ==, FALLBACK_RETRY_LAST_NS);
	check_int(atomic_load(&t.state.lost), ==, 11);
	/* x264 was never interrupted. */
	check_int(t.r.keyframes, ==, 2);
	rig_finish(&t);
}

TEST(opens_but_does_not_encode) {
	struct rig t;
	rig_init(&t, &fragile_ops, 0);
	run(&t, 3);
	check_int(t.r.keyframes, ==, 1);
	now += FALLBACK_RETRY_FIRST_NS;
	run(&t, 3);
	check_int(hardware.creates, ==, 2);
	check_int(t.r.keyframes, ==, 1);
	check_int(atomic_load(&t.state.lost), ==, 2);
	check_int(atomic_load(&t.state.recovered), ==, 0);
	rig_finish(&t);
}

TEST(waits_are_short_again_after_good_service) {
	struct rig t;
	rig_init(&t, &fragile_ops, 1);
	run(&t, 2);
	now += FALLBACK_RETRY_FIRST_NS;
	run(&t, 1); /* fails again */
	check_int(t.state.wait_ns, ==, 2 * FALLBACK_RETRY_FIRST_NS);
	hardware.good_for = 2;
	now += 2 * FALLBACK_RETRY_FIRST_NS;
	run(&t, 2);
	check(is_current(&t, &fragile_ops));
	run(&t, 1); /* good only for a moment */
	check_int(t.state.wait_ns, ==, 4 * FALLBACK_RETRY_FIRST_NS);
	hardware.good_for = 2;
	now += 4 * FALLBACK_RETRY_FIRST_NS;
	run(&t, 1);
	now += FALLBACK_GOOD_NS;
	run(&t, 1);
	run(&t, 1);
	check_int(t.state.wait_ns, ==, FALLBACK_RETRY_FIRST_NS);
	rig_finish(&t);
}

TEST(exhausted_from_the_start) {
	struct rig t;
	hardware.create_error = -EBUSY;
	rig_init(&t, &fragile_ops, 100);
	check(is_current(&t, &encoder_x264));
	run(&t, 3);
	check_int(hardware.creates, ==, 1);
	/* Another size, or new viewers: a new encoder, but no new try before its time. */
	t.e->ops->destroy(t.e);
	check_ok(encoder_fallback.create(&t.config, &t.e));
	check_int(hardware.creates, ==, 1);
	hardware.create_error = 0;
	now += FALLBACK_RETRY_FIRST_NS;
	run(&t, 2);
	check(is_current(&t, &fragile_ops));
	rig_finish(&t);
}

TEST(without_hardware) {
	struct rig t;
	rig_init(&t, NULL, 0);
	check(is_current(&t, &encoder_x264));
	run(&t, 5);
	check_int(t.r.keyframes, ==, 1);
	check_int(atomic_load(&t.state.lost), ==, 0);
	rig_finish(&t);
}

TEST(bitrate_goes_along) {
	struct rig t;
	rig_init(&t, &fragile_ops, 3);
	check_ok(t.e->ops->set_bitrate(t.e, 2000000));
	check_int(hardware.bitrate, ==, 2000000);
	run(&t, 5);
	check(is_current(&t, &encoder_x264));
	check_ok(t.e->ops->set_bitrate(t.e, 3000000));
	check_int(hardware.bitrate, ==, 2000000);
	hardware.good_for = 10;
	now += FALLBACK_RETRY_FIRST_NS;
	run(&t, 1);
	check_int(hardware.bitrate, ==, 3000000);
	rig_finish(&t);
}

TEST(another_size_is_refused) {
	struct rig t;
	struct access_unit *au;
	rig_init(&t, &fragile_ops, 10);
	struct picture *other = picture_create(64, 64);
	check(other != NULL);
	struct encode_request request = {.picture = other, .pts_ns = 1};
	check_int(t.e->ops->encode(t.e, &request, &au), ==, -EINVAL);
	check_int(atomic_load(&t.state.lost), ==, 0);
	picture_destroy(other);
	rig_finish(&t);
	t.config.width = 3;
	hardware.create_error = -EINVAL;
	check_int(encoder_fallback.create(&t.config, &t.e), ==, -EINVAL);
	encoder_fallback.destroy(NULL);
}
