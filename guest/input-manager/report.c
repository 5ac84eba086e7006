/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "report.h"
#include "util.h"

static void add(struct report *r, uint16_t type, uint16_t code, int32_t value) {
	r->events[r->n_events++] = (struct input_event){.type = type, .code = code, .value = value};
}

static void set_key(struct held *held, uint16_t key, bool down) {
	uint64_t bit = UINT64_C(1) << key % 64;
	if (down) {
		held->keys[key / 64] |= bit;
	} else {
		held->keys[key / 64] &= ~bit;
	}
}

static void end_touch_report(struct report *r, uint32_t before, uint32_t after) {
	if ((before == 0) != (after == 0)) {
		add(r, EV_KEY, BTN_TOUCH, after != 0);
	}
	add(r, EV_SYN, SYN_REPORT, 0);
}

static int32_t track(struct held *held, struct touch_state *touch, bool down) {
	uint32_t bit = UINT32_C(1) << held->slot;
	if (!down) {
		held->touches &= ~bit;
		touch->touches &= ~bit;
		return -1;
	}
	held->touches |= bit;
	touch->touches |= bit;
	return touch->next_tracking++;
}

/* Until a slot's touch would begin or end for the second time. */
static size_t touch_report(const struct input_record *records, size_t n, struct held *held,
	struct touch_state *touch, struct report *r) {
	uint32_t before = touch->touches, tracked = 0;
	size_t i;
	/* The kernel's slot may be another link's. */
	add(r, EV_ABS, ABS_MT_SLOT, (int32_t)held->slot);
	for (i = 0; i < n && records[i].kind == INPUT_TOUCH; i++) {
		int32_t value = records[i].value;
		if (records[i].code == ABS_MT_SLOT) {
			held->slot = (uint32_t)value;
		} else if (records[i].code == ABS_MT_TRACKING_ID) {
			uint32_t bit = UINT32_C(1) << held->slot;
			if (tracked & bit) {
				break;
			}
			tracked |= bit;
			value = track(held, touch, value >= 0);
		}
		add(r, EV_ABS, records[i].code, value);
	}
	end_touch_report(r, before, touch->touches);
	return i;
}

/* Until a key has changed. */
static size_t plain_report(
	const struct input_record *records, size_t n, struct held *held, struct report *r) {
	size_t i = 0;
	bool ended = false;
	while (i < n && !ended && records[i].kind == r->kind) {
		const struct input_record *record = &records[i++];
		ended = record->type == EV_KEY;
		if (ended) {
			set_key(held, record->code, record->value != 0);
		}
		add(r, record->type, record->code, record->value);
	}
	add(r, EV_SYN, SYN_REPORT, 0);
	return i;
}

size_t report_next(const struct input_record *records, size_t n, struct held *held,
	struct touch_state *touch, struct report *ret) {
	ret->kind = records[0].kind;
	ret->n_events = 0;
	return ret->kind == INPUT_TOUCH ? touch_report(records, n, held, touch, ret)
					: plain_report(records, n, held, ret);
}

static bool release_key(struct held *held, const struct held *others, struct report *r) {
	for (unsigned word = 0; word < HELD_KEYS_WORDS; word++) {
		held->keys[word] &= ~others->keys[word];
		if (held->keys[word] == 0) {
			continue;
		}
		uint16_t key = (uint16_t)(word * 64 + (unsigned)__builtin_ctzll(held->keys[word]));
		set_key(held, key, false);
		r->kind = key < BTN_MISC ? INPUT_KEYBOARD : INPUT_POINTER;
		add(r, EV_KEY, key, 0);
		add(r, EV_SYN, SYN_REPORT, 0);
		return true;
	}
	return false;
}

/* All at once. */
static bool release_touches(
	struct held *held, const struct held *others, struct touch_state *touch, struct report *r) {
	uint32_t before = touch->touches;
	held->touches &= ~others->touches;
	if (held->touches == 0) {
		return false;
	}
	r->kind = INPUT_TOUCH;
	for (held->slot = 0; held->slot < INPUT_SLOTS; held->slot++) {
		if (held->touches & UINT32_C(1) << held->slot) {
			add(r, EV_ABS, ABS_MT_SLOT, (int32_t)held->slot);
			add(r, EV_ABS, ABS_MT_TRACKING_ID, track(held, touch, false));
		}
	}
	held->slot = 0;
	end_touch_report(r, before, touch->touches);
	return true;
}

bool report_release(struct held *held, const struct held *others, struct touch_state *touch,
	struct report *ret) {
	ret->n_events = 0;
	return release_key(held, others, ret) || release_touches(held, others, touch, ret);
}

void held_add(struct held *to, const struct held *from) {
	for (unsigned word = 0; word < HELD_KEYS_WORDS; word++) {
		to->keys[word] |= from->keys[word];
	}
	to->touches |= from->touches;
}
