/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The seatd face: libseat's clients (Weston, wlroots compositors) on a Unix socket. The same session
 * as on D-Bus: one client is enabled at a time, and none while a D-Bus client has control. The
 * others wait in the order in which they opened the seat.
 */
#ifndef HELIX_LOGIND_STUB_SEATD_H
#define HELIX_LOGIND_STUB_SEATD_H

#include <systemd/sd-event.h>

#include "seatd-wire.h"
#include "session.h"

#define SEATD_CLIENTS_MAX 16u
#define SEATD_DEVICES_MAX 64u
/* A reply and as many events as can come before the client has read it. */
#define SEATD_OUT_SIZE (4u * SEATD_MESSAGE_MAX)

enum seatd_state {
	SEATD_IDLE,    /* has not opened the seat */
	SEATD_WAITING, /* disabled */
	SEATD_ENABLED,
	SEATD_DISABLING, /* was told to stop, and has not said that it did */
};

struct seatd;

struct seatd_client {
	struct seatd *seatd;
	struct list link; // seatd.clients
	int fd;
	sd_event_source *io;
	struct controller control;
	enum seatd_state state;
	int32_t session; /* its number, from 1 */

	/* Device id − 1 is the index. A device of 0:0 is free. */
	struct {
		uint32_t major, minor;
	} opened[SEATD_DEVICES_MAX];

	uint8_t in[SEATD_REQUEST_MAX];
	size_t n_in;
	/* Not sent yet. While there is any, no request is taken. */
	uint8_t out[SEATD_OUT_SIZE];
	size_t n_out;
	int out_fd; /* goes with the next byte; -1: none */
};

struct seatd {
	sd_event *loop;
	struct session *session;
	struct session_listener listener;
	int fd; /* listens; -1: clients come by seatd_add_client only */
	sd_event_source *io;
	char *path;
	struct list clients; // struct seatd_client.link
	unsigned n_clients;
	struct seatd_client *next; /* who asked to be switched to; may be NULL */
	int32_t last_session;
};

void seatd_init(struct seatd *s, sd_event *loop, struct session *session);
/* -EADDRINUSE if somebody serves that path. */
int seatd_listen(struct seatd *s, const char *path);
/* Consumes `fd`, which is non-blocking. */
int seatd_add_client(struct seatd *s, int fd);
void seatd_finish(struct seatd *s);

/* seatd-client.c: */

int seatd_client_create(struct seatd *s, int fd);
void seatd_client_destroy(struct seatd_client *c);
void seatd_client_enable(struct seatd_client *c);
void seatd_client_disable(struct seatd_client *c);
/* Enables the next one, if nobody has the session. */
void seatd_advance(struct seatd *s);

#endif
