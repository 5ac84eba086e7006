/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * helix-input-manager: makes each desktop's keyboard, pointer and touch screen. See
 * input-manager.h for its parts.
 */
#include <systemd/sd-daemon.h>

#include "input-manager.h"
#include "input-options.h"
#include "log.h"
#include "loop.h"

LOG_MODULE("manager");

int main(int argc, char *argv[]) {
	static struct manager m;
	sd_event *loop;
	switch (input_options_parse(argc, argv, &m.config)) {
	case OPTIONS_ERROR:
		return 2;
	case OPTIONS_EXIT:
		return 0;
	case OPTIONS_RUN:
		break;
	}
	manager_init(&m);
	int r = loop_create(NULL, NULL, &loop);
	if (r < 0) {
		log_err_errno(r, "cannot start");
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
