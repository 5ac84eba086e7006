/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One device of a set, made by uinput: the only part of the manager that speaks with the kernel's
 * input layer (tests have one of their own instead).
 *
 * Making and unmaking wait for the kernel, for some tenths of a second when RCU is slow: they are
 * for the worker's thread. The others are quick.
 */
#ifndef HELIX_INPUT_MANAGER_DEVICES_H
#define HELIX_INPUT_MANAGER_DEVICES_H

#include <linux/input.h>
#include <stdbool.h>

#include <helix/input.h>

/* Of names; the kernel's UINPUT_MAX_NAME_SIZE. */
#define DEVICE_NAME_SIZE 80u

struct device {
	enum input_kind kind;
	int uinput_fd; /* where events go in; -1: there is no device */
	/*
	 * Where they come out, for a compositor: read-only, since who may write to it could inject
	 * events past us. Grabbed by this very open file, so that no console and no SysRq of the VM
	 * sees them, as long as nobody lets go of the grab.
	 */
	int evdev_fd;
	int guard_fd; /* of a keyboard: tells whether somebody did; else -1 */
	uint32_t major, minor;
	char sysname[INPUT_SYSNAME_SIZE];
};

/* Whether devices can be made here at all; -errno. */
int devices_check(void);

/*
 * `phys`: what sysfs and udev rules know it by. -ETIMEDOUT: the kernel made it, but its node did
 * not appear. On failure there is nothing to unmake.
 */
int device_make(struct device *ret, enum input_kind kind, const char *name, const char *phys,
	unsigned timeout_ms);
/* Does nothing to one that has been unmade. Others may hold evdev_fd: to them the device is gone. */
void device_unmake(struct device *d);

int device_write(const struct device *d, const struct input_event *events, unsigned n);
/* False: somebody let go of the grab, so that events would reach the VM's console. */
bool device_is_grabbed(const struct device *d);
/* Whether there are events that nobody has read. */
bool device_has_unread(const struct device *d);
/* How many of them the kernel keeps; with one more, it forgets most. */
unsigned device_capacity(enum input_kind kind);

#endif
