/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Errands on a real bus, to login stubs that are right and wrong. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>

#include "bus.h"
#include "test.h"
#include "util.h"

#define SESSION "/org/freedesktop/login1/session/c1"
#define SEAT    "/org/freedesktop/login1/seat/seat0"

struct setup {
	sd_event *loop;
	pid_t daemon;
	char address[256];
	sd_bus *login;
	struct bus_errand *errand;
	unsigned n_done;
	char problem[256]; /* "" if there was none */
	/* What the stub does wrong. */
	bool seat_is_array, inactive;
	const char *seat_name;
};

static void handle_done(const char *problem, void *data) {
	struct setup *s = data;
	s->n_done++;
	(void)snprintf(s->problem, sizeof(s->problem), "%s", problem ? problem : "");
	bus_errand_destroy(s->errand);
	s->errand = NULL;
}

static void start(struct setup *s) {
	int p[2];
	*s = (struct setup){.seat_name = "seat0"};
	check_ok(sd_event_new(&s->loop));
	check(pipe2(p, O_CLOEXEC) == 0);
	s->daemon = fork();
	if (s->daemon == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)dup2(p[1], 3);
		(void)execlp("dbus-daemon", "dbus-daemon", "--session", "--nofork", "--nopidfile",
			"--print-address=3", "--address=unix:tmpdir=/tmp", (char *)NULL);
		_exit(127);
	}
	(void)close(p[1]);
	ssize_t n = read(p[0], s->address, sizeof(s->address) - 1);
	(void)close(p[0]);
	if (n <= 0) {
		skip("no dbus-daemon");
	}
	s->address[n - 1] = '\0';
}

static void stop(struct setup *s) {
	bus_errand_destroy(s->errand);
	sd_bus_flush_close_unref(s->login);
	sd_event_unref(s->loop);
	(void)kill(s->daemon, SIGTERM);
	check_int(waitpid(s->daemon, NULL, 0), ==, s->daemon);
}

static void turn(struct setup *s, unsigned ms) {
	uint64_t deadline = now_ns() + ms * NSEC_PER_MSEC;
	while (s->n_done == 0 && now_ns() < deadline) {
		check_ok(sd_event_run(s->loop, 20000));
	}
}

static void check_problem(struct setup *s, const char *wanted) {
	turn(s, 10000);
	check_int(s->n_done, ==, 1);
	check_str(s->problem, wanted);
	s->n_done = 0;
}

static void connect_bus(struct setup *s, sd_bus **ret) {
	check_ok(sd_bus_new(ret));
	check_ok(sd_bus_set_address(*ret, s->address));
	check_ok(sd_bus_set_bus_client(*ret, true));
	check_ok(sd_bus_start(*ret));
}

TEST(name_that_is_there_and_name_that_comes) {
	struct setup s;
	sd_bus *other;
	start(&s);
	connect_bus(&s, &other);
	check_ok(sd_bus_request_name(other, "org.example.First", 0));
	check_ok(bus_wait_name(s.loop, s.address, "org.example.First", handle_done, &s, &s.errand));
	check_problem(&s, "");
	check_ok(
		bus_wait_name(s.loop, s.address, "org.example.Second", handle_done, &s, &s.errand));
	turn(&s, 200);
	check_int(s.n_done, ==, 0);
	check_ok(sd_bus_request_name(other, "org.example.Secon", 0));
	check_ok(sd_bus_release_name(other, "org.example.First"));
	turn(&s, 200);
	check_int(s.n_done, ==, 0);
	check_ok(sd_bus_request_name(other, "org.example.Second", 0));
	check_problem(&s, "");
	sd_bus_flush_close_unref(other);
	stop(&s);
}

TEST(name_that_somebody_keeps) {
	struct setup s;
	sd_bus *other;
	start(&s);
	check_ok(bus_try_name(s.loop, s.address, "org.example.Name", handle_done, &s, &s.errand));
	check_problem(&s, "");
	connect_bus(&s, &other);
	check_ok(sd_bus_request_name(other, "org.example.Name", 0));
	check_ok(bus_try_name(s.loop, s.address, "org.example.Name", handle_done, &s, &s.errand));
	check_problem(&s, "somebody else owns the name");
	sd_bus_flush_close_unref(other);
	stop(&s);
}

TEST(bus_that_is_not_there) {
	struct setup s;
	start(&s);
	int r = bus_wait_name(
		s.loop, "unix:path=/nonexistent", "org.example.X", handle_done, &s, &s.errand);
	if (r >= 0) {
		turn(&s, 10000);
		check_int(s.n_done, ==, 1);
		check(s.problem[0]);
	}
	/* One that goes away while it is asked. */
	s.n_done = 0;
	(void)kill(s.daemon, SIGSTOP);
	check_ok(bus_try_name(s.loop, s.address, "org.example.Name", handle_done, &s, &s.errand));
	turn(&s, 100);
	check_int(s.n_done, ==, 0);
	(void)kill(s.daemon, SIGKILL);
	turn(&s, 10000);
	check_int(s.n_done, ==, 1);
	check(s.problem[0]);
	stop(&s);
}

static const char *const service_dirs[] = {"dbus-1", "dbus-1/services"};

static void make_service(const char *dir, const char *out) {
	char path[128];
	for (unsigned i = 0; i < ARRAY_SIZE(service_dirs); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, service_dirs[i]);
		check(mkdir(path, 0700) == 0);
	}
	(void)snprintf(path, sizeof(path), "%s/%s/org.example.Env.service", dir, service_dirs[1]);
	FILE *f = fopen(path, "we");
	check(f);
	check(fprintf(f,
		      "[D-BUS Service]\nName=org.example.Env\n"
		      "Exec=/bin/sh -c 'echo $WAYLAND_DISPLAY >%s'\n",
		      out) > 0);
	(void)fclose(f);
}

static void remove_service(const char *dir, const char *out) {
	char path[128];
	(void)unlink(out);
	(void)snprintf(path, sizeof(path), "%s/%s/org.example.Env.service", dir, service_dirs[1]);
	(void)unlink(path);
	for (unsigned i = ARRAY_SIZE(service_dirs); i-- > 0;) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, service_dirs[i]);
		(void)rmdir(path);
	}
	check(rmdir(dir) == 0);
}

/* What the bus starts has it: a service that does nothing but write what it was given. */
TEST(environment_reaches_the_bus) {
	static const char *const names[] = {"WAYLAND_DISPLAY", "HELIX_NOT_SET", NULL};
	struct setup s;
	sd_bus *bus;
	char dir[] = "/tmp/helix-bus-XXXXXX", out[64], text[64] = "";
	check(mkdtemp(dir));
	(void)snprintf(out, sizeof(out), "%s/out", dir);
	make_service(dir, out);
	check(setenv("XDG_DATA_HOME", dir, 1) == 0);
	start(&s);
	check(setenv("WAYLAND_DISPLAY", "wayland-42", 1) == 0);
	check_ok(bus_export_environment(s.loop, s.address, names, handle_done, &s, &s.errand));
	check_problem(&s, "");
	connect_bus(&s, &bus);
	/* It ends without owning the name: that is the answer. */
	check(sd_bus_call_method(bus, "org.freedesktop.DBus", "/org/freedesktop/DBus",
		      "org.freedesktop.DBus", "StartServiceByName", NULL, NULL, "su",
		      "org.example.Env", UINT32_C(0)) < 0);
	int fd = open(out, O_RDONLY | O_CLOEXEC);
	check(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
	(void)close(fd);
	check_str(text, "wayland-42\n");
	sd_bus_flush_close_unref(bus);
	stop(&s);
	remove_service(dir, out);
}

static int handle_get_session(sd_bus_message *m, void *data, sd_bus_error *error) {
	return sd_bus_reply_method_return(m, "o", SESSION);
}

static int get_seat(sd_bus *bus, const char *path, const char *interface, const char *property,
	sd_bus_message *reply, void *data, sd_bus_error *error) {
	return sd_bus_message_append(reply, "(so)", "seat0", SEAT);
}

static int get_seat_array(sd_bus *bus, const char *path, const char *interface,
	const char *property, sd_bus_message *reply, void *data, sd_bus_error *error) {
	return sd_bus_message_append(reply, "as", 2, "seat0", SEAT);
}

static int get_active(sd_bus *bus, const char *path, const char *interface, const char *property,
	sd_bus_message *reply, void *data, sd_bus_error *error) {
	const struct setup *s = data;
	return sd_bus_message_append(reply, "b", !s->inactive);
}

static int get_id(sd_bus *bus, const char *path, const char *interface, const char *property,
	sd_bus_message *reply, void *data, sd_bus_error *error) {
	const struct setup *s = data;
	return sd_bus_message_append(reply, "s", s->seat_name);
}

static const sd_bus_vtable manager_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("GetSessionByPID", "u", "o", handle_get_session, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

static const sd_bus_vtable session_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Seat", "(so)", get_seat, 0, 0),
	SD_BUS_PROPERTY("Active", "b", get_active, 0, 0),
	SD_BUS_VTABLE_END,
};

static const sd_bus_vtable wrong_session_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Seat", "as", get_seat_array, 0, 0),
	SD_BUS_PROPERTY("Active", "b", get_active, 0, 0),
	SD_BUS_VTABLE_END,
};

static const sd_bus_vtable seat_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Id", "s", get_id, 0, 0),
	SD_BUS_VTABLE_END,
};

static void serve_login(struct setup *s) {
	connect_bus(s, &s->login);
	check_ok(sd_bus_add_object_vtable(s->login, NULL, "/org/freedesktop/login1",
		"org.freedesktop.login1.Manager", manager_vtable, s));
	check_ok(sd_bus_add_object_vtable(s->login, NULL, SESSION, "org.freedesktop.login1.Session",
		s->seat_is_array ? wrong_session_vtable : session_vtable, s));
	check_ok(sd_bus_add_object_vtable(
		s->login, NULL, SEAT, "org.freedesktop.login1.Seat", seat_vtable, s));
	check_ok(sd_bus_request_name(s->login, "org.freedesktop.login1", 0));
	check_ok(sd_bus_attach_event(s->login, s->loop, 0));
}

static void check_login(struct setup *s, const char *wanted) {
	check_ok(bus_check_login(s->loop, s->address, handle_done, s, &s->errand));
	check_problem(s, wanted);
}

TEST(login_stub_that_is_right) {
	struct setup s;
	start(&s);
	check_login(&s,
		"GetSessionByPID: The name org.freedesktop.login1 was not provided by any "
		".service files");
	serve_login(&s);
	check_login(&s, "");
	s.inactive = true;
	check_login(&s, "Session.Active is not true: compositors would stay dark");
	s.inactive = false;
	s.seat_name = "seat1";
	check_login(&s, "Seat.Id is not \"seat0\": compositors would find no GPU");
	stop(&s);
}

TEST(login_stub_whose_seat_is_an_array) {
	struct setup s;
	start(&s);
	s.seat_is_array = true;
	serve_login(&s);
	check_login(&s, "Session.Seat is not of type (so): compositors would run without outputs");
	stop(&s);
}
