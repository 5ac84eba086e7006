/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RevDial (docs/protocol/revdial.md): the lines of its control connection, and the paths of its
 * data connections. Pure.
 */
#ifndef HELIX_PROTO_REVDIAL_H
#define HELIX_PROTO_REVDIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define REVDIAL_PATH          "/api/v1/revdial" /* of the server; section 1 */
#define REVDIAL_CONN_PATH     "/revdial"        /* what a connPath begins with; section 3 */
#define REVDIAL_RUNNER_PREFIX "desktop-"
#define REVDIAL_RUNNER_MAX    128u /* bytes of a runner id */

/* Section 2. */
#define REVDIAL_LINE_MAX 4096u /* with its newline */
#define REVDIAL_ID_SIZE  33u   /* 32 hexadecimal digits and NUL */
#define REVDIAL_PATH_MAX 256u
#define REVDIAL_ERR_MAX  256u

/* Section 5: times in ms. */
#define REVDIAL_PING_MS      15000u
#define REVDIAL_QUIET_MS     18000u /* then the server says keep-alive */
#define REVDIAL_SILENCE_MS   60000u /* then a listener gives up */
#define REVDIAL_GRACE_MS     30000u /* of a runner that vanished */
#define REVDIAL_PICKUP_MS    20000u
#define REVDIAL_HANDSHAKE_MS 30000u
#define REVDIAL_LOCAL_MS     5000u
#define REVDIAL_RECONNECT_MS 1000u
#define REVDIAL_WRITE_MS     10000u
#define REVDIAL_QUEUED_DIALS 100u

enum revdial_command {
	REVDIAL_KEEP_ALIVE,    /* S→C */
	REVDIAL_CONN_READY,    /* S→C: path */
	REVDIAL_PICKUP_FAILED, /* C→S: path, err */
	REVDIAL_UNKNOWN,       /* to be ignored */
};

struct revdial_message {
	enum revdial_command command;
	char path[REVDIAL_PATH_MAX];
	char err[REVDIAL_ERR_MAX]; /* cut if it was longer */
};

/*
 * One line with its newline: its size; 0 if more bytes are needed; -EBADMSG for what is no JSON
 * object with a command, for a line that is too long, or a path that is.
 */
ssize_t revdial_decode(const char *p, size_t len, struct revdial_message *ret);
/* Returns the size of the line, or -ENOBUFS. No NUL is written. */
ssize_t revdial_encode(char *p, size_t size, const struct revdial_message *m);

/* "/revdial?revdial.dialer=…&revdial.req=…" */
void revdial_format_path(char ret[REVDIAL_PATH_MAX], const char *dialer, const char *request);
/* What to dial for that path: -EBADMSG if it does not begin as it must. */
int revdial_dial_path(const char *path, char ret[REVDIAL_PATH_MAX]);

/* Exactly 32 lower-case hexadecimal digits. */
bool revdial_id_is_valid(const char *id);
/* "desktop-" and then 1 to 120 of a-z A-Z 0-9 . _ -, beginning with a letter or digit. */
bool revdial_runner_is_valid(const char *runner);

#endif
