/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Input into Mutter, seen from a service that behaves as Mutter's remote desktop interface does, on a
 * bus of the test's own. It writes down what it is called with.
 */
#include <linux/input-event-codes.h>
#include <stdio.h>
#include <stdlib.h>

#include "fake-mutter.h"
#include "input/backend.h"
#include "input/early.h"
#include "input/input.h"
#include "test.h"
#include "util.h"

struct fake {
	struct fake_mutter mutter;
	bool no_pipewire;
	char log[8192];
	struct input *input;
	struct input_client client;
};

static void note(struct fake_mutter *m, const char *text) {
	struct fake *f = (struct fake *)m;
	size_t n = strlen(f->log);
	(void)snprintf(f->log + n, sizeof(f->log) - n, "%s\n", text);
}

static int start(sd_bus_message *m, void *data, sd_bus_error *error) {
	struct fake *f = data;
	if (f->no_pipewire && strstr(f->log, "RecordMonitor") && f->mutter.sessions == 1) {
		return sd_bus_error_set(error, "org.freedesktop.DBus.Error.Failed",
			"Couldn't connect pipewire context");
	}
	note(&f->mutter, "Start");
	return sd_bus_reply_method_return(m, "");
}

/* Any Notify…: its name and arguments. */
static int notified(sd_bus_message *m, void *data, sd_bus_error *error) {
	char line[256];
	int n = snprintf(line, sizeof(line), "%s", sd_bus_message_get_member(m));
	char type;
	const char *contents;
	while (sd_bus_message_peek_type(m, &type, &contents) > 0) {
		union {
			uint32_t u;
			int32_t i;
			double d;
			int b;
			const char *s;
		} v;
		check_ok(sd_bus_message_read_basic(m, type, &v));
		size_t left = sizeof(line) - (size_t)n;
		n += type == 'd'      ? snprintf(line + n, left, " %.1f", v.d)
			: type == 's' ? snprintf(line + n, left, " %s", v.s)
				      : snprintf(line + n, left, " %d", v.i);
	}
	note(data, line);
	return sd_bus_reply_method_return(m, "");
}

#define NOTIFY(name, types) FAKE_METHOD(name, types, "", notified)
static const sd_bus_vtable session[] = {FAKE_MUTTER_SESSION, FAKE_METHOD("Start", "", "", start),
	NOTIFY("NotifyKeyboardKeycode", "ub"), NOTIFY("NotifyKeyboardKeysym", "ub"),
	NOTIFY("NotifyPointerButton", "ib"), NOTIFY("NotifyPointerAxis", "ddu"),
	NOTIFY("NotifyPointerMotionAbsolute", "sdd"), NOTIFY("NotifyPointerMotionRelative", "dd"),
	NOTIFY("NotifyTouchDown", "sudd"), NOTIFY("NotifyTouchMotion", "sudd"),
	NOTIFY("NotifyTouchUp", "u"), SD_BUS_VTABLE_END};

static void setup_without_size(struct fake *f, bool with_service) {
	struct input_backend *backend;
	f->mutter.vtable = session;
	f->mutter.note = note;
	fake_mutter_init(&f->mutter);
	if (with_service) {
		fake_mutter_come(&f->mutter);
	}
	check_ok(input_mutter_create(f->mutter.loop, &backend));
	check_ok(input_create(f->mutter.loop, backend, &f->input));
	input_join(f->input, &f->client);
}

static void setup(struct fake *f, bool with_service) {
	setup_without_size(f, with_service);
	input_set_size(f->input, 1000, 500);
}

static void teardown(struct fake *f) {
	input_leave(&f->client);
	input_destroy(f->input);
	fake_mutter_finish(&f->mutter);
}

static void run_until_ready(struct fake *f) {
	struct input_backend *b = input_backend(f->input);
	for (unsigned i = 0; !b->ops->ready(b); i++) {
		check_int(i, <, 2000);
		check_ok(sd_event_run(f->mutter.loop, 10000));
	}
}

static void run_until_log(struct fake *f, const char *end) {
	for (unsigned i = 0;; i++) {
		size_t n = strlen(f->log), k = strlen(end);
		if (n >= k && strcmp(f->log + n - k, end) == 0) {
			return;
		}
		if (i > 1000) {
			fail("Mutter saw '%s'", f->log);
		}
		check_ok(sd_event_run(f->mutter.loop, 10000));
	}
}

static void event(struct fake *f, struct ws_event e) {
	input_event(&f->client, &e);
}

static const char beginning[] = "RemoteDesktop.CreateSession\nScreenCast.CreateSession\n"
				"RecordMonitor\nStart\nNotifyKeyboardKeycode 42 1\n"
				"NotifyPointerMotionRelative 1.0 0.0\n"
				"NotifyKeyboardKeycode 42 0\n"
				"NotifyPointerMotionRelative -1.0 0.0\n";

TEST(all_events) {
	struct fake f = {0};
	setup(&f, true);
	run_until_ready(&f);
	check_str(f.log, beginning);
	f.log[0] = '\0';
	event(&f, (struct ws_event){.kind = WS_EVENT_KEY, .code = KEY_A, .down = true});
	event(&f, (struct ws_event){.kind = WS_EVENT_KEYSYM_TAP, .keysym = 0xE4});
	event(&f, (struct ws_event){.kind = WS_EVENT_ABSOLUTE, .x = 0.5, .y = 0.5});
	event(&f, (struct ws_event){.kind = WS_EVENT_BUTTON, .code = BTN_RIGHT, .down = true});
	event(&f, (struct ws_event){.kind = WS_EVENT_RELATIVE, .dx = 3, .dy = -4});
	event(&f, (struct ws_event){.kind = WS_EVENT_SCROLL, .dy = 15});
	event(&f,
		(struct ws_event){.kind = WS_EVENT_TOUCH, .touch = WS_TOUCH_DOWN, .x = 1, .y = 1});
	event(&f, (struct ws_event){.kind = WS_EVENT_TOUCH, .touch = WS_TOUCH_UP});
	input_leave(&f.client);
	run_until_log(&f,
		"NotifyKeyboardKeycode 30 1\nNotifyKeyboardKeysym 228 1\n"
		"NotifyKeyboardKeysym 228 0\n"
		"NotifyPointerMotionAbsolute /sc/stream1 500.0 250.0\n"
		"NotifyPointerButton 273 1\nNotifyPointerMotionRelative 3.0 -4.0\n"
		"NotifyPointerAxis 0.0 15.0 0\nNotifyTouchDown /sc/stream1 0 999.0 499.0\n"
		"NotifyKeyboardKeycode 30 0\nNotifyPointerButton 273 0\nNotifyTouchUp 0\n"
		"NotifyTouchDown /sc/stream1 0 1000.0 500.0\nNotifyTouchUp 0\n");
	teardown(&f);
}

static void run_for(struct fake *f, uint64_t ns) {
	for (uint64_t end = now_ns() + ns; now_ns() < end;) {
		check_ok(sd_event_run(f->mutter.loop, 10000));
	}
}

static void key(struct fake *f, uint16_t code) {
	event(f, (struct ws_event){.kind = WS_EVENT_KEY, .code = code, .down = true});
	event(f, (struct ws_event){.kind = WS_EVENT_KEY, .code = code});
}

/* What is done before the session is there goes into it, in order. */
TEST(first_key_is_not_lost) {
	struct fake f = {0};
	setup(&f, true);
	key(&f, KEY_A);
	event(&f, (struct ws_event){.kind = WS_EVENT_ABSOLUTE, .x = 0.1, .y = 0.1});
	event(&f, (struct ws_event){.kind = WS_EVENT_ABSOLUTE, .x = 0.5, .y = 0.5});
	event(&f, (struct ws_event){.kind = WS_EVENT_BUTTON, .code = BTN_LEFT, .down = true});
	run_until_log(&f, beginning);
	event(&f, (struct ws_event){.kind = WS_EVENT_KEYSYM_TAP, .keysym = 0xE4});
	run_until_log(&f,
		"NotifyPointerMotionRelative -1.0 0.0\nNotifyKeyboardKeycode 30 1\n"
		"NotifyKeyboardKeycode 30 0\n"
		"NotifyPointerMotionAbsolute /sc/stream1 500.0 250.0\n"
		"NotifyPointerButton 272 1\nNotifyKeyboardKeysym 228 1\n"
		"NotifyKeyboardKeysym 228 0\n");
	input_leave(&f.client);
	run_until_log(&f, "NotifyPointerButton 272 0\n");
	teardown(&f);
}

static void press_in_the_middle(struct fake *f) {
	event(f, (struct ws_event){.kind = WS_EVENT_ABSOLUTE, .x = 0.5, .y = 0.5});
	event(f, (struct ws_event){.kind = WS_EVENT_BUTTON, .code = BTN_LEFT, .down = true});
}

/* A click waits for what its position is made with. */
TEST(size_comes_late) {
	struct fake f = {0};
	setup_without_size(&f, true);
	press_in_the_middle(&f);
	run_until_log(&f, beginning);
	run_for(&f, NSEC_PER_SEC);
	check_str(f.log, beginning);
	input_set_size(f.input, 1280, 720);
	run_until_log(&f,
		"NotifyPointerMotionRelative -1.0 0.0\nNotifyPointerMotionAbsolute /sc/stream1 640.0 360.0\n"
		"NotifyPointerButton 272 1\n");
	teardown(&f);
}

/* Nobody says how large it is: all but positions. */
TEST(size_never_comes) {
	struct fake f = {0};
	setup_without_size(&f, true);
	run_until_ready(&f);
	f.log[0] = '\0';
	press_in_the_middle(&f);
	key(&f, KEY_A);
	run_until_log(&f, "NotifyKeyboardKeycode 30 0\n");
	check(!strstr(f.log, "Absolute"));
	teardown(&f);
}

/* Who comes, types and goes; the key that is held then goes up. */
TEST(who_typed_early_leaves) {
	struct fake f = {0};
	setup(&f, true);
	key(&f, KEY_A);
	event(&f, (struct ws_event){.kind = WS_EVENT_KEY, .code = KEY_B, .down = true});
	input_leave(&f.client);
	run_until_log(&f,
		"NotifyPointerMotionRelative -1.0 0.0\nNotifyKeyboardKeycode 30 1\n"
		"NotifyKeyboardKeycode 30 0\nNotifyKeyboardKeycode 48 1\n"
		"NotifyKeyboardKeycode 48 0\n");
	teardown(&f);
}

/* Mutter comes after the bridge, goes, and comes back. */
TEST(mutter_comes_and_goes) {
	struct fake f = {0};
	setup(&f, false);
	key(&f, KEY_A);
	run_for(&f, EARLY_NS + NSEC_PER_SEC / 5);
	fake_mutter_come(&f.mutter);
	run_until_ready(&f);
	run_for(&f, NSEC_PER_SEC / 5);
	check_str(f.log, beginning); /* what came much too early is not typed later */
	fake_mutter_go(&f.mutter);
	struct input_backend *b = input_backend(f.input);
	for (unsigned i = 0; b->ops->ready(b); i++) {
		check_int(i, <, 500);
		check_ok(sd_event_run(f.mutter.loop, 10000));
	}
	f.log[0] = '\0';
	fake_mutter_come(&f.mutter);
	run_until_ready(&f);
	check_str(f.log, beginning);
	teardown(&f);
}

TEST(session_is_closed) {
	struct fake f = {0};
	setup(&f, true);
	run_until_ready(&f);
	f.log[0] = '\0';
	check_ok(sd_bus_emit_signal(
		f.mutter.bus, FAKE_SESSION, FAKE_SESSION_INTERFACE, "Closed", ""));
	run_until_log(&f, beginning);
	run_until_ready(&f);
	teardown(&f);
}

static void click_in_the_middle(struct fake *f) {
	press_in_the_middle(f);
	event(f, (struct ws_event){.kind = WS_EVENT_BUTTON, .code = BTN_LEFT});
}

/* Mutter closes its streams when the desktop gets another size; a click waits for the new one. */
TEST(another_size) {
	struct fake f = {0};
	setup(&f, true);
	run_until_ready(&f);
	f.log[0] = '\0';
	fake_mutter_change_monitors(&f.mutter, true, false);
	run_until_log(&f, "RecordMonitor\n");
	input_set_size(f.input, 1400, 900);
	click_in_the_middle(&f);
	run_until_log(&f, "NotifyPointerButton 272 0\n");
	check_str(f.log,
		"RecordMonitor\nNotifyPointerMotionAbsolute /sc/stream2 700.0 450.0\n"
		"NotifyPointerButton 272 1\nNotifyPointerButton 272 0\n");

	/* One that stays is kept. */
	f.log[0] = '\0';
	fake_mutter_change_monitors(&f.mutter, false, false);
	run_for(&f, NSEC_PER_SEC / 5);
	click_in_the_middle(&f);
	run_until_log(&f, "NotifyPointerButton 272 0\n");
	check(strstr(f.log, "/sc/stream2") && !strstr(f.log, "RecordMonitor"));

	/* For a while there is no monitor. */
	f.log[0] = '\0';
	fake_mutter_change_monitors(&f.mutter, true, true);
	run_until_log(&f, "RecordMonitor\n");
	run_until_ready(&f);
	key(&f, KEY_A);
	run_until_log(&f, "NotifyKeyboardKeycode 30 0\n");
	fake_mutter_change_monitors(&f.mutter, false, false);
	run_until_log(&f, "RecordMonitor\n");
	click_in_the_middle(&f);
	run_until_log(&f, "NotifyPointerButton 272 0\n");
	check(strstr(f.log, "/sc/stream3"));
	check_int(f.mutter.sessions, ==, 1);
	teardown(&f);
}

static void tap(struct fake *f) {
	event(f,
		(struct ws_event){
			.kind = WS_EVENT_TOUCH, .touch = WS_TOUCH_DOWN, .x = 0.5, .y = 0.5});
	event(f, (struct ws_event){.kind = WS_EVENT_TOUCH, .touch = WS_TOUCH_UP});
}

/* Programs would miss the first touch of a session; so there is one before it, in the corner. */
TEST(first_touch_is_not_lost) {
	struct fake f = {0};
	setup(&f, true);
	run_until_ready(&f);
	f.log[0] = '\0';
	tap(&f);
	key(&f, KEY_A);
	run_until_log(&f, "NotifyKeyboardKeycode 30 0\n");
	check_str(f.log,
		"NotifyTouchDown /sc/stream1 0 999.0 499.0\nNotifyTouchUp 0\n"
		"NotifyTouchDown /sc/stream1 0 500.0 250.0\nNotifyTouchUp 0\n"
		"NotifyKeyboardKeycode 30 1\nNotifyKeyboardKeycode 30 0\n");
	f.log[0] = '\0';
	tap(&f);
	run_until_log(&f, "NotifyTouchUp 0\n");
	check_str(f.log, "NotifyTouchDown /sc/stream1 0 500.0 250.0\nNotifyTouchUp 0\n");
	teardown(&f);
}

/* Without PipeWire Start fails once a monitor is recorded: keys at least. */
TEST(without_pipewire) {
	struct fake f = {.no_pipewire = true};
	setup(&f, true);
	run_until_ready(&f);
	f.log[0] = '\0';
	event(&f, (struct ws_event){.kind = WS_EVENT_ABSOLUTE, .x = 0.5, .y = 0.5});
	event(&f, (struct ws_event){.kind = WS_EVENT_KEY, .code = KEY_A, .down = true});
	run_until_log(&f, "NotifyKeyboardKeycode 30 1\n");
	check_str(f.log, "NotifyKeyboardKeycode 30 1\n");
	teardown(&f);
}

TEST(no_bus_at_all) {
	sd_event *loop;
	struct input_backend *backend;
	check_int(setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent", 1), ==, 0);
	check_ok(sd_event_new(&loop));
	check_ok(input_mutter_create(loop, &backend));
	for (unsigned i = 0; i < 10; i++) {
		check_ok(sd_event_run(loop, 10000));
	}
	check(!backend->ops->ready(backend));
	backend->ops->destroy(backend);
	sd_event_unref(loop);
}
