/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HELIX_GUEST_SEND_FDS_H
#define HELIX_GUEST_SEND_FDS_H

#include <stdbool.h>
#include <stddef.h>

#define SEND_FDS_MAX 4u

/*
 * All of it in one message, with `n_fds` descriptors, which stay the caller's. False if that is not
 * possible at once.
 */
bool send_with_fds(int fd, const void *buf, size_t size, const int *fds, unsigned n_fds);

#endif
