/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A connection to the compositor at WAYLAND_DISPLAY, in a loop that must not wait: made when there is one, and
 * again when it was lost. It knows no interface but the registry; whoever uses it makes objects of it, and
 * destroys them when it is lost. Each user has one of its own, so that none waits for what another one sent.
 */
#ifndef HELIX_BRIDGE_WAYLAND_LINK_H
#define HELIX_BRIDGE_WAYLAND_LINK_H

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>
#include <wayland-client.h>

struct wayland_link;

struct wayland_events {
	void (*global)(struct wl_registry *registry, uint32_t name, const char *interface,
		uint32_t version, void *data);
	void (*global_removed)(uint32_t name, void *data);
	/* All that there is was told, and what it tells when it is bound. */
	void (*told)(void *data);
	/* The objects that were made are to be destroyed; it is tried again. Not at wayland_link_close. */
	void (*lost)(const char *why, void *data);
};

/* Does nothing yet. `events` is borrowed. */
int wayland_link_create(
	sd_event *loop, const struct wayland_events *events, void *data, struct wayland_link **ret);
/* NULL does nothing. The objects that were made are destroyed before. */
void wayland_link_destroy(struct wayland_link *l);

/* Tries from the loop's next turn on. */
void wayland_link_open(struct wayland_link *l);
/* Its user destroyed all objects that it made. */
void wayland_link_close(struct wayland_link *l);

/* Valid between `told` and `lost`. */
struct wl_display *wayland_link_display(const struct wayland_link *l);
/* Sends what waits, as far as the compositor takes it, and the rest as soon as it does. */
void wayland_link_flush(struct wayland_link *l);
/* The compositor did not take all that was sent. */
bool wayland_link_blocked(const struct wayland_link *l);
/* Nothing is sent until this ends. */
void wayland_link_hold(struct wayland_link *l, bool hold);
/* Gives it up: `lost` is called at once or, from within a call of an event, behind that. `why` is borrowed. */
void wayland_link_lose(struct wayland_link *l, const char *why);

#endif
