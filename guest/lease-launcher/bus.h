/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Errands on a bus, each on a connection of its own that ends with it. Calls do not wait; the
 * callback comes once, from the loop, and may destroy the errand.
 */
#ifndef HELIX_LAUNCHER_BUS_H
#define HELIX_LAUNCHER_BUS_H

#include <systemd/sd-event.h>

struct bus_errand;
/* `problem`: NULL, or what went wrong, in words; lasts as long as the call. */
typedef void (*bus_func)(const char *problem, void *data);

/* Until somebody owns `name`, however long that takes. */
int bus_wait_name(sd_event *loop, const char *address, const char *name, bus_func done, void *data,
	struct bus_errand **ret);
/* Whether we may own `name`, which nobody else keeps for himself. */
int bus_try_name(sd_event *loop, const char *address, const char *name, bus_func done, void *data,
	struct bus_errand **ret);
/* Gives variables of our environment to what the bus will start: `names` ends with NULL. */
int bus_export_environment(sd_event *loop, const char *address, const char *const names[],
	bus_func done, void *data, struct bus_errand **ret);
/*
 * Asks the login stub what a compositor will ask, and says what a compositor would stumble over
 * without a word: a session that is not found, Seat that is no structure, a seat of another name.
 */
int bus_check_login(
	sd_event *loop, const char *address, bus_func done, void *data, struct bus_errand **ret);
void bus_errand_destroy(struct bus_errand *e);

#endif
