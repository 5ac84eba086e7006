/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The clipboard by ext-data-control-v1, seen from a compositor of the test's own, which does what a real one
 * may, and what none should.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <wayland-server.h>

#include "clipboard-rig.h"
#include "clipboard/data-control.h"
#include "ext-data-control-v1-server-protocol.h"
#include "wlr-data-control-unstable-v1-server-protocol.h"

#define TYPES_MAX 8u
#define TYPE_SIZE 96u
#define PASTERS   100u

struct fake {
	char dir[64];
	sd_event *loop;
	sd_event_source *io;
	struct wl_display *display;
	struct wl_resource *device, *source; /* NULL without */
	char types[TYPES_MAX][TYPE_SIZE];    /* of the source that is being made */
	unsigned n_types, devices, old_devices;
	unsigned offers;   /* that the bridge has not destroyed */
	bool silent;       /* tells nothing of the first selection */
	bool no_echo;      /* nor of one that is set */
	char received[64]; /* type that was asked for last */
	int program;       /* where that is to be written; -1 without */
	struct clipboard_rig rig;
	struct clipboard_backend *backend;
};

static void handle_destroy(struct wl_client *client, struct wl_resource *r) {
	wl_resource_destroy(r);
}

static void forget(struct wl_resource *r) {
	struct fake *f = wl_resource_get_user_data(r);
	f->device = f->device == r ? NULL : f->device;
	f->source = f->source == r ? NULL : f->source;
}

static void receive(struct wl_client *client, struct wl_resource *r, const char *type, int32_t fd) {
	struct fake *f = wl_resource_get_user_data(r);
	(void)snprintf(f->received, sizeof(f->received), "%s", type);
	(void)close_fd(f->program);
	f->program = fd;
}

static void forget_offer(struct wl_resource *r) {
	((struct fake *)wl_resource_get_user_data(r))->offers--;
}

static const struct ext_data_control_offer_v1_interface offer_impl = {
	.receive = receive, .destroy = handle_destroy};

/* An offer of these types, not yet said what of. */
static struct wl_resource *introduce(struct fake *f, const char *const *types, size_t n) {
	struct wl_resource *o = wl_resource_create(
		wl_resource_get_client(f->device), &ext_data_control_offer_v1_interface, 1, 0);
	check(o);
	wl_resource_set_implementation(o, &offer_impl, f, forget_offer);
	f->offers++;
	ext_data_control_device_v1_send_data_offer(f->device, o);
	for (size_t i = 0; i < n; i++) {
		ext_data_control_offer_v1_send_offer(o, types[i]);
	}
	return o;
}

static void select_types(struct fake *f, const char *const *types, size_t n) {
	ext_data_control_device_v1_send_selection(f->device, introduce(f, types, n));
	wl_display_flush_clients(f->display);
}

static void add_type(struct wl_client *client, struct wl_resource *r, const char *type) {
	struct fake *f = wl_resource_get_user_data(r);
	check_int(f->n_types, <, TYPES_MAX);
	(void)snprintf(f->types[f->n_types++], TYPE_SIZE, "%s", type);
}

static const struct ext_data_control_source_v1_interface source_impl = {
	.offer = add_type, .destroy = handle_destroy};

static void create_source(struct wl_client *client, struct wl_resource *r, uint32_t id) {
	struct fake *f = wl_resource_get_user_data(r);
	struct wl_resource *s =
		wl_resource_create(client, &ext_data_control_source_v1_interface, 1, id);
	check(s);
	f->n_types = 0;
	wl_resource_set_implementation(s, &source_impl, f, forget);
}

static void cancel(struct fake *f) {
	if (f->source) {
		ext_data_control_source_v1_send_cancelled(f->source);
		f->source = NULL;
	}
}

/* What the bridge set, told as anybody's. */
static void echo(struct fake *f) {
	const char *types[TYPES_MAX];
	for (unsigned i = 0; i < f->n_types; i++) {
		types[i] = f->types[i];
	}
	select_types(f, types, f->n_types);
}

static void set_selection(
	struct wl_client *client, struct wl_resource *r, struct wl_resource *source) {
	struct fake *f = wl_resource_get_user_data(r);
	cancel(f);
	f->source = source;
	if (!f->no_echo) {
		echo(f);
	}
}

static const struct ext_data_control_device_v1_interface device_impl = {
	.set_selection = set_selection,
	.destroy = handle_destroy,
	.set_primary_selection = set_selection,
};

static void get_device(
	struct wl_client *client, struct wl_resource *r, uint32_t id, struct wl_resource *seat) {
	struct fake *f = wl_resource_get_user_data(r);
	f->device = wl_resource_create(client, &ext_data_control_device_v1_interface, 1, id);
	check(f->device);
	wl_resource_set_implementation(f->device, &device_impl, f, forget);
	f->devices++;
	if (!f->silent) {
		ext_data_control_device_v1_send_selection(f->device, NULL);
		ext_data_control_device_v1_send_primary_selection(f->device, NULL);
	}
}

static const struct ext_data_control_manager_v1_interface manager_impl = {
	.create_data_source = create_source,
	.get_data_device = get_device,
	.destroy = handle_destroy,
};

static void bind_manager(struct wl_client *client, void *data, uint32_t version, uint32_t id) {
	struct wl_resource *r =
		wl_resource_create(client, &ext_data_control_manager_v1_interface, 1, id);
	wl_resource_set_implementation(r, &manager_impl, data, NULL);
}

static void get_old_device(
	struct wl_client *client, struct wl_resource *r, uint32_t id, struct wl_resource *seat) {
	((struct fake *)wl_resource_get_user_data(r))->old_devices++;
}

static const struct zwlr_data_control_manager_v1_interface old_manager_impl = {
	.get_data_device = get_old_device,
	.destroy = handle_destroy,
};

static void bind_old_manager(struct wl_client *client, void *data, uint32_t version, uint32_t id) {
	struct wl_resource *r =
		wl_resource_create(client, &zwlr_data_control_manager_v1_interface, 1, id);
	wl_resource_set_implementation(r, &old_manager_impl, data, NULL);
}

static void bind_seat(struct wl_client *client, void *data, uint32_t version, uint32_t id) {
	struct wl_resource *r = wl_resource_create(client, &wl_seat_interface, 1, id);
	static const struct wl_seat_interface impl = {0};
	wl_resource_set_implementation(r, &impl, data, NULL);
}

static int handle_io(sd_event_source *source, int fd, uint32_t revents, void *data) {
	struct fake *f = data;
	(void)wl_event_loop_dispatch(wl_display_get_event_loop(f->display), 0);
	wl_display_flush_clients(f->display);
	return 0;
}

static struct clipboard_state state_of(const struct fake *f) {
	return clipboard_rig_state(&f->rig);
}

static void setup(struct fake *f) {
	f->program = -1;
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/helix-test-XXXXXX");
	check(mkdtemp(f->dir));
	check_int(setenv("XDG_RUNTIME_DIR", f->dir, 1), ==, 0);
	check_int(setenv("WAYLAND_DISPLAY", "wayland-9", 1), ==, 0);
	check_ok(sd_event_new(&f->loop));
	f->display = wl_display_create();
	check(f->display && wl_display_add_socket(f->display, "wayland-9") == 0);
	/* The older one is told first, and between the two what both need. */
	check(wl_global_create(f->display, &zwlr_data_control_manager_v1_interface, 2, f,
		      bind_old_manager) &&
		wl_global_create(f->display, &wl_seat_interface, 1, f, bind_seat) &&
		wl_global_create(
			f->display, &ext_data_control_manager_v1_interface, 1, f, bind_manager));
	check_ok(sd_event_add_io(f->loop, &f->io,
		wl_event_loop_get_fd(wl_display_get_event_loop(f->display)), EPOLLIN, handle_io,
		f));
	check_ok(clipboard_data_control_create(f->loop, &f->backend));
	clipboard_rig_init(&f->rig, f->loop, f->backend);
	RUN_UNTIL(f->loop, state_of(f).available);
}

static void teardown(struct fake *f) {
	char command[96];
	clipboard_rig_finish(&f->rig);
	clipboard_data_control_destroy(f->backend);
	(void)close_fd(f->program);
	sd_event_source_disable_unref(f->io);
	wl_display_destroy_clients(f->display);
	wl_display_destroy(f->display);
	sd_event_unref(f->loop);
	(void)snprintf(command, sizeof(command), "rm -rf %s", f->dir);
	check_int(system(command), ==, 0);
}

/* A program copies, and the bridge knows of it. */
static void copy(struct fake *f, const char *const *types, size_t n) {
	uint32_t generation = state_of(f).generation;
	select_types(f, types, n);
	RUN_UNTIL(f->loop, state_of(f).generation != generation);
}

static void expect_program(struct fake *f, const char *type, const char *text) {
	f->program = close_fd(f->program);
	clipboard_rig_begin_read(&f->rig);
	RUN_UNTIL(f->loop, f->program >= 0);
	check_str(f->received, type);
	check_int(write(f->program, text, strlen(text)), ==, strlen(text));
	f->program = close_fd(f->program);
	RUN_UNTIL(f->loop, f->rig.reads_done > 0);
	clipboard_rig_expect(&f->rig, CLIPBOARD_TEXT, text, strlen(text));
}

/* A program wants what was set: the reading end of its pipe. */
static int want(struct fake *f, const char *type) {
	int fds[2];
	check_int(pipe2(fds, O_CLOEXEC), ==, 0);
	check(f->source);
	ext_data_control_source_v1_send_send(f->source, type, fds[1]);
	wl_display_flush_clients(f->display);
	(void)close(fds[1]);
	check_int(fcntl(fds[0], F_SETFL, O_NONBLOCK), ==, 0);
	return fds[0];
}

static void expect_wanted(struct fake *f, const char *type, const char *text) {
	char got[64];
	ssize_t n = -1;
	int fd = want(f, type);
	RUN_UNTIL(f->loop, (n = read(fd, got, sizeof(got))) >= 0);
	check_int(n, ==, strlen(text));
	check_int(memcmp(got, text, (size_t)n), ==, 0);
	(void)close(fd);
}

TEST(both_ways) {
	static const char *const types[] = {"text/html", "text/plain;charset=utf-8"};
	struct fake f = {0};
	setup(&f);
	check(f.devices == 1 && f.old_devices == 0); /* the newer one of both protocols */
	copy(&f, types, 2);
	check(state_of(&f).text);
	expect_program(&f, types[1], "hello");
	ext_data_control_device_v1_send_primary_selection(f.device, introduce(&f, types, 1));
	wl_display_flush_clients(f.display);
	expect_program(&f, types[1], "hello again"); /* the other selection is another */
	clipboard_rig_set(&f.rig, CLIPBOARD_TEXT, "ours", 4);
	check(f.rig.set_error == 0 && state_of(&f).ours);
	expect_wanted(&f, "text/plain", "ours");
	cancel(&f);
	copy(&f, types, 2);
	check(!state_of(&f).ours && state_of(&f).text);
	expect_program(&f, types[1], "theirs");
	ext_data_control_device_v1_send_selection(f.device, NULL);
	wl_display_flush_clients(f.display);
	RUN_UNTIL(f.loop, !state_of(&f).text);
	teardown(&f);
}

/* One that tells of nothing but what others do. */
TEST(taciturn_compositor) {
	static const char *const types[] = {"UTF8_STRING"};
	struct fake f = {.silent = true, .no_echo = true};
	setup(&f);
	clipboard_rig_set(&f.rig, CLIPBOARD_TEXT, "ours", 4);
	check(f.rig.set_error == 0 && state_of(&f).ours);
	expect_wanted(&f, "UTF8_STRING", "ours");
	cancel(&f);
	copy(&f, types, 1);
	check(!state_of(&f).ours && state_of(&f).text);
	expect_program(&f, "UTF8_STRING", "theirs");
	teardown(&f);
}

/* A clipboard manager that keeps what was set, with all of its types: from then on it is the manager's. */
TEST(clipboard_manager) {
	struct fake f = {0};
	setup(&f);
	clipboard_rig_set(&f.rig, CLIPBOARD_TEXT, "ours", 4);
	cancel(&f);
	uint32_t generation = state_of(&f).generation;
	echo(&f);
	RUN_UNTIL(f.loop, state_of(&f).generation != generation);
	check(!state_of(&f).ours && state_of(&f).text);
	expect_program(&f, "text/plain;charset=utf-8", "ours, kept");
	teardown(&f);
}

/* More types, offers and pipes than there is reason for. */
TEST(floods) {
	static const char *const types[] = {"text/plain"};
	struct fake f = {0};
	char many[300][TYPE_SIZE];
	const char *names[300];
	int fds[PASTERS];
	size_t size = CLIPBOARD_TEXT_MAX;
	char *text = malloc(size);
	setup(&f);
	for (unsigned i = 0; i < 300; i++) {
		(void)snprintf(many[i], TYPE_SIZE, "x/%0*u", i % 2 ? 10 : 90, i);
		names[i] = i == 100 ? "text/plain" : many[i];
	}
	copy(&f, names, 300);
	check(state_of(&f).text);
	expect_program(&f, "text/plain", "among them");
	for (unsigned i = 0; i < 200; i++) {
		(void)introduce(&f, types, 1);
		wl_display_flush_clients(f.display);
		check_ok(sd_event_run(f.loop, 1000));
	}
	copy(&f, types, 1);
	expect_program(&f, "text/plain", "the newest");
	RUN_UNTIL(f.loop, f.offers <= 4);
	memset(text, 'x', size);
	clipboard_rig_set(&f.rig, CLIPBOARD_TEXT, text, size);
	unsigned open_before = clipboard_rig_fds();
	for (unsigned i = 0; i < PASTERS; i++) {
		fds[i] = want(&f, "text/plain"); /* and none of them reads */
		check_ok(sd_event_run(f.loop, 1000));
	}
	struct clipboard_stats stats = {0};
	for (unsigned i = 0; i < 1000 && stats.served_failed < PASTERS - 32; i++) {
		check_ok(sd_event_run(f.loop, 10000));
		clipboard_get_stats(f.rig.clipboard, &stats);
	}
	check_int(stats.served_failed, ==, PASTERS - 32); /* so many at once */
	check_int(clipboard_rig_fds(), ==, open_before + PASTERS + 32);
	for (unsigned i = 0; i < PASTERS; i++) {
		(void)close(fds[i]);
	}
	RUN_UNTIL(f.loop, clipboard_rig_fds() == open_before);
	free(text);
	teardown(&f);
}

/* The seat goes: what was set is offered anew as soon as there is one. */
TEST(seat_goes) {
	struct fake f = {0};
	setup(&f);
	clipboard_rig_set(&f.rig, CLIPBOARD_TEXT, "kept", 4);
	ext_data_control_device_v1_send_finished(f.device);
	wl_display_flush_clients(f.display);
	RUN_UNTIL(f.loop, !state_of(&f).available);
	RUN_UNTIL(f.loop, state_of(&f).ours);
	check_int(f.devices, ==, 2);
	expect_wanted(&f, "text/plain", "kept");
	teardown(&f);
}
