/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A D-Bus connection to QEMU's display: peer to peer, made over QMP, or through a bus; made anew
 * whenever it breaks. While QEMU's socket does not exist, its directory is watched; a socket that
 * refuses, or a bus without QEMU, is tried again after 0.1 s, 0.2 s, … 2 s. A link that is up has no
 * timer and costs nothing.
 */
#ifndef HELIX_FRAME_EXPORT_QEMU_LINK_H
#define HELIX_FRAME_EXPORT_QEMU_LINK_H

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "util.h"

/* Of QEMU on a bus (docs/interop/dbus-display of QEMU); without a bus it is ignored. */
#define QEMU_BUS_NAME "org.qemu"

struct qemu_link;

struct qemu_link_handler {
	/* `bus` talks to QEMU; it is valid until `closed`. Answer with settled() or fail(). */
	void (*opened)(sd_bus *bus, void *data);
	/* Let go of everything that belongs to the bus. */
	void (*closed)(void *data);
};

/*
 * Either the path of a QMP socket or a bus address is given, and copied. -ENAMETOOLONG if no socket
 * can have the path. No handler runs before the loop does.
 */
int qemu_link_create(sd_event *loop, const char *qmp_path, const char *bus_address,
	const struct qemu_link_handler *handler, void *data, struct qemu_link **ret);
void qemu_link_destroy(struct qemu_link *l);

/* The peer is what was expected: keep the bus. The QMP socket is left to others. */
void qemu_link_settled(struct qemu_link *l);

/* The bus is of no use: close it, say why (once, if the reason stays the same), try again later. */
void qemu_link_fail(struct qemu_link *l, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
