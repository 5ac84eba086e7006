/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who may do what with a scanout (docs/protocol/hxfr.md, section 4.6). Unless tokens are required
 * everybody may do everything, as with servers that know none.
 */
#ifndef HELIX_FRAME_EXPORT_ACCESS_H
#define HELIX_FRAME_EXPORT_ACCESS_H

#include <helix/hxfr.h>

#include "picture.h"

struct access_config {
	bool require_token;
	bool has_key;
	uint8_t key[HXFR_TOKEN_SIZE]; /* of the manager */
};

struct access {
	struct access_config config;
	struct {
		bool leased;
		uint8_t token[HXFR_TOKEN_SIZE];
	} scanouts[SCANOUTS_MAX];
};

/* What a connection has shown. */
struct credentials {
	bool manager;
	bool has_token;
	struct hxfr_show_token token; /* the last one shown */
};

/* Whether `key` is the manager's. */
bool access_check_key(const struct access *a, const uint8_t key[HXFR_TOKEN_SIZE]);
/* Whether it may plug outputs in and out. */
bool access_may_switch(const struct access *a, const struct credentials *who);
/* Whether it may watch a scanout, and say how. */
bool access_may_watch(const struct access *a, const struct credentials *who, uint32_t scanout);

/*
 * A lease of the scanout begins, with that token, or a new one if it is zeroes. -errno: there is no
 * randomness to be had.
 */
int access_begin(struct access *a, uint32_t scanout, const uint8_t token[HXFR_TOKEN_SIZE]);
/* It ends: the token is worth nothing any more. */
void access_end(struct access *a, uint32_t scanout);

#endif
