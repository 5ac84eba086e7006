/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "link.h"
#include "log.h"
#include "util.h"

LOG_MODULE("wayland");

#define RETRY_US (2 * UINT64_C(1000000))

struct wayland_link {
	sd_event *loop;
	const struct wayland_events *events;
	void *data;
	sd_event_source *timer, *io;
	struct wl_display *display; // NULL: not connected, and so is all that follows
	struct wl_registry *registry;
	struct wl_callback *sync;
	unsigned answers; /* to `sync`: what there is; then, what that tells when it is bound */
	bool told;
	const char *why; /* to give up, once libwayland is done with its messages; may be NULL */
	bool dispatching, blocked, held;
};

static void try_in(struct wayland_link *l, uint64_t in_us) {
	(void)sd_event_source_set_time_relative(l->timer, in_us);
	(void)sd_event_source_set_enabled(l->timer, SD_EVENT_ONESHOT);
}

/* All of it goes with the connection, whether the other side still hears of it or not. */
static void hang_up(struct wayland_link *l) {
	l->io = sd_event_source_disable_unref(l->io);
	(void)sd_event_source_set_enabled(l->timer, SD_EVENT_OFF);
	l->held = l->blocked = l->told = false;
	l->why = NULL;
	if (!l->display) {
		return;
	}
	if (l->sync) {
		wl_callback_destroy(l->sync);
		l->sync = NULL;
	}
	if (l->registry) {
		wl_registry_destroy(l->registry);
		l->registry = NULL;
	}
	(void)wl_display_flush(l->display);
	wl_display_disconnect(l->display);
	l->display = NULL;
}

void wayland_link_lose(struct wayland_link *l, const char *why) {
	if (l->dispatching) {
		l->why = why;
		return;
	}
	l->events->lost(why, l->data);
	hang_up(l);
	try_in(l, RETRY_US);
}

/* A connection that broke shows itself in handle_io. */
void wayland_link_flush(struct wayland_link *l) {
	if (!l->display || l->held) {
		return;
	}
	l->blocked = wl_display_flush(l->display) < 0 && errno == EAGAIN;
	(void)sd_event_source_set_io_events(l->io, EPOLLIN | (l->blocked ? EPOLLOUT : 0u));
}

static void ask_sync(struct wayland_link *l);

static void handle_done(void *data, struct wl_callback *callback, uint32_t serial) {
	struct wayland_link *l = data;
	wl_callback_destroy(callback);
	l->sync = NULL;
	if (l->answers++ == 0) {
		ask_sync(l);
	}
}

static void ask_sync(struct wayland_link *l) {
	static const struct wl_callback_listener listener = {.done = handle_done};
	l->sync = wl_display_sync(l->display);
	if (l->sync) {
		(void)wl_callback_add_listener(l->sync, &listener, l);
	} else {
		l->why = "out of memory";
	}
}

static void handle_global(void *data, struct wl_registry *registry, uint32_t name,
	const char *interface, uint32_t version) {
	struct wayland_link *l = data;
	l->events->global(registry, name, interface, version, l->data);
}

static void handle_global_remove(void *data, struct wl_registry *registry, uint32_t name) {
	struct wayland_link *l = data;
	l->events->global_removed(name, l->data);
}

static const struct wl_registry_listener registry_listener = {
	.global = handle_global,
	.global_remove = handle_global_remove,
};

/* -1: an error of the connection, in errno. */
static int read_display(struct wayland_link *l, bool readable) {
	while (wl_display_prepare_read(l->display) != 0) {
		if (wl_display_dispatch_pending(l->display) < 0) {
			return -1;
		}
	}
	if (!readable) {
		wl_display_cancel_read(l->display);
	} else if (wl_display_read_events(l->display) < 0) {
		return -1;
	}
	return wl_display_dispatch_pending(l->display);
}

static int handle_io(sd_event_source *source, int fd, uint32_t revents, void *data) {
	struct wayland_link *l = data;
	l->dispatching = true;
	int r = read_display(l, revents & (EPOLLIN | EPOLLHUP | EPOLLERR));
	const char *error = r < 0 ? strerror(errno) : NULL;
	if (!error && !l->why && !l->told && l->answers == 2) {
		l->told = true;
		l->events->told(l->data);
	}
	l->dispatching = false;
	if (error || l->why) {
		wayland_link_lose(l, error ? error : l->why);
		return 0;
	}
	wayland_link_flush(l);
	return 0;
}

/* As libwayland does it, but without waiting. */
static int dial(void) {
	const char *name = getenv("WAYLAND_DISPLAY"), *dir = getenv("XDG_RUNTIME_DIR");
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	name = name && *name ? name : "wayland-0";
	int n = name[0] == '/' ? snprintf(address.sun_path, sizeof(address.sun_path), "%s", name)
		: dir ? snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", dir, name)
		      : -1;
	if (n < 0 || (size_t)n >= sizeof(address.sun_path)) {
		return -ENOENT;
	}
	CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		return -errno;
	}
	return take_fd(&fd);
}

static int open_display(struct wayland_link *l) {
	int fd = dial();
	if (fd < 0) {
		return fd;
	}
	/* It closes `fd` whatever happens. */
	l->display = wl_display_connect_to_fd(fd);
	l->registry = l->display ? wl_display_get_registry(l->display) : NULL;
	if (!l->registry) {
		return -ENOMEM;
	}
	(void)wl_registry_add_listener(l->registry, &registry_listener, l);
	l->answers = 0;
	ask_sync(l);
	int r = sd_event_add_io(l->loop, &l->io, fd, EPOLLIN, handle_io, l);
	if (r >= 0) {
		wayland_link_flush(l);
	}
	return l->sync ? r : -ENOMEM;
}

static int handle_timer(sd_event_source *source, uint64_t usec, void *data) {
	struct wayland_link *l = data;
	if (open_display(l) < 0) {
		hang_up(l);
		try_in(l, RETRY_US);
	}
	return 0;
}

static void handle_log(const char *format, va_list ap) {
	char text[256];
	(void)vsnprintf(text, sizeof(text), format, ap);
	text[strcspn(text, "\n")] = '\0';
	log_debug("libwayland: %s", text);
}

int wayland_link_create(sd_event *loop, const struct wayland_events *events, void *data,
	struct wayland_link **ret) {
	struct wayland_link *l = calloc(1, sizeof(*l));
	if (!l) {
		return -ENOMEM;
	}
	*l = (struct wayland_link){.loop = sd_event_ref(loop), .events = events, .data = data};
	wl_log_set_handler_client(handle_log);
	int r = sd_event_add_time(loop, &l->timer, CLOCK_MONOTONIC, 0, 0, handle_timer, l);
	if (r < 0) {
		wayland_link_destroy(l);
		return r;
	}
	(void)sd_event_source_set_enabled(l->timer, SD_EVENT_OFF);
	*ret = l;
	return 0;
}

void wayland_link_destroy(struct wayland_link *l) {
	if (!l) {
		return;
	}
	hang_up(l);
	sd_event_source_disable_unref(l->timer);
	sd_event_unref(l->loop);
	free(l);
}

void wayland_link_open(struct wayland_link *l) {
	if (!l->display) {
		try_in(l, 0);
	}
}

void wayland_link_close(struct wayland_link *l) {
	hang_up(l);
}

struct wl_display *wayland_link_display(const struct wayland_link *l) {
	return l->display;
}

bool wayland_link_blocked(const struct wayland_link *l) {
	return l->blocked;
}

void wayland_link_hold(struct wayland_link *l, bool hold) {
	l->held = hold;
	wayland_link_flush(l);
}
