/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The HXFR server: TCP clients, their subscriptions and queues, on the process's main loop. It
 * knows nothing of guests or encoders: frames and events are posted to it by other threads through
 * a mailbox, and what clients ask for goes out through `struct server_backend`.
 */
#ifndef HELIX_FRAME_EXPORT_SERVER_H
#define HELIX_FRAME_EXPORT_SERVER_H

#include <systemd/sd-event.h>

#include "access.h"
#include "picture.h"

struct server;

struct server_config {
	const char *address; /* numeric IPv4 or IPv6 address, "127.0.0.1" */
	uint16_t port;       /* 0: any free one, see server_port */
	unsigned max_clients;
	unsigned queue_ms;   /* most that a client's queue may hold, by presentation time */
	unsigned n_scanouts; /* 1 … SCANOUTS_MAX */
	bool has_console;    /* scanout 0, which nobody may switch then */
	struct access_config access;
};

/* Snapshot of one scanout for SCANOUT_STATE and STATS. */
struct scanout_state {
	bool enabled;           /* connected, as the guest sees it */
	bool lost;              /* drawn by 3D that is lost: nothing new will come */
	uint32_t width, height; /* of what the guest shows now; 0 if nothing */
	uint32_t refresh;       /* Hz, as asked for */
	uint32_t generation;    /* counts guest resets (and front end restarts) */
};

struct scanout_stats {
	uint64_t flips;      /* flushes of this scanout by the guest */
	uint64_t captured;   /* of these, converted */
	uint64_t superseded; /* of these, dropped for a newer one before encoding */
	uint64_t encoded;    /* access units made */
	uint64_t keyframes;
	uint64_t encoded_bytes;
	uint64_t dirty_mbs;  /* macroblocks found changed, in all */
	uint64_t convert_ns; /* time spent, in all */
	uint64_t encode_ns;
	uint64_t torn;              /* readings thrown away, for the guest drew meanwhile */
	const char *encoder;        /* name of what encodes now; "" if nothing does */
	uint64_t encoder_lost;      /* times that it failed and x264 went on */
	uint64_t encoder_recovered; /* of these, over again */
};

/* Pixels of a hardware cursor. Immutable, shared by reference. */
struct cursor_image {
	atomic_uint refs;
	uint32_t width, height; /* 64 by 64 from virtio-gpu */
	uint32_t hot_x, hot_y;
	uint8_t bgra[]; /* 4·width·height, premultiplied alpha as DRM has it */
};

struct cursor_image *cursor_image_create(uint32_t width, uint32_t height);
struct cursor_image *cursor_image_ref(struct cursor_image *image);
void cursor_image_unref(struct cursor_image *image);

/* What the server asks of the rest. All called on the server's thread; none may block. */
struct server_backend {
	/*
	 * `watching` clients are subscribed, of which `ready` can take a frame now. No ready one:
	 * nothing need be encoded. Called on every change.
	 */
	void (*set_viewers)(void *data, uint32_t scanout, unsigned watching, unsigned ready);
	/* Make the next access unit an IDR of the present content, even if nothing changed. */
	void (*request_idr)(void *data, uint32_t scanout);
	void (*set_bitrate)(void *data, uint32_t scanout, uint32_t bits_per_second);
	/* Connects (or resizes) or disconnects an output. -errno, with a text for the log. */
	int (*enable)(void *data, uint32_t scanout, uint32_t width, uint32_t height, uint32_t hz);
	int (*disable)(void *data, uint32_t scanout);
	void (*get_state)(void *data, uint32_t scanout, struct scanout_state *ret);
	void (*get_stats)(void *data, uint32_t scanout, struct scanout_stats *ret);
};

/* Binds and listens. -errno (EADDRINUSE, …); `backend` and `data` must outlive the server. */
int server_create(sd_event *loop, const struct server_config *config,
	const struct server_backend *backend, void *data, struct server **ret);
void server_destroy(struct server *server);
uint16_t server_port(const struct server *server);

/*
 * From any thread. The access unit's reference is consumed. Units of one scanout arrive at clients
 * in the order in which they were posted.
 */
void server_post_access_unit(struct server *server, struct access_unit *au);
/* The state changed: clients that asked are told what get_state then answers. */
void server_post_scanout_state(struct server *server, uint32_t scanout);
/* A new shape at a position; `image` (consumed) NULL: hidden. */
void server_post_cursor(struct server *server, uint32_t scanout, struct cursor_image *image,
	uint32_t x, uint32_t y);
/* The pointer moved; a position that was not sent yet is replaced. */
void server_post_cursor_position(struct server *server, uint32_t scanout, uint32_t x, uint32_t y);

#endif
