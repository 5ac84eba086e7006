/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helix-vm as a test runs it. Functions end the test when something fails or takes too long. */
#ifndef HELIX_TEST_LAUNCHER_H
#define HELIX_TEST_LAUNCHER_H

#include "process.h"
#include "util.h"

struct launcher {
	char dir[64];      /* logs; removed by launcher_finish() */
	char runtime[96];  /* helix-vm's runtime directory */
	char address[32];  /* of HXFR */
	int notify_fd;     /* what helix-vm says by sd_notify */
	struct process vm; /* helix-vm itself */
};

/* Makes the directory and finds a port. */
void launcher_init(struct launcher *l);
void launcher_finish(struct launcher *l);

/* Starts helix-vm with these options (up to a NULL) and those that every test needs. */
void launcher_start(struct launcher *l, const char *const options[]);
void launcher_wait_ready(struct launcher *l);
/* Ends it if it runs; its status. Nothing of it may be left. */
int launcher_end(struct launcher *l, int signal, unsigned timeout_s);

/* The running child whose program has this name; 0: none. */
pid_t launcher_child(const struct launcher *l, const char *name);
/* Until a file in the directory holds the text, `times` times at least. */
void launcher_wait_text(struct launcher *l, const char *file, const char *text, unsigned times);
/* A file in the directory, up to some limit; valid until the next call. "" if there is none. */
const char *launcher_file(const struct launcher *l, const char *file);

#endif
