/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One content through one pipe, to or from a program that may be slow, may never end, or may go away
 * in the middle. Behind whatever else the loop has to do, a piece at a time, and for a bounded time.
 */
#ifndef HELIX_BRIDGE_CLIPBOARD_TRANSFER_H
#define HELIX_BRIDGE_CLIPBOARD_TRANSFER_H

#include <systemd/sd-event.h>

#include "content.h"

struct transfer;

/*
 * Called once, from the loop: 0, or -EFBIG, -ETIMEDOUT, -EPIPE …; then the transfer is to be destroyed,
 * which may be done within the call. `data`: what was read, the callee's to free; NULL when writing.
 */
typedef void (*transfer_fn)(void *user, int error, uint8_t *data, size_t size);

/* Both consume `fd`, also if they fail. Reads until its end, at most `max` bytes. */
int transfer_read(sd_event *loop, int fd, size_t max, uint64_t timeout_us, transfer_fn done,
	void *user, struct transfer **ret);
/* Takes a reference of `content`. Closes `fd` when all is written. */
int transfer_write(sd_event *loop, int fd, struct clipboard_content *content, uint64_t timeout_us,
	transfer_fn done, void *user, struct transfer **ret);
/* Closes the pipe; `done` is not called any more. */
void transfer_destroy(struct transfer *t);

#endif
