/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the steps share. */
#ifndef HELIX_LAUNCHER_SERVICES_H
#define HELIX_LAUNCHER_SERVICES_H

#include "launcher.h"

/* A path in `ret`. */
const char *in_runtime_dir(const struct launcher *l, const char *name, char ret[PATH_MAX]);
/* Finds `name` and starts it; `argv[0]` may be anything. Sets `s->pid`. */
int spawn(struct step *s, const char *name, char *const argv[], struct process_spec *spec);

/* services-lease.c: the lease, and the login stub that hands it out. */
int start_lease(struct launcher *l, struct step *s);
void lease_stopped(struct launcher *l, struct step *s);
int start_stub(struct launcher *l, struct step *s);
void stub_stopped(struct launcher *l, struct step *s);

/* services-bus.c */
int start_system_bus(struct launcher *l, struct step *s);
void system_bus_stopped(struct launcher *l, struct step *s);
int start_session_bus(struct launcher *l, struct step *s);
/* Whether there are buses that could be used instead of own ones. */
void buses_find(struct launcher *l);

/* services-desktop.c: what draws and what sounds. */
int start_pipewire(struct launcher *l, struct step *s);
int start_wireplumber(struct launcher *l, struct step *s);
int start_pipewire_pulse(struct launcher *l, struct step *s);
int start_compositor(struct launcher *l, struct step *s);
void compositor_stopped(struct launcher *l, struct step *s);
int start_bridge(struct launcher *l, struct step *s);
int start_session(struct launcher *l, struct step *s);

#endif
