/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fallback.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "log.h"
#include "util.h"

LOG_MODULE("encoder");

struct encoder_fallback {
	struct encoder base;
	struct encoder_config config;
	struct fallback *state;
	struct encoder *primary;  // NULL: lost
	struct encoder *software; // NULL while the primary works
};

static struct encoder_fallback *from(struct encoder *encoder) {
	return container_of(encoder, struct encoder_fallback, base);
}

static uint64_t state_now(const struct fallback *s) {
	return s->clock ? s->clock() : now_ns();
}

static void destroy(struct encoder **encoder) {
	if (*encoder) {
		(*encoder)->ops->destroy(*encoder);
		*encoder = NULL;
	}
}

static struct encoder *in_use(const struct encoder_fallback *e) {
	return e->primary ? e->primary : e->software;
}

static void publish(const struct encoder_fallback *e) {
	const struct encoder *encoder = in_use(e);
	atomic_store(&e->state->current, encoder ? encoder->ops : NULL);
}

/* It failed, or is not to be had: when to try again. */
static void lose(struct encoder_fallback *e, int r) {
	struct fallback *s = e->state;
	uint64_t now = state_now(s);
	destroy(&e->primary);
	bool rested = !s->is_lost && now - s->good_since >= FALLBACK_GOOD_NS;
	if (s->wait_ns == 0 || rested) {
		s->wait_ns = FALLBACK_RETRY_FIRST_NS;
	} else {
		s->wait_ns = MIN(2 * s->wait_ns, FALLBACK_RETRY_LAST_NS);
	}
	s->retry_at = now + s->wait_ns;
	s->is_lost = true;
	atomic_fetch_add_explicit(&s->lost, 1, memory_order_relaxed);
	log_warn_errno(r,
		"scanout %" PRIu32 ": %s fails at %" PRIu32 "x%" PRIu32
		", x264 encodes; tried again in %" PRIu64 " s",
		s->scanout_id, s->primary->name, e->config.width, e->config.height,
		s->wait_ns / NSEC_PER_SEC);
}

static bool due(const struct fallback *s) {
	return s->primary && (!s->is_lost || state_now(s) >= s->retry_at);
}

/* Counts as back only once it has encoded. */
static int get_primary(struct encoder_fallback *e) {
	int r = e->state->primary->create(&e->config, &e->primary);
	if (r < 0) {
		lose(e, r);
	}
	return r;
}

static int get_software(struct encoder_fallback *e) {
	return e->software ? 0 : encoder_x264.create(&e->config, &e->software);
}

static void encoder_fallback_destroy(struct encoder *encoder) {
	if (!encoder) {
		return;
	}
	struct encoder_fallback *e = from(encoder);
	destroy(&e->primary);
	destroy(&e->software);
	publish(e);
	free(e);
}

static int encoder_fallback_create(const struct encoder_config *config, struct encoder **ret) {
	struct encoder_fallback *e = calloc(1, sizeof(*e));
	if (!e) {
		return -ENOMEM;
	}
	e->base.ops = &encoder_fallback;
	e->config = *config;
	e->state = config->fallback;
	int r = due(e->state) ? get_primary(e) : -ENODEV;
	if (r < 0) {
		r = get_software(e);
	}
	if (r < 0) {
		encoder_fallback_destroy(&e->base);
		return r;
	}
	publish(e);
	*ret = &e->base;
	return 0;
}

static void note_success(struct encoder_fallback *e) {
	struct fallback *s = e->state;
	if (s->is_lost || s->good_since == 0) {
		s->good_since = state_now(s);
	}
	if (s->is_lost) {
		s->is_lost = false;
		atomic_fetch_add_explicit(&s->recovered, 1, memory_order_relaxed);
		log_info("scanout %" PRIu32 ": %s encodes again", s->scanout_id, s->primary->name);
	}
	destroy(&e->software);
	publish(e);
}

static int encode_primary(struct encoder_fallback *e, const struct encode_request *request,
	struct access_unit **ret) {
	struct encode_request q = *request;
	/* Its chain begins where that of x264 ends. */
	q.idr = q.idr || e->software;
	int r = e->primary->ops->encode(e->primary, &q, ret);
	if (r < 0) {
		lose(e, r);
		return r;
	}
	note_success(e);
	return 0;
}

static int encoder_fallback_encode(
	struct encoder *encoder, const struct encode_request *request, struct access_unit **ret) {
	struct encoder_fallback *e = from(encoder);
	const struct picture *p = request->picture;
	if (p->width != e->config.width || p->height != e->config.height) {
		return -EINVAL;
	}
	/* A quiet screen is better left to get sharp. */
	if (!e->primary && request->refine == 0 && due(e->state)) {
		(void)get_primary(e);
	}
	if (e->primary && encode_primary(e, request, ret) >= 0) {
		return 0;
	}
	/* One made just now starts with an IDR of its own accord; viewers have what another wrote. */
	struct encode_request q = *request;
	if (!e->software) {
		q.idr = true;
		q.refine = 0;
	}
	int r = get_software(e);
	if (r >= 0) {
		publish(e);
		r = e->software->ops->encode(e->software, &q, ret);
	}
	return r;
}

static int encoder_fallback_set_bitrate(struct encoder *encoder, uint32_t bitrate) {
	struct encoder_fallback *e = from(encoder);
	e->config.bitrate = bitrate;
	struct encoder *now = in_use(e);
	return now ? now->ops->set_bitrate(now, bitrate) : 0;
}

static unsigned encoder_fallback_refine_passes(const struct encoder *encoder) {
	const struct encoder *now =
		in_use(container_of(encoder, const struct encoder_fallback, base));
	return now ? now->ops->refine_passes(now) : 0;
}

const struct encoder_ops encoder_fallback = {
	.name = "fallback",
	.create = encoder_fallback_create,
	.destroy = encoder_fallback_destroy,
	.encode = encoder_fallback_encode,
	.set_bitrate = encoder_fallback_set_bitrate,
	.refine_passes = encoder_fallback_refine_passes,
};
