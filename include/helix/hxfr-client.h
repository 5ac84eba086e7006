/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A client of HXFR (docs/protocol/hxfr.md): one connection, asynchronous, on an sd_event loop; for
 * programs without one, hxfr_client_wait runs a loop of its own. Works with this project's server
 * and with those described as the reference there.
 *
 * Functions return 0 or -errno. Requests are queued and may be made before the connection is up.
 * Answers arrive in the handler, on the loop's thread. The client may be destroyed in a handler.
 */
#ifndef HELIX_HXFR_CLIENT_H
#define HELIX_HXFR_CLIENT_H

#include <stddef.h>
#include <systemd/sd-event.h>

#include <helix/hxfr.h>

struct hxfr_client;

/* One access unit: H.264 Annex B. */
struct hxfr_frame {
	uint16_t session_id; /* the scanout, from all but the oldest servers */
	bool keyframe;
	int64_t pts_ns;
	const uint8_t *data; /* valid only during the call */
	size_t size;
	uint64_t received_ns;              /* CLOCK_MONOTONIC here, when its last byte was read */
	const struct hxfr_flip_info *flip; /* NULL without HXFR_FEATURE_FLIP_INFO */
};

/* Any of these may be NULL. */
struct hxfr_client_handler {
	void (*connected)(void *data);
	/*
	 * The connection ended: 0, the server closed it (also what a full server does at once);
	 * -ETIMEDOUT, -ECONNREFUSED, …; -EBADMSG or -EMSGSIZE: what came was not HXFR. Called once,
	 * nothing is called after it.
	 */
	void (*closed)(int error, void *data);
	void (*hello)(const struct hxfr_hello_resp *msg, void *data);
	void (*subscribed)(const struct hxfr_subscribe_resp *msg, void *data);
	/* Servers of others may send one before `subscribed`. */
	void (*frame)(const struct hxfr_frame *frame, void *data);
	void (*scanout)(const struct hxfr_scanout_resp *msg, void *data);
	/* `bgra`: 4·width·height bytes, valid only during the call. */
	void (*cursor_image)(const struct hxfr_cursor_image *msg, const uint8_t *bgra, void *data);
	void (*cursor_position)(const struct hxfr_cursor_position *msg, void *data);
	void (*state)(const struct hxfr_scanout_state *msg, void *data);
	/* Once for each scanout of a reply; `last` with the last one. */
	void (*stats)(const struct hxfr_stats *msg, uint64_t now_ns, bool last, void *data);
	void (*pong)(void *data);
	void (*error)(const struct hxfr_error *msg, void *data);
	/* To hxfr_client_authenticate and hxfr_client_enable_lease. */
	void (*authenticated)(bool success, void *data);
	void (*lease)(const struct hxfr_lease_resp *msg, void *data);
};

/*
 * Starts to connect. `host`: an address, or a name (which is looked up before the call returns).
 * `loop` NULL: one of its own, for hxfr_client_wait. `handler` is borrowed.
 */
int hxfr_client_create(sd_event *loop, const char *host, uint16_t port, unsigned timeout_ms,
	const struct hxfr_client_handler *handler, void *data, struct hxfr_client **ret);
void hxfr_client_destroy(struct hxfr_client *c);

/* -ENOTCONN once closed, -ENOBUFS if the server does not take what was sent before. */
int hxfr_client_hello(struct hxfr_client *c, uint32_t features);
int hxfr_client_subscribe(struct hxfr_client *c, uint32_t scanout_id);
int hxfr_client_enable(struct hxfr_client *c, const struct hxfr_enable_scanout *msg);
/* The reference server never answers this one. */
int hxfr_client_disable(struct hxfr_client *c, uint32_t scanout_id);
/* Of the scanout last subscribed to; never answered. */
int hxfr_client_set_bitrate(struct hxfr_client *c, uint32_t bits_per_second);
int hxfr_client_request_keyframe(struct hxfr_client *c);
/*
 * Section 4.6; only for servers that granted HXFR_FEATURE_TOKENS (others skip them): the manager's
 * key, for exporters that want one; a scanout for a lease; and what must precede a subscription to
 * a leased scanout, which is not answered.
 */
int hxfr_client_authenticate(struct hxfr_client *c, const uint8_t key[HXFR_TOKEN_SIZE]);
int hxfr_client_enable_lease(struct hxfr_client *c, const struct hxfr_enable_lease *msg);
int hxfr_client_show_token(
	struct hxfr_client *c, uint32_t scanout_id, const uint8_t token[HXFR_TOKEN_SIZE]);
/* HXFR_STATS_ALL for all. Needs HXFR_FEATURE_STATS. */
int hxfr_client_request_stats(struct hxfr_client *c, uint32_t scanout_id);
/* Done every 15 s anyway: the reference server closes connections that are silent for 60 s. */
int hxfr_client_ping(struct hxfr_client *c);

/*
 * Runs the loop until `*done`. 0; -ETIMEDOUT; what `closed` was told (-ECONNRESET for 0) if the
 * connection ended first. Not to be called from a handler, nor if the loop runs elsewhere; no
 * handler may destroy the client meanwhile.
 */
int hxfr_client_wait(struct hxfr_client *c, const bool *done, unsigned timeout_ms);

/*
 * For tests of slow clients: reads at most `bytes` more, then nothing until called again. SIZE_MAX,
 * as at the start: no limit.
 */
void hxfr_client_set_read_budget(struct hxfr_client *c, size_t bytes);
/* The socket, to set options; -1 once closed. */
int hxfr_client_fd(const struct hxfr_client *c);

#endif
