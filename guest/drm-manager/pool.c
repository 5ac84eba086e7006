/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An output's way: FREE → ENABLING (the exporter is asked) → PLUGGING (the guest's kernel is to see
 * it: a hot-plug event, and then a probe of this one connector shows it connected with the size
 * asked for) → LEASED → FREE. Each step is taken by an event; requests share nothing but the loop.
 *
 * An output returns to the pool as soon as its lease is revoked: the exporter is told, and never
 * waited for. Requests for it meanwhile are told after that, in order.
 */
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "log.h"
#include "manager.h"
#include "proto/lease.h"

LOG_MODULE("pool");

/*
 * A hot-plug event can get lost: the guest's driver reads what happened, looks, and acknowledges,
 * and what happened between looking and acknowledging is acknowledged with it (Linux 6.12,
 * virtio_gpu_config_changed_work_func). To enable again is to raise the event again.
 */
#define ASK_AGAIN_US (60 * UINT64_C(1000))

/* Widths that the kernel makes a mode of may lose what is not a multiple of 8 (CVT 1.2, 3.4). */
#define CVT_GRANULARITY 8u

struct card *output_card(const struct output *o) {
	return &o->manager->cards[o->card].card;
}

static struct exporter *output_exporter(const struct output *o) {
	return o->manager->cards[o->card].exporter;
}

const char *output_name(const struct output *o) {
	return output_card(o)->outputs[o->index].name;
}

void output_hold_name(const struct output *o, char ret[STORE_NAME_SIZE]) {
	(void)snprintf(ret, STORE_NAME_SIZE, "holder-%u", o->scanout);
}

void output_store(const struct output *o) {
	struct store *store = &o->manager->store;
	char name[STORE_NAME_SIZE];
	struct store_record record = {
		.scanout = o->scanout,
		.lessee = o->lessee,
		.connector_id = output_card(o)->outputs[o->index].connector_id,
		.width = o->width,
		.height = o->height,
		.refresh = o->refresh,
		.extended = o->extended,
		.peer = o->peer,
		.since_ns = o->since_ns,
	};
	memcpy(record.token, o->token, sizeof(record.token));
	(void)snprintf(record.card, sizeof(record.card), "%s", output_card(o)->path);
	(void)snprintf(record.name, sizeof(record.name), "%s", o->name);
	store_write(store, o->scanout, &record);
	if (o->conn) {
		output_hold_name(o, name);
		store_put(store, name, o->conn->fd);
	}
}

void pool_init(struct manager *m) {
	list_init(&m->free);
	list_init(&m->waiting);
}

void pool_add_card(struct manager *m, unsigned card) {
	for (unsigned i = 0; i < m->cards[card].card.n_outputs; i++) {
		/* The first card's first output is the machine's console. */
		if (card == 0 && i == 0) {
			continue;
		}
		struct output *o = &m->outputs[m->n_outputs++];
		*o = (struct output){
			.manager = m,
			.scanout = card * CARD_OUTPUTS_MAX + i,
			.card = card,
			.index = i,
		};
		list_append(&m->free, &o->link);
	}
}

void pool_finish(struct manager *m) {
	for (unsigned i = 0; i < m->n_outputs; i++) {
		m->outputs[i].timer = sd_event_source_disable_unref(m->outputs[i].timer);
	}
}

static struct output *find_free(struct manager *m, const struct wish *wish) {
	struct output *o;
	list_for_each(o, &m->free, link) {
		if (wish->scanout == 0 || wish->scanout == o->scanout) {
			return o;
		}
	}
	return NULL;
}

static bool is_expected(const struct output *o) {
	return o->state == OUTPUT_PLUGGING || (o->state == OUTPUT_LEASED && o->resizing);
}

static void set_again(struct output *o) {
	(void)sd_event_source_set_time_relative(o->timer, o->again_us);
	(void)sd_event_source_set_enabled(o->timer, SD_EVENT_ONESHOT);
}

static int handle_again(sd_event_source *source, uint64_t usec, void *data) {
	struct output *o = data;
	if (is_expected(o)) {
		log_debug("%s: nothing happened: asks again", output_name(o));
		exporter_enable(
			output_exporter(o), o->index, o->width, o->height, o->refresh, o->token);
	}
	if (is_expected(o) || o->state == OUTPUT_ENABLING) {
		o->again_us *= 2;
		set_again(o);
	}
	return 0;
}

static void ask_exporter(struct output *o, bool keep_token) {
	o->asked_seq = o->manager->cards[o->card].hotplugs;
	o->again_us = ASK_AGAIN_US;
	if (!o->timer) {
		(void)sd_event_add_time(o->manager->loop, &o->timer, CLOCK_MONOTONIC, UINT64_MAX,
			TIMER_ACCURACY_US, handle_again, o);
	}
	if (o->timer) {
		set_again(o);
	}
	exporter_enable(output_exporter(o), o->index, o->width, o->height, o->refresh,
		keep_token ? o->token : NULL);
}

static void take(struct output *o, struct conn *conn) {
	const struct wish *wish = &conn->wish;
	list_remove(&o->link);
	o->state = OUTPUT_ENABLING;
	o->conn = conn;
	o->width = wish->width;
	o->height = wish->height;
	o->refresh = wish->refresh;
	o->extended = wish->extended;
	o->peer = conn->peer;
	o->since_ns = now_ns();
	(void)snprintf(o->name, sizeof(o->name), "%s", wish->name);
	conn->output = o;
	ask_exporter(o, false);
}

void pool_request(struct manager *m, struct conn *conn, const struct wish *wish) {
	conn->wish = *wish;
	struct output *o = find_free(m, wish);
	if (o) {
		take(o, conn);
	} else if (wish->wait_ns > 0) {
		list_append(&m->waiting, &conn->wait_link);
	} else if (wish->scanout) {
		conn_refused(conn, LEASE_NO_OUTPUT, "that scanout is not available");
	} else {
		char text[LEASE_TEXT_SIZE];
		(void)snprintf(
			text, sizeof(text), "no scanouts available (all %u in use)", m->n_outputs);
		conn_refused(conn, LEASE_NO_OUTPUT, text);
	}
}

static void serve_waiting(struct manager *m) {
	struct conn *conn, *tmp;
	list_for_each_safe(conn, tmp, &m->waiting, wait_link) {
		struct output *o = find_free(m, &conn->wish);
		if (o && pool_count_leases(m, &conn->peer) < m->config.max_peer_leases) {
			list_remove(&conn->wait_link);
			take(o, conn);
		}
	}
}

void pool_cancel(struct conn *conn) {
	list_remove(&conn->wait_link);
	if (conn->output && !conn->holding) {
		pool_release(conn->output, NULL);
	}
}

void pool_release(struct output *o, const char *why) {
	struct manager *m = o->manager;
	if (o->state == OUTPUT_LEASED || o->state == OUTPUT_ORPHANED) {
		char name[STORE_NAME_SIZE];
		int r = card_revoke(output_card(o), o->lessee);
		if (r < 0) {
			log_err_errno(r, "%s: cannot revoke lease %u", output_name(o), o->lessee);
		}
		store_write(&m->store, o->scanout, NULL);
		output_hold_name(o, name);
		store_remove(&m->store, name);
		log_info("scanout %u: released: %s", o->scanout, why ? why : "given up");
	}
	exporter_disable(output_exporter(o), o->index);
	if (o->conn) {
		o->conn->output = NULL;
	}
	conn_resized(o, LEASE_NO_LEASE, "the lease has ended");
	o->timer = sd_event_source_disable_unref(o->timer);
	o->state = OUTPUT_FREE;
	o->conn = NULL;
	o->resizing = false;
	o->lessee = 0;
	o->name[0] = '\0';
	memset(o->token, 0, sizeof(o->token));
	list_append(&m->free, &o->link);
	serve_waiting(m);
}

/* Fails the attempt, and only then frees the output: whoever waits must not get it first. */
static void give_up(struct output *o, enum lease_code code, const char *text) {
	struct conn *conn = o->conn;
	o->conn = NULL;
	conn->output = NULL;
	conn_refused(conn, code, text);
	pool_release(o, NULL);
}

static void make_lease(struct output *o) {
	int fd = card_lease(output_card(o), o->index, &o->lessee);
	if (fd < 0) {
		char text[LEASE_TEXT_SIZE];
		log_err_errno(fd, "scanout %u: no lease", o->scanout);
		(void)snprintf(text, sizeof(text), "DRM lease failed: %s", strerror(-fd));
		give_up(o, LEASE_KERNEL, text);
		return;
	}
	o->state = OUTPUT_LEASED;
	(void)sd_event_source_set_enabled(o->timer, SD_EVENT_OFF);
	if (lease_token_is_zero(o->token) &&
		getrandom(o->token, sizeof(o->token), 0) != (ssize_t)sizeof(o->token)) {
		log_warn("scanout %u: no token", o->scanout);
	}
	/* Before the holder knows: should we be killed now, somebody knows of its lease. */
	output_store(o);
	struct conn *conn = o->conn;
	if (!conn_granted(conn, fd)) {
		return;
	}
	log_info("scanout %u: %s leased to pid %d uid %u %s%s%s as %ux%u@%u, lessee %u, %.1f ms",
		o->scanout, output_name(o), (int)o->peer.pid, (unsigned)o->peer.uid, o->peer.group,
		o->name[0] ? " for " : "", o->name, o->width, o->height, o->refresh, o->lessee,
		(double)(now_ns() - conn->asked_ns) / 1e6);
}

static bool has_size(const struct output *o, const struct card_mode *mode) {
	uint32_t wider = MAX(mode->width, o->width), narrower = MIN(mode->width, o->width);
	if (o->fixed) {
		return mode->connected;
	}
	return mode->connected && mode->height == o->height && wider - narrower < CVT_GRANULARITY;
}

/* Looks at one that is being plugged in or resized, if there was an event since we asked. */
static void look(struct output *o) {
	struct card_mode mode;
	if (o->manager->cards[o->card].hotplugs == o->asked_seq) {
		return;
	}
	int r = card_probe(output_card(o), o->index, &mode);
	if (r < 0) {
		log_warn_errno(r, "%s: cannot be probed", output_name(o));
		return;
	}
	if (!has_size(o, &mode)) {
		log_debug("%s: %s, %ux%u so far", output_name(o),
			mode.connected ? "connected" : "not connected", mode.width, mode.height);
		return;
	}
	if (o->fixed) {
		o->width = mode.width;
		o->height = mode.height;
		o->refresh = mode.refresh;
	}
	if (o->state == OUTPUT_PLUGGING) {
		make_lease(o);
	} else {
		o->resizing = false;
		(void)sd_event_source_set_enabled(o->timer, SD_EVENT_OFF);
		output_store(o);
		log_info("scanout %u: resized to %ux%u@%u", o->scanout, o->width, o->height,
			o->refresh);
		conn_resized(o, LEASE_OK, "");
	}
}

void pool_handle_hotplug(unsigned minor, void *data) {
	struct manager *m = data;
	for (unsigned i = 0; i < m->n_cards; i++) {
		m->cards[i].hotplugs += minor == UINT32_MAX || minor == m->cards[i].card.minor;
	}
	for (unsigned i = 0; i < m->n_outputs; i++) {
		if (is_expected(&m->outputs[i])) {
			look(&m->outputs[i]);
		}
	}
}

/* NULL: none of ours. */
static struct output *find_output(const struct managed_card *card, uint32_t id) {
	struct manager *m = card->manager;
	for (unsigned i = 0; i < m->n_outputs; i++) {
		if (m->outputs[i].card == card->index && m->outputs[i].index == id) {
			return &m->outputs[i];
		}
	}
	return NULL;
}

static void handle_enabled(void *data, uint32_t id, int error, const uint8_t *token) {
	struct output *o = find_output(data, id);
	if (!o || o->state == OUTPUT_FREE) {
		return;
	}
	/* Output 0 of a further card cannot be switched: it is always on, as it is. */
	if (error == -EREMOTEIO && o->index == 0) {
		o->asked_seq--;
		o->fixed = true;
		error = 0;
	}
	if (error < 0 && o->state == OUTPUT_ENABLING) {
		char text[2 * LEASE_TEXT_SIZE];
		(void)snprintf(text, sizeof(text), "QEMU enable failed: %s: %s",
			error == -EREMOTEIO ? "refused" : strerror(-error),
			exporter_name(output_exporter(o)));
		give_up(o, LEASE_EXPORTER, text);
		return;
	}
	if (error < 0) {
		if (o->resizing) {
			pool_resize_failed(o, LEASE_EXPORTER, "QEMU enable failed");
		}
		return;
	}
	if (token) {
		memcpy(o->token, token, sizeof(o->token));
	}
	if (o->state == OUTPUT_ENABLING) {
		o->state = OUTPUT_PLUGGING;
	}
	if (is_expected(o)) {
		look(o);
	}
}

/* With the lease goes all that was drawn into, and its holder starts anew. */
static void handle_lost(void *data, uint32_t id) {
	static const char why[] = "what is drawn on it is lost in the exporter";
	struct output *o = find_output(data, id);
	if (o && o->state == OUTPUT_LEASED && o->conn) {
		conn_release(o->conn, why);
	} else if (o && o->state == OUTPUT_ORPHANED) {
		pool_release(o, why);
	}
}

const struct exporter_handler pool_exporter_handler = {
	.enabled = handle_enabled,
	.lost = handle_lost,
};

void pool_resize(
	struct output *o, struct conn *asker, uint32_t width, uint32_t height, uint32_t refresh) {
	o->width = width;
	o->height = height;
	o->refresh = refresh;
	o->resizing = true;
	o->resizer = asker;
	asker->resizing = o;
	ask_exporter(o, true);
}

void pool_resize_failed(struct output *o, enum lease_code code, const char *text) {
	o->resizing = false;
	output_store(o);
	conn_resized(o, code, text);
}

static int handle_orphan_timer(sd_event_source *source, uint64_t usec, void *data) {
	pool_release(data, "its holder did not come back");
	return 0;
}

void pool_orphan(struct output *o, uint64_t grace_ns) {
	o->timer = sd_event_source_disable_unref(o->timer);
	int r = sd_event_add_time_relative(o->manager->loop, &o->timer, CLOCK_MONOTONIC,
		grace_ns / NSEC_PER_USEC, TIMER_ACCURACY_US, handle_orphan_timer, o);
	o->state = OUTPUT_ORPHANED;
	o->conn = NULL;
	if (r < 0) {
		pool_release(o, "no timer for its holder to come back");
	}
}

struct output *pool_find_token(struct manager *m, const uint8_t token[LEASE_TOKEN_SIZE]) {
	struct output *found = NULL;
	for (unsigned i = 0; i < m->n_outputs; i++) {
		struct output *o = &m->outputs[i];
		bool leased = o->state == OUTPUT_LEASED || o->state == OUTPUT_ORPHANED;
		if (leased && lease_token_equal(o->token, token) && !lease_token_is_zero(token)) {
			found = o;
		}
	}
	return found;
}

void pool_adopt(struct output *o, struct conn *conn) {
	if (o->conn && o->conn != conn) {
		struct conn *old = o->conn;
		old->output = NULL;
		old->holding = false;
		conn_replaced(old);
	}
	o->timer = sd_event_source_disable_unref(o->timer);
	o->state = OUTPUT_LEASED;
	o->conn = conn;
	o->peer = conn->peer;
	o->extended = conn->extended;
	conn->output = o;
	conn->holding = true;
}

unsigned pool_count_leases(const struct manager *m, const struct peer *peer) {
	unsigned n = 0;
	for (unsigned i = 0; i < m->n_outputs; i++) {
		const struct output *o = &m->outputs[i];
		n += o->state != OUTPUT_FREE && peer_same(&o->peer, peer);
	}
	return n;
}
