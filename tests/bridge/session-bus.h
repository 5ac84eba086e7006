/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HELIX_TESTS_SESSION_BUS_H
#define HELIX_TESTS_SESSION_BUS_H

#include <sys/types.h>

/*
 * A session bus of the test's own, whose address goes into the environment. Returns the daemon, which
 * the caller ends and waits for. Skips the test if there is no dbus-daemon.
 */
pid_t session_bus_start(void);

#endif
