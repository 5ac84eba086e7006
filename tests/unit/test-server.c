/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The HXFR server: every message of docs/protocol/hxfr.md, and how parsing copes with its peers. */
#include <malloc.h>
#include <poll.h>
#include <sys/socket.h>

#include "proto/hxfr.h"
#include "server-fixture.h"
#include "test.h"
#include "util.h"

static struct fixture f;

TEST(reply_to_subscribe_comes_before_frames) {
	fixture_start(&f, 16);
	f.idr_size = 1000; /* posted before SUBSCRIBE is even answered */
	for (unsigned i = 0; i < 100; i++) {
		int fd = peer_connect(&f, 0);
		bool keyframe = false;
		peer_subscribe(fd, i % SCANOUTS_MAX);
		(void)peer_expect_unit(fd, i % SCANOUTS_MAX, &keyframe);
		check(keyframe);
		(void)close_fd(fd);
	}
	fixture_stop(&f);
}

TEST(nothing_but_frames_comes_after_subscribe) {
	fixture_start(&f, 16);
	f.idr_size = 5000;
	int fd = peer_connect(&f, 0);
	peer_subscribe(fd, 2);
	check_int(peer_expect_unit(fd, 2, NULL), ==, 1);
	struct cursor_image *image = cursor_image_create(64, 64);
	server_post_cursor(f.server, 2, image, 1, 2);
	server_post_cursor_position(f.server, 2, 3, 4);
	server_post_scanout_state(f.server, 2);
	for (unsigned i = 2; i < 200; i++) {
		fixture_post(&f, 2, false, i * 10);
		fixture_post(&f, 3, false, i);
		check_int(peer_expect_unit(fd, 2, NULL), ==, i);
	}
	peer_expect_silence(fd, 50);
	(void)close_fd(fd);
	fixture_stop(&f);
}

TEST(unknown_scanout_is_refused_and_ends_the_old_subscription) {
	fixture_start(&f, 16);
	f.idr_size = 100;
	int fd = peer_connect(&f, 0);
	peer_subscribe(fd, 1);
	(void)peer_expect_unit(fd, 1, NULL);
	struct message m;
	peer_send_id(fd, HXFR_SUBSCRIBE, SCANOUTS_MAX);
	peer_expect(fd, HXFR_SUBSCRIBE_RESP, HXFR_SUBSCRIBE_RESP_SIZE, &m);
	check(memcmp(m.payload, "\x10\0\0\0\0\0\0\0", 8) == 0);
	fixture_post(&f, 1, true, 10);
	peer_expect_silence(fd, 50);
	fixture_await(&f, fixture_watching, 1, 0);
	(void)close_fd(fd);
	fixture_stop(&f);
}

TEST(second_subscription_replaces_the_first) {
	fixture_start(&f, 16);
	f.idr_size = 100;
	int fd = peer_connect(&f, 0);
	peer_subscribe(fd, 1);
	(void)peer_expect_unit(fd, 1, NULL);
	peer_subscribe(fd, 2);
	fixture_post(&f, 1, true, 10);
	(void)peer_expect_unit(fd, 2, NULL);
	peer_expect_silence(fd, 50);
	check_int(fixture_watching(&f, 1), ==, 0);
	check_int(fixture_watching(&f, 2), ==, 1);
	(void)close_fd(fd);
	fixture_await(&f, fixture_watching, 2, 0);
	fixture_stop(&f);
}

static void expect_scanout_resp(int fd, uint32_t id, bool success) {
	struct message m;
	struct hxfr_scanout_resp resp;
	peer_expect(fd, HXFR_SCANOUT_RESP, HXFR_SCANOUT_RESP_SIZE, &m);
	check_int(m.header.session_id, ==, 77);
	check_ok(hxfr_decode_scanout_resp(m.payload, HXFR_SCANOUT_RESP_SIZE, &resp));
	check_int(resp.scanout_id, ==, id);
	check_int(resp.success, ==, success);
	check(strncmp(resp.connector, "Virtual-", 8) == 0);
}

static void send_enable(int fd, uint32_t id, uint32_t width, uint32_t height, uint32_t hz) {
	uint8_t buf[HXFR_HEADER_SIZE + HXFR_ENABLE_SCANOUT_SIZE];
	struct hxfr_enable_scanout msg = {id, width, height, hz};
	check_ok(hxfr_encode_enable_scanout(buf, sizeof(buf), 77, &msg));
	peer_send(fd, buf, sizeof(buf));
}

static void send_disable(int fd, uint32_t id) {
	uint8_t buf[HXFR_HEADER_SIZE + 4];
	check_ok(hxfr_encode_scanout_id(buf, sizeof(buf), HXFR_DISABLE_SCANOUT, 77, id));
	peer_send(fd, buf, sizeof(buf));
}

TEST(enable_and_disable_are_always_answered) {
	fixture_start(&f, 16);
	int fd = peer_connect(&f, 0);
	static const struct {
		uint32_t id, width, height;
		bool success;
	} cases[] = {{1, 1920, 1080, true}, {15, 8192, 8192, true}, {0, 1920, 1080, false},
		{16, 1920, 1080, false}, {UINT32_MAX, 1, 1, false}, {1, 0, 1080, false},
		{1, 1920, 0, false}, {1, 8193, 1080, false}, {1, 1, UINT32_MAX, false}};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		send_enable(fd, cases[i].id, cases[i].width, cases[i].height, 0);
		expect_scanout_resp(fd, cases[i].id, cases[i].success);
	}
	check_int(f.n_enabled, ==, 2);
	check_int(f.hz, ==, 60);
	send_enable(fd, 3, 1280, 720, 144);
	expect_scanout_resp(fd, 3, true);
	check(f.width == 1280 && f.height == 720 && f.hz == 144);

	send_disable(fd, 15);
	expect_scanout_resp(fd, 15, true);
	send_disable(fd, 0);
	expect_scanout_resp(fd, 0, false);
	send_disable(fd, 16);
	expect_scanout_resp(fd, 16, false);
	check_int(f.n_disabled, ==, 1);

	f.switch_result = -EIO;
	send_enable(fd, 3, 1280, 720, 60);
	expect_scanout_resp(fd, 3, false);
	send_disable(fd, 3);
	expect_scanout_resp(fd, 3, false);
	(void)close_fd(fd);
	fixture_stop(&f);
}

/* Clients that end their side at once still get the reply. */
TEST(half_closed_client_gets_its_reply) {
	fixture_start(&f, 16);
	int fd = peer_connect(&f, 0);
	send_disable(fd, 4);
	check_int(shutdown(fd, SHUT_WR), ==, 0);
	expect_scanout_resp(fd, 4, true);
	peer_expect_end(fd);
	fixture_stop(&f);
}

static void send_bitrate(int fd, uint32_t bitrate) {
	uint8_t buf[HXFR_HEADER_SIZE + HXFR_CONFIG_REQ_SIZE];
	struct hxfr_config_req msg = {.bitrate = bitrate};
	struct message m;
	check_ok(hxfr_encode_config_req(buf, sizeof(buf), &msg));
	peer_send(fd, buf, sizeof(buf));
	/* No reply of its own; PONG shows that it was handled. */
	peer_send_header(fd, HXFR_PING, 5, 0);
	peer_expect(fd, HXFR_PONG, 0, &m);
	check_int(m.header.session_id, ==, 5);
}

TEST(bitrate_goes_to_the_scanout_last_subscribed_to) {
	fixture_start(&f, 16);
	int fd = peer_connect(&f, 0), other = peer_connect(&f, 0);
	send_bitrate(fd, 1000);
	check_int(f.bitrate[0], ==, 1000);
	peer_subscribe(fd, 7);
	send_bitrate(fd, 2000);
	check_int(f.bitrate[7], ==, 2000);
	send_bitrate(fd, 0);
	send_bitrate(fd, 0x80000000);
	check_int(f.bitrate[7], ==, 2000);
	peer_subscribe(other, 7);
	send_bitrate(other, 3000); /* the last wish wins */
	check_int(f.bitrate[7], ==, 3000);
	(void)close_fd(fd);
	(void)close_fd(other);
	fixture_stop(&f);
}

TEST(unknown_messages_and_tails_are_skipped) {
	static const uint8_t zeroes[1000];
	static const uint8_t types[] = {0x00, 0x05, HXFR_FRAME_RESPONSE, 0x4F, 0x7F, 0xFE, 0xFF};
	fixture_start(&f, 16);
	int fd = peer_connect(&f, 0);
	struct message m;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		peer_send_header(fd, types[i], 0, 0);
		peer_send_header(fd, types[i], 0, 1000);
		peer_send(fd, zeroes, 1000);
	}
	peer_send_header(fd, HXFR_PING, 1, 1000); /* with a payload */
	peer_send(fd, zeroes, 1000);
	peer_expect(fd, HXFR_PONG, 0, &m);
	peer_send_header(fd, HXFR_SUBSCRIBE, 0, 1000); /* longer than we know it */
	peer_send(fd, zeroes, 1000);
	peer_expect(fd, HXFR_SUBSCRIBE_RESP, 8, &m);
	/* KEYFRAME_REQ and STATS_REQ without HELLO: no reply. */
	peer_send_header(fd, HXFR_KEYFRAME_REQ, 0, 0);
	peer_send_id(fd, HXFR_STATS_REQ, HXFR_STATS_ALL);
	peer_send_header(fd, HXFR_PING, 2, 0);
	peer_expect(fd, HXFR_PONG, 0, &m);
	check_int(m.header.session_id, ==, 2);
	(void)close_fd(fd);
	fixture_stop(&f);
}

TEST(violations_close_the_connection) {
	static const struct {
		uint8_t type;
		uint32_t payload_size;
	} bad[] = {
		{0x7F, 64u << 20},
		{0x7F, UINT32_MAX},
		{HXFR_PING, 64u << 20},
		{HXFR_SUBSCRIBE, 3},
		{HXFR_SUBSCRIBE, 0},
		{HXFR_ENABLE_SCANOUT, 15},
		{HXFR_DISABLE_SCANOUT, 3},
		{HXFR_CONFIG_REQ, 27},
		{HXFR_HELLO, 7},
		{HXFR_STATS_REQ, 3},
		{HXFR_FRAME_REQUEST, 43},
		{HXFR_FRAME_REQUEST, (64u << 20) + 45},
	};
	fixture_start(&f, 16);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		int fd = peer_connect(&f, 0);
		peer_send_header(fd, bad[i].type, 0, bad[i].payload_size);
		peer_expect_end(fd);
	}
	int fd = peer_connect(&f, 0);
	peer_send(fd, "GET / HTTP/1.1\r\n\r\n", 18);
	peer_expect_end(fd);
	fd = peer_connect(&f, 0); /* one wrong byte is enough */
	peer_send(fd, "HY", 2);
	peer_expect_end(fd);
	fixture_stop(&f);
}

TEST(frame_request_is_answered_and_its_pixels_discarded) {
	fixture_start(&f, 16);
	int fd = peer_connect(&f, 0);
	static uint8_t pixels[65536];
	uint8_t buf[HXFR_HEADER_SIZE + HXFR_FRAME_REQUEST_SIZE];
	struct hxfr_frame_request req = {.width = 1920, .height = 1080};
	struct hxfr_error error;
	struct message m;
	for (unsigned i = 0; i < 3; i++) {
		/* The largest that is allowed: 64 MiB. */
		uint32_t size = i == 2 ? 64u << 20 : i * 640 * 360 * 4;
		check_ok(hxfr_encode_frame_request(buf, sizeof(buf), 1, &req, size));
		peer_send(fd, buf, sizeof(buf));
		for (uint32_t sent = 0; sent < size;) {
			uint32_t n = MIN(size - sent, (uint32_t)sizeof(pixels));
			peer_send(fd, pixels, n);
			sent += n;
		}
		peer_expect(fd, HXFR_ERROR, HXFR_ERROR_SIZE, &m);
		check_int(m.header.session_id, ==, 1);
		check_ok(hxfr_decode_error(m.payload, HXFR_ERROR_SIZE, &error));
		check_int(error.code, ==, HXFR_ERR_INVALID);
		check(error.message[0]);
	}
	peer_send_header(fd, HXFR_PING, 0, 0);
	peer_expect(fd, HXFR_PONG, 0, &m);
	(void)close_fd(fd);
	fixture_stop(&f);
}

/* A conversation in which every type occurs, and the replies it must get, in any chunks. */
static size_t make_conversation(uint8_t *buf, size_t size) {
	static const uint8_t types[] = {HXFR_PING, 0x7F, HXFR_ENABLE_SCANOUT, HXFR_FRAME_REQUEST,
		HXFR_KEYFRAME_REQ, HXFR_SUBSCRIBE, HXFR_CONFIG_REQ, HXFR_HELLO, HXFR_STATS_REQ,
		HXFR_DISABLE_SCANOUT, HXFR_PING};
	size_t n = 0;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		const struct hxfr_message_info *info = hxfr_message_info(types[i]);
		uint32_t payload = (info ? info->min_payload : 0) + (uint32_t)i * 3;
		struct hxfr_header h = {.type = types[i], .session_id = 9, .payload_size = payload};
		check_ok(hxfr_encode_header(buf + n, size - n, &h));
		n += HXFR_HEADER_SIZE;
		memset(buf + n, 0, payload);
		buf[n] = 1; /* scanout 1, version 1 */
		n += payload;
	}
	return n;
}

static void expect_conversation(int fd) {
	static const uint8_t types[] = {HXFR_PONG, HXFR_SCANOUT_RESP, HXFR_ERROR,
		HXFR_SUBSCRIBE_RESP, HXFR_HELLO_RESP, HXFR_SCANOUT_RESP, HXFR_PONG};
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		struct message m;
		check(peer_receive(fd, &m));
		check_int(m.header.type, ==, types[i]);
	}
}

TEST(messages_are_parsed_from_any_chunks) {
	uint8_t buf[4096];
	size_t size = make_conversation(buf, sizeof(buf));
	fixture_start(&f, 16);
	srand(1);
	for (unsigned round = 0; round < 40; round++) {
		int fd = peer_connect(&f, 0);
		for (size_t at = 0; at < size;) {
			size_t n = round == 0 ? 1 : 1 + (size_t)rand() % (round < 20 ? 20 : 200);
			n = MIN(n, size - at);
			peer_send(fd, buf + at, n);
			at += n;
		}
		expect_conversation(fd);
		(void)close_fd(fd);
	}
	fixture_stop(&f);
}

/* Requests are not read while their replies are not taken; none is lost all the same. */
TEST(flood_of_requests_is_answered_in_full) {
	enum {
		N = 200000,
	};
	fixture_start(&f, 16);
	int fd = peer_connect(&f, 0);
	uint8_t ping[HXFR_HEADER_SIZE], *pings = malloc((size_t)N * sizeof(ping));
	struct hxfr_header h = {.type = HXFR_PING};
	check_ok(hxfr_encode_header(ping, sizeof(ping), &h));
	for (unsigned i = 0; i < N; i++) {
		memcpy(pings + i * sizeof(ping), ping, sizeof(ping));
		pings[i * sizeof(ping) + 6] = (uint8_t)i;
	}
	size_t sent = 0, used = mallinfo2().uordblks;
	unsigned received = 0;
	while (received < N) {
		struct pollfd p = {.fd = fd, .events = POLLOUT};
		/* Write until the server refuses more, and only then read a little. */
		while (sent < (size_t)N * sizeof(ping) && poll(&p, 1, 20) == 1) {
			ssize_t n = send(fd, pings + sent, (size_t)N * sizeof(ping) - sent,
				MSG_DONTWAIT | MSG_NOSIGNAL);
			check_int(n, >, 0);
			sent += (size_t)n;
		}
		/* Requests wait in the socket, not as replies in memory. */
		check_int(mallinfo2().uordblks, <, used + 200000);
		for (unsigned i = 0; i < 20000 && received < N; i++, received++) {
			struct message m;
			peer_expect(fd, HXFR_PONG, 0, &m);
			check_int(m.header.session_id, ==, received & 0xff);
		}
	}
	free(pings);
	(void)close_fd(fd);
	fixture_stop(&f);
}

TEST(silent_clients_are_closed_unless_subscribed) {
	fixture_start(&f, 16);
	f.server->silence_ns = 200 * NSEC_PER_MSEC;
	int silent = peer_connect(&f, 0), half = peer_connect(&f, 0), alive = peer_connect(&f, 0);
	int subscribed = peer_connect(&f, 0), failed = peer_connect(&f, 0);
	struct message m;
	peer_subscribe(subscribed, 0);
	peer_subscribe(failed, 0);
	peer_send_id(failed, HXFR_SUBSCRIBE, 99);
	peer_expect(failed, HXFR_SUBSCRIBE_RESP, 8, &m);
	peer_send(half, "HXFR", 4);
	for (unsigned i = 0; i < 8; i++) {
		sleep_ms(50);
		peer_send_header(alive, HXFR_PING, 0, 0);
		peer_expect(alive, HXFR_PONG, 0, &m);
	}
	peer_expect_end(silent);
	peer_expect_end(half);
	peer_expect_end(failed);
	peer_send_header(subscribed, HXFR_PING, 0, 0);
	peer_expect(subscribed, HXFR_PONG, 0, &m);
	peer_expect_end(alive); /* now silent too */
	(void)close_fd(subscribed);
	fixture_stop(&f);
}

TEST(one_client_too_many_is_closed_at_once) {
	fixture_start(&f, 3);
	int fds[3];
	struct message m;
	for (unsigned i = 0; i < 3; i++) {
		fds[i] = peer_connect(&f, 0);
		peer_subscribe(fds[i], i);
	}
	for (unsigned i = 0; i < 50; i++) {
		peer_expect_end(peer_connect(&f, 0));
	}
	(void)close_fd(fds[1]);
	fixture_await(&f, fixture_watching, 1, 0);
	fds[1] = peer_connect(&f, 0);
	peer_send_header(fds[1], HXFR_PING, 0, 0);
	peer_expect(fds[1], HXFR_PONG, 0, &m);
	for (unsigned i = 0; i < 3; i++) {
		(void)close_fd(fds[i]);
	}
	fixture_stop(&f);
}

TEST(addresses_are_checked) {
	struct server_config config = {"127.0.0.1", 0, 1, 200, 16};
	static const struct server_backend none;
	struct server *a = NULL, *b = NULL;
	sd_event *loop;
	check_ok(sd_event_new(&loop));
	check_ok(server_create(loop, &config, &none, NULL, &a));
	config.port = server_port(a);
	check_int(server_create(loop, &config, &none, NULL, &b), ==, -EADDRINUSE);
	config.address = "localhost";
	check_int(server_create(loop, &config, &none, NULL, &b), ==, -EINVAL);
	config.n_scanouts = 17;
	check_int(server_create(loop, &config, &none, NULL, &b), ==, -EINVAL);
	config = (struct server_config){"::1", 0, 1, 200, 16};
	int r = server_create(loop, &config, &none, NULL, &b);
	check(r == 0 || r == -EADDRNOTAVAIL || r == -EAFNOSUPPORT);
	server_destroy(b);
	server_destroy(a);
	server_destroy(NULL);
	sd_event_unref(loop);
}
