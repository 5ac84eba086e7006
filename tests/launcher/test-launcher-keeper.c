/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <linux/close_range.h>
#include <stdio.h>

#include "fake-manager.h"
#include "keeper.h"
#include "test.h"
#include "util.h"

struct setup {
	char dir[64];
	struct fake_manager manager;
	struct lease_wish wish;
	sd_event *loop;
	struct keeper *keeper;
	char events[64]; /* a letter each */
	char text[256];  /* of the last */
	unsigned n_resized;
	int resized;
};

static void handle_event(enum keeper_event event, const char *text, void *data) {
	struct setup *s = data;
	size_t n = strlen(s->events);
	s->events[n] = "ACVRF"[event];
	(void)snprintf(s->text, sizeof(s->text), "%s", text);
}

static void handle_resized(int r, const char *text, void *data) {
	struct setup *s = data;
	s->n_resized++;
	s->resized = r;
}

static void start(struct setup *s) {
	char path[96];
	*s = (struct setup){.dir = "/tmp/helix-keeper-XXXXXX"};
	check(mkdtemp(s->dir));
	check(setenv("HELIX_TEST_DIR", s->dir, 1) == 0);
	(void)snprintf(path, sizeof(path), "%s/drm.sock", s->dir);
	fake_manager_start(&s->manager, path);
	s->wish = (struct lease_wish){
		.socket = s->manager.path, .width = 640, .height = 480, .refresh = 60};
	check_ok(sd_event_new(&s->loop));
}

static void keep(struct setup *s) {
	check_ok(keeper_create(s->loop, &s->wish, handle_event, s, &s->keeper));
	check_ok(keeper_start(s->keeper));
}

static void stop(struct setup *s, bool manager) {
	char path[96];
	keeper_destroy(s->keeper);
	if (manager) {
		fake_manager_await(&s->manager, &s->manager.held, 0);
		fake_manager_stop(&s->manager);
	}
	sd_event_unref(s->loop);
	(void)snprintf(path, sizeof(path), "%s/lease", s->dir);
	(void)unlink(path);
	check(rmdir(s->dir) == 0);
}

static void await(struct setup *s, const char *events) {
	uint64_t deadline = now_ns() + 10 * NSEC_PER_SEC;
	while (strlen(s->events) < strlen(events) && now_ns() < deadline) {
		check_ok(sd_event_run(s->loop, 50000));
	}
	check_str(s->events, events);
}

static void set_revoked(struct setup *s, bool revoked) {
	char path[96];
	(void)snprintf(path, sizeof(path), "%s/lease", s->dir);
	FILE *f = fopen(path, "we");
	check(f);
	check(fputs(revoked ? "0 0 0 0 0" : "1 1 1 1 1", f) >= 0);
	(void)fclose(f);
}

TEST(taken_and_given_back) {
	struct setup s;
	start(&s);
	keep(&s);
	await(&s, "A");
	const struct lease *l = keeper_lease(s.keeper);
	check_int(l->about.scanout, ==, 3);
	check(l->fd >= 0 && l->connection >= 0 && l->extended);
	fake_manager_await(&s.manager, &s.manager.held, 1);
	stop(&s, true);
}

TEST(refused) {
	struct setup s;
	start(&s);
	s.manager.refuses = true;
	/* The manager waits for us; it was asked to, and that was its answer. */
	s.wish.wait_ms = 60000;
	keep(&s);
	await(&s, "F");
	check_str(s.text, "no scanouts available (all 3 in use)");
	stop(&s, true);
}

TEST(manager_that_comes_later) {
	struct setup s;
	start(&s);
	fake_manager_stop(&s.manager);
	keep(&s);
	await(&s, "F");
	keeper_destroy(s.keeper);
	s.events[0] = '\0';
	s.wish.wait_ms = 20000;
	keep(&s);
	for (unsigned i = 0; i < 10; i++) {
		check_ok(sd_event_run(s.loop, 20000));
	}
	check_str(s.events, "");
	fake_manager_start(&s.manager, s.wish.socket);
	await(&s, "A");
	stop(&s, true);
}

TEST(claimed_again) {
	struct setup s;
	start(&s);
	keep(&s);
	await(&s, "A");
	int fd = keeper_lease(s.keeper)->fd;
	fake_manager_set(&s.manager, &s.manager.drops, true);
	await(&s, "AC");
	check_int(keeper_lease(s.keeper)->fd, ==, fd);
	fake_manager_await(&s.manager, &s.manager.held, 1);
	/* And while it is away for a time, too. */
	fake_manager_stop(&s.manager);
	for (unsigned i = 0; i < 20; i++) {
		check_ok(sd_event_run(s.loop, 20000));
	}
	check_str(s.events, "AC");
	fake_manager_start(&s.manager, s.wish.socket);
	await(&s, "ACC");
	check_int(keeper_lease(s.keeper)->fd, ==, fd);
	check_int(s.manager.n_acquired, ==, 1);
	stop(&s, true);
}

TEST(replaced_when_forgotten) {
	struct setup s;
	start(&s);
	keep(&s);
	await(&s, "A");
	fake_manager_set(&s.manager, &s.manager.forgets, true);
	fake_manager_set(&s.manager, &s.manager.drops, true);
	await(&s, "AVR");
	check_int(keeper_lease(s.keeper)->about.scanout, ==, 4);
	/* The second time there is none for a while. */
	fake_manager_set(&s.manager, &s.manager.refuses, true);
	fake_manager_set(&s.manager, &s.manager.drops, true);
	await(&s, "AVRV");
	check_int(keeper_lease(s.keeper)->fd, ==, -1);
	check_int(keeper_resize(s.keeper, 1, 1, 0, handle_resized, &s), ==, -ENOTCONN);
	for (unsigned i = 0; i < 10; i++) {
		check_ok(sd_event_run(s.loop, 20000));
	}
	check_str(s.events, "AVRV");
	fake_manager_set(&s.manager, &s.manager.refuses, false);
	await(&s, "AVRVR");
	stop(&s, true);
}

TEST(replaced_when_the_kernel_says_so) {
	struct setup s;
	start(&s);
	keep(&s);
	await(&s, "A");
	set_revoked(&s, true);
	fake_manager_set(&s.manager, &s.manager.drops, true);
	await(&s, "AV");
	set_revoked(&s, false);
	await(&s, "AVR");
	check_int(s.manager.n_reclaimed, ==, 0);
	/* It goes while its manager is away: no use in claiming it. */
	fake_manager_stop(&s.manager);
	for (unsigned i = 0; i < 10; i++) {
		check_ok(sd_event_run(s.loop, 20000));
	}
	check_str(s.events, "AVR");
	set_revoked(&s, true);
	await(&s, "AVRV");
	set_revoked(&s, false);
	fake_manager_start(&s.manager, s.wish.socket);
	await(&s, "AVRVR");
	check_int(s.manager.n_reclaimed, ==, 0);
	stop(&s, true);
}

TEST(older_manager) {
	struct setup s;
	start(&s);
	s.manager.old = true;
	keep(&s);
	await(&s, "A");
	check_int(keeper_lease(s.keeper)->about.scanout, ==, 9);
	check_int(keeper_resize(s.keeper, 1, 1, 0, handle_resized, &s), ==, -EOPNOTSUPP);
	fake_manager_set(&s.manager, &s.manager.drops, true);
	await(&s, "AVR");
	stop(&s, true);
}

TEST(resized) {
	struct setup s;
	start(&s);
	keep(&s);
	await(&s, "A");
	check_ok(keeper_resize(s.keeper, 800, 600, 0, handle_resized, &s));
	check_int(keeper_resize(s.keeper, 801, 600, 0, handle_resized, &s), ==, -EBUSY);
	while (s.n_resized == 0) {
		check_ok(sd_event_run(s.loop, 50000));
	}
	check_int(s.resized, ==, 0);
	check_int(keeper_lease(s.keeper)->about.width, ==, 800);
	check_int(keeper_lease(s.keeper)->about.refresh, ==, 60);
	/* Who asked went away; who comes next has to wait all the same. */
	check_ok(keeper_resize(s.keeper, 700, 600, 50, handle_resized, &s));
	keeper_forget_resize(s.keeper, &s);
	check_int(keeper_resize(s.keeper, 800, 600, 0, handle_resized, &s), ==, -EBUSY);
	while (keeper_lease(s.keeper)->about.width != 700) {
		check_ok(sd_event_run(s.loop, 50000));
	}
	check_int(s.n_resized, ==, 1);
	check_int(keeper_lease(s.keeper)->about.refresh, ==, 50);
	/* Another lease is asked for in the size that it had. */
	fake_manager_set(&s.manager, &s.manager.forgets, true);
	fake_manager_set(&s.manager, &s.manager.drops, true);
	await(&s, "AVR");
	check_int(keeper_lease(s.keeper)->about.width, ==, 700);
	stop(&s, true);
}

/* A manager that does not answer must not keep us from ending. */
TEST(ends_while_it_asks) {
	struct setup s;
	start(&s);
	s.manager.silent = true;
	keep(&s);
	fake_manager_await(&s.manager, &s.manager.held, 1);
	uint64_t before = now_ns();
	keeper_destroy(s.keeper);
	s.keeper = NULL;
	check_int(now_ns() - before, <, NSEC_PER_SEC);
	fake_manager_set(&s.manager, &s.manager.drops, true);
	stop(&s, true);
	/* The connection of the thread that was cut off: it ends with the process. */
	(void)close_range(3, ~0u, 0);
}
