/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hot-plug events of DRM cards, from the kernel itself: we hold the device open and need nothing
 * that udev adds, so there is no reason to wait for it or to depend on it.
 */
#ifndef HELIX_DRM_MANAGER_UEVENT_H
#define HELIX_DRM_MANAGER_UEVENT_H

#include <systemd/sd-event.h>

struct uevent_monitor;

/* `minor` of the card; UINT_MAX: some were lost, look at all. */
typedef void (*uevent_hotplug_func)(unsigned minor, void *data);

int uevent_monitor_create(
	sd_event *loop, uevent_hotplug_func hotplug, void *data, struct uevent_monitor **ret);
void uevent_monitor_destroy(struct uevent_monitor *m);

/* Whether a message of `size` bytes, with a NUL behind, tells of a hot-plug, and of which card. */
int uevent_parse(const char *text, size_t size, unsigned *ret_minor);

#endif
