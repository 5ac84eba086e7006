/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A small QMP client ("QEMU Machine Protocol", docs/interop/qmp-spec in QEMU): one JSON object per
 * line over a Unix socket. Never blocks; events and lines that make no sense are passed over.
 */
#ifndef HELIX_FRAME_EXPORT_QMP_H
#define HELIX_FRAME_EXPORT_QMP_H

#include <jansson.h>
#include <systemd/sd-event.h>

struct qmp;

/* Longest line taken from QEMU, in bytes; a longer one ends the connection. */
#define QMP_LINE_MAX (1024 * 1024)

struct qmp_handler {
	/* Greeted, and qmp_capabilities answered: commands may be sent. */
	void (*ready)(void *data);
	/* The connection is of no more use, for the reason `error` (-errno). */
	void (*closed)(int error, void *data);
};

/*
 * Connects to the socket at `path`: -ENOENT and -ECONNREFUSED if nobody is there, -EAGAIN if its
 * queue is full. The handlers may call qmp_destroy().
 */
int qmp_connect(sd_event *loop, const char *path, const struct qmp_handler *handler, void *data,
	struct qmp **ret);
void qmp_destroy(struct qmp *q);

/* `error` is QEMU's own text, NULL on success. May call qmp_destroy(). */
typedef void (*qmp_reply_func)(const char *error, void *data);

/*
 * Sends `command`. Takes over the reference to `arguments` (NULL: none) and, even on failure, `fd`
 * (-1: none), which goes along as SCM_RIGHTS.
 */
int qmp_execute(struct qmp *q, const char *command, json_t *arguments, int fd, qmp_reply_func func,
	void *data);

#endif
