/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "spawn-renderer.h"
#include "util.h"

int spawn_find_program(const char *given, char *ret, size_t size) {
	if (given) {
		int n = snprintf(ret, size, "%s", given);
		return n < (int)size ? 0 : -ENAMETOOLONG;
	}
	static const char *const places[] = {"helix-renderer", "../renderer/helix-renderer",
		"../../src/renderer/helix-renderer"};
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n < 0) {
		return -errno;
	}
	self[n] = '\0';
	char *slash = strrchr(self, '/');
	int folder = slash ? (int)(slash - self) : 0;
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		int used = snprintf(ret, size, "%.*s/%s", folder, self, places[i]);
		if (used < (int)size && access(ret, X_OK) == 0) {
			return 0;
		}
	}
	return -ENOENT;
}

int spawn_renderer(const char *program, const char *render_node, int socket, int ring, pid_t *ret) {
	char path[PATH_MAX];
	char node_option[] = "--render-node", debug_option[] = "--log-level=debug";
	(void)snprintf(path, sizeof(path), "%s", program);
	char *argv[8] = {path, (char[]){"--socket=3"}, (char[]){"--ring=4"}};
	int n = 3;
	if (render_node) {
		argv[n++] = node_option;
		argv[n++] = (char *)(uintptr_t)render_node;
	}
	if (log_enabled(LOG_LEVEL_DEBUG)) {
		argv[n++] = debug_option;
	}
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none;
	sigemptyset(&none);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, socket, 3);
	posix_spawn_file_actions_adddup2(&actions, ring, 4);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	pid_t pid = 0;
	int result = -posix_spawn(&pid, path, &actions, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	*ret = result < 0 ? 0 : pid;
	return result;
}
