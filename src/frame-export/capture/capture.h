/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One scanout's way from flips to access units. A source (the device thread, a pattern) tells each
 * flip; an encoder thread, there only while somebody watches, takes the newest, converts what
 * changed and encodes it. Between the two is a mailbox of one: a flip that was not taken when the
 * next comes is superseded, its damage is not lost.
 *
 * No lock is held while pixels are converted or encoded, so neither a flip nor a viewer ever waits.
 *
 * Tearing. A guest draws its next frame into another buffer as soon as it has flipped away from the
 * one that we may be reading, and stock QEMU gives it no fence to wait for. So a conversion counts
 * only if the guest had not yet flipped away from that buffer when it ended (`settle` makes sure
 * that we know of all flips by then); else it is done again from the newer one.
 */
#ifndef HELIX_FRAME_EXPORT_CAPTURE_H
#define HELIX_FRAME_EXPORT_CAPTURE_H

#include "encode/encoder.h"
#include "picture.h"
#include "surface.h"

struct capture;

struct capture_config {
	uint32_t scanout_id;
	const struct encoder_ops *encoder;
	struct encoder_config encoder_config; /* width and height are filled in by capture */
	bool shared;      /* the encoder imports: pictures are made by picture_create_shared */
	unsigned fps_cap; /* most frames a second that are taken; 0: no cap */

	/* On the encoder thread: consumes the access unit. */
	void (*post)(void *data, struct access_unit *au);
	void *post_data;
	/*
	 * On any thread, but never under a lock of capture's: the pixels of the flip with this token
	 * have been taken, or will not be.
	 */
	void (*done)(void *data, uint64_t token);
	/*
	 * On the encoder thread: returns true once the source told of all flips that happened so far,
	 * false if it did not come to it in time. NULL if the source never draws into a surface that
	 * is referenced: then nothing can be torn.
	 */
	bool (*settle)(void *data);
	void *source_data;
};

struct capture_flip {
	struct surface *surface; /* a reference is taken */
	struct rect viewport;    /* of the surface: what the scanout shows */
	struct rect damage;      /* in viewport coordinates, against what was shown before */
	uint64_t flip_ns;
	uint64_t token; /* 0: nobody wants to know */
};

struct capture_stats {
	uint64_t flips, captured, superseded, torn;
	uint64_t encoded, keyframes, encoded_bytes, dirty_mbs;
	uint64_t convert_ns, encode_ns; /* CPU time of the encoder thread */
};

int capture_create(const struct capture_config *config, struct capture **ret);
/*
 * Ends the encoder thread for good: nothing is posted, settled or done any more. A picture under way
 * is finished first. The rest may still be called.
 */
void capture_stop(struct capture *c);
void capture_destroy(struct capture *c);

/* The source's side. Returns true if `done` will be called for the token. */
bool capture_flip(struct capture *c, const struct capture_flip *flip);
/*
 * The scanout shows nothing any more, and what it showed may not be shown again. The reference to
 * the surface is dropped, by the encoder thread if it is just reading it.
 */
void capture_blank(struct capture *c);
/*
 * A flip that is not read, for nobody watches: whoever comes is shown nothing before the next one,
 * which the source makes then. The size stays.
 */
void capture_outdated(struct capture *c);

/* The viewers' side; see struct server_backend. */
void capture_set_viewers(struct capture *c, unsigned watching, unsigned ready);
void capture_request_idr(struct capture *c);
/* Somebody would see the next flip. */
bool capture_wanted(struct capture *c);
void capture_set_bitrate(struct capture *c, uint32_t bits_per_second);

void capture_get_stats(const struct capture *c, struct capture_stats *ret);
/* Size of what is shown; 0 by 0 if nothing is. */
void capture_get_size(struct capture *c, uint32_t *ret_width, uint32_t *ret_height);

#endif
