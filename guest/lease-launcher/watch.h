/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The events that tell that a child is ready: a socket that it makes, READY=1 that it sends, a line
 * that it prints to a pipe.
 */
#ifndef HELIX_LAUNCHER_WATCH_H
#define HELIX_LAUNCHER_WATCH_H

#include <stdbool.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

/* Names of files that appear in a directory. */
struct dir_watch;
typedef void (*dir_watch_func)(const char *name, void *data);
int dir_watch_create(sd_event *loop, const char *dir, dir_watch_func appeared, void *data,
	struct dir_watch **ret);
void dir_watch_destroy(struct dir_watch *w);

/* Whether somebody listens at that path. */
bool socket_answers(const char *path);

/* READY=1, and from which process (sd_notify(3)). */
struct notify_socket;
typedef void (*notify_func)(pid_t pid, void *data);
/* Makes the socket at `path`; it is removed again in the end. */
int notify_socket_create(sd_event *loop, const char *path, notify_func ready, void *data,
	struct notify_socket **ret);
void notify_socket_destroy(struct notify_socket *n);

/* One line from a pipe. NULL: it ended without. The callback may destroy the reader. */
struct line_reader;
typedef void (*line_func)(const char *line, void *data);
/* Consumes `fd`, also on failure. */
int line_reader_create(
	sd_event *loop, int fd, line_func done, void *data, struct line_reader **ret);
void line_reader_destroy(struct line_reader *r);

#endif
