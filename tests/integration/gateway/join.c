/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The RevDial client library as a program, for tests: revdial-join URL SESSION TOKEN LOCAL-PORT */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "libhelix/revdial-client.h"
#include "parse.h"
#include "util.h"

static void handle_changed(void *data, const struct revdial_status *status) {
	printf("%s %d\n", status->connected ? "connected" : "lost", status->error);
	(void)fflush(stdout);
}

static int handle_end(sd_event_source *source, const struct signalfd_siginfo *info, void *data) {
	return sd_event_exit(sd_event_source_get_event(source), 0);
}

int main(int argc, char *argv[]) {
	struct revdial_client *client;
	sd_event *loop;
	sigset_t mask;
	uint32_t port;
	if (argc != 5 || parse_u32(argv[4], 1, UINT16_MAX, &port) < 0) {
		return 2;
	}
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &mask, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	struct revdial_config config = {
		.url = argv[1],
		.session = argv[2],
		.token = argv[3],
		.insecure = true,
		.local_port = (uint16_t)port,
	};
	int r = sd_event_default(&loop);
	if (r >= 0) {
		r = sd_event_add_signal(loop, NULL, SIGTERM, handle_end, NULL);
	}
	if (r >= 0) {
		r = revdial_client_create(loop, &config, handle_changed, NULL, &client);
	}
	if (r < 0) {
		fprintf(stderr, "revdial-join: %s\n", strerror(-r));
		return 1;
	}
	r = sd_event_loop(loop);
	revdial_client_destroy(client);
	sd_event_unref(loop);
	return r < 0;
}
