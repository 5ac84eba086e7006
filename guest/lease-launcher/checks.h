/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What usually keeps a compositor from drawing on a lease in a container, looked for before it
 * fails in its own words or, worse, in none. Each problem comes with what to do about it.
 */
#ifndef HELIX_LAUNCHER_CHECKS_H
#define HELIX_LAUNCHER_CHECKS_H

#include <stdbool.h>
#include <sys/types.h>

#include "lease-probe.h"

struct report {
	bool print; /* findings, and what is all right, to stdout; else findings to the log */
	unsigned problems, warnings;
};

void report_problem(struct report *r, const char *advice, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void report_warning(struct report *r, const char *advice, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void report_fine(struct report *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A directory of our own that others cannot read. Makes it, or mends its mode, where it can. */
void check_runtime_dir(struct report *r, const char *dir);
/* dbus-daemon refuses users that have no name. */
void check_user(struct report *r, uid_t uid);
/* The DRM manager's socket. */
void check_manager(struct report *r, const char *path);
/* `optional`: what is lost without it; NULL: nothing goes without. */
void check_program(struct report *r, const char *name, const char *package, const char *optional);

/*
 * The node that has the lease's device number: `wanted` if that is not NULL, else whichever of
 * /dev/dri has it. It must be possible to stat it; to open it is not needed.
 */
void check_card(struct report *r, const char *wanted, dev_t device, char *ret, size_t size);
/* `made`: 0, or why the udev database could not be completed. `needed`: by the compositor. */
void check_udev(struct report *r, const char *dir, dev_t device, int made, bool needed);
void check_lease(struct report *r, int probed, const struct lease_facts *facts);
/* If the card draws: compositors do that through the lease, programs through its render node. */
void check_3d(struct report *r, const struct lease_facts *facts);

#endif
