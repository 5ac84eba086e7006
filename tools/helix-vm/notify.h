/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The other end of sd_notify(3): hears which process says READY=1. */
#ifndef HELIX_VM_NOTIFY_H
#define HELIX_VM_NOTIFY_H

#include <sys/types.h>
#include <systemd/sd-event.h>

struct notify {
	sd_event_source *source; // owns the socket
	void (*ready)(pid_t pid, void *data);
	void *data;
};

/* Binds a socket to `path`. `ready` and `data` are set by the caller. */
int notify_listen(struct notify *n, sd_event *loop, const char *path);
void notify_finish(struct notify *n);

#endif
