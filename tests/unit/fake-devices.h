/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Instead of the kernel's input layer (guest/input-manager/devices.c): a device is a pipe, what is
 * written into it is what its readers get, and its making and unmaking take as long as the test
 * likes.
 */
#ifndef HELIX_TESTS_FAKE_DEVICES_H
#define HELIX_TESTS_FAKE_DEVICES_H

#include <stdatomic.h>
#include <stdbool.h>

struct fake_devices {
	atomic_int make_error;    /* what making fails with; 0: it does not */
	atomic_bool fail_last;    /* only with the last kind */
	atomic_int write_error;   /* likewise of writing */
	atomic_bool grab_is_lost; /* of all keyboards */
	atomic_uint capacity;     /* of all devices */
	atomic_uint n_made, n_live;
};

extern struct fake_devices fake_devices;

/* From now on the worker stands still when it comes to a device; and goes on. */
void fake_devices_hold(void);
void fake_devices_go_on(void);
/* Until the worker stands still. */
void fake_devices_wait_held(void);

#endif
