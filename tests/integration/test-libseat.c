/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The real libseat, as Weston and wlroots have it, against the real logind-stub. */
#include <libseat.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "logind-bus.h"
#include "test.h"
#include "util.h"

/* 0.9.1 looks for more messages after an error, and that overwrites errno. */
#if HAVE_LIBSEAT_0_9
#define check_errno(value) (void)(value)
#else
#define check_errno(value) check_int(errno, ==, value)
#endif

struct client {
	struct libseat *seat;
	unsigned enabled, disabled;
};

static void handle_enable(struct libseat *seat, void *data) {
	((struct client *)data)->enabled++;
}

static void handle_disable(struct libseat *seat, void *data) {
	((struct client *)data)->disabled++;
	check_int(libseat_disable_seat(seat), ==, 0);
}

static void open_seat(struct client *c) {
	static struct libseat_seat_listener listener = {handle_enable, handle_disable};
	*c = (struct client){0};
	c->seat = libseat_open_seat(&listener, c);
	check(c->seat != NULL);
}

static void wait_enabled(struct client *c) {
	while (c->enabled == 0) {
		check_int(libseat_dispatch(c->seat, -1), >=, 0);
	}
}

static void start(struct logind_bus *b) {
	logind_bus_start(b);
	logind_bus_start_stub(b);
	check_int(setenv("LIBSEAT_BACKEND", "seatd", 1), ==, 0);
	check_int(setenv("SEATD_SOCK", b->seatd_socket, 1), ==, 0);
}

TEST(opens_a_seat_and_its_card) {
	struct logind_bus b;
	struct client c;
	struct stat st;
	int fd = -1;
	start(&b);
	open_seat(&c);
	wait_enabled(&c);
	check_str(libseat_seat_name(c.seat), "seat0");
	int id = libseat_open_device(c.seat, "/dev/null", &fd);
	check_int(id, >=, 0);
	check_int(fstat(fd, &st), ==, 0);
	check_int(minor(st.st_rdev), ==, 3);
	check_int(libseat_close_device(c.seat, id), ==, 0);
	(void)close(fd);
	check_int(libseat_open_device(c.seat, "/dev/zero", &fd), <, 0);
	check_errno(ENOENT);
	check_int(libseat_close_device(c.seat, 5), <, 0);
	/* And after errors it still talks. */
	id = libseat_open_device(c.seat, "/dev/null", &fd);
	check_int(id, >=, 0);
	(void)close(fd);
	check_int(libseat_close_seat(c.seat), ==, 0);
	logind_bus_stop(&b);
}

TEST(the_next_client_follows) {
	struct logind_bus b;
	struct client first, second;
	int fd;
	start(&b);
	open_seat(&first);
	wait_enabled(&first);
	open_seat(&second);
	check_int(libseat_open_device(second.seat, "/dev/null", &fd), <, 0);
	check_errno(EPERM);
	check_int(second.enabled, ==, 0);
	check_int(libseat_close_seat(first.seat), ==, 0);
	wait_enabled(&second);
	check_int(libseat_open_device(second.seat, "/dev/null", &fd), >=, 0);
	(void)close(fd);
	check_int(libseat_close_seat(second.seat), ==, 0);
	logind_bus_stop(&b);
}

/* Pauses and switches are answered in libseat 0.9 as they were not in 0.7. */
#if HAVE_LIBSEAT_0_9

TEST(lease_goes_and_comes) {
	struct logind_bus b;
	struct client c;
	struct stat st;
	int fd;
	start(&b);
	open_seat(&c);
	wait_enabled(&c);
	for (unsigned i = 1; i <= 20; i++) {
		logind_bus_pause(&b);
		while (c.disabled < i) {
			check_int(libseat_dispatch(c.seat, -1), >=, 0);
		}
		check_int(libseat_open_device(c.seat, "/dev/null", &fd), <, 0);
		check_errno(EPERM);
		logind_bus_resume(&b);
		while (c.enabled <= i) {
			check_int(libseat_dispatch(c.seat, -1), >=, 0);
		}
		int id = libseat_open_device(c.seat, "/dev/null", &fd);
		check_int(id, >=, 0);
		check_int(fstat(fd, &st), ==, 0);
		check_int(minor(st.st_rdev), ==, 5);
		(void)close(fd);
		check_int(libseat_close_device(c.seat, id), ==, 0);
	}
	check_int(libseat_close_seat(c.seat), ==, 0);
	logind_bus_stop(&b);
}

TEST(gives_the_seat_away) {
	struct logind_bus b;
	struct client first, second;
	int fd;
	start(&b);
	open_seat(&first);
	wait_enabled(&first);
	open_seat(&second);
	check_int(libseat_switch_session(first.seat, 9), <, 0);
	check_errno(EINVAL);
	check_int(libseat_switch_session(first.seat, 1), ==, 0);
	check_int(libseat_switch_session(first.seat, 2), ==, 0);
	while (first.disabled == 0) {
		check_int(libseat_dispatch(first.seat, -1), >=, 0);
	}
	wait_enabled(&second);
	check_int(libseat_open_device(second.seat, "/dev/null", &fd), >=, 0);
	(void)close(fd);
	check_int(libseat_close_seat(second.seat), ==, 0);
	while (first.enabled < 2) {
		check_int(libseat_dispatch(first.seat, -1), >=, 0);
	}
	check_int(libseat_close_seat(first.seat), ==, 0);
	logind_bus_stop(&b);
}

#endif

/* Many compositors, one after another, in a hurry. */
TEST(comes_and_goes) {
	struct logind_bus b;
	start(&b);
	unsigned fds = 0;
	for (unsigned i = 0; i < 300; i++) {
		struct client c;
		int fd;
		open_seat(&c);
		wait_enabled(&c);
		fds = i == 0 ? logind_bus_fds(&b) : fds;
		check_int(libseat_open_device(c.seat, "/dev/null", &fd), >=, 0);
		(void)close(fd);
		check_int(logind_bus_fds(&b), <=, fds + 1);
		check_int(libseat_close_seat(c.seat), ==, 0);
	}
	logind_bus_stop(&b);
}
