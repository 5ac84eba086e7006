/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "devices.h"
#include "util.h"

/* More than the kernel keeps for one reader. */
#define DRAIN_READS 64u

void devices_init(struct devices *d) {
	*d = (struct devices){0};
}

void devices_finish(struct devices *d) {
	for (unsigned i = 0; i < d->n; i++) {
		d->entries[i].fd = close_fd(d->entries[i].fd);
	}
	d->n = 0;
}

int devices_add(struct devices *d, enum device_kind kind, uint32_t major, uint32_t minor,
	const char *path, int fd) {
	if (devices_find(d, major, minor)) {
		(void)close_fd(fd);
		return -EEXIST;
	}
	if (d->n == DEVICES_MAX) {
		(void)close_fd(fd);
		return -ENOSPC;
	}
	struct device *e = &d->entries[d->n++];
	*e = (struct device){.kind = kind, .major = major, .minor = minor, .fd = fd};
	(void)snprintf(e->path, sizeof(e->path), "%s", path);
	return 0;
}

void devices_remove(struct devices *d, uint32_t major, uint32_t minor) {
	for (unsigned i = 0; i < d->n; i++) {
		struct device *e = &d->entries[i];
		if (e->major == major && e->minor == minor) {
			(void)close_fd(e->fd);
			*e = d->entries[--d->n];
			return;
		}
	}
}

void devices_set_lease(struct devices *d, int fd) {
	for (unsigned i = 0; i < d->n; i++) {
		struct device *e = &d->entries[i];
		if (e->kind == DEVICE_CARD) {
			(void)close_fd(e->fd);
			e->fd = fd;
			return;
		}
	}
	(void)close_fd(fd);
}

const struct device *devices_find(const struct devices *d, uint32_t major, uint32_t minor) {
	for (unsigned i = 0; i < d->n; i++) {
		if (d->entries[i].major == major && d->entries[i].minor == minor) {
			return &d->entries[i];
		}
	}
	return NULL;
}

/*
 * A client chose the path, and looking it up must not make us wait: /proc leads to other processes'
 * mounts, and so might any directory that a client can write to.
 */
static bool may_look_up(const char *path) {
	return strncmp(path, "/dev/", 5) == 0 && !strstr(path, "/../") &&
		strncmp(path, "/dev/fd", 7) != 0 && strncmp(path, "/dev/shm", 8) != 0;
}

const struct device *devices_find_path(const struct devices *d, const char *path) {
	struct stat st;
	for (unsigned i = 0; i < d->n; i++) {
		if (strcmp(d->entries[i].path, path) == 0) {
			return &d->entries[i];
		}
	}
	if (!may_look_up(path) || stat(path, &st) < 0 || !S_ISCHR(st.st_mode)) {
		return NULL;
	}
	return devices_find(d, major(st.st_rdev), minor(st.st_rdev));
}

const struct device *devices_first_input(const struct devices *d) {
	for (unsigned i = 0; i < d->n; i++) {
		if (d->entries[i].kind == DEVICE_INPUT) {
			return &d->entries[i];
		}
	}
	return NULL;
}

const struct device *devices_card(const struct devices *d) {
	for (unsigned i = 0; i < d->n; i++) {
		if (d->entries[i].kind == DEVICE_CARD) {
			return &d->entries[i];
		}
	}
	return NULL;
}

int device_open(const struct device *device) {
	if (device->fd < 0) {
		return -ENODEV;
	}
	int fd = fcntl(device->fd, F_DUPFD_CLOEXEC, 3);
	return fd < 0 ? -errno : fd;
}

void device_drain(const struct device *device) {
	char events[4096];
	for (unsigned i = 0; i < DRAIN_READS; i++) {
		/* It is non-blocking, as whoever made it promised; if it is not, leave it alone. */
		int flags = fcntl(device->fd, F_GETFL);
		if (device->kind != DEVICE_INPUT || flags < 0 || !(flags & O_NONBLOCK) ||
			read(device->fd, events, sizeof(events)) <= 0) {
			return;
		}
	}
}
