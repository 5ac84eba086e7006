/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A DRM manager that speaks the extension, grants /dev/null, and misbehaves as the test says. */
#ifndef HELIX_TESTS_FAKE_MANAGER_H
#define HELIX_TESTS_FAKE_MANAGER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <helix/lease.h>

#define RIG_LEASES_MAX 8u

/* Everything below `lock` is read and written under it. */
struct fake_manager {
	char path[96];
	int listener, stop_fd;
	pthread_t thread;
	pthread_mutex_t lock;
	bool silent;         /* answers nothing */
	bool old;            /* knows sizes and nothing else */
	bool refuses;        /* LEASE */
	bool forgets;        /* RECLAIM: there is no such lease */
	bool drops;          /* all connections, once */
	unsigned n_acquired; /* LEASE that was granted */
	unsigned n_reclaimed, n_resized;
	unsigned held; /* connections that hold a lease now */
	struct lease_ext_lease last;
	struct lease_ext_resize resized;
};

void fake_manager_start(struct fake_manager *f, const char *path);
/* As if it was killed: connections end, the socket is gone. */
void fake_manager_stop(struct fake_manager *f);
unsigned fake_manager_get(struct fake_manager *f, const unsigned *value);
/* Fails the test after 10 s. */
void fake_manager_await(struct fake_manager *f, const unsigned *value, unsigned wanted);
void fake_manager_set(struct fake_manager *f, bool *what, bool value);

#endif
