/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stands in for QEMU under helix-vm: inherits the sockets, answers QMP, and ends as the test wants.
 * Environment:
 *   FAKE_QEMU_LOG      what happened, a word or two a line
 *   FAKE_QEMU_VERSION  default 10.0.2
 *   FAKE_QEMU          what it does, words of these:
 *     no-dbus    has no D-Bus display
 *     exit-7     ends with status 7 as soon as it is asked for its status or anything else
 *     silent     never greets
 *     powerdown  ends when the guest is asked to shut down
 *     stubborn   does not end by SIGTERM, nor when it is left alone
 *     two-gpus   inherits two sockets for GPUs
 */
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS_MAX 64

static bool does(const char *what) {
	const char *all = getenv("FAKE_QEMU");
	return all && strstr(all, what);
}

static void note(const char *text) {
	FILE *f = fopen(getenv("FAKE_QEMU_LOG"), "ae");
	if (f) {
		(void)fprintf(f, "%s\n", text);
		(void)fclose(f);
	}
}

static void answer(int fd, const char *line) {
	char command[64] = "?", reply[128];
	unsigned long id = 0;
	const char *at = strstr(line, "\"execute\":\""), *number = strstr(line, "\"id\":");
	if (at) {
		(void)sscanf(at + strlen("\"execute\":\""), "%63[^\"]", command);
	}
	if (number) {
		id = strtoul(number + strlen("\"id\":"), NULL, 10);
	}
	note(command);
	if (does("exit-7") && strcmp(command, "qmp_capabilities") == 0) {
		exit(7);
	}
	int n = snprintf(reply, sizeof(reply), "{\"return\": {}, \"id\": %lu}\n", id);
	(void)!write(fd, reply, (size_t)n);
	if (strcmp(command, "system_powerdown") == 0 && does("powerdown")) {
		exit(0);
	}
}

/* Objects come one after another, without line feeds; ours have no braces in strings. */
static void read_commands(int fd) {
	static char text[4096];
	static size_t used;
	ssize_t n = read(fd, text + used, sizeof(text) - 1 - used);
	if (n <= 0 && does("stubborn")) {
		(void)pause();
	}
	if (n <= 0) {
		exit(1);
	}
	used += (size_t)n;
	text[used] = '\0';
	for (char *end; (end = strchr(text, '}'));) {
		*end = '\0';
		answer(fd, text);
		used -= (size_t)(end + 1 - text);
		memmove(text, end + 1, used + 1);
	}
}

int main(int argc, char *argv[]) {
	static const char greeting[] = "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\n";
	const char *version = getenv("FAKE_QEMU_VERSION");
	if (argc > 1 && strcmp(argv[1], "--version") == 0) {
		return printf("QEMU emulator version %s (fake)\n", version ? version : "10.0.2") <
			0;
	}
	if (argc > 2 && strcmp(argv[1], "-display") == 0) {
		return puts(does("no-dbus") ? "none" : "none\ndbus") < 0;
	}
	if (does("stubborn")) {
		(void)signal(SIGTERM, SIG_IGN);
	}
	(void)alarm(120); /* whatever the test does */
	note("start");
	/* Listeners first: of the GPUs, and the last one of the monitor. */
	struct pollfd fds[CONNECTIONS_MAX];
	int control = -1;
	const nfds_t n_gpus = does("two-gpus") ? 2 : 1;
	nfds_t n = 0;
	for (; n <= n_gpus; n++) {
		fds[n] = (struct pollfd){.fd = 3 + (int)n, .events = POLLIN};
	}
	while (poll(fds, n, -1) > 0) {
		for (nfds_t i = 0; i < n; i++) {
			if (!fds[i].revents) {
				continue;
			}
			if (i <= n_gpus && n < CONNECTIONS_MAX) {
				int fd = accept(fds[i].fd, NULL, NULL);
				fds[n++] = (struct pollfd){.fd = fd, .events = POLLIN};
				note(i < n_gpus ? "gpu connected" : "control connected");
				control = i == n_gpus ? fd : control;
				if (i == n_gpus && !does("silent")) {
					(void)!write(fd, greeting, sizeof(greeting) - 1);
				}
			} else if (fds[i].fd == control) {
				read_commands(control);
			} else {
				note("gpu disconnected");
				(void)close(fds[i].fd);
				fds[i].fd = -1;
			}
		}
	}
	return 1;
}
