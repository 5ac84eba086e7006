/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Input through the input manager, a real one on devices that are pipes (fake-devices.h). */
#include <fcntl.h>
#include <linux/input.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "fake-devices.h"
#include "input-client.h"
#include "input-manager.h"
#include "input/backend.h"
#include "input/input.h"
#include "log.h"
#include "test.h"
#include "util.h"

#define WAIT_MS 10000

struct setup {
	struct manager m;
	char dir[64], socket[96], token_path[96];
	int quit_fd;
	pthread_t thread;
	struct input_set set;
	sd_event *loop;
	struct input *input;
	struct input_client client;
};

static int handle_quit(sd_event_source *source, int fd, uint32_t events, void *data) {
	return sd_event_exit(sd_event_source_get_event(source), 0);
}

static void *run_manager(void *data) {
	struct setup *s = data;
	check_ok(sd_event_loop(s->m.loop));
	manager_finish(&s->m);
	return NULL;
}

static void start_manager(struct setup *s) {
	sd_event *loop;
	*s = (struct setup){
		.dir = "/tmp/helix-input-XXXXXX",
		.m.config =
			{
				.max_connections = 8,
				.max_peer_connections = 8,
				.max_sets = 2,
				.max_peer_sets = 2,
				.read_timeout_ns = NSEC_PER_SEC,
				.node_timeout_ms = 1000,
			},
	};
	check(mkdtemp(s->dir));
	(void)snprintf(s->socket, sizeof(s->socket), "%s/input.sock", s->dir);
	(void)snprintf(s->token_path, sizeof(s->token_path), "%s/token", s->dir);
	s->m.config.socket = s->socket;
	s->quit_fd = eventfd(0, EFD_CLOEXEC);
	check_ok(sd_event_new(&loop));
	check_ok(sd_event_add_io(loop, NULL, s->quit_fd, EPOLLIN, handle_quit, NULL));
	log_set_level(LOG_LEVEL_ERROR);
	manager_init(&s->m);
	check_ok(manager_start(&s->m, loop));
	sd_event_unref(loop);
	check_int(pthread_create(&s->thread, NULL, run_manager, s), ==, 0);
}

static void write_token(struct setup *s) {
	FILE *f = fopen(s->token_path, "we");
	check(f);
	for (unsigned i = 0; i < INPUT_TOKEN_SIZE; i++) {
		check(fprintf(f, "%02x", s->set.token[i]) == 2);
	}
	check_int(fclose(f), ==, 0);
}

static void start_input(struct setup *s) {
	struct input_backend *backend;
	check_ok(sd_event_new(&s->loop));
	check_ok(input_uinput_create(s->loop, s->socket, s->token_path, &backend));
	check_ok(input_create(s->loop, backend, &s->input));
	input_join(s->input, &s->client);
}

static void run_until(struct setup *s, bool ready) {
	struct input_backend *b = input_backend(s->input);
	for (unsigned ms = 0; b->ops->ready(b) != ready; ms += 10) {
		check_int(ms, <, WAIT_MS);
		check_ok(sd_event_run(s->loop, 10000));
	}
}

static void stop(struct setup *s) {
	char command[96];
	input_leave(&s->client);
	input_destroy(s->input);
	sd_event_unref(s->loop);
	input_set_finish(&s->set);
	check_int(eventfd_write(s->quit_fd, 1), ==, 0);
	check_int(pthread_join(s->thread, NULL), ==, 0);
	(void)close(s->quit_fd);
	(void)snprintf(command, sizeof(command), "rm -rf %s", s->dir);
	check_int(system(command), ==, 0);
}

static void make_set(struct setup *s) {
	struct input_wish wish = {.socket = s->socket, .name = "desk", .timeout_ms = WAIT_MS};
	check_ok(input_set_create(&wish, &s->set, NULL));
	write_token(s);
}

/* As text: "1:30=1", "|" for the end of a report. */
static void expect_events(struct setup *s, enum input_kind kind, const char *want) {
	char got[512] = "";
	while (strlen(got) < strlen(want)) {
		struct input_event e;
		struct pollfd p = {.fd = s->set.devices[kind].fd, .events = POLLIN};
		size_t n = strlen(got);
		if (poll(&p, 1, WAIT_MS) != 1) {
			fail("'%s' and no more", got);
		}
		check_int(read(p.fd, &e, sizeof(e)), ==, sizeof(e));
		(void)snprintf(got + n, sizeof(got) - n, e.type == EV_SYN ? "%s|" : "%s%u:%u=%d",
			n ? " " : "", e.type, e.code, e.value);
	}
	check_str(got, want);
}

static void event(struct setup *s, struct ws_event e) {
	input_event(&s->client, &e);
}

/* So that programs know of the pointer when somebody clicks. */
#define FIRST_MOVES "2:0=1 2:1=0 | 2:0=-1 2:1=0 |"

/* The pointer is moved before there is a way for others to do so; what they do waits meanwhile. */
TEST(first_click_is_not_lost) {
	struct setup s;
	start_manager(&s);
	make_set(&s);
	start_input(&s);
	event(&s, (struct ws_event){.kind = WS_EVENT_ABSOLUTE, .x = 1, .y = 0.5});
	event(&s, (struct ws_event){.kind = WS_EVENT_BUTTON, .code = BTN_LEFT, .down = true});
	event(&s, (struct ws_event){.kind = WS_EVENT_BUTTON, .code = BTN_LEFT});
	check_ok(sd_event_run(s.loop, WAIT_MS * 1000));
	expect_events(&s, INPUT_POINTER, FIRST_MOVES);
	check(!input_backend(s.input)->ops->ready(input_backend(s.input)));
	run_until(&s, true);
	check_ok(sd_event_run(s.loop, 0));
	expect_events(&s, INPUT_POINTER, "3:0=65535 3:1=32768 1:272=1 | 1:272=0 |");
	stop(&s);
}

TEST(events_reach_the_devices) {
	struct setup s;
	start_manager(&s);
	make_set(&s);
	start_input(&s);
	run_until(&s, true);
	event(&s, (struct ws_event){.kind = WS_EVENT_KEY, .code = KEY_A, .down = true});
	event(&s, (struct ws_event){.kind = WS_EVENT_KEYSYM_TAP, .keysym = 'B'});
	event(&s, (struct ws_event){.kind = WS_EVENT_ABSOLUTE, .x = 1, .y = 0.5});
	event(&s, (struct ws_event){.kind = WS_EVENT_BUTTON, .code = BTN_LEFT, .down = true});
	event(&s,
		(struct ws_event){.kind = WS_EVENT_TOUCH, .touch = WS_TOUCH_DOWN, .x = 0, .y = 1});
	expect_events(&s, INPUT_KEYBOARD, "1:30=1 | 1:42=1 | 1:48=1 | 1:42=0 | 1:48=0 |");
	expect_events(&s, INPUT_POINTER, FIRST_MOVES " 3:0=65535 3:1=32768 1:272=1 |");
	expect_events(&s, INPUT_TOUCH, "3:47=0 3:47=0 3:57=0 3:53=0 3:54=65535 1:330=1 |");
	input_leave(&s.client);
	expect_events(&s, INPUT_KEYBOARD, "1:30=0 |");
	expect_events(&s, INPUT_POINTER, "1:272=0 |");
	stop(&s);
}

/* A notch of 15 is 120; parts of units come together. */
TEST(scrolling) {
	struct setup s;
	start_manager(&s);
	make_set(&s);
	start_input(&s);
	run_until(&s, true);
	event(&s, (struct ws_event){.kind = WS_EVENT_SCROLL, .dy = 15});
	expect_events(&s, INPUT_POINTER, FIRST_MOVES " 2:11=-120 2:8=-1 |");
	for (unsigned i = 0; i < 4; i++) {
		event(&s, (struct ws_event){.kind = WS_EVENT_SCROLL, .dy = 0.03125});
	}
	expect_events(&s, INPUT_POINTER, "2:11=-1 |");
	stop(&s);
}

/* The set is made after the bridge started, ends, and is made again. */
TEST_TIMEOUT(the_set_comes_and_goes, 60) {
	struct setup s;
	start_manager(&s);
	start_input(&s);
	check_ok(sd_event_run(s.loop, 10000));
	make_set(&s);
	run_until(&s, true);
	input_set_finish(&s.set);
	run_until(&s, false);
	make_set(&s);
	run_until(&s, true);
	event(&s, (struct ws_event){.kind = WS_EVENT_KEY, .code = KEY_B, .down = true});
	expect_events(&s, INPUT_KEYBOARD, "1:48=1 |");
	stop(&s);
}
