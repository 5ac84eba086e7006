/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * logind-stub: lets an unmodified compositor take a DRM lease as if it were its own graphics card.
 * See stub.h for its parts.
 */
#include <systemd/sd-daemon.h>

#include "log.h"
#include "loop.h"
#include "stub-options.h"

LOG_MODULE("stub");

static void handle_ready(void *data) {
	(void)sd_notify(0, "READY=1");
}

int main(int argc, char *argv[]) {
	static struct stub stub;
	struct stub_config config;
	sd_event *loop = NULL;
	switch (stub_options_parse(argc, argv, &config)) {
	case OPTIONS_ERROR:
		return 2;
	case OPTIONS_EXIT:
		return 0;
	case OPTIONS_RUN:
		break;
	}
	int r = loop_create(NULL, NULL, &loop);
	if (r >= 0) {
		r = stub_init(&stub, loop, &config, handle_ready, NULL);
	}
	if (r >= 0) {
		r = sd_event_loop(loop);
		(void)sd_notify(0, "STOPPING=1");
		if (r < 0) {
			log_err_errno(r, "cannot go on");
		}
	}
	stub_finish(&stub);
	sd_event_unref(loop);
	return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
