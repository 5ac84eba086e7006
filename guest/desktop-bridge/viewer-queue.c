/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "viewer-queue.h"
#include "util.h"

#define BYTES_MAX (4u * 1024 * 1024)
/*
 * An IDR may take longer to send than the queue may last; dropping what came behind it would cost
 * another IDR, for ever. So for as long again as it took the queue may be longer; but not for one
 * that takes this long.
 */
#define IDR_GRACE_MAX_NS (2 * NSEC_PER_SEC)
#define STABLE_NS        (5 * NSEC_PER_SEC) /* streaming for so long forgives earlier stalls */
#define REST_MIN_NS      (500 * NSEC_PER_MSEC)
#define REST_MAX_NS      (8 * NSEC_PER_SEC)

void viewer_queue_init(struct viewer_queue *q, uint64_t span_ns) {
	*q = (struct viewer_queue){.state = VIEWER_WAITING, .span_ns = span_ns};
}

static struct unit *pop(struct viewer_queue *q) {
	struct unit *u = q->units[q->first];
	q->first = (q->first + 1) % VIEWER_QUEUE_UNITS;
	q->n--;
	q->bytes -= u->size;
	return u;
}

static void clear(struct viewer_queue *q) {
	while (q->n > 0) {
		unit_unref(pop(q));
		q->skipped++;
	}
}

void viewer_queue_finish(struct viewer_queue *q) {
	clear(q);
}

static bool in_grace(const struct viewer_queue *q, uint64_t now) {
	if (q->idr_begin_ns == 0 || now - q->idr_begin_ns > IDR_GRACE_MAX_NS) {
		return false;
	}
	uint64_t end = q->idr_end_ns ? q->idr_end_ns : now;
	return now <= end + (end - q->idr_begin_ns);
}

static bool overflows(const struct viewer_queue *q, const struct unit *u, uint64_t now) {
	if (q->n == 0) {
		return false; /* however large: it must be deliverable */
	}
	if (q->n == VIEWER_QUEUE_UNITS || q->bytes + u->size > BYTES_MAX) {
		return true;
	}
	return (u->pts_us - q->units[q->first]->pts_us) * NSEC_PER_USEC > q->span_ns &&
		!in_grace(q, now);
}

static void choose_rest(struct viewer_queue *q, bool alone, uint64_t now) {
	if (alone || now - q->streaming_ns > STABLE_NS) {
		q->rest_ns = 0;
	} else {
		q->rest_ns = MIN(MAX(2 * q->rest_ns, REST_MIN_NS), REST_MAX_NS);
	}
}

void viewer_queue_offer(struct viewer_queue *q, struct unit *u, bool alone, uint64_t now) {
	bool takes = q->state == VIEWER_STREAMING ||
		(u->keyframe && (q->state == VIEWER_WAITING || q->state == VIEWER_RESTING));
	if (!takes) {
		q->skipped += q->state != VIEWER_WAITING && q->state != VIEWER_PAUSED;
		return;
	}
	if (q->state != VIEWER_STREAMING) {
		q->state = VIEWER_STREAMING;
		q->streaming_ns = now;
	}
	if (overflows(q, u, now)) {
		clear(q);
		if (!u->keyframe) {
			q->skipped++;
			q->stalls++;
			choose_rest(q, alone, now);
			q->state = VIEWER_STALLED;
			return;
		}
	}
	q->units[(q->first + q->n) % VIEWER_QUEUE_UNITS] = unit_ref(u);
	q->n++;
	q->bytes += u->size;
}

struct unit *viewer_queue_take(struct viewer_queue *q, uint64_t now) {
	if (q->n == 0) {
		return NULL;
	}
	struct unit *u = pop(q);
	if (u->keyframe) {
		q->idr_begin_ns = now;
		q->idr_end_ns = 0;
	}
	return u;
}

bool viewer_queue_sent(struct viewer_queue *q, bool keyframe, uint64_t now) {
	if (keyframe) {
		q->idr_end_ns = now;
	}
	if (q->state != VIEWER_STALLED) {
		return false;
	}
	q->state = q->rest_ns ? VIEWER_RESTING : VIEWER_WAITING;
	q->rest_until_ns = now + q->rest_ns;
	return q->state == VIEWER_WAITING;
}

uint64_t viewer_queue_wake_ns(const struct viewer_queue *q) {
	return q->state == VIEWER_RESTING ? q->rest_until_ns : 0;
}

bool viewer_queue_wake(struct viewer_queue *q, uint64_t now) {
	if (q->state != VIEWER_RESTING || now < q->rest_until_ns) {
		return false;
	}
	q->state = VIEWER_WAITING;
	return true;
}

bool viewer_queue_lost(struct viewer_queue *q) {
	if (q->state != VIEWER_STREAMING) {
		return false;
	}
	clear(q);
	q->skipped++;
	q->state = VIEWER_WAITING;
	return true;
}

bool viewer_queue_pause(struct viewer_queue *q, bool pause) {
	if (pause) {
		clear(q);
		q->state = VIEWER_PAUSED;
		return false;
	}
	if (q->state != VIEWER_PAUSED) {
		return false;
	}
	q->state = VIEWER_WAITING;
	return true;
}
