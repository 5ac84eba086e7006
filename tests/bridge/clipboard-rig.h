/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The bridge's side of a clipboard in a test: what was read, what became of what was set. */
#ifndef HELIX_TESTS_CLIPBOARD_RIG_H
#define HELIX_TESTS_CLIPBOARD_RIG_H

#include "clipboard/clipboard.h"
#include "test.h"
#include "util.h"

/* First member of the test's own. */
struct clipboard_rig {
	sd_event *loop; // borrowed
	struct clipboard *clipboard;
	struct clipboard_watcher watcher;
	unsigned reads_done, sets_done, told;
	int error, set_error;
	struct clipboard_content *got; // may be NULL
};

/* Turns the loop until `condition` holds. */
#define RUN_UNTIL(loop, condition)                               \
	do {                                                     \
		uint64_t run_end = now_ns() + 30 * NSEC_PER_SEC; \
		while (!(condition)) {                           \
			check_int(now_ns(), <, run_end);         \
			check_ok(sd_event_run(loop, 100000));    \
		}                                                \
	} while (0)

/* `backend` may be NULL. */
void clipboard_rig_init(struct clipboard_rig *c, sd_event *loop, struct clipboard_backend *backend);
void clipboard_rig_finish(struct clipboard_rig *c);
struct clipboard_state clipboard_rig_state(const struct clipboard_rig *c);
/* `reads_done` counts those that are; it begins anew, or goes on. */
void clipboard_rig_begin_read(struct clipboard_rig *c);
void clipboard_rig_read_more(struct clipboard_rig *c);
/* `data` is copied. Returns when it is done. */
void clipboard_rig_set(
	struct clipboard_rig *c, enum clipboard_kind kind, const void *data, size_t size);
void clipboard_rig_expect(
	const struct clipboard_rig *c, enum clipboard_kind kind, const void *data, size_t size);
unsigned clipboard_rig_fds(void);

/* One red pixel. */
extern const uint8_t clipboard_rig_png[69];

#endif
