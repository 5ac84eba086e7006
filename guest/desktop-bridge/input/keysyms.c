/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <xkbcommon/xkbcommon.h>

#include "keysyms.h"
#include "util.h"

#define EVDEV_OFFSET 8u /* of XKB's key codes */
/* Keys beyond it are rare ones that no keyboard has, and that X11's clients cannot see. */
#define KEY_XKB_MAX 255u
#define LEVELS      4u /* plain, shift, AltGr, both: so in nearly all layouts */

struct keysyms {
	struct xkb_context *context;
	struct xkb_keymap *keymap;
};

int keysyms_create(struct keysyms **ret) {
	struct keysyms *k = calloc(1, sizeof(*k));
	if (!k) {
		return -ENOMEM;
	}
	k->context = xkb_context_new(XKB_CONTEXT_NO_FLAGS);
	/* NULL names: the environment's, else the library's default. */
	k->keymap = k->context
		? xkb_keymap_new_from_names(k->context, NULL, XKB_KEYMAP_COMPILE_NO_FLAGS)
		: NULL;
	if (!k->keymap) {
		keysyms_destroy(k);
		return -EINVAL;
	}
	*ret = k;
	return 0;
}

void keysyms_destroy(struct keysyms *k) {
	if (k) {
		xkb_keymap_unref(k->keymap);
		xkb_context_unref(k->context);
		free(k);
	}
}

static bool types(
	struct xkb_keymap *map, xkb_keycode_t key, xkb_level_index_t level, uint32_t keysym) {
	const xkb_keysym_t *syms;
	return xkb_keymap_key_get_syms_by_level(map, key, 0, level, &syms) == 1 &&
		(syms[0] == keysym || xkb_keysym_to_utf32(syms[0]) == (keysym & 0x00FFFFFF) ||
			syms[0] == (keysym | 0x01000000)) &&
		(syms[0] == keysym || xkb_keysym_to_utf32(keysym) != 0);
}

int keysyms_find(const struct keysyms *k, uint32_t keysym, struct keysym_key *ret) {
	xkb_keycode_t max = MIN(xkb_keymap_max_keycode(k->keymap), KEY_XKB_MAX);
	/* The fewest modifiers first. */
	for (xkb_level_index_t level = 0; level < LEVELS; level++) {
		for (xkb_keycode_t key = xkb_keymap_min_keycode(k->keymap); key <= max; key++) {
			if (key > EVDEV_OFFSET &&
				level < xkb_keymap_num_levels_for_key(k->keymap, key, 0) &&
				types(k->keymap, key, level, keysym)) {
				*ret = (struct keysym_key){
					.code = (uint16_t)(key - EVDEV_OFFSET),
					.shift = level & 1,
					.altgr = level & 2,
				};
				return 0;
			}
		}
	}
	return -ENOENT;
}
