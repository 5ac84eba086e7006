/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Thumbnails of desktops: the bridge's /screenshot, kept for a while. Of one desktop at most one is
 * asked for at a time, and none while a fresh one is there, however many look; none while nobody does.
 */
#ifndef HELIX_GATEWAY_THUMBNAIL_H
#define HELIX_GATEWAY_THUMBNAIL_H

#include "conn.h"
#include "desktop.h"

/* Answers with the thumbnail, now or when it is there. */
void thumbnail_answer(struct conn *c, struct desktop *d);
/* Learns whether the bridge answers, unless that was tried lately; for the list of desktops. */
void thumbnail_probe(struct desktop *d);
/* Whoever waits is told that there will be none. */
void thumbnail_finish(struct desktop *d);

#endif
