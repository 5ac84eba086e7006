/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>

#include "loop.h"

int loop_handle_signal(sd_event *loop, int signal, sd_event_signal_handler_t handler, void *data) {
	sigset_t mask;
	(void)sigemptyset(&mask);
	(void)sigaddset(&mask, signal);
	if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0) {
		return -errno;
	}
	return sd_event_add_signal(loop, NULL, signal, handler, data);
}

int loop_handle_end(sd_event *loop, sd_event_signal_handler_t handler, void *data) {
	int r = loop_handle_signal(loop, SIGTERM, handler, data);
	return r < 0 ? r : loop_handle_signal(loop, SIGINT, handler, data);
}

int loop_create(sd_event_signal_handler_t handler, void *data, sd_event **ret) {
	sd_event *loop = NULL;
	(void)signal(SIGPIPE, SIG_IGN);
	int r = sd_event_default(&loop);
	if (r >= 0) {
		r = loop_handle_end(loop, handler, data);
	}
	if (r < 0) {
		sd_event_unref(loop);
		return r;
	}
	(void)sd_event_set_watchdog(loop, true);
	*ret = loop;
	return 0;
}
