/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "devices.h"
#include "fake-devices.h"
#include "util.h"

#define MAJOR 13u

struct fake_devices fake_devices = {.capacity = 63};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool hold, held; /* under lock */

void fake_devices_hold(void) {
	pthread_mutex_lock(&lock);
	hold = true;
	pthread_mutex_unlock(&lock);
}

void fake_devices_go_on(void) {
	pthread_mutex_lock(&lock);
	hold = false;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

void fake_devices_wait_held(void) {
	pthread_mutex_lock(&lock);
	while (!held) {
		pthread_cond_wait(&changed, &lock);
	}
	pthread_mutex_unlock(&lock);
}

static void stand_still(void) {
	pthread_mutex_lock(&lock);
	while (hold) {
		held = true;
		pthread_cond_broadcast(&changed);
		pthread_cond_wait(&changed, &lock);
	}
	held = false;
	pthread_mutex_unlock(&lock);
}

int devices_check(void) {
	return 0;
}

int device_make(struct device *ret, enum input_kind kind, const char *name, const char *phys,
	unsigned timeout_ms) {
	int fds[2];
	stand_still();
	int r = fake_devices.make_error;
	if (r < 0 && (!fake_devices.fail_last || kind == _INPUT_KIND_MAX - 1)) {
		return r;
	}
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0) {
		return -errno;
	}
	unsigned number = fake_devices.n_made++;
	fake_devices.n_live++;
	*ret = (struct device){.kind = kind,
		.uinput_fd = fds[1],
		.evdev_fd = fds[0],
		.guard_fd = -1,
		.major = MAJOR,
		.minor = 64 + number};
	(void)snprintf(ret->sysname, sizeof(ret->sysname), "event%u", number);
	return 0;
}

void device_unmake(struct device *d) {
	if (d->uinput_fd < 0) {
		return;
	}
	stand_still();
	d->uinput_fd = close_fd(d->uinput_fd);
	d->evdev_fd = close_fd(d->evdev_fd);
	fake_devices.n_live--;
}

int device_write(const struct device *d, const struct input_event *events, unsigned n) {
	ssize_t size = (ssize_t)(n * sizeof(*events));
	if (fake_devices.write_error < 0) {
		return fake_devices.write_error;
	}
	return write(d->uinput_fd, events, (size_t)size) == size ? 0 : -EIO;
}

bool device_is_grabbed(const struct device *d) {
	return d->kind != INPUT_KEYBOARD || !fake_devices.grab_is_lost;
}

bool device_has_unread(const struct device *d) {
	struct pollfd p = {.fd = d->evdev_fd, .events = POLLIN};
	return poll(&p, 1, 0) > 0;
}

unsigned device_capacity(enum input_kind kind) {
	return fake_devices.capacity;
}
