/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The clipboard, seen from a service that behaves as that of Mutter's remote desktop sessions does, on a
 * bus of the test's own: one reading pipe at a time, pipes for what programs want, and programs that do
 * what they should not.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "clipboard-rig.h"
#include "fake-mutter.h"
#include "input/backend.h"

struct fake {
	struct fake_mutter mutter;
	struct clipboard_rig rig;
	struct input_backend *input;
	unsigned enabled, selections, writes, done_well, done_badly;
	bool refuse;        /* SetSelection fails */
	char read_type[64]; /* of the last SelectionRead */
	int program;        /* the program's end of the pipe that is read here; -1 without */
	int pasted;         /* reading end of what a program wants */
};

static int accept_call(sd_bus_message *m, void *data, sd_bus_error *error) {
	return sd_bus_reply_method_return(m, "");
}

static int enable(sd_bus_message *m, void *data, sd_bus_error *error) {
	((struct fake *)data)->enabled++;
	return sd_bus_reply_method_return(m, "");
}

/* Types in the form that Mutter has for them; NULL: nobody owns it. */
static void emit_owner(struct fake *f, const char *type, bool own) {
	int r = type ? sd_bus_emit_signal(f->mutter.bus, FAKE_SESSION, FAKE_SESSION_INTERFACE,
			       "SelectionOwnerChanged", "a{sv}", 2, "mime-types", "(as)", 2,
			       "text/html", type, "session-is-owner", "b", own)
		     : sd_bus_emit_signal(f->mutter.bus, FAKE_SESSION, FAKE_SESSION_INTERFACE,
			       "SelectionOwnerChanged", "a{sv}", 0);
	check_ok(r);
}

static int set_selection(sd_bus_message *m, void *data, sd_bus_error *error) {
	struct fake *f = data;
	const char *key, *type = "";
	if (f->refuse) {
		return sd_bus_error_set(error, SD_BUS_ERROR_FAILED, "no");
	}
	check_ok(sd_bus_message_enter_container(m, 'a', "{sv}"));
	check_ok(sd_bus_message_enter_container(m, 'e', "sv"));
	check_ok(sd_bus_message_read(m, "s", &key));
	check_str(key, "mime-types");
	check_ok(sd_bus_message_enter_container(m, 'v', "as"));
	check_ok(sd_bus_message_enter_container(m, 'a', "s"));
	check_ok(sd_bus_message_read(m, "s", &type));
	f->selections++;
	emit_owner(f, type, true); /* before the reply, as Mutter does */
	return sd_bus_reply_method_return(m, "");
}

static int selection_read(sd_bus_message *m, void *data, sd_bus_error *error) {
	struct fake *f = data;
	const char *type;
	int fds[2];
	check_ok(sd_bus_message_read(m, "s", &type));
	(void)snprintf(f->read_type, sizeof(f->read_type), "%s", type);
	check_int(pipe2(fds, O_CLOEXEC | O_NONBLOCK), ==, 0);
	(void)close_fd(f->program);
	f->program = fds[1];
	int r = sd_bus_reply_method_return(m, "h", fds[0]);
	(void)close(fds[0]);
	return r;
}

static int selection_write(sd_bus_message *m, void *data, sd_bus_error *error) {
	struct fake *f = data;
	int fds[2];
	f->writes++;
	check_int(pipe2(fds, O_CLOEXEC), ==, 0);
	check_int(fcntl(fds[0], F_SETFL, O_NONBLOCK), ==, 0);
	(void)close_fd(f->pasted);
	f->pasted = fds[0];
	int r = sd_bus_reply_method_return(m, "h", fds[1]);
	(void)close(fds[1]);
	return r;
}

static int selection_write_done(sd_bus_message *m, void *data, sd_bus_error *error) {
	struct fake *f = data;
	uint32_t serial;
	int well;
	check_ok(sd_bus_message_read(m, "ub", &serial, &well));
	f->done_well += well != 0;
	f->done_badly += well == 0;
	return sd_bus_reply_method_return(m, "");
}

static const sd_bus_vtable session[] = {FAKE_MUTTER_SESSION,
	FAKE_METHOD("Start", "", "", accept_call),
	FAKE_METHOD("NotifyKeyboardKeycode", "ub", "", accept_call),
	FAKE_METHOD("EnableClipboard", "a{sv}", "", enable),
	FAKE_METHOD("SetSelection", "a{sv}", "", set_selection),
	FAKE_METHOD("SelectionRead", "s", "h", selection_read),
	FAKE_METHOD("SelectionWrite", "u", "h", selection_write),
	FAKE_METHOD("SelectionWriteDone", "ub", "", selection_write_done),
	SD_BUS_SIGNAL("SelectionOwnerChanged", "a{sv}", 0),
	SD_BUS_SIGNAL("SelectionTransfer", "su", 0), SD_BUS_VTABLE_END};

static struct clipboard_state state_of(const struct fake *f) {
	return clipboard_rig_state(&f->rig);
}

static void setup(struct fake *f) {
	*f = (struct fake){.mutter.vtable = session, .program = -1, .pasted = -1};
	fake_mutter_init(&f->mutter);
	fake_mutter_come(&f->mutter);
	check_ok(input_mutter_create(f->mutter.loop, &f->input));
	clipboard_rig_init(&f->rig, f->mutter.loop, f->input->ops->clipboard(f->input));
	RUN_UNTIL(f->mutter.loop, state_of(f).available);
}

static void teardown(struct fake *f) {
	clipboard_rig_finish(&f->rig);
	f->input->ops->destroy(f->input);
	(void)close_fd(f->program);
	(void)close_fd(f->pasted);
	fake_mutter_finish(&f->mutter);
}

static void begin_read(struct fake *f) {
	f->program = close_fd(f->program);
	clipboard_rig_begin_read(&f->rig);
}

/* A program writes this much of `data` while it is read, then closes its end. */
static void supply(struct fake *f, const void *data, size_t size) {
	size_t at = 0;
	RUN_UNTIL(f->mutter.loop, f->program >= 0);
	while (at < size && f->rig.reads_done == 0) {
		ssize_t n = write(f->program, (const char *)data + at, size - at);
		check(n > 0 || errno == EAGAIN || errno == EPIPE);
		at += n > 0 ? (size_t)n : 0;
		check_ok(sd_event_run(f->mutter.loop, 1000));
	}
	f->program = close_fd(f->program);
	RUN_UNTIL(f->mutter.loop, f->rig.reads_done > 0);
}

TEST(what_programs_copy) {
	struct fake f;
	setup(&f);
	begin_read(&f);
	check_int(f.rig.reads_done, ==, 1); /* nothing, and that is known */
	check(f.rig.error == 0 && !f.rig.got);
	uint32_t generation = state_of(&f).generation;
	f.rig.told = 0;
	emit_owner(&f, "text/plain;charset=utf-8", false);
	/* What there was before may be told first. */
	RUN_UNTIL(f.mutter.loop, f.rig.told > 0 && state_of(&f).text);
	check(state_of(&f).text && !state_of(&f).image && !state_of(&f).ours);
	check(state_of(&f).generation != generation);
	begin_read(&f);
	supply(&f, "hello\0more", 10);
	check_str(f.read_type, "text/plain;charset=utf-8");
	clipboard_rig_expect(&f.rig, CLIPBOARD_TEXT, "hello", 5);
	emit_owner(&f, "image/png", false);
	RUN_UNTIL(f.mutter.loop, state_of(&f).image);
	begin_read(&f);
	supply(&f, clipboard_rig_png, sizeof(clipboard_rig_png));
	check_str(f.read_type, "image/png");
	clipboard_rig_expect(&f.rig, CLIPBOARD_IMAGE, clipboard_rig_png, sizeof(clipboard_rig_png));
	emit_owner(&f, NULL, false);
	RUN_UNTIL(f.mutter.loop, !state_of(&f).image);
	teardown(&f);
}

/* What is too much or something else fails, and the next one does not. */
TEST(programs_that_lie) {
	struct fake f;
	size_t size = CLIPBOARD_TEXT_MAX + 4096;
	char *big = malloc(size);
	uint8_t broken[sizeof(clipboard_rig_png)];
	setup(&f);
	emit_owner(&f, "UTF8_STRING", false);
	RUN_UNTIL(f.mutter.loop, state_of(&f).text);
	memset(big, 'a', size);
	begin_read(&f);
	supply(&f, big, size);
	check_int(f.rig.error, ==, -EFBIG);
	begin_read(&f);
	supply(&f, big, CLIPBOARD_TEXT_MAX);
	clipboard_rig_expect(&f.rig, CLIPBOARD_TEXT, big, CLIPBOARD_TEXT_MAX);
	static const char *const bad[] = {
		"a\xFF", "\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xE2\x82"};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		begin_read(&f);
		supply(&f, bad[i], strlen(bad[i]));
		check_int(f.rig.error, ==, -EBADMSG);
	}
	emit_owner(&f, "image/png", false);
	RUN_UNTIL(f.mutter.loop, state_of(&f).image);
	for (size_t i = 0; i < sizeof(clipboard_rig_png); i++) {
		memcpy(broken, clipboard_rig_png, sizeof(clipboard_rig_png));
		broken[i] ^= 0x10;
		begin_read(&f);
		supply(&f, broken, sizeof(clipboard_rig_png));
		check(f.rig.error == -EBADMSG || f.rig.error == -EFBIG);
		begin_read(&f);
		supply(&f, clipboard_rig_png, i);
		check_int(f.rig.error, ==, -EBADMSG);
	}
	free(big);
	teardown(&f);
}

/* A program that never gives anything: others are served meanwhile, and it is left after a time. */
TEST_TIMEOUT(programs_that_hang, 60) {
	struct fake f;
	setup(&f);
	emit_owner(&f, "text/plain", false);
	RUN_UNTIL(f.mutter.loop, state_of(&f).text);
	begin_read(&f);
	RUN_UNTIL(f.mutter.loop, f.program >= 0);
	uint64_t begin = now_ns();
	RUN_UNTIL(f.mutter.loop, f.rig.reads_done > 0);
	check_int(f.rig.error, ==, -ETIMEDOUT);
	check_int(now_ns() - begin, <, 12 * NSEC_PER_SEC);
	check(write(f.program, "x", 1) < 0 && errno == EPIPE); /* nobody is there any more */
	/* Another program takes the clipboard while one is waited for. */
	begin_read(&f);
	RUN_UNTIL(f.mutter.loop, f.program >= 0);
	int hanging = f.program;
	f.program = -1;
	emit_owner(&f, "text/plain", false);
	supply(&f, "quick", 5);
	clipboard_rig_expect(&f.rig, CLIPBOARD_TEXT, "quick", 5);
	(void)close_fd(hanging);
	/* Only so many wait. */
	begin_read(&f);
	for (unsigned i = 0; i < 15; i++) {
		clipboard_rig_read_more(&f.rig);
	}
	check_int(f.rig.reads_done, ==, 0);
	clipboard_rig_read_more(&f.rig);
	check_int(f.rig.reads_done, ==, 1);
	check_int(f.rig.error, ==, -EBUSY);
	RUN_UNTIL(f.mutter.loop, f.program >= 0);
	f.program = close_fd(f.program); /* it died: what came is all there was */
	RUN_UNTIL(f.mutter.loop, f.rig.reads_done == 17);
	check_int(f.rig.error, ==, 0);
	check_int(f.rig.got->size, ==, 0);
	teardown(&f);
}

/* Drains the program's end until its end of file; the bytes that came. */
static size_t drain(struct fake *f, uint8_t *to, size_t room) {
	size_t at = 0;
	uint64_t end = now_ns() + 20 * NSEC_PER_SEC;
	for (;;) {
		check_int(now_ns(), <, end);
		ssize_t n = read(f->pasted, to + at, room - at);
		if (n == 0) {
			return at;
		}
		check(n > 0 || errno == EAGAIN);
		at += n > 0 ? (size_t)n : 0;
		check_ok(sd_event_run(f->mutter.loop, 1000));
	}
}

static void want(struct fake *f, const char *type, uint32_t serial) {
	unsigned before = f->writes;
	check_ok(sd_bus_emit_signal(f->mutter.bus, FAKE_SESSION, FAKE_SESSION_INTERFACE,
		"SelectionTransfer", "su", type, serial));
	RUN_UNTIL(f->mutter.loop, f->writes > before);
}

TEST(what_viewers_set) {
	struct fake f;
	uint8_t *to = malloc(CLIPBOARD_TEXT_MAX);
	char *text = malloc(CLIPBOARD_TEXT_MAX);
	memset(text, 'b', CLIPBOARD_TEXT_MAX);
	setup(&f);
	clipboard_rig_set(&f.rig, CLIPBOARD_TEXT, text, CLIPBOARD_TEXT_MAX);
	check_int(f.rig.set_error, ==, 0);
	check(state_of(&f).ours && state_of(&f).text);
	want(&f, "text/plain", 7);
	check_int(drain(&f, to, CLIPBOARD_TEXT_MAX), ==, CLIPBOARD_TEXT_MAX);
	check_int(memcmp(to, text, CLIPBOARD_TEXT_MAX), ==, 0);
	RUN_UNTIL(f.mutter.loop, f.done_well == 1);
	begin_read(&f); /* without asking Mutter, which would refuse */
	clipboard_rig_expect(&f.rig, CLIPBOARD_TEXT, text, CLIPBOARD_TEXT_MAX);
	want(&f, "image/png", 8); /* not offered */
	RUN_UNTIL(f.mutter.loop, f.done_badly == 1);
	check_int(drain(&f, to, 10), ==, 0);
	want(&f, "text/plain", 9); /* and goes away in the middle */
	f.pasted = close_fd(f.pasted);
	RUN_UNTIL(f.mutter.loop, f.done_badly == 2);
	clipboard_rig_set(&f.rig, CLIPBOARD_IMAGE, clipboard_rig_png, sizeof(clipboard_rig_png));
	want(&f, "image/png", 10);
	check_int(drain(&f, to, CLIPBOARD_TEXT_MAX), ==, sizeof(clipboard_rig_png));
	f.refuse = true;
	clipboard_rig_set(&f.rig, CLIPBOARD_TEXT, "no", 2);
	check_int(f.rig.set_error, <, 0);
	free(to);
	free(text);
	teardown(&f);
}

/* A new session begins empty: what a viewer set is offered anew, what a program had is not. */
TEST(session_is_closed) {
	struct fake f;
	setup(&f);
	clipboard_rig_set(&f.rig, CLIPBOARD_TEXT, "kept", 4);
	check_int(f.selections, ==, 1);
	begin_read(&f);
	check_ok(sd_bus_emit_signal(
		f.mutter.bus, FAKE_SESSION, FAKE_SESSION_INTERFACE, "Closed", ""));
	RUN_UNTIL(f.mutter.loop, !state_of(&f).available);
	begin_read(&f);
	check_int(f.rig.error, ==, -ENOTSUP);
	RUN_UNTIL(f.mutter.loop, f.selections == 2 && state_of(&f).ours);
	check_int(f.enabled, ==, 2);
	begin_read(&f);
	clipboard_rig_expect(&f.rig, CLIPBOARD_TEXT, "kept", 4);
	emit_owner(&f, "text/plain", false);
	RUN_UNTIL(f.mutter.loop, !state_of(&f).ours);
	begin_read(&f);
	RUN_UNTIL(f.mutter.loop, f.program >= 0);
	check_ok(sd_bus_emit_signal(
		f.mutter.bus, FAKE_SESSION, FAKE_SESSION_INTERFACE, "Closed", ""));
	RUN_UNTIL(f.mutter.loop, f.rig.reads_done == 1);
	check_int(f.rig.error, ==, -ENOTSUP);
	RUN_UNTIL(f.mutter.loop, f.enabled == 3 && state_of(&f).available);
	check_int(f.selections, ==, 2);
	teardown(&f);
}

/* A program that changes the clipboard all the time: few messages come of it. */
TEST(floods_are_dammed) {
	struct fake f;
	setup(&f);
	RUN_UNTIL(f.mutter.loop, f.rig.told > 0);
	f.rig.told = 0;
	uint32_t generation = state_of(&f).generation;
	uint64_t begin = now_ns();
	for (unsigned i = 0; i < 2000; i++) {
		emit_owner(&f, "text/plain", false);
	}
	RUN_UNTIL(f.mutter.loop, state_of(&f).generation == generation + 2000);
	uint64_t spent = now_ns() - begin;
	check_int(f.rig.told, <=, 2 + spent / (100 * NSEC_PER_MSEC));
	check_int(f.rig.told, >=, spent / (400 * NSEC_PER_MSEC)); /* and not none at all */
	RUN_UNTIL(f.mutter.loop, f.rig.told > 0);
	teardown(&f);
}

TEST_TIMEOUT(thousand_transfers_leave_nothing, 120) {
	struct fake f;
	uint8_t to[64];
	setup(&f);
	unsigned fds = clipboard_rig_fds();
	for (uint32_t i = 0; i < 500; i++) {
		emit_owner(&f, "text/plain", false);
		RUN_UNTIL(f.mutter.loop, !state_of(&f).ours && state_of(&f).text);
		begin_read(&f);
		supply(&f, "there", 5);
		clipboard_rig_expect(&f.rig, CLIPBOARD_TEXT, "there", 5);
		clipboard_rig_set(&f.rig, CLIPBOARD_TEXT, "back", 4);
		want(&f, "text/plain", i + 1);
		check_int(drain(&f, to, sizeof(to)), ==, 4);
		f.pasted = close_fd(f.pasted);
	}
	RUN_UNTIL(f.mutter.loop, f.done_well == 500);
	check_int(clipboard_rig_fds(), ==, fds);
	teardown(&f);
}

TEST(no_way_to_it) {
	struct clipboard_rig c;
	sd_event *loop;
	check_ok(sd_event_new(&loop));
	clipboard_rig_init(&c, loop, NULL);
	clipboard_rig_begin_read(&c);
	check_int(c.error, ==, -ENOTSUP);
	clipboard_rig_set(&c, CLIPBOARD_TEXT, "", 0);
	check_int(c.set_error, ==, -ENOTSUP);
	clipboard_rig_finish(&c);
	sd_event_unref(loop);
}
