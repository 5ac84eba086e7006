/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Input into real compositors of wlroots, without a screen: what a program in them gets, as wev prints
 * it.
 */
#include <linux/input-event-codes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "input/backend.h"
#include "input/early.h"
#include "input/input.h"
#include "test.h"
#include "util.h"
#include "wlroots-desk.h"

#define TIMEOUT_NS (20 * NSEC_PER_SEC)
/* Of a headless output. */
#define WIDTH  1280
#define HEIGHT 720

struct bench {
	struct desk desk;
	char log_path[96];
	pid_t wev;
	struct input *input;
	struct input_client client;
	size_t seen; /* of the log, so far */
};

static char *read_log(const struct bench *d) {
	char *text = NULL;
	size_t size = 0;
	FILE *f = fopen(d->log_path, "re");
	if (!f || getdelim(&text, &size, '\0', f) < 0) {
		free(text);
		text = strdup("");
	}
	if (f) {
		(void)fclose(f);
	}
	check(text);
	return text;
}

/* Turns the loop until the log has this behind what was seen so far. */
static void expect(struct bench *d, const char *what) {
	uint64_t deadline = now_ns() + TIMEOUT_NS;
	for (;;) {
		char *log = read_log(d), *at = strstr(log + MIN(d->seen, strlen(log)), what);
		if (at) {
			d->seen = (size_t)(at - log) + strlen(what);
			free(log);
			return;
		}
		if (now_ns() > deadline) {
			fail("no '%s' but:\n%s", what, log + MIN(d->seen, strlen(log)));
		}
		free(log);
		check_ok(sd_event_run(d->desk.loop, 10000));
	}
}

static void start_compositor(struct bench *d) {
	const char *wev[] = {"stdbuf", "-oL", "wev", NULL};
	desk_start(&d->desk);
	d->wev = desk_run(&d->desk, wev, "/dev/null", d->log_path);
	/* It waits for keys. */
	expect(d, "xdg_toplevel] configure: width: 1280; height: 720");
}

/* Without its compositor wev would turn round and round. */
static void stop_compositor(struct bench *d, int signal) {
	check_int(kill(d->wev, SIGKILL), ==, 0);
	check_int(waitpid(d->wev, NULL, 0), ==, d->wev);
	desk_stop(&d->desk, signal);
	char *log = read_log(d);
	d->seen = strlen(log);
	free(log);
}

static void setup(struct bench *d, const char *compositor, const char *layout) {
	*d = (struct bench){0};
	if (!desk_has("wev")) {
		skip("wev is not installed: scripts/setup.sh test");
	}
	desk_init(&d->desk, compositor, layout);
	(void)snprintf(d->log_path, sizeof(d->log_path), "%s/log", d->desk.dir);
}

static void open_input(struct bench *d, const char *kind) {
	struct input_backend *backend;
	check_ok(input_backend_create(
		d->desk.loop, kind, "/nonexistent/input.sock", "/nonexistent/token", &backend));
	check_ok(input_create(d->desk.loop, backend, &d->input));
	input_join(d->input, &d->client);
}

static bool is_ready(const struct bench *d) {
	struct input_backend *b = input_backend(d->input);
	return b->ops->ready(b);
}

static void wait_ready(struct bench *d, bool ready) {
	for (uint64_t end = now_ns() + TIMEOUT_NS; is_ready(d) != ready;) {
		check(now_ns() < end);
		check_ok(sd_event_run(d->desk.loop, 10000));
	}
}

static void teardown(struct bench *d) {
	input_leave(&d->client);
	input_destroy(d->input);
	if (d->desk.pid > 0) {
		stop_compositor(d, SIGTERM);
	}
	desk_finish(&d->desk);
}

static void event(struct bench *d, struct ws_event e) {
	input_event(&d->client, &e);
}

static void key(struct bench *d, uint16_t code, bool down) {
	event(d, (struct ws_event){.kind = WS_EVENT_KEY, .code = code, .down = down});
}

static void button(struct bench *d, uint16_t code, bool down) {
	event(d, (struct ws_event){.kind = WS_EVENT_BUTTON, .code = code, .down = down});
}

static void move(struct bench *d, double x, double y) {
	event(d, (struct ws_event){.kind = WS_EVENT_ABSOLUTE, .x = x, .y = y});
}

static void scroll(struct bench *d, double dx, double dy, bool wheel) {
	event(d, (struct ws_event){.kind = WS_EVENT_SCROLL, .dx = dx, .dy = dy, .wheel = wheel});
}

static void tap(struct bench *d, uint32_t keysym) {
	event(d, (struct ws_event){.kind = WS_EVENT_KEYSYM_TAP, .keysym = keysym});
}

static void finger(struct bench *d, enum ws_touch what, unsigned slot, double x, double y) {
	event(d,
		(struct ws_event){.kind = WS_EVENT_TOUCH,
			.touch = (uint8_t)what,
			.slot = (uint8_t)slot,
			.x = x,
			.y = y});
}

static void check_pointer(struct bench *d) {
	move(d, 0.5, 0.25);
	button(d, BTN_RIGHT, true);
	expect(d, "x, y: 640.0");
	expect(d, ", 180.0");
	expect(d, "button: 273");
	expect(d, "state: 1");
	event(d, (struct ws_event){.kind = WS_EVENT_RELATIVE, .dx = -40, .dy = 20});
	button(d, BTN_RIGHT, false);
	expect(d, "x, y: 600.0");
	expect(d, ", 200.0");
	expect(d, "button: 273");
	expect(d, "state: 0");
	move(d, 0, 0);
	move(d, 1, 1); /* the corner is still inside */
	scroll(d, 0, 15, true);
	expect(d, "x, y: 1279.");
	expect(d, "axis: 0 (vertical), value: 15.000000");
	scroll(d, -15, 0, true);
	expect(d, "axis: 1 (horizontal), value: -15.000000");
}

/* The first finger is the left button, beside the mouse's; others are nothing. */
static void check_touch(struct bench *d) {
	finger(d, WS_TOUCH_DOWN, 3, 0.25, 0.5);
	finger(d, WS_TOUCH_DOWN, 4, 0.9, 0.9);
	finger(d, WS_TOUCH_MOVE, 4, 0.8, 0.8);
	finger(d, WS_TOUCH_MOVE, 3, 0.75, 0.5);
	expect(d, "x, y: 320.0");
	expect(d, "button: 272");
	expect(d, "state: 1");
	expect(d, "x, y: 960.0");
	button(d, BTN_LEFT, true);
	finger(d, WS_TOUCH_UP, 4, 0, 0);
	finger(d, WS_TOUCH_UP, 3, 0, 0);
	button(d, BTN_RIGHT, true);
	button(d, BTN_LEFT, false);
	expect(d, "button: 273"); /* the left one stayed down until here */
	expect(d, "button: 272");
	expect(d, "state: 0");
	button(d, BTN_RIGHT, false);
	expect(d, "button: 273");
}

static void check_us_keys(struct bench *d) {
	key(d, KEY_LEFTSHIFT, true);
	key(d, KEY_Z, true);
	expect(d, "sym: Z");
	key(d, KEY_Z, false);
	key(d, KEY_LEFTSHIFT, false);
	key(d, KEY_Z, true);
	expect(d, "sym: z");
	key(d, KEY_Z, false);
	key(d, KEY_CAPSLOCK, true);
	key(d, KEY_CAPSLOCK, false);
	key(d, KEY_A, true);
	expect(d, "sym: A");
	key(d, KEY_A, false);
	key(d, KEY_CAPSLOCK, true);
	key(d, KEY_CAPSLOCK, false);
	tap(d, '@');
	expect(d, "sym: at");
	tap(d, 0xFF0D);
	expect(d, "sym: Return");
}

/* As soon as it may be sent: before it there was no keyboard that the program could know. */
static void check_first_key(struct bench *d) {
	open_input(d, "wlroots");
	wait_ready(d, true);
	key(d, KEY_Q, true);
	key(d, KEY_Q, false);
	button(d, BTN_MIDDLE, true);
	button(d, BTN_MIDDLE, false);
	expect(d, "sym: q");
}

/* What somebody holds goes up when he leaves. */
static void check_release(struct bench *d) {
	key(d, KEY_LEFTCTRL, true);
	button(d, BTN_LEFT, true);
	expect(d, "sym: Control_L");
	expect(d, "button: 272");
	expect(d, "state: 1");
	input_leave(&d->client);
	expect(d, "sym: Control_L");
	expect(d, "button: 272");
	expect(d, "state: 0");
	input_join(d->input, &d->client);
	key(d, KEY_X, true);
	expect(d, "sym: x");
	key(d, KEY_X, false);
}

TEST(sway) {
	struct bench d;
	setup(&d, "sway", "us");
	start_compositor(&d);
	check_first_key(&d);
	check_us_keys(&d);
	check_pointer(&d);
	check_touch(&d);
	check_release(&d);
	teardown(&d);
}

/* Cage has them since 0.2; without, there is no input from here, and no harm. */
TEST(cage) {
	struct bench d;
	setup(&d, "cage", "us");
	start_compositor(&d);
	open_input(&d, "wlroots");
	for (unsigned i = 0; i < 100 && !is_ready(&d); i++) {
		check_ok(sd_event_run(d.desk.loop, 20000));
	}
	if (!is_ready(&d)) {
		key(&d, KEY_A, true);
		teardown(&d);
		return;
	}
	check_us_keys(&d);
	check_pointer(&d);
	check_touch(&d);
	check_release(&d);
	teardown(&d);
}

TEST(german_layout) {
	struct bench d;
	setup(&d, "sway", "de");
	start_compositor(&d);
	check_first_key(&d);
	key(&d, KEY_Z, true);
	expect(&d, "sym: y");
	key(&d, KEY_Z, false);
	key(&d, KEY_RIGHTALT, true);
	key(&d, KEY_E, true);
	expect(&d, "sym: EuroSign");
	key(&d, KEY_E, false);
	key(&d, KEY_RIGHTALT, false);
	tap(&d, 0xDF);
	expect(&d, "sym: ssharp");
	tap(&d, 0xC4);
	expect(&d, "sym: Adiaeresis");
	tap(&d, '@');
	expect(&d, "sym: at");
	tap(&d, 'y');
	expect(&d, "sym: y");
	teardown(&d);
}

/* Chosen by what is there; it comes after the bridge, is killed, and comes back. */
TEST_TIMEOUT(compositor_comes_and_goes, 120) {
	struct bench d;
	setup(&d, "sway", "us");
	open_input(&d, "auto");
	key(&d, KEY_W, true); /* much too early */
	key(&d, KEY_W, false);
	for (uint64_t end = now_ns() + EARLY_NS; now_ns() < end;) {
		check_ok(sd_event_run(d.desk.loop, 10000));
	}
	check(!is_ready(&d));
	start_compositor(&d);
	wait_ready(&d, true);
	key(&d, KEY_E, true);
	expect(&d, "sym: e");
	stop_compositor(&d, SIGKILL);
	wait_ready(&d, false);
	key(&d, KEY_E, false);
	start_compositor(&d);
	wait_ready(&d, true);
	key(&d, KEY_R, true);
	key(&d, KEY_R, false);
	expect(&d, "sym: r");
	char *log = read_log(&d);
	check(!strstr(log, "sym: w"));
	free(log);
	teardown(&d);
}

/* One that takes nothing does not make us wait, nor grow. */
TEST_TIMEOUT(compositor_hangs, 120) {
	struct bench d;
	setup(&d, "sway", "us");
	start_compositor(&d);
	check_first_key(&d);
	check_int(kill(d.desk.pid, SIGSTOP), ==, 0);
	uint64_t begin = now_ns();
	unsigned sent = 0;
	for (; is_ready(&d) && sent < 200000; sent++) {
		key(&d, KEY_B, sent % 2 == 0);
		move(&d, sent % 100 / 100.0, 0.5);
	}
	check(!is_ready(&d));
	check_int(now_ns() - begin, <, 60 * NSEC_PER_SEC);
	check_int(kill(d.desk.pid, SIGCONT), ==, 0);
	wait_ready(&d, true);
	key(&d, KEY_N, true);
	key(&d, KEY_N, false);
	expect(&d, "sym: n");
	teardown(&d);
}

/* A socket with somebody else behind it: no input, and no harm. */
TEST(no_compositor) {
	struct bench d;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	setup(&d, "sway", "us");
	(void)snprintf(
		address.sun_path, sizeof(address.sun_path), "%s/%s", d.desk.dir, d.desk.socket);
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	check(listener >= 0 && bind(listener, (struct sockaddr *)&address, sizeof(address)) == 0 &&
		listen(listener, 8) == 0);
	open_input(&d, "wlroots");
	for (unsigned i = 0; i < 5; i++) {
		check_ok(sd_event_run(d.desk.loop, 10000));
	}
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	check_int(send(fd, "\x02\x00\x00\x00\xff\xff\x04\x00rubbish", 15, MSG_NOSIGNAL), ==, 15);
	for (unsigned i = 0; i < 20; i++) {
		check_ok(sd_event_run(d.desk.loop, 10000));
	}
	char byte;
	while (recv(fd, &byte, 1, 0) == 1) {
	}
	(void)close(fd); /* it hung up */
	(void)close(listener);
	check(!is_ready(&d));
	teardown(&d);
}
