/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The real PipeWire and WirePlumber in the runtime directory of a bridge, configured as in a container. */
#ifndef HELIX_TESTS_SOUND_RIG_H
#define HELIX_TESTS_SOUND_RIG_H

#include "rig.h"

struct sound_rig {
	const struct rig *rig;
	pid_t bus, pipewire, wireplumber;
};

/* Skips the test where the programs are not installed. */
void sound_start(struct sound_rig *s, const struct rig *rig);
/* SIGKILL: as if they had crashed. The bus stays. */
void sound_kill(struct sound_rig *s);
void sound_restart(struct sound_rig *s);
void sound_stop(struct sound_rig *s);

/* A program with the rig's runtime directory. `output`: file for its standard output; may be NULL. */
pid_t sound_run(const struct sound_rig *s, const char *const *args, const char *output);
/* SIGTERM, and waits. */
void sound_end(pid_t pid);
/* A sine after so much silence. */
pid_t sound_play(
	const struct sound_rig *s, const char *hertz, const char *silent_ms, const char *output);

/* Part of the energy of `n` samples, `step` apart, that is of this frequency: 0 … 1. */
double sound_purity(const float *samples, size_t n, size_t step, double hertz);
double sound_rms(const float *samples, size_t n, size_t step);

#endif
