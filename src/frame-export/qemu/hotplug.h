/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tells a guest that its monitors changed. The answers to "which, how large" come from our device;
 * but only QEMU can raise the configuration interrupt that makes the guest ask, and it does so when
 * a display client calls SetUIInfo. So: QMP to QEMU, hand it one end of a socket pair as a D-Bus
 * display client, and speak D-Bus peer to peer on the other. All asynchronous, on the main loop.
 */
#ifndef HELIX_FRAME_EXPORT_HOTPLUG_H
#define HELIX_FRAME_EXPORT_HOTPLUG_H

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

struct hotplug;

/*
 * The way to QEMU's display is its QMP socket, or the bus that it is on: a QEMU with several GPUs
 * has one display connection, which their processes can only share on a bus. Neither need be there
 * yet: the link is made when it appears, and made anew when QEMU restarts. Strings are copied.
 */
struct hotplug_config {
	const char *qmp_path;    /* or */
	const char *bus_address; /* as D-Bus has it, "unix:path=..." */
	const char *device_id;   /* of our device in QEMU; NULL: the one that fits best */
	unsigned n_scanouts;     /* that it has */
};

int hotplug_create(sd_event *loop, const struct hotplug_config *config, struct hotplug **ret);
void hotplug_destroy(struct hotplug *h);

/*
 * What the guest should see on scanout `id`; 0 by 0: nothing plugged in. Remembered, and told to
 * QEMU now or as soon as the link is up. A call that changes nothing raises an event all the same.
 */
void hotplug_set_output(struct hotplug *h, uint32_t id, uint32_t width, uint32_t height);

/*
 * Whether the guest has been given all that the last calls of hotplug_set_output were about: its
 * questions came after them. Linux loses an event that comes while it still handles another; so as
 * long as the answer is no, the event is raised again, after 0.25, 0.5, 1, 2 and 4 s. Without a
 * handler it is not.
 */
typedef bool (*hotplug_known_func)(void *data);
void hotplug_set_known_handler(struct hotplug *h, hotplug_known_func func, void *data);

/* The guest was reset: every output that was set is unplugged again. */
void hotplug_reset(struct hotplug *h);

/* Called when the link to QEMU came up or broke. */
typedef void (*hotplug_link_func)(bool up, void *data);
void hotplug_set_link_handler(struct hotplug *h, hotplug_link_func func, void *data);

#endif
