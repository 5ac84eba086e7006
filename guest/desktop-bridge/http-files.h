/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The viewer's own files, served as they are. */
#ifndef HELIX_BRIDGE_HTTP_FILES_H
#define HELIX_BRIDGE_HTTP_FILES_H

#include <stdint.h>

#include "http-server.h"

/* Answers with the file at the request's path below `root` (NULL: 404). */
void http_serve_file(struct http_request *rq, const char *root);

/*
 * Opens the regular file at `path`, which begins with a slash, below `root`; that of a directory is
 * its index.html. No component may begin with a dot, and none may be a symbolic link, so that
 * nothing outside can be had. -ENOENT, or another errno.
 */
int file_open_below(const char *root, const char *path, uint64_t *ret_size, uint64_t *ret_mtime_ns);
const char *file_type(const char *path);

#endif
