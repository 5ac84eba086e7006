/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All of logind-stub but its command line: a model (session.h, devices.h) with two faces (bus.h,
 * seatd.h), a line to the supervisor (control.h) and the desktop's input devices (input.h).
 */
#ifndef HELIX_LOGIND_STUB_STUB_H
#define HELIX_LOGIND_STUB_STUB_H

#include "bus.h"
#include "control.h"
#include "input.h"
#include "seatd.h"

struct stub_config {
	int lease_fd;             /* consumed */
	int control_fd;           /* consumed; -1: none */
	int bus_fd;               /* consumed; D-Bus straight to one client; -1: none */
	const char *bus;          /* "system", an address, or NULL: none */
	const char *seatd_socket; /* NULL: none */
	const char *input_socket; /* NULL: no input devices */
	const char *udev_dir;
	const char *runtime_dir; /* NULL: nowhere to leave the input token */
	const char *card;
	const char *desktop; /* logind's Desktop; NULL: "" */
	const char *user_name;
	uid_t uid;
	gid_t gid;
};

struct stub {
	sd_event *loop;
	struct devices devices;
	struct session session;
	struct bus_face bus;
	struct seatd seatd;
	struct control_line control;
	struct input *input; // may be NULL
};

/*
 * Borrows `config` while it runs. `ready` (may be NULL) is called once all that was asked for is
 * served. A failure has been logged. Whatever happened, `stub_finish` comes after.
 */
int stub_init(struct stub *stub, sd_event *loop, const struct stub_config *config,
	void (*ready)(void *data), void *data);
void stub_finish(struct stub *stub);

#endif
