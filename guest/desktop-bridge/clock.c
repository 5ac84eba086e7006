/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "clock.h"
#include "util.h"

#define PERIOD_NS (50 * NSEC_PER_MSEC)
/* What the kernel may add to join wake-ups; below what is measured. */
#define ACCURACY_US 250

uint64_t clock_wire_us(uint64_t mono_ns) {
	static int64_t offset_us;
	if (offset_us == 0) {
		struct timespec ts;
		clock_gettime(CLOCK_REALTIME, &ts);
		offset_us = (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000 -
			(int64_t)(now_ns() / NSEC_PER_USEC);
	}
	return (uint64_t)((int64_t)(mono_ns / NSEC_PER_USEC) + offset_us);
}

static void arm(struct canary *c) {
	c->due_ns = now_ns() + PERIOD_NS;
	(void)sd_event_source_set_time(c->timer, c->due_ns / NSEC_PER_USEC);
}

static int handle_timer(sd_event_source *source, uint64_t usec, void *data) {
	struct canary *c = data;
	uint64_t now = now_ns();
	uint64_t late = now > c->due_ns ? (now - c->due_ns) / NSEC_PER_MSEC : 0;
	c->late_ms[c->next] = (uint16_t)MIN(late, UINT16_MAX);
	c->next = (c->next + 1) % CANARY_SAMPLES;
	c->n = MIN(c->n + 1, CANARY_SAMPLES);
	arm(c);
	return 0;
}

int canary_init(struct canary *c, sd_event *loop) {
	*c = (struct canary){0};
	int r = sd_event_add_time(
		loop, &c->timer, CLOCK_MONOTONIC, 0, ACCURACY_US, handle_timer, c);
	return r < 0 ? r : sd_event_source_set_enabled(c->timer, SD_EVENT_OFF);
}

void canary_finish(struct canary *c) {
	c->timer = sd_event_source_disable_unref(c->timer);
}

void canary_run(struct canary *c, bool on) {
	int state;
	if (sd_event_source_get_enabled(c->timer, &state) < 0 || on == (state != SD_EVENT_OFF)) {
		return;
	}
	c->n = c->next = 0;
	if (on) {
		arm(c);
	}
	(void)sd_event_source_set_enabled(c->timer, on ? SD_EVENT_ON : SD_EVENT_OFF);
}

static int compare(const void *a, const void *b) {
	return *(const uint16_t *)a - *(const uint16_t *)b;
}

void canary_read(const struct canary *c, uint16_t *ret_p50, uint16_t *ret_p99, uint16_t *ret_max) {
	uint16_t sorted[CANARY_SAMPLES];
	if (c->n == 0) {
		*ret_p50 = *ret_p99 = *ret_max = 0;
		return;
	}
	memcpy(sorted, c->late_ms, c->n * sizeof(sorted[0]));
	qsort(sorted, c->n, sizeof(sorted[0]), compare);
	*ret_p50 = sorted[c->n / 2];
	*ret_p99 = sorted[c->n * 99 / 100];
	*ret_max = sorted[c->n - 1];
}
