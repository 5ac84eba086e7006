/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the parts of the manager share. One loop, which blocks on nobody, and a worker's thread for
 * what waits in the kernel.
 *
 *   sets.c     the devices of each desktop, from request to end, and what goes into them
 *   report.c   from records to the kernel's reports; who holds down what
 *   devices.c  uinput and evdev
 *   conn.c     one client: its requests and replies; an owner, or a link into a set
 *   listen.c   the socket, and what connects to it (guest/common)
 */
#ifndef HELIX_INPUT_MANAGER_H
#define HELIX_INPUT_MANAGER_H

#include <systemd/sd-event.h>

#include "devices.h"
#include "list.h"
#include "listener.h"
#include "proto/input.h"
#include "report.h"
#include "worker.h"

/* Of timers: sd-event takes 0 for 250 ms. */
#define TIMER_ACCURACY_US 1000
/* Most links into one set. */
#define SET_LINKS_MAX 16u

struct conn;
struct manager;

struct manager_config {
	const char *socket;
	struct policy policy;
	unsigned max_connections, max_peer_connections;
	unsigned max_sets, max_peer_sets;
	uint64_t read_timeout_ns; /* for a request to arrive */
	unsigned node_timeout_ms; /* for a device's node to appear */
};

struct manager {
	struct manager_config config;
	sd_event *loop;
	struct worker *worker;
	struct list sets; // set.link
	unsigned n_sets;
	unsigned next_number;
	struct list conns; // conn.link
	unsigned n_conns;

	struct listener listener;
	struct reception reception;
};

/* manager.c */

/* config is filled already. */
void manager_init(struct manager *m);
/* Listens; what fails is logged. Refs `loop`. */
int manager_start(struct manager *m, sd_event *loop);
/* Ends all sets, and waits until the kernel has; also of one that did not start. */
void manager_finish(struct manager *m);

/* sets.c */

enum set_state {
	SET_MAKING, /* the worker makes its devices */
	SET_LIVE,
	SET_ENDING, /* the worker unmakes them */
};

struct set {
	struct manager *manager;
	struct list link; // manager.sets
	struct work work;
	enum set_state state;
	struct conn *owner; /* NULL: gone */
	struct list links;  // conn.set_link
	unsigned n_links;
	struct peer peer; /* of the owner; counted by limits until the devices are gone */
	unsigned number;  /* in names of devices; not used again soon */
	char name[INPUT_NAME_SIZE];
	uint32_t kinds;
	uint8_t token[INPUT_TOKEN_SIZE];

	/* The worker's while it is at work. */
	struct device devices[_INPUT_KIND_MAX];
	int error;

	struct touch_state touch;
	unsigned unread[_INPUT_KIND_MAX]; /* events written since nothing was unread; at least */
	bool unwatched[_INPUT_KIND_MAX];  /* nobody seems to read: do not wait */
};

/* Answers by conn_created or conn_refused, later or before this returns. */
void set_create(struct manager *m, struct conn *owner, const struct input_create *request);
/* Its links end, and its devices. The owner is not told. */
void set_end(struct set *set);
/* NULL: none that lives has that token. */
struct set *set_find(struct manager *m, const uint8_t token[INPUT_TOKEN_SIZE]);
void set_attach(struct set *set, struct conn *link);
/* Releases what the link still holds down. */
void set_detach(struct conn *link);

enum feed {
	FEED_DONE,
	FEED_WAIT,  /* the reader has to read first; try again in a while */
	FEED_ENDED, /* the set has ended, and with it the link */
};

/* Writes what the link has received. */
enum feed set_feed(struct conn *link);
/* It has waited long enough for somebody to read. */
void set_feed_anyway(struct conn *link);

/* conn.c */

enum conn_state {
	CONN_NEW,      /* has not asked for anything yet */
	CONN_CREATING, /* waits for its set */
	CONN_OWNER,
	CONN_LINK,
	CONN_ENDED, /* said its last word; destroyed soon */
};

struct conn {
	struct manager *manager;
	struct list link; // manager.conns
	int fd;
	struct peer peer;
	enum conn_state state;
	sd_event_source *io;
	sd_event_source *timer;
	struct set *set; /* owned, or linked into; may be NULL */

	/* Of links. */
	struct list set_link; // set.links
	struct held held;
	struct input_record records[INPUT_RECORDS_MAX]; /* of the message at hand */
	size_t n_records, next_record;
	struct report report; /* the one that is to be written */
	bool has_report;
	uint64_t waiting_since_ns; /* 0: is not waiting */
};

/* Consumes `fd`, also on failure. */
int conn_create(struct manager *m, int fd, const struct peer *peer);
void conn_destroy(struct conn *c);
/* Its set is there, and told of. */
void conn_created(struct conn *c);
/* Answers and ends the connection. `text` may be NULL. */
void conn_refused(struct conn *c, enum input_code code, const char *text);
/* Ends it without a word; the set must know. */
void conn_end(struct conn *c);
void conn_log(const struct conn *c, const char *what);

/* listen.c */

int listen_start(struct manager *m);
/* Ends all connections as well. */
void listen_finish(struct manager *m);

#endif
