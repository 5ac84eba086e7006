/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which key types a keysym, by the layout that XKB_DEFAULT_LAYOUT and its like name ("us"). */
#ifndef HELIX_BRIDGE_KEYSYMS_H
#define HELIX_BRIDGE_KEYSYMS_H

#include <stdbool.h>
#include <stdint.h>

struct keysyms;

struct keysym_key {
	uint16_t code; /* evdev */
	bool shift, altgr;
};

int keysyms_create(struct keysyms **ret);
void keysyms_destroy(struct keysyms *k);
/* -ENOENT: no key of the layout types it. */
int keysyms_find(const struct keysyms *k, uint32_t keysym, struct keysym_key *ret);

#endif
