/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * logind-stub, without its main, on a thread of its own: a D-Bus client straight on its bus face, a
 * supervisor's line, and libseat's clients by plain sockets. Its card is /dev/null, its lease a
 * descriptor of that. All functions end the test when something that must hold does not.
 */
#ifndef HELIX_TESTS_LOGIND_FIXTURE_H
#define HELIX_TESTS_LOGIND_FIXTURE_H

#include <pthread.h>
#include <semaphore.h>
#include <systemd/sd-bus.h>

#include "stub.h"

/* /dev/null and /dev/zero: the lease, and the one that comes after it. */
#define CARD_MAJOR 1u
#define CARD_MINOR 3u
#define NEXT_MINOR 5u

struct logind_fixture {
	struct stub_config config;
	struct stub stub; /* the thread's own */
	pthread_t thread;
	sem_t ready;
	int result;      /* of the loop */
	int control;     /* our end of the supervisor's line */
	sd_bus *bus;     /* our end of the bus face; NULL: without one */
	char dir[64];    /* a directory, and in it: */
	char socket[96]; /* where seatd's clients connect */
};

/* `bus`: with a D-Bus client. Before, `f->config` may have been filled in. */
void logind_start(struct logind_fixture *f, bool bus);
/* The supervisor goes; the stub must end well. */
void logind_stop(struct logind_fixture *f);

void logind_pause(struct logind_fixture *f);
/* The new lease is a descriptor of /dev/zero. */
void logind_resume(struct logind_fixture *f);

/*
 * A call of the session, as `sender` (a unique name; NULL: as the only peer). 0 and the reply
 * (`ret` may be NULL), or the error's name in `error`, if that is not NULL; else it must not fail.
 */
int logind_call(struct logind_fixture *f, const char *sender, const char *path,
	const char *interface, const char *member, char *error, sd_bus_message **ret,
	const char *types, ...);
/* The session's TakeControl and TakeDevice of the card; the latter's descriptor. */
int logind_take_control(struct logind_fixture *f, const char *sender, char *error);
int logind_take_card(struct logind_fixture *f, const char *sender, char *error);

/* Waits for a signal of the session with this name. */
sd_bus_message *logind_wait_signal(struct logind_fixture *f, const char *member);

/* The minor of a character device. */
uint32_t fd_minor(int fd);

/* A client of the seatd face, blocking. */
int seatd_connect(const struct logind_fixture *f);
void seatd_send(int fd, uint16_t opcode, int32_t number, const char *path);
/* The next message must have this opcode; returns its number, if it has one. */
int32_t seatd_expect(int fd, uint16_t opcode, int *ret_fd);
/* Its end of the connection must come next. */
void seatd_expect_end(int fd);
/* OPEN_SEAT, and being enabled. */
int seatd_open(const struct logind_fixture *f);

#endif
