/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * As much of QEMU as hot-plug talks to: a QMP socket, and behind add_client a D-Bus peer with
 * consoles. It runs on the event loop of the code under test, so one blocking call there hangs the
 * test.
 */
#ifndef HELIX_TEST_FAKE_QEMU_H
#define HELIX_TEST_FAKE_QEMU_H

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#define FAKE_CONSOLES_MAX 20
#define FAKE_CALLS_MAX    4096

struct fake_console {
	const char *label, *type, *address; // `address` NULL: properties of wrong types
	uint32_t head;
};

struct fake_call {
	uint32_t console;
	uint16_t width_mm, height_mm;
	int32_t x, y;
	uint32_t width, height;
	bool event; /* differs from the console's last: a real QEMU tells its guest */
};

struct fake_qemu {
	/* To be filled in. */
	sd_event *loop;
	char path[100];
	const struct fake_console *consoles;
	unsigned n_consoles;
	const char *greeting;  // text sent on connect
	const char *noise;     // sent in front of each reply; may be NULL
	const char *add_error; // text of the error that add_client ends in; NULL: none
	bool silent;           /* accepts, never speaks */
	bool hold;             /* leaves SetUIInfo unanswered */

	/* To be looked at. */
	unsigned n_accepted;
	struct fake_call calls[FAKE_CALLS_MAX];
	unsigned n_calls;

	int listen_fd, qmp_fd, passed_fd;
	sd_event_source *listen_io, *qmp_io;
	const char *greeting_left;
	sd_bus *bus;
	sd_bus_message *held;
	char line[65536];
	size_t line_size;
	struct fake_call last[FAKE_CONSOLES_MAX];
};

/* The greeting of QEMU 10. */
extern const char fake_greeting[];

void fake_start(struct fake_qemu *f);
/* QEMU dies: every connection breaks; its socket's name stays, as after SIGKILL. */
void fake_stop(struct fake_qemu *f);
/* A QEMU anew remembers nothing of its consoles. */
void fake_forget(struct fake_qemu *f);
/* Hands out the answer that `hold` held back. */
void fake_answer(struct fake_qemu *f);

#endif
