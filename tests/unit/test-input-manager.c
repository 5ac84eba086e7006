/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The input manager in a thread of its own, on devices that are pipes (fake-devices.h). */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "fake-devices.h"
#include "input-client.h"
#include "input-manager.h"
#include "log.h"
#include "proto/input.h"
#include "test.h"
#include "util.h"

#define WAIT_MS 10000

struct setup {
	struct manager m;
	char dir[64], socket[96];
	int quit_fd;
	pthread_t thread;
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

static void start_with(struct setup *s, const struct manager_config *config) {
	sd_event *loop;
	*s = (struct setup){.m.config = *config, .dir = "/tmp/helix-input-XXXXXX"};
	check(mkdtemp(s->dir));
	(void)snprintf(s->socket, sizeof(s->socket), "%s/input.sock", s->dir);
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

static struct manager_config usual(void) {
	return (struct manager_config){
		.max_connections = 40,
		.max_peer_connections = 30,
		.max_sets = 8,
		.max_peer_sets = 6,
		.read_timeout_ns = 300 * NSEC_PER_MSEC,
		.node_timeout_ms = 1000,
	};
}

static void start(struct setup *s) {
	struct manager_config config = usual();
	start_with(s, &config);
}

/* Nothing is left of any set, whoever still holds it. */
static void stop(struct setup *s) {
	char lock[128];
	check_int(eventfd_write(s->quit_fd, 1), ==, 0);
	check_int(pthread_join(s->thread, NULL), ==, 0);
	(void)close(s->quit_fd);
	check_int(fake_devices.n_live, ==, 0);
	check(access(s->socket, F_OK) < 0);
	(void)snprintf(lock, sizeof(lock), "%s.lock", s->socket);
	(void)unlink(lock);
	check_int(rmdir(s->dir), ==, 0);
}

static int try_create(struct setup *s, struct input_set *ret, char *error) {
	struct input_wish wish = {.socket = s->socket, .name = "desk", .timeout_ms = WAIT_MS};
	return input_set_create(&wish, ret, error);
}

static struct input_set create(struct setup *s) {
	struct input_set set;
	check_ok(try_create(s, &set, NULL));
	return set;
}

static struct input_link attach(struct setup *s, const struct input_set *set) {
	struct input_link link;
	check_ok(input_link_open(&link, s->socket, set->token, WAIT_MS, NULL));
	return link;
}

/* The next event of a device, as text: "1:30=1", "|" for the end of a report. */
static const char *next_event(const struct input_set *set, enum input_kind kind) {
	static char text[64];
	struct input_event e;
	struct pollfd p = {.fd = set->devices[kind].fd, .events = POLLIN};
	check_int(poll(&p, 1, WAIT_MS), ==, 1);
	check_int(read(p.fd, &e, sizeof(e)), ==, sizeof(e));
	(void)snprintf(
		text, sizeof(text), e.type == EV_SYN ? "|" : "%u:%u=%d", e.type, e.code, e.value);
	return text;
}

static void expect_events(const struct input_set *set, enum input_kind kind, const char *want) {
	char got[512] = "";
	while (strlen(got) < strlen(want)) {
		size_t used = strlen(got);
		(void)snprintf(got + used, sizeof(got) - used, "%s%s", used ? " " : "",
			next_event(set, kind));
	}
	check_str(got, want);
}

static void expect_end(int fd) {
	char byte;
	struct pollfd p = {.fd = fd, .events = POLLIN};
	check_int(poll(&p, 1, WAIT_MS), ==, 1);
	check_int(recv(fd, &byte, 1, 0), <=, 0);
}

/* The manager still serves, and whoever watches does not wait. */
static void check_serves(struct setup *s, const struct input_set *set, struct input_link *link) {
	check_ok(input_link_key(link, KEY_ENTER, true));
	check_ok(input_link_key(link, KEY_ENTER, false));
	check_ok(input_link_flush(link));
	expect_events(set, INPUT_KEYBOARD, "1:28=1 | 1:28=0 |");
}

TEST(set_and_link) {
	struct setup s;
	start(&s);
	struct input_set set = create(&s);
	check_int(set.n_devices, ==, 3);
	for (unsigned i = 0; i < 3; i++) {
		const struct input_entry *e = &set.devices[i].about;
		check_int(e->kind, ==, i);
		check_int(e->major, ==, 13);
		check_int(e->minor, ==, 64 + i);
	}
	check_str(set.devices[1].about.sysname, "event1");
	check_str(set.devices[1].about.properties, "ID_INPUT=1\nID_INPUT_MOUSE=1\n");
	struct input_link link = attach(&s, &set);
	check_int(link.kinds, ==, 7);
	check_ok(input_link_move(&link, 1, 2));
	check_ok(input_link_button(&link, BTN_LEFT, true));
	check_ok(input_link_touch(&link, 1, true, 3, 4));
	check_ok(input_link_flush(&link));
	expect_events(&set, INPUT_POINTER, "3:0=1 3:1=2 1:272=1 |");
	expect_events(&set, INPUT_TOUCH, "3:47=0 3:47=1 3:57=0 3:53=3 3:54=4 1:330=1 |");
	check_serves(&s, &set, &link);
	input_link_close(&link);
	expect_events(&set, INPUT_POINTER, "1:272=0 |");
	expect_events(&set, INPUT_TOUCH, "3:47=1 3:57=-1 1:330=0 |");
	input_set_finish(&set);
	stop(&s);
	check_int(fake_devices.n_made, ==, 3);
}

TEST(only_some_devices) {
	struct setup s;
	start(&s);
	struct input_set set;
	struct input_wish wish = {.socket = s.socket, .kinds = INPUT_KIND_BIT(INPUT_TOUCH)};
	check_ok(input_set_create(&wish, &set, NULL));
	check_int(set.n_devices, ==, 1);
	check_int(set.devices[0].about.kind, ==, INPUT_TOUCH);
	struct input_link link = attach(&s, &set);
	check_int(link.kinds, ==, wish.kinds);
	/* Even if the client does not know better. */
	link.kinds = INPUT_KINDS_ALL;
	check_ok(input_link_key(&link, KEY_A, true));
	check_ok(input_link_flush(&link));
	expect_end(link.fd);
	input_link_close(&link);
	/* Only the link. */
	link = attach(&s, &set);
	check_ok(input_link_touch_end(&link, 0));
	check_ok(input_link_flush(&link));
	expect_events(&set, INPUT_KEYBOARD, "3:47=0 3:47=0 3:57=-1 |");
	input_link_close(&link);
	wish.kinds = 8;
	struct input_set none;
	check_int(input_set_create(&wish, &none, NULL), ==, -EREMOTEIO);
	input_set_finish(&set);
	stop(&s);
}

TEST(links_hold_their_own) {
	struct setup s;
	start(&s);
	struct input_set set = create(&s);
	struct input_link a = attach(&s, &set), b = attach(&s, &set);
	check_ok(input_link_key(&a, KEY_A, true));
	check_ok(input_link_key(&a, KEY_S, true));
	check_ok(input_link_flush(&a));
	expect_events(&set, INPUT_KEYBOARD, "1:30=1 | 1:31=1 |");
	check_ok(input_link_key(&b, KEY_S, true));
	check_ok(input_link_flush(&b));
	expect_events(&set, INPUT_KEYBOARD, "1:31=1 |");
	input_link_close(&a);
	expect_events(&set, INPUT_KEYBOARD, "1:30=0 |");
	input_link_close(&b);
	expect_events(&set, INPUT_KEYBOARD, "1:31=0 |");
	input_set_finish(&set);
	stop(&s);
}

TEST(end_of_the_owner_ends_all) {
	struct setup s;
	start(&s);
	struct input_set set = create(&s);
	struct input_link a = attach(&s, &set), b = attach(&s, &set);
	uint8_t token[INPUT_TOKEN_SIZE];
	memcpy(token, set.token, sizeof(token));
	input_set_finish(&set);
	expect_end(a.fd);
	expect_end(b.fd);
	input_link_close(&a);
	input_link_close(&b);
	check_int(input_link_open(&a, s.socket, token, WAIT_MS, NULL), ==, -ENOENT);
	stop(&s);
}

TEST(end_of_the_manager_ends_all) {
	struct setup s;
	start(&s);
	struct input_set set = create(&s), other = create(&s);
	struct input_link link = attach(&s, &set);
	fake_devices_hold();
	input_set_finish(&other);
	fake_devices_wait_held();
	check_int(eventfd_write(s.quit_fd, 1), ==, 0);
	fake_devices_go_on();
	expect_end(set.connection);
	expect_end(link.fd);
	input_link_close(&link);
	input_set_finish(&set);
	stop(&s);
}

TEST(limits) {
	struct setup s;
	struct manager_config config = usual();
	struct input_set sets[7];
	char error[INPUT_ERROR_SIZE];
	start_with(&s, &config);
	for (unsigned i = 0; i < 6; i++) {
		sets[i] = create(&s);
	}
	check_int(try_create(&s, &sets[6], error), ==, -EREMOTEIO);
	check_str(error, "too many devices");
	/* One that is not quite gone counts. */
	fake_devices_hold();
	input_set_finish(&sets[0]);
	fake_devices_wait_held();
	check_int(try_create(&s, &sets[6], error), ==, -EREMOTEIO);
	fake_devices_go_on();
	int r = -EREMOTEIO;
	while (r == -EREMOTEIO) {
		r = try_create(&s, &sets[6], error);
	}
	check_ok(r);

	struct input_link links[SET_LINKS_MAX + 1];
	for (unsigned i = 0; i < SET_LINKS_MAX; i++) {
		links[i] = attach(&s, &sets[1]);
	}
	check_int(input_link_open(&links[16], s.socket, sets[1].token, WAIT_MS, error), ==,
		-EREMOTEIO);
	/* Connections: 6 owners, 16 links, so 8 more; the ninth is closed at once. */
	struct input_link more[9];
	for (unsigned i = 0; i < 8; i++) {
		more[i] = attach(&s, &sets[2]);
	}
	r = input_link_open(&more[8], s.socket, sets[2].token, WAIT_MS, error);
	check(r == -ECONNRESET || r == -EPIPE);
	for (unsigned i = 0; i < 8; i++) {
		input_link_close(&more[i]);
	}
	for (unsigned i = 0; i < SET_LINKS_MAX; i++) {
		input_link_close(&links[i]);
	}
	for (unsigned i = 1; i < 7; i++) {
		input_set_finish(&sets[i]);
	}
	stop(&s);
}

TEST(policy) {
	struct setup s;
	struct manager_config config = usual();
	struct input_set set;
	struct input_link link;
	char error[INPUT_ERROR_SIZE];
	static const uint8_t token[INPUT_TOKEN_SIZE];
	config.policy = (struct policy){.uids = {getuid() + 1}, .n_uids = 1};
	start_with(&s, &config);
	check_int(try_create(&s, &set, error), ==, -EREMOTEIO);
	check_str(error, "not allowed");
	check_int(input_link_open(&link, s.socket, token, WAIT_MS, error), ==, -EREMOTEIO);
	check_str(error, "not allowed");
	stop(&s);
}

TEST(the_kernel_refuses) {
	struct setup s;
	struct input_set set;
	char error[INPUT_ERROR_SIZE];
	start(&s);
	fake_devices.make_error = -ENOSPC;
	fake_devices.fail_last = true;
	check_int(try_create(&s, &set, error), ==, -EREMOTEIO);
	check_str(error, "the kernel made no device: No space left on device");
	check_int(fake_devices.n_live, ==, 0);
	check_int(fake_devices.n_made, ==, 2);
	fake_devices.make_error = -ETIMEDOUT;
	check_int(try_create(&s, &set, error), ==, -EREMOTEIO);
	check(strstr(error, "node did not appear"));
	fake_devices.make_error = 0;
	set = create(&s);
	struct input_link link = attach(&s, &set);
	fake_devices.write_error = -EIO;
	check_ok(input_link_key(&link, KEY_A, true));
	check_ok(input_link_flush(&link));
	expect_end(link.fd);
	expect_end(set.connection);
	input_link_close(&link);
	input_set_finish(&set);
	stop(&s);
}

static int connect_raw(const struct setup *s) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", s->socket);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	check_int(connect(fd, (struct sockaddr *)&address, sizeof(address)), ==, 0);
	return fd;
}

TEST(client_leaves_while_devices_are_made) {
	struct setup s;
	uint8_t buf[128];
	start(&s);
	fake_devices_hold();
	for (unsigned i = 0; i < 3; i++) {
		int fd = connect_raw(&s);
		ssize_t n = input_encode_create(buf, sizeof(buf), &(struct input_create){0});
		check_int(send(fd, buf, (size_t)n, 0), ==, n);
		fake_devices_wait_held();
		if (i == 1) {
			/* Impatience is an end as well. */
			check_int(send(fd, buf, (size_t)n, 0), ==, n);
			expect_end(fd);
		}
		(void)close(fd);
	}
	fake_devices_go_on();
	struct input_set set = create(&s);
	input_set_finish(&set);
	stop(&s);
	check_int(fake_devices.n_made, ==, 12);
}

TEST(one_that_ends_slowly_holds_up_nobody) {
	struct setup s;
	start(&s);
	struct input_set set = create(&s), other = create(&s);
	struct input_link link = attach(&s, &set);
	fake_devices_hold();
	input_set_finish(&other);
	fake_devices_wait_held();
	check_serves(&s, &set, &link);
	struct input_link second = attach(&s, &set);
	check_serves(&s, &set, &second);
	fake_devices_go_on();
	input_link_close(&second);
	input_link_close(&link);
	input_set_finish(&set);
	stop(&s);
}

TEST(readers_are_waited_for) {
	struct setup s;
	start(&s);
	struct input_set set = create(&s), other = create(&s);
	struct input_link link = attach(&s, &set), free_link = attach(&s, &other);
	/* 128 reports of two events in two messages; the reader has room for 63 events. */
	for (unsigned i = 0; i < 128; i++) {
		check_ok(input_link_key(&link, KEY_A, i % 2 == 0));
		if (i % 64 == 63) {
			check_ok(input_link_flush(&link));
		}
	}
	check_serves(&s, &other, &free_link);
	check_int(poll(NULL, 0, 50), ==, 0);
	unsigned most = 0;
	for (unsigned i = 0; i < 128; i++) {
		char want[32];
		(void)snprintf(want, sizeof(want), "1:30=%d |", i % 2 == 0);
		expect_events(&set, INPUT_KEYBOARD, want);
		/* What is in the pipe now, and what was read of it. */
		unsigned unread = 0;
		struct input_event peek[256];
		if (i == 0) {
			ssize_t n = read(set.devices[0].fd, peek, sizeof(peek));
			unread = (unsigned)(MAX(n, 0) / (ssize_t)sizeof(*peek)) + 2;
			i += (unread - 2) / 2;
		}
		most = MAX(most, unread);
	}
	check_int(most, ==, 62);

	/* Who never reads is not waited for again, until it does. */
	for (unsigned i = 0; i < 128; i++) {
		check_ok(input_link_key(&link, KEY_A, i % 2 == 0));
	}
	uint64_t before = now_ns();
	check_ok(input_link_flush(&link));
	input_link_close(&link);
	struct pollfd p = {.fd = set.devices[0].fd, .events = POLLIN};
	check_int(poll(&p, 1, WAIT_MS), ==, 1);
	/* The link's end is seen after all of it: so is the set's, here. */
	link = attach(&s, &set);
	check_ok(input_link_button(&link, BTN_LEFT, true));
	check_ok(input_link_flush(&link));
	expect_events(&set, INPUT_POINTER, "1:272=1 |");
	check_int((now_ns() - before) / NSEC_PER_MSEC, <, 9000);
	input_link_close(&link);
	input_link_close(&free_link);
	input_set_finish(&other);
	input_set_finish(&set);
	stop(&s);
}

/* Else a compositor that finds both could take the click before the key. */
TEST(devices_keep_their_order) {
	struct setup s;
	start(&s);
	struct input_set set = create(&s);
	struct input_link link = attach(&s, &set);
	struct pollfd pointer = {.fd = set.devices[1].fd, .events = POLLIN};
	struct pollfd keyboard = {.fd = set.devices[0].fd, .events = POLLIN};
	check_ok(input_link_key(&link, KEY_LEFTMETA, true));
	check_ok(input_link_button(&link, BTN_LEFT, true));
	check_ok(input_link_key(&link, KEY_LEFTMETA, false));
	check_ok(input_link_flush(&link));
	check_int(poll(&pointer, 1, 100), ==, 0);
	expect_events(&set, INPUT_KEYBOARD, "1:125=1 |");
	check_int(poll(&pointer, 1, WAIT_MS), ==, 1);
	check_int(poll(&keyboard, 1, 100), ==, 0);
	expect_events(&set, INPUT_POINTER, "1:272=1 |");
	expect_events(&set, INPUT_KEYBOARD, "1:125=0 |");
	/* A device that nobody reads holds up the others once. */
	check_ok(input_link_touch(&link, 0, true, 1, 2));
	for (unsigned i = 0; i < 3; i++) {
		check_ok(input_link_key(&link, KEY_A, i % 2 == 0));
	}
	check_ok(input_link_flush(&link));
	check_int(poll(&keyboard, 1, WAIT_MS), ==, 1);
	expect_events(&set, INPUT_KEYBOARD, "1:30=1 |");
	uint64_t before = now_ns();
	expect_events(&set, INPUT_KEYBOARD, "1:30=0 |");
	expect_events(&set, INPUT_KEYBOARD, "1:30=1 |");
	check_int((now_ns() - before) / NSEC_PER_MSEC, <, 1000);
	input_link_close(&link);
	input_set_finish(&set);
	stop(&s);
}

TEST(grab_that_is_lost_ends_the_set) {
	struct setup s;
	start(&s);
	struct input_set set = create(&s);
	struct input_link link = attach(&s, &set);
	check_serves(&s, &set, &link);
	fake_devices.grab_is_lost = true;
	/* Nobody else hears of the pointer. */
	check_ok(input_link_button(&link, BTN_LEFT, true));
	check_ok(input_link_flush(&link));
	expect_events(&set, INPUT_POINTER, "1:272=1 |");
	check_ok(input_link_key(&link, KEY_A, true));
	check_ok(input_link_flush(&link));
	expect_end(link.fd);
	expect_end(set.connection);
	struct input_event e;
	check_int(read(set.devices[0].fd, &e, sizeof(e)), <=, 0);
	input_link_close(&link);
	input_set_finish(&set);
	stop(&s);
}

static void send_fd(int to, int fd, const uint8_t *buf, size_t size) {
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {.header = {.cmsg_level = SOL_SOCKET,
			     .cmsg_type = SCM_RIGHTS,
			     .cmsg_len = CMSG_LEN(sizeof(int))}};
	struct iovec iov = {(void *)(uintptr_t)buf, size};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space)};
	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	check_int(sendmsg(to, &msg, MSG_NOSIGNAL), ==, size);
}

static void send_raw(int fd, const uint8_t *buf, ssize_t size) {
	check_int(send(fd, buf, (size_t)size, MSG_NOSIGNAL), ==, size);
}

static void send_events(int fd, const struct input_record *record, size_t n, size_t missing) {
	static struct input_record records[INPUT_RECORDS_MAX + 1];
	uint8_t buf[INPUT_MESSAGE_MAX + INPUT_RECORD_SIZE];
	for (size_t i = 0; i < n; i++) {
		records[i] = *record;
	}
	send_raw(fd, buf, input_encode_events(buf, sizeof(buf), records, n) - (ssize_t)missing);
}

static const struct input_record good_record = {INPUT_POINTER, EV_REL, REL_X, 1};
static const struct input_record bad_record = {INPUT_KEYBOARD, EV_SYN, SYN_REPORT, 0};

#define RUBBISH 11u

/* `buf`: a good ATTACH of `size` bytes. */
static void send_rubbish(unsigned i, int fd, uint8_t *buf, ssize_t size) {
	static const uint8_t noise[4096] = {0x5a, 0x5a};
	switch (i) {
	case 0:
		send_raw(fd, noise, 1);
		break;
	case 1:
		send_raw(fd, noise, sizeof(noise));
		break;
	case 2: /* half a message */
		send_raw(fd, buf, size - 1);
		break;
	case 3: /* events before anything else */
		send_events(fd, &good_record, 1, 0);
		break;
	case 4: /* a token that is nearly right */
		buf[size - 1] ^= 1;
		send_raw(fd, buf, size);
		break;
	case 5: /* a descriptor, with a good request */
		send_fd(fd, fd, buf, (size_t)size);
		break;
	case 6: /* the good request twice */
		send_raw(fd, buf, size);
		send_raw(fd, buf, size);
		break;
	case 7:
	case 8: /* half an event */
	case 9: /* one too many */
		send_raw(fd, buf, size);
		send_events(fd, i == 7 ? &bad_record : &good_record,
			i == 9 ? INPUT_RECORDS_MAX + 1 : 1, i == 8);
		break;
	default: /* nothing: its time is up */
		break;
	}
}

/* Perhaps an answer, then the end. */
static void expect_end_of_talk(int fd) {
	struct pollfd p = {.fd = fd, .events = POLLIN};
	uint8_t buf[4096];
	do {
		check_int(poll(&p, 1, WAIT_MS), ==, 1);
	} while (recv(fd, buf, sizeof(buf), 0) > 0);
}

TEST(rubbish_ends_who_sends_it) {
	struct setup s;
	uint8_t buf[64];
	struct input_attach request;
	start(&s);
	struct input_set set = create(&s);
	struct input_link link = attach(&s, &set);
	memcpy(request.token, set.token, sizeof(request.token));
	for (unsigned i = 0; i < RUBBISH; i++) {
		int fd = connect_raw(&s);
		send_rubbish(i, fd, buf, input_encode_attach(buf, sizeof(buf), &request));
		expect_end_of_talk(fd);
		(void)close(fd);
		check_serves(&s, &set, &link);
	}
	/* An owner has nothing to say. */
	send_events(set.connection, &good_record, 1, 0);
	expect_end(set.connection);
	expect_end(link.fd);
	input_link_close(&link);
	input_set_finish(&set);
	stop(&s);
}

TEST(a_flood_leaves_room_for_others) {
	struct setup s;
	start(&s);
	struct input_set set = create(&s), other = create(&s);
	struct input_link link = attach(&s, &set), flood = attach(&s, &other);
	for (unsigned i = 0; i < 50; i++) {
		/* As much as goes; nobody reads it. */
		do {
			for (unsigned j = 0; j < INPUT_RECORDS_MAX / 2; j++) {
				check_ok(input_link_move(&flood, (int)j, (int)i));
			}
		} while (input_link_flush(&flood) == 0);
		flood.n_records = 0;
		uint64_t before = now_ns();
		check_serves(&s, &set, &link);
		check_int((now_ns() - before) / NSEC_PER_MSEC, <, 1000);
	}
	input_link_close(&flood);
	input_link_close(&link);
	input_set_finish(&other);
	input_set_finish(&set);
	stop(&s);
}

TEST(only_one_manager_at_a_socket) {
	struct setup s;
	sd_event *loop;
	struct manager second = {.config = usual()};
	start(&s);
	second.config.socket = s.socket;
	manager_init(&second);
	check_ok(sd_event_new(&loop));
	check_int(manager_start(&second, loop), ==, -EADDRINUSE);
	manager_finish(&second);
	sd_event_unref(loop);
	struct input_set set = create(&s);
	input_set_finish(&set);
	stop(&s);
}
