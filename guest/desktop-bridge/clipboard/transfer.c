/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <sys/epoll.h>

#include "transfer.h"
#include "util.h"

#define PIECE    (64u * 1024) /* what a pipe holds */
#define PRIORITY (SD_EVENT_PRIORITY_NORMAL + 10)

struct transfer {
	int fd;
	sd_event_source *io, *timer;
	struct clipboard_content *content; // NULL: reads
	uint8_t *data;
	size_t size, capacity, max; /* of what was read; `size` is also how much was written */
	transfer_fn done;
	void *user;
};

static void finish(struct transfer *t, int error) {
	uint8_t *data = t->data;
	size_t size = t->content ? 0 : t->size;
	t->io = sd_event_source_disable_unref(t->io);
	t->timer = sd_event_source_disable_unref(t->timer);
	t->fd = close_fd(t->fd); /* the other side's end of file */
	t->data = NULL;
	if (error) {
		free(data);
		data = NULL;
		size = 0;
	}
	t->done(t->user, error, data, size);
}

/* One byte beyond the bound shows that there is more. */
static int make_room(struct transfer *t) {
	if (t->size < t->capacity) {
		return 0;
	}
	size_t capacity = MIN(MAX(2 * t->capacity, PIECE), t->max + 1);
	uint8_t *data = realloc(t->data, capacity);
	if (!data) {
		return -ENOMEM;
	}
	t->data = data;
	t->capacity = capacity;
	return 0;
}

static int handle_readable(sd_event_source *source, int fd, uint32_t revents, void *data) {
	struct transfer *t = data;
	int r = make_room(t);
	if (r < 0) {
		finish(t, r);
		return 0;
	}
	ssize_t n = read(fd, t->data + t->size, MIN(t->capacity - t->size, PIECE));
	if (n > 0) {
		t->size += (size_t)n;
		if (t->size > t->max) {
			finish(t, -EFBIG);
		}
	} else if (n == 0) {
		finish(t, 0);
	} else if (errno != EAGAIN && errno != EINTR) {
		finish(t, -errno);
	}
	return 0;
}

static int handle_writable(sd_event_source *source, int fd, uint32_t revents, void *data) {
	struct transfer *t = data;
	size_t left = t->content->size - t->size;
	if (left == 0) {
		finish(t, 0);
		return 0;
	}
	ssize_t n = write(fd, t->content->data + t->size, MIN(left, PIECE));
	if (n >= 0) {
		t->size += (size_t)n;
		if (t->size == t->content->size) {
			finish(t, 0);
		}
	} else if (errno != EAGAIN && errno != EINTR) {
		finish(t, -errno);
	}
	return 0;
}

static int handle_timer(sd_event_source *source, uint64_t usec, void *data) {
	finish(data, -ETIMEDOUT);
	return 0;
}

static int start(sd_event *loop, const struct transfer *like, int fd, uint64_t timeout_us,
	struct transfer **ret) {
	struct transfer *t = calloc(1, sizeof(*t));
	if (!t) {
		(void)close_fd(fd);
		return -ENOMEM;
	}
	*t = *like;
	t->fd = fd;
	if (t->content) {
		(void)clipboard_content_ref(t->content);
	}
	int flags = fcntl(fd, F_GETFL);
	int r = flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
	if (r >= 0) {
		r = sd_event_add_io(loop, &t->io, fd, t->content ? EPOLLOUT : EPOLLIN,
			t->content ? handle_writable : handle_readable, t);
	}
	if (r >= 0) {
		(void)sd_event_source_set_priority(t->io, PRIORITY);
		r = sd_event_add_time_relative(
			loop, &t->timer, CLOCK_MONOTONIC, timeout_us, 0, handle_timer, t);
	}
	if (r < 0) {
		transfer_destroy(t);
		return r;
	}
	*ret = t;
	return 0;
}

int transfer_read(sd_event *loop, int fd, size_t max, uint64_t timeout_us, transfer_fn done,
	void *user, struct transfer **ret) {
	struct transfer like = {.max = max, .done = done, .user = user};
	return start(loop, &like, fd, timeout_us, ret);
}

int transfer_write(sd_event *loop, int fd, struct clipboard_content *content, uint64_t timeout_us,
	transfer_fn done, void *user, struct transfer **ret) {
	struct transfer like = {.content = content, .done = done, .user = user};
	return start(loop, &like, fd, timeout_us, ret);
}

void transfer_destroy(struct transfer *t) {
	if (!t) {
		return;
	}
	sd_event_source_disable_unref(t->io);
	sd_event_source_disable_unref(t->timer);
	(void)close_fd(t->fd);
	clipboard_content_unref(t->content);
	free(t->data);
	free(t);
}
