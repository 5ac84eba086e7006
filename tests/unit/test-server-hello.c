/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The HXFR server: the extension that clients get who say HELLO. */
#include "proto/hxfr.h"
#include "server-fixture.h"
#include "test.h"
#include "util.h"

static struct fixture f;

static void send_hello(int fd, uint32_t version, uint32_t features, struct hxfr_hello_resp *ret) {
	uint8_t buf[HXFR_HEADER_SIZE + HXFR_HELLO_SIZE];
	struct hxfr_hello msg = {.version = version, .features = features};
	struct message m;
	check_ok(hxfr_encode_hello(buf, sizeof(buf), &msg));
	peer_send(fd, buf, sizeof(buf));
	peer_expect(fd, HXFR_HELLO_RESP, HXFR_HELLO_RESP_SIZE, &m);
	check_ok(hxfr_decode_hello_resp(m.payload, HXFR_HELLO_RESP_SIZE, ret));
}

TEST(hello_grants_what_both_know) {
	fixture_start(&f, 16);
	int fd = peer_connect(&f, 0);
	struct hxfr_hello_resp r;
	uint64_t before = now_ns();
	send_hello(fd, 1, HXFR_FEATURE_STATS, &r);
	check(r.version == 1 && r.features == HXFR_FEATURE_STATS && r.n_scanouts == 16);
	check(r.now_ns >= before && r.now_ns <= now_ns() && r.server_id != 0);
	uint64_t id = r.server_id;
	send_hello(fd, 7, UINT32_MAX & ~(uint32_t)HXFR_FEATURE_STATE, &r);
	check(r.version == 1 && r.server_id == id);
	check_int(r.features, ==, HXFR_FEATURES_ALL & ~HXFR_FEATURE_STATE);
	send_hello(fd, 0, HXFR_FEATURES_ALL, &r);
	check(r.version == 0 && r.features == 0);
	peer_expect_silence(fd, 50);
	(void)close_fd(fd);
	fixture_stop(&f);
}

TEST(flip_info_precedes_each_frame) {
	fixture_start(&f, 16);
	int fd = peer_connect(&f, 0);
	peer_hello(fd, HXFR_FEATURE_FLIP_INFO);
	peer_subscribe(fd, 3);
	for (unsigned i = 1; i <= 20; i++) {
		struct hxfr_flip_info info;
		struct message m;
		fixture_post(&f, 3, i == 1, 1000 * i);
		peer_expect(fd, HXFR_FLIP_INFO, HXFR_FLIP_INFO_SIZE, &m);
		check_ok(hxfr_decode_flip_info(m.payload, HXFR_FLIP_INFO_SIZE, &info));
		check(info.scanout_id == 3 && info.sequence == i && info.dirty_mbs == 9);
		check(info.damage_x == 16 && info.damage_y == 32 && info.damage_width == 48);
		check(info.damage_height == 64 && info.width == 1920 && info.height == 1080);
		check(info.encoded_ns == info.flip_ns + 1 && info.send_ns >= info.encoded_ns);
		check(info.send_ns <= now_ns() && info.dropped == 0 && info.refine == 0);
		check_int(peer_expect_unit(fd, 3, NULL), ==, i);
	}
	(void)close_fd(fd);
	fixture_stop(&f);
}

static void expect_position(int fd, int32_t x, int32_t y, bool visible) {
	struct hxfr_cursor_position p;
	struct message m;
	peer_expect(fd, HXFR_CURSOR_POSITION, HXFR_CURSOR_POSITION_SIZE, &m);
	check_ok(hxfr_decode_cursor_position(m.payload, HXFR_CURSOR_POSITION_SIZE, &p));
	check_int(p.scanout_id, ==, 2);
	check_int(p.x, ==, x);
	check_int(p.y, ==, y);
	check_int(p.visible, ==, visible);
}

static void expect_image(int fd, uint32_t side, int32_t x, int32_t y) {
	struct hxfr_cursor_image image;
	const uint8_t *pixels;
	struct message m;
	uint32_t size = HXFR_CURSOR_IMAGE_SIZE + 4 * side * side;
	peer_expect(fd, HXFR_CURSOR_IMAGE, size, &m);
	check_int(hxfr_decode_cursor_image(m.payload, size, &image, &pixels), ==, size);
	check_int(image.scanout_id, ==, 2);
	check_int(image.visible, ==, side != 0);
	check(image.width == side && image.height == side && image.x == x && image.y == y);
	for (uint32_t i = 0; i < 4 * side * side; i++) {
		check_int(pixels[i], ==, i & 0xff);
	}
}

static struct cursor_image *make_cursor(uint32_t side) {
	struct cursor_image *image = cursor_image_create(side, side);
	for (uint32_t i = 0; i < 4 * side * side; i++) {
		image->bgra[i] = (uint8_t)i;
	}
	return image;
}

TEST(cursor_is_sent_to_those_who_asked) {
	fixture_start(&f, 16);
	int fd = peer_connect(&f, 0), plain = peer_connect(&f, 0), late = peer_connect(&f, 0);
	peer_subscribe(plain, 2);
	peer_hello(fd, HXFR_FEATURE_CURSOR);
	peer_subscribe(fd, 2);
	expect_image(fd, 0, 0, 0); /* there is none yet */
	server_post_cursor(f.server, 2, make_cursor(64), 10, 20);
	expect_image(fd, 64, 10, 20);
	server_post_cursor(f.server, 7, make_cursor(64), 1, 1); /* of another scanout */
	server_post_cursor_position(f.server, 2, 11, (uint32_t)-21);
	expect_position(fd, 11, -21, true);
	/* The present one comes right after SUBSCRIBE_RESP. */
	peer_hello(late, HXFR_FEATURE_CURSOR);
	peer_subscribe(late, 2);
	expect_image(late, 64, 11, -21);
	server_post_cursor(f.server, 2, NULL, 0, 0);
	expect_image(fd, 0, 0, 0);
	expect_image(late, 0, 0, 0);
	server_post_cursor_position(f.server, 2, 5, 6);
	expect_position(fd, 5, 6, false);
	peer_expect_silence(plain, 20);
	(void)close_fd(fd);
	(void)close_fd(plain);
	(void)close_fd(late);
	fixture_stop(&f);
}

/* Positions that a client did not take in time are replaced, not queued. */
TEST(cursor_positions_do_not_pile_up) {
	fixture_start(&f, 16);
	int fd = peer_connect(&f, 16384);
	peer_hello(fd, HXFR_FEATURE_CURSOR);
	peer_subscribe(fd, 2);
	expect_image(fd, 0, 0, 0);
	fixture_post(&f, 2, true, 8 << 20);
	sleep_ms(50);
	for (uint32_t i = 1; i <= 1000; i++) {
		server_post_cursor(f.server, 2, make_cursor(1 + i % 64), i, i);
		server_post_cursor_position(f.server, 2, i, i + 1);
		if (i % 100 == 0) {
			sleep_ms(1);
		}
	}
	sleep_ms(100);
	(void)peer_expect_unit(fd, 2, NULL);
	expect_image(fd, 1 + 1000 % 64, 1000, 1001);
	peer_expect_silence(fd, 50);
	(void)close_fd(fd);
	fixture_stop(&f);
}

static void expect_state(int fd, uint32_t id, uint32_t subscribers) {
	struct hxfr_scanout_state s;
	struct message m;
	peer_expect(fd, HXFR_SCANOUT_STATE, HXFR_SCANOUT_STATE_SIZE, &m);
	check_ok(hxfr_decode_scanout_state(m.payload, HXFR_SCANOUT_STATE_SIZE, &s));
	check_int(s.scanout_id, ==, id);
	check_int(s.subscribers, ==, subscribers);
	check_int(s.flags & HXFR_STATE_ENABLED, ==, f.state[id].enabled);
	check(s.width == f.state[id].width && s.height == f.state[id].height);
	check(s.refresh == f.state[id].refresh && s.generation == f.state[id].generation);
}

TEST(states_are_sent_at_hello_and_on_change) {
	fixture_start(&f, 16);
	f.state[3] = (struct scanout_state){true, 1920, 1080, 60, 2};
	int fd = peer_connect(&f, 0);
	peer_hello(fd, HXFR_FEATURE_STATE);
	for (uint32_t i = 0; i < 16; i++) {
		expect_state(fd, i, 0);
	}
	f.state[4] = (struct scanout_state){true, 1280, 720, 30, 3};
	server_post_scanout_state(f.server, 4);
	expect_state(fd, 4, 0);
	int viewer = peer_connect(&f, 0);
	peer_subscribe(viewer, 4);
	expect_state(fd, 4, 1);
	(void)close_fd(viewer);
	expect_state(fd, 4, 0);
	peer_expect_silence(fd, 50);
	(void)close_fd(fd);
	fixture_stop(&f);
}

static uint32_t expect_stats(int fd, uint32_t first, struct hxfr_stats *ret_last) {
	struct hxfr_stats_resp resp;
	struct message m;
	check(peer_receive(fd, &m));
	check_int(m.header.type, ==, HXFR_STATS_RESP);
	uint32_t size = m.header.payload_size;
	check_ok(hxfr_decode_stats_resp(m.payload, size, &resp));
	check_int(resp.entry_size, ==, HXFR_STATS_ENTRY_SIZE);
	check_int(size, ==, HXFR_STATS_RESP_SIZE + resp.count * resp.entry_size);
	for (uint32_t i = 0; i < resp.count; i++) {
		check_ok(hxfr_decode_stats(m.payload + HXFR_STATS_RESP_SIZE + i * resp.entry_size,
			resp.entry_size, ret_last));
		check_int(ret_last->scanout_id, ==, first + i);
		check(ret_last->flips == 1 && ret_last->convert_ns == 8 && ret_last->torn == 10);
		check_int(ret_last->encode_ns, ==, ret_last->scanout_id);
	}
	return resp.count;
}

TEST(statistics_are_sent_on_request) {
	fixture_start(&f, 16);
	f.idr_size = 1000;
	int fd = peer_connect(&f, 0);
	struct hxfr_stats stats;
	peer_hello(fd, HXFR_FEATURE_STATS);
	peer_send_id(fd, HXFR_STATS_REQ, HXFR_STATS_ALL);
	check_int(expect_stats(fd, 0, &stats), ==, 16);
	peer_subscribe(fd, 9);
	(void)peer_expect_unit(fd, 9, NULL);
	peer_send_id(fd, HXFR_STATS_REQ, 9);
	check_int(expect_stats(fd, 9, &stats), ==, 1);
	check(stats.watching == 1 && stats.ready == 1 && stats.sent_units == 1);
	check(stats.sent_bytes == 1000 && stats.dropped_units == 0);
	peer_send_id(fd, HXFR_STATS_REQ, 16);
	check_int(expect_stats(fd, 0, &stats), ==, 0);
	(void)close_fd(fd);
	fixture_stop(&f);
}
