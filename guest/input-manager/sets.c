/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "input-manager.h"
#include "log.h"
#include "proto/lease.h"

LOG_MODULE("sets");

static bool has_kind(const struct set *set, unsigned kind) {
	return set->kinds & INPUT_KIND_BIT(kind);
}

static void unmake_devices(struct set *set) {
	for (unsigned kind = 0; kind < _INPUT_KIND_MAX; kind++) {
		device_unmake(&set->devices[kind]);
	}
}

static int make_device(struct set *set, unsigned kind) {
	static const char *const words[_INPUT_KIND_MAX] = {
		[INPUT_KEYBOARD] = "keyboard",
		[INPUT_POINTER] = "pointer",
		[INPUT_TOUCH] = "touch screen",
	};
	char name[DEVICE_NAME_SIZE], phys[64];
	(void)snprintf(
		name, sizeof(name), "%.*s %s", (int)sizeof(set->name) - 1, set->name, words[kind]);
	(void)snprintf(
		phys, sizeof(phys), "helix-input/%u/%s", set->number, input_kind_to_string(kind));
	return device_make(&set->devices[kind], (enum input_kind)kind, name, phys,
		set->manager->config.node_timeout_ms);
}

/* By the worker. */
static void run_make(struct work *work) {
	struct set *set = container_of(work, struct set, work);
	set->error = 0;
	for (unsigned kind = 0; kind < _INPUT_KIND_MAX && set->error == 0; kind++) {
		set->error = has_kind(set, kind) ? make_device(set, kind) : 0;
	}
	if (set->error < 0) {
		unmake_devices(set);
	}
}

/* By the worker. */
static void run_unmake(struct work *work) {
	unmake_devices(container_of(work, struct set, work));
}

static void set_free(struct set *set) {
	list_remove(&set->link);
	set->manager->n_sets--;
	free(set);
}

static void done_unmake(struct work *work) {
	struct set *set = container_of(work, struct set, work);
	log_debug("%s (%u): its devices are gone", set->name, set->number);
	set_free(set);
}

static void post_unmake(struct set *set) {
	set->state = SET_ENDING;
	set->work.run = run_unmake;
	set->work.done = done_unmake;
	worker_post(set->manager->worker, &set->work);
}

static void make_failed(struct set *set) {
	char text[INPUT_TEXT_SIZE];
	struct conn *owner = set->owner;
	bool late = set->error == -ETIMEDOUT;
	(void)snprintf(text, sizeof(text), "%s: %s",
		input_code_to_string(late ? INPUT_TIMEOUT : INPUT_KERNEL), strerror(-set->error));
	if (reception_may_log(&set->manager->reception)) {
		log_err("%s: %s", set->name, text);
	}
	set_free(set);
	if (owner) {
		owner->set = NULL;
		conn_refused(owner, late ? INPUT_TIMEOUT : INPUT_KERNEL, text);
	}
}

static void done_make(struct work *work) {
	struct set *set = container_of(work, struct set, work);
	if (set->error < 0) {
		make_failed(set);
	} else if (!set->owner) {
		post_unmake(set);
	} else {
		set->state = SET_LIVE;
		if (reception_may_log(&set->manager->reception)) {
			log_info("%s (%u): devices are made, for pid %d uid %u %s", set->name,
				set->number, (int)set->peer.pid, (unsigned)set->peer.uid,
				set->peer.group);
		}
		conn_created(set->owner);
	}
}

static unsigned count_sets(const struct manager *m, const struct peer *peer) {
	const struct set *set;
	unsigned n = 0;
	list_for_each(set, &m->sets, link) {
		n += peer_same(&set->peer, peer);
	}
	return n;
}

/* What people and rules may see: ASCII without control characters, quotes and slashes. */
static void clean_name(const char *name, char ret[INPUT_NAME_SIZE]) {
	size_t n = 0;
	for (const char *p = name; *p && n < INPUT_NAME_SIZE - 1; p++) {
		bool plain = isalnum((unsigned char)*p) || strchr(" -_.:@+", *p);
		ret[n++] = plain ? *p : '?';
	}
	ret[n] = '\0';
	if (n == 0) {
		(void)snprintf(ret, INPUT_NAME_SIZE, "desktop");
	}
}

void set_create(struct manager *m, struct conn *owner, const struct input_create *request) {
	if (request->kinds & ~INPUT_KINDS_ALL) {
		conn_refused(owner, INPUT_UNSUPPORTED, "unknown kind of device");
		return;
	}
	if (m->n_sets >= m->config.max_sets ||
		count_sets(m, &owner->peer) >= m->config.max_peer_sets) {
		conn_refused(owner, INPUT_LIMIT, NULL);
		return;
	}
	struct set *set = calloc(1, sizeof(*set));
	if (!set || getrandom(set->token, sizeof(set->token), 0) != (ssize_t)sizeof(set->token)) {
		free(set);
		conn_refused(owner, INPUT_KERNEL, "out of memory");
		return;
	}
	set->manager = m;
	list_append(&m->sets, &set->link);
	m->n_sets++;
	list_init(&set->links);
	set->owner = owner;
	set->peer = owner->peer;
	set->number = m->next_number++;
	set->kinds = request->kinds ? request->kinds : INPUT_KINDS_ALL;
	clean_name(request->name, set->name);
	for (unsigned kind = 0; kind < _INPUT_KIND_MAX; kind++) {
		set->devices[kind] =
			(struct device){.uinput_fd = -1, .evdev_fd = -1, .guard_fd = -1};
	}
	owner->set = set;
	owner->state = CONN_CREATING;
	set->work.run = run_make;
	set->work.done = done_make;
	list_init(&set->work.link);
	worker_post(m->worker, &set->work);
}

void set_end(struct set *set) {
	while (!list_empty(&set->links)) {
		struct conn *link = list_first(&set->links, struct conn, set_link);
		list_remove(&link->set_link);
		link->set = NULL;
		conn_end(link);
	}
	set->n_links = 0;
	if (set->owner) {
		set->owner->set = NULL;
		set->owner = NULL;
	}
	/* One that is being made ends when it is. */
	if (set->state == SET_LIVE) {
		if (reception_may_log(&set->manager->reception)) {
			log_info("%s (%u): ended", set->name, set->number);
		}
		post_unmake(set);
	}
}

struct set *set_find(struct manager *m, const uint8_t token[INPUT_TOKEN_SIZE]) {
	struct set *set, *found = NULL;
	_Static_assert(INPUT_TOKEN_SIZE == LEASE_TOKEN_SIZE, "tokens are compared by lease_…");
	list_for_each(set, &m->sets, link) {
		if (set->state == SET_LIVE && lease_token_equal(set->token, token)) {
			found = set;
		}
	}
	return found;
}

void set_attach(struct set *set, struct conn *link) {
	link->set = set;
	list_append(&set->links, &link->set_link);
	set->n_links++;
}

void set_detach(struct conn *link) {
	struct set *set = link->set;
	const struct conn *other;
	struct held others = {0};
	struct report report;
	list_remove(&link->set_link);
	set->n_links--;
	link->set = NULL;
	list_for_each(other, &set->links, set_link) {
		held_add(&others, &other->held);
	}
	while (report_release(&link->held, &others, &set->touch, &report)) {
		/* Never mind what was not read: with too much of it the reader looks at the state. */
		(void)device_write(&set->devices[report.kind], report.events, report.n_events);
	}
}

/* Whether there is something that somebody is going to read. */
static bool has_unread(struct set *set, unsigned kind) {
	if (set->unread[kind] > 0 && !device_has_unread(&set->devices[kind])) {
		set->unread[kind] = 0;
		set->unwatched[kind] = false;
	}
	return set->unread[kind] > 0 && !set->unwatched[kind];
}

/*
 * A reader takes up its devices in no order that we know. What is done with one of them is written
 * when all before it on the others was read, or a click would overtake the key that is held for it.
 */
static bool may_write(struct set *set, const struct report *report) {
	for (unsigned kind = 0; kind < _INPUT_KIND_MAX; kind++) {
		if (kind != report->kind && has_unread(set, kind)) {
			return false;
		}
	}
	return !has_unread(set, report->kind) ||
		set->unread[report->kind] + report->n_events <= device_capacity(report->kind);
}

static int write_report(struct set *set, const struct report *report) {
	const struct device *d = &set->devices[report->kind];
	if (!device_is_grabbed(d)) {
		log_warn("%s (%u): somebody let go of its keyboard, whose keys would go to the "
			 "console",
			set->name, set->number);
		return -EPERM;
	}
	set->unread[report->kind] += report->n_events;
	return device_write(d, report->events, report->n_events);
}

enum feed set_feed(struct conn *link) {
	struct set *set = link->set;
	for (;;) {
		if (!link->has_report) {
			if (link->next_record == link->n_records) {
				return FEED_DONE;
			}
			link->next_record += report_next(link->records + link->next_record,
				link->n_records - link->next_record, &link->held, &set->touch,
				&link->report);
			link->has_report = true;
		}
		if (!may_write(set, &link->report)) {
			return FEED_WAIT;
		}
		link->has_report = false;
		int r = write_report(set, &link->report);
		if (r < 0) {
			log_err_errno(r, "%s (%u): cannot write to it", set->name, set->number);
			struct conn *owner = set->owner;
			set_end(set);
			conn_end(owner);
			return FEED_ENDED;
		}
	}
}

void set_feed_anyway(struct conn *link) {
	struct set *set = link->set;
	for (unsigned kind = 0; kind < _INPUT_KIND_MAX; kind++) {
		set->unwatched[kind] = set->unread[kind] > 0;
	}
}
