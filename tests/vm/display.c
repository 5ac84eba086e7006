/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <systemd/sd-bus.h>

#include "display.h"
#include "test.h"

#define LISTENER_PATH "/org/qemu/Display1/Listener"

struct display {
	sd_bus *bus;
	sd_bus *listener; // may be NULL
	pthread_t thread;
	int stop; /* eventfd; -1 without a listener */
	atomic_uint_fast64_t updates;
};

/* QEMU is the authentication server on every connection, also on those that it makes. */
static sd_bus *start_bus(int fd) {
	sd_bus *bus = NULL;
	check_ok(sd_bus_new(&bus));
	check_ok(sd_bus_set_fd(bus, fd, fd));
	check_ok(sd_bus_negotiate_fds(bus, 1));
	return bus;
}

struct display *display_open(struct vm *vm) {
	struct display *d = calloc(1, sizeof(*d));
	check(d);
	d->stop = -1;
	d->bus = start_bus(vm_open_display(vm));
	check_ok(sd_bus_start(d->bus));
	return d;
}

void display_close(struct display *d) {
	if (!d) {
		return;
	}
	if (d->stop >= 0) {
		uint64_t one = 1;
		check_int(write(d->stop, &one, sizeof(one)), ==, sizeof(one));
		check(pthread_join(d->thread, NULL) == 0);
		(void)close_fd(d->stop);
	}
	sd_bus_close_unref(d->listener);
	sd_bus_close_unref(d->bus);
	free(d);
}

static void console_path(unsigned console, char *ret, size_t size) {
	(void)snprintf(ret, size, "/org/qemu/Display1/Console_%u", console);
}

void display_set_ui_info(struct display *d, unsigned console, unsigned width, unsigned height) {
	sd_bus_error error = SD_BUS_ERROR_NULL;
	char path[64];
	console_path(console, path, sizeof(path));
	int r = sd_bus_call_method(d->bus, NULL, path, "org.qemu.Display1.Console", "SetUIInfo",
		&error, NULL, "qqiiuu", 0, 0, 0, 0, width, height);
	if (r < 0) {
		fail("SetUIInfo of %s: %s", path, error.message ? error.message : strerror(-r));
	}
}

static int handle_picture(sd_bus_message *m, void *data, sd_bus_error *error) {
	struct display *d = data;
	(void)atomic_fetch_add(&d->updates, 1);
	return sd_bus_reply_method_return(m, NULL);
}

static int handle_other(sd_bus_message *m, void *data, sd_bus_error *error) {
	return sd_bus_reply_method_return(m, NULL);
}

static int get_interfaces(sd_bus *bus, const char *path, const char *interface,
	const char *property, sd_bus_message *reply, void *data, sd_bus_error *error) {
	return sd_bus_message_append(reply, "as", 0);
}

static const sd_bus_vtable listener_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("Scanout", "uuuuay", "", handle_picture, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("Update", "iiiiuuay", "", handle_picture, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("Disable", "", "", handle_other, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("MouseSet", "iii", "", handle_other, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("CursorDefine", "iiiiay", "", handle_other, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_PROPERTY("Interfaces", "as", get_interfaces, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_VTABLE_END,
};

static void *listen_thread(void *data) {
	struct display *d = data;
	for (;;) {
		int r;
		while ((r = sd_bus_process(d->listener, NULL)) > 0) {
		}
		int events = r < 0 ? -1 : sd_bus_get_events(d->listener);
		struct pollfd fds[2] = {{.fd = d->stop, .events = POLLIN},
			{.fd = events < 0 ? -1 : sd_bus_get_fd(d->listener),
				.events = (short)MAX(events, 0)}};
		if (poll(fds, 2, -1) > 0 && fds[0].revents) {
			return NULL;
		}
	}
}

void display_listen(struct display *d, unsigned console) {
	sd_bus_error error = SD_BUS_ERROR_NULL;
	char path[64];
	int pair[2];
	check(!d->listener);
	check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	d->listener = start_bus(pair[0]);
	check_ok(sd_bus_add_object_vtable(d->listener, NULL, LISTENER_PATH,
		"org.qemu.Display1.Listener", listener_vtable, d));
	check_ok(sd_bus_start(d->listener));
	d->stop = eventfd(0, EFD_CLOEXEC);
	check(d->stop >= 0);
	/* The thread first: QEMU authenticates us before it answers the call. */
	check(pthread_create(&d->thread, NULL, listen_thread, d) == 0);
	console_path(console, path, sizeof(path));
	int r = sd_bus_call_method(d->bus, NULL, path, "org.qemu.Display1.Console",
		"RegisterListener", &error, NULL, "h", pair[1]);
	(void)close_fd(pair[1]);
	if (r < 0) {
		fail("RegisterListener: %s", error.message ? error.message : strerror(-r));
	}
}

uint64_t display_updates(const struct display *d) {
	return atomic_load(&d->updates);
}
