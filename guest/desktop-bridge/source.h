/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The picture that this bridge shows, shared by all its viewers: it holds the subscription while
 * somebody watches and a little longer, hands each access unit and each change of the pointer to
 * everyone, asks for IDRs on their behalf so that those who come together share one, and chooses
 * the bitrate. Its life depends on no viewer's.
 */
#ifndef HELIX_BRIDGE_SOURCE_H
#define HELIX_BRIDGE_SOURCE_H

#include "list.h"
#include "rate.h"
#include "upstream.h"

struct source;

/* The pointer's shape. R,G,B,A bytes, not premultiplied, as viewers want them. */
struct cursor {
	bool known; /* the exporter tells of the pointer at all */
	bool visible;
	int32_t x, y; /* of the image's top left corner */
	uint32_t hot_x, hot_y, width, height;
	uint8_t *rgba;       /* 4·width·height bytes; NULL if not visible */
	uint64_t generation; /* another one with each image */
};

enum cursor_change {
	CURSOR_SHAPE = 1u << 0,
	CURSOR_MOVED = 1u << 1,
};

/* Embedded in whoever watches. */
struct source_watcher {
	struct list link; // source.watchers
	const struct source_watcher_handler *handler;
	void *data;
	bool passive;     /* no viewer: has no say in the bitrate, and is not counted */
	struct rate rate; /* what its link can carry */
};

struct source_watcher_handler {
	/* Borrowed; `gap`: units are missing before it. Not a place to leave. */
	void (*unit)(struct unit *u, bool gap, void *data);
	void (*cursor)(unsigned changed, void *data); /* enum cursor_change */
	/* What was tried to get pictures failed, and none came since this watcher joined. */
	void (*failed)(const char *why, void *data);
};

struct source_config {
	struct upstream_config upstream;
	uint64_t grace_ns; /* how long the subscription outlives the last viewer */
};

struct source_stats {
	uint64_t units, bytes, keyframes, keyframe_requests, gaps;
	uint64_t last_unit_ns; /* 0: none yet */
	uint32_t bitrate;      /* asked for; 0: no bound */
	unsigned watchers;
};

int source_create(sd_event *loop, const struct source_config *config, struct source **ret);
void source_destroy(struct source *s);

/* An IDR follows. May be called again after source_leave. */
void source_join(struct source *s, struct source_watcher *w,
	const struct source_watcher_handler *handler, void *data);
/* Does nothing to one that has not joined, if it was zeroed. */
void source_leave(struct source *s, struct source_watcher *w);
void source_want_keyframe(struct source *s);
/* Bits/s that the viewers' links can carry or that they want have changed. */
void source_rates_changed(struct source *s);

/* 0 by 0 while it is not known. */
void source_size(const struct source *s, uint32_t *ret_width, uint32_t *ret_height);
const struct cursor *source_cursor(const struct source *s);
struct upstream *source_upstream(struct source *s);
void source_get_stats(const struct source *s, struct source_stats *ret);
/* Those that are not passive. */
unsigned source_watchers(const struct source *s);

#endif
