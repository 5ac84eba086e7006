/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Finds and starts the renderer's program. */
#ifndef HELIX_RENDER_SPAWN_RENDERER_H
#define HELIX_RENDER_SPAWN_RENDERER_H

#include <stddef.h>
#include <sys/types.h>

/*
 * `given`, or if that is NULL helix-renderer beside our own program; in a build tree, in the folder
 * of its own sources. -ENOENT.
 */
int spawn_find_program(const char *given, char *ret, size_t size);
/* Descriptors are borrowed, and must be above those that the child has them as (3 and 4). */
int spawn_renderer(const char *program, const char *render_node, int socket, int ring, pid_t *ret);

#endif
