/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * helix-input-manager: makes each desktop's keyboard, pointer and touch screen. See
 * input-manager.h for its parts.
 */
#include <signal.h>
#include <systemd/sd-daemon.h>

#include "input-manager.h"
#include "input-options.h"
#include "log.h"

LOG_MODULE("manager");

static int handle_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *data) {
	return sd_event_exit(sd_event_source_get_event(source), 0);
}

static int create_loop(sd_event **ret) {
	sd_event *loop = NULL;
	int r = sd_event_default(&loop);
	if (r >= 0) {
		r = sd_event_add_signal(loop, NULL, SIGTERM, handle_signal, NULL);
	}
	if (r >= 0) {
		r = sd_event_add_signal(loop, NULL, SIGINT, handle_signal, NULL);
	}
	if (r < 0) {
		log_err_errno(r, "cannot start");
		sd_event_unref(loop);
		return r;
	}
	(void)sd_event_set_watchdog(loop, true);
	*ret = loop;
	return 0;
}

int main(int argc, char *argv[]) {
	static struct manager m;
	sd_event *loop;
	sigset_t mask;
	switch (input_options_parse(argc, argv, &m.config)) {
	case OPTIONS_ERROR:
		return 2;
	case OPTIONS_EXIT:
		return 0;
	case OPTIONS_RUN:
		break;
	}
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	(void)sigprocmask(SIG_BLOCK, &mask, NULL);
	(void)signal(SIGPIPE, SIG_IGN);

	manager_init(&m);
	int r = create_loop(&loop);
	if (r < 0) {
		return EXIT_FAILURE;
	}
	r = manager_start(&m, loop);
	if (r >= 0) {
		(void)sd_notify(0, "READY=1");
		r = sd_event_loop(loop);
		(void)sd_notify(0, "STOPPING=1");
	}
	manager_finish(&m);
	sd_event_unref(loop);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
