/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * helix-gateway: the web front door of many desktops (docs/protocol/gateway.md).
 *
 * One loop, one thread. A connection is accepted by listener.c and is then a `conn`, which reads
 * requests and writes answers (conn.c); route.c says who may ask for what. Some requests take the
 * conn's stream away: a `proxy` (proxy.c) joins it with the bridge of a desktop, a `runner`
 * (revdial-server.c) makes it a control or data connection of RevDial. Each stream has one owner at
 * any time; what is held per connection is bounded everywhere.
 */
#ifndef HELIX_GATEWAY_GATEWAY_H
#define HELIX_GATEWAY_GATEWAY_H

#include <netinet/in.h>
#include <systemd/sd-event.h>

#include "gateway-options.h"
#include "list.h"
#include "log-rate.h"
#include "net/stream.h"
#include "net/tls.h"

#define SCRATCH_SIZE (64 * 1024)

struct auth;

struct gateway_stats {
	uint64_t accepted, refused; /* connections; refused for want of room */
	uint64_t requests;
	uint64_t answers[6];   /* by the first digit of their status */
	uint64_t unauthorized; /* 401 and 403 */
	uint64_t timeouts;     /* requests that took too long to arrive */
	uint64_t upgrades;     /* WebSockets joined with a bridge */
	uint64_t superseded;   /* closed with 4000 */
	uint64_t broken;       /* closed with 1012 */
	uint64_t filtered;     /* messages of viewers without control that were left out */
	uint64_t bytes_to_viewers, bytes_from_viewers;
	uint64_t thumbnails, thumbnails_failed;
	uint64_t dials, dials_failed;
};

struct gateway {
	sd_event *loop;
	struct gateway_options options;
	struct tls_config *tls; // NULL: without TLS
	struct auth *auth;
	int web_root; /* directory; -1: there is none */

	int listen_fd;
	uint16_t port;
	sd_event_source *listen_source, *listen_timer;
	struct list peers; // struct peer.link, in listener.c
	unsigned n_connections;

	struct list conns;    // struct conn.link
	struct list proxies;  // struct proxy.link
	struct list desktops; // struct desktop.link
	struct list controls; // struct control.link, in revdial-server.c

	struct log_rate log_rate; /* for gateway_may_log() */
	struct gateway_stats stats;
	uint8_t scratch[SCRATCH_SIZE]; /* of whoever reads right now */
};

/* Of one that is all zeroes but for its options. */
void gateway_init(struct gateway *g);
/* Ends all connections; viewers are told to come again. */
void gateway_finish(struct gateway *g);

/* Whether one more line about what peers do may be logged. */
bool gateway_may_log(struct gateway *g);

/* listener.c */
int listener_open(struct gateway *g);
void listener_close(struct gateway *g);

#endif
