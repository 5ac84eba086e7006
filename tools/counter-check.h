/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Decodes a stream and reads the frame counters at the top and at the bottom of each picture
 * (libhelix/counter.h): they must agree, and never go back. Twins: counter-check-av.c, and
 * counter-check-none.c for builds without libavcodec.
 */
#ifndef HELIX_TOOLS_COUNTER_CHECK_H
#define HELIX_TOOLS_COUNTER_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct counter_check;

struct counter_report {
	uint64_t decoded;    /* pictures */
	uint64_t undecoded;  /* access units that the decoder refused */
	uint64_t held_back;  /* access units whose picture did not come out at once */
	uint64_t unreadable; /* pictures without both counters */
	uint64_t torn;       /* the two differ */
	uint64_t backwards;  /* less than in the picture before */
	uint64_t repeated;   /* the same as in the picture before: refinement, IDR of old content */
	uint64_t skipped;    /* counts that were never seen: flips superseded before encoding */
	uint32_t first, last;
};

/* -ENOTSUP: built without a decoder. */
int counter_check_create(struct counter_check **ret);
void counter_check_destroy(struct counter_check *check);
void counter_check_frame(struct counter_check *check, const uint8_t *data, size_t size);
void counter_check_get_report(const struct counter_check *check, struct counter_report *ret);
/* Everything could be read, and in order. */
bool counter_report_is_good(const struct counter_report *r);

#endif
