/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <limits.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "consoles.h"
#include "fake-qemu.h"
#include "hotplug.h"
#include "log.h"
#include "qmp.h"
#include "test.h"
#include "util.h"

#define N 4

/* A VM with a VGA card, two text consoles and a device of ours with four outputs. */
static const struct fake_console consoles[] = {
	{"VGA", "Graphic", "pci/0000/01.0", 0},
	{"vhost-user-gpu-pci.2", "Graphic", "pci/0000/02.0", 2},
	{"vhost-user-gpu-pci.0", "Graphic", "pci/0000/02.0", 0},
	{"vhost-user-gpu-pci.1", "Graphic", "pci/0000/02.0", 1},
	{"vhost-user-gpu-pci.3", "Graphic", "pci/0000/02.0", 3},
	{"vc", "Text", "", 0},
	{"vc", "Text", NULL, 0},
};
static const uint32_t console_of_head[N] = {2, 3, 1, 4};

struct bed {
	char dir[64];
	sd_event *loop;
	struct fake_qemu fake;
	struct hotplug *hotplug;
	unsigned n_up, n_down;
};

static void handle_link(bool up, void *data) {
	struct bed *b = data;
	*(up ? &b->n_up : &b->n_down) += 1;
}

/* One for each test process: what a test leaves behind ends with it. */
static struct bed bed;

/* `name` in directory `dir`, or the test is over. */
static void make_path(char *ret, size_t size, const char *dir, const char *name) {
	int n = snprintf(ret, size, "%s/%s", dir, name);
	check(n > 0 && (size_t)n < size);
}

static struct bed *setup(void) {
	struct bed *b = &bed;
	const char *tmp = getenv("TMPDIR");
	make_path(b->dir, sizeof(b->dir), tmp ? tmp : "/tmp", "hotplug-XXXXXX");
	check(mkdtemp(b->dir));
	check_ok(sd_event_new(&b->loop));
	b->fake.loop = b->loop;
	b->fake.consoles = consoles;
	b->fake.n_consoles = ARRAY_SIZE(consoles);
	b->fake.listen_fd = b->fake.qmp_fd = b->fake.passed_fd = -1;
	make_path(b->fake.path, sizeof(b->fake.path), b->dir, "qmp");
	check_ok(hotplug_create(b->loop,
		&(struct hotplug_config){.qmp_path = b->fake.path, .n_scanouts = N}, &b->hotplug));
	hotplug_set_link_handler(b->hotplug, handle_link, b);
	return b;
}

static void teardown(struct bed *b) {
	hotplug_destroy(b->hotplug);
	fake_stop(&b->fake);
	sd_event_unref(b->loop);
	(void)unlink(b->fake.path);
	(void)rmdir(b->dir);
}

#define run_until(b, cond)                                             \
	do {                                                           \
		uint64_t run_end = now_ns() + 20 * NSEC_PER_SEC;       \
		while (!(cond)) {                                      \
			if (now_ns() > run_end) {                      \
				fail("not within 20 s: %s", #cond);    \
			}                                              \
			check_ok(sd_event_run((b)->loop, 100 * 1000)); \
		}                                                      \
	} while (0)

/* Runs the loop for `ms`; returns how often something had to be done. */
static unsigned run_for(struct bed *b, unsigned ms) {
	uint64_t end = now_ns() + ms * NSEC_PER_MSEC, now;
	unsigned n = 0;
	while ((now = now_ns()) < end) {
		int r = sd_event_run(b->loop, (end - now) / NSEC_PER_USEC + 1);
		check_ok(r);
		n += r > 0;
	}
	return n;
}

static const struct fake_call *last_call(struct bed *b) {
	check_int(b->fake.n_calls, >, 0);
	return &b->fake.calls[b->fake.n_calls - 1];
}

static unsigned count_events(struct bed *b) {
	unsigned n = 0;
	for (unsigned i = 0; i < b->fake.n_calls; i++) {
		n += b->fake.calls[i].event;
	}
	return n;
}

TEST(outputs_are_found_by_head) {
	struct bed *b = setup();
	fake_start(&b->fake);
	run_until(b, b->n_up == 1);
	for (uint32_t id = 0; id < N; id++) {
		unsigned before = b->fake.n_calls;
		hotplug_set_output(b->hotplug, id, 1000 + id, 700);
		run_until(b, b->fake.n_calls == before + 2);
		check_int(last_call(b)->console, ==, console_of_head[id]);
		check(last_call(b)->width == 1000 + id && last_call(b)->height == 700);
	}
	hotplug_set_output(b->hotplug, N, 100, 100);
	hotplug_set_output(b->hotplug, UINT32_MAX, 100, 100);
	run_for(b, 20);
	check_int(run_for(b, 100), ==, 0);
	check_int(b->n_down, ==, 0);
	teardown(b);
}

TEST(every_call_is_an_event_without_an_unplug) {
	struct bed *b = setup();
	fake_start(&b->fake);
	run_until(b, b->n_up == 1);
	for (unsigned i = 0; i < 10; i++) {
		unsigned before = count_events(b);
		hotplug_set_output(b->hotplug, 2, 1920, 1080);
		run_until(b, count_events(b) > before);
		run_for(b, 5);
		check(last_call(b)->event);
		check(last_call(b)->width == 1920 && last_call(b)->height == 1080);
	}
	for (unsigned i = 0; i < b->fake.n_calls; i++) {
		check_int(b->fake.calls[i].width, ==, 1920);
		check_int(b->fake.calls[i].width_mm / 2, ==, 508 / 2);
	}
	for (unsigned i = 0; i < 3; i++) {
		unsigned before = count_events(b);
		hotplug_set_output(b->hotplug, 2, 0, 0);
		run_until(b, count_events(b) > before);
		check(last_call(b)->width == 0 && last_call(b)->height == 0);
	}
	teardown(b);
}

TEST(first_call_of_a_new_link_is_an_event) {
	/* Whatever an earlier client of the same QEMU left: both parities of the width. */
	for (uint16_t mm = 508; mm <= 509; mm++) {
		struct bed *b = setup();
		b->fake.last[console_of_head[1]] = (struct fake_call){
			.width_mm = mm, .height_mm = 284, .width = 1920, .height = 1080};
		fake_start(&b->fake);
		run_until(b, b->n_up == 1);
		hotplug_set_output(b->hotplug, 1, 1920, 1080);
		run_until(b, b->fake.n_calls == 2);
		check_int(count_events(b), >=, 1);
		teardown(b);
		memset(b, 0, sizeof(*b));
	}
}

TEST(one_call_at_a_time_and_the_last_wins) {
	struct bed *b = setup();
	b->fake.hold = true;
	fake_start(&b->fake);
	run_until(b, b->n_up == 1);
	for (uint32_t i = 1; i <= 500; i++) {
		hotplug_set_output(b->hotplug, 1, 1000 + i, 800);
	}
	run_until(b, b->fake.held);
	run_for(b, 20);
	check_int(b->fake.n_calls, ==, 2);
	fake_answer(&b->fake);
	run_until(b, b->fake.n_calls == 3);
	check_int(last_call(b)->width, ==, 1500);
	fake_answer(&b->fake);
	run_for(b, 20);
	check_int(b->fake.n_calls, ==, 3);
	teardown(b);
}

TEST(wishes_are_kept_until_qemu_is_there) {
	struct bed *b = setup();
	hotplug_set_output(b->hotplug, 1, 640, 480);
	hotplug_set_output(b->hotplug, 3, 800, 600);
	run_for(b, 50);
	fake_start(&b->fake);
	run_until(b, b->n_up == 1 && b->fake.n_calls == 4);
	check_int(b->fake.calls[1].console, ==, console_of_head[1]);
	check_int(last_call(b)->console, ==, console_of_head[3]);
	teardown(b);
}

static bool is_known(void *data) {
	unsigned *n_questions = data;
	return (*n_questions)-- == 0;
}

TEST(an_event_that_the_guest_lost_is_raised_again) {
	struct bed *b = setup();
	unsigned n_questions = 2;
	hotplug_set_known_handler(b->hotplug, is_known, &n_questions);
	fake_start(&b->fake);
	run_until(b, b->n_up == 1);
	check_int(run_for(b, 300), <, 20); /* nothing was said, nothing is asked */
	check_int(n_questions, ==, 2);
	hotplug_set_output(b->hotplug, 1, 800, 600);
	hotplug_set_output(b->hotplug, 2, 800, 600);
	run_until(b, n_questions == UINT_MAX);
	/* Two calls each, and two repeats. */
	check_int(b->fake.n_calls, ==, 6);
	check(last_call(b)->event && b->fake.calls[4].event);
	check(last_call(b)->width == 800);
	run_for(b, 20);
	check_int(run_for(b, 1200), ==, 0);

	/* A guest that never asks is not told for ever. */
	n_questions = 1000;
	b->fake.n_calls = 0;
	hotplug_set_output(b->hotplug, 1, 0, 0);
	run_until(b, b->fake.n_calls == 6);
	run_for(b, 20);
	check_int(run_for(b, 1000), ==, 0);
	teardown(b);
}

TEST(reset_unplugs_what_was_plugged) {
	struct bed *b = setup();
	fake_start(&b->fake);
	run_until(b, b->n_up == 1);
	hotplug_set_output(b->hotplug, 0, 1024, 768);
	hotplug_set_output(b->hotplug, 2, 1024, 768);
	run_until(b, b->fake.n_calls == 4);
	run_for(b, 20);
	hotplug_reset(b->hotplug);
	run_until(b, b->fake.n_calls == 6);
	run_for(b, 20);
	check_int(b->fake.n_calls, ==, 6);
	check_int(last_call(b)->console, ==, console_of_head[2]);
	check_int(last_call(b)->width, ==, 0);
	/* The guest comes up; the same size as before is asked for: an event. */
	hotplug_set_output(b->hotplug, 2, 1024, 768);
	run_until(b, b->fake.n_calls == 7);
	check(last_call(b)->event && last_call(b)->width == 1024);
	teardown(b);
}

TEST(a_restarted_qemu_is_told_again) {
	struct bed *b = setup();
	fake_start(&b->fake);
	run_until(b, b->n_up == 1);
	hotplug_set_output(b->hotplug, 1, 1280, 720);
	hotplug_set_output(b->hotplug, 2, 1280, 720);
	run_until(b, b->fake.n_calls == 4);
	for (unsigned i = 1; i <= 3; i++) {
		fake_stop(&b->fake);
		run_until(b, b->n_down == i);
		hotplug_set_output(b->hotplug, 2, 0, 0);
		run_for(b, 150); /* the stale socket refuses */
		b->fake.n_calls = 0;
		fake_forget(&b->fake);
		fake_start(&b->fake);
		run_until(b, b->n_up == 1 + i && b->fake.n_calls == 4);
		check(b->fake.calls[1].width == 1280 && last_call(b)->width == 0);
		check_int(last_call(b)->console, ==, console_of_head[2]);
	}
	teardown(b);
}

TEST(an_idle_link_does_nothing) {
	struct bed *b = setup();
	/* No socket: the directory is watched. */
	run_for(b, 20);
	check_int(run_for(b, 500), ==, 0);
	fake_start(&b->fake);
	run_until(b, b->n_up == 1);
	run_until(b, b->fake.qmp_fd < 0); /* others may use the QMP socket */
	run_for(b, 50);
	check_int(run_for(b, 500), ==, 0);
	teardown(b);
}

TEST(a_socket_that_refuses_is_tried_less_and_less_often) {
	struct bed *b = setup();
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	run_for(b, 20);
	memcpy(addr.sun_path, b->fake.path, sizeof(b->fake.path));
	CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	check_int(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), ==, 0);
	/* The name appeared: at once, then after 0.1, 0.3, 0.7 and 1.5 s. */
	unsigned n = run_for(b, 1700);
	check_int(n, >=, 4);
	check_int(n, <=, 6);
	/* bind() before listen(), as every server does it. */
	fake_start(&b->fake);
	run_until(b, b->n_up == 1);
	teardown(b);
}

TEST(a_directory_that_comes_late_is_found) {
	struct bed *b = setup();
	hotplug_destroy(b->hotplug);
	char dir[80];
	make_path(dir, sizeof(dir), b->dir, "later");
	make_path(b->fake.path, sizeof(b->fake.path), dir, "qmp");
	check_ok(hotplug_create(b->loop,
		&(struct hotplug_config){.qmp_path = b->fake.path, .n_scanouts = N}, &b->hotplug));
	hotplug_set_link_handler(b->hotplug, handle_link, b);
	run_for(b, 50);
	check_int(mkdir(dir, 0700), ==, 0);
	run_for(b, 400);
	/* Removed and made again under our eyes. */
	check_int(rmdir(dir), ==, 0);
	run_for(b, 20);
	check_int(mkdir(dir, 0700), ==, 0);
	fake_start(&b->fake);
	run_until(b, b->n_up == 1);
	fake_stop(&b->fake);
	(void)unlink(b->fake.path);
	run_until(b, b->n_down == 1);
	(void)rmdir(dir);
	teardown(b);
}

TEST(noise_on_the_qmp_socket_is_passed_over) {
	struct bed *b = setup();
	static char greeting[QMP_LINE_MAX];
	int n = snprintf(greeting, sizeof(greeting),
		"\r\n\n{\n[1,2]\n\"QMP\"\n{\"QMP\":3}\n{\"event\":\"RESET\"}\n\xff\xfe\n"
		"{\"return\":{},\"id\":1}\n");
	/* One line of nearly the size allowed, then the greeting. */
	memset(greeting + n, ' ', sizeof(greeting) - 1000 - (size_t)n);
	(void)snprintf(greeting + sizeof(greeting) - 1000, 1000, "\n%s", fake_greeting);
	b->fake.greeting = greeting;
	b->fake.noise = "{\"event\":\"SHUTDOWN\",\"timestamp\":{},\"data\":null}\n"
			"{\"return\":{},\"id\":99999}\n{\"return\":[],\"id\":\"1\"}\n"
			"{\"error\":7}\n{\"error\":{},\"id\":-1}\n}}}}\n[[[[[[[[\n";
	fake_start(&b->fake);
	run_until(b, b->n_up == 1);
	check_int(b->fake.n_accepted, ==, 1);
	teardown(b);
}

TEST(a_line_too_long_ends_the_connection) {
	struct bed *b = setup();
	static char greeting[2 * QMP_LINE_MAX];
	memset(greeting, ' ', sizeof(greeting) - 1);
	b->fake.greeting = greeting;
	fake_start(&b->fake);
	run_until(b, b->fake.n_accepted >= 2);
	b->fake.greeting = fake_greeting;
	run_until(b, b->n_up == 1);
	teardown(b);
}

TEST(a_refusal_is_not_the_end) {
	struct bed *b = setup();
	b->fake.add_error = "protocol '@dbus-display' is invalid";
	fake_start(&b->fake);
	run_until(b, b->fake.n_accepted >= 3);
	check_int(b->n_up, ==, 0);
	b->fake.add_error = NULL;
	run_until(b, b->n_up == 1);
	check_int(b->n_down, ==, 0);
	teardown(b);
}

TEST(a_vm_without_graphics_is_tried_again) {
	static const struct fake_console text[] = {{"vc", "Text", "", 0}, {"vc", "Text", NULL, 0}};
	struct bed *b = setup();
	b->fake.consoles = text;
	b->fake.n_consoles = ARRAY_SIZE(text);
	fake_start(&b->fake);
	run_until(b, b->fake.n_accepted == 1 && b->fake.bus);
	run_for(b, 50);
	check_int(b->n_up, ==, 0);
	b->fake.bus = sd_bus_close_unref(b->fake.bus);
	b->fake.n_consoles = 0;
	run_until(b, b->fake.n_accepted == 2);
	run_for(b, 50);
	b->fake.bus = sd_bus_close_unref(b->fake.bus);
	b->fake.consoles = consoles;
	b->fake.n_consoles = ARRAY_SIZE(consoles);
	run_until(b, b->n_up == 1);
	check_int(b->n_down, ==, 0);
	teardown(b);
}

TEST(it_can_be_destroyed_at_any_time) {
	for (unsigned steps = 0; steps < 40; steps++) {
		struct bed *b = setup();
		fake_start(&b->fake);
		hotplug_set_output(b->hotplug, 1, 800, 600);
		for (unsigned i = 0; i < steps; i++) {
			check_ok(sd_event_run(b->loop, 1000));
		}
		teardown(b);
		memset(b, 0, sizeof(*b));
	}
	/* A QEMU that is stopped: connected, never greeted. */
	struct bed *b = setup();
	b->fake.silent = true;
	fake_start(&b->fake);
	run_until(b, b->fake.n_accepted == 1);
	run_for(b, 50);
	teardown(b);
	hotplug_destroy(NULL);
}

TEST(arguments_are_checked) {
	sd_event *loop = NULL;
	struct hotplug *h = NULL;
	char path[200];
	memset(path, 'x', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	check_ok(sd_event_new(&loop));
	check_int(hotplug_create(
			  loop, &(struct hotplug_config){.qmp_path = path, .n_scanouts = 1}, &h),
		==, -ENAMETOOLONG);
	check_int(hotplug_create(
			  loop, &(struct hotplug_config){.qmp_path = "qmp", .n_scanouts = 0}, &h),
		==, -EINVAL);
	check_int(hotplug_create(
			  loop, &(struct hotplug_config){.qmp_path = "qmp", .n_scanouts = 17}, &h),
		==, -EINVAL);
	check(!h);
	sd_event_unref(loop);
}

TEST(the_device_is_chosen) {
	int got[16];
	const struct console c[] = {
		{.id = 0, .head = 0, .graphic = true, .label = "VGA", .address = "pci/0000/01.0"},
		{.id = 1,
			.head = 0,
			.graphic = true,
			.label = "virtio-gpu",
			.address = "pci/0000/03.0"},
		{.id = 2,
			.head = 1,
			.graphic = true,
			.label = "virtio-gpu",
			.address = "pci/0000/03.0"},
		{.id = 3, .head = 0, .graphic = true, .label = "vhost-user-vga", .address = "x"},
		{.id = 4,
			.head = 0,
			.graphic = false,
			.label = "vhost-user-gpu-pci.0",
			.address = "y"},
		{.id = 5, .head = 9, .graphic = true, .label = "vhost", .address = "z"},
	};
	/* Ours by its label, even where another has as many outputs. */
	check_int(consoles_choose(c, ARRAY_SIZE(c), NULL, 2, got), ==, 1);
	check(got[0] == 3 && got[1] == -1);
	/* None of ours: the number of outputs decides, … */
	check_int(consoles_choose(c, 3, NULL, 2, got), ==, 2);
	check(got[0] == 1 && got[1] == 2);
	/* … then the order. */
	check_int(consoles_choose(c, 3, NULL, 16, got), ==, 1);
	check(got[0] == 0 && got[1] == -1 && got[15] == -1);
	/* By its id, even where another fits better; one that has no such id does not do. */
	check_int(consoles_choose(c, ARRAY_SIZE(c), "virtio-gpu", 1, got), ==, 1);
	check_int(got[0], ==, 1);
	check_int(consoles_choose(c, ARRAY_SIZE(c), "vhost-user-gpu", 2, got), ==, 0);
	check_int(consoles_choose(c, ARRAY_SIZE(c), "z", 2, got), ==, 0);
	/* Heads that nobody asked for, consoles of text, nothing at all. */
	check_int(consoles_choose(&c[5], 1, NULL, 4, got), ==, 0);
	check_int(consoles_choose(&c[4], 1, NULL, 4, got), ==, 0);
	check_int(consoles_choose(NULL, 0, NULL, 4, got), ==, 0);
	check_int(got[0], ==, -1);
}
