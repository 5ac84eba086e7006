/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A thread for what waits in the kernel: making and unmaking devices. One desktop that starts or
 * ends must not hold up the keys of the others.
 */
#ifndef HELIX_INPUT_MANAGER_WORKER_H
#define HELIX_INPUT_MANAGER_WORKER_H

#include <systemd/sd-event.h>

#include "list.h"

struct worker;

/* Embedded in what it is about. */
struct work {
	struct list link;
	void (*run)(struct work *work);  /* by the worker's thread */
	void (*done)(struct work *work); /* by the loop, later */
};

int worker_create(sd_event *loop, struct worker **ret);
/* In the order in which they were posted. */
void worker_post(struct worker *w, struct work *work);
/* After everything that was posted, also by done(), is done. */
void worker_destroy(struct worker *w);

#endif
