/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The real helix-frame-export as a child of a test: started, watched, stopped. All functions end
 * the test when something that must hold does not.
 */
#ifndef HELIX_TESTS_EXPORTER_H
#define HELIX_TESTS_EXPORTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "frontend.h"

struct exporter {
	pid_t pid;
	char dir[64];         /* of its own, removed at the end */
	char socket_path[96]; /* for front ends */
	char log_path[96];    /* its standard error */
	uint16_t port;        /* HXFR, on 127.0.0.1 */
};

/* `extra`: more options, ends with NULL; may be NULL. Returns when it serves. */
void exporter_start(struct exporter *e, const char *const *extra);
/* SIGTERM; it must end well, with status 0 (so no sanitizer complained). */
void exporter_stop(struct exporter *e);
/* Fails the test, with the end of its log, if it is not running any more. */
void exporter_check_alive(struct exporter *e);

/* A front end that has done its handshake; frontend_start has to follow. */
struct frontend *exporter_connect(struct exporter *e, const struct frontend_options *options);
/* The same, with the driver running. */
struct frontend *exporter_start_guest(struct exporter *e, const struct frontend_options *options);
/* A front end, a guest and a few flips from scratch: it serves whoever behaves. */
void exporter_check_serves(struct exporter *e);

/* From /proc. */
size_t exporter_rss(const struct exporter *e); /* bytes of its own: without shared memory */
unsigned exporter_fds(const struct exporter *e);
uint64_t exporter_cpu_ns(const struct exporter *e); /* of all its threads */
/* Of one thread, by its name; 0 if there is none. All threads of that name together. */
uint64_t exporter_thread_ns(const struct exporter *e, const char *name);

/* The process that draws 3D. The exporter has no other child, whichever of its threads started it. */
/* Waits until there is one: nobody uses it yet, and the next context will. */
pid_t exporter_only_renderer(const struct exporter *e);
uint64_t exporter_renderers_ns(const struct exporter *e); /* CPU time, of all their threads */

/* True if the log has a line with this text. */
bool exporter_logged(const struct exporter *e, const char *text);

/* Waits: for tests only. */
void sleep_ms(unsigned ms);

#endif
