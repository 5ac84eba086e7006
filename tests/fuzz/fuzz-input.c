/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every packet of the input manager's socket through what reads it at either end. Whatever can be
 * decoded is encoded again and must come out the same. Events are also made into reports, as the
 * manager does, by two links in turn; afterwards nothing is held any more.
 */
#include <stdlib.h>
#include <string.h>

#include "proto/input.h"
#include "report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(int ok) {
	if (!ok) {
		abort();
	}
}

static void check_create(const uint8_t *p, size_t len) {
	struct input_create m, back;
	uint8_t buf[INPUT_HEADER_SIZE + INPUT_CREATE_SIZE];
	if (input_decode_create(p, len, &m) == 0) {
		expect(input_encode_create(buf, sizeof(buf), &m) == sizeof(buf));
		expect(input_decode_create(buf + INPUT_HEADER_SIZE, INPUT_CREATE_SIZE, &back) == 0);
		expect(back.kinds == m.kinds && strcmp(back.name, m.name) == 0);
	}
}

static void check_attach(const uint8_t *p, size_t len) {
	struct input_attach m;
	uint8_t buf[INPUT_HEADER_SIZE + INPUT_ATTACH_SIZE];
	if (input_decode_attach(p, len, &m) == 0) {
		expect(input_encode_attach(buf, sizeof(buf), &m) == sizeof(buf));
		expect(memcmp(buf + INPUT_HEADER_SIZE, p, INPUT_ATTACH_SIZE) == 0);
	}
}

/* As a sane device would have it: alternating, in range, and ended. */
static void check_report(const struct report *r) {
	expect(r->n_events > 0 && r->n_events <= REPORT_EVENTS_MAX);
	expect(r->kind < _INPUT_KIND_MAX);
	for (unsigned i = 0; i < r->n_events; i++) {
		const struct input_event *e = &r->events[i];
		if (i == r->n_events - 1) {
			expect(e->type == EV_SYN && e->code == SYN_REPORT);
		} else {
			expect(input_kind_has(r->kind, e->type, e->code));
		}
	}
}

static void feed(const struct input_record *records, size_t n, struct held *held,
	struct touch_state *touch) {
	while (n > 0) {
		struct report r;
		size_t used = report_next(records, n, held, touch, &r);
		expect(used > 0 && used <= n);
		check_report(&r);
		records += used;
		n -= used;
	}
}

static void release(struct held *held, const struct held *others, struct touch_state *touch) {
	struct report r;
	for (unsigned n = 0; report_release(held, others, touch, &r); n++) {
		check_report(&r);
		expect(n < KEY_CNT + 1);
	}
}

static void check_events(const uint8_t *p, size_t len) {
	struct input_record records[INPUT_RECORDS_MAX];
	uint8_t buf[INPUT_MESSAGE_MAX];
	struct held a = {0}, b = {0};
	static const struct held nobody;
	struct touch_state touch = {0};
	int n = input_decode_events(p, len, records);
	if (n < 0) {
		return;
	}
	expect(input_encode_events(buf, sizeof(buf), records, (size_t)n) ==
		(ssize_t)(INPUT_HEADER_SIZE + len));
	expect(memcmp(buf + INPUT_HEADER_SIZE, p, len) == 0);
	size_t valid = 0;
	for (int i = 0; i < n; i++) {
		if (input_record_is_valid(&records[i])) {
			records[valid++] = records[i];
		}
	}
	feed(records, valid / 2, &a, &touch);
	feed(records + valid / 2, valid - valid / 2, &b, &touch);
	release(&a, &b, &touch);
	release(&b, &nobody, &touch);
	expect(memcmp(b.keys, nobody.keys, sizeof(b.keys)) == 0 && b.touches == 0);
}

static void check_created(const uint8_t *p, size_t len) {
	struct input_created m, back;
	uint8_t buf[INPUT_HEADER_SIZE + INPUT_CREATED_SIZE + _INPUT_KIND_MAX * INPUT_ENTRY_SIZE];
	if (input_decode_created(p, len, &m) == 0) {
		ssize_t n = input_encode_created(buf, sizeof(buf), &m);
		expect(n ==
			(ssize_t)(INPUT_HEADER_SIZE + INPUT_CREATED_SIZE +
				m.count * INPUT_ENTRY_SIZE));
		expect(input_decode_created(
			       buf + INPUT_HEADER_SIZE, (size_t)n - INPUT_HEADER_SIZE, &back) == 0);
		expect(back.count == m.count);
		for (uint32_t i = 0; i < m.count; i++) {
			expect(strcmp(back.entries[i].sysname, m.entries[i].sysname) == 0);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	/* A copy of exactly this size: reading beyond it is noticed. */
	uint8_t *copy = malloc(size ? size : 1), type;
	struct input_reply reply;
	uint32_t kinds;
	expect(copy != NULL);
	memcpy(copy, data, size);
	if (input_decode_header(copy, size, &type) == INPUT_HEADER_SIZE) {
		const uint8_t *p = copy + INPUT_HEADER_SIZE;
		size_t len = size - INPUT_HEADER_SIZE;
		check_create(p, len);
		check_attach(p, len);
		check_events(p, len);
		check_created(p, len);
		if (input_decode_reply(p, len, &reply) == 0) {
			expect(input_code_to_string(reply.code) != NULL);
		}
		(void)input_decode_attached(p, len, &kinds);
	}
	free(copy);
	return 0;
}
