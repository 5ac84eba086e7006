/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "session-bus.h"
#include "test.h"

pid_t session_bus_start(void) {
	int fds[2];
	char address[256] = "", number[40];
	check_int(pipe2(fds, 0), ==, 0);
	(void)snprintf(number, sizeof(number), "--print-address=%d", fds[1]);
	pid_t daemon = fork();
	check(daemon >= 0);
	if (daemon == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)execlp("dbus-daemon", "dbus-daemon", "--session", "--nofork", number, NULL);
		_exit(127);
	}
	(void)close(fds[1]);
	ssize_t n = read(fds[0], address, sizeof(address) - 1);
	(void)close(fds[0]);
	if (n <= 0) {
		(void)waitpid(daemon, NULL, 0);
		skip("there is no dbus-daemon");
	}
	address[strcspn(address, "\n")] = '\0';
	check_int(setenv("DBUS_SESSION_BUS_ADDRESS", address, 1), ==, 0);
	return daemon;
}
