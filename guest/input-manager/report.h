/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a client's records to the kernel's reports, and what is held down by whom. Pure: no I/O.
 *
 * A report is what happens at once on one device, and ends with SYN_REPORT. Readers look at its end
 * at what is down, so that a key that goes down and up in one report may never have been: each key,
 * button and beginning or end of a touch has its own.
 */
#ifndef HELIX_INPUT_MANAGER_REPORT_H
#define HELIX_INPUT_MANAGER_REPORT_H

#include <linux/input.h>
#include <stdbool.h>
#include <stddef.h>

#include <helix/input.h>

/* A report's records, twice one for a slot, a BTN_TOUCH and the SYN_REPORT. */
#define REPORT_EVENTS_MAX (INPUT_RECORDS_MAX + 4u)

#define HELD_KEYS_WORDS ((KEY_CNT + 63) / 64)

/* What one link holds down. */
struct held {
	uint64_t keys[HELD_KEYS_WORDS]; /* of keyboard and pointer, which have none in common */
	uint32_t touches;               /* bits of slots */
	uint32_t slot;                  /* that its touch records are about */
};

/* Of a touch screen, over all links. */
struct touch_state {
	uint32_t touches;       /* bits of slots */
	uint16_t next_tracking; /* ids that differ, whatever links send */
};

struct report {
	enum input_kind kind;
	unsigned n_events;
	struct input_event events[REPORT_EVENTS_MAX];
};

/*
 * The report that begins with the first of `n` (not 0) valid records. Returns how many of them it
 * takes up.
 */
size_t report_next(const struct input_record *records, size_t n, struct held *held,
	struct touch_state *touch, struct report *ret);

/*
 * What ends something that `held` holds and nobody of `others` does; false: nothing is left.
 * Forgets what it ends, and what others hold too.
 */
bool report_release(struct held *held, const struct held *others, struct touch_state *touch,
	struct report *ret);
/* Adds what `from` holds. */
void held_add(struct held *to, const struct held *from);

#endif
