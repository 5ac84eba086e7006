/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Leases and their tokens in the HXFR server. */
#include <unistd.h>

#include "proto/hxfr.h"
#include "server-fixture.h"
#include "test.h"

static const struct access_config required = {
	.require_token = true, .has_key = true, .key = {1, 2, 3, 4, 5, 6, 7, 8}};

static void send_encoded(int fd, const uint8_t *buf, ssize_t n) {
	check(n > 0);
	peer_send(fd, buf, (size_t)n);
}

static bool authenticate(int fd, const uint8_t key[HXFR_TOKEN_SIZE]) {
	uint8_t buf[64];
	struct message m;
	uint32_t success;
	send_encoded(fd, buf, hxfr_encode_authenticate(buf, sizeof(buf), key));
	peer_expect(fd, HXFR_AUTHENTICATE_RESP, HXFR_AUTHENTICATE_RESP_SIZE, &m);
	check(hxfr_decode_authenticate_resp(m.payload, m.header.payload_size, &success) > 0);
	return success;
}

/* Of scanout `id`; `token` NULL: a new one. */
static bool begin_lease(int fd, uint32_t id, const uint8_t *token, struct hxfr_lease_resp *ret) {
	uint8_t buf[128];
	struct message m;
	struct hxfr_enable_lease msg = {.scanout = {id, 800, 600, 60}};
	if (token) {
		memcpy(msg.token, token, sizeof(msg.token));
	}
	send_encoded(fd, buf, hxfr_encode_enable_lease(buf, sizeof(buf), 7, &msg));
	peer_expect(fd, HXFR_LEASE_RESP, HXFR_LEASE_RESP_SIZE, &m);
	check_int(m.header.session_id, ==, 7);
	check(hxfr_decode_lease_resp(m.payload, m.header.payload_size, ret) > 0);
	check_int(ret->scanout.scanout_id, ==, id);
	return ret->scanout.success;
}

static void show(int fd, uint32_t id, const uint8_t token[HXFR_TOKEN_SIZE]) {
	uint8_t buf[128];
	struct hxfr_show_token msg = {.scanout_id = id};
	memcpy(msg.token, token, sizeof(msg.token));
	send_encoded(fd, buf, hxfr_encode_show_token(buf, sizeof(buf), 0, &msg));
}

static bool subscribe(int fd, uint32_t id) {
	struct message m;
	struct hxfr_subscribe_resp r;
	peer_send_id(fd, HXFR_SUBSCRIBE, id);
	peer_expect(fd, HXFR_SUBSCRIBE_RESP, HXFR_SUBSCRIBE_RESP_SIZE, &m);
	check(hxfr_decode_subscribe_resp(m.payload, m.header.payload_size, &r) > 0);
	return r.success;
}

static bool plain(int fd, enum hxfr_type type, uint32_t id) {
	uint8_t buf[64];
	struct message m;
	struct hxfr_scanout_resp r;
	if (type == HXFR_DISABLE_SCANOUT) {
		peer_send_id(fd, type, id);
	} else {
		struct hxfr_enable_scanout msg = {id, 640, 480, 60};
		send_encoded(fd, buf, hxfr_encode_enable_scanout(buf, sizeof(buf), 0, &msg));
	}
	peer_expect(fd, HXFR_SCANOUT_RESP, HXFR_SCANOUT_RESP_SIZE, &m);
	check(hxfr_decode_scanout_resp(m.payload, m.header.payload_size, &r) > 0);
	return r.success;
}

static void send_config(int fd, uint32_t bitrate) {
	uint8_t buf[64];
	struct hxfr_config_req msg = {.bitrate = bitrate};
	send_encoded(fd, buf, hxfr_encode_config_req(buf, sizeof(buf), &msg));
}

/* What was sent before has been handled. */
static void sync_with(int fd) {
	struct message m;
	peer_send_header(fd, HXFR_PING, 0, 0);
	peer_expect(fd, HXFR_PONG, 0, &m);
}

static bool is_zero(const uint8_t token[HXFR_TOKEN_SIZE]) {
	static const uint8_t none[HXFR_TOKEN_SIZE];
	return memcmp(token, none, sizeof(none)) == 0;
}

/* Without the option everything is as with servers that know no tokens. */
TEST(nothing_is_required_by_default) {
	struct fixture f;
	struct hxfr_lease_resp lease;
	fixture_start(&f, 8);
	int fd = peer_connect(&f, 0);
	check(plain(fd, HXFR_ENABLE_SCANOUT, 3));
	check(begin_lease(fd, 4, NULL, &lease));
	check(!is_zero(lease.token));
	check_str(lease.scanout.connector, "Virtual-5");
	check(subscribe(fd, 4));
	check(plain(fd, HXFR_DISABLE_SCANOUT, 4));
	/* There is no key to be shown. */
	check(!authenticate(fd, required.key));
	(void)close(fd);
	fixture_stop(&f);
}

TEST(only_the_manager_switches) {
	struct fixture f;
	struct hxfr_lease_resp lease;
	uint8_t wrong[HXFR_TOKEN_SIZE];
	fixture_start_with(&f, 8, &required);
	int fd = peer_connect(&f, 0), manager = peer_connect(&f, 0);
	memcpy(wrong, required.key, sizeof(wrong));
	wrong[31] ^= 1;
	check(!plain(fd, HXFR_ENABLE_SCANOUT, 3));
	check(!authenticate(fd, wrong));
	check(!plain(fd, HXFR_ENABLE_SCANOUT, 3));
	check(!plain(fd, HXFR_DISABLE_SCANOUT, 3));
	check(!begin_lease(fd, 3, NULL, &lease));
	check(is_zero(lease.token));
	check_int(f.n_enabled + f.n_disabled, ==, 0);

	check(authenticate(manager, required.key));
	check(begin_lease(manager, 3, NULL, &lease));
	check(plain(manager, HXFR_DISABLE_SCANOUT, 3));
	check(!begin_lease(manager, 0, NULL, &lease));
	check_int(f.n_enabled, ==, 1);
	check_int(f.n_disabled, ==, 1);
	(void)close(fd);
	(void)close(manager);
	fixture_stop(&f);
}

TEST(only_the_holder_watches) {
	struct fixture f;
	struct hxfr_lease_resp a, b;
	fixture_start_with(&f, 8, &required);
	int manager = peer_connect(&f, 0), fd = peer_connect(&f, 0);
	check(authenticate(manager, required.key));
	check(begin_lease(manager, 1, NULL, &a));
	check(begin_lease(manager, 2, NULL, &b));
	check(memcmp(a.token, b.token, sizeof(a.token)) != 0);

	check(!subscribe(fd, 1));
	show(fd, 1, b.token); /* another's */
	check(!subscribe(fd, 1));
	show(fd, 2, a.token);
	check(!subscribe(fd, 1));
	check_int(fixture_watching(&f, 1), ==, 0);
	show(fd, 1, a.token);
	check(subscribe(fd, 1));
	check(!subscribe(fd, 2));
	check(subscribe(fd, 1));
	fixture_await(&f, fixture_watching, 1, 1);

	/* What is not leased has no holder: the console. */
	int other = peer_connect(&f, 0);
	check(subscribe(other, 0));
	check(subscribe(manager, 2));
	(void)close(other);
	(void)close(fd);
	(void)close(manager);
	fixture_stop(&f);
}

TEST(config_and_keyframe_are_the_holders) {
	struct fixture f;
	struct hxfr_lease_resp a;
	bool keyframe;
	fixture_start_with(&f, 8, &required);
	int manager = peer_connect(&f, 0), fd = peer_connect(&f, 0);
	check(authenticate(manager, required.key));
	check(begin_lease(manager, 1, NULL, &a));
	show(fd, 1, a.token);
	check(subscribe(fd, 1));
	send_config(fd, 1000000);
	sync_with(fd);
	check_int(f.bitrate[1], ==, 1000000);
	fixture_post(&f, 1, true, 100);
	(void)peer_expect_unit(fd, 1, &keyframe);

	/* It changes its mind about the token: then it is nobody any more. */
	show(fd, 1, required.key);
	send_config(fd, 2000000);
	unsigned n = fixture_n_idr(&f, 1);
	peer_send_header(fd, HXFR_KEYFRAME_REQ, 0, 0);
	sync_with(fd);
	check_int(f.bitrate[1], ==, 1000000);
	check_int(fixture_n_idr(&f, 1), ==, n);
	(void)close(fd);
	(void)close(manager);
	fixture_stop(&f);
}

/* Scenario: a viewer of the last lease, and one who came before there was any. */
TEST(viewers_of_the_past_are_cut_off) {
	struct fixture f;
	struct hxfr_lease_resp a, b;
	fixture_start_with(&f, 8, &required);
	int manager = peer_connect(&f, 0), early = peer_connect(&f, 0), fd = peer_connect(&f, 0);
	check(subscribe(early, 1));
	check(authenticate(manager, required.key));
	check(begin_lease(manager, 1, NULL, &a));
	peer_expect_end(early);

	show(fd, 1, a.token);
	check(subscribe(fd, 1));
	/* A resize, or an exporter that was restarted: the same lease. */
	check(begin_lease(manager, 1, a.token, &b));
	check(memcmp(a.token, b.token, sizeof(a.token)) == 0);
	sync_with(fd);
	check(plain(manager, HXFR_DISABLE_SCANOUT, 1));
	check(begin_lease(manager, 1, NULL, &b));
	check(memcmp(a.token, b.token, sizeof(a.token)) != 0);
	peer_expect_end(fd);
	(void)close(early);
	(void)close(fd);
	(void)close(manager);
	fixture_stop(&f);
}
