/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "input-manager.h"
#include "log.h"

LOG_MODULE("manager");

void manager_init(struct manager *m) {
	list_init(&m->sets);
	list_init(&m->conns);
	m->listener = (struct listener){.fd = -1, .lock_fd = -1};
}

int manager_start(struct manager *m, sd_event *loop) {
	m->loop = sd_event_ref(loop);
	int r = devices_check();
	if (r < 0) {
		log_err_errno(r, "/dev/uinput cannot be opened (is the module uinput loaded?)");
		return r;
	}
	r = worker_create(m->loop, &m->worker);
	if (r < 0) {
		log_err_errno(r, "cannot start a thread");
		return r;
	}
	return listen_start(m);
}

void manager_finish(struct manager *m) {
	struct set *set;
	list_for_each(set, &m->sets, link) {
		set_end(set);
	}
	listen_finish(m);
	/* With it the last devices go. */
	worker_destroy(m->worker);
	m->worker = NULL;
	m->loop = sd_event_unref(m->loop);
}
