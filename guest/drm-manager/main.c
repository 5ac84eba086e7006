/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * helix-drm-manager: the only master of the VM's cards. See manager.h for its parts.
 */
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "log.h"
#include "loop.h"
#include "manager-options.h"
#include "manager.h"

LOG_MODULE("manager");

#define DEVICE_NODES 16u /* /dev/dri/card… that are tried */

/* A name in the store has no slash. */
static void card_fd_name(const char *path, char ret[STORE_NAME_SIZE]) {
	(void)snprintf(ret, STORE_NAME_SIZE, "card%s", path);
	for (char *p = ret; *p; p++) {
		*p = *p == '/' ? '-' : *p;
	}
}

static int open_card(struct manager *m, const char *path, const char *driver) {
	struct managed_card *c = &m->cards[m->n_cards];
	char name[STORE_NAME_SIZE];
	if (m->n_cards == CARDS_MAX) {
		return -E2BIG;
	}
	card_fd_name(path, name);
	*c = (struct managed_card){.manager = m, .index = m->n_cards};
	int fd = store_take(&m->store, name);
	int r = fd >= 0 ? card_adopt(&c->card, path, fd) : card_open(&c->card, path, driver);
	if (fd >= 0 && r < 0) {
		log_warn_errno(r, "%s: what was kept of it is of no use", path);
		store_remove(&m->store, name);
		r = card_open(&c->card, path, driver);
	}
	if (r < 0) {
		return r;
	}
	store_put(&m->store, name, c->card.fd);
	m->n_cards++;
	log_info("%s: %u outputs%s", path, c->card.n_outputs, fd >= 0 ? ", as before" : "");
	return 0;
}

static int open_cards(struct manager *m) {
	const struct manager_config *config = &m->config;
	int failed = -ENODEV;
	for (unsigned i = 0; i < config->n_devices; i++) {
		int r = open_card(m, config->devices[i], NULL);
		if (r < 0) {
			log_err_errno(r, "%s cannot be used%s", config->devices[i],
				r == -EBUSY ? " (somebody else is its master)" : "");
			return r;
		}
	}
	for (unsigned i = 0; config->n_devices == 0 && i < DEVICE_NODES; i++) {
		char path[64];
		(void)snprintf(path, sizeof(path), "/dev/dri/card%u", i);
		int r = open_card(m, path, CARD_DRIVER);
		if (r < 0 && r != -ENOENT && r != -ENODEV) {
			log_err_errno(r, "%s cannot be used", path);
			failed = r;
		}
	}
	if (m->n_cards == 0) {
		log_err_errno(failed, "there is no card of %s to lease outputs of", CARD_DRIVER);
		return failed;
	}
	return 0;
}

static int create_exporters(struct manager *m) {
	if (m->config.n_exporters < m->n_cards) {
		log_err("there are %u cards, but only %u --exporter", m->n_cards,
			m->config.n_exporters);
		return -EINVAL;
	}
	for (unsigned i = 0; i < m->n_cards; i++) {
		int r = exporter_create(m->loop, &m->config.exporters[i], &pool_exporter_handler,
			&m->cards[i], &m->cards[i].exporter);
		if (r < 0) {
			return r;
		}
	}
	return 0;
}

static int run(struct manager *m) {
	int r = store_open(&m->store);
	if (r >= 0) {
		r = loop_create(NULL, NULL, &m->loop);
	}
	if (r >= 0) {
		r = uevent_monitor_create(m->loop, pool_handle_hotplug, m, &m->uevents);
	}
	if (r >= 0) {
		r = open_cards(m);
	}
	if (r >= 0) {
		r = create_exporters(m);
	}
	if (r < 0) {
		log_err_errno(r, "cannot start");
		return r;
	}
	for (unsigned i = 0; i < m->n_cards; i++) {
		pool_add_card(m, i);
	}
	revive(m);
	r = listen_start(m);
	if (r < 0) {
		return r;
	}
	(void)sd_notifyf(0, "READY=1\nSTATUS=%u outputs", m->n_outputs);
	r = sd_event_loop(m->loop);
	(void)sd_notify(0, "STOPPING=1");
	return r;
}

/*
 * With a store the leases go on; without one they end with us, since the kernel takes them back
 * from a master that is gone: then the monitors are unplugged.
 */
static void finish(struct manager *m) {
	for (unsigned i = 0; i < m->n_outputs && !m->store.kept; i++) {
		const struct output *o = &m->outputs[i];
		if (o->state != OUTPUT_FREE) {
			exporter_disable(m->cards[o->card].exporter, o->index);
		}
	}
	listen_finish(m);
	pool_finish(m);
	uevent_monitor_destroy(m->uevents);
	for (unsigned i = 0; i < m->n_cards; i++) {
		exporter_destroy(m->cards[i].exporter);
		card_close(&m->cards[i].card);
	}
	store_close(&m->store);
	sd_event_unref(m->loop);
}

int main(int argc, char *argv[]) {
	static struct manager m;
	switch (manager_options_parse(argc, argv, &m.config)) {
	case OPTIONS_ERROR:
		return 2;
	case OPTIONS_EXIT:
		return 0;
	case OPTIONS_RUN:
		break;
	}
	list_init(&m.conns);
	pool_init(&m);
	m.store.state = -1;
	for (unsigned i = 0; i < LISTENERS_MAX; i++) {
		m.listeners[i] = (struct listener){.fd = -1, .lock_fd = -1};
	}

	int r = run(&m);
	finish(&m);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
