/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a renderer gives up before it looks at anything that a guest sent: new privileges, core
 * dumps, and the system calls by which a process reaches others, starts programs or makes sockets.
 */
#ifndef HELIX_RENDERER_SANDBOX_H
#define HELIX_RENDERER_SANDBOX_H

int sandbox_enter(void);

#endif
