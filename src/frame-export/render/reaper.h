/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Waits for child processes. Their end is an event like others, for a driver may keep a killed
 * process for a while. One that died of a signal which was not ours is logged.
 */
#ifndef HELIX_RENDER_REAPER_H
#define HELIX_RENDER_REAPER_H

#include <sys/types.h>
#include <systemd/sd-event.h>

struct reaper;

int reaper_create(sd_event *loop, struct reaper **ret);
/* Gives those that were killed a second each; one that a driver holds on to becomes init's. */
void reaper_destroy(struct reaper *r);
int reaper_watch(struct reaper *r, pid_t pid);

#endif
