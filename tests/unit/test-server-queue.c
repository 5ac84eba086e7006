/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The HXFR server: queues, slow clients, rationing of IDRs, and what must not leak or spin. */
#include <dirent.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "proto/hxfr.h"
#include "server-fixture.h"
#include "test.h"
#include "util.h"

static struct fixture f;

static int join(uint32_t scanout) {
	int fd = peer_connect(&f, 0);
	peer_subscribe(fd, scanout);
	return fd;
}

TEST(joiners_share_an_idr) {
	fixture_start(&f, 64);
	int fds[30];
	for (unsigned i = 0; i < 30; i++) {
		fds[i] = join(4);
	}
	fixture_await(&f, fixture_watching, 4, 30);
	sleep_ms(250);
	/* The first is served at once; for those of each 100 ms after that one more is made. */
	unsigned n = fixture_n_idr(&f, 4);
	check_int(n, >=, 2);
	check_int(n, <=, 4);
	for (unsigned i = 1; i < n; i++) {
		check_int(f.idr_ns[4][i] - f.idr_ns[4][i - 1], >=, 100 * NSEC_PER_MSEC);
	}
	/* Deltas are for none of them, the IDR for all. */
	fixture_post(&f, 4, false, 10);
	fixture_post(&f, 4, true, 20);
	fixture_post(&f, 4, false, 30);
	for (unsigned i = 0; i < 30; i++) {
		bool keyframe = false;
		check_int(peer_expect_unit(fds[i], 4, &keyframe), ==, 2);
		check(keyframe);
		check_int(peer_expect_unit(fds[i], 4, NULL), ==, 3);
		(void)close_fd(fds[i]);
	}
	fixture_await(&f, fixture_watching, 4, 0);
	check_int(f.n_idr[4], ==, n);
	fixture_stop(&f);
}

TEST(idr_on_its_way_serves_later_joiners_too) {
	fixture_start(&f, 64);
	int a = join(1), b = join(1);
	fixture_post(&f, 1, true, 100);
	(void)peer_expect_unit(a, 1, NULL);
	(void)peer_expect_unit(b, 1, NULL);
	sleep_ms(200);
	check_int(fixture_n_idr(&f, 1), ==, 1);
	/* Later than 100 ms after the last: at once. */
	uint64_t start = now_ns();
	int c = join(1);
	fixture_await(&f, fixture_n_idr, 1, 2);
	check_int(f.idr_ns[1][1] - start, <, 400 * NSEC_PER_MSEC);
	(void)close_fd(a);
	(void)close_fd(b);
	(void)close_fd(c);
	fixture_stop(&f);
}

TEST(idrs_are_rationed_and_joiners_come_first) {
	fixture_start(&f, 64);
	f.idr_size = 100;
	int pushy = join(0);
	(void)peer_expect_unit(pushy, 0, NULL);
	uint64_t start = now_ns();
	unsigned asked = 0, joined = 0;
	uint64_t worst = 0;
	while (now_ns() - start < 3 * NSEC_PER_SEC) {
		peer_send_header(pushy, HXFR_KEYFRAME_REQ, 0, 0);
		if (++asked % 100 == 0) {
			uint64_t before = now_ns();
			int fd = join(0);
			(void)peer_expect_unit(fd, 0, NULL);
			worst = MAX(worst, now_ns() - before);
			joined++;
			(void)close_fd(fd);
		}
		sleep_ms(7);
	}
	unsigned n = fixture_n_idr(&f, 0);
	check_int(joined, >=, 3);
	check_int(worst, <, 200 * NSEC_PER_MSEC);
	check_int(n, >=, 6);
	/* Never more than 4 in a second. */
	for (unsigned i = 4; i < n; i++) {
		check_int(f.idr_ns[0][i] - f.idr_ns[0][i - 4], >=, NSEC_PER_SEC - NSEC_PER_MSEC);
	}
	(void)close_fd(pushy);
	fixture_stop(&f);
}

TEST(lost_idr_is_asked_for_again) {
	fixture_start(&f, 64);
	int fd = join(0);
	check_int(fixture_n_idr(&f, 0), ==, 1);
	fixture_post(&f, 0, false, 10);
	sleep_ms(600);
	check_int(fixture_n_idr(&f, 0), ==, 1);
	fixture_post(&f, 0, false, 10);
	fixture_await(&f, fixture_n_idr, 0, 2);
	(void)close_fd(fd);
	fixture_stop(&f);
}

/* Posts 60 frames a second of `size` bytes on scanout 0 until told to stop. */
struct poster {
	pthread_t thread;
	atomic_bool stop;
	size_t size;
	unsigned n;
};

static void *post_frames(void *data) {
	struct poster *p = data;
	while (!atomic_load(&p->stop)) {
		fixture_post(&f, 0, false, p->size);
		p->n++;
		sleep_ms(16);
	}
	return NULL;
}

static void poster_start(struct poster *p, size_t size) {
	p->size = size;
	check_int(pthread_create(&p->thread, NULL, post_frames, p), ==, 0);
}

static void poster_stop(struct poster *p) {
	atomic_store(&p->stop, true);
	check_int(pthread_join(p->thread, NULL), ==, 0);
}

/*
 * What a slow client got after unit `last`: whole units only, and after each gap first an IDR. Returns the number of gaps.
 */
static unsigned check_stream(int fd, uint64_t last, uint64_t until, unsigned *ret_n) {
	unsigned gaps = 0, n = 0;
	while (last < until) {
		bool keyframe = false;
		uint64_t sequence = peer_expect_unit(fd, 0, &keyframe);
		check_int(sequence, >, last);
		if (sequence != last + 1) {
			check(keyframe);
			gaps += last != 0;
		}
		last = sequence;
		n++;
	}
	*ret_n = n;
	return gaps;
}

struct reader {
	pthread_t thread;
	int fd;
	uint64_t until;
	uint64_t worst_ns; /* between two units */
	unsigned n;
	bool gap;
};

/* Only looks at headers: peer_expect_unit is not for several threads. */
static void *read_units(void *data) {
	struct reader *r = data;
	uint8_t *buf = malloc(1 << 20);
	uint64_t last = 0, last_ns = 0;
	while (last < r->until) {
		struct hxfr_header h;
		uint8_t head[HXFR_HEADER_SIZE];
		if (recv(r->fd, head, sizeof(head), MSG_WAITALL) != sizeof(head) ||
			hxfr_decode_header(head, sizeof(head), &h) <= 0 ||
			recv(r->fd, buf, h.payload_size, MSG_WAITALL) != (ssize_t)h.payload_size) {
			r->gap = true;
			break;
		}
		struct hxfr_frame_response frame;
		(void)hxfr_decode_frame_response(buf, h.payload_size, &frame);
		uint64_t sequence = (uint64_t)frame.pts / (NSEC_PER_SEC / 60);
		r->gap = r->gap || (last && sequence != last + 1) ||
			!fixture_unit_is_right(0, sequence, buf + 28, h.payload_size - 28);
		uint64_t now = now_ns();
		if (last_ns) {
			r->worst_ns = MAX(r->worst_ns, now - last_ns);
		}
		last = sequence;
		last_ns = now;
		r->n++;
	}
	free(buf);
	return NULL;
}

TEST(slow_clients_cost_the_others_nothing) {
	enum {
		GOOD = 13,
	};
	struct reader readers[GOOD] = {{0}};
	struct poster poster = {0};
	fixture_start(&f, 64);
	f.idr_size = 60000;
	int never = peer_connect(&f, 16384), slow = peer_connect(&f, 16384);
	peer_subscribe(never, 0);
	peer_subscribe(slow, 0);
	for (unsigned i = 0; i < GOOD; i++) {
		readers[i].fd = join(0);
	}
	sleep_ms(150);
	poster_start(&poster, 8000);
	for (unsigned i = 0; i < GOOD; i++) {
		readers[i].until = 400;
		check_int(pthread_create(&readers[i].thread, NULL, read_units, &readers[i]), ==, 0);
	}
	/* 1 byte now and then, for all the time. */
	uint64_t start = now_ns();
	while (now_ns() - start < 4 * NSEC_PER_SEC) {
		uint8_t byte;
		check_int(recv(slow, &byte, 1, 0), ==, 1);
		sleep_ms(20);
	}
	fixture_await(&f, fixture_ready, 0, GOOD);
	check_int(fixture_watching(&f, 0), ==, GOOD + 2);
	for (unsigned i = 0; i < GOOD; i++) {
		check_int(pthread_join(readers[i].thread, NULL), ==, 0);
		check(!readers[i].gap);
		check_int(readers[i].worst_ns, <, 500 * NSEC_PER_MSEC);
		(void)close_fd(readers[i].fd);
	}
	poster_stop(&poster);
	(void)close_fd(never);
	(void)close_fd(slow);
	fixture_stop(&f);
}

TEST(slow_client_gets_whole_units_and_resumes_with_an_idr) {
	struct poster poster = {0};
	fixture_start(&f, 64);
	f.idr_size = 30000;
	int fd = peer_connect(&f, 16384);
	peer_subscribe(fd, 0);
	poster_start(&poster, 50000);
	sleep_ms(1500);
	/* Nobody is ready: nothing need be encoded; and it was not asked for an IDR in vain. */
	check_int(fixture_ready(&f, 0), ==, 0);
	check_int(fixture_n_idr(&f, 0), ==, 1);
	unsigned n;
	uint64_t until = f.sequence[0] + 30;
	check_int(check_stream(fd, 0, until, &n), ==, 1);
	check_int(n, <, 60);
	check_int(fixture_ready(&f, 0), ==, 1);
	check_int(fixture_n_idr(&f, 0), ==, 2);
	poster_stop(&poster);
	check_int(f.server->channels[0].dropped_units, >, 50);
	(void)close_fd(fd);
	fixture_stop(&f);
}

/*
 * A link that carries the stream twice over, but on which an IDR takes longer than the queue may
 * last: it must not end in one IDR after the other.
 */
TEST(large_idr_on_a_sufficient_link_is_caught_up_with) {
	struct poster poster = {0};
	fixture_start(&f, 64);
	f.idr_size = 400000;
	int fd = peer_connect(&f, 8192);
	peer_subscribe(fd, 0);
	poster_start(&poster, 4000);
	/* About 1 MB/s, in pieces; the stream needs 250 kB/s after its IDR. */
	uint64_t start = now_ns(), taken = 0;
	uint8_t buf[10000];
	while (now_ns() - start < 3 * NSEC_PER_SEC) {
		uint64_t due = (now_ns() - start) / 1000; /* 1 byte a µs */
		if (taken < due) {
			ssize_t n = recv(fd, buf, MIN(sizeof(buf), due - taken), MSG_DONTWAIT);
			taken += n > 0 ? (uint64_t)n : 0;
		}
		sleep_ms(2);
	}
	poster_stop(&poster);
	check_int(fixture_n_idr(&f, 0), ==, 1);
	check_int(f.server->channels[0].dropped_units, ==, 0);
	(void)close_fd(fd);
	fixture_stop(&f);
}

/*
 * On a scanout that others watch too, a client that stalls soon after it began rests before an IDR
 * is made for it.
 */
TEST(stalled_client_rests_before_it_resumes) {
	struct poster poster = {0};
	struct reader good = {.until = 300};
	fixture_start(&f, 64);
	f.idr_size = 30000;
	good.fd = join(0);
	int fd = peer_connect(&f, 16384);
	peer_subscribe(fd, 0);
	sleep_ms(150);
	check_int(pthread_create(&good.thread, NULL, read_units, &good), ==, 0);
	poster_start(&poster, 20000);
	fixture_await(&f, fixture_ready, 0, 1);
	unsigned idrs = fixture_n_idr(&f, 0);
	uint64_t start = now_ns();
	bool keyframe = false;
	do {
		(void)peer_expect_unit(fd, 0, &keyframe);
	} while (fixture_n_idr(&f, 0) == idrs || !keyframe);
	check_int(f.idr_ns[0][idrs] - start, >=, 250 * NSEC_PER_MSEC);
	check_int(fixture_n_idr(&f, 0), ==, idrs + 1);
	check_int(pthread_join(good.thread, NULL), ==, 0);
	check(!good.gap);
	poster_stop(&poster);
	(void)close_fd(good.fd);
	(void)close_fd(fd);
	fixture_stop(&f);
}

TEST(units_of_a_replaced_subscription_are_dropped) {
	fixture_start(&f, 64);
	int fd = peer_connect(&f, 16384);
	peer_subscribe(fd, 0);
	fixture_post(&f, 0, true, 6 << 20);
	for (unsigned i = 0; i < 5; i++) {
		fixture_post(&f, 0, false, 1000);
	}
	for (unsigned i = 0; i < 10; i++) {
		fixture_post(&f, 1, false, 10); /* for nobody */
	}
	sleep_ms(50);
	peer_send_id(fd, HXFR_SUBSCRIBE, 1);
	fixture_await(&f, fixture_watching, 1, 1);
	fixture_post(&f, 1, true, 1000);
	/* What was begun is finished; then the reply, and nothing more of the old one. */
	struct message m;
	check_int(peer_expect_unit(fd, 0, NULL), ==, 1);
	peer_expect(fd, HXFR_SUBSCRIBE_RESP, HXFR_SUBSCRIBE_RESP_SIZE, &m);
	check_int(peer_expect_unit(fd, 1, NULL), ==, 11);
	peer_expect_silence(fd, 50);
	(void)close_fd(fd);
	fixture_stop(&f);
}

TEST(unit_larger_than_the_queue_is_delivered) {
	fixture_start(&f, 64);
	f.idr_size = 10 << 20;
	int fd = peer_connect(&f, 16384);
	bool keyframe = false;
	peer_subscribe(fd, 0);
	check_int(peer_expect_unit(fd, 0, &keyframe), ==, 1);
	check(keyframe);
	(void)close_fd(fd);
	fixture_stop(&f);
}

/* The server's thread stands still while more is posted than the mailbox holds. */
static int stand_still(sd_event_source *source, int fd, uint32_t events, void *data) {
	sleep_ms(300);
	return 0;
}

TEST(full_mailbox_drops_up_to_an_idr) {
	fixture_start(&f, 64);
	f.idr_size = 100;
	int fd = join(0), other = join(1);
	(void)peer_expect_unit(fd, 0, NULL);
	(void)peer_expect_unit(other, 1, NULL);
	int pipefd[2];
	check_int(pipe2(pipefd, O_CLOEXEC), ==, 0);
	check_ok(sd_event_add_io(
		f.loop, NULL, pipefd[0], POLLIN | (int)(1u << 31) /* edge */, stand_still, NULL));
	check_int(write(pipefd[1], "x", 1), ==, 1);
	sleep_ms(50);
	for (unsigned i = 0; i < MAILBOX_UNITS + 100; i++) {
		fixture_post(&f, 0, false, 10);
	}
	unsigned n;
	check_int(check_stream(fd, 1, MAILBOX_UNITS + 102, &n), ==, 1);
	peer_expect_silence(other, 20);
	(void)close_fd(fd);
	(void)close_fd(other);
	(void)close_fd(pipefd[0]);
	(void)close_fd(pipefd[1]);
	fixture_stop(&f);
}

static unsigned count_fds(void) {
	unsigned n = 0;
	DIR *dir = opendir("/proc/self/fd");
	while (readdir(dir)) {
		n++;
	}
	(void)closedir(dir);
	return n;
}

static void subscribe_and_leave(unsigned i) {
	int fd = peer_connect(&f, 0);
	if (i % 2) {
		peer_hello(fd, HXFR_FEATURE_FLIP_INFO | HXFR_FEATURE_CURSOR);
	}
	peer_send_id(fd, HXFR_SUBSCRIBE, i % SCANOUTS_MAX);
	if (i % 3) {
		struct message m;
		peer_expect(fd, HXFR_SUBSCRIBE_RESP, HXFR_SUBSCRIBE_RESP_SIZE, &m);
	}
	if (i % 5 == 0) {
		fixture_post(&f, i % SCANOUTS_MAX, true, 100000);
	}
	(void)close_fd(fd);
}

TEST_TIMEOUT(memory_and_descriptors_stay_flat, 120) {
	fixture_start(&f, 16);
	f.idr_size = 20000;
	size_t used = 0;
	unsigned fds = 0;
	for (unsigned i = 0; i < 1200; i++) {
		if (i == 200) {
			sleep_ms(100);
			used = mallinfo2().uordblks;
			fds = count_fds();
		}
		subscribe_and_leave(i);
	}
	for (unsigned i = 0; i < SCANOUTS_MAX; i++) {
		fixture_await(&f, fixture_watching, i, 0);
	}
	sleep_ms(100);
	check_int(count_fds(), <=, fds);
	check_int(mallinfo2().uordblks, <, used + 16384);
	fixture_stop(&f);
}

TEST(thousand_connections_at_once) {
	enum {
		N = 1000,
	};
	static int fds[N];
	struct message m;
	fixture_start(&f, 2000);
	for (unsigned i = 0; i < N; i++) {
		fds[i] = peer_connect(&f, 0);
	}
	peer_subscribe(fds[N - 1], 0);
	for (unsigned i = 0; i < N; i++) {
		peer_send_header(fds[i], HXFR_PING, (uint16_t)i, 0);
	}
	for (unsigned i = 0; i < N; i++) {
		peer_expect(fds[i], HXFR_PONG, 0, &m);
		check_int(m.header.session_id, ==, i);
		(void)close_fd(fds[i]);
	}
	fixture_await(&f, fixture_watching, 0, 0);
	fixture_stop(&f);
}

TEST(idle_server_sleeps) {
	fixture_start(&f, 16);
	f.idr_size = 1000;
	int viewer = join(0), waiting = peer_connect(&f, 0), stalled = peer_connect(&f, 8192);
	(void)peer_expect_unit(viewer, 0, NULL);
	f.idr_size = 0;
	peer_subscribe(waiting, 5);
	peer_subscribe(stalled, 6);
	fixture_post(&f, 6, true, 6 << 20);
	for (unsigned i = 0; i < 30; i++) {
		fixture_post(&f, 6, false, 100000);
	}
	sleep_ms(500);
	uint64_t before = 0, after = 0;
	check_ok(sd_event_get_iteration(f.loop, &before));
	sleep_ms(1000);
	check_ok(sd_event_get_iteration(f.loop, &after));
	check_int(after, ==, before);
	(void)close_fd(viewer);
	(void)close_fd(waiting);
	(void)close_fd(stalled);
	fixture_stop(&f);
}
