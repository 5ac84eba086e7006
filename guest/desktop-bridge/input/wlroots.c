/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Compositors of wlroots, and others that have its virtual pointer and virtual keyboard: a pointer and
 * a keyboard of our own, as a Wayland client. There is no protocol for touch: the first finger is the
 * left button, others are left out.
 *
 * Programs bind the seat's keyboard and pointer when they hear that it has them, and get nothing of
 * what was typed before. Where ours are the first ones, what comes in the moment after they are made
 * waits, unsent, until that is over.
 */
#include <linux/input-event-codes.h>
#include <string.h>

#include "backend.h"
#include "clipboard/data-control.h"
#include "log.h"
#include "util.h"
#include "virtual-keyboard-unstable-v1-client-protocol.h"
#include "wayland/link.h"
#include "wl-keys.h"
#include "wlr-virtual-pointer-unstable-v1-client-protocol.h"

LOG_MODULE("input");

/* For programs to bind what is new; nothing shows that they have. */
#define SETTLE_US       (1 * UINT64_C(1000000))
#define EXTENT          (1u << 24)
#define NOTCH           15.0
#define NO_TOUCH        (-1)
#define WAITING_MAX     256u /* events for a compositor that takes nothing */
#define POINTER_VERSION 2u

enum step {
	AWAY,     /* no compositor, or one that did not tell yet what it has */
	WITHOUT,  /* it has not what we need */
	SETTLING, /* what is sent waits */
	READY,
};

struct wlroots {
	struct input_backend base;
	struct wayland_link *link;
	sd_event_source *settling;
	enum step step;
	/* Of the connection; NULL without. */
	struct wl_seat *seat;
	struct wl_output *output; /* the one that positions are on */
	uint32_t seat_name, output_name, seat_has;
	struct zwlr_virtual_pointer_manager_v1 *pointers;
	struct zwp_virtual_keyboard_manager_v1 *keyboards;
	struct zwlr_virtual_pointer_v1 *pointer;
	struct zwp_virtual_keyboard_v1 *keyboard;
	struct wl_keys *keys; // made when first needed; may be NULL
	struct clipboard_backend *clipboard;
	bool complained;
	unsigned waiting;   /* events since it took something */
	int touch;          /* slot of the finger that is down */
	unsigned left_held; /* by the left button, and by the finger */
	double scrolled[2]; /* less than a notch so far */
};

static struct wlroots *wlroots_of(struct input_backend *b) {
	return (struct wlroots *)b;
}

/* What goes with the connection, whether the other side still hears of it or not. */
static void drop_objects(struct wlroots *w) {
	(void)sd_event_source_set_enabled(w->settling, SD_EVENT_OFF);
	w->step = AWAY;
#define DROP(object, destroy)            \
	do {                             \
		if (object) {            \
			destroy(object); \
			(object) = NULL; \
		}                        \
	} while (0)
	DROP(w->pointer, zwlr_virtual_pointer_v1_destroy);
	DROP(w->keyboard, zwp_virtual_keyboard_v1_destroy);
	DROP(w->pointers, zwlr_virtual_pointer_manager_v1_destroy);
	DROP(w->keyboards, zwp_virtual_keyboard_manager_v1_destroy);
	DROP(w->output, wl_output_destroy);
	DROP(w->seat, wl_seat_destroy);
}

static void handle_lost(const char *why, void *data) {
	struct wlroots *w = data;
	if (w->step == READY || w->step == SETTLING) {
		log_warn("the compositor is gone (%s); trying again", why);
	}
	drop_objects(w);
}

/* The new one before the old one goes, so that the seat always has one. */
static void make_pointer(struct wlroots *w) {
	struct zwlr_virtual_pointer_v1 *old = w->pointer;
	w->pointer = w->output && zwlr_virtual_pointer_manager_v1_get_version(w->pointers) >= 2
		? zwlr_virtual_pointer_manager_v1_create_virtual_pointer_with_output(
			  w->pointers, w->seat, w->output)
		: zwlr_virtual_pointer_manager_v1_create_virtual_pointer(w->pointers, w->seat);
	if (old) {
		zwlr_virtual_pointer_v1_destroy(old);
	}
}

/* -errno without a layout. */
static int make_keyboard(struct wlroots *w) {
	size_t size;
	int r = w->keys ? 0 : wl_keys_create(&w->keys);
	if (r < 0) {
		return r;
	}
	int fd = wl_keys_file(w->keys, &size);
	w->keyboard =
		zwp_virtual_keyboard_manager_v1_create_virtual_keyboard(w->keyboards, w->seat);
	if (w->keyboard) {
		zwp_virtual_keyboard_v1_keymap(
			w->keyboard, WL_KEYBOARD_KEYMAP_FORMAT_XKB_V1, fd, (uint32_t)size);
	}
	wl_keys_reset(w->keys);
	return w->keyboard ? 0 : -ENOMEM;
}

static void do_without(struct wlroots *w, const char *why) {
	if (!w->complained) {
		log_info("no input by the compositor's virtual devices: %s", why);
	}
	w->complained = true;
	w->step = WITHOUT;
}

static void handle_told(void *data) {
	struct wlroots *w = data;
	const uint32_t both = WL_SEAT_CAPABILITY_POINTER | WL_SEAT_CAPABILITY_KEYBOARD;
	if (!w->seat || !w->pointers || !w->keyboards) {
		do_without(w, "it has none");
		return;
	}
	int r = make_keyboard(w);
	if (r == -EINVAL) {
		do_without(w, "the keyboard layout is not known");
		return;
	}
	make_pointer(w);
	if (r < 0 || !w->pointer) {
		wayland_link_lose(w->link, "out of memory");
		return;
	}
	w->complained = false;
	w->touch = NO_TOUCH;
	w->left_held = w->waiting = 0;
	w->step = READY;
	wayland_link_flush(w->link);
	if ((w->seat_has & both) != both) {
		w->step = SETTLING;
		wayland_link_hold(w->link, true);
		(void)sd_event_source_set_time_relative(w->settling, SETTLE_US);
		(void)sd_event_source_set_enabled(w->settling, SD_EVENT_ONESHOT);
	}
	log_info("input goes to the compositor's virtual pointer and keyboard");
	input_backend_became_ready(&w->base);
}

static void handle_seat_has(void *data, struct wl_seat *seat, uint32_t capabilities) {
	((struct wlroots *)data)->seat_has = capabilities;
}

static void handle_seat_name(void *data, struct wl_seat *seat, const char *name) {
}

static const struct wl_seat_listener seat_listener = {
	.capabilities = handle_seat_has,
	.name = handle_seat_name,
};

/* The first seat and the first output: a desktop has one of each. */
static void handle_global(struct wl_registry *registry, uint32_t name, const char *interface,
	uint32_t version, void *data) {
	struct wlroots *w = data;
	if (strcmp(interface, wl_seat_interface.name) == 0 && !w->seat) {
		w->seat = wl_registry_bind(registry, name, &wl_seat_interface, 1);
		w->seat_name = name;
		w->seat_has = 0;
		if (w->seat) {
			(void)wl_seat_add_listener(w->seat, &seat_listener, w);
		}
	} else if (strcmp(interface, wl_output_interface.name) == 0 && !w->output) {
		w->output = wl_registry_bind(registry, name, &wl_output_interface, 1);
		w->output_name = name;
		if (w->output && w->pointer) {
			make_pointer(w);
		}
	} else if (strcmp(interface, zwlr_virtual_pointer_manager_v1_interface.name) == 0 &&
		!w->pointers) {
		w->pointers = wl_registry_bind(registry, name,
			&zwlr_virtual_pointer_manager_v1_interface, MIN(version, POINTER_VERSION));
	} else if (strcmp(interface, zwp_virtual_keyboard_manager_v1_interface.name) == 0 &&
		!w->keyboards) {
		w->keyboards = wl_registry_bind(
			registry, name, &zwp_virtual_keyboard_manager_v1_interface, 1);
	}
}

static void handle_global_removed(uint32_t name, void *data) {
	struct wlroots *w = data;
	if (w->output && name == w->output_name) {
		wl_output_destroy(w->output);
		w->output = NULL;
	} else if (w->seat && name == w->seat_name) {
		wayland_link_lose(w->link, "its seat was removed");
	}
}

static const struct wayland_events link_events = {
	.global = handle_global,
	.global_removed = handle_global_removed,
	.told = handle_told,
	.lost = handle_lost,
};

static int handle_settled(sd_event_source *source, uint64_t usec, void *data) {
	struct wlroots *w = data;
	w->step = READY;
	wayland_link_hold(w->link, false);
	return 0;
}

static bool wlroots_ready(struct input_backend *b) {
	const struct wlroots *w = wlroots_of(b);
	return w->step == READY || w->step == SETTLING;
}

/*
 * Whether an event can be sent. A compositor that takes nothing loses positions first; then it is left,
 * with all that was held.
 */
static bool can_send(struct wlroots *w, bool droppable) {
	bool blocked = wayland_link_blocked(w->link);
	if (!wlroots_ready(&w->base) || (blocked && droppable)) {
		return false;
	}
	w->waiting = blocked ? w->waiting + 1 : 0;
	if (w->waiting > WAITING_MAX) {
		wayland_link_lose(w->link, "it takes nothing");
		return false;
	}
	return true;
}

static uint32_t now_ms(void) {
	return (uint32_t)(now_ns() / NSEC_PER_MSEC);
}

static void wlroots_key(struct input_backend *b, uint16_t code, bool down) {
	struct wlroots *w = wlroots_of(b);
	struct wl_modifiers m;
	if (!can_send(w, false)) {
		return;
	}
	zwp_virtual_keyboard_v1_key(w->keyboard, now_ms(), code,
		down ? WL_KEYBOARD_KEY_STATE_PRESSED : WL_KEYBOARD_KEY_STATE_RELEASED);
	if (wl_keys_update(w->keys, code, down, &m)) {
		zwp_virtual_keyboard_v1_modifiers(
			w->keyboard, m.depressed, m.latched, m.locked, m.group);
	}
}

static void send_button(struct wlroots *w, uint16_t code, bool down) {
	zwlr_virtual_pointer_v1_button(w->pointer, now_ms(), code,
		down ? WL_POINTER_BUTTON_STATE_PRESSED : WL_POINTER_BUTTON_STATE_RELEASED);
	zwlr_virtual_pointer_v1_frame(w->pointer);
}

/* The mouse and the finger may have it down at once. */
static void send_left(struct wlroots *w, bool down) {
	if (!down && w->left_held == 0) {
		return; /* pressed before this compositor came */
	}
	w->left_held = down ? w->left_held + 1 : w->left_held - 1;
	if (w->left_held == (down ? 1 : 0)) {
		send_button(w, BTN_LEFT, down);
	}
}

static void wlroots_button(struct input_backend *b, uint16_t code, bool down) {
	struct wlroots *w = wlroots_of(b);
	if (!can_send(w, false)) {
		return;
	}
	if (code == BTN_LEFT) {
		send_left(w, down);
	} else {
		send_button(w, code, down);
	}
}

static void send_position(struct wlroots *w, double x, double y) {
	zwlr_virtual_pointer_v1_motion_absolute(w->pointer, now_ms(), (uint32_t)(x * EXTENT + 0.5),
		(uint32_t)(y * EXTENT + 0.5), EXTENT, EXTENT);
	zwlr_virtual_pointer_v1_frame(w->pointer);
}

static void wlroots_absolute(struct input_backend *b, double x, double y) {
	struct wlroots *w = wlroots_of(b);
	if (can_send(w, true)) {
		send_position(w, x, y);
	}
}

static void wlroots_relative(struct input_backend *b, double dx, double dy) {
	struct wlroots *w = wlroots_of(b);
	if (can_send(w, true)) {
		zwlr_virtual_pointer_v1_motion(
			w->pointer, now_ms(), wl_fixed_from_double(dx), wl_fixed_from_double(dy));
		zwlr_virtual_pointer_v1_frame(w->pointer);
	}
}

static void send_axis(struct wlroots *w, enum wl_pointer_axis axis, double value, bool wheel) {
	double *sum = &w->scrolled[axis];
	if (value == 0) {
		return;
	}
	*sum = wheel ? *sum + value / NOTCH : 0;
	int notches = (int)*sum;
	*sum -= notches;
	if (notches != 0) {
		zwlr_virtual_pointer_v1_axis_discrete(
			w->pointer, now_ms(), axis, wl_fixed_from_double(value), notches);
	} else {
		zwlr_virtual_pointer_v1_axis(
			w->pointer, now_ms(), axis, wl_fixed_from_double(value));
	}
}

/* Fingers would have to tell when they stop, which no viewer does: "continuous" need not. */
static void wlroots_scroll(struct input_backend *b, double dx, double dy, bool wheel) {
	struct wlroots *w = wlroots_of(b);
	if (!can_send(w, false)) {
		return;
	}
	zwlr_virtual_pointer_v1_axis_source(w->pointer,
		wheel ? WL_POINTER_AXIS_SOURCE_WHEEL : WL_POINTER_AXIS_SOURCE_CONTINUOUS);
	send_axis(w, WL_POINTER_AXIS_VERTICAL_SCROLL, dy, wheel);
	send_axis(w, WL_POINTER_AXIS_HORIZONTAL_SCROLL, dx, wheel);
	zwlr_virtual_pointer_v1_frame(w->pointer);
}

static void wlroots_touch(
	struct input_backend *b, enum ws_touch touch, unsigned slot, double x, double y) {
	struct wlroots *w = wlroots_of(b);
	bool first = touch == WS_TOUCH_DOWN && w->touch == NO_TOUCH;
	if ((!first && (int)slot != w->touch) || !can_send(w, touch == WS_TOUCH_MOVE)) {
		return;
	}
	if (first) {
		w->touch = (int)slot;
		send_position(w, x, y);
		send_left(w, true);
	} else if (touch == WS_TOUCH_MOVE) {
		send_position(w, x, y);
	} else {
		w->touch = NO_TOUCH;
		send_left(w, false);
	}
}

static void wlroots_flush(struct input_backend *b) {
	wayland_link_flush(wlroots_of(b)->link);
}

static struct clipboard_backend *wlroots_clipboard(struct input_backend *b) {
	return wlroots_of(b)->clipboard;
}

static void wlroots_destroy(struct input_backend *b) {
	struct wlroots *w = wlroots_of(b);
	clipboard_data_control_destroy(w->clipboard);
	drop_objects(w);
	wayland_link_destroy(w->link);
	wl_keys_destroy(w->keys);
	sd_event_source_disable_unref(w->settling);
	free(w);
}

static const struct input_backend_ops wlroots_ops = {
	.name = "wlroots",
	.ready = wlroots_ready,
	.key = wlroots_key,
	.button = wlroots_button,
	.absolute = wlroots_absolute,
	.relative = wlroots_relative,
	.scroll = wlroots_scroll,
	.touch = wlroots_touch,
	.flush = wlroots_flush,
	.clipboard = wlroots_clipboard,
	.destroy = wlroots_destroy,
};

int input_wlroots_create(sd_event *loop, struct input_backend **ret) {
	struct wlroots *w = calloc(1, sizeof(*w));
	if (!w) {
		return -ENOMEM;
	}
	w->base.ops = &wlroots_ops;
	w->touch = NO_TOUCH;
	int r = sd_event_add_time(loop, &w->settling, CLOCK_MONOTONIC, 0, 0, handle_settled, w);
	if (r >= 0) {
		(void)sd_event_source_set_enabled(w->settling, SD_EVENT_OFF);
		r = wayland_link_create(loop, &link_events, w, &w->link);
	}
	if (r >= 0) {
		r = clipboard_data_control_create(loop, &w->clipboard);
	}
	if (r < 0) {
		wlroots_destroy(&w->base);
		return r;
	}
	wayland_link_open(w->link);
	*ret = &w->base;
	return 0;
}
