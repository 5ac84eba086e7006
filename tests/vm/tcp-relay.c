/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tcp-relay PORT HOST TARGET-PORT: passes connections to 127.0.0.1:PORT on, until it is killed; then
 * all of them end. For tests in which a server is to be away for a while.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "parse.h"

static struct sockaddr_in address(const char *host, const char *port) {
	struct sockaddr_in a = {.sin_family = AF_INET};
	uint32_t number;
	if (inet_pton(AF_INET, host, &a.sin_addr) != 1 || parse_u32(port, 1, 65535, &number) < 0) {
		(void)fprintf(stderr, "tcp-relay: %s:%s: no address\n", host, port);
		exit(2);
	}
	a.sin_port = htons((uint16_t)number);
	return a;
}

/* Returns false at the end of either side. */
static bool pass(int from, int to) {
	char buffer[16384];
	ssize_t n = read(from, buffer, sizeof(buffer));
	for (ssize_t done = 0; done < n;) {
		ssize_t written = send(to, buffer + done, (size_t)(n - done), MSG_NOSIGNAL);
		if (written < 0) {
			return false;
		}
		done += written;
	}
	return n > 0;
}

static _Noreturn void relay(int client, const struct sockaddr_in *target) {
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (server < 0 || connect(server, (const struct sockaddr *)target, sizeof(*target)) < 0) {
		_exit(1);
	}
	for (;;) {
		struct pollfd fds[2] = {
			{.fd = client, .events = POLLIN}, {.fd = server, .events = POLLIN}};
		if (poll(fds, 2, -1) < 0 || (fds[0].revents && !pass(client, server)) ||
			(fds[1].revents && !pass(server, client))) {
			_exit(0);
		}
	}
}

int main(int argc, char *argv[]) {
	if (argc != 4) {
		(void)fprintf(stderr, "usage: tcp-relay PORT HOST TARGET-PORT\n");
		return 2;
	}
	struct sockaddr_in here = address("127.0.0.1", argv[1]), target = address(argv[2], argv[3]);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)signal(SIGCHLD, SIG_IGN);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) < 0 ||
		bind(fd, (struct sockaddr *)&here, sizeof(here)) < 0 || listen(fd, 16) < 0) {
		(void)fprintf(stderr, "tcp-relay: port %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	puts("listening");
	(void)fflush(stdout);
	for (;;) {
		int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
		if (client >= 0 && fork() == 0) {
			relay(client, &target);
		}
		if (client >= 0) {
			(void)close(client);
		}
	}
}
