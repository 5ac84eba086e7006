/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The devices that this desktop may have: the card, which is its DRM lease, and the input devices
 * that were made for it. Nothing is ever opened here: each is a descriptor that somebody passed us,
 * and what clients get are duplicates of it.
 */
#ifndef HELIX_LOGIND_STUB_DEVICES_H
#define HELIX_LOGIND_STUB_DEVICES_H

#include <stdbool.h>
#include <stdint.h>

#define DEVICES_MAX     16u
#define DEVICE_PATH_MAX 64u

enum device_kind {
	DEVICE_CARD,
	DEVICE_INPUT,
};

struct device {
	enum device_kind kind;
	uint32_t major, minor;
	char path[DEVICE_PATH_MAX]; /* of the node, as seatd's clients ask for it */
	int fd;                     /* -1: the lease is gone */
};

struct devices {
	struct device entries[DEVICES_MAX];
	unsigned n;
};

void devices_init(struct devices *d);
/* Closes all. */
void devices_finish(struct devices *d);

/* Consumes `fd`, also on failure. -EEXIST, -ENOSPC. */
int devices_add(struct devices *d, enum device_kind kind, uint32_t major, uint32_t minor,
	const char *path, int fd);
void devices_remove(struct devices *d, uint32_t major, uint32_t minor);
/* Replaces the descriptor of the card; consumes `fd`, -1 for none. */
void devices_set_lease(struct devices *d, int fd);

/* NULL if it is not one of ours. */
const struct device *devices_find(const struct devices *d, uint32_t major, uint32_t minor);
/*
 * By the path of its node. A node need not exist; another path (a symbolic link below /dev, say)
 * is looked up in the file system.
 */
const struct device *devices_find_path(const struct devices *d, const char *path);
const struct device *devices_first_input(const struct devices *d);
const struct device *devices_card(const struct devices *d);

/* A new descriptor of it; -ENODEV while the lease is gone. */
int device_open(const struct device *device);
/*
 * Takes away the events that nobody read, so that who opens it next does not get what was typed
 * before.
 */
void device_drain(const struct device *device);

#endif
