/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The one subscription to the exporter (HXFR) that all viewers share. While it is wanted it is kept:
 * a lost connection is made again, after a back-off. Which scanout, which exporter and which token
 * is looked up anew for each connection, since the desktop's launcher may have got another lease.
 */
#ifndef HELIX_BRIDGE_UPSTREAM_H
#define HELIX_BRIDGE_UPSTREAM_H

#include <systemd/sd-event.h>

#include <helix/hxfr.h>

#include "unit.h"

struct upstream;

#define UPSTREAM_HOST_SIZE 256u

struct upstream_config {
	/* Empty: the file helix-exporter in the runtime directory, else `fallback_port` on 10.0.2.2. */
	char host[UPSTREAM_HOST_SIZE];
	uint16_t port;
	uint16_t fallback_port;
	/* -1: HELIX_SCANOUT_ID, else the file helix-scanout-id in the runtime directory. */
	int64_t scanout;
	const char *token_path;  /* NULL: the file helix-lease-token there, if it exists */
	const char *runtime_dir; /* may be NULL */
};

enum upstream_state {
	UPSTREAM_IDLE,
	UPSTREAM_CONNECTING, /* or waiting to try again */
	UPSTREAM_SUBSCRIBED,
};

struct upstream_handler {
	/* `u` is borrowed. `gap`: units are missing before it. */
	void (*unit)(struct unit *u, bool gap, void *data);
	void (*cursor_image)(const struct hxfr_cursor_image *msg, const uint8_t *bgra, void *data);
	void (*cursor_position)(const struct hxfr_cursor_position *msg, void *data);
	void (*size)(uint32_t width, uint32_t height, void *data); /* 0 by 0: nothing is shown */
	/* The connection or the attempt failed; it is tried again. `why` is for people. */
	void (*lost)(const char *why, void *data);
};

/* `config` and `handler` are borrowed. Idle at first. */
int upstream_create(sd_event *loop, const struct upstream_config *config,
	const struct upstream_handler *handler, void *data, struct upstream **ret);
void upstream_destroy(struct upstream *u);

void upstream_want(struct upstream *u, bool wanted);
enum upstream_state upstream_state(const struct upstream *u);
/* Both do nothing while there is no subscription; the wish for a bitrate is remembered. */
void upstream_request_keyframe(struct upstream *u);
void upstream_set_bitrate(struct upstream *u, uint32_t bits_per_second);
/* -1 while it is not known. */
int64_t upstream_scanout(const struct upstream *u);
uint64_t upstream_connects(const struct upstream *u);

#endif
