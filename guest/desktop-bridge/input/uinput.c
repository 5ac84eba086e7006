/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Into the desktop's own devices, through the input manager (docs/protocol/input.md).
 *
 * Weston says that its seat has a pointer when something first moves it, and programs ask for that
 * pointer only then; a click that comes with the first move finds nobody who listens. So the pointer
 * is moved by one and back as soon as there is a way to it, and what people do waits until programs
 * had time to ask.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>

#include "backend.h"
#include "input-client.h"
#include "log.h"
#include "proto/lease.h"
#include "util.h"

LOG_MODULE("input");

/* The manager is a process of this machine: it answers at once, or not at all. */
#define OPEN_TIMEOUT_MS 500
#define RETRY_US        (2 * UINT64_C(1000000))
/* Nothing shows that programs have their pointer; wlroots.c waits as long for its own. */
#define SETTLE_US (1 * UINT64_C(1000000))
/* A notch is 15 here and 120 there. */
#define SCROLL_UNITS (120.0 / 15.0)

struct uinput {
	struct input_backend base;
	sd_event *loop;
	const char *socket, *token_path;
	sd_event_source *timer; /* to try again; then until programs have settled */
	sd_event_source *io;
	struct input_link link;
	bool open, settled, complained, dropping;
	double scroll_x, scroll_y, move_x, move_y; /* less than one unit so far */
};

static struct uinput *uinput_of(struct input_backend *b) {
	return (struct uinput *)b;
}

static void close_link(struct uinput *u) {
	u->io = sd_event_source_disable_unref(u->io);
	if (u->open) {
		input_link_close(&u->link);
		u->open = u->settled = false;
	}
}

static void set_timer(struct uinput *u, uint64_t in_us) {
	(void)sd_event_source_set_time_relative(u->timer, in_us);
	(void)sd_event_source_set_enabled(u->timer, SD_EVENT_ONESHOT);
}

static void lose_link(struct uinput *u, int error) {
	log_warn_errno(error, "the desktop's input devices are gone; trying again");
	close_link(u);
	u->complained = true;
	set_timer(u, RETRY_US);
}

static void flush_link(struct uinput *u) {
	int r = input_link_flush(&u->link);
	if (r == -EAGAIN) {
		(void)sd_event_source_set_io_events(u->io, EPOLLIN | EPOLLOUT);
	} else if (r < 0) {
		lose_link(u, r);
	} else {
		(void)sd_event_source_set_io_events(u->io, EPOLLIN);
	}
}

static int handle_io(sd_event_source *source, int fd, uint32_t revents, void *data) {
	struct uinput *u = data;
	if (revents & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		lose_link(u, -EPIPE);
	} else {
		flush_link(u);
	}
	return 0;
}

static int read_token(const char *path, uint8_t token[INPUT_TOKEN_SIZE]) {
	char text[2 * INPUT_TOKEN_SIZE + 1];
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
	if (n < 0) {
		return -errno;
	}
	text[n] = '\0';
	_Static_assert(INPUT_TOKEN_SIZE == LEASE_TOKEN_SIZE, "both are 64 digits");
	int r = lease_token_from_string(text, token);
	explicit_bzero(text, sizeof(text));
	return r;
}

static int open_link(struct uinput *u, char error[INPUT_ERROR_SIZE]) {
	uint8_t token[INPUT_TOKEN_SIZE];
	error[0] = '\0';
	int r = read_token(u->token_path, token);
	if (r == 0) {
		r = input_link_open(&u->link, u->socket, token, OPEN_TIMEOUT_MS, error);
	}
	explicit_bzero(token, sizeof(token));
	if (r < 0) {
		return r;
	}
	u->open = true;
	return sd_event_add_io(u->loop, &u->io, u->link.fd, EPOLLIN, handle_io, u);
}

/* One packet for each: the manager would make one report of them, which moves nothing. */
static void prime(struct uinput *u) {
	for (int32_t step = 1; step >= -1 && u->open; step -= 2) {
		(void)input_link_move_relative(&u->link, step, 0);
		flush_link(u);
	}
}

static void begin(struct uinput *u) {
	char error[INPUT_ERROR_SIZE];
	int r = open_link(u, error);
	if (r >= 0) {
		set_timer(u, SETTLE_US);
		prime(u);
		return;
	}
	if (!u->complained) {
		log_warn_errno(r, "no input devices yet%s%s", error[0] ? ": " : "", error);
		u->complained = true;
	}
	close_link(u);
	set_timer(u, RETRY_US);
}

static int handle_timer(sd_event_source *source, uint64_t usec, void *data) {
	struct uinput *u = data;
	if (!u->open) {
		begin(u);
		return 0;
	}
	log_info("input goes to the desktop's own devices");
	u->settled = true;
	u->complained = false;
	input_backend_became_ready(&u->base);
	return 0;
}

static bool uinput_ready(struct input_backend *b) {
	return uinput_of(b)->settled;
}

/* Room for one more thing is made by sending what waits; if that does not help, it is lost. */
#define QUEUE(u, call)                                                            \
	do {                                                                      \
		int queue_r = (u)->open ? (call) : -ENOTCONN;                     \
		if (queue_r == -ENOBUFS) {                                        \
			flush_link(u);                                            \
			queue_r = (u)->open ? (call) : -ENOTCONN;                 \
		}                                                                 \
		if (queue_r == -ENOBUFS && !(u)->dropping) {                      \
			(u)->dropping = true;                                     \
			log_warn("the input manager is behind: events are lost"); \
		}                                                                 \
	} while (0)

static void uinput_key(struct input_backend *b, uint16_t code, bool down) {
	struct uinput *u = uinput_of(b);
	QUEUE(u, input_link_key(&u->link, code, down));
}

static void uinput_button(struct input_backend *b, uint16_t code, bool down) {
	struct uinput *u = uinput_of(b);
	QUEUE(u, input_link_button(&u->link, code, down));
}

static int32_t position(double v) {
	return (int32_t)(v * INPUT_POSITION_MAX + 0.5);
}

static void uinput_absolute(struct input_backend *b, double x, double y) {
	struct uinput *u = uinput_of(b);
	QUEUE(u, input_link_move(&u->link, position(x), position(y)));
}

/* The whole part of what came together; the rest waits for more. */
static int32_t whole(double *sum, double add) {
	*sum += add;
	double bounded = *sum < -INPUT_RELATIVE_MAX ? -INPUT_RELATIVE_MAX
		: *sum > INPUT_RELATIVE_MAX         ? INPUT_RELATIVE_MAX
						    : *sum;
	int32_t n = (int32_t)bounded;
	*sum = bounded - n;
	return n;
}

static void uinput_relative(struct input_backend *b, double dx, double dy) {
	struct uinput *u = uinput_of(b);
	int32_t x = whole(&u->move_x, dx), y = whole(&u->move_y, dy);
	if (x || y) {
		QUEUE(u, input_link_move_relative(&u->link, x, y));
	}
}

static void uinput_scroll(struct input_backend *b, double dx, double dy, bool wheel) {
	struct uinput *u = uinput_of(b);
	int32_t x = whole(&u->scroll_x, dx * SCROLL_UNITS);
	int32_t y = whole(&u->scroll_y, dy * SCROLL_UNITS);
	if (x || y) {
		QUEUE(u, input_link_scroll(&u->link, x, y));
	}
}

static void uinput_touch(
	struct input_backend *b, enum ws_touch touch, unsigned slot, double x, double y) {
	struct uinput *u = uinput_of(b);
	if (touch == WS_TOUCH_DOWN || touch == WS_TOUCH_MOVE) {
		QUEUE(u,
			input_link_touch(
				&u->link, slot, touch == WS_TOUCH_DOWN, position(x), position(y)));
	} else {
		QUEUE(u, input_link_touch_end(&u->link, slot));
	}
}

static void uinput_flush(struct input_backend *b) {
	struct uinput *u = uinput_of(b);
	if (u->open) {
		flush_link(u);
	}
}

static void uinput_destroy(struct input_backend *b) {
	struct uinput *u = uinput_of(b);
	close_link(u);
	sd_event_source_disable_unref(u->timer);
	sd_event_unref(u->loop);
	free(u);
}

static const struct input_backend_ops uinput_ops = {
	.name = "uinput",
	.ready = uinput_ready,
	.key = uinput_key,
	.button = uinput_button,
	.absolute = uinput_absolute,
	.relative = uinput_relative,
	.scroll = uinput_scroll,
	.touch = uinput_touch,
	.flush = uinput_flush,
	.destroy = uinput_destroy,
};

int input_uinput_create(
	sd_event *loop, const char *socket, const char *token_path, struct input_backend **ret) {
	struct uinput *u = calloc(1, sizeof(*u));
	if (!u) {
		return -ENOMEM;
	}
	u->base.ops = &uinput_ops;
	u->loop = sd_event_ref(loop);
	u->socket = socket;
	u->token_path = token_path;
	u->link.fd = -1;
	int r = sd_event_add_time(loop, &u->timer, CLOCK_MONOTONIC, 0, 0, handle_timer, u);
	if (r < 0) {
		uinput_destroy(&u->base);
		return r;
	}
	*ret = &u->base;
	return 0;
}
