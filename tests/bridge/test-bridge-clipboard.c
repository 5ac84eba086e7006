/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The clipboard, seen from a service that behaves as that of Mutter's remote desktop sessions does, on a
 * bus of the test's own: one reading pipe at a time, pipes for what programs want, and programs that do
 * what they should not.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "clipboard/clipboard.h"
#include "input/backend.h"
#include "session-bus.h"
#include "test.h"
#include "util.h"

#define SESSION   "/rd/session"
#define INTERFACE "org.gnome.Mutter.RemoteDesktop.Session"

struct fake {
	pid_t daemon;
	sd_event *loop;
	sd_bus *bus;
	struct input_backend *input;
	struct clipboard *clipboard;
	unsigned sessions, enabled, selections, writes, done_well, done_badly;
	bool refuse;        /* SetSelection fails */
	char read_type[64]; /* of the last SelectionRead */
	int program;        /* the program's end of the pipe that is read here; -1 without */
	int pasted;         /* reading end of what a program wants */
	/* Of the bridge's side. */
	unsigned reads_done, sets_done, told;
	int error, set_error;
	struct clipboard_content *got; // may be NULL
	struct clipboard_watcher watcher;
};

static int create_rd(sd_bus_message *m, void *data, sd_bus_error *error) {
	struct fake *f = data;
	f->sessions++;
	return sd_bus_reply_method_return(m, "o", SESSION);
}

/* As without PipeWire: the session does without a stream. */
static int create_sc(sd_bus_message *m, void *data, sd_bus_error *error) {
	return sd_bus_reply_method_return(m, "o", "/sc/session");
}

static int record_monitor(sd_bus_message *m, void *data, sd_bus_error *error) {
	return sd_bus_reply_method_return(m, "o", "/sc/stream");
}

static int get_id(sd_bus *bus, const char *path, const char *interface, const char *property,
	sd_bus_message *reply, void *data, sd_bus_error *error) {
	return sd_bus_message_append(reply, "s", "id-1");
}

static int accept_call(sd_bus_message *m, void *data, sd_bus_error *error) {
	return sd_bus_reply_method_return(m, "");
}

static int enable(sd_bus_message *m, void *data, sd_bus_error *error) {
	((struct fake *)data)->enabled++;
	return sd_bus_reply_method_return(m, "");
}

/* Types in the form that Mutter has for them; NULL: nobody owns it. */
static void emit_owner(struct fake *f, const char *type, bool own) {
	int r = type ? sd_bus_emit_signal(f->bus, SESSION, INTERFACE, "SelectionOwnerChanged",
			       "a{sv}", 2, "mime-types", "(as)", 2, "text/html", type,
			       "session-is-owner", "b", own)
		     : sd_bus_emit_signal(
			       f->bus, SESSION, INTERFACE, "SelectionOwnerChanged", "a{sv}", 0);
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

#define METHOD(name, in, out, f) SD_BUS_METHOD(name, in, out, f, SD_BUS_VTABLE_UNPRIVILEGED)
static const sd_bus_vtable rd[] = {
	SD_BUS_VTABLE_START(0), METHOD("CreateSession", "", "o", create_rd), SD_BUS_VTABLE_END};
static const sd_bus_vtable sc[] = {SD_BUS_VTABLE_START(0),
	METHOD("CreateSession", "a{sv}", "o", create_sc), SD_BUS_VTABLE_END};
static const sd_bus_vtable sc_session[] = {SD_BUS_VTABLE_START(0),
	METHOD("RecordMonitor", "sa{sv}", "o", record_monitor), SD_BUS_VTABLE_END};
static const sd_bus_vtable rd_session[] = {SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("SessionId", "s", get_id, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	METHOD("Start", "", "", accept_call),
	METHOD("NotifyKeyboardKeycode", "ub", "", accept_call),
	METHOD("EnableClipboard", "a{sv}", "", enable),
	METHOD("SetSelection", "a{sv}", "", set_selection),
	METHOD("SelectionRead", "s", "h", selection_read),
	METHOD("SelectionWrite", "u", "h", selection_write),
	METHOD("SelectionWriteDone", "ub", "", selection_write_done),
	SD_BUS_SIGNAL("SelectionOwnerChanged", "a{sv}", 0),
	SD_BUS_SIGNAL("SelectionTransfer", "su", 0), SD_BUS_SIGNAL("Closed", "", 0),
	SD_BUS_VTABLE_END};

static void open_service(struct fake *f) {
	check_ok(sd_bus_open_user(&f->bus));
	check_ok(sd_bus_attach_event(f->bus, f->loop, 0));
	check_ok(sd_bus_add_object_vtable(f->bus, NULL, "/org/gnome/Mutter/RemoteDesktop",
		"org.gnome.Mutter.RemoteDesktop", rd, f));
	check_ok(sd_bus_add_object_vtable(f->bus, NULL, "/org/gnome/Mutter/ScreenCast",
		"org.gnome.Mutter.ScreenCast", sc, f));
	check_ok(sd_bus_add_object_vtable(
		f->bus, NULL, "/sc/session", "org.gnome.Mutter.ScreenCast.Session", sc_session, f));
	check_ok(sd_bus_add_object_vtable(f->bus, NULL, SESSION, INTERFACE, rd_session, f));
	check_ok(sd_bus_request_name(f->bus, "org.gnome.Mutter.ScreenCast", 0));
	check_ok(sd_bus_request_name(f->bus, "org.gnome.Mutter.RemoteDesktop", 0));
}

static void handle_changed(struct clipboard_watcher *w) {
	container_of(w, struct fake, watcher)->told++;
}

/* Runs the loop until `condition` holds. */
#define RUN_UNTIL(f, condition)                                     \
	do {                                                        \
		uint64_t end = now_ns() + 30 * NSEC_PER_SEC;        \
		while (!(condition)) {                              \
			check_int(now_ns(), <, end);                \
			check_ok(sd_event_run((f)->loop, 1000000)); \
		}                                                   \
	} while (0)

static struct clipboard_state state_of(const struct fake *f) {
	struct clipboard_state state;
	clipboard_get_state(f->clipboard, &state);
	return state;
}

static void setup(struct fake *f) {
	*f = (struct fake){.program = -1, .pasted = -1};
	(void)signal(SIGPIPE, SIG_IGN);
	f->daemon = session_bus_start();
	check_ok(sd_event_new(&f->loop));
	open_service(f);
	check_ok(input_mutter_create(f->loop, &f->input));
	check_ok(clipboard_create(f->loop, f->input->ops->clipboard(f->input), &f->clipboard));
	check(!state_of(f).available);
	f->watcher.changed = handle_changed;
	clipboard_watch(f->clipboard, &f->watcher);
	RUN_UNTIL(f, state_of(f).available);
}

static void teardown(struct fake *f) {
	clipboard_destroy(f->clipboard);
	f->input->ops->destroy(f->input);
	clipboard_content_unref(f->got);
	(void)close_fd(f->program);
	(void)close_fd(f->pasted);
	(void)sd_bus_flush(f->bus);
	(void)sd_bus_detach_event(f->bus);
	sd_bus_close_unref(f->bus);
	sd_event_unref(f->loop);
	(void)kill(f->daemon, SIGTERM);
	(void)waitpid(f->daemon, NULL, 0);
}

static void handle_read(void *data, int error, struct clipboard_content *content) {
	struct fake *f = data;
	f->reads_done++;
	f->error = error;
	clipboard_content_unref(f->got);
	f->got = content ? clipboard_content_ref(content) : NULL;
}

static void handle_set(void *data, int error) {
	struct fake *f = data;
	f->sets_done++;
	f->set_error = error;
}

static void begin_read(struct fake *f) {
	f->reads_done = 0;
	f->program = close_fd(f->program);
	clipboard_read(f->clipboard, handle_read, f);
}

/* A program writes this much of `data` while it is read, then closes its end. */
static void supply(struct fake *f, const void *data, size_t size) {
	size_t at = 0;
	RUN_UNTIL(f, f->program >= 0);
	while (at < size && f->reads_done == 0) {
		ssize_t n = write(f->program, (const char *)data + at, size - at);
		check(n > 0 || errno == EAGAIN || errno == EPIPE);
		at += n > 0 ? (size_t)n : 0;
		check_ok(sd_event_run(f->loop, 1000));
	}
	f->program = close_fd(f->program);
	RUN_UNTIL(f, f->reads_done > 0);
}

static void set(struct fake *f, enum clipboard_kind kind, const void *data, size_t size) {
	struct clipboard_content *content;
	uint8_t *copy = malloc(size);
	check(copy);
	memcpy(copy, data, size);
	check_ok(clipboard_content_create(kind, copy, size, &content));
	f->sets_done = 0;
	clipboard_set(f->clipboard, content, handle_set, f);
	clipboard_content_unref(content);
	RUN_UNTIL(f, f->sets_done > 0);
}

/* One red pixel. */
static const uint8_t png[] = {0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00,
	0x0d, 0x49, 0x48, 0x44, 0x52, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x01, 0x08, 0x02,
	0x00, 0x00, 0x00, 0x90, 0x77, 0x53, 0xde, 0x00, 0x00, 0x00, 0x0c, 0x49, 0x44, 0x41, 0x54,
	0x78, 0x9c, 0x63, 0xf8, 0xcf, 0xc0, 0x00, 0x00, 0x03, 0x01, 0x01, 0x00, 0xc9, 0xfe, 0x92,
	0xef, 0x00, 0x00, 0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82};

static void expect_got(
	const struct fake *f, enum clipboard_kind kind, const void *data, size_t size) {
	check_int(f->error, ==, 0);
	check(f->got);
	check_int(f->got->kind, ==, kind);
	check_int(f->got->size, ==, size);
	check_int(memcmp(f->got->data, data, size), ==, 0);
}

TEST(what_programs_copy) {
	struct fake f;
	setup(&f);
	begin_read(&f);
	check_int(f.reads_done, ==, 1); /* nothing, and that is known */
	check(f.error == 0 && !f.got);
	uint32_t generation = state_of(&f).generation;
	f.told = 0;
	emit_owner(&f, "text/plain;charset=utf-8", false);
	RUN_UNTIL(&f, f.told > 0);
	check(state_of(&f).text && !state_of(&f).image && !state_of(&f).ours);
	check(state_of(&f).generation != generation);
	begin_read(&f);
	supply(&f, "hello\0more", 10);
	check_str(f.read_type, "text/plain;charset=utf-8");
	expect_got(&f, CLIPBOARD_TEXT, "hello", 5);
	emit_owner(&f, "image/png", false);
	RUN_UNTIL(&f, state_of(&f).image);
	begin_read(&f);
	supply(&f, png, sizeof(png));
	check_str(f.read_type, "image/png");
	expect_got(&f, CLIPBOARD_IMAGE, png, sizeof(png));
	emit_owner(&f, NULL, false);
	RUN_UNTIL(&f, !state_of(&f).image);
	teardown(&f);
}

/* What is too much or something else fails, and the next one does not. */
TEST(programs_that_lie) {
	struct fake f;
	size_t size = CLIPBOARD_TEXT_MAX + 4096;
	char *big = malloc(size);
	uint8_t broken[sizeof(png)];
	setup(&f);
	emit_owner(&f, "UTF8_STRING", false);
	RUN_UNTIL(&f, state_of(&f).text);
	memset(big, 'a', size);
	begin_read(&f);
	supply(&f, big, size);
	check_int(f.error, ==, -EFBIG);
	begin_read(&f);
	supply(&f, big, CLIPBOARD_TEXT_MAX);
	expect_got(&f, CLIPBOARD_TEXT, big, CLIPBOARD_TEXT_MAX);
	static const char *const bad[] = {
		"a\xFF", "\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xE2\x82"};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		begin_read(&f);
		supply(&f, bad[i], strlen(bad[i]));
		check_int(f.error, ==, -EBADMSG);
	}
	emit_owner(&f, "image/png", false);
	RUN_UNTIL(&f, state_of(&f).image);
	for (size_t i = 0; i < sizeof(png); i++) {
		memcpy(broken, png, sizeof(png));
		broken[i] ^= 0x10;
		begin_read(&f);
		supply(&f, broken, sizeof(png));
		check(f.error == -EBADMSG || f.error == -EFBIG);
		begin_read(&f);
		supply(&f, png, i);
		check_int(f.error, ==, -EBADMSG);
	}
	free(big);
	teardown(&f);
}

/* A program that never gives anything: others are served meanwhile, and it is left after a time. */
TEST_TIMEOUT(programs_that_hang, 60) {
	struct fake f;
	setup(&f);
	emit_owner(&f, "text/plain", false);
	RUN_UNTIL(&f, state_of(&f).text);
	begin_read(&f);
	RUN_UNTIL(&f, f.program >= 0);
	uint64_t begin = now_ns();
	RUN_UNTIL(&f, f.reads_done > 0);
	check_int(f.error, ==, -ETIMEDOUT);
	check_int(now_ns() - begin, <, 12 * NSEC_PER_SEC);
	check(write(f.program, "x", 1) < 0 && errno == EPIPE); /* nobody is there any more */
	/* Another program takes the clipboard while one is waited for. */
	begin_read(&f);
	RUN_UNTIL(&f, f.program >= 0);
	int hanging = f.program;
	f.program = -1;
	emit_owner(&f, "text/plain", false);
	supply(&f, "quick", 5);
	expect_got(&f, CLIPBOARD_TEXT, "quick", 5);
	(void)close_fd(hanging);
	/* Only so many wait. */
	begin_read(&f);
	for (unsigned i = 0; i < 15; i++) {
		clipboard_read(f.clipboard, handle_read, &f);
	}
	check_int(f.reads_done, ==, 0);
	clipboard_read(f.clipboard, handle_read, &f);
	check_int(f.reads_done, ==, 1);
	check_int(f.error, ==, -EBUSY);
	RUN_UNTIL(&f, f.program >= 0);
	f.program = close_fd(f.program); /* it died: what came is all there was */
	RUN_UNTIL(&f, f.reads_done == 17);
	check_int(f.error, ==, 0);
	check_int(f.got->size, ==, 0);
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
		check_ok(sd_event_run(f->loop, 1000));
	}
}

static void want(struct fake *f, const char *type, uint32_t serial) {
	unsigned before = f->writes;
	check_ok(sd_bus_emit_signal(
		f->bus, SESSION, INTERFACE, "SelectionTransfer", "su", type, serial));
	RUN_UNTIL(f, f->writes > before);
}

TEST(what_viewers_set) {
	struct fake f;
	uint8_t *to = malloc(CLIPBOARD_TEXT_MAX);
	char *text = malloc(CLIPBOARD_TEXT_MAX);
	memset(text, 'b', CLIPBOARD_TEXT_MAX);
	setup(&f);
	set(&f, CLIPBOARD_TEXT, text, CLIPBOARD_TEXT_MAX);
	check_int(f.set_error, ==, 0);
	check(state_of(&f).ours && state_of(&f).text);
	want(&f, "text/plain", 7);
	check_int(drain(&f, to, CLIPBOARD_TEXT_MAX), ==, CLIPBOARD_TEXT_MAX);
	check_int(memcmp(to, text, CLIPBOARD_TEXT_MAX), ==, 0);
	RUN_UNTIL(&f, f.done_well == 1);
	begin_read(&f); /* without asking Mutter, which would refuse */
	expect_got(&f, CLIPBOARD_TEXT, text, CLIPBOARD_TEXT_MAX);
	want(&f, "image/png", 8); /* not offered */
	RUN_UNTIL(&f, f.done_badly == 1);
	check_int(drain(&f, to, 10), ==, 0);
	want(&f, "text/plain", 9); /* and goes away in the middle */
	f.pasted = close_fd(f.pasted);
	RUN_UNTIL(&f, f.done_badly == 2);
	set(&f, CLIPBOARD_IMAGE, png, sizeof(png));
	want(&f, "image/png", 10);
	check_int(drain(&f, to, CLIPBOARD_TEXT_MAX), ==, sizeof(png));
	f.refuse = true;
	set(&f, CLIPBOARD_TEXT, "no", 2);
	check_int(f.set_error, <, 0);
	free(to);
	free(text);
	teardown(&f);
}

/* A new session begins empty: what a viewer set is offered anew, what a program had is not. */
TEST(session_is_closed) {
	struct fake f;
	setup(&f);
	set(&f, CLIPBOARD_TEXT, "kept", 4);
	check_int(f.selections, ==, 1);
	begin_read(&f);
	check_ok(sd_bus_emit_signal(f.bus, SESSION, INTERFACE, "Closed", ""));
	RUN_UNTIL(&f, !state_of(&f).available);
	begin_read(&f);
	check_int(f.error, ==, -ENOTSUP);
	RUN_UNTIL(&f, f.selections == 2 && state_of(&f).ours);
	check_int(f.enabled, ==, 2);
	begin_read(&f);
	expect_got(&f, CLIPBOARD_TEXT, "kept", 4);
	emit_owner(&f, "text/plain", false);
	RUN_UNTIL(&f, !state_of(&f).ours);
	begin_read(&f);
	RUN_UNTIL(&f, f.program >= 0);
	check_ok(sd_bus_emit_signal(f.bus, SESSION, INTERFACE, "Closed", ""));
	RUN_UNTIL(&f, f.reads_done == 1);
	check_int(f.error, ==, -ENOTSUP);
	RUN_UNTIL(&f, f.enabled == 3 && state_of(&f).available);
	check_int(f.selections, ==, 2);
	teardown(&f);
}

/* A program that changes the clipboard all the time: few messages come of it. */
TEST(floods_are_dammed) {
	struct fake f;
	setup(&f);
	RUN_UNTIL(&f, f.told > 0);
	f.told = 0;
	uint32_t generation = state_of(&f).generation;
	uint64_t begin = now_ns();
	for (unsigned i = 0; i < 2000; i++) {
		emit_owner(&f, "text/plain", false);
	}
	RUN_UNTIL(&f, state_of(&f).generation == generation + 2000);
	uint64_t spent = now_ns() - begin;
	check_int(f.told, <=, 2 + spent / (100 * NSEC_PER_MSEC));
	check_int(f.told, >=, spent / (400 * NSEC_PER_MSEC)); /* and not none at all */
	RUN_UNTIL(&f, f.told > 0);
	teardown(&f);
}

static unsigned count_fds(void) {
	unsigned n = 0;
	for (int fd = 0; fd < 1024; fd++) {
		n += fcntl(fd, F_GETFD) >= 0;
	}
	return n;
}

TEST_TIMEOUT(thousand_transfers_leave_nothing, 120) {
	struct fake f;
	uint8_t to[64];
	setup(&f);
	unsigned fds = count_fds();
	for (uint32_t i = 0; i < 500; i++) {
		emit_owner(&f, "text/plain", false);
		RUN_UNTIL(&f, !state_of(&f).ours && state_of(&f).text);
		begin_read(&f);
		supply(&f, "there", 5);
		expect_got(&f, CLIPBOARD_TEXT, "there", 5);
		set(&f, CLIPBOARD_TEXT, "back", 4);
		want(&f, "text/plain", i + 1);
		check_int(drain(&f, to, sizeof(to)), ==, 4);
		f.pasted = close_fd(f.pasted);
	}
	RUN_UNTIL(&f, f.done_well == 500);
	check_int(count_fds(), ==, fds);
	teardown(&f);
}

TEST(no_way_to_it) {
	struct fake f = {.program = -1};
	struct clipboard_content *content;
	check_ok(sd_event_new(&f.loop));
	check_ok(clipboard_create(f.loop, NULL, &f.clipboard));
	check(!state_of(&f).available);
	begin_read(&f);
	check_int(f.error, ==, -ENOTSUP);
	check_ok(clipboard_content_create(CLIPBOARD_TEXT, NULL, 0, &content));
	clipboard_set(f.clipboard, content, handle_set, &f);
	check_int(f.set_error, ==, -ENOTSUP);
	clipboard_content_unref(content);
	clipboard_destroy(f.clipboard);
	sd_event_unref(f.loop);
}
