/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * After a restart. The records say which leases there were, the kernel which of them still are, and
 * the store has the connections of their holders. Where all three agree the lease goes on and
 * nobody notices; a lease without a connection waits for its holder to show the token; what only
 * one of them knows is cleaned away.
 */
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "manager.h"

LOG_MODULE("revive");

static bool has_lessee(const uint32_t *lessees, int n, uint32_t lessee) {
	for (int i = 0; i < n; i++) {
		if (lessees[i] == lessee) {
			return true;
		}
	}
	return false;
}

static bool is_recorded(const struct manager *m, const struct output *o, const uint32_t *lessees,
	int n, struct store_record *ret) {
	const struct card *card = output_card(o);
	return store_read(&m->store, o->scanout, ret) == 0 && ret->scanout == o->scanout &&
		strcmp(ret->card, card->path) == 0 &&
		ret->connector_id == card->outputs[o->index].connector_id &&
		has_lessee(lessees, n, ret->lessee);
}

static void revive_lease(struct output *o, const struct store_record *record) {
	struct manager *m = o->manager;
	char name[STORE_NAME_SIZE];
	list_remove(&o->link);
	o->state = OUTPUT_ORPHANED;
	o->width = record->width;
	o->height = record->height;
	o->refresh = record->refresh;
	o->lessee = record->lessee;
	o->extended = record->extended;
	o->peer = record->peer;
	o->since_ns = record->since_ns;
	memcpy(o->token, record->token, sizeof(o->token));
	(void)snprintf(o->name, sizeof(o->name), "%s", record->name);
	exporter_assume(
		m->cards[o->card].exporter, o->index, o->width, o->height, o->refresh, o->token);

	output_hold_name(o, name);
	int fd = store_take(&m->store, name);
	if (fd >= 0 && conn_revive(m, fd, o, record->extended) == 0) {
		log_info("scanout %u: lessee %u goes on", o->scanout, o->lessee);
		return;
	}
	log_info("scanout %u: lessee %u waits for its holder", o->scanout, o->lessee);
	pool_orphan(o, m->config.grace_ns);
}

static void clean_output(struct output *o) {
	struct manager *m = o->manager;
	char name[STORE_NAME_SIZE];
	store_write(&m->store, o->scanout, NULL);
	output_hold_name(o, name);
	int fd = store_take(&m->store, name);
	if (fd >= 0) {
		(void)close_fd(fd);
		store_remove(&m->store, name);
	}
	exporter_assume(m->cards[o->card].exporter, o->index, 0, 0, 0, NULL);
}

static void revive_card(struct manager *m, unsigned index) {
	const struct card *card = &m->cards[index].card;
	uint32_t lessees[CARD_LESSEES_MAX];
	int n = card_list_lessees(card, lessees);
	if (n < 0) {
		log_warn_errno(n, "%s: cannot list its leases", card->path);
		n = 0;
	}
	for (unsigned i = 0; i < m->n_outputs; i++) {
		struct output *o = &m->outputs[i];
		struct store_record record;
		if (o->card != index) {
			continue;
		}
		if (!is_recorded(m, o, lessees, n, &record)) {
			clean_output(o);
			continue;
		}
		for (int k = 0; k < n; k++) {
			lessees[k] = lessees[k] == record.lessee ? 0 : lessees[k];
		}
		revive_lease(o, &record);
	}
	for (int k = 0; k < n; k++) {
		if (lessees[k] != 0) {
			log_warn("%s: lessee %u is nobody's: revoked", card->path, lessees[k]);
			(void)card_revoke(card, lessees[k]);
		}
	}
}

void revive(struct manager *m) {
	for (unsigned i = 0; i < m->n_cards; i++) {
		revive_card(m, i);
	}
}
