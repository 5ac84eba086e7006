/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <xkbcommon/xkbcommon.h>

#include "util.h"
#include "wl-keys.h"

#define EVDEV_OFFSET 8u /* of XKB's key codes */

struct wl_keys {
	struct xkb_context *context;
	struct xkb_keymap *keymap;
	struct xkb_state *state;
	struct wl_modifiers modifiers;
	int fd;
	size_t size;
};

static int make_file(struct wl_keys *k) {
	char *text = xkb_keymap_get_as_string(k->keymap, XKB_KEYMAP_FORMAT_TEXT_V1);
	int r = text ? 0 : -ENOMEM;
	if (r == 0) {
		k->size = strlen(text) + 1;
		k->fd = memfd_create("helix-keymap", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		r = k->fd < 0 ? -errno : 0;
	}
	for (size_t at = 0; r == 0 && at < k->size;) {
		ssize_t n = write(k->fd, text + at, k->size - at);
		r = n < 0 ? -errno : 0;
		at += n > 0 ? (size_t)n : 0;
	}
	free(text);
	if (r == 0 &&
		fcntl(k->fd, F_ADD_SEALS,
			F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0) {
		r = -errno;
	}
	return r;
}

int wl_keys_create(struct wl_keys **ret) {
	struct wl_keys *k = calloc(1, sizeof(*k));
	if (!k) {
		return -ENOMEM;
	}
	k->fd = -1;
	k->context = xkb_context_new(XKB_CONTEXT_NO_FLAGS);
	k->keymap = k->context
		? xkb_keymap_new_from_names(k->context, NULL, XKB_KEYMAP_COMPILE_NO_FLAGS)
		: NULL;
	int r = k->keymap ? make_file(k) : -EINVAL;
	if (r == 0) {
		wl_keys_reset(k);
		r = k->state ? 0 : -ENOMEM;
	}
	if (r < 0) {
		wl_keys_destroy(k);
		return r;
	}
	*ret = k;
	return 0;
}

void wl_keys_destroy(struct wl_keys *k) {
	if (k) {
		xkb_state_unref(k->state);
		xkb_keymap_unref(k->keymap);
		xkb_context_unref(k->context);
		(void)close_fd(k->fd);
		free(k);
	}
}

int wl_keys_file(const struct wl_keys *k, size_t *ret_size) {
	*ret_size = k->size;
	return k->fd;
}

void wl_keys_reset(struct wl_keys *k) {
	struct xkb_state *state = xkb_state_new(k->keymap);
	if (state) {
		xkb_state_unref(k->state);
		k->state = state;
	}
	k->modifiers = (struct wl_modifiers){0};
}

bool wl_keys_update(struct wl_keys *k, uint16_t code, bool down, struct wl_modifiers *ret) {
	(void)xkb_state_update_key(k->state, code + EVDEV_OFFSET, down ? XKB_KEY_DOWN : XKB_KEY_UP);
	struct wl_modifiers now = {
		.depressed = xkb_state_serialize_mods(k->state, XKB_STATE_MODS_DEPRESSED),
		.latched = xkb_state_serialize_mods(k->state, XKB_STATE_MODS_LATCHED),
		.locked = xkb_state_serialize_mods(k->state, XKB_STATE_MODS_LOCKED),
		.group = xkb_state_serialize_layout(k->state, XKB_STATE_LAYOUT_EFFECTIVE),
	};
	bool changed = memcmp(&now, &k->modifiers, sizeof(now)) != 0;
	k->modifiers = *ret = now;
	return changed;
}
