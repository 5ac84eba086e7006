/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who is at the other end of a connection, and whether it may have what it asks for. The kernel says who
 * connected (SO_PEERCRED); its control group says which container that is.
 */
#ifndef HELIX_GUEST_POLICY_H
#define HELIX_GUEST_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define POLICY_IDS_MAX 32u

struct policy {
	uid_t uids[POLICY_IDS_MAX];
	gid_t gids[POLICY_IDS_MAX];
	size_t n_uids, n_gids; /* none of both: everybody */
};

struct peer {
	pid_t pid;
	uid_t uid;
	gid_t gid;
	/*
	 * The container's id (its first 12 digits), else the control group, else "". Limits count by
	 * this and the uid, so that containers of one user do not count as one.
	 */
	char group[64];
};

/* Reads them of a connected socket. -errno. */
int peer_read(int fd, struct peer *ret);
/* Whether both count as one for limits. */
bool peer_same(const struct peer *a, const struct peer *b);

/* One more, as options give it: -EINVAL if it is no id, -ERANGE if there are too many. */
int policy_add_uid(struct policy *policy, const char *value);
int policy_add_gid(struct policy *policy, const char *value);

/* `fd`: the socket, for the peer's supplementary groups. */
bool policy_allows(const struct policy *policy, const struct peer *peer, int fd);

/* The text of /proc/PID/cgroup to what peer.group says. */
void policy_group_name(const char *cgroup, char *ret, size_t size);

#endif
