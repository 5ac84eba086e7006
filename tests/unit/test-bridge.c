/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Parts of desktop-bridge without I/O: viewer queues, rates, init, the handshake's checks, files. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "http-files.h"
#include "http-upgrade.h"
#include "init.h"
#include "rate.h"
#include "test.h"
#include "util.h"
#include "viewer-queue.h"

#define MS NSEC_PER_MSEC

static uint64_t now = 1000 * NSEC_PER_SEC;

static void offer(struct viewer_queue *q, unsigned at_ms, bool keyframe, size_t size, bool alone) {
	struct unit *u = unit_create((const uint8_t *)"", 0, keyframe);
	check(u);
	u->size = size; /* never read here */
	u->pts_us = 5000000 + at_ms * 1000u;
	viewer_queue_offer(q, u, alone, now + at_ms * MS);
	unit_unref(u);
}

/* What is sent next: its pts in ms, -1 for nothing. `*ask`: an IDR is asked for behind it. */
static int send_next(struct viewer_queue *q, unsigned at_ms, bool *ask) {
	struct unit *u = viewer_queue_take(q, now + at_ms * MS);
	int pts = u ? (int)(u->pts_us / 1000 - 5000) : -1;
	if (u) {
		bool asks = viewer_queue_sent(q, u->keyframe, now + at_ms * MS);
		if (ask) {
			*ask = asks;
		}
		unit_unref(u);
	}
	return pts;
}

/* What decoders are promised: once it is there, nothing is changed. */
TEST(keyframes_promise_order) {
	static const uint8_t plain[] = {0, 0, 0, 1, 0x67, 0x42, 0x00, 0x0a, 0xda, 0x79, 0, 0, 0, 1,
		0x68, 0xce, 0x38, 0x80, 0, 0, 0, 1, 0x65, 0x88, 0x84};
	struct unit *other = unit_create(plain, sizeof(plain), false);
	struct unit *u = unit_create(plain, sizeof(plain), true);
	check(other && u);
	check_int(other->size, ==, sizeof(plain));
	check_int(memcmp(other->data, plain, sizeof(plain)), ==, 0);
	check_int(u->size, >, sizeof(plain));
	check_int(u->data[6], ==, 0x10); /* constraint_set3_flag */
	check_int(memcmp(u->data + u->size - 15, plain + 10, 15), ==, 0);
	struct unit *again = unit_create(u->data, u->size, true);
	check(again);
	check_int(again->size, ==, u->size);
	check_int(memcmp(again->data, u->data, u->size), ==, 0);
	unit_unref(other);
	unit_unref(u);
	unit_unref(again);
	/* Not a stream at all. */
	u = unit_create((const uint8_t *)"\0\0\1\x67", 4, true);
	check(u);
	unit_unref(u);
}

TEST(queue_begins_with_an_idr) {
	struct viewer_queue q;
	viewer_queue_init(&q, 200 * MS);
	offer(&q, 0, false, 10, true);
	check_int(send_next(&q, 0, NULL), ==, -1);
	offer(&q, 16, true, 10, true);
	offer(&q, 33, false, 10, true);
	check_int(send_next(&q, 33, NULL), ==, 16);
	check_int(send_next(&q, 33, NULL), ==, 33);
	check_int(send_next(&q, 33, NULL), ==, -1);
	check_int(q.skipped, ==, 0);
	viewer_queue_finish(&q);
}

/* Behind by more than the bound: all of it goes, and nothing comes before an IDR. */
TEST(queue_overflow_waits_for_an_idr) {
	struct viewer_queue q;
	bool ask = false;
	viewer_queue_init(&q, 200 * MS);
	offer(&q, 0, true, 10, true);
	struct unit *sending = viewer_queue_take(&q, now);
	check(sending);
	check(!viewer_queue_sent(&q, true, now + 1 * MS)); /* the IDR was quick: no grace */
	unit_unref(sending);
	for (unsigned t = 10; t <= 220; t += 10) {
		offer(&q, t, false, 10, true);
	}
	check_int(q.state, ==, VIEWER_STALLED);
	check_int(q.n, ==, 0);
	check_int(q.skipped, ==, 22);
	check_int(q.stalls, ==, 1);
	/* An IDR that comes by while it still sends is not taken: it would wait, too. */
	offer(&q, 230, true, 10, true);
	check_int(q.n, ==, 0);
	ask = viewer_queue_sent(&q, false, now + 300 * MS);
	check(ask);
	check_int(q.state, ==, VIEWER_WAITING);
	offer(&q, 310, false, 10, true);
	check_int(q.n, ==, 0);
	offer(&q, 320, true, 10, true);
	check_int(send_next(&q, 321, NULL), ==, 320);
	viewer_queue_finish(&q);
}

/* A large IDR takes long on a narrow link; what comes behind it may wait as long again. */
TEST(queue_grace_of_an_idr) {
	struct viewer_queue q;
	viewer_queue_init(&q, 200 * MS);
	offer(&q, 0, true, 300000, true);
	struct unit *idr = viewer_queue_take(&q, now);
	check(idr);
	for (unsigned t = 20; t <= 600; t += 20) {
		offer(&q, t, false, 10, true);
	}
	check_int(q.state, ==, VIEWER_STREAMING);
	check_int(q.n, ==, 30);
	check(!viewer_queue_sent(&q, true, now + 600 * MS));
	unit_unref(idr);
	offer(&q, 1100, false, 10, true);
	check_int(q.state, ==, VIEWER_STREAMING);
	offer(&q, 1300, false, 10, true);
	check_int(q.state, ==, VIEWER_STALLED);
	viewer_queue_finish(&q);
}

/* Who is not alone rests longer with each stall, and is forgiven after 5 s of streaming. */
TEST(queue_rests_spare_the_others) {
	struct viewer_queue q;
	unsigned t = 0, rests[3] = {0};
	viewer_queue_init(&q, 200 * MS);
	for (unsigned i = 0; i < 3; i++) {
		offer(&q, t, true, 10, false);
		(void)send_next(&q, t, NULL);
		for (unsigned k = 1; k < 30; k++) {
			offer(&q, t + 10 * k, false, 10, false);
		}
		check_int(q.state, ==, VIEWER_STALLED);
		t += 300;
		check(!viewer_queue_sent(&q, false, now + t * MS));
		check_int(q.state, ==, VIEWER_RESTING);
		rests[i] = (unsigned)((viewer_queue_wake_ns(&q) - (now + t * MS)) / MS);
		check(!viewer_queue_wake(&q, viewer_queue_wake_ns(&q) - 1));
		t += rests[i];
		check(viewer_queue_wake(&q, now + t * MS));
		check_int(q.state, ==, VIEWER_WAITING);
	}
	check_int(rests[0], ==, 500);
	check_int(rests[1], ==, 1000);
	check_int(rests[2], ==, 2000);
	offer(&q, t, true, 10, false);
	(void)send_next(&q, t, NULL);
	t += 5100;
	for (unsigned k = 1; k < 30; k++) {
		offer(&q, t + 10 * k, false, 10, false);
	}
	check(viewer_queue_sent(&q, false, now + (t + 300) * MS));
	check_int(q.state, ==, VIEWER_WAITING);
	viewer_queue_finish(&q);
}

/* Somebody else's IDR ends a rest. */
TEST(queue_takes_any_idr_while_resting) {
	struct viewer_queue q;
	viewer_queue_init(&q, 100 * MS);
	offer(&q, 0, true, 10, false);
	(void)send_next(&q, 0, NULL);
	for (unsigned k = 1; k < 20; k++) {
		offer(&q, 10 * k, false, 10, false);
	}
	check(!viewer_queue_sent(&q, false, now + 200 * MS));
	check_int(q.state, ==, VIEWER_RESTING);
	offer(&q, 210, true, 10, false);
	check_int(q.state, ==, VIEWER_STREAMING);
	check_int(send_next(&q, 211, NULL), ==, 210);
	viewer_queue_finish(&q);
}

TEST(queue_pause_and_gap) {
	struct viewer_queue q;
	viewer_queue_init(&q, 200 * MS);
	offer(&q, 0, true, 10, true);
	check(!viewer_queue_pause(&q, true));
	check_int(send_next(&q, 1, NULL), ==, -1);
	offer(&q, 10, true, 10, true);
	check_int(q.n, ==, 0);
	check(viewer_queue_pause(&q, false));
	check(!viewer_queue_pause(&q, false));
	offer(&q, 20, true, 10, true);
	check(viewer_queue_lost(&q));
	check(!viewer_queue_lost(&q));
	offer(&q, 30, false, 10, true);
	check_int(q.n, ==, 0);
	viewer_queue_finish(&q);
}

/* Bytes and units bound the queue, too; but one unit alone is never too large. */
TEST(queue_bounds) {
	struct viewer_queue q;
	viewer_queue_init(&q, 100000 * MS);
	offer(&q, 0, true, 50 << 20, true);
	check_int(send_next(&q, 1, NULL), ==, 0);
	offer(&q, 2, false, 4 << 20, true);
	check_int(q.n, ==, 1);
	offer(&q, 3, false, 1, true);
	check_int(q.state, ==, VIEWER_STALLED);
	viewer_queue_finish(&q);
	viewer_queue_init(&q, 100000 * MS);
	offer(&q, 0, true, 1, true);
	for (unsigned i = 1; i < VIEWER_QUEUE_UNITS; i++) {
		offer(&q, i, false, 1, true);
	}
	check_int(q.n, ==, VIEWER_QUEUE_UNITS);
	offer(&q, 999, false, 1, true);
	check_int(q.n, ==, 0);
	viewer_queue_finish(&q);
}

/* A link of `bits_per_s` that is always busy, for `ms`. */
static uint64_t run_link(
	struct rate *r, uint64_t *t, uint64_t sent, unsigned bits_per_s, unsigned ms, bool busy) {
	for (unsigned i = 0; i < ms; i += 50) {
		*t += 50 * MS;
		sent += bits_per_s / 8 / 20;
		(void)rate_update(r, sent, busy, *t);
	}
	return sent;
}

TEST(rate_follows_the_link) {
	struct rate r;
	uint64_t t = now, sent = 0;
	rate_init(&r, RATE_UNBOUND, t);
	sent = run_link(&r, &t, sent, 5000000, 2000, false);
	check_int(rate_of(&r), ==, RATE_UNBOUND);
	sent = run_link(&r, &t, sent, 2000000, 2000, true);
	check_int(rate_of(&r), >, 1600000);
	check_int(rate_of(&r), <, 1750000);
	/* It gets worse: at once; better: step by step. */
	sent = run_link(&r, &t, sent, 500000, 1100, true);
	check_int(rate_of(&r), <, 450000);
	sent = run_link(&r, &t, sent, 400000, 3500, false);
	uint32_t first = rate_of(&r);
	check_int(first, >, 450000);
	check_int(first, <, 550000);
	(void)run_link(&r, &t, sent, 400000, 200000, false);
	check_int(rate_of(&r), ==, RATE_UNBOUND);
}

/* A page that takes nothing for a moment: what its link carried before is soon tried again. */
TEST(rate_gets_over_a_hiccup) {
	struct rate r;
	for (unsigned ms = 400; ms <= 1500; ms += 100) {
		uint64_t t = now, sent = 0;
		rate_init(&r, RATE_UNBOUND, t);
		sent = run_link(&r, &t, sent, 36000000, 3000, false);
		sent = run_link(&r, &t, sent, 0, ms, true);
		sent = run_link(&r, &t, sent, 150000, 2500, false);
		check(rate_of(&r) == RATE_UNBOUND || rate_of(&r) > 30000000);
	}
}

/* A link that is narrow from now on: it is tried once, and no more after that. */
TEST(rate_tries_a_narrow_link_once) {
	struct rate r;
	uint64_t t = now, sent = 0;
	unsigned tries = 0;
	rate_init(&r, RATE_UNBOUND, t);
	sent = run_link(&r, &t, sent, 36000000, 3000, false);
	for (unsigned i = 0; i < 600; i++) {
		bool over = rate_of(&r) == RATE_UNBOUND || rate_of(&r) > 1100000;
		tries += over && rate_of(&r) > 2000000;
		sent = run_link(&r, &t, sent, over ? 1000000 : rate_of(&r), 50, over);
	}
	check_int(tries, <=, 2 * 12); /* 50 ms each: the beginning, and once more */
	check_int(rate_of(&r), <, 1200000);
}

TEST(rate_wish_is_a_bound) {
	struct rate r;
	uint64_t t = now;
	rate_init(&r, 1000000, t);
	check_int(rate_of(&r), ==, 1000000);
	(void)run_link(&r, &t, 0, 400000, 2000, true);
	check_int(rate_of(&r), <, 400000);
	rate_init(&r, 100000, t);
	check_int(rate_of(&r), ==, 100000);
}

static int parse_init(const char *text, struct viewer_init *ret) {
	return init_parse(text, strlen(text), ret);
}

TEST(init) {
	struct viewer_init init;
	check_ok(
		parse_init("{\"type\":\"init\",\"session_id\":\"ses\",\"client_unique_id\":\"tab\","
			   "\"width\":1920,\"height\":1080,\"fps\":30,\"bitrate\":20000,"
			   "\"user_name\":\"Ann\",\"user_retry\":true,\"host_id\":0,"
			   "\"extensions\":[\"frame-times\",7,\"unknown\"]}",
			&init));
	check_str(init.session_id, "ses");
	check_str(init.client_id, "tab");
	check_str(init.user_name, "Ann");
	check_int(init.width, ==, 1920);
	check_int(init.height, ==, 1080);
	check_int(init.fps, ==, 30);
	check_int(init.bitrate, ==, 20000000);
	check_int(init.extensions, ==, INIT_FRAME_TIMES);
	check(init.user_retry);
	check_ok(parse_init("{\"type\":\"init\"}", &init));
	check_str(init.user_name, "User");
	check_int(init.width, ==, 0);
	check_int(init.fps, ==, 60);
	check_int(init.bitrate, ==, 0);
	/* Numbers that are none, or out of range; a text with a NUL. */
	check_ok(parse_init("{\"type\":\"init\",\"width\":-1,\"height\":1e9,\"fps\":\"x\","
			    "\"bitrate\":1e300,\"session_id\":\"a\\u0041\"}",
		&init));
	check_int(init.width, ==, 0);
	check_int(init.height, ==, 65535);
	check_int(init.bitrate, ==, 1000000000);
	check_int(parse_init("{\"type\":\"init\",\"session_id\":\"a\\u0000b\"}", &init), ==,
		-EBADMSG);
	check_int(parse_init("{\"type\":\"hello\"}", &init), ==, -EBADMSG);
	check_int(parse_init("[\"init\"]", &init), ==, -EBADMSG);
	check_int(parse_init("{\"type\":\"init\"", &init), ==, -EBADMSG);
	check_int(parse_init("", &init), ==, -EBADMSG);
	bool enabled = true;
	check_ok(control_parse("{\"set_video_enabled\":false}", 27, &enabled));
	check(!enabled);
	check_int(control_parse("{\"set_mic_enabled\":true}", 24, &enabled), ==, -ENODATA);
	check_int(control_parse("[]", 2, &enabled), ==, -EBADMSG);
}

TEST(accept_key) {
	char accept[HTTP_ACCEPT_SIZE];
	/* The example of RFC 6455, section 1.3. */
	check_ok(http_accept_key("dGhlIHNhbXBsZSBub25jZQ==", accept));
	check_str(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
	check_int(http_accept_key("", accept), ==, -EBADMSG);
	check_int(http_accept_key("dGhlIHNhbXBsZSBub25jZQ=", accept), ==, -EBADMSG);
	check_int(http_accept_key("dGhlIHNhbXBsZSBub25jZQ==x", accept), ==, -EBADMSG);
	check_int(http_accept_key("dGhlIHNhbXBsZSBub25jZQxx", accept), ==, -EBADMSG);
	check_int(http_accept_key("????????????????????????", accept), ==, -EBADMSG);
}

TEST(header_lists) {
	check(http_list_has("keep-alive, Upgrade", "upgrade"));
	check(http_list_has("WebSocket", "websocket"));
	check(!http_list_has("upgrades", "upgrade"));
	check(!http_list_has("", "upgrade"));
	check(!http_list_has(NULL, "upgrade"));
}

TEST(origins) {
	static const char *const ours[] = {"https://view.example"};
	static const char *const any[] = {"*"};
	check(http_origin_allowed(NULL, "h:1", NULL, 0));
	check(http_origin_allowed("http://h:1", "h:1", NULL, 0));
	check(http_origin_allowed("http://H:1", "h:1", NULL, 0));
	check(!http_origin_allowed("http://h:2", "h:1", NULL, 0));
	check(!http_origin_allowed("http://h:1.evil", "h:1", NULL, 0));
	check(!http_origin_allowed("null", "h:1", NULL, 0));
	check(!http_origin_allowed("", "h:1", NULL, 0));
	check(!http_origin_allowed("http://", "", NULL, 0));
	check(http_origin_allowed("https://view.example", "h:1", ours, 1));
	check(!http_origin_allowed("https://view.example.evil", "h:1", ours, 1));
	check(http_origin_allowed("https://evil", "h:1", any, 1));
}

static void write_file(const char *dir, const char *name, const char *text) {
	char path[256];
	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	FILE *f = fopen(path, "we");
	check(f && fputs(text, f) >= 0);
	check_int(fclose(f), ==, 0);
}

static int open_at(const char *root, const char *path) {
	uint64_t size, mtime;
	int fd = file_open_below(root, path, &size, &mtime);
	if (fd >= 0) {
		(void)close_fd(fd);
		return (int)size;
	}
	return fd;
}

TEST(files_below_the_root_only) {
	char dir[] = "/tmp/helix-test-XXXXXX", root[64], path[128];
	check(mkdtemp(dir));
	(void)snprintf(root, sizeof(root), "%s/web", dir);
	check_int(mkdir(root, 0700), ==, 0);
	(void)snprintf(path, sizeof(path), "%s/js", root);
	check_int(mkdir(path, 0700), ==, 0);
	write_file(dir, "secret", "no");
	write_file(root, "index.html", "page");
	write_file(root, ".hidden", "no");
	write_file(root, "js/a.js", "12345");
	(void)snprintf(path, sizeof(path), "%s/link", root);
	check_int(symlink("../secret", path), ==, 0);
	(void)snprintf(path, sizeof(path), "%s/out", root);
	check_int(symlink("..", path), ==, 0);
	(void)snprintf(path, sizeof(path), "%s/pipe", root);
	check_int(mkfifo(path, 0600), ==, 0);

	check_int(open_at(root, "/"), ==, 4);
	check_int(open_at(root, "/index.html"), ==, 4);
	check_int(open_at(root, "/js/a.js"), ==, 5);
	check_int(open_at(root, "//js//a.js"), ==, 5);
	check_int(open_at(root, "/js"), ==, -ENOENT); /* without an index */
	static const char *const bad[] = {"/../secret", "/js/../../secret", "/js/../index.html",
		"/.hidden", "/.", "/..", "/link", "/out/secret", "/nothing", "/index.html/x",
		"/pipe", "/js/..//../secret"};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (open_at(root, bad[i]) >= 0) {
			fail("%s is served", bad[i]);
		}
	}
	check_int(open_at("/nonexistent", "/"), ==, -ENOENT);
	check_str(file_type("/a/b.JS"), "text/javascript; charset=utf-8");
	check_str(file_type("/a/b.html"), "text/html; charset=utf-8");
	check_str(file_type("/html"), "application/octet-stream");
	(void)snprintf(path, sizeof(path), "rm -rf %s", dir);
	check_int(system(path), ==, 0);
}
