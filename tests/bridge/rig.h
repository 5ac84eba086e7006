/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The real helix-frame-export with its pattern source, and the real desktop-bridge on it. */
#ifndef HELIX_TESTS_BRIDGE_RIG_H
#define HELIX_TESTS_BRIDGE_RIG_H

#include "decode.h"
#include "exporter.h"
#include "ws-client.h"

struct rig {
	pid_t exporter, bridge; /* 0: does not run */
	uint16_t exporter_port;
	uint16_t port;                            /* of the bridge */
	char dir[64];                             /* its runtime directory, and of what follows */
	char log_path[96], exporter_log_path[96]; /* standard error */
	char out_path[96]; /* standard output: what the input back end was told */
};

/* Scanouts of the pattern source. */
enum {
	SHOW_COUNTER = 0,
	SHOW_STILL = 1,
	SHOW_TYPING = 2,
	SHOW_FILM = 5,
};

/* `options`: more of the bridge's, ends with NULL; may be NULL. */
void rig_start(struct rig *r, unsigned scanout, const char *const *options);
/* The bridge alone, on an exporter of the test's own. */
void rig_start_on(
	struct rig *r, uint16_t exporter_port, unsigned scanout, const char *const *options);
/* SIGTERM to those that run: they must end well, so that no sanitizer complained. */
void rig_stop(struct rig *r);
void rig_stop_exporter(struct rig *r);
void rig_stop_bridge(struct rig *r);
/* Again on the same port. */
void rig_restart_exporter(struct rig *r);

unsigned rig_fds(const struct rig *r);
size_t rig_rss(const struct rig *r);
uint64_t rig_cpu_ns(const struct rig *r);
/* All of a file, in memory of the caller. */
char *rig_read(const char *path);

/* Sends a request as it is and reads until the server closes or an answer is whole: its status. */
int http_ask(uint16_t port, const char *request, char *ret, size_t size, size_t *ret_size);
int http_get(uint16_t port, const char *path, char *ret, size_t size, size_t *ret_size);
/* A number behind `name` in what /metrics says. */
double rig_metric(const struct rig *r, const char *name);

/* What a viewer saw. */
struct watch {
	struct ws_client ws;
	struct decoder *decoder;
	uint64_t frames, keyframes, last_pts, waits;
	uint32_t counter;
	struct decoded picture;
};

void watch_open(struct watch *w, const struct rig *r, const char *more_init);
void watch_close(struct watch *w);
/* The next VideoFrame, decoded and checked; false: none within the time. */
bool watch_frame(struct watch *w, unsigned timeout_ms);
/* Takes a VideoFrame message. */
void watch_take(struct watch *w, const struct ws_message *m);

#endif
