/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A real compositor of wlroots without a screen, and programs in it. */
#ifndef HELIX_TESTS_WLROOTS_DESK_H
#define HELIX_TESTS_WLROOTS_DESK_H

#include <stdbool.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

struct desk {
	char dir[64]; /* its runtime directory */
	const char *compositor, *socket;
	pid_t pid; /* 0: does not run */
	sd_event *loop;
};

bool desk_has(const char *program);
/* Its folder, and the environment of its clients, us among them. Skips the test without the compositor. */
void desk_init(struct desk *d, const char *compositor, const char *layout);
/* Ends the compositor, if it runs. */
void desk_finish(struct desk *d);
/* Until clients can connect, while the loop turns. */
void desk_start(struct desk *d);
void desk_stop(struct desk *d, int signal);
/* A program in it, which the caller ends or waits for; `out`: also what it says of errors. */
pid_t desk_run(const struct desk *d, const char *const *args, const char *in, const char *out);

#endif
