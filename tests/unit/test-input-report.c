/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From records to reports, and who releases what. */
#include <stdarg.h>

#include "report.h"
#include "test.h"
#include "util.h"

struct screen {
	struct held held;
	struct touch_state *touch;
	char text[4096]; /* what was reported: "1:30=1 |" */
};

static void print_report(struct screen *s, const struct report *r) {
	size_t used = strlen(s->text);
	for (unsigned i = 0; i < r->n_events; i++) {
		const struct input_event *e = &r->events[i];
		int n = e->type == EV_SYN ? snprintf(s->text + used, sizeof(s->text) - used, "| ")
					  : snprintf(s->text + used, sizeof(s->text) - used,
						    "%u:%x=%d ", e->type, e->code, e->value);
		used += (size_t)n;
	}
}

static void send(struct screen *s, const struct input_record *records, size_t n) {
	s->text[0] = '\0';
	while (n > 0) {
		struct report r;
		size_t used = report_next(records, n, &s->held, s->touch, &r);
		check_int(used, >, 0);
		check_int(used, <=, n);
		check_int(r.n_events, <=, REPORT_EVENTS_MAX);
		print_report(s, &r);
		records += used;
		n -= used;
	}
}

#define SEND(s, ...)                                                     \
	do {                                                             \
		static const struct input_record sent[] = {__VA_ARGS__}; \
		send((s), sent, ARRAY_SIZE(sent));                       \
	} while (0)

static void release(struct screen *s, const struct held *others) {
	struct report r;
	s->text[0] = '\0';
	while (report_release(&s->held, others, s->touch, &r)) {
		print_report(s, &r);
	}
}

#define KEY(code, value) \
	{ INPUT_KEYBOARD, EV_KEY, code, value }
#define BTN(code, value) \
	{ INPUT_POINTER, EV_KEY, code, value }
#define ABS(code, value) \
	{ INPUT_POINTER, EV_ABS, code, value }
#define SLOT(value) \
	{ INPUT_TOUCH, EV_ABS, ABS_MT_SLOT, value }
#define TRACK(value) \
	{ INPUT_TOUCH, EV_ABS, ABS_MT_TRACKING_ID, value }
#define TOUCH_X(value) \
	{ INPUT_TOUCH, EV_ABS, ABS_MT_POSITION_X, value }

TEST(each_key_has_its_own_report) {
	struct touch_state touch = {0};
	struct screen s = {.touch = &touch};
	SEND(&s, KEY(30, 1), KEY(30, 0), KEY(31, 1));
	check_str(s.text, "1:1e=1 | 1:1e=0 | 1:1f=1 | ");
	SEND(&s, ABS(ABS_X, 1), ABS(ABS_Y, 2), BTN(BTN_LEFT, 1), ABS(ABS_X, 3));
	check_str(s.text, "3:0=1 3:1=2 1:110=1 | 3:0=3 | ");
	/* Devices in the order in which they were named. */
	SEND(&s, ABS(ABS_X, 1), KEY(29, 1), ABS(ABS_X, 2));
	check_str(s.text, "3:0=1 | 1:1d=1 | 3:0=2 | ");
}

TEST(longest_report) {
	struct touch_state touch = {0};
	struct screen s = {.touch = &touch};
	static struct input_record records[INPUT_RECORDS_MAX];
	for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
		records[i] = (struct input_record)TOUCH_X(1);
	}
	records[ARRAY_SIZE(records) - 1] = (struct input_record)TRACK(1);
	send(&s, records, ARRAY_SIZE(records));
}

TEST(touches) {
	struct touch_state touch = {0};
	struct screen s = {.touch = &touch}, other = {.touch = &touch};
	SEND(&s, SLOT(0), TRACK(7), TOUCH_X(5), SLOT(1), TRACK(7), TOUCH_X(6));
	check_str(s.text, "3:2f=0 3:2f=0 3:39=0 3:35=5 3:2f=1 3:39=1 3:35=6 1:14a=1 | ");
	/* The slot is each link's own, and so is the touch that BTN_TOUCH is about. */
	SEND(&other, TRACK(7));
	check_str(other.text, "3:2f=0 3:39=2 | ");
	SEND(&s, TOUCH_X(8));
	check_str(s.text, "3:2f=1 3:35=8 | ");
	SEND(&s, TRACK(-1), TRACK(0), TRACK(-1), SLOT(0), TRACK(-1));
	check_str(s.text,
		"3:2f=1 3:39=-1 | 3:2f=1 3:39=3 | "
		"3:2f=1 3:39=-1 3:2f=0 3:39=-1 1:14a=0 | ");
}

TEST(what_one_holds_is_released) {
	struct touch_state touch = {0};
	static const struct held nobody;
	struct screen s = {.touch = &touch};
	SEND(&s, KEY(30, 1), KEY(31, 1), KEY(31, 0), KEY(248, 1), BTN(BTN_LEFT, 1), SLOT(9),
		TRACK(0), SLOT(3), TRACK(0));
	release(&s, &nobody);
	check_str(s.text, "1:1e=0 | 1:f8=0 | 1:110=0 | 3:2f=3 3:39=-1 3:2f=9 3:39=-1 1:14a=0 | ");
	release(&s, &nobody);
	check_str(s.text, "");
	check_int(touch.touches, ==, 0);
}

TEST(what_others_hold_is_not) {
	struct touch_state touch = {0};
	struct screen s = {.touch = &touch}, other = {.touch = &touch};
	struct held others = {0};
	SEND(&s, KEY(30, 1), KEY(31, 1), SLOT(2), TRACK(0), SLOT(3), TRACK(0));
	SEND(&other, KEY(31, 1), KEY(32, 1), SLOT(3), TRACK(0));
	held_add(&others, &other.held);
	release(&s, &others);
	check_str(s.text, "1:1e=0 | 3:2f=2 3:39=-1 | ");
	check_int(touch.touches, ==, 1 << 3);
}
