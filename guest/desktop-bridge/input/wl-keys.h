/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a virtual keyboard has to bring with it: the layout that XKB_DEFAULT_LAYOUT and its like name
 * ("us"), as compositors and keysyms.h have it, and the modifiers that follow from its keys.
 */
#ifndef HELIX_BRIDGE_WL_KEYS_H
#define HELIX_BRIDGE_WL_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wl_keys;

struct wl_modifiers {
	uint32_t depressed, latched, locked, group;
};

int wl_keys_create(struct wl_keys **ret);
void wl_keys_destroy(struct wl_keys *k);
/* The layout as text in a sealed file, which stays ours; the size counts its final NUL. */
int wl_keys_file(const struct wl_keys *k, size_t *ret_size);
/* Nothing is held, nothing locked. */
void wl_keys_reset(struct wl_keys *k);
/* True if the modifiers are others now. `code`: evdev. */
bool wl_keys_update(struct wl_keys *k, uint16_t code, bool down, struct wl_modifiers *ret);

#endif
