/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Kernel mode setting for drm-flipper: a card (or a lease of one), its connectors, and outputs on
 * which buffers are flipped. By the legacy calls, which a kernel with atomic drivers carries out as
 * atomic commits all the same. Object ids are enumerated, never computed.
 */
#ifndef HELIX_TOOLS_FLIPPER_KMS_H
#define HELIX_TOOLS_FLIPPER_KMS_H

#include <xf86drm.h>
#include <xf86drmMode.h>

#include "flipper-draw.h"
#include "util.h"

#define OUTPUTS_MAX 32u
#define BUFFERS_MAX 4u

struct card {
	int fd;
	bool leased;
	bool master; /* may set modes, and a probe of it is a real one */
};

/*
 * Opens `path`, or the first card with connectors if that is NULL, or takes over `lease_fd` (which
 * is consumed) if it is not -1. Errors are reported on stderr; returns -errno.
 */
int card_open(struct card *card, const char *path, int lease_fd);
void card_close(struct card *card);

/* "Virtual-3". */
void connector_name(const drmModeConnector *connector, char *ret, size_t size);

/* Everything about all connectors on stdout, for people and for scripts. */
int card_list(const struct card *card);

/* What to show; the same for all outputs. */
struct show {
	enum pattern pattern;
	bool counter;
	bool cursor;
	bool dirty;                 /* one buffer, changes told by DIRTYFB instead of flips */
	unsigned n_buffers;         /* 2 … BUFFERS_MAX; 1 with `dirty` */
	uint32_t width, height, hz; /* mode; 0: preferred, any refresh */
	const struct pixel_layout *layout;
};

struct buffer {
	uint32_t handle, fb_id; /* 0: none */
	size_t size;
	void *map; /* MAP_FAILED: none */
	struct canvas canvas;
	uint32_t frame; /* shown in it, once `drawn` */
	bool drawn;
};

struct output {
	struct card *card;
	const struct show *show;
	char name[32];
	uint32_t connector_id, crtc_id;
	drmModeModeInfo mode;
	struct buffer buffers[BUFFERS_MAX], cursor;
	unsigned current;             /* buffer on screen, or on its way there */
	bool running;                 /* a mode is set */
	bool pending;                 /* the flip's event is still to come */
	uint32_t frame;               /* number of the newest */
	uint64_t flips;               /* done since the start, all modes together */
	uint64_t running_ns;          /* of earlier periods of running */
	uint64_t started_ns, next_ns; /* of this one; next: when the next flip is due */
};

/*
 * Sets the mode and shows the first frame. `taken` are outputs whose CRTCs are not free. Errors are
 * reported on stderr; returns -errno.
 */
int output_start(struct output *o, const drmModeConnector *connector, const struct output *taken,
	size_t n_taken);
/* Releases everything but the name and the counts. Nothing to do for one that is not running. */
void output_stop(struct output *o);

/* Whether what the connector has now needs another mode than the output runs. */
bool output_mode_changed(const struct output *o, const drmModeConnector *connector);

/*
 * Draws the next frame and shows it: a flip, which is `pending` until output_flipped, or in
 * dirty mode at once. Returns -errno; -EACCES: the lease was revoked or the card taken away.
 */
int output_show_next(struct output *o);
void output_flipped(struct output *o);

#endif
