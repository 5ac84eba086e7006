/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The model of input, seen through the back end that writes down what it is told. */
#include <linux/input-event-codes.h>
#include <stdio.h>
#include <stdlib.h>

#include "input/backend.h"
#include "input/early.h"
#include "input/input.h"
#include "input/keysyms.h"
#include "input/socket.h"
#include "test.h"
#include "util.h"

struct fixture {
	sd_event *loop;
	struct input *input;
	struct input_client a, b;
	FILE *file;
	char *text;
	size_t size;
};

static void setup(struct fixture *f) {
	struct input_backend *backend;
	*f = (struct fixture){0};
	(void)unsetenv("XKB_DEFAULT_LAYOUT");
	f->file = open_memstream(&f->text, &f->size);
	check(f->file);
	check_ok(sd_event_new(&f->loop));
	check_ok(input_log_create(f->file, &backend));
	check_ok(input_create(f->loop, backend, &f->input));
	input_join(f->input, &f->a);
	input_join(f->input, &f->b);
}

static void teardown(struct fixture *f) {
	input_leave(&f->a);
	input_leave(&f->b);
	input_destroy(f->input);
	sd_event_unref(f->loop);
	(void)fclose(f->file);
	free(f->text);
}

/* What was done since the last look. */
static void check_log(struct fixture *f, const char *expected) {
	check_int(fflush(f->file), ==, 0);
	check_str(f->text ? f->text : "", expected);
	check_int(fseek(f->file, 0, SEEK_SET), ==, 0);
	(void)fflush(f->file);
	memset(f->text, 0, strlen(f->text));
}

static void key(struct input_client *c, uint16_t code, bool down) {
	struct ws_event e = {.kind = WS_EVENT_KEY, .code = code, .down = down};
	input_event(c, &e);
}

static void button(struct input_client *c, bool down) {
	struct ws_event e = {.kind = WS_EVENT_BUTTON, .code = BTN_LEFT, .down = down};
	input_event(c, &e);
}

static void move(struct input_client *c, double x, double y) {
	struct ws_event e = {.kind = WS_EVENT_ABSOLUTE, .x = x, .y = y};
	input_event(c, &e);
}

static void touch(struct input_client *c, enum ws_touch what, uint8_t slot) {
	struct ws_event e = {.kind = WS_EVENT_TOUCH, .touch = (uint8_t)what, .slot = slot};
	input_event(c, &e);
}

TEST(what_is_held_is_released) {
	struct fixture f;
	setup(&f);
	key(&f.a, KEY_LEFTCTRL, true);
	button(&f.a, true);
	touch(&f.a, WS_TOUCH_DOWN, 7);
	struct ws_event e = {.kind = WS_EVENT_KEYSYM, .keysym = 'a', .down = true};
	input_event(&f.a, &e);
	check_log(&f, "key 29 down\nbutton 272 down\ntouch down 0 0.0000 0.0000\nkey 30 down\n");
	input_leave(&f.a);
	check_log(&f, "key 29 up\nbutton 272 up\nkey 30 up\ntouch cancel 0 0.0000 0.0000\n");
	key(&f.a, KEY_B, true); /* gone: nothing */
	check_log(&f, "");
	teardown(&f);
}

TEST(repeats_and_stray_releases_are_dropped) {
	struct fixture f;
	setup(&f);
	key(&f.a, KEY_A, true);
	key(&f.a, KEY_A, true);
	key(&f.a, KEY_A, false);
	key(&f.a, KEY_A, false);
	key(&f.a, KEY_B, false);
	touch(&f.a, WS_TOUCH_MOVE, 1);
	touch(&f.a, WS_TOUCH_UP, 1);
	check_log(&f, "key 30 down\nkey 30 up\n");
	teardown(&f);
}

/* Two people on one key: down with the first, up with the last. */
TEST(two_hold_one_key) {
	struct fixture f;
	setup(&f);
	key(&f.a, KEY_LEFTSHIFT, true);
	key(&f.b, KEY_LEFTSHIFT, true);
	input_leave(&f.a);
	check_log(&f, "key 42 down\n");
	key(&f.b, KEY_LEFTSHIFT, false);
	check_log(&f, "key 42 up\n");
	teardown(&f);
}

TEST(two_people_s_fingers) {
	struct fixture f;
	setup(&f);
	touch(&f.a, WS_TOUCH_DOWN, 0);
	touch(&f.b, WS_TOUCH_DOWN, 0);
	touch(&f.a, WS_TOUCH_UP, 0);
	touch(&f.a, WS_TOUCH_DOWN, 5);
	touch(&f.b, WS_TOUCH_MOVE, 0);
	check_log(&f,
		"touch down 0 0.0000 0.0000\ntouch down 1 0.0000 0.0000\n"
		"touch up 0 0.0000 0.0000\ntouch down 0 0.0000 0.0000\n"
		"touch move 1 0.0000 0.0000\n");
	teardown(&f);
}

/* Positions replace each other until something else happens or the loop turns; order stays. */
TEST(moves_are_merged) {
	struct fixture f;
	struct input_stats stats;
	setup(&f);
	for (unsigned i = 0; i < 100; i++) {
		move(&f.a, i / 100.0, 0.5);
	}
	check_log(&f, "");
	button(&f.a, true);
	move(&f.a, 0.25, 0.25);
	move(&f.a, 0.5, 0.25);
	button(&f.a, false);
	check_log(&f,
		"absolute 0.9900 0.5000\nbutton 272 down\n"
		"absolute 0.5000 0.2500\nbutton 272 up\n");
	move(&f.a, 1, 1);
	struct ws_event e = {.kind = WS_EVENT_RELATIVE, .dx = 2, .dy = -1};
	input_event(&f.a, &e);
	input_event(&f.a, &e);
	check_ok(sd_event_run(f.loop, 0));
	check_log(&f, "absolute 1.0000 1.0000\nrelative 4.0 -2.0\n");
	check_int(sd_event_run(f.loop, 0), ==, 0);
	input_get_stats(f.input, &stats);
	check_int(stats.moves_merged, ==, 101);
	teardown(&f);
}

/* The back end of the fixture, which is away at times. */
static struct input_backend_ops at_times;
static bool is_there;

static bool at_times_ready(struct input_backend *b) {
	return is_there;
}

static void come_and_go(struct fixture *f, bool there) {
	struct input_backend *b = input_backend(f->input);
	at_times = *b->ops;
	at_times.ready = at_times_ready;
	b->ops = &at_times;
	is_there = there;
	if (there) {
		input_backend_became_ready(b);
		check_ok(sd_event_run(f->loop, 0));
	}
}

TEST(what_comes_early_waits) {
	struct fixture f;
	struct input_stats stats;
	setup(&f);
	key(&f.a, KEY_A, true);
	check_log(&f, "key 30 down\n");
	come_and_go(&f, false);
	key(&f.a, KEY_A, false); /* held before: a thing of the past */
	key(&f.a, KEY_A, true);
	for (unsigned i = 0; i < 2 * EARLY_MAX; i++) {
		move(&f.b, 0, i / (4.0 * EARLY_MAX));
	}
	button(&f.b, true);
	key(&f.a, KEY_A, false);
	check_log(&f, "key 30 up\n");
	come_and_go(&f, true);
	check_log(&f, "key 30 down\nabsolute 0.0000 0.4990\nbutton 272 down\nkey 30 up\n");
	input_leave(&f.b);
	check_log(&f, "button 272 up\n");
	input_get_stats(f.input, &stats);
	check_int(stats.dropped, ==, 0);
	teardown(&f);
}

TEST(too_much_that_waits_is_forgotten) {
	struct fixture f;
	struct input_stats stats;
	setup(&f);
	come_and_go(&f, false);
	for (unsigned i = 0; i < EARLY_MAX + 2; i++) {
		key(&f.a, KEY_A, i % 2 == 0);
	}
	come_and_go(&f, true);
	check_log(&f, "key 30 down\nkey 30 up\n");
	input_get_stats(f.input, &stats);
	check_int(stats.dropped, ==, EARLY_MAX);

	teardown(&f);
}

/* It is done nevertheless, and nothing of it stays down. */
TEST(who_did_it_early_leaves) {
	struct fixture f;
	setup(&f);
	come_and_go(&f, false);
	key(&f.a, KEY_B, true);
	key(&f.b, KEY_C, true);
	touch(&f.a, WS_TOUCH_DOWN, 3);
	input_leave(&f.a);
	key(&f.b, KEY_C, false);
	check_log(&f, "");
	come_and_go(&f, true);
	check_log(&f,
		"key 48 down\nkey 46 down\ntouch down 0 0.0000 0.0000\nkey 46 up\n"
		"key 48 up\ntouch cancel 0 0.0000 0.0000\n");
	teardown(&f);
}

TEST(too_old) {
	static struct early e;
	static struct input_client c;
	const struct ws_event key = {.kind = WS_EVENT_KEY, .code = KEY_A};
	check_int(early_add(&e, &c, &key, 1), ==, 0);
	check_int(early_expire(&e, 1 + EARLY_NS), ==, 0);
	check_int(early_add(&e, &c, &key, 1 + EARLY_NS), ==, 0);
	check_int(e.n, ==, 2);
	check_int(early_add(&e, &c, &key, 2 + EARLY_NS), ==, 2);
	check_int(e.n, ==, 1);
	check_int(early_expire(&e, 2 + 2 * EARLY_NS), ==, 0);
	check_int(early_expire(&e, 3 + 2 * EARLY_NS), ==, 1);
	check_int(e.n, ==, 0);
}

TEST(keysyms_by_the_layout) {
	struct fixture f;
	setup(&f);
	struct ws_event tap = {.kind = WS_EVENT_KEYSYM_TAP, .keysym = 'A'};
	input_event(&f.a, &tap);
	check_log(&f, "key 42 down\nkey 30 down\nkey 42 up\nkey 30 up\n");
	tap.keysym = '1';
	tap.modifiers = WS_MOD_CTRL | WS_MOD_ALT;
	input_event(&f.a, &tap);
	check_log(&f, "key 29 down\nkey 56 down\nkey 2 down\nkey 2 up\nkey 56 up\nkey 29 up\n");
	tap.keysym = 0x01004E2D; /* no key of this layout */
	tap.modifiers = 0;
	input_event(&f.a, &tap);
	check_log(&f, "");
	teardown(&f);
}

TEST(german_layout) {
	struct keysyms *k;
	struct keysym_key key;
	check_int(setenv("XKB_DEFAULT_LAYOUT", "de", 1), ==, 0);
	check_ok(keysyms_create(&k));
	check_ok(keysyms_find(k, 'z', &key));
	check_int(key.code, ==, KEY_Y);
	check_ok(keysyms_find(k, '@', &key));
	check_int(key.code, ==, KEY_Q);
	check(key.altgr && !key.shift);
	check_ok(keysyms_find(k, 0xE4, &key)); /* adiaeresis */
	check_int(key.code, ==, KEY_APOSTROPHE);
	check_ok(keysyms_find(k, 0x010020AC, &key)); /* the euro, by its code point */
	check_int(key.code, ==, KEY_E);
	check_ok(keysyms_find(k, 0xFF0D, &key)); /* Return */
	check_int(key.code, ==, KEY_ENTER);
	check_int(keysyms_find(k, 0xFFFFFFFF, &key), ==, -ENOENT);
	keysyms_destroy(k);
}

static int parse_line(const char *text, struct ws_event *e) {
	return input_line_parse(text, strlen(text), 1000, 500, e);
}

TEST(lines) {
	struct ws_event e;
	check_ok(parse_line(
		"{\"type\":\"mouse_move_abs\",\"x\":250,\"y\":250.0,\"stream\":\"/x\"}", &e));
	check(e.kind == WS_EVENT_ABSOLUTE && e.x == 0.25 && e.y == 0.5);
	check_ok(parse_line("{\"type\":\"button\",\"button\":273,\"state\":true}", &e));
	check(e.kind == WS_EVENT_BUTTON && e.code == BTN_RIGHT && e.down);
	check_ok(parse_line("{\"type\":\"scroll\",\"dx\":0,\"dy\":2}", &e));
	check(e.kind == WS_EVENT_SCROLL && e.dy == 30 && e.wheel);
	check_ok(parse_line("{\"type\":\"scroll_smooth\",\"dx\":1,\"dy\":2}", &e));
	check(e.dx == -1 && e.dy == -2 && !e.wheel);
	check_ok(parse_line("{\"type\":\"touch_motion\",\"slot\":2,\"x\":1,\"y\":1}", &e));
	check(e.kind == WS_EVENT_TOUCH && e.touch == WS_TOUCH_MOVE && e.slot == 2);
	check_ok(parse_line("{\"type\":\"touch_up\",\"slot\":9}", &e));
	static const char *const bad[] = {"", "x", "[]", "{}", "{\"type\":\"key\"}",
		"{\"type\":\"key\",\"keycode\":0}", "{\"type\":\"key\",\"keycode\":272}",
		"{\"type\":\"button\",\"button\":30}", "{\"type\":\"touch_up\",\"slot\":10}",
		"{\"type\":\"touch_up\",\"slot\":-1}",
		"{\"type\":\"mouse_move_rel\",\"dx\":1e9,\"dy\":0}",
		"{\"type\":\"mouse_move_abs\",\"x\":\"1\",\"y\":1}"};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (parse_line(bad[i], &e) != -EBADMSG) {
			fail("%s", bad[i]);
		}
	}
}

/* Rather none than a wrong one. */
TEST(lines_of_a_desktop_whose_size_is_not_known) {
	static const char move[] = "{\"type\":\"mouse_move_abs\",\"x\":250,\"y\":250}";
	static const char key[] = "{\"type\":\"key\",\"keycode\":30,\"state\":true}";
	struct ws_event e;
	check_int(input_line_parse(move, strlen(move), 0, 0, &e), ==, -EBADMSG);
	check_ok(input_line_parse(key, strlen(key), 0, 0, &e));
}
