/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "agent-link.h"
#include "bytes.h"
#include "test.h"

#define INPUT_SIZE (AGENT_HEADER_SIZE + AGENT_PAYLOAD_MAX)

void agent_link_init(struct agent_link *a) {
	*a = (struct agent_link){.fd = -1, .next_id = 1};
	a->input = malloc(INPUT_SIZE);
	check(a->input);
}

void agent_link_finish(struct agent_link *a) {
	agent_link_disconnect(a);
	for (size_t i = 0; i < AGENT_JOBS_MAX; i++) {
		free(a->jobs[i].output);
	}
	free(a->input);
	a->input = NULL;
}

/* Blocking: what is sent is small, and QEMU reads it on its main loop. */
static void send_all(struct agent_link *a, const void *data, size_t size) {
	const uint8_t *p = data;
	while (size > 0 && a->fd >= 0) {
		ssize_t n = send(a->fd, p, size, MSG_NOSIGNAL);
		if (n < 0 && errno != EINTR) {
			return; /* the next read tells */
		}
		p += n > 0 ? n : 0;
		size -= n > 0 ? (size_t)n : 0;
	}
}

static void send_frame(
	struct agent_link *a, uint32_t type, uint32_t job, const void *payload, size_t size) {
	uint8_t header[AGENT_HEADER_SIZE];
	put_le32(header, (uint32_t)size);
	put_le32(header + 4, type);
	put_le32(header + 8, job);
	send_all(a, header, sizeof(header));
	send_all(a, payload, size);
}

static void send_sync(struct agent_link *a) {
	a->synced = false;
	send_all(a, AGENT_MARKER, AGENT_MARKER_SIZE);
	send_frame(a, AGENT_SYNC, ++a->nonce, NULL, 0);
}

void agent_link_connect(struct agent_link *a, int fd) {
	agent_link_disconnect(a);
	a->fd = fd;
	send_sync(a);
}

void agent_link_disconnect(struct agent_link *a) {
	a->fd = close_fd(a->fd);
	a->synced = a->in_frames = false;
	a->used = 0;
}

struct agent_job *agent_link_job(struct agent_link *a, uint32_t id) {
	for (size_t i = 0; id && i < AGENT_JOBS_MAX; i++) {
		if (a->jobs[i].id == id) {
			return &a->jobs[i];
		}
	}
	return NULL;
}

uint32_t agent_link_run(struct agent_link *a, const char *command) {
	for (size_t i = 0; i < AGENT_JOBS_MAX; i++) {
		struct agent_job *job = &a->jobs[i];
		if (job->id == 0) {
			*job = (struct agent_job){.id = a->next_id++, .output = calloc(1, 1)};
			check(job->output);
			send_frame(a, AGENT_RUN, job->id, command, strlen(command));
			return job->id;
		}
	}
	return 0;
}

void agent_link_signal(struct agent_link *a, uint32_t id, int signal) {
	uint8_t payload[4];
	put_le32(payload, (uint32_t)signal);
	send_frame(a, AGENT_SIGNAL, id, payload, sizeof(payload));
}

void agent_link_forget(struct agent_link *a, uint32_t id) {
	struct agent_job *job = agent_link_job(a, id);
	if (job) {
		free(job->output);
		*job = (struct agent_job){0};
	}
}

static void add_output(struct agent_job *job, const uint8_t *data, size_t size) {
	char *output = realloc(job->output, job->size + size + 1);
	check(output);
	memcpy(output + job->size, data, size);
	job->size += size;
	output[job->size] = '\0';
	job->output = output;
}

static void handle_frame(
	struct agent_link *a, uint32_t type, uint32_t id, const uint8_t *payload, size_t size) {
	struct agent_job *job = agent_link_job(a, id);
	if (type == AGENT_HELLO && id == a->nonce) {
		(void)snprintf(
			a->boot_id, sizeof(a->boot_id), "%.*s", (int)size, (const char *)payload);
		a->synced = true;
	} else if (type == AGENT_HELLO && id == 0) {
		send_sync(a);
	} else if ((type == AGENT_OUTPUT || type == AGENT_ERROR) && job) {
		add_output(job, payload, size);
	} else if (type == AGENT_EXIT && job && size >= 4) {
		job->exited = true;
		job->status = get_le32(payload);
	}
}

static void consume(struct agent_link *a, size_t n) {
	memmove(a->input, a->input + n, a->used - n);
	a->used -= n;
}

/* A marker begins anew whatever was under way. Until the first there is nothing to parse. */
static void parse(struct agent_link *a) {
	for (;;) {
		uint8_t *marker = memmem(a->input, a->used, AGENT_MARKER, AGENT_MARKER_SIZE);
		if (marker) {
			consume(a, (size_t)(marker - a->input) + AGENT_MARKER_SIZE);
			a->in_frames = true;
			continue;
		}
		size_t size = a->used < AGENT_HEADER_SIZE ? 0 : get_le32(a->input);
		if (!a->in_frames || size > AGENT_PAYLOAD_MAX) {
			a->in_frames = false;
			consume(a, a->used > AGENT_MARKER_SIZE ? a->used - AGENT_MARKER_SIZE : 0);
			return;
		}
		if (a->used < AGENT_HEADER_SIZE || a->used < AGENT_HEADER_SIZE + size) {
			return;
		}
		handle_frame(a, get_le32(a->input + 4), get_le32(a->input + 8),
			a->input + AGENT_HEADER_SIZE, size);
		consume(a, AGENT_HEADER_SIZE + size);
	}
}

int agent_link_read(struct agent_link *a) {
	ssize_t n = recv(a->fd, a->input + a->used, INPUT_SIZE - a->used, MSG_DONTWAIT);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		agent_link_disconnect(a);
		return -EPIPE;
	}
	if (n > 0) {
		a->used += (size_t)n;
		parse(a);
	}
	return 0;
}
