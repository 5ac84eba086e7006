/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Many viewers, of whom some are late, slow or dead: the others must not notice. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bytes.h"
#include "capture/content.h"
#include "exporter.h"
#include "test.h"
#include "util.h"
#include "viewer.h"

#define XRGB VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM
#define OK   VIRTIO_GPU_RESP_OK_NODATA

#define DESKTOPS 15u

static struct canvas canvas_of(struct fake_screen *s, uint8_t *pixels) {
	return (struct canvas){pixels, s->width, s->height, 4 * s->width, PIXEL_ORDER_BGRA};
}

/* From connecting to a picture that shows what the screen shows. */
TEST(joining_a_static_screen_takes_less_than_200_ms) {
	struct exporter e;
	sd_event *loop;
	struct fake_screen *s;
	exporter_start(&e, NULL);
	struct frontend *fe = exporter_start_guest(&e, NULL);
	check_ok(sd_event_new(&loop));
	check_ok(fake_screen_create(fe, 0, 1920, 1080, XRGB, 1, GUEST_CONTIGUOUS, &s));
	struct canvas c = canvas_of(s, fake_screen_back(s));
	content_desktop(&c, 11);
	canvas_counters(&c, 0xcafe);
	check_int(fake_screen_flip(s, NULL, NULL), ==, OK);

	unsigned late = 0;
	struct viewer first;
	for (unsigned i = 0; i < 20; i++) {
		/* The first ten find nobody there, the others join one who stays. */
		if (i == 10) {
			viewer_open_counting(&first, &e, loop, 0);
		}
		/* IDRs are rationed: not more than a few joiners a second can be served at once. */
		loop_run_ms(loop, i < 10 ? 0 : 350);
		struct viewer v;
		uint64_t start = now_ns();
		viewer_open(&v, &e, loop, 0);
		v.reads_counters = true;
		check(loop_run_until(loop, &v.frames, 1, 2000));
		uint64_t took = now_ns() - start;
		late += took > 200 * NSEC_PER_MSEC;
		if (v.counters == 0) { /* it came with the answer to SUBSCRIBE */
			check_ok(decode_read_counters(&v.picture, &v.counter));
		}
		check_int(v.counter, ==, 0xcafe);
		double psnr = viewer_psnr(&v, c.pixels, c.order, 1920, 1080, c.stride);
		check(psnr > 32);
		fprintf(stderr, "# %.0f ms, %.1f dB\n", (double)took / 1e6, psnr);
		viewer_close(&v);
	}
	/* On a machine that has time for it none is late; on one that has not, some are. */
	check_int(late, <=, 10);
	viewer_close(&first);
	fake_screen_destroy(s);
	sd_event_unref(loop);
	frontend_destroy(fe);
	exporter_stop(&e);
}

/* A viewer in a process of its own that subscribes, then stops dead. */
static pid_t start_stopped_viewer(struct exporter *e, uint32_t scanout) {
	pid_t pid = fork();
	check(pid >= 0);
	if (pid > 0) {
		int status;
		check_int(waitpid(pid, &status, WUNTRACED), ==, pid);
		check(WIFSTOPPED(status));
		return pid;
	}
	uint8_t message[HXFR_HEADER_SIZE + HXFR_SUBSCRIBE_SIZE] = {0};
	put_le32(message, HXFR_MAGIC);
	message[4] = HXFR_SUBSCRIBE;
	put_le32(message + 8, HXFR_SUBSCRIBE_SIZE);
	put_le32(message + HXFR_HEADER_SIZE, scanout);
	struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_port = htons(e->port),
		.sin_addr = {htonl(INADDR_LOOPBACK)}};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		send(fd, message, sizeof(message), MSG_NOSIGNAL) != (ssize_t)sizeof(message)) {
		_exit(1);
	}
	(void)raise(SIGSTOP);
	_exit(0);
}

struct wall {
	struct exporter e;
	struct frontend *fe;
	sd_event *loop;
	struct fake_screen *screens[DESKTOPS + 1]; /* by scanout; 0 is not used */
	struct viewer viewers[DESKTOPS + 1];
};

static void wall_start(struct wall *w) {
	/* This process draws, and decodes for all: it must not pass for a slow client itself. */
	static const char *const args[] = {"--queue-ms", "2000", NULL};
	struct frontend_options options = {.queue_size = {256, 16}};
	exporter_start(&w->e, args);
	w->fe = exporter_start_guest(&w->e, &options);
	check_ok(sd_event_new(&w->loop));
	for (uint32_t i = 1; i <= DESKTOPS; i++) {
		check_ok(fake_screen_create(
			w->fe, i, 640, 480, XRGB, 2, GUEST_CONTIGUOUS, &w->screens[i]));
	}
}

static void wall_stop(struct wall *w) {
	for (uint32_t i = 1; i <= DESKTOPS; i++) {
		fake_screen_destroy(w->screens[i]);
		viewer_close(&w->viewers[i]);
	}
	sd_event_unref(w->loop);
	frontend_destroy(w->fe);
	exporter_stop(&w->e);
}

/* The next picture of all desktops: half of each is noise, so that sockets fill up. */
static void wall_flip(struct wall *w, uint32_t n) {
	for (uint32_t i = 1; i <= DESKTOPS; i++) {
		struct canvas c = canvas_of(w->screens[i], fake_screen_back(w->screens[i]));
		canvas_photo(&c, (struct rect){0, 120, 640, 200}, n);
		canvas_counters(&c, n);
		check_ok(fake_screen_submit(w->screens[i], NULL));
	}
	for (uint32_t i = 1; i <= DESKTOPS; i++) {
		check_int(fake_screen_finish(w->screens[i], NULL), ==, OK);
	}
}

TEST_TIMEOUT(a_stopped_and_a_slow_client_harm_nobody, 180) {
	enum {
		STOPPED = 1,
		SLOW = 2,
		FRAMES = 120
	};
	struct wall w = {0};
	wall_start(&w);
	pid_t stopped = start_stopped_viewer(&w.e, STOPPED);
	for (uint32_t i = 2; i <= DESKTOPS; i++) {
		viewer_open(&w.viewers[i], &w.e, w.loop, i);
		w.viewers[i].reads_counters = true;
	}
	decode_destroy(w.viewers[SLOW].decoder);
	w.viewers[SLOW].decoder = NULL;

	uint64_t byte_at = 0;
	for (uint32_t n = 1; n <= FRAMES; n++) {
		if (now_ns() >= byte_at) {
			hxfr_client_set_read_budget(w.viewers[SLOW].client, 1);
			byte_at = now_ns() + NSEC_PER_SEC;
		}
		wall_flip(&w, n);
		loop_run_ms(w.loop, 40);
	}
	for (uint32_t i = 3; i <= DESKTOPS; i++) {
		struct viewer *v = &w.viewers[i];
		check(viewer_run_counter(v, FRAMES, 10000));
		/* Whatever was encoded was received, and nothing was sent anew after a loss. */
		check_int(v->dropped, ==, 0);
		check_int(v->sequence_gaps, ==, 0);
		check_int(v->keyframes, ==, 1);
		check_int(v->counters, >, FRAMES / 4);
		check(!v->closed);
	}
	struct hxfr_stats stats;
	viewer_get_stats(&w.viewers[3], STOPPED, &stats);
	check_int(stats.watching, ==, 1);
	check_int(stats.ready, ==, 0);
	/* Nothing is encoded for one who cannot take it. */
	uint64_t encoded = stats.encoded;
	wall_flip(&w, FRAMES + 1);
	loop_run_ms(w.loop, 200);
	viewer_get_stats(&w.viewers[3], STOPPED, &stats);
	check_int(stats.encoded, ==, encoded);

	/* The slow one was not forgotten: once it reads again it gets the present picture. */
	struct viewer *slow = &w.viewers[SLOW];
	slow->decoder = decode_create();
	check(slow->decoder);
	hxfr_client_set_read_budget(slow->client, SIZE_MAX);
	check(viewer_run_counter(slow, FRAMES + 1, 10000));

	(void)kill(stopped, SIGKILL);
	(void)waitpid(stopped, NULL, 0);
	wall_stop(&w);
}

TEST_TIMEOUT(fifteen_desktops_all_seen, 180) {
	enum {
		FRAMES = 100
	};
	struct wall w = {0};
	wall_start(&w);
	for (uint32_t i = 1; i <= DESKTOPS; i++) {
		viewer_open(&w.viewers[i], &w.e, w.loop, i);
		w.viewers[i].reads_counters = true;
	}
	for (uint32_t n = 1; n <= FRAMES; n++) {
		wall_flip(&w, n);
		/* At everybody's pace: the next comes when this one is there. */
		for (uint32_t i = 1; i <= DESKTOPS; i++) {
			check(viewer_run_counter(&w.viewers[i], n, 10000));
		}
	}
	for (uint32_t i = 1; i <= DESKTOPS; i++) {
		check_int(w.viewers[i].counter_gaps, ==, 0);
		check_int(w.viewers[i].dropped, ==, 0);
		check_int(w.viewers[i].sequence_gaps, ==, 0);
		check_int(w.viewers[i].keyframes, ==, 1);
	}
	wall_stop(&w);
}

TEST(viewers_of_one_screen_see_the_same) {
	struct exporter e;
	sd_event *loop;
	struct fake_screen *s;
	struct viewer v[6];
	exporter_start(&e, NULL);
	struct frontend *fe = exporter_start_guest(&e, NULL);
	check_ok(sd_event_new(&loop));
	check_ok(fake_screen_create(fe, 3, 640, 480, XRGB, 2, GUEST_CONTIGUOUS, &s));
	for (unsigned i = 0; i < ARRAY_SIZE(v); i++) {
		/* They come one by one while it moves. */
		for (uint32_t n = 0; n < 5; n++) {
			struct canvas c = canvas_of(s, fake_screen_back(s));
			canvas_counters(&c, 100 * i + n);
			check_int(fake_screen_flip(s, NULL, NULL), ==, OK);
			loop_run_ms(loop, 15);
		}
		viewer_open(&v[i], &e, loop, 3);
		v[i].reads_counters = true;
	}
	struct canvas c = canvas_of(s, fake_screen_back(s));
	content_desktop(&c, 5);
	canvas_counters(&c, 9999);
	check_int(fake_screen_flip(s, NULL, NULL), ==, OK);
	for (unsigned i = 0; i < ARRAY_SIZE(v); i++) {
		check(viewer_run_counter(&v[i], 9999, 3000));
	}
	for (unsigned i = 0; i < ARRAY_SIZE(v); i++) {
		viewer_run_quiet(&v[i], 400, 20000);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(v); i++) {
		check_int(v[i].last_sequence, ==, v[0].last_sequence);
		check(viewer_psnr(&v[i], c.pixels, c.order, 640, 480, c.stride) >= 45);
		viewer_close(&v[i]);
	}
	fake_screen_destroy(s);
	sd_event_unref(loop);
	frontend_destroy(fe);
	exporter_stop(&e);
}
