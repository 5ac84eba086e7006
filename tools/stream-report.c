/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "stream-report.h"

struct summary {
	double seconds, fps, kbits;
	struct distribution size, interval, latency;
};

static void summarize(struct report *r, struct summary *ret) {
	samples_summarize(&r->size, &ret->size);
	samples_summarize(&r->interval_us, &ret->interval);
	samples_summarize(&r->latency_us, &ret->latency);
	ret->seconds = (double)r->duration_us / 1e6;
	ret->fps = ret->seconds > 0 ? (double)r->frames / ret->seconds : 0;
	ret->kbits = ret->seconds > 0 ? (double)r->size.sum * 8 / 1000 / ret->seconds : 0;
}

static json_t *json_distribution(const struct distribution *d) {
	return json_pack("{s:I, s:I, s:I, s:I, s:I}", "n", (json_int_t)d->n, "mean",
		(json_int_t)d->mean, "p50", (json_int_t)d->p50, "p99", (json_int_t)d->p99, "max",
		(json_int_t)d->max);
}

static json_t *json_counter(const struct counter_report *c) {
	return json_pack("{s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "good",
		counter_report_is_good(c), "decoded", (json_int_t)c->decoded, "undecoded",
		(json_int_t)c->undecoded, "held_back", (json_int_t)c->held_back, "unreadable",
		(json_int_t)c->unreadable, "torn", (json_int_t)c->torn, "backwards",
		(json_int_t)c->backwards, "repeated", (json_int_t)c->repeated, "skipped",
		(json_int_t)c->skipped, "first", (json_int_t)c->first, "last", (json_int_t)c->last);
}

static void print_json(const struct report *r, const struct summary *s,
	const struct counter_report *counter, bool good) {
	json_t *root = json_pack("{s:b, s:i, s:f, s:I, s:f, s:I, s:I, s:f, s:I, s:o, s:o}", "good",
		good, "scanout", (int)r->scanout, "seconds", s->seconds, "frames",
		(json_int_t)r->frames, "fps", s->fps, "keyframes", (json_int_t)r->keyframes,
		"bytes", (json_int_t)r->size.sum, "kbits_per_second", s->kbits, "first_frame_us",
		(json_int_t)r->first_frame_us, "size", json_distribution(&s->size), "interval_us",
		json_distribution(&s->interval));
	if (root && r->hello) {
		(void)json_object_set_new(root, "width", json_integer(r->width));
		(void)json_object_set_new(root, "height", json_integer(r->height));
		(void)json_object_set_new(
			root, "refinements", json_integer((json_int_t)r->refinements));
		(void)json_object_set_new(root, "missed", json_integer((json_int_t)r->missed));
		(void)json_object_set_new(root, "dropped", json_integer(r->dropped));
	}
	if (root && r->same_clock) {
		(void)json_object_set_new(root, "latency_us", json_distribution(&s->latency));
	}
	if (root && counter) {
		(void)json_object_set_new(root, "counter", json_counter(counter));
	}
	(void)json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
	putchar('\n');
	json_decref(root);
}

static void print_distribution(
	const char *name, const struct distribution *d, double scale, const char *unit) {
	if (d->n == 0) {
		printf("  %-14s -\n", name);
		return;
	}
	printf("  %-14s mean %.2f, p50 %.2f, p99 %.2f, max %.2f %s\n", name,
		(double)d->mean / scale, (double)d->p50 / scale, (double)d->p99 / scale,
		(double)d->max / scale, unit);
}

static void print_counter(const struct counter_report *c) {
	printf("  %-14s %s: %" PRIu32 " to %" PRIu32 " in %" PRIu64 " pictures; %" PRIu64
	       " repeated, %" PRIu64 " skipped\n",
		"frame counter", counter_report_is_good(c) ? "good" : "BAD", c->first, c->last,
		c->decoded, c->repeated, c->skipped);
	if (!counter_report_is_good(c)) {
		printf("  %-14s %" PRIu64 " torn, %" PRIu64 " backwards, %" PRIu64
		       " unreadable, %" PRIu64 " not decoded, %" PRIu64 " held back\n",
			"", c->torn, c->backwards, c->unreadable, c->undecoded, c->held_back);
	}
}

static void print_text(
	const struct report *r, const struct summary *s, const struct counter_report *counter) {
	printf("scanout %" PRIu32 ": %" PRIu64 " frames in %.2f s, %.1f/s, %" PRIu64
	       " keyframes, %.1f kbit/s\n",
		r->scanout, r->frames, s->seconds, s->fps, r->keyframes, s->kbits);
	if (r->frames > 0) {
		printf("  %-14s %.2f ms after SUBSCRIBE\n", "first frame",
			(double)r->first_frame_us / 1000);
	}
	print_distribution("size", &s->size, 1, "bytes");
	print_distribution("interval", &s->interval, 1000, "ms");
	if (r->hello) {
		if (r->same_clock) {
			print_distribution("flip to here", &s->latency, 1000, "ms");
		} else {
			printf("  %-14s unknown: the server's clock is another\n", "flip to here");
		}
		printf("  %-14s %" PRIu32 "x%" PRIu32 ", %" PRIu64 " refining\n", "picture",
			r->width, r->height, r->refinements);
		printf("  %-14s %" PRIu64 " units missed, of which %" PRIu32
		       " dropped for this client\n",
			"losses", r->missed, r->dropped);
	}
	if (counter) {
		print_counter(counter);
	}
}

void report_print(struct report *r, const struct counter_report *counter, bool good, bool json) {
	struct summary s;
	summarize(r, &s);
	if (json) {
		print_json(r, &s, counter, good);
	} else {
		print_text(r, &s, counter);
	}
	(void)fflush(stdout);
}

void report_finish(struct report *r) {
	samples_finish(&r->size);
	samples_finish(&r->interval_us);
	samples_finish(&r->latency_us);
}
