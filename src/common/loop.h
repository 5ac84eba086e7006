/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The sd-event loop of a program's main thread, and the signals that it takes. A signal is blocked
 * before it is taken from there, also in threads that start later: make the loop before them.
 */
#ifndef HELIX_COMMON_LOOP_H
#define HELIX_COMMON_LOOP_H

#include <systemd/sd-event.h>

/*
 * The loop of a daemon: SIGTERM and SIGINT go to `handler` (NULL: they end the loop with 0),
 * SIGPIPE is ignored, and the service manager's watchdog is fed. -errno.
 */
int loop_create(sd_event_signal_handler_t handler, void *data, sd_event **ret);

/* The signals alone, for programs that are no daemons. */
int loop_handle_end(sd_event *loop, sd_event_signal_handler_t handler, void *data);
/* One more signal. */
int loop_handle_signal(sd_event *loop, int signal, sd_event_signal_handler_t handler, void *data);

#endif
