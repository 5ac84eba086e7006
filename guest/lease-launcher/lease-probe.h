/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a lease is made of, as the kernel says. Client capabilities belong to the open file, which
 * the compositor will have as well, so none is set here: objects are told apart without.
 */
#ifndef HELIX_LAUNCHER_LEASE_PROBE_H
#define HELIX_LAUNCHER_LEASE_PROBE_H

#include <stdbool.h>

struct lease_facts {
	unsigned connectors, crtcs, primaries, cursors; /* number of each */
	bool connected;                                 /* one of the connectors is */
	unsigned width, height;                         /* its preferred mode; 0: none */
	bool drawing;                                   /* somebody has set a mode */
	char driver[32];
	bool has_3d;          /* the card draws */
	char render_node[64]; /* what programs open for that, if it is there; "": none */
};

/* -errno if it is no lease (any more). A revoked one is a lease of nothing. */
int lease_probe(int fd, struct lease_facts *ret);
/* Whether it still has any object. */
bool lease_is_alive(int fd);

#endif
