/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The launcher as a whole: what it starts and when, what it says when that fails, what it leaves. */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "rig.h"
#include "test.h"
#include "util.h"

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static bool is_alive(unsigned pid) {
	return pid > 0 && kill((pid_t)pid, 0) == 0;
}

/* All that it left in the runtime directory when it was told to end. */
static void check_nothing_left(struct rig *r) {
	static const char *const files[] = {"run/helix-scanout-id", "run/helix-lease-token",
		"run/helix-exporter", "run/helix-launcher.sock", "run/helix-notify.sock",
		"run/helix-system-bus", "run/helix-system-bus.conf", "run/wayland-0",
		"udev/data/c1:3", "udev/tags/seat/c1:3", "udev/control"};
	for (unsigned i = 0; i < ARRAY_SIZE(files); i++) {
		if (rig_has(r, files[i])) {
			rig_fail(r, files[i]);
		}
	}
	fake_manager_await(&r->manager, &r->manager.held, 0);
}

TEST(all_start_in_order_and_end_in_reverse) {
	struct rig r;
	rig_init(&r);
	rig_start(&r,
		ARGS("--compositor=weston", "--size=1280x720@50", "--system-bus=private", "--",
			"client", "argument"));
	rig_await_said(&r, "all is up");
	check(rig_place(&r, "logind-stub start") < rig_place(&r, "weston start"));
	check(rig_place(&r, "pipewire start") < rig_place(&r, "wireplumber start"));
	check(rig_place(&r, "wireplumber start") < rig_place(&r, "weston start"));
	rig_await(&r, "desktop-bridge start", 1);
	check(rig_place(&r, "weston start") < rig_place(&r, "desktop-bridge start"));
	rig_await(&r, "client display wayland-0 bus unix:path=", 1);
	check_int(r.manager.last.width, ==, 1280);
	check_int(r.manager.last.height, ==, 720);
	check_int(r.manager.last.refresh, ==, 50);

	/* Nobody has what he need not have; the stub has the lease and its socket. */
	check_int(rig_count(&r, "logind-stub fds 3 4"), ==, 1);
	check_int(rig_count(&r, "logind-stub fds 3 4 "), ==, 0);
	check_int(rig_count(&r, "weston fds "), ==, 0);
	check_int(rig_count(&r, "pipewire fds "), ==, 0);
	check_int(rig_count(&r, "desktop-bridge fds "), ==, 0);
	check_int(rig_count(&r, "client fds "), ==, 0);

	char *id = rig_file(&r, "helix-scanout-id"), *token = rig_file(&r, "helix-lease-token"),
	     *exporter = rig_file(&r, "helix-exporter");
	check_str(id, "3");
	check_str(token, "a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1");
	check_str(exporter, "10.0.2.2:15937");
	free(id);
	free(token);
	free(exporter);
	check(rig_has(&r, "udev/data/c1:3"));
	check(rig_has(&r, "udev/tags/seat/c1:3"));

	unsigned pids[] = {rig_number(&r, "weston start "), rig_number(&r, "client start "),
		rig_number(&r, "logind-stub start "), rig_number(&r, "desktop-bridge start ")};
	rig_signal(&r, SIGTERM);
	check_int(rig_wait(&r, 10000), ==, 0);
	check_int(rig_count(&r, "client end"), ==, 1);
	check(rig_place(&r, "client end") < rig_place(&r, "weston end"));
	check(rig_place(&r, "desktop-bridge end") < rig_place(&r, "weston end"));
	check(rig_place(&r, "weston end") < rig_place(&r, "logind-stub end"));
	for (unsigned i = 0; i < ARRAY_SIZE(pids); i++) {
		check(!is_alive(pids[i]));
	}
	check_nothing_left(&r);
	rig_finish(&r);
}

TEST(name_on_the_bus_is_waited_for) {
	struct rig r;
	rig_init(&r);
	rig_does(&r, "gnome-shell", "mute");
	rig_start(&r,
		ARGS("--compositor=gnome", "--system-bus=private", "--force", "--no-bridge",
			"--start-timeout=1500"));
	rig_await(&r, "gnome-shell start", 1);
	check_int(rig_wait(&r, 20000), ==, 1);
	check(rig_said(&r, "compositor: not up within 1500 ms: its socket did not appear"));
	check_nothing_left(&r);
	rig_does(&r, "gnome-shell", NULL);
	rig_start(&r, ARGS("--compositor=gnome", "--system-bus=private", "--force", "--no-bridge"));
	rig_await_said(&r, "all is up");
	rig_await(&r, "gnome-shell owns org.gnome.Shell: yes", 1);
	rig_finish(&r);
}

/* The real login stub on a real bus: what a compositor would ask is asked. */
TEST(real_stub_passes_the_check) {
	struct rig r;
	char stub[512];
	rig_init(&r);
	(void)snprintf(stub, sizeof(stub), "--stub=%s", getenv("HELIX_LOGIND_STUB"));
	rig_start(&r, ARGS("--compositor=gnome", "--system-bus=private", "--print-times", stub));
	rig_await_said(&r, "all is up");
	check(rig_said(&r, "the login stub answers as it should"));
	check(rig_has(&r, "run/seatd.sock"));
	rig_signal(&r, SIGTERM);
	check_int(rig_wait(&r, 10000), ==, 0);
	check_nothing_left(&r);
	rig_finish(&r);
}

TEST(compositor_that_dies_comes_back_on_the_same_lease) {
	struct rig r;
	rig_init(&r);
	rig_start(&r, ARGS("--compositor=weston", "--system-bus=private", "--", "client"));
	rig_await_said(&r, "all is up");
	rig_await(&r, "client start", 1);
	rig_await(&r, "desktop-bridge start", 1);
	check_int(kill((pid_t)rig_number(&r, "weston start "), SIGKILL), ==, 0);
	rig_await(&r, "weston start", 2);
	rig_await(&r, "desktop-bridge start", 2);
	rig_await(&r, "client start", 2);
	/* What the old one served is gone before the new one comes. */
	check(rig_place(&r, "client end") > 0);
	check_int(rig_count(&r, "logind-stub start"), ==, 1);
	check_int(fake_manager_get(&r.manager, &r.manager.n_acquired), ==, 1);
	rig_signal(&r, SIGTERM);
	check_int(rig_wait(&r, 10000), ==, 0);
	check_nothing_left(&r);
	rig_finish(&r);
}

TEST(compositor_that_keeps_dying_ends_everything) {
	struct rig r;
	rig_init(&r);
	rig_does(&r, "weston", "exit 7");
	rig_start(&r, ARGS("--compositor=weston", "--system-bus=private", "--restarts=2"));
	check_int(rig_wait(&r, 15000), ==, 7);
	check_int(rig_count(&r, "weston start"), ==, 3);
	check(rig_said(&r, "compositor: failed 3 times in a row: giving up"));
	check_nothing_left(&r);
	rig_finish(&r);
}

TEST(stub_that_dies_takes_the_compositor_along) {
	struct rig r;
	rig_init(&r);
	rig_start(&r, ARGS("--compositor=weston", "--system-bus=private", "--no-bridge"));
	rig_await_said(&r, "all is up");
	check_int(kill((pid_t)rig_number(&r, "logind-stub start "), SIGKILL), ==, 0);
	rig_await(&r, "weston start", 2);
	check_int(rig_count(&r, "weston end"), ==, 1);
	check_int(rig_count(&r, "logind-stub start"), ==, 2);
	check_int(fake_manager_get(&r.manager, &r.manager.n_acquired), ==, 1);
	rig_finish(&r);
}

TEST(bridge_and_pipewire_restart_alone) {
	struct rig r;
	rig_init(&r);
	rig_start(&r, ARGS("--compositor=weston", "--system-bus=private"));
	rig_await_said(&r, "all is up");
	rig_await(&r, "desktop-bridge start", 1);
	check_int(kill((pid_t)rig_number(&r, "desktop-bridge start "), SIGKILL), ==, 0);
	rig_await(&r, "desktop-bridge start", 2);
	check_int(kill((pid_t)rig_number(&r, "pipewire start "), SIGKILL), ==, 0);
	rig_await(&r, "pipewire start", 2);
	rig_await(&r, "wireplumber start", 2);
	check_int(rig_count(&r, "weston start"), ==, 1);
	rig_finish(&r);
}

TEST(without_what_is_not_needed) {
	struct rig r;
	rig_init(&r);
	rig_does(&r, "client", "exit 0");
	rig_start(&r,
		ARGS("--compositor=weston", "--system-bus=private", "--no-pipewire", "--no-bridge",
			"--exec=client"));
	rig_await_said(&r, "session: process");
	check_int(rig_count(&r, "pipewire start"), ==, 0);
	check_int(rig_count(&r, "wireplumber start"), ==, 0);
	check_int(rig_count(&r, "desktop-bridge start"), ==, 0);
	/* A session that was over begins anew with the next compositor. */
	check_int(kill((pid_t)rig_number(&r, "weston start "), SIGKILL), ==, 0);
	rig_await(&r, "client start", 2);
	rig_signal(&r, SIGTERM);
	check_int(rig_wait(&r, 10000), ==, 0);

	rig_remove_program(&r, "pipewire");
	rig_remove_program(&r, "desktop-bridge");
	rig_start(&r, ARGS("--compositor=weston", "--system-bus=private"));
	rig_await_said(&r, "all is up");
	check(rig_said(&r, "pipewire is missing: no sound -> install pipewire"));
	rig_finish(&r);
}

TEST(session_program_by_policy) {
	struct rig r;
	rig_init(&r);
	rig_does(&r, "client", "exit 0");
	rig_start(&r, ARGS("--compositor=weston", "--system-bus=private", "--exec=client"));
	rig_await_said(&r, "session: process");
	rig_await_said(&r, "all is up");
	check_int(rig_count(&r, "client start"), ==, 1);
	check_int(rig_count(&r, "weston end"), ==, 0);
	rig_signal(&r, SIGTERM);
	check_int(rig_wait(&r, 10000), ==, 0);

	/* A failure is tried again. */
	rig_does(&r, "client", "exit 3");
	rig_start(&r, ARGS("--compositor=weston", "--system-bus=private", "--exec=client"));
	rig_await(&r, "client start", 3);
	rig_signal(&r, SIGTERM);
	check_int(rig_wait(&r, 10000), ==, 0);

	rig_start(&r,
		ARGS("--compositor=weston", "--system-bus=private", "--session-exit=end", "--",
			"client"));
	check_int(rig_wait(&r, 10000), ==, 3);
	check_nothing_left(&r);
	rig_finish(&r);
}

TEST(stubborn_ones_and_orphans_are_killed) {
	struct rig r;
	rig_init(&r);
	rig_does(&r, "weston", "stubborn");
	rig_does(&r, "client", "orphan");
	rig_start(&r,
		ARGS("--compositor=weston", "--system-bus=private", "--stop-timeout=300", "--",
			"client"));
	rig_await(&r, "client orphan", 1);
	rig_await_said(&r, "all is up");
	unsigned orphan = rig_number(&r, "client orphan "),
		 weston = rig_number(&r, "weston start ");
	check(is_alive(orphan) && is_alive(weston));
	rig_signal(&r, SIGTERM);
	check_int(rig_wait(&r, 10000), ==, 0);
	check(rig_said(&r, "compositor: did not end within 300 ms: killed"));
	check(!is_alive(orphan));
	check(!is_alive(weston));
	check_nothing_left(&r);
	rig_finish(&r);
}

static bool may_unshare(void) {
	int status = 0;
	pid_t pid = fork();
	if (pid == 0) {
		_exit(unshare(CLONE_NEWPID) < 0 || unshare(CLONE_NEWNS) < 0);
	}
	return waitpid(pid, &status, 0) == pid && status == 0;
}

/* As in a container: nobody but it takes care of orphans, and signals it ignores do nothing. */
TEST(as_the_first_process) {
	struct rig r;
	if (!may_unshare()) {
		skip("no namespaces");
	}
	rig_init(&r);
	r.as_init = true;
	rig_does(&r, "client", "orphan");
	rig_start(&r,
		ARGS("--compositor=weston", "--system-bus=private", "--stop-timeout=300", "--",
			"client"));
	rig_await(&r, "client orphan", 1);
	rig_await_said(&r, "all is up");
	rig_signal(&r, SIGTERM);
	check_int(rig_wait(&r, 10000), ==, 0);
	check_int(rig_count(&r, "client end"), ==, 1);
	check(rig_place(&r, "weston end") < rig_place(&r, "logind-stub end"));
	check(!rig_said(&r, "cannot be killed"));
	check_nothing_left(&r);
	rig_finish(&r);
}

TEST(manager_that_restarts_gives_the_lease_back) {
	struct rig r;
	rig_init(&r);
	rig_start(&r, ARGS("--compositor=weston", "--system-bus=private"));
	rig_await_said(&r, "all is up");
	fake_manager_set(&r.manager, &r.manager.drops, true);
	rig_await_said(&r, "the manager is back, and the lease is as it was");
	fake_manager_await(&r.manager, &r.manager.held, 1);
	check_int(rig_count(&r, "weston start"), ==, 1);
	check_int(rig_count(&r, "logind-stub control"), ==, 0);
	check_int(fake_manager_get(&r.manager, &r.manager.n_acquired), ==, 1);
	rig_signal(&r, SIGTERM);
	check_int(rig_wait(&r, 10000), ==, 0);
	check_nothing_left(&r);
	rig_finish(&r);
}

TEST(lease_that_is_gone_is_replaced) {
	struct rig r;
	rig_init(&r);
	rig_start(&r, ARGS("--compositor=weston", "--system-bus=private"));
	rig_await_said(&r, "all is up");
	fake_manager_set(&r.manager, &r.manager.forgets, true);
	fake_manager_set(&r.manager, &r.manager.drops, true);
	rig_await(&r, "weston start", 2);
	rig_await(&r, "logind-stub control R fd", 1);
	check_int(rig_count(&r, "logind-stub control P"), ==, 1);
	check_int(rig_count(&r, "logind-stub start"), ==, 1);
	check(rig_said(&r, "the lease is gone (there is no such lease)"));
	rig_await_said(&r, "all is up again");
	char *id = rig_file(&r, "helix-scanout-id");
	check_str(id, "4");
	free(id);

	/* And when there is none to be had, everything ends, soon enough. */
	fake_manager_set(&r.manager, &r.manager.refuses, true);
	fake_manager_set(&r.manager, &r.manager.drops, true);
	rig_await(&r, "weston end", 2);
	fake_manager_set(&r.manager, &r.manager.refuses, false);
	rig_await(&r, "weston start", 3);
	rig_signal(&r, SIGTERM);
	check_int(rig_wait(&r, 10000), ==, 0);
	check_nothing_left(&r);
	rig_finish(&r);
}

/* It is ended while it makes its socket. */
TEST(unseen_socket_is_removed) {
	struct rig r;
	rig_init(&r);
	rig_does(&r, "weston", "late");
	rig_start(&r, ARGS("--compositor=weston", "--system-bus=private"));
	rig_await(&r, "weston late", 1);
	rig_signal(&r, SIGTERM);
	check_int(rig_wait(&r, 10000), ==, 0);
	check_nothing_left(&r);
	rig_finish(&r);
}

TEST(failures_are_named) {
	struct rig r;
	rig_init(&r);
	fake_manager_set(&r.manager, &r.manager.refuses, true);
	rig_start(&r, ARGS("--compositor=weston", "--system-bus=private"));
	check_int(rig_wait(&r, 10000), ==, 1);
	check(rig_said(&r, "no lease: no scanouts available (all 3 in use)"));
	check_nothing_left(&r);
	fake_manager_set(&r.manager, &r.manager.refuses, false);

	rig_does(&r, "logind-stub", "exit 4");
	rig_start(&r, ARGS("--compositor=weston", "--system-bus=private", "--restarts=0"));
	check_int(rig_wait(&r, 10000), ==, 4);
	check(rig_said(&r, "stub: failed 1 times in a row"));
	check_nothing_left(&r);
	rig_does(&r, "logind-stub", NULL);

	rig_lease(&r, "1 1 1 1 0");
	rig_start(&r, ARGS("--compositor=weston", "--system-bus=private"));
	check_int(rig_wait(&r, 10000), ==, 1);
	check(rig_said(&r, "the connector of the lease is not connected"));
	check_int(rig_count(&r, "weston start"), ==, 0);
	check_nothing_left(&r);
	rig_lease(&r, "1 1 1 1 1");

	rig_remove_program(&r, "weston");
	rig_start(&r, ARGS("--compositor=weston", "--system-bus=private"));
	check_int(rig_wait(&r, 10000), ==, 1);
	check(rig_said(&r, "weston is missing -> install weston in the image"));
	rig_finish(&r);
}

TEST(check_says_what_is_wrong_and_leaves_nothing) {
	struct rig r;
	char stub[512];
	rig_init(&r);
	(void)snprintf(stub, sizeof(stub), "--stub=%s", getenv("HELIX_LOGIND_STUB"));
	rig_start(&r, ARGS("--compositor=gnome", "--system-bus=private", "--check", stub));
	check_int(rig_wait(&r, 10000), ==, 0);
	check(rig_said(&r, "ok       the login stub answers as it should"));
	check(rig_said(&r, "0 problems, 0 warnings"));
	check_int(rig_count(&r, "gnome-shell"), ==, 0);
	check_nothing_left(&r);

	rig_lease(&r, "1 1 1 0 1");
	rig_start(&r,
		ARGS("--compositor=gnome", "--system-bus=private", "--check", stub,
			"--udev-dir=/proc/nowhere"));
	check_int(rig_wait(&r, 10000), ==, 1);
	check(rig_said(&r, "warning  the lease has no cursor plane"));
	check(rig_said(&r, "PROBLEM  the udev database /proc/nowhere lacks the card"));
	check(rig_said(&r, "1 problems, 1 warnings"));
	check_nothing_left(&r);
	rig_finish(&r);
}

TEST(resize_and_status_through_the_socket) {
	struct rig r;
	rig_init(&r);
	rig_start(
		&r, ARGS("--compositor=mutter", "--system-bus=private", "--force", "--no-bridge"));
	/* This mutter owns no name: it stays at starting, with its socket there. */
	rig_await(&r, "mutter start", 1);
	char *answer = rig_ask(&r, "resize 1600x900@75\n");
	check_str(answer, "ok 1600x900@75\n");
	free(answer);
	check_int(r.manager.resized.width, ==, 1600);
	check_int(r.manager.resized.height, ==, 900);
	check_int(r.manager.resized.refresh, ==, 75);
	answer = rig_ask(&r, "resize 1024x768 now\n");
	check_str(answer, "ok 1024x768@75\n");
	free(answer);
	answer = rig_ask(&r, "resize big\n");
	check(strncmp(answer, "error ", 6) == 0);
	free(answer);
	answer = rig_ask(&r, "status\n");
	check(strstr(answer, "\"scanout\":3"));
	check(strstr(answer, "\"width\":1024"));
	check(strstr(answer, "\"state\":\"starting\""));
	free(answer);
	rig_signal(&r, SIGTERM);
	check_int(rig_wait(&r, 10000), ==, 0);
	check_nothing_left(&r);
	rig_finish(&r);
}

/* Where no hot-plug is heard, the session is left and entered again. */
TEST(resize_makes_the_compositor_look) {
	struct rig r;
	rig_init(&r);
	rig_start(&r, ARGS("--compositor=gnome", "--system-bus=private", "--force", "--no-bridge"));
	rig_await_said(&r, "all is up");
	char *answer = rig_ask(&r, "resize 1600x900\n");
	check_str(answer, "ok 1600x900@60\n");
	free(answer);
	rig_await(&r, "logind-stub control R fd", 1);
	check_int(rig_count(&r, "logind-stub control P"), ==, 1);
	check(rig_place(&r, "logind-stub control P") < rig_place(&r, "logind-stub control R"));
	check_int(rig_count(&r, "gnome-shell start"), ==, 1);
	rig_finish(&r);
}

/* Who wants it at once learns that this one does it later. */
TEST(resize_now_of_one_that_keeps_its_mode) {
	struct rig r;
	rig_init(&r);
	rig_start(&r, ARGS("--compositor=weston", "--system-bus=private", "--no-bridge"));
	rig_await_said(&r, "all is up");
	char *answer = rig_ask(&r, "resize 1600x900 now\n");
	check_str(answer, "unable weston takes another size only when it is started again\n");
	free(answer);
	check_int(r.manager.n_resized, ==, 0);
	answer = rig_ask(&r, "resize 1600x900\n");
	check_str(answer, "ok 1600x900@60\n");
	free(answer);
	answer = rig_ask(&r, "resize 1600x900 soon\n");
	check_str(answer, "error a size is WxH or WxH@HZ\n");
	free(answer);
	rig_finish(&r);
}

static int connect_control(const struct rig *r) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	(void)snprintf(
		address.sun_path, sizeof(address.sun_path), "%s/helix-launcher.sock", r->runtime);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	check(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	return fd;
}

/* Until the other end is closed. */
static size_t read_to_end(int fd, char *ret, size_t size) {
	size_t used = 0;
	for (ssize_t n; (n = recv(fd, ret + used, size - used, 0)) > 0;) {
		used += (size_t)n;
	}
	(void)close(fd);
	return used;
}

TEST(clients_of_the_socket_that_misbehave) {
	struct rig r;
	char text[512], line[200];
	int fds[20];
	rig_init(&r);
	rig_start(&r, ARGS("--compositor=weston", "--system-bus=private", "--no-bridge"));
	rig_await_said(&r, "all is up");

	/* Three requests in two pieces: three answers. */
	int fd = connect_control(&r);
	check_int(send(fd, "bogus\nresize 5x\nresi", 20, MSG_NOSIGNAL), ==, 20);
	(void)poll(NULL, 0, 50);
	check_int(send(fd, "ze 640x480\n", 11, MSG_NOSIGNAL), ==, 11);
	(void)shutdown(fd, SHUT_WR);
	size_t n = read_to_end(fd, text, sizeof(text) - 1);
	text[n] = '\0';
	check_str(text,
		"error there are: resize WxH[@HZ] [now], status\n"
		"error a size is WxH or WxH@HZ\nok 640x480@60\n");

	/* A line that never ends is no request. */
	fd = connect_control(&r);
	memset(line, 'x', sizeof(line));
	check_int(send(fd, line, sizeof(line), MSG_NOSIGNAL), ==, sizeof(line));
	check_int(read_to_end(fd, text, sizeof(text)), ==, 0);

	/* One that goes before it has its answer; the next is told to wait, or has the manager's. */
	fake_manager_set(&r.manager, &r.manager.silent, true);
	fd = connect_control(&r);
	check_int(send(fd, "resize 800x600\n", 15, MSG_NOSIGNAL), ==, 15);
	(void)poll(NULL, 0, 100);
	(void)close(fd);
	char *answer = rig_ask(&r, "resize 801x600\n");
	check_str(answer, "error a resize is under way\n");
	free(answer);
	fake_manager_set(&r.manager, &r.manager.silent, false);

	/* Too many at once: those beyond are closed, the others are served. */
	for (unsigned i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = connect_control(&r);
	}
	check_int(send(fds[0], "status\n", 7, MSG_NOSIGNAL), ==, 7);
	check(recv(fds[0], text, sizeof(text), 0) > 10);
	check_int(recv(fds[ARRAY_SIZE(fds) - 1], text, sizeof(text), 0), ==, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(fds); i++) {
		(void)close(fds[i]);
	}
	rig_signal(&r, SIGTERM);
	check_int(rig_wait(&r, 10000), ==, 0);
	check_nothing_left(&r);
	rig_finish(&r);
}

/* A process that was killed leaves sockets and files; they are in nobody's way. */
TEST(killed_launcher_can_be_started_again) {
	struct rig r;
	rig_init(&r);
	rig_start(&r, ARGS("--compositor=weston", "--system-bus=private", "--", "client"));
	rig_await_said(&r, "all is up");
	rig_await(&r, "client start", 1);
	unsigned weston = rig_number(&r, "weston start ");
	rig_signal(&r, SIGKILL);
	check_int(rig_wait(&r, 5000), ==, 137);
	/* The lease is back at once; the children got SIGTERM. */
	fake_manager_await(&r.manager, &r.manager.held, 0);
	rig_await(&r, "weston end", 1);
	check(rig_has(&r, "run/wayland-0"));
	rig_start(&r, ARGS("--compositor=weston", "--system-bus=private", "--", "client"));
	rig_await(&r, "client start", 2);
	check(rig_number(&r, "weston start ") != weston);
	rig_signal(&r, SIGTERM);
	check_int(rig_wait(&r, 10000), ==, 0);
	rig_finish(&r);
}
