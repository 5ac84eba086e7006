/* SPDX-License-Identifier: GPL-2.0-or-later */
/* desktop-bridge on a pattern: what viewers are sent, in which order, and that it decodes. */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "proto/ws-messages.h"
#include "rig.h"
#include "test.h"
#include "util.h"

static void expect_text(struct ws_client *c, const char *prefix) {
	struct ws_message m;
	check(ws_receive(c, &m, 5000));
	check_int(m.opcode, ==, OP_TEXT);
	check(m.size >= strlen(prefix));
	check_int(memcmp(m.data, prefix, strlen(prefix)), ==, 0);
}

TEST(order_of_the_conversation) {
	struct rig r;
	struct watch w;
	struct ws_message m;
	struct ws_stream_init init;
	struct ws_remote_user user;
	uint32_t id;
	rig_start(&r, SHOW_COUNTER, NULL);
	watch_open(&w, &r, "\"session_id\":\"s\",\"user_name\":\"Ann\",\"bitrate\":20000");
	check(ws_receive(&w.ws, &m, 5000));
	check_int(ws_decode_stream_init(m.data, m.size, &init), ==, m.size);
	check_int(init.codec, ==, WS_CODEC_H264);
	check_int(init.width, ==, 640);
	check_int(init.fps, ==, 60);
	expect_text(&w.ws, "{\"ConnectionComplete\":{\"capabilities\":{\"touch\":");
	check(ws_receive(&w.ws, &m, 5000));
	check_int(ws_decode_self_id(m.data, m.size, &id), ==, 5);
	check(ws_receive(&w.ws, &m, 5000));
	check_int(ws_decode_remote_user(m.data, m.size, &user), ==, m.size);
	check_int(user.client_id, ==, id);
	check_str(user.name, "Ann");
	check(watch_frame(&w, 5000));
	check(w.picture.key);
	watch_close(&w);
	rig_stop(&r);
}

/* Ten seconds of a moving picture: each frame decodes and is newer than the one before. */
TEST(every_frame_decodes) {
	struct rig r;
	struct watch w;
	uint32_t last = 0, counter, gaps = 0;
	rig_start(&r, SHOW_COUNTER, NULL);
	watch_open(&w, &r, NULL);
	uint64_t begin = now_ns();
	while (now_ns() - begin < 5 * NSEC_PER_SEC) {
		check(watch_frame(&w, 5000));
		check_ok(decode_read_counters(&w.picture, &counter));
		check(w.frames == 1 || counter >= last); /* refinements repeat it */
		gaps += w.frames > 1 && counter > last + 1;
		last = counter;
	}
	(void)printf("# %d frames, %d keyframes, %u gaps\n", (int)w.frames, (int)w.keyframes, gaps);
	check_int(w.frames, >, 100);
	check_int(w.keyframes, ==, 1);
	watch_close(&w);
	rig_stop(&r);
}

TEST(frame_times_come_before_their_frame) {
	struct rig r;
	struct watch w;
	struct ws_message m;
	rig_start(&r, SHOW_COUNTER, NULL);
	watch_open(&w, &r, "\"extensions\":[\"frame-times\"]");
	for (unsigned i = 0; i < 60; i++) {
		struct ws_frame_times t;
		struct ws_video_frame f;
		ws_expect(&w.ws, WS_FRAME_TIMES, &m, 5000);
		check_int(ws_decode_frame_times(m.data, m.size, &t), ==, m.size);
		check(ws_receive(&w.ws, &m, 5000));
		check_int(ws_decode_video_frame(m.data, m.size, &f), >, 0);
		check_int(f.pts_us, ==, t.pts_us);
		check_int(t.encoded_us, <=, t.received_us);
		check_int(t.received_us, <=, t.sent_us);
		check_int(t.sent_us, <, 5000000);
	}
	watch_close(&w);
	rig_stop(&r);
}

/* Pong: the Ping's fields, a clock that pts is on, latencies. */
TEST(pong) {
	struct rig r;
	struct watch w;
	struct ws_message m;
	struct ws_pong pong;
	uint8_t buf[16];
	rig_start(&r, SHOW_COUNTER, NULL);
	watch_open(&w, &r, NULL);
	check(watch_frame(&w, 5000));
	struct ws_ping ping = {0xDEADBEEF, 0x0102030405060708};
	ws_send(&w.ws, OP_BINARY, buf, (size_t)ws_encode_ping(buf, sizeof(buf), &ping));
	ws_expect(&w.ws, WS_PONG, &m, 5000);
	check_int(m.size, ==, WS_PONG_SIZE);
	check_int(ws_decode_pong(m.data, m.size, &pong), ==, WS_PONG_SIZE);
	check_int(pong.seq, ==, 0xDEADBEEF);
	check_int(pong.client_us, ==, 0x0102030405060708);
	check_int(llabs((int64_t)(pong.server_us - w.last_pts)), <, 5000000);
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	check_int(llabs((int64_t)pong.server_us / 1000000 - ts.tv_sec), <, 10);
	check_int(pong.pipeline_ms, <, 5000);
	/* Too short: ignored, and what follows is answered. */
	ws_send(&w.ws, OP_BINARY, "\x40\x00\x00", 3);
	ws_send(&w.ws, OP_BINARY, buf, 13);
	ws_expect(&w.ws, WS_PONG, &m, 5000);
	watch_close(&w);
	rig_stop(&r);
}

/* Those who come while it runs begin with an IDR, and those who come together share one. */
TEST(joiners_share_an_idr) {
	struct rig r;
	struct watch first, w[5];
	rig_start(&r, SHOW_COUNTER, NULL);
	watch_open(&first, &r, NULL);
	for (unsigned i = 0; i < 30; i++) {
		check(watch_frame(&first, 5000));
	}
	check_int(first.keyframes, ==, 1);
	for (unsigned i = 0; i < ARRAY_SIZE(w); i++) {
		watch_open(&w[i], &r, NULL);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(w); i++) {
		check(watch_frame(&w[i], 5000));
		check(w[i].picture.key);
	}
	for (unsigned i = 0; i < 60; i++) {
		check(watch_frame(&first, 5000));
	}
	check_int(first.keyframes, >=, 2);
	check_int(first.keyframes, <=, 3);
	for (unsigned i = 0; i < ARRAY_SIZE(w); i++) {
		watch_close(&w[i]);
	}
	watch_close(&first);
	rig_stop(&r);
}

TEST(static_screen) {
	struct rig r;
	struct watch w, late;
	rig_start(&r, SHOW_STILL, NULL);
	watch_open(&w, &r, NULL);
	check(watch_frame(&w, 5000));
	while (watch_frame(&w, 1500)) { /* until it is as good as it gets */
	}
	watch_open(&late, &r, NULL);
	check(watch_frame(&late, 5000));
	check(late.picture.key);
	watch_close(&late);
	while (watch_frame(&w, 1500)) {
	}
	/* Nothing happens: no bytes but pings, and next to no CPU. */
	uint64_t cpu = rig_cpu_ns(&r), bytes = (uint64_t)rig_metric(&r, "frame_bytes_total");
	check(!watch_frame(&w, 4000));
	cpu = rig_cpu_ns(&r) - cpu;
	(void)printf("# idle viewer: %.2f %% of a core\n", (double)cpu / 4e7);
	check_int(cpu, <, 200 * NSEC_PER_MSEC);
	check_int(rig_metric(&r, "frame_bytes_total"), ==, bytes);
	watch_close(&w);
	rig_stop(&r);
}

TEST(pause_and_resume) {
	struct rig r;
	struct watch w;
	static const char off[] = "\x20{\"set_video_enabled\":false}";
	static const char on[] = "\x20{\"set_video_enabled\":true}";
	rig_start(&r, SHOW_COUNTER, NULL);
	watch_open(&w, &r, NULL);
	check(watch_frame(&w, 5000));
	ws_send(&w.ws, OP_BINARY, off, sizeof(off) - 1);
	while (watch_frame(&w, 500)) { /* what was on its way */
	}
	uint64_t before = w.keyframes;
	ws_send(&w.ws, OP_BINARY, "\x20{", 2);
	ws_send(&w.ws, OP_BINARY, on, sizeof(on) - 1);
	check(watch_frame(&w, 5000));
	check_int(w.keyframes, ==, before + 1);
	watch_close(&w);
	rig_stop(&r);
}

/* The exporter goes away and comes back: viewers stay, and go on with an IDR. */
TEST(exporter_restarts) {
	struct rig r;
	struct watch w;
	rig_start(&r, SHOW_COUNTER, NULL);
	watch_open(&w, &r, NULL);
	check(watch_frame(&w, 5000));
	rig_stop_exporter(&r);
	while (watch_frame(&w, 600)) {
	}
	rig_restart_exporter(&r);
	uint64_t keyframes = w.keyframes;
	check(watch_frame(&w, 10000));
	check_int(w.keyframes, ==, keyframes + 1);
	for (unsigned i = 0; i < 30; i++) {
		check(watch_frame(&w, 5000));
	}
	watch_close(&w);
	rig_stop(&r);
}

/* No scanout of that number: the viewer is told, and stays. */
TEST(stream_error) {
	struct rig r;
	struct watch w;
	struct ws_message m;
	const char *text;
	size_t n;
	rig_start(&r, 77, NULL);
	watch_open(&w, &r, NULL);
	ws_expect(&w.ws, WS_STREAM_ERROR, &m, 5000);
	check_int(ws_decode_stream_error(m.data, m.size, &text, &n), ==, m.size);
	check(memmem(text, n, "scanout 77", 10));
	watch_close(&w);
	rig_stop(&r);
}

TEST(subscription_ends_after_the_grace) {
	static const char *const options[] = {"--grace", "1", NULL};
	struct rig r;
	struct watch w;
	rig_start(&r, SHOW_COUNTER, options);
	check_int(rig_metric(&r, "source_running"), ==, 0); /* nobody looks */
	watch_open(&w, &r, NULL);
	check(watch_frame(&w, 5000));
	watch_close(&w);
	sleep_ms(300);
	check_int(rig_metric(&r, "source_running"), ==, 1);
	for (unsigned ms = 0; rig_metric(&r, "source_running") > 0; ms += 50) {
		check_int(ms, <, 5000);
		sleep_ms(50);
	}
	watch_open(&w, &r, NULL);
	check(watch_frame(&w, 5000));
	watch_close(&w);
	rig_stop(&r);
}

TEST(presence) {
	struct rig r;
	struct ws_client a, b, stranger;
	struct ws_message m;
	struct ws_remote_user user;
	struct ws_remote_cursor cursor;
	struct ws_remote_touch touch;
	uint32_t id_a, id_b;
	rig_start(&r, SHOW_STILL, NULL);
	check(ws_open(&a, r.port, "/ws/stream", NULL));
	ws_send_init(
		&a, "\"session_id\":\"s\",\"user_name\":\"Ann\",\"avatar_url\":\"http://x/a.png\"");
	ws_expect(&a, WS_SELF_ID, &m, 5000);
	check_int(ws_decode_self_id(m.data, m.size, &id_a), ==, 5);
	ws_expect(&a, WS_REMOTE_USER, &m, 5000);
	check(ws_open(&stranger, r.port, "/ws/stream", NULL));
	ws_send_init(&stranger, "\"session_id\":\"other\"");
	ws_expect(&stranger, WS_REMOTE_USER, &m, 5000);
	check(ws_open(&b, r.port, "/ws/stream", NULL));
	ws_send_init(&b, "\"session_id\":\"s\",\"user_name\":\"Bob\"");
	ws_expect(&b, WS_SELF_ID, &m, 5000);
	check_int(ws_decode_self_id(m.data, m.size, &id_b), ==, 5);
	check_int(id_a, !=, id_b);
	ws_expect(&b, WS_REMOTE_USER, &m, 5000);
	check_int(ws_decode_remote_user(m.data, m.size, &user), >, 0);
	check_int(user.client_id, ==, id_b);
	ws_expect(&b, WS_REMOTE_USER, &m, 5000);
	check_int(ws_decode_remote_user(m.data, m.size, &user), >, 0);
	check_int(user.client_id, ==, id_a);
	check_str(user.avatar, "http://x/a.png");
	ws_expect(&a, WS_REMOTE_USER, &m, 5000);
	check_int(ws_decode_remote_user(m.data, m.size, &user), >, 0);
	check_str(user.name, "Bob");
	/* A thousand moves: the newest position arrives, few of the others do. */
	for (unsigned i = 1; i <= 1000; i++) {
		uint8_t move[10] = {
			0x12, 1, (uint8_t)(i >> 8), (uint8_t)i, 0, 0, 0x03, 0xE8, 0x03, 0xE8};
		ws_send(&a, OP_BINARY, move, sizeof(move));
	}
	unsigned n = 0;
	do {
		ws_expect(&b, WS_REMOTE_CURSOR, &m, 5000);
		check_int(ws_decode_remote_cursor(m.data, m.size, &cursor), ==, m.size);
		check_int(cursor.client_id, ==, id_a);
		n++;
	} while (cursor.x < 640);
	(void)printf("# %u of 1000 positions\n", n);
	uint8_t touched[11] = {0x14, 0, 3};
	ws_send(&a, OP_BINARY, touched, sizeof(touched));
	ws_expect(&b, WS_REMOTE_TOUCH, &m, 5000);
	check_int(ws_decode_remote_touch(m.data, m.size, &touch), ==, m.size);
	check_int(touch.touch_id, ==, 3);
	ws_close(&a);
	do {
		ws_expect(&b, WS_REMOTE_USER, &m, 5000);
	} while (m.data[1] != WS_USER_LEFT);
	check_int(ws_decode_remote_user(m.data, m.size, &user), ==, 6);
	check_int(user.client_id, ==, id_a);
	/* The stranger saw none of it. */
	while (ws_receive(&stranger, &m, 300)) {
		check(m.opcode != OP_BINARY || m.data[0] < WS_REMOTE_CURSOR ||
			m.data[0] > WS_REMOTE_TOUCH);
	}
	ws_close(&b);
	ws_close(&stranger);
	rig_stop(&r);
}

TEST(same_tab_takes_over) {
	struct rig r;
	struct watch a, b;
	rig_start(&r, SHOW_COUNTER, NULL);
	watch_open(&a, &r, "\"session_id\":\"s\",\"client_unique_id\":\"tab\"");
	check(watch_frame(&a, 5000));
	watch_open(&b, &r, "\"session_id\":\"s\",\"client_unique_id\":\"tab\"");
	check_int(ws_expect_close(&a.ws, 5000), ==, 4000);
	check(watch_frame(&b, 5000));
	watch_close(&a);
	watch_close(&b);
	rig_stop(&r);
}

TEST(goodbye_on_sigterm) {
	struct rig r;
	struct watch w;
	rig_start(&r, SHOW_COUNTER, NULL);
	watch_open(&w, &r, NULL);
	check(watch_frame(&w, 5000));
	check_int(kill(r.bridge, SIGTERM), ==, 0);
	check_int(ws_expect_close(&w.ws, 5000), ==, 1012);
	watch_close(&w);
	int status;
	check_int(waitpid(r.bridge, &status, 0), ==, r.bridge);
	check(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	r.bridge = 0;
	rig_stop(&r);
}
