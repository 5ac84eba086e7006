/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mutter-lease-launcher: a desktop on a leased output, from the lease to the session program. See
 * launcher.h for its parts.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "launcher.h"
#include "log.h"
#include "loop.h"
#include "util.h"

LOG_MODULE("launcher");

static int handle_child(sd_event_source *source, const struct signalfd_siginfo *info, void *data) {
	steps_reap(data);
	return 0;
}

static int handle_end(sd_event_source *source, const struct signalfd_siginfo *info, void *data) {
	log_info("ending: %s", strsignal((int)info->ssi_signo));
	steps_end(data, 0);
	return 0;
}

static int create_loop(struct launcher *l) {
	static const int ends[] = {SIGTERM, SIGINT, SIGHUP};
	(void)signal(SIGPIPE, SIG_IGN);
	int r = sd_event_default(&l->loop);
	if (r >= 0) {
		r = loop_handle_signal(l->loop, SIGCHLD, handle_child, l);
	}
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(ends); i++) {
		r = loop_handle_signal(l->loop, ends[i], handle_end, l);
	}
	return r;
}

static void set_runtime_dir(struct launcher *l) {
	const char *dir = getenv("XDG_RUNTIME_DIR");
	if (dir && *dir) {
		(void)snprintf(l->runtime_dir, sizeof(l->runtime_dir), "%s", dir);
	} else {
		(void)snprintf(l->runtime_dir, sizeof(l->runtime_dir), "/run/user/%u",
			(unsigned)geteuid());
	}
}

static int ask_the_running_one(const struct launcher *l) {
	const struct launcher_config *c = &l->config;
	char line[64] = "status\n";
	if (c->action == ACTION_RESIZE && c->resize_refresh > 0) {
		(void)snprintf(line, sizeof(line), "resize %ux%u@%u\n", c->resize_width,
			c->resize_height, c->resize_refresh);
	} else if (c->action == ACTION_RESIZE) {
		(void)snprintf(
			line, sizeof(line), "resize %ux%u\n", c->resize_width, c->resize_height);
	}
	return control_ask(l->runtime_dir, line) < 0 ? 1 : 0;
}

static int run(struct launcher *l) {
	/* Those that lose their parent come to us, as they would to the init of a container. */
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1);
	process_close_on_exec();
	int r = create_loop(l);
	if (r >= 0) {
		r = services_init(l);
	}
	if (r >= 0) {
		r = control_create(l, &l->control);
	}
	if (r >= 0) {
		r = steps_init(l);
	}
	if (r >= 0) {
		r = sd_event_loop(l->loop);
	}
	if (r < 0 && l->report.problems > 0) {
		log_err("cannot start before that is mended (or with --force)");
	} else if (r < 0) {
		log_err_errno(r, "cannot start");
	}
	if (l->config.action == ACTION_CHECK) {
		printf("%u problems, %u warnings\n", l->report.problems, l->report.warnings);
	}
	control_destroy(l->control);
	steps_finish(l);
	services_finish(l);
	keeper_destroy(l->keeper);
	sd_event_unref(l->loop);
	return r < 0 ? 1 : l->status;
}

int main(int argc, char *argv[]) {
	static struct launcher launcher;
	struct launcher *l = &launcher;
	l->started_ns = now_ns();
	switch (launcher_options_parse(argc, argv, &l->config)) {
	case OPTIONS_RUN:
		break;
	case OPTIONS_EXIT:
		return 0;
	case OPTIONS_ERROR:
		return 2;
	}
	set_runtime_dir(l);
	if (l->config.action == ACTION_RESIZE || l->config.action == ACTION_STATUS) {
		return ask_the_running_one(l);
	}
	return run(l);
}
