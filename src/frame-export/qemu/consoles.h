/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which of QEMU's consoles are the outputs of our device. QEMU describes each console on D-Bus
 * (org.qemu.Display1.Console): all outputs of one device share DeviceAddress, e.g. "pci/0000/02.0",
 * and Head counts them from 0, as the device does. Label is the device's id or, without one, its
 * type, and the head if the device has several: "vhost-user-gpu-pci.3".
 */
#ifndef HELIX_FRAME_EXPORT_CONSOLES_H
#define HELIX_FRAME_EXPORT_CONSOLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#define CONSOLES_MAX 64 /* of one VM: four full cards */

struct console {
	uint32_t id; /* N of /org/qemu/Display1/Console_N */
	uint32_t head;
	bool graphic;
	char label[64];
	char address[64];
};

/* Reads the a{sv} at the cursor of `m`, the answer to GetAll, over `c`. -errno if it is not one. */
int console_read(sd_bus_message *m, struct console *c);

/*
 * The consoles that belong to a device of `n_heads` outputs, by head: `ret[head]` is an index into
 * `consoles`, or -1. It is the one that QEMU knows by `id`. Without an id, if several devices come
 * into question, one whose label is that of a vhost-user device is preferred, then one with just
 * `n_heads` outputs, then the first. Returns how many heads were found, 0 for none.
 */
unsigned consoles_choose(
	const struct console *consoles, size_t n, const char *id, unsigned n_heads, int *ret);

#endif
