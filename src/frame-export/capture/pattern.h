/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A capture source without a VM: each output shows one of a few synthetic desktops, for demos, tests
 * and people who write clients. All outputs start enabled. Draws only what somebody watches.
 *
 * Output n shows kind n mod PATTERN_KINDS: moving bars with the frame counter (content.h), a static
 * desktop, typing, a scrolling terminal, a window being dragged, noise as of a film.
 */
#ifndef HELIX_FRAME_EXPORT_PATTERN_H
#define HELIX_FRAME_EXPORT_PATTERN_H

#include "capture.h"

#define PATTERN_KINDS 6u

struct pattern;

/* `captures`, one for each output, are borrowed. Starts a thread. */
int pattern_create(unsigned n_outputs, struct capture **captures, uint32_t width, uint32_t height,
	uint32_t fps, struct pattern **ret);
void pattern_destroy(struct pattern *p);

/* From any thread. 0 by 0 turns the output off. -EINVAL for a size that cannot be drawn. */
int pattern_set_output(struct pattern *p, uint32_t id, uint32_t width, uint32_t height);
/* Viewers came or went: look again at what is wanted. */
void pattern_wake(struct pattern *p);

#endif
