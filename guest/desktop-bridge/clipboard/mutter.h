/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The clipboard of Mutter, by the remote desktop session that input has (input/mutter.h). */
#ifndef HELIX_BRIDGE_CLIPBOARD_MUTTER_H
#define HELIX_BRIDGE_CLIPBOARD_MUTTER_H

#include "backend.h"

struct mutter;

/* `m` is borrowed. */
int clipboard_mutter_create(struct mutter *m, struct clipboard_backend **ret);
void clipboard_mutter_destroy(struct clipboard_backend *b);
/* There is a session that was started; it is no more. NULL does nothing. */
void clipboard_mutter_begin(struct clipboard_backend *b);
void clipboard_mutter_end(struct clipboard_backend *b);

#endif
