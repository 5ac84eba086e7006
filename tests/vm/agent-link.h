/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The test's end of the conversation with the guest's agent (agent-protocol.h): jobs, their output
 * and exit status. It knows no VM: vm.c owns the socket, and calls agent_link_read() when there is
 * something to read.
 */
#ifndef HELIX_TEST_AGENT_LINK_H
#define HELIX_TEST_AGENT_LINK_H

#include "agent-protocol.h"
#include "util.h"

struct agent_job {
	uint32_t id; /* 0: slot is free */
	bool exited;
	uint32_t status;
	char *output; /* both streams as they came, with a NUL at the end; owned */
	size_t size;
};

struct agent_link {
	int fd;           /* -1: not connected; owned */
	bool synced;      /* the agent answered our SYNC */
	bool in_frames;   /* a marker was seen: what follows is frames */
	char boot_id[64]; /* of the guest's kernel; once synced */
	uint32_t nonce, next_id;
	struct agent_job jobs[AGENT_JOBS_MAX];
	size_t used;
	uint8_t *input; /* owned */
};

void agent_link_init(struct agent_link *a);
void agent_link_finish(struct agent_link *a);

/* Begins a conversation; consumes the connected socket. */
void agent_link_connect(struct agent_link *a, int fd);
/* Forgets the connection. Jobs that have not exited never will. */
void agent_link_disconnect(struct agent_link *a);

/* Reads what is there. Returns -EPIPE when the other end is gone. */
int agent_link_read(struct agent_link *a);

/* The job's number; 0 if there are too many. The agent must be synced. */
uint32_t agent_link_run(struct agent_link *a, const char *command);
void agent_link_signal(struct agent_link *a, uint32_t id, int signal);
/* NULL for a number that is not in use. */
struct agent_job *agent_link_job(struct agent_link *a, uint32_t id);
void agent_link_forget(struct agent_link *a, uint32_t id);

#endif
