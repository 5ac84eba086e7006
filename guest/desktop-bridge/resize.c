/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "log.h"
#include "resize.h"
#include "util.h"

LOG_MODULE("resize");

#define LAUNCHER_SOCKET "helix-launcher.sock"
#define ANSWER_SIZE     512u
/* The launcher asks the manager, that the exporter, and the guest's kernel has its part in it. */
#define ANSWER_US (25 * UINT64_C(1000000))
/* From an answer to the next request: each one makes the desktop lay out all its windows. */
#define PAUSE_NS (200 * NSEC_PER_MSEC)

struct wish {
	uint32_t width, height;
	resize_func done; // NULL: none
	void *data;
};

struct resizer {
	sd_event *loop;
	const char *dir;        // may be NULL
	sd_event_source *timer; /* of the answer, or of the pause */
	sd_event_source *io;
	int fd;
	struct wish current, next;
	uint64_t not_before_ns;
	uint32_t width, height; /* had last; 0: nothing was asked for */
	char answer[ANSWER_SIZE];
	size_t used;
};

static void go_on(struct resizer *r);

static void end_wish(struct wish *w, enum resize_result result, const char *text) {
	struct wish ended = *w;
	*w = (struct wish){0};
	if (ended.done) {
		ended.done(result, text, ended.data);
	}
}

static void hang_up(struct resizer *r) {
	r->io = sd_event_source_disable_unref(r->io);
	r->fd = close_fd(r->fd);
	(void)sd_event_source_set_enabled(r->timer, SD_EVENT_OFF);
}

static void finish(struct resizer *r, enum resize_result result, const char *text) {
	hang_up(r);
	r->not_before_ns = now_ns() + PAUSE_NS;
	if (result == RESIZE_DONE) {
		r->width = r->current.width;
		r->height = r->current.height;
		log_info("the desktop is %s now", text);
	} else {
		log_warn("no other size: %s", text);
	}
	end_wish(&r->current, result, text);
	go_on(r);
}

/* "ok WxH@HZ", "unable WHY" or "error WHY". */
static void take_answer(struct resizer *r) {
	char *text = strchr(r->answer, ' ');
	if (!text) {
		finish(r, RESIZE_FAILED, "the launcher's answer makes no sense");
		return;
	}
	*text++ = '\0';
	if (strcmp(r->answer, "ok") == 0) {
		finish(r, RESIZE_DONE, text);
	} else if (strcmp(r->answer, "unable") == 0) {
		finish(r, RESIZE_UNABLE, text);
	} else {
		finish(r, RESIZE_FAILED, text);
	}
}

static int handle_io(sd_event_source *source, int fd, uint32_t revents, void *data) {
	struct resizer *r = data;
	ssize_t n = recv(fd, r->answer + r->used, sizeof(r->answer) - 1 - r->used, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		return 0;
	}
	r->used += n > 0 ? (size_t)n : 0;
	char *end = memchr(r->answer, '\n', r->used);
	if (end) {
		*end = '\0';
		take_answer(r);
	} else if (n <= 0 || r->used == sizeof(r->answer) - 1) {
		finish(r, RESIZE_FAILED, "the launcher gave no answer");
	}
	return 0;
}

static int dial(struct resizer *r) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char line[64];
	int n = snprintf(address.sun_path, sizeof(address.sun_path), "%s/" LAUNCHER_SOCKET,
		r->dir ? r->dir : "");
	if (!r->dir || (size_t)n >= sizeof(address.sun_path)) {
		return -ENOENT;
	}
	r->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (r->fd < 0 || connect(r->fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		return -errno;
	}
	n = snprintf(line, sizeof(line), "resize %ux%u now\n", r->current.width, r->current.height);
	/* The buffer of a new socket has room for so little. */
	if (send(r->fd, line, (size_t)n, MSG_NOSIGNAL) != n) {
		return -EPIPE;
	}
	return sd_event_add_io(r->loop, &r->io, r->fd, EPOLLIN, handle_io, r);
}

static void start(struct resizer *r) {
	r->current = r->next;
	r->next = (struct wish){0};
	r->used = 0;
	int error = dial(r);
	if (error == -ENOENT || error == -ECONNREFUSED) {
		finish(r, RESIZE_UNABLE, "no mutter-lease-launcher runs beside it");
	} else if (error < 0) {
		finish(r, RESIZE_FAILED, "the launcher cannot be asked");
	} else {
		(void)sd_event_source_set_time_relative(r->timer, ANSWER_US);
		(void)sd_event_source_set_enabled(r->timer, SD_EVENT_ONESHOT);
	}
}

static void go_on(struct resizer *r) {
	uint64_t now = now_ns();
	if (r->current.done || !r->next.done) {
		return;
	}
	if (now >= r->not_before_ns) {
		start(r);
		return;
	}
	(void)sd_event_source_set_time(r->timer, DIV_ROUND_UP(r->not_before_ns, NSEC_PER_USEC));
	(void)sd_event_source_set_enabled(r->timer, SD_EVENT_ONESHOT);
}

static int handle_timer(sd_event_source *source, uint64_t usec, void *data) {
	struct resizer *r = data;
	if (r->current.done) {
		finish(r, RESIZE_FAILED, "the launcher did not answer in time");
	} else {
		go_on(r);
	}
	return 0;
}

int resizer_create(sd_event *loop, const char *dir, struct resizer **ret) {
	struct resizer *r = calloc(1, sizeof(*r));
	if (!r) {
		return -ENOMEM;
	}
	r->loop = sd_event_ref(loop);
	r->dir = dir;
	r->fd = -1;
	int error = sd_event_add_time(loop, &r->timer, CLOCK_MONOTONIC, 0, 1000, handle_timer, r);
	if (error >= 0) {
		error = sd_event_source_set_enabled(r->timer, SD_EVENT_OFF);
	}
	if (error < 0) {
		resizer_destroy(r);
		return error;
	}
	*ret = r;
	return 0;
}

void resizer_destroy(struct resizer *r) {
	if (!r) {
		return;
	}
	end_wish(&r->next, RESIZE_ENDING, "");
	end_wish(&r->current, RESIZE_ENDING, "");
	r->io = sd_event_source_disable_unref(r->io);
	(void)close_fd(r->fd);
	sd_event_source_disable_unref(r->timer);
	sd_event_unref(r->loop);
	free(r);
}

void resizer_ask(struct resizer *r, uint32_t width, uint32_t height, resize_func done, void *data) {
	end_wish(&r->next, RESIZE_SUPERSEDED, "a newer size was asked for");
	r->next = (struct wish){.width = width, .height = height, .done = done, .data = data};
	go_on(r);
}

bool resizer_settled(const struct resizer *r, uint32_t width, uint32_t height) {
	return !r->current.done && !r->next.done &&
		(r->width == 0 || (r->width == width && r->height == height));
}
