/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the parts of the manager share. One thread, one loop; nothing blocks on a peer.
 *
 *   pool.c    outputs and their leases: who gets which, and each one's way from free to leased
 *   conn.c    one client: its requests and replies; as a holder, the lease's life
 *   listen.c  sockets, and what connects to them (guest/common)
 *   revive.c  takes up what an earlier process left in the store
 */
#ifndef HELIX_DRM_MANAGER_MANAGER_H
#define HELIX_DRM_MANAGER_MANAGER_H

#include <systemd/sd-event.h>

#include "card.h"
#include "exporter.h"
#include "list.h"
#include "listener.h"
#include "store.h"
#include "uevent.h"

#define CARDS_MAX     4u
#define OUTPUTS_MAX   (CARDS_MAX * CARD_OUTPUTS_MAX)
#define LISTENERS_MAX 2u

/* Of timers: sd-event takes 0 for 250 ms. */
#define TIMER_ACCURACY_US 1000

struct conn;
struct manager;

struct manager_config {
	const char *devices[CARDS_MAX]; /* none: all of virtio-gpu */
	unsigned n_devices;
	struct exporter_config exporters[CARDS_MAX]; /* of each card, in their order */
	unsigned n_exporters;
	const char *sockets[LISTENERS_MAX];
	unsigned n_sockets;
	struct policy policy;
	unsigned max_connections, max_peer_connections, max_peer_leases;
	uint64_t request_timeout_ns; /* from request to reply */
	uint64_t read_timeout_ns;    /* for a request to arrive whole */
	uint64_t grace_ns;           /* for holders to come back after a restart */
	uint8_t key[LEASE_TOKEN_SIZE];
	bool has_key;
};

enum output_state {
	OUTPUT_FREE,
	OUTPUT_ENABLING, /* the exporter is to answer */
	OUTPUT_PLUGGING, /* it did; the guest's kernel is to notice */
	OUTPUT_LEASED,
	OUTPUT_ORPHANED, /* leased, without a connection; `timer` ends that */
};

struct output {
	struct manager *manager;
	uint32_t scanout; /* number in this VM: 16·card + index */
	unsigned card, index;
	struct list link; // manager.free

	enum output_state state;
	struct conn *conn;    /* whose request or lease it is; NULL if orphaned or free */
	bool fixed;           /* the exporter cannot switch it: any size will do */
	bool resizing;        /* leased, and about to have another size */
	struct conn *resizer; /* who waits for that; may be NULL */
	uint64_t asked_seq;   /* the card's count of hot-plugs when the exporter was asked */
	uint32_t width, height, refresh;
	uint32_t lessee;
	bool extended;
	uint8_t token[LEASE_TOKEN_SIZE];
	char name[LEASE_NAME_SIZE];
	struct peer peer;
	uint64_t since_ns;
	sd_event_source *timer; /* orphaned: its end; plugging or resizing: asks again */
	uint64_t again_us;      /* after which time */
};

struct managed_card {
	struct card card;
	struct exporter *exporter;
	struct manager *manager;
	unsigned index;
	uint64_t hotplugs; /* seen so far */
};

struct manager {
	struct manager_config config;
	sd_event *loop;
	struct store store;
	struct uevent_monitor *uevents;
	struct managed_card cards[CARDS_MAX];
	unsigned n_cards;
	struct output outputs[OUTPUTS_MAX];
	unsigned n_outputs;  /* those that can be leased */
	struct list free;    // output.link; the one free longest comes first
	struct list waiting; // conn.wait_link

	struct listener listeners[LISTENERS_MAX];
	struct list conns; // conn.link
	unsigned n_conns;
	struct reception reception;
};

/* pool.c */

/* What a connection asks for. */
struct wish {
	uint32_t width, height, refresh; /* no zeroes */
	uint32_t scanout;                /* 0: any */
	uint64_t wait_ns;                /* for an output to become free */
	char name[LEASE_NAME_SIZE];
	bool extended;
};

void pool_init(struct manager *m);
/* Cards are there: makes outputs of them. */
void pool_add_card(struct manager *m, unsigned card);
void pool_finish(struct manager *m);

/* The answer comes by conn_granted or conn_refused, perhaps before this returns. */
void pool_request(struct manager *m, struct conn *conn, const struct wish *wish);
/* The connection ends or its time is up: gives up what it waits for, without an answer. */
void pool_cancel(struct conn *conn);
/* Ends the lease or the attempt, and returns the output to the pool. */
void pool_release(struct output *o, const char *why);
/* Another size; conn_resized tells `asker`. */
void pool_resize(
	struct output *o, struct conn *asker, uint32_t width, uint32_t height, uint32_t refresh);
void pool_resize_failed(struct output *o, enum lease_code code, const char *text);
/* Its connection went away but it may come back. */
void pool_orphan(struct output *o, uint64_t grace_ns);
/* NULL: no lease has that token. */
struct output *pool_find_token(struct manager *m, const uint8_t token[LEASE_TOKEN_SIZE]);
void pool_adopt(struct output *o, struct conn *conn);
unsigned pool_count_leases(const struct manager *m, const struct peer *peer);

void pool_handle_hotplug(unsigned minor, void *data);
extern const struct exporter_handler pool_exporter_handler; /* data: struct managed_card */

const char *output_name(const struct output *o);
struct card *output_card(const struct output *o);
void output_hold_name(const struct output *o, char ret[STORE_NAME_SIZE]);
/* Notes it down, with its connection. */
void output_store(const struct output *o);

/* conn.c */

struct conn {
	struct manager *manager;
	struct list link;      // manager.conns
	struct list wait_link; // manager.waiting
	int fd;
	struct peer peer;
	sd_event_source *io;
	sd_event_source *timer;
	struct output *output; /* asked for, being plugged in, or held; may be NULL */
	struct wish wish;
	uint64_t asked_ns;
	struct output *resizing; /* waits for its new size; may be NULL */
	bool holding;            /* has got its lease */
	bool extended;           /* its last request was of the extension */
	bool ended;              /* said its last word; destroyed soon */
	uint8_t command;         /* of the request that is to be answered */
	uint8_t in[LEASE_REQUEST_SIZE + LEASE_EXT_REQUEST_MAX];
	size_t in_size;
};

/* Consumes `fd`, also on failure. */
int conn_create(struct manager *m, int fd, const struct peer *peer, struct conn **ret);
/* Takes the lease over that an earlier process gave to this connection; consumes `fd`. */
int conn_revive(struct manager *m, int fd, struct output *o, bool extended);
/* A lease it holds goes on: only conn_release and what comes by the socket end that. */
void conn_destroy(struct conn *c);

/* The lease is made; consumes `lease_fd`. Returns false if it could not be sent. */
bool conn_granted(struct conn *c, int lease_fd);
/* Answers and ends the connection. */
void conn_refused(struct conn *c, enum lease_code code, const char *text);
/* Tells output.resizer, if there is one, what became of it. */
void conn_resized(struct output *o, enum lease_code code, const char *text);
/* Ends the lease of a holder, and its connection. */
void conn_release(struct conn *holder, const char *why);
/* Another connection holds its lease now. */
void conn_replaced(struct conn *c);

/* listen.c */

int listen_start(struct manager *m);
void listen_finish(struct manager *m);

/* revive.c */

/* Leases that went on while there was no process, and what is left of those that did not. */
void revive(struct manager *m);

#endif
