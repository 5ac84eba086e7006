/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Connecting over TCP without waiting: names are looked up in a thread, the addresses found are
 * tried one after the other.
 */
#ifndef HELIX_NET_DIAL_H
#define HELIX_NET_DIAL_H

#include <systemd/sd-event.h>

#include "util.h"

struct dial;

/*
 * Called once: `fd` is connected and the callee's, or a negative errno (-ETIMEDOUT; -ENXIO: there is
 * no such host). The dial is gone by then.
 */
typedef void (*dial_fn)(void *data, int fd);

/* The callback never comes from within this call. */
int dial_create(sd_event *loop, const char *host, uint16_t port, unsigned timeout_ms, dial_fn done,
	void *data, struct dial **ret);
/* Calls it off: the callback does not come any more. */
void dial_destroy(struct dial *d);

#endif
