/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The DRM manager in the test guest, with our GPU device and a real kernel: leases, what becomes of
 * them, and what others notice of that.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "lease-fixture.h"
#include "proto/lease.h"
#include "test.h"

TEST_TIMEOUT(one_lease_is_flipped_and_seen, 300) {
	struct lease_vm l;
	lease_vm_start(&l, NULL);
	struct viewer v;
	viewer_init(&v, l.loop, l.vm, 1);
	uint32_t job = vm_spawn(l.vm,
		"helix-lease --size 800x600 --name one --print -- drm-flipper --lease-fd 3 -r 20");
	vm_job_expect(l.vm, job, "scanout 1: Virtual-2 800x600@60", 20);
	run_loop_until(l.loop, &v.counted, 40, 20000, "frames of the lease");
	check_int(v.broken + v.torn + v.backwards, ==, 0);
	check_int(v.picture.width, ==, 800);
	check_int(v.picture.height, ==, 600);
	viewer_finish(&v);
	lease_vm_stop(&l);
}

#define LEASES 15u /* output 0 is the console */

/* How many lines of the output hold the text. */
static unsigned count_text(const char *output, const char *text) {
	unsigned n = 0;
	for (const char *p = strstr(output, text); p; p = strstr(p + 1, text)) {
		n++;
	}
	return n;
}

static unsigned count_free(struct lease_vm *l) {
	return count_text(vm_run_ok(l->vm, 10, "helix-lease --list"), " free ");
}

/* The manager answers, and has all its outputs. */
static void check_serves(struct lease_vm *l) {
	vm_run_ok(l->vm, 20, "helix-lease --size 640x480 -- true");
	check_int(count_free(l), ==, LEASES);
}

/* A flipper on a lease of its own; its lease's number is `scanout`. */
static uint32_t start_flipper(struct lease_vm *l, unsigned scanout, double rate) {
	char text[32];
	uint32_t job = vm_spawn(l->vm,
		"exec helix-lease -c %u --size %ux480 --print -- drm-flipper --lease-fd 3 -r %.1f --print",
		scanout, 640 + 16 * scanout, rate);
	(void)snprintf(text, sizeof(text), "scanout %u:", scanout);
	vm_job_expect(l->vm, job, text, 30);
	return job;
}

/* A number from the last line that has `before` in front of it. */
static double number_after(const char *output, const char *before) {
	const char *found = NULL;
	for (const char *p = strstr(output, before); p; p = strstr(p + 1, before)) {
		found = p + strlen(before);
	}
	check(found);
	return strtod(found, NULL);
}

TEST_TIMEOUT(fifteen_leases_are_flipped_at_once, 600) {
	struct lease_vm l;
	struct viewer v[LEASES];
	uint32_t jobs[LEASES];
	lease_vm_start(&l, NULL);
	for (unsigned i = 0; i < LEASES; i++) {
		/* Different rates: a stream of another output would have other counters. */
		jobs[i] = start_flipper(&l, i + 1, 2 + 0.1 * i);
		viewer_init(&v[i], l.loop, l.vm, i + 1);
	}
	check_int(vm_run(l.vm, 20, "helix-lease -- true"), ==, 1);
	check_str(vm_output(l.vm), "helix-lease: no scanouts available (all 15 in use)\n");
	for (unsigned i = 0; i < LEASES; i++) {
		run_loop_until(l.loop, &v[i].counted, 10, 60000, "frames of each lease");
	}
	for (unsigned i = 0; i < LEASES; i++) {
		check_int(v[i].broken + v[i].torn + v[i].backwards, ==, 0);
		check_int(v[i].picture.width, ==, 640 + 16 * (i + 1));
		/* What the flipper says it drew is what came, but for what is on its way. */
		run_loop(l.loop, 1000);
		double frame = number_after(vm_job_output(l.vm, jobs[i]), "frame ");
		check_int(llabs((long long)v[i].counter - (long long)frame), <=, 8);
		viewer_finish(&v[i]);
	}
	lease_vm_stop(&l);
}

/* Two cards, each with a process of its own: 15 outputs and, without a console there, 16. */
TEST_TIMEOUT(two_cards_are_one_pool, 900) {
	struct lease_vm l;
	struct lease_vm_config config = {.two_cards = true};
	const unsigned n = LEASES + 16;
	struct viewer v[LEASES + 16];
	uint32_t jobs[LEASES + 16];
	lease_vm_start(&l, &config);
	for (unsigned i = 0; i < n; i++) {
		unsigned scanout = i + 1;
		bool second = scanout >= 16;
		jobs[i] = start_flipper(&l, scanout, 1 + 0.1 * i);
		viewer_init_port(&v[i], l.loop, second ? l.vm->second_port : l.vm->port,
			second ? scanout - 16 : scanout);
	}
	check_int(vm_run(l.vm, 20, "helix-lease -- true"), ==, 1);
	check_str(vm_output(l.vm), "helix-lease: no scanouts available (all 31 in use)\n");
	for (unsigned i = 0; i < n; i++) {
		run_loop_until(l.loop, &v[i].counted, 5, 120000, "frames of each lease");
		check_int(v[i].broken + v[i].torn + v[i].backwards, ==, 0);
		check_int(v[i].picture.width, ==, 640 + 16 * (i + 1));
		run_loop(l.loop, 500);
		double frame = number_after(vm_job_output(l.vm, jobs[i]), "frame ");
		check_int(llabs((long long)v[i].counter - (long long)frame), <=, 8);
	}
	/* One of each card ends; the other goes on. */
	vm_job_signal(l.vm, jobs[0], SIGKILL);
	vm_job_signal(l.vm, jobs[n - 1], SIGKILL);
	(void)vm_job_wait(l.vm, jobs[0], 10);
	(void)vm_job_wait(l.vm, jobs[n - 1], 10);
	vm_run_ok(l.vm, 20, "helix-lease -c 31 --size 800x600 --print -- true | grep 800x600");
	check_int(count_free(&l), ==, 2);
	for (unsigned i = 0; i < n; i++) {
		uint64_t before = v[i].counted;
		if (i > 0 && i < n - 1) {
			run_loop_until(l.loop, &v[i].counted, before + 2, 60000, "frames after");
		}
		viewer_finish(&v[i]);
	}
	lease_vm_stop(&l);
}

TEST_TIMEOUT(lessees_do_not_see_each_other, 200) {
	struct lease_vm l;
	lease_vm_start(&l, NULL);
	const char *output = vm_run_ok(l.vm, 30, "lease-driver isolate");
	check_int(count_text(output, "refused: "), ==, 8);
	(void)fprintf(stderr, "# %s\n", output);
	lease_vm_stop(&l);
}

TEST_TIMEOUT(one_lease_ends_and_the_other_lives, 300) {
	struct lease_vm l;
	struct viewer v;
	lease_vm_start(&l, NULL);
	uint32_t a = start_flipper(&l, 1, 20), b = start_flipper(&l, 2, 20);
	viewer_init(&v, l.loop, l.vm, 1);
	run_loop_until(l.loop, &v.counted, 5, 20000, "frames before");
	vm_job_signal(l.vm, b, SIGKILL);
	(void)vm_job_wait(l.vm, b, 10);
	uint64_t before = v.counted;
	run_loop_until(l.loop, &v.counted, before + 40, 20000, "frames after");
	check_int(v.broken + v.torn + v.backwards, ==, 0);
	check_int(count_free(&l), ==, LEASES - 1);

	/* Asked for nicely, by whoever has the token. */
	vm_run_ok(l.vm, 10,
		"helix-lease -c 3 -- sh -c 'helix-lease --release; echo $?' | grep -qx 0");
	check_int(vm_run(l.vm, 10, "helix-lease --release --token $(printf %%064d 7)"), ==, 1);
	check_str(vm_output(l.vm), "helix-lease: no such lease\n");
	vm_job_signal(l.vm, a, SIGTERM);
	check_int(vm_job_wait(l.vm, a, 10), ==, 0);
	check_int(count_free(&l), ==, LEASES);
	viewer_finish(&v);
	lease_vm_stop(&l);
}

TEST_TIMEOUT(killed_holder_frees_its_output_at_once, 300) {
	struct lease_vm l;
	lease_vm_start(&l, NULL);
	const char *output = vm_run_ok(l.vm, 60, "lease-driver kill");
	(void)fprintf(stderr, "# %s\n", output);
	check_int(number_after(output, "free after "), <, 100);
	check_int(number_after(output, "passed on after "), <, 500);
	lease_vm_stop(&l);
}

TEST_TIMEOUT(a_lease_is_resized, 300) {
	struct lease_vm l;
	lease_vm_start(&l, NULL);
	vm_run_ok(l.vm, 30,
		"helix-lease --size 800x600 -- sh -c 'helix-lease --resize 1024x768@30 && "
		"helix-lease --list' >/tmp/list");
	check(strstr(vm_run_ok(l.vm, 10, "cat /tmp/list"), "1024x768@30"));
	lease_vm_stop(&l);
}

struct usage {
	double fds, kib;
};

static struct usage manager_usage(struct lease_vm *l) {
	struct usage u;
	vm_run_ok(l->vm, 10,
		"p=$(pidof helix-drm-manager); echo fds $(ls /proc/$p/fd | wc -l); "
		"sed -n 's/^RssAnon: */rss /p' /proc/$p/status");
	u.fds = number_after(vm_output(l->vm), "fds ");
	u.kib = number_after(vm_output(l->vm), "rss ");
	return u;
}

TEST_TIMEOUT(a_thousand_cycles_leak_nothing, 900) {
	struct lease_vm l;
	lease_vm_start(&l, NULL);
	/* What is allocated once, is: connections as many as there will be, and each output. */
	vm_run_ok(l.vm, 120, "lease-driver cycles 200 20");
	struct usage before = manager_usage(&l);
	const char *output = vm_run_ok(l.vm, 600, "lease-driver cycles 1000");
	(void)fprintf(stderr, "# one after the other: %s", output);
	double p50 = number_after(output, "p50 ");
	output = vm_run_ok(l.vm, 600, "lease-driver cycles 1000 20");
	(void)fprintf(stderr, "# 20 at a time: %s", output);
	struct usage after = manager_usage(&l);
	(void)fprintf(stderr, "# fds %.0f to %.0f, anonymous memory %.0f to %.0f KiB\n", before.fds,
		after.fds, before.kib, after.kib);
	check_int(count_free(&l), ==, LEASES);
	check_int(after.fds, ==, before.fds);
	check_int(after.kib, <=, before.kib + 64);
	check_int(p50, <, 50);
	/* The kernel's list, which the manager compares with its own when it starts. */
	vm_job_signal(l.vm, l.manager, SIGHUP);
	vm_job_expect(l.vm, l.manager, "as before", 20);
	check_serves(&l);
	check(!strstr(vm_job_output(l.vm, l.manager), "is nobody's"));
	lease_vm_stop(&l);
}

#define RUNNERS 3u

/* Restarts the manager while flippers run; they must not notice, nor their viewers. */
static void restart_while_flipping(int signal) {
	struct lease_vm l;
	struct viewer v[RUNNERS];
	uint32_t jobs[RUNNERS];
	lease_vm_start(&l, NULL);
	for (unsigned i = 0; i < RUNNERS; i++) {
		jobs[i] = start_flipper(&l, i + 1, 15);
		viewer_init(&v[i], l.loop, l.vm, i + 1);
		run_loop_until(l.loop, &v[i].counted, 5, 20000, "frames before");
	}
	for (unsigned round = 1; round <= 3; round++) {
		vm_job_signal(l.vm, l.manager, signal);
		char text[64];
		for (unsigned i = 0; i < RUNNERS; i++) {
			uint64_t before = v[i].counted;
			run_loop_until(l.loop, &v[i].counted, before + 15, 20000, "frames after");
		}
		vm_run_ok(l.vm, 20, "helix-lease --size 640x480 -- true");
		check_int(count_free(&l), ==, LEASES - RUNNERS);
		const char *log = vm_job_output(l.vm, l.manager);
		check_int(count_text(log, "ready "), ==, round + 1);
		check_int(count_text(log, "goes on"), ==, RUNNERS * round);
		(void)snprintf(text, sizeof(text), "ended %d", signal == SIGHUP ? SIGKILL : 0);
		check_int(count_text(log, text), ==, round);
	}
	for (unsigned i = 0; i < RUNNERS; i++) {
		check_int(v[i].broken + v[i].torn + v[i].backwards, ==, 0);
		check_int(v[i].size_changes, ==, 1); /* the first */
		viewer_finish(&v[i]);
		vm_job_signal(l.vm, jobs[i], SIGTERM);
		check_int(vm_job_wait(l.vm, jobs[i], 10), ==, 0);
	}
	/* Their ends were noticed by a process that did not know them from the beginning. */
	check_serves(&l);
	lease_vm_stop(&l);
}

TEST_TIMEOUT(killed_manager_is_not_noticed, 400) {
	restart_while_flipping(SIGHUP);
}

TEST_TIMEOUT(restarted_manager_is_not_noticed, 400) {
	restart_while_flipping(SIGUSR1);
}

/* Holders whose connection breaks: one comes back in time, the other does not. */
TEST_TIMEOUT(holders_come_back_with_their_token, 300) {
	struct lease_vm l;
	struct lease_vm_config config = {.manager_args = "--grace 3000", .forget_holders = true};
	struct viewer v;
	char token[128];
	lease_vm_start(&l, &config);
	uint32_t first = start_flipper(&l, 1, 15), second = start_flipper(&l, 2, 15);
	viewer_init(&v, l.loop, l.vm, 1);
	run_loop_until(l.loop, &v.counted, 5, 20000, "frames before");
	const char *found = strstr(vm_job_output(l.vm, first), " token ");
	check(found && sscanf(found, " token %127s", token) == 1);

	vm_job_signal(l.vm, l.manager, SIGHUP);
	vm_job_expect(l.vm, l.manager, "scanout 2: lessee 2 waits for its holder", 20);
	uint32_t holder = vm_spawn(l.vm, "helix-lease --reclaim --token %s", token);
	vm_job_expect(l.vm, holder, "scanout 1: Virtual-2 656x480@60", 20);
	vm_job_expect(l.vm, l.manager, "scanout 2: released: its holder did not come back", 20);
	check_int(vm_job_wait(l.vm, second, 10), ==, 1);
	uint64_t before = v.counted;
	run_loop_until(l.loop, &v.counted, before + 20, 20000, "frames after");
	check_int(v.broken + v.torn + v.backwards, ==, 0);
	check_int(count_free(&l), ==, LEASES - 1);

	/* It is a holder like any other. */
	vm_job_signal(l.vm, holder, SIGKILL);
	check_int(vm_job_wait(l.vm, first, 10), ==, 1);
	check_serves(&l);
	viewer_finish(&v);
	lease_vm_stop(&l);
}

TEST_TIMEOUT(without_a_store_the_start_is_clean, 300) {
	struct lease_vm l;
	struct lease_vm_config config = {.alone = true};
	struct viewer v;
	lease_vm_start(&l, &config);
	viewer_init(&v, l.loop, l.vm, 1);
	uint32_t job = vm_spawn(l.vm, "helix-lease --size 640x480 --print --hold");
	vm_job_expect(l.vm, job, "scanout 1:", 20);
	vm_job_signal(l.vm, l.manager, SIGKILL);
	check_int(vm_job_wait(l.vm, job, 10), ==, 1);
	check(strstr(vm_job_output(l.vm, job), "took the lease back"));
	lease_vm_start_manager(&l, true, "--log-level debug");
	check_serves(&l);
	vm_job_signal(l.vm, l.manager, SIGTERM);
	check_int(vm_job_wait(l.vm, l.manager, 10), ==, 0);
	viewer_finish(&v);
	lease_vm_stop(&l);
}

TEST_TIMEOUT(exporter_that_is_not_there_harms_nobody, 400) {
	struct lease_vm l;
	struct lease_vm_config config = {.no_manager = true};
	lease_vm_start(&l, &config);
	/* Port 1 of the host refuses; 10.0.2.77 is nobody, and does not even say so. */
	l.manager = vm_spawn(l.vm, "exec helix-drm-manager --exporter 1 --timeout 2000");
	vm_job_expect(l.vm, l.manager, "listening on", 20);
	check_int(vm_run(l.vm, 3, "helix-lease -- true"), ==, 1);
	check(strstr(vm_output(l.vm), "helix-lease: QEMU enable failed: "));
	check_int(count_free(&l), ==, LEASES);
	vm_job_signal(l.vm, l.manager, SIGTERM);
	check_int(vm_job_wait(l.vm, l.manager, 10), ==, 0);

	l.manager = vm_spawn(l.vm, "exec helix-drm-manager --exporter 10.0.2.77:1 --timeout 2000");
	vm_job_expect(l.vm, l.manager, "listening on", 20);
	check_int(vm_run(l.vm, 6, "helix-lease -- true"), ==, 1);
	check(strstr(vm_output(l.vm), "helix-lease: QEMU enable failed: "));
	check_int(count_free(&l), ==, LEASES);
	vm_job_signal(l.vm, l.manager, SIGTERM);
	check_int(vm_job_wait(l.vm, l.manager, 10), ==, 0);

	/* Slow: it takes connections and says nothing. Then it goes on as if nothing had been. */
	l.manager =
		vm_spawn(l.vm, "exec helix-drm-manager --exporter %u --timeout 2000", l.vm->port);
	vm_job_expect(l.vm, l.manager, "connected", 20);
	check_serves(&l);
	check(kill(l.vm->gpu.pid, SIGSTOP) == 0);
	check_int(vm_run(l.vm, 6, "helix-lease -- true"), ==, 1);
	check(strstr(vm_output(l.vm), "helix-lease: QEMU enable failed: no answer in time"));
	check_int(count_free(&l), ==, LEASES);
	check(kill(l.vm->gpu.pid, SIGCONT) == 0);
	check_serves(&l);
	lease_vm_stop(&l);
}

/* Runs a relay to the exporter in the guest, on port 7777. */
static uint32_t start_relay(struct lease_vm *l) {
	uint32_t job = vm_spawn(l->vm, "exec tcp-relay 7777 10.0.2.2 %u", l->vm->port);
	vm_job_expect(l->vm, job, "listening", 10);
	return job;
}

static void stop_relay(struct lease_vm *l, uint32_t job) {
	vm_job_signal(l->vm, job, SIGKILL);
	(void)vm_job_wait(l->vm, job, 10);
}

/* Not there at first, there, away for a while, and back: with leases that live through it. */
TEST_TIMEOUT(exporter_goes_away_and_comes_back, 400) {
	struct lease_vm l;
	struct lease_vm_config config = {.no_manager = true};
	struct viewer v;
	lease_vm_start(&l, &config);
	l.manager =
		vm_spawn(l.vm, "exec helix-drm-manager --exporter 127.0.0.1:7777 --timeout 3000");
	vm_job_expect(l.vm, l.manager, "listening on", 20);
	check_int(vm_run(l.vm, 5, "helix-lease -- true"), ==, 1);
	check(strstr(vm_output(l.vm), "QEMU enable failed: "));
	check_int(count_free(&l), ==, LEASES);

	uint32_t relay = start_relay(&l);
	uint32_t first = start_flipper(&l, 1, 15), second = start_flipper(&l, 2, 15);
	viewer_init(&v, l.loop, l.vm, 1);
	run_loop_until(l.loop, &v.counted, 5, 20000, "frames before");
	stop_relay(&l, relay);
	vm_job_expect(l.vm, l.manager, "cannot be reached", 20);
	uint64_t before = v.counted;
	run_loop_until(l.loop, &v.counted, before + 15, 20000, "frames while it is away");
	check_int(vm_run(l.vm, 5, "helix-lease -- true"), ==, 1);
	check(strstr(vm_output(l.vm), "QEMU enable failed: "));
	/* One that ends now frees its output, of which the exporter hears later. */
	vm_job_signal(l.vm, second, SIGKILL);
	(void)vm_job_wait(l.vm, second, 10);
	check_int(count_free(&l), ==, LEASES - 1);

	(void)start_relay(&l);
	vm_run_ok(l.vm, 20, "helix-lease -c 3 --size 640x480 -- true");
	/* Unplugged, as the kernel sees it. */
	vm_run_ok(l.vm, 20,
		"for i in $(seq 100); do grep -qx disconnected /sys/class/drm/card0-Virtual-3/status "
		"&& exit 0; echo detect >/sys/class/drm/card0-Virtual-3/status; sleep 0.1; done; "
		"exit 1");
	before = v.counted;
	run_loop_until(l.loop, &v.counted, before + 15, 20000, "frames after");
	check_int(v.broken + v.torn + v.backwards, ==, 0);
	check_int(v.size_changes, ==, 1); /* the first */
	vm_job_signal(l.vm, first, SIGTERM);
	check_int(vm_job_wait(l.vm, first, 10), ==, 0);
	check_serves(&l);
	viewer_finish(&v);
	lease_vm_stop(&l);
}

TEST_TIMEOUT(hostile_clients_disturb_nobody, 600) {
	struct lease_vm l;
	struct viewer v;
	lease_vm_start(&l, NULL);
	(void)start_flipper(&l, 1, 20);
	viewer_init(&v, l.loop, l.vm, 1);
	struct usage before = manager_usage(&l);
	vm_run_ok(l.vm, 60, "lease-driver garbage 2000");
	vm_run_ok(l.vm, 60, "lease-driver fds 2000");
	vm_run_ok(l.vm, 60, "lease-driver chatter 2000");
	/* Ten thousand that stay; and those that begin a request and stop. */
	uint32_t crowd = vm_spawn(l.vm, "lease-driver connections 10000");
	vm_job_expect(l.vm, crowd, "done", 120);
	uint32_t half = vm_spawn(l.vm, "lease-driver half 500");
	vm_job_expect(l.vm, half, "done", 60);
	struct usage during = manager_usage(&l);
	check_int(during.fds, <=, before.fds + 64);
	/* Somebody else is served meanwhile: all those are of one user, this one is another. */
	vm_run_ok(l.vm, 20, "lease-driver other 1000");
	vm_job_signal(l.vm, crowd, SIGKILL);
	vm_job_signal(l.vm, half, SIGKILL);
	(void)vm_job_wait(l.vm, crowd, 20);
	(void)vm_job_wait(l.vm, half, 20);
	vm_run_ok(l.vm, 30, "helix-lease --size 640x480 -- true");
	struct usage after = manager_usage(&l);
	(void)fprintf(stderr,
		"# fds %.0f, %.0f in the crowd, %.0f after; memory %.0f, %.0f, %.0f KiB\n",
		before.fds, during.fds, after.fds, before.kib, during.kib, after.kib);
	check_int(after.fds, ==, before.fds);
	check_int(after.kib, <=, before.kib + 1024);
	uint64_t counted = v.counted;
	run_loop_until(l.loop, &v.counted, counted + 20, 20000, "frames after");
	check_int(v.broken + v.torn + v.backwards, ==, 0);
	viewer_finish(&v);
	lease_vm_stop(&l);
}

/* Somebody who takes nothing of what is sent, on each output. */
static void start_stopped_viewers(struct lease_vm *l, struct viewer *v, unsigned n) {
	for (unsigned i = 0; i < n; i++) {
		viewer_init(&v[i], l->loop, l->vm, i + 1);
		hxfr_client_set_read_budget(v[i].client, i % 2 ? 0 : 20000);
	}
}

#define STALL_MS_MAX 50
#define STALL_ROUNDS 4u

TEST_TIMEOUT(plugging_stalls_no_flip, 900) {
	struct lease_vm l;
	struct viewer v[8];
	lease_vm_start(&l, NULL);
	start_stopped_viewers(&l, v, ARRAY_SIZE(v));
	double busy = 1e9;
	/* What else the machine does can only add to it, so that the best of a few rounds counts. */
	for (unsigned round = 0; round < STALL_ROUNDS && busy >= STALL_MS_MAX; round++) {
		uint32_t job = vm_spawn(l.vm, "lease-driver stall 8");
		uint64_t deadline = now_ns() + 300 * NSEC_PER_SEC;
		while (!strstr(vm_job_output(l.vm, job), "stalls while") && now_ns() < deadline) {
			run_loop(l.loop, 100);
		}
		const char *output = vm_job_output(l.vm, job);
		(void)fprintf(stderr, "# %s", output);
		busy = MIN(busy, number_after(output, "stalls while: longest "));
		check_int(number_after(output, "cycles "), ==, 100);
		check_int(vm_job_wait(l.vm, job, 20), ==, 0);
		vm_job_forget(l.vm, job);
	}
	check_int(busy, <, STALL_MS_MAX);
	for (unsigned i = 0; i < ARRAY_SIZE(v); i++) {
		viewer_finish(&v[i]);
	}
	check_serves(&l);
	lease_vm_stop(&l);
}

/*
 * With systemd itself: HELIX_TEST_SYSTEMD_GUEST is a guest of vm/make-systemd-guest.sh, with the
 * unit as it is shipped.
 */
TEST_TIMEOUT(systemd_keeps_the_leases, 900) {
	static const char *const ways[] = {"systemctl restart helix-drm-manager",
		"systemctl kill -s KILL helix-drm-manager",
		"systemctl stop helix-drm-manager; systemctl start helix-drm-manager"};
	const char *guest = getenv("HELIX_TEST_SYSTEMD_GUEST");
	struct lease_vm l;
	struct lease_vm_config config = {.no_manager = true};
	struct viewer v[RUNNERS];
	uint32_t jobs[RUNNERS];
	if (!guest || !*guest) {
		skip("HELIX_TEST_SYSTEMD_GUEST is not set (vm/make-systemd-guest.sh makes it)");
	}
	check(setenv("HELIX_TEST_GUEST", guest, 1) == 0);
	lease_vm_start(&l, &config);
	vm_run_ok(l.vm, 10, "echo QEMU_ADDR=10.0.2.2:%u >/etc/helix-drm-manager.env", l.vm->port);
	vm_run_ok(l.vm, 60, "systemctl enable --now helix-drm-manager");
	(void)fprintf(stderr, "# %s",
		vm_run_ok(l.vm, 30,
			"systemctl --version | head -n 1; "
			"systemd-analyze security helix-drm-manager | tail -n 1"));
	for (unsigned i = 0; i < RUNNERS; i++) {
		jobs[i] = start_flipper(&l, i + 1, 10);
		viewer_init(&v[i], l.loop, l.vm, i + 1);
		run_loop_until(l.loop, &v[i].counted, 5, 30000, "frames before");
	}
	for (unsigned round = 0; round < ARRAY_SIZE(ways); round++) {
		vm_run_ok(l.vm, 60, "%s", ways[round]);
		for (unsigned i = 0; i < RUNNERS; i++) {
			uint64_t before = v[i].counted;
			run_loop_until(l.loop, &v[i].counted, before + 15, 30000, ways[round]);
		}
		vm_run_ok(l.vm, 30, "helix-lease --size 640x480 -- true");
		check_int(count_free(&l), ==, LEASES - RUNNERS);
		(void)fprintf(stderr, "# survived: %s\n", ways[round]);
	}
	const char *log = vm_run_ok(l.vm, 20, "journalctl -u helix-drm-manager -o cat");
	check_int(count_text(log, "goes on"), ==, RUNNERS * ARRAY_SIZE(ways));
	for (unsigned i = 0; i < RUNNERS; i++) {
		check_int(v[i].broken + v[i].torn + v[i].backwards, ==, 0);
		viewer_finish(&v[i]);
		vm_job_signal(l.vm, jobs[i], SIGTERM);
		check_int(vm_job_wait(l.vm, jobs[i], 10), ==, 0);
	}
	check_int(count_free(&l), ==, LEASES);
	lease_vm_stop(&l);
}

/* Scenario: an exporter that requires tokens; a manager with its key, viewers with and without. */
TEST_TIMEOUT(tokens_confine_viewers, 300) {
	struct lease_vm l;
	struct viewer v;
	char file[64] = "/tmp/helix-key-XXXXXX", text[128];
	int fd = mkstemp(file);
	const char *const export_args[] = {"--require-token", "--manager-key", file, NULL};
	struct lease_vm_config config = {.export_args = export_args, .no_manager = true};
	uint8_t token[LEASE_TOKEN_SIZE];
	check(fd >= 0);
	check_int(
		write(fd, "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n", 65),
		==, 65);
	lease_vm_start(&l, &config);
	/* Without the key it cannot enable anything. */
	lease_vm_start_manager(&l, true, "");
	check_int(vm_run(l.vm, 20, "helix-lease -- true"), ==, 1);
	check(strstr(vm_output(l.vm), "QEMU enable failed: refused"));
	vm_job_signal(l.vm, l.manager, SIGTERM);
	(void)vm_job_wait(l.vm, l.manager, 10);

	vm_run_ok(l.vm, 5,
		"echo 00112233445566778899aabbccddeeff"
		"00112233445566778899aabbccddeeff >/tmp/key");
	lease_vm_start_manager(&l, true, "--manager-key /tmp/key");
	uint32_t job = start_flipper(&l, 1, 15);
	const char *found = strstr(vm_job_output(l.vm, job), " token ");
	check(found && sscanf(found, " token %127s", text) == 1);
	check_ok(lease_token_from_string(text, token));

	viewer_init(&v, l.loop, l.vm, 1);
	run_loop(l.loop, 1500);
	check_int(v.frames, ==, 0);
	viewer_finish(&v);
	viewer_init(
		&v, l.loop, l.vm, 1); /* its first attempt is refused; then it shows the token */
	check_ok(hxfr_client_show_token(v.client, 1, token));
	check_ok(hxfr_client_subscribe(v.client, 1));
	run_loop_until(l.loop, &v.counted, 20, 20000, "frames for who has the token");
	viewer_finish(&v);
	(void)close(fd);
	(void)unlink(file);
	lease_vm_stop(&l);
}
