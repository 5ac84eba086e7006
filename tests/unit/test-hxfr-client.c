/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The client library against a scripted server with the habits of others; the counter reader. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <helix/hxfr-client.h>

#include "counter.h"
#include "proto/hxfr.h"
#include "test.h"
#include "util.h"

/* What the server says, in chunks of `chunk` bytes, to the first who connects; then it closes. */
struct script {
	uint8_t bytes[65536];
	size_t size, chunk;
	int listen_fd;
	uint16_t port;
	pthread_t thread;
	uint8_t heard[1024]; /* what the client had sent by then */
	size_t n_heard;
};

static void *play(void *data) {
	struct script *s = data;
	int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	struct timeval limit = {.tv_usec = 200000};
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	for (size_t at = 0; at < s->size;) {
		size_t n = MIN(s->chunk, s->size - at);
		if (send(fd, s->bytes + at, n, MSG_NOSIGNAL) != (ssize_t)n) {
			break;
		}
		at += n;
	}
	(void)shutdown(fd, SHUT_WR);
	for (;;) {
		ssize_t n = recv(fd, s->heard + s->n_heard, sizeof(s->heard) - s->n_heard, 0);
		if (n <= 0) {
			break;
		}
		s->n_heard += (size_t)n;
	}
	(void)close_fd(fd);
	return NULL;
}

static void script_start(struct script *s, size_t chunk) {
	struct sockaddr_in addr = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(addr);
	s->chunk = chunk;
	s->n_heard = 0;
	s->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	check_int(bind(s->listen_fd, (struct sockaddr *)&addr, sizeof(addr)), ==, 0);
	check_int(listen(s->listen_fd, 1), ==, 0);
	check_int(getsockname(s->listen_fd, (struct sockaddr *)&addr, &size), ==, 0);
	s->port = ntohs(addr.sin_port);
	check_int(pthread_create(&s->thread, NULL, play, s), ==, 0);
}

static void script_stop(struct script *s) {
	check_int(pthread_join(s->thread, NULL), ==, 0);
	(void)close_fd(s->listen_fd);
}

/* Appends what an encoder writes. */
#define SAY(s, encode, ...)                                                                   \
	do {                                                                                  \
		ssize_t said = encode(                                                        \
			(s)->bytes + (s)->size, sizeof((s)->bytes) - (s)->size, __VA_ARGS__); \
		check_ok(said);                                                               \
		(s)->size += (size_t)said;                                                    \
	} while (0)

static void say_bytes(struct script *s, const void *bytes, size_t size) {
	memcpy(s->bytes + s->size, bytes, size);
	s->size += size;
}

static void say_header(struct script *s, uint8_t type, uint32_t payload_size) {
	struct hxfr_header h = {.type = type, .payload_size = payload_size};
	SAY(s, hxfr_encode_header, &h);
}

struct record {
	bool closed, destroy;
	int error;
	unsigned connected, hellos, subscribed, frames, flips, scanouts, images, positions, states,
		stats, pongs, errors;
	uint8_t data[8]; /* of the last frame */
	size_t size;
	bool last_stats;
	struct hxfr_client *client;
};

static void on_connected(void *data) {
	((struct record *)data)->connected++;
}

static void on_closed(int error, void *data) {
	struct record *r = data;
	check(!r->closed);
	r->closed = true;
	r->error = error;
}

static void on_hello(const struct hxfr_hello_resp *msg, void *data) {
	((struct record *)data)->hellos += msg->n_scanouts;
}

static void on_subscribed(const struct hxfr_subscribe_resp *msg, void *data) {
	((struct record *)data)->subscribed += msg->success;
}

static void on_frame(const struct hxfr_frame *frame, void *data) {
	struct record *r = data;
	r->frames++;
	r->flips += frame->flip != NULL;
	r->size = frame->size;
	memcpy(r->data, frame->data, MIN(frame->size, sizeof(r->data)));
	if (r->destroy) {
		hxfr_client_destroy(r->client);
		r->client = NULL;
	}
}

static void on_scanout(const struct hxfr_scanout_resp *msg, void *data) {
	((struct record *)data)->scanouts += msg->scanout_id;
}

static void on_image(const struct hxfr_cursor_image *msg, const uint8_t *bgra, void *data) {
	((struct record *)data)->images += bgra[4 * msg->width * msg->height - 1];
}

static void on_position(const struct hxfr_cursor_position *msg, void *data) {
	((struct record *)data)->positions += msg->visible;
}

static void on_state(const struct hxfr_scanout_state *msg, void *data) {
	((struct record *)data)->states += msg->width;
}

static void on_stats(const struct hxfr_stats *msg, uint64_t now, bool last, void *data) {
	struct record *r = data;
	check(!r->last_stats && now == 55);
	r->stats += msg->watching;
	r->last_stats = last;
}

static void on_pong(void *data) {
	((struct record *)data)->pongs++;
}

static void on_error(const struct hxfr_error *msg, void *data) {
	((struct record *)data)->errors += msg->code == HXFR_ERR_INVALID;
}

static const struct hxfr_client_handler handler = {
	.connected = on_connected,
	.closed = on_closed,
	.hello = on_hello,
	.subscribed = on_subscribed,
	.frame = on_frame,
	.scanout = on_scanout,
	.cursor_image = on_image,
	.cursor_position = on_position,
	.state = on_state,
	.stats = on_stats,
	.pong = on_pong,
	.error = on_error,
};

/* Plays the script to a client until the connection ends; returns what `closed` was told. */
static struct record listen_to(struct script *s, size_t chunk) {
	struct record r = {0};
	struct hxfr_client *c = NULL;
	script_start(s, chunk);
	check_ok(hxfr_client_create(NULL, "127.0.0.1", s->port, 2000, &handler, &r, &c));
	check_ok(hxfr_client_subscribe(c, 3)); /* before the connection is up */
	check_int(hxfr_client_wait(c, &r.closed, 5000), ==, 0);
	check_int(hxfr_client_ping(c), ==, -ENOTCONN);
	check_int(hxfr_client_fd(c), ==, -1);
	hxfr_client_destroy(c);
	script_stop(s);
	check_int(r.connected, ==, 1);
	return r;
}

static void say_frame(struct script *s, const char *text) {
	struct hxfr_frame_response frame = {.pts = 1, .dts = INT64_MIN, .is_keyframe = 0x80};
	SAY(s, hxfr_encode_frame_response, 3, &frame, (uint32_t)strlen(text));
	say_bytes(s, text, strlen(text));
}

TEST(all_that_servers_may_do_is_taken) {
	static struct script s;
	struct hxfr_subscribe_resp sub = {3, 1};
	struct hxfr_hello_resp hello = {1, 15, 16, 1, 1};
	struct hxfr_flip_info flip = {.scanout_id = 3};
	struct hxfr_cursor_image image = {.visible = 1, .width = 2, .height = 1};
	struct hxfr_cursor_position position = {.visible = 1};
	struct hxfr_scanout_state state = {.width = 1920};
	struct hxfr_stats stats[2] = {{.watching = 3}, {.watching = 4}};

	say_frame(&s, "early"); /* before SUBSCRIBE_RESP, with a DTS that is garbage */
	SAY(&s, hxfr_encode_subscribe_resp, &sub);
	say_header(&s, 0x7F, 5); /* unknown */
	say_bytes(&s, "xxxxx", 5);
	say_header(&s, 0x7F, 0);
	say_header(&s, HXFR_PONG, 3); /* with a payload */
	say_bytes(&s, "xxx", 3);
	SAY(&s, hxfr_encode_hello_resp, 0, &hello);
	SAY(&s, hxfr_encode_flip_info, &flip);
	say_frame(&s, "second");
	SAY(&s, hxfr_encode_scanout_resp, 0, 5, true);
	SAY(&s, hxfr_encode_cursor_image, &image);
	say_bytes(&s, "\0\0\0\0\0\0\0\x09", 8);
	SAY(&s, hxfr_encode_cursor_position, &position);
	SAY(&s, hxfr_encode_scanout_state, &state);
	SAY(&s, hxfr_encode_stats_resp, 0, 55, stats, 2);
	SAY(&s, hxfr_encode_error, 0, HXFR_ERR_INVALID, "no");
	/* A frame of two blobs: they are joined. */
	say_header(&s, HXFR_FRAME_RESPONSE, 24 + 4 + 2 + 4 + 3);
	say_bytes(&s, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\2\0\0\0", 24);
	say_bytes(&s, "\2\0\0\0ab\3\0\0\0cde", 13);

	static const size_t chunks[] = {1, 7, 100, 65536};
	for (size_t i = 0; i < ARRAY_SIZE(chunks); i++) {
		struct record r = listen_to(&s, chunks[i]);
		check_int(r.error, ==, 0);
		check_int(r.frames, ==, 3);
		check_int(r.flips, ==, 1);
		check(r.size == 5 && memcmp(r.data, "abcde", 5) == 0);
		check(r.subscribed == 1 && r.hellos == 16 && r.scanouts == 5 && r.images == 9);
		check(r.positions == 1 && r.states == 1920 && r.stats == 7 && r.last_stats);
		check(r.pongs == 1 && r.errors == 1);
		check(s.n_heard == 16 && memcmp(s.heard, "HXFR\x30", 5) == 0);
	}
}

TEST(malformed_messages_end_the_connection) {
	static struct script s;
	static const struct {
		uint8_t type;
		uint32_t size;
		const char *payload;
		int error;
	} cases[] = {
		{HXFR_FRAME_RESPONSE, 16u * 1024 * 1024 + 1, "", -EMSGSIZE},
		{0x7F, UINT32_MAX, "", -EMSGSIZE},
		{HXFR_FRAME_RESPONSE, 23, "", -EBADMSG},
		/* One blob that is shorter, longer or larger by far than the payload says. */
		{HXFR_FRAME_RESPONSE, 30, "\1\0\0\0\1\0\0\0ab", -EBADMSG},
		{HXFR_FRAME_RESPONSE, 30, "\1\0\0\0\3\0\0\0ab", -EBADMSG},
		{HXFR_FRAME_RESPONSE, 30,
			"\1\0\0\0\xff\xff\xff\xff"
			"ab",
			-EBADMSG},
		{HXFR_FRAME_RESPONSE, 30, "\xff\xff\xff\xff\2\0\0\0ab", -EBADMSG},
		{HXFR_SUBSCRIBE_RESP, 7, "", -EBADMSG},
		{HXFR_SCANOUT_RESP, 71, "", -EBADMSG},
		{HXFR_ERROR, 259, "", -EBADMSG},
		{HXFR_HELLO_RESP, 31, "", -EBADMSG},
		{HXFR_FLIP_INFO, 71, "", -EBADMSG},
		{HXFR_CURSOR_IMAGE, 31, "", -EBADMSG},
		{HXFR_STATS_RESP, 16, "", -EBADMSG},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		s.size = 0;
		say_header(&s, cases[i].type, cases[i].size);
		if (cases[i].payload[0]) {
			static const uint8_t zeroes[20];
			say_bytes(&s, zeroes, 20);
			say_bytes(&s, cases[i].payload, 10);
		} else {
			memset(s.bytes + s.size, 0, 300);
			s.size += 300;
		}
		struct record r = listen_to(&s, 65536);
		check_int(r.error, ==, cases[i].error);
		check_int(r.frames + r.errors + r.scanouts, ==, 0);
	}
	s.size = 0;
	say_bytes(&s, "HTTP/1.1 400 Bad Request\r\n", 26);
	check_int(listen_to(&s, 100).error, ==, -EBADMSG);
	s.size = 0; /* a server that is full */
	check_int(listen_to(&s, 100).error, ==, 0);
}

TEST(client_may_be_destroyed_in_a_handler) {
	static struct script s;
	struct record r = {.destroy = true};
	sd_event *loop;
	say_frame(&s, "one");
	say_frame(&s, "two");
	script_start(&s, 65536);
	check_ok(sd_event_new(&loop));
	check_ok(hxfr_client_create(loop, "127.0.0.1", s.port, 2000, &handler, &r, &r.client));
	while (r.client) {
		check_ok(sd_event_run(loop, 1000000));
	}
	check_int(r.frames, ==, 1);
	check(!r.closed);
	sd_event_unref(loop);
	script_stop(&s);
}

/* The time to connect begins with the call, however long ago the loop last ran. */
TEST(loop_may_have_stood_still) {
	struct record r = {0};
	struct hxfr_client *c;
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	sd_event *loop;
	int waiting[4], fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	check(fd >= 0 && bind(fd, (struct sockaddr *)&address, size) == 0 && listen(fd, 0) == 0);
	check(getsockname(fd, (struct sockaddr *)&address, &size) == 0);
	/* As many as there is room for, and more: the next one waits. */
	for (unsigned i = 0; i < ARRAY_SIZE(waiting); i++) {
		waiting[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		(void)connect(waiting[i], (struct sockaddr *)&address, size);
	}
	check_ok(sd_event_new(&loop));
	check_ok(sd_event_run(loop, 0));
	check_int(poll(NULL, 0, 300), ==, 0);
	uint64_t begin = now_ns();
	check_ok(hxfr_client_create(
		loop, "127.0.0.1", ntohs(address.sin_port), 200, &handler, &r, &c));
	check_int(hxfr_client_wait(c, &(bool){false}, 5000), ==, -ETIMEDOUT);
	check_int((now_ns() - begin) / NSEC_PER_MSEC, >=, 200);
	hxfr_client_destroy(c);
	sd_event_unref(loop);
	for (unsigned i = 0; i < ARRAY_SIZE(waiting); i++) {
		(void)close(waiting[i]);
	}
	(void)close(fd);
}

TEST(unreachable_server_is_reported) {
	struct record r = {0};
	struct hxfr_client *c = NULL;
	static struct script s;
	script_start(&s, 1);
	shutdown(s.listen_fd, SHUT_RDWR);
	script_stop(&s);
	int e = hxfr_client_create(NULL, "127.0.0.1", s.port, 2000, &handler, &r, &c);
	if (e == 0) {
		e = hxfr_client_wait(c, &(bool){false}, 2000);
		check_int(r.error, ==, e);
	}
	check_int(e, ==, -ECONNREFUSED);
	hxfr_client_destroy(c);
	hxfr_client_destroy(NULL);
}

enum {
	WIDTH = 640,
	HEIGHT = 128,
};

/* Draws the counter into planes with chroma interleaved. */
static void draw(uint8_t *y, uint8_t *uv, uint32_t at_x, uint32_t at_y, uint32_t value) {
	for (uint32_t i = 0; i < COUNTER_SQUARES; i++) {
		bool bit = i >= 2 && (value >> (33 - i) & 1);
		uint8_t luma = i == 0 ? 63 : i == 1 ? 173 : bit ? 235 : 16;
		uint8_t u = i == 0 ? 102 : i == 1 ? 42 : 128, v = i == 0 ? 240 : i == 1 ? 26 : 128;
		for (uint32_t row = 0; row < 16; row++) {
			memset(y + (at_y + row) * WIDTH + at_x + i * 16, luma, 16);
			for (uint32_t x = 0; row % 2 == 0 && x < 8; x++) {
				uint8_t *p = uv + (at_y + row) / 2 * WIDTH + at_x + i * 16 + 2 * x;
				p[0] = u;
				p[1] = v;
			}
		}
	}
}

TEST(counter_is_read_back) {
	static uint8_t y[WIDTH * HEIGHT], uv[WIDTH * HEIGHT / 2];
	static const uint32_t values[] = {0, 1, 0x80000000, UINT32_MAX, 0xA5C3F00F, 12345};
	struct counter_planes p = {WIDTH, HEIGHT, y, uv, uv + 1, WIDTH, WIDTH, 2};
	uint32_t value = 7;
	memset(y, 100, sizeof(y));
	memset(uv, 128, sizeof(uv));
	check_int(counter_read(&p, COUNTER_X, COUNTER_TOP_Y, &value), ==, -ENOENT);
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		draw(y, uv, COUNTER_X, COUNTER_TOP_Y, values[i]);
		draw(y, uv, COUNTER_X, counter_bottom_y(HEIGHT), ~values[i]);
		check_int(counter_read(&p, COUNTER_X, COUNTER_TOP_Y, &value), ==, 0);
		check_int(value, ==, values[i]);
		check_int(counter_read(&p, COUNTER_X, counter_bottom_y(HEIGHT), &value), ==, 0);
		check_int(value, ==, (uint32_t)~values[i]);
	}
	/* One square that is neither black nor white. */
	memset(y + (COUNTER_TOP_Y + 7) * WIDTH, 128, WIDTH * 4);
	check_int(counter_read(&p, COUNTER_X, COUNTER_TOP_Y, &value), ==, -ENOENT);
	p.width = COUNTER_MIN_WIDTH - 2;
	check_int(counter_read(&p, COUNTER_X, COUNTER_TOP_Y, &value), ==, -EINVAL);
	p.width = 100;
	check_int(counter_read(&p, 0, 0, &value), ==, -EINVAL);
	p.width = WIDTH;
	check_int(counter_read(&p, 0, HEIGHT - 14, &value), ==, -EINVAL);
	check_int(counter_read(&p, 0, UINT32_MAX, &value), ==, -EINVAL);
}
