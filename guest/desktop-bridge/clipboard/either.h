/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One clipboard of two: the first while there is a way to it, else the second. */
#ifndef HELIX_BRIDGE_CLIPBOARD_EITHER_H
#define HELIX_BRIDGE_CLIPBOARD_EITHER_H

#include "backend.h"

/* Both are borrowed. The second one is not listened to while the first is available. */
int clipboard_either_create(struct clipboard_backend *first, struct clipboard_backend *second,
	struct clipboard_backend **ret);
void clipboard_either_destroy(struct clipboard_backend *b);

#endif
