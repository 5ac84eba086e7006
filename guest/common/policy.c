/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "parse.h"
#include "policy.h"
#include "util.h"

/* Container engines name control groups after ids of so many hexadecimal digits. */
#define CONTAINER_ID_DIGITS 64u
#define CONTAINER_ID_SHORT  12u
#define GROUPS_MAX          64u

void policy_group_name(const char *cgroup, char *ret, size_t size) {
	size_t digits = 0;
	ret[0] = '\0';
	/* The last id: containers may be inside containers. */
	for (const char *p = cgroup; *p && *p != '\n'; p++) {
		digits = isxdigit((unsigned char)*p) ? digits + 1 : 0;
		if (digits == CONTAINER_ID_DIGITS && !isxdigit((unsigned char)p[1])) {
			(void)snprintf(ret, size, "%.*s", (int)CONTAINER_ID_SHORT,
				p + 1 - CONTAINER_ID_DIGITS);
		}
	}
	if (ret[0]) {
		return;
	}
	/* "0::/system.slice/foo.service" */
	const char *path = strstr(cgroup, "::");
	path = path ? path + 2 : cgroup;
	size_t n = strcspn(path, "\n");
	/* Its end tells more than its beginning. */
	path += n >= size ? n - size + 1 : 0;
	(void)snprintf(ret, size, "%.*s", (int)strcspn(path, "\n"), path);
	for (char *p = ret; *p; p++) {
		*p = isprint((unsigned char)*p) ? *p : '?';
	}
}

static void read_group(pid_t pid, char *ret, size_t size) {
	char path[64], text[1024];
	(void)snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;
	(void)close_fd(fd);
	text[MAX(n, 0)] = '\0';
	policy_group_name(text, ret, size);
}

int peer_read(int fd, struct peer *ret) {
	struct ucred cred;
	socklen_t size = sizeof(cred);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0) {
		return -errno;
	}
	*ret = (struct peer){.pid = cred.pid, .uid = cred.uid, .gid = cred.gid};
	read_group(cred.pid, ret->group, sizeof(ret->group));
	return 0;
}

bool peer_same(const struct peer *a, const struct peer *b) {
	return a->uid == b->uid && strcmp(a->group, b->group) == 0;
}

int policy_add_uid(struct policy *policy, const char *value) {
	uint32_t id;
	int r = parse_u32(value, 0, UINT32_MAX - 1, &id);
	if (r < 0 || policy->n_uids == POLICY_IDS_MAX) {
		return r < 0 ? r : -ERANGE;
	}
	policy->uids[policy->n_uids++] = id;
	return 0;
}

int policy_add_gid(struct policy *policy, const char *value) {
	uint32_t id;
	int r = parse_u32(value, 0, UINT32_MAX - 1, &id);
	if (r < 0 || policy->n_gids == POLICY_IDS_MAX) {
		return r < 0 ? r : -ERANGE;
	}
	policy->gids[policy->n_gids++] = id;
	return 0;
}

static bool has_gid(const struct policy *policy, gid_t gid) {
	for (size_t i = 0; i < policy->n_gids; i++) {
		if (policy->gids[i] == gid) {
			return true;
		}
	}
	return false;
}

bool policy_allows(const struct policy *policy, const struct peer *peer, int fd) {
	if (policy->n_uids == 0 && policy->n_gids == 0) {
		return true;
	}
	for (size_t i = 0; i < policy->n_uids; i++) {
		if (policy->uids[i] == peer->uid) {
			return true;
		}
	}
	if (policy->n_gids > 0 && has_gid(policy, peer->gid)) {
		return true;
	}
	gid_t groups[GROUPS_MAX];
	socklen_t size = sizeof(groups);
	if (policy->n_gids == 0 || getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0) {
		return false;
	}
	for (size_t i = 0; i < size / sizeof(*groups); i++) {
		if (has_gid(policy, groups[i])) {
			return true;
		}
	}
	return false;
}
