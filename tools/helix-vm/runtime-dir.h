/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The directory of a running VM's sockets. A lock in it keeps a second VM out; what one that was
 * killed left there is replaced.
 */
#ifndef HELIX_VM_RUNTIME_DIR_H
#define HELIX_VM_RUNTIME_DIR_H

#include "plan.h"

/* Names beside those of plan.h. */
#define CONTROL_SOCKET "control.sock" /* QMP, ours */
#define NOTIFY_SOCKET  "notify.sock"  /* sd_notify of the exporters */

struct runtime_dir {
	const struct plan *plan;
	bool created; /* so it goes when we go */
	int lock_fd;  // -1: not ours
};

/* Says what is wrong; -errno. runtime_dir_finish() is due in any case. */
int runtime_dir_init(struct runtime_dir *d, const struct plan *plan);
/* Removes all that belongs to the VM. */
void runtime_dir_finish(struct runtime_dir *d);

/*
 * A stream socket of this name in it (see plan_socket_path()): one that listens, or a connection, which
 * does not wait for the other end. Says what is wrong; -errno.
 */
int runtime_dir_listen(const struct plan *plan, const char *name, unsigned gpu);
int runtime_dir_connect(const struct plan *plan, const char *name, unsigned gpu);

#endif
