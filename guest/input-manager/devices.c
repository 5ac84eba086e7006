/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dirent.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/uinput.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "devices.h"
#include "proto/input.h"
#include "util.h"

#define UINPUT_NODE "/dev/uinput"
/* Multicast group of NETLINK_KOBJECT_UEVENT in which the kernel itself speaks. */
#define GROUP_KERNEL 1u
/* So many digits at most: the kernel has 1024 event nodes. */
#define NUMBER_DIGITS 8u

static int open_uinput(void) {
	int fd = open(UINPUT_NODE, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int devices_check(void) {
	int fd = open_uinput();
	if (fd < 0) {
		return fd;
	}
	(void)close_fd(fd);
	return 0;
}

static int set_bits(
	int fd, enum input_kind kind, uint16_t type, unsigned long request, unsigned count) {
	bool any = false;
	for (unsigned code = 0; code < count; code++) {
		if (!input_kind_has(kind, type, (uint16_t)code)) {
			continue;
		}
		any = true;
		if (ioctl(fd, request, code) < 0) {
			return -errno;
		}
	}
	return any && ioctl(fd, UI_SET_EVBIT, type) < 0 ? -errno : 0;
}

static int32_t axis_max(uint16_t code) {
	switch (code) {
	case ABS_MT_SLOT:
		return INPUT_SLOTS - 1;
	case ABS_MT_TRACKING_ID:
		return INPUT_TRACKING_ID_MAX;
	default:
		return INPUT_POSITION_MAX;
	}
}

static int set_axes(int fd, enum input_kind kind) {
	bool any = false;
	for (uint16_t code = 0; code < ABS_CNT; code++) {
		struct uinput_abs_setup setup = {
			.code = code, .absinfo = {.maximum = axis_max(code)}};
		if (!input_kind_has(kind, EV_ABS, code)) {
			continue;
		}
		any = true;
		if (ioctl(fd, UI_ABS_SETUP, &setup) < 0) {
			return -errno;
		}
	}
	return any && ioctl(fd, UI_SET_EVBIT, EV_ABS) < 0 ? -errno : 0;
}

/*
 * No EV_REP: who repeats keys is the compositor. No LEDs: nobody would see them, and the
 * compositor cannot write them.
 */
static int set_up(int fd, enum input_kind kind, const char *name, const char *phys) {
	struct uinput_setup setup = {.id = {.bustype = BUS_VIRTUAL, .product = (uint16_t)kind + 1}};
	(void)snprintf(setup.name, sizeof(setup.name), "%s", name);
	int r = set_bits(fd, kind, EV_KEY, UI_SET_KEYBIT, KEY_CNT);
	if (r == 0) {
		r = set_bits(fd, kind, EV_REL, UI_SET_RELBIT, REL_CNT);
	}
	if (r == 0) {
		r = set_axes(fd, kind);
	}
	if (r == 0 && kind == INPUT_TOUCH && ioctl(fd, UI_SET_PROPBIT, INPUT_PROP_DIRECT) < 0) {
		r = -errno;
	}
	if (r < 0) {
		return r;
	}
	if (ioctl(fd, UI_SET_PHYS, phys) < 0 || ioctl(fd, UI_DEV_SETUP, &setup) < 0 ||
		ioctl(fd, UI_DEV_CREATE) < 0) {
		return -errno;
	}
	return 0;
}

static int read_number(
	const char *dir, const char *event, uint32_t *ret_major, uint32_t *ret_minor) {
	char path[128], text[32];
	(void)snprintf(path, sizeof(path), "%s/%.15s/dev", dir, event);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
	int r = n < 0 ? -errno : 0;
	(void)close_fd(fd);
	if (r < 0) {
		return r;
	}
	text[n] = '\0';
	char *end;
	unsigned long major = strtoul(text, &end, 10);
	unsigned long minor = *end == ':' ? strtoul(end + 1, &end, 10) : 0;
	if (end == text || *end != '\n') {
		return -EIO;
	}
	*ret_major = (uint32_t)major;
	*ret_minor = (uint32_t)minor;
	return 0;
}

/* The evdev part of our device in sysfs; -ENOENT: there is none yet. */
static int find_event(const char *dir, struct device *d) {
	static const char prefix[] = "event";
	DIR *entries = opendir(dir);
	if (!entries) {
		return -errno;
	}
	int r = -ENOENT;
	const struct dirent *e;
	while (r == -ENOENT && (e = readdir(entries))) {
		size_t n = strlen(e->d_name);
		if (strncmp(e->d_name, prefix, strlen(prefix)) != 0 ||
			n > strlen(prefix) + NUMBER_DIGITS) {
			continue;
		}
		(void)snprintf(d->sysname, sizeof(d->sysname), "%.15s", e->d_name);
		r = read_number(dir, d->sysname, &d->major, &d->minor);
	}
	(void)closedir(entries);
	return r;
}

/* -ENOENT: not there yet. */
static int open_node(struct device *d) {
	char path[64];
	struct stat st;
	(void)snprintf(path, sizeof(path), "/dev/input/%s", d->sysname);
	for (int *fd = &d->evdev_fd; fd; fd = fd == &d->evdev_fd ? &d->guard_fd : NULL) {
		if (fd == &d->guard_fd && d->kind != INPUT_KEYBOARD) {
			break;
		}
		*fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
		if (*fd < 0 || fstat(*fd, &st) < 0) {
			return -errno;
		}
		if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(d->major, d->minor)) {
			return -EIO;
		}
	}
	return ioctl(d->evdev_fd, EVIOCGRAB, 1) < 0 ? -errno : 0;
}

static void close_node(struct device *d) {
	d->evdev_fd = close_fd(d->evdev_fd);
	d->guard_fd = close_fd(d->guard_fd);
}

static int find_node(struct device *d, const char *dir) {
	int r = find_event(dir, d);
	if (r == 0) {
		r = open_node(d);
	}
	if (r < 0) {
		close_node(d);
	}
	return r;
}

static int open_uevents(void) {
	struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = GROUP_KERNEL};
	int fd = socket(
		AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		int r = -errno;
		(void)close_fd(fd);
		return r;
	}
	return fd;
}

/*
 * With evdev in the kernel, the node is there when UI_DEV_CREATE returns. Where evdev is a module
 * that our device has loaded only now, its kernel event tells when to look again.
 */
static int wait_for_node(struct device *d, const char *dir, unsigned timeout_ms) {
	uint64_t deadline = now_ns() + timeout_ms * NSEC_PER_MSEC;
	int fd = open_uevents();
	if (fd < 0) {
		return fd;
	}
	int r;
	while ((r = find_node(d, dir)) == -ENOENT) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		int left = ms_until(deadline);
		if (left == 0 || poll(&p, 1, left) == 0) {
			r = -ETIMEDOUT;
			break;
		}
		char event[1];
		while (recv(fd, event, sizeof(event), MSG_DONTWAIT) >= 0) {
		}
	}
	(void)close_fd(fd);
	return r;
}

int device_make(struct device *ret, enum input_kind kind, const char *name, const char *phys,
	unsigned timeout_ms) {
	struct device d = {.kind = kind, .evdev_fd = -1, .guard_fd = -1};
	char parent[32] = "", dir[96];
	d.uinput_fd = open_uinput();
	if (d.uinput_fd < 0) {
		return d.uinput_fd;
	}
	int r = set_up(d.uinput_fd, kind, name, phys);
	if (r == 0 && ioctl(d.uinput_fd, UI_GET_SYSNAME(sizeof(parent) - 1), parent) < 0) {
		r = -errno;
	}
	if (r == 0) {
		(void)snprintf(dir, sizeof(dir), "/sys/devices/virtual/input/%s", parent);
		r = find_node(&d, dir);
	}
	if (r == -ENOENT) {
		r = wait_for_node(&d, dir, timeout_ms);
	}
	if (r < 0) {
		device_unmake(&d);
		return r;
	}
	*ret = d;
	return 0;
}

void device_unmake(struct device *d) {
	/* The device first: closing a grabbed node that lives would wait for the kernel once more. */
	d->uinput_fd = close_fd(d->uinput_fd);
	close_node(d);
}

int device_write(const struct device *d, const struct input_event *events, unsigned n) {
	ssize_t size = (ssize_t)(n * sizeof(*events));
	ssize_t written = write(d->uinput_fd, events, (size_t)size);
	return written == size ? 0 : written < 0 ? -errno : -EIO;
}

bool device_is_grabbed(const struct device *d) {
	if (d->guard_fd < 0) {
		return true;
	}
	return ioctl(d->guard_fd, EVIOCGRAB, 1) < 0 && errno == EBUSY;
}

bool device_has_unread(const struct device *d) {
	struct pollfd p = {.fd = d->evdev_fd, .events = POLLIN};
	return poll(&p, 1, 0) > 0 && (p.revents & POLLIN);
}

/*
 * The kernel (input_estimate_events_per_packet, evdev_compute_buffer_size) makes room for eight
 * full reports of 8, 16 and 60 events, or 64 events if that is more, and rounds up to a power of
 * two; it uses one less than that, and none of it for keeping old events once it is full.
 */
unsigned device_capacity(enum input_kind kind) {
	static const unsigned events[_INPUT_KIND_MAX] = {
		[INPUT_KEYBOARD] = 64,
		[INPUT_POINTER] = 128,
		[INPUT_TOUCH] = 512,
	};
	return events[kind] - 1;
}
