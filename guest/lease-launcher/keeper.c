/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "keeper.h"
#include "lease-probe.h"
#include "log.h"
#include "util.h"

LOG_MODULE("lease");

#define RETRY_MIN_MS  50u
#define RETRY_MAX_MS  2000u
#define REPLACE_MS    30000u /* how long a lost lease's successor may take */
#define ASK_MS        10000u /* for one answer */
#define ACCURACY_USEC 1000

enum question {
	ASK_NOTHING,
	ASK_LEASE,
	ASK_RECLAIM,
	ASK_RESIZE,
};

/* What the thread works on; nobody else touches it meanwhile. */
struct job {
	enum question question;
	struct lease_wish wish;
	uint8_t token[LEASE_TOKEN_SIZE];
	struct lease lease;
	int result;
	char error[LEASE_ERROR_SIZE];
};

/* What is wanted now; ASK_NOTHING while the lease is held. */
struct keeper {
	sd_event *loop;
	struct lease_wish wish;
	keeper_func handle;
	void *data;

	struct lease lease;
	bool revoked; /* there was one; its successor is wanted */
	sd_event_source *connection;

	enum question wanted;
	unsigned retry_ms;
	uint64_t deadline_ns; /* of ASK_LEASE */
	sd_event_source *retry;

	struct job job;
	bool asking;
	pthread_t thread;
	int done_fd;
	sd_event_source *done;

	bool resizing, resize_wanted; /* asked for; not even begun */
	uint32_t resize_width, resize_height, resize_refresh;
	keeper_resized_func resized; // may be NULL
	void *resized_data;
};

static void *ask(void *data) {
	struct keeper *k = data;
	struct job *j = &k->job;
	const struct lease_wish *w = &j->wish;
	switch (j->question) {
	case ASK_LEASE:
		j->result = lease_acquire(w, &j->lease, j->error);
		break;
	case ASK_RECLAIM:
		j->result = lease_reclaim(w->socket, j->token, ASK_MS, &j->lease, j->error);
		break;
	case ASK_RESIZE:
		j->result = lease_resize(
			w->socket, j->token, w->width, w->height, w->refresh, ASK_MS, j->error);
		break;
	case ASK_NOTHING:
		break;
	}
	uint64_t one = 1;
	(void)!write(k->done_fd, &one, sizeof(one));
	return NULL;
}

static int start_job(struct keeper *k, enum question question) {
	k->job = (struct job){
		.question = question, .wish = k->wish, .lease = {.fd = -1, .connection = -1}};
	memcpy(k->job.token, k->lease.about.token, sizeof(k->job.token));
	if (question == ASK_RESIZE) {
		k->job.wish.width = k->resize_width;
		k->job.wish.height = k->resize_height;
		k->job.wish.refresh = k->resize_refresh;
	}
	int r = -pthread_create(&k->thread, NULL, ask, k);
	k->asking = r == 0;
	return r;
}

static void fail(struct keeper *k, const char *text) {
	k->wanted = ASK_NOTHING;
	k->handle(KEEPER_FAILED, text, k->data);
}

static void go_on(struct keeper *k) {
	if (k->asking) {
		return;
	}
	enum question next = k->wanted;
	if (next == ASK_NOTHING && k->resize_wanted) {
		next = ASK_RESIZE;
		k->resize_wanted = false;
	}
	int r = next == ASK_NOTHING ? 0 : start_job(k, next);
	if (r < 0) {
		char text[128];
		(void)snprintf(text, sizeof(text), "no thread: %s", strerror(-r));
		fail(k, text);
	}
}

static int handle_retry(sd_event_source *source, uint64_t usec, void *data) {
	go_on(data);
	return 0;
}

static void go_on_later(struct keeper *k) {
	uint64_t usec = k->retry_ms * UINT64_C(1000);
	k->retry_ms = MIN(2 * k->retry_ms, RETRY_MAX_MS);
	k->retry = sd_event_source_disable_unref(k->retry);
	if (sd_event_add_time_relative(k->loop, &k->retry, CLOCK_MONOTONIC, usec, ACCURACY_USEC,
		    handle_retry, k) < 0) {
		go_on(k);
	}
}

/* The lease is no more: what is left of it goes, and another one is asked for. */
static void replace(struct keeper *k, const char *why) {
	k->connection = sd_event_source_disable_unref(k->connection);
	lease_finish(&k->lease);
	k->wanted = ASK_LEASE;
	k->retry_ms = RETRY_MIN_MS;
	if (!k->revoked) {
		k->revoked = true;
		k->deadline_ns = now_ns() + REPLACE_MS * NSEC_PER_MSEC;
		k->handle(KEEPER_REVOKED, why, k->data);
	}
	go_on(k);
}

static void handle_break(struct keeper *k) {
	k->connection = sd_event_source_disable_unref(k->connection);
	k->lease.connection = close_fd(k->lease.connection);
	if (!k->lease.extended) {
		replace(k, "the manager closed the connection");
		return;
	}
	if (!lease_is_alive(k->lease.fd)) {
		replace(k, "the manager took the lease back");
		return;
	}
	log_warn("the manager is gone; claiming the lease again");
	k->wanted = ASK_RECLAIM;
	k->retry_ms = RETRY_MIN_MS;
	go_on(k);
}

static int handle_connection(sd_event_source *source, int fd, uint32_t events, void *data) {
	char byte;
	ssize_t n = recv(fd, &byte, sizeof(byte), MSG_DONTWAIT);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		handle_break(data);
	}
	return 0;
}

static int watch_connection(struct keeper *k) {
	return sd_event_add_io(
		k->loop, &k->connection, k->lease.connection, EPOLLIN, handle_connection, k);
}

static void handle_lease(struct keeper *k, struct job *j) {
	bool first = !k->revoked;
	if (j->result < 0) {
		/* A manager that is not there yet may come; what it says at first counts. */
		bool answered = j->result == -EREMOTEIO || j->result == -EBUSY;
		if ((first && answered) || now_ns() >= k->deadline_ns) {
			fail(k, j->error);
		} else {
			log_debug("no lease yet: %s", j->error);
			go_on_later(k);
		}
		return;
	}
	k->lease = j->lease;
	k->revoked = false;
	k->wanted = ASK_NOTHING;
	int r = watch_connection(k);
	if (r < 0) {
		fail(k, strerror(-r));
		return;
	}
	k->handle(first ? KEEPER_ACQUIRED : KEEPER_REPLACED, "", k->data);
}

static void handle_reclaim(struct keeper *k, struct job *j) {
	if (!lease_is_alive(k->lease.fd)) {
		lease_finish(&j->lease);
		replace(k, "the manager took the lease back");
		return;
	}
	if (j->result < 0) {
		if (j->result == -EREMOTEIO) {
			replace(k, j->error);
			return;
		}
		/* The desktop still draws: there is time. */
		log_debug("not yet: %s", j->error);
		go_on_later(k);
		return;
	}
	/* A descriptor of it, should one have come, is one too many. */
	(void)close_fd(j->lease.fd);
	k->lease.connection = j->lease.connection;
	k->lease.about = j->lease.about;
	k->wanted = ASK_NOTHING;
	int r = watch_connection(k);
	if (r < 0) {
		fail(k, strerror(-r));
		return;
	}
	k->handle(KEEPER_RECLAIMED, "", k->data);
}

static void handle_resize(struct keeper *k, const struct job *j) {
	keeper_resized_func resized = k->resized;
	k->resized = NULL;
	k->resizing = false;
	if (j->result == 0) {
		k->lease.about.width = k->wish.width = j->wish.width;
		k->lease.about.height = k->wish.height = j->wish.height;
		if (j->wish.refresh > 0) {
			k->lease.about.refresh = k->wish.refresh = j->wish.refresh;
		}
	}
	if (resized) {
		resized(j->result, j->error, k->resized_data);
	}
}

static int handle_done(sd_event_source *source, int fd, uint32_t events, void *data) {
	struct keeper *k = data;
	uint64_t count;
	if (read(fd, &count, sizeof(count)) < 0 || !k->asking) {
		return 0;
	}
	(void)pthread_join(k->thread, NULL);
	k->asking = false;
	struct job job = k->job;
	switch (job.question) {
	case ASK_LEASE:
		handle_lease(k, &job);
		break;
	case ASK_RECLAIM:
		handle_reclaim(k, &job);
		break;
	case ASK_RESIZE:
		handle_resize(k, &job);
		break;
	case ASK_NOTHING:
		break;
	}
	/* Unless it is to wait for a while, whatever came up meanwhile. */
	if (k->wanted == ASK_NOTHING || job.question == ASK_RESIZE) {
		go_on(k);
	}
	return 0;
}

int keeper_create(sd_event *loop, const struct lease_wish *wish, keeper_func handle, void *data,
	struct keeper **ret) {
	struct keeper *k = calloc(1, sizeof(*k));
	if (!k) {
		return -ENOMEM;
	}
	*k = (struct keeper){
		.loop = loop,
		.wish = *wish,
		.handle = handle,
		.data = data,
		.lease = {.fd = -1, .connection = -1},
		.retry_ms = RETRY_MIN_MS,
	};
	k->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int r = k->done_fd < 0
		? -errno
		: sd_event_add_io(loop, &k->done, k->done_fd, EPOLLIN, handle_done, k);
	if (r < 0) {
		keeper_destroy(k);
		return r;
	}
	*ret = k;
	return 0;
}

void keeper_destroy(struct keeper *k) {
	if (!k) {
		return;
	}
	if (k->asking) {
		/* It waits in poll most of the time; the descriptors that it has end with us. */
		(void)pthread_cancel(k->thread);
		(void)pthread_join(k->thread, NULL);
		if (k->job.result == 0) {
			lease_finish(&k->job.lease);
		}
	}
	sd_event_source_disable_unref(k->connection);
	sd_event_source_disable_unref(k->retry);
	sd_event_source_disable_unref(k->done);
	(void)close_fd(k->done_fd);
	lease_finish(&k->lease);
	free(k);
}

int keeper_start(struct keeper *k) {
	k->wanted = ASK_LEASE;
	k->deadline_ns = now_ns() + k->wish.wait_ms * NSEC_PER_MSEC;
	go_on(k);
	return k->asking ? 0 : -EAGAIN;
}

const struct lease *keeper_lease(const struct keeper *k) {
	return &k->lease;
}

int keeper_resize(struct keeper *k, uint32_t width, uint32_t height, uint32_t refresh,
	keeper_resized_func done, void *data) {
	if (k->lease.fd < 0) {
		return -ENOTCONN;
	}
	if (!k->lease.extended) {
		return -EOPNOTSUPP;
	}
	if (k->resizing) {
		return -EBUSY;
	}
	k->resize_width = width;
	k->resize_height = height;
	k->resize_refresh = refresh;
	k->resized = done;
	k->resized_data = data;
	k->resizing = k->resize_wanted = true;
	go_on(k);
	return 0;
}

void keeper_forget_resize(struct keeper *k, const void *data) {
	if (k && k->resized_data == data) {
		k->resized = NULL;
	}
}
