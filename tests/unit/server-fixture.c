/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "proto/hxfr.h"
#include "server-fixture.h"
#include "test.h"
#include "util.h"

#define PTS_STEP_NS (NSEC_PER_SEC / 60)

void sleep_ms(unsigned ms) {
	struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
	(void)nanosleep(&ts, NULL);
}

static void set_viewers(void *data, uint32_t scanout, unsigned watching, unsigned ready) {
	struct fixture *f = data;
	(void)pthread_mutex_lock(&f->lock);
	f->watching[scanout] = watching;
	f->ready[scanout] = ready;
	(void)pthread_mutex_unlock(&f->lock);
}

static void request_idr(void *data, uint32_t scanout) {
	struct fixture *f = data;
	(void)pthread_mutex_lock(&f->lock);
	f->idr_ns[scanout][f->n_idr[scanout]++ % 64] = now_ns();
	size_t size = f->idr_size;
	(void)pthread_mutex_unlock(&f->lock);
	if (size) {
		fixture_post(f, scanout, true, size);
	}
}

static void set_bitrate(void *data, uint32_t scanout, uint32_t bits_per_second) {
	struct fixture *f = data;
	(void)pthread_mutex_lock(&f->lock);
	f->bitrate[scanout] = bits_per_second;
	(void)pthread_mutex_unlock(&f->lock);
}

static int enable(void *data, uint32_t scanout, uint32_t width, uint32_t height, uint32_t hz) {
	struct fixture *f = data;
	(void)pthread_mutex_lock(&f->lock);
	f->n_enabled++;
	f->width = width;
	f->height = height;
	f->hz = hz;
	int r = f->switch_result;
	(void)pthread_mutex_unlock(&f->lock);
	return r;
}

static int disable(void *data, uint32_t scanout) {
	struct fixture *f = data;
	(void)pthread_mutex_lock(&f->lock);
	f->n_disabled++;
	int r = f->switch_result;
	(void)pthread_mutex_unlock(&f->lock);
	return r;
}

static void get_state(void *data, uint32_t scanout, struct scanout_state *ret) {
	struct fixture *f = data;
	(void)pthread_mutex_lock(&f->lock);
	*ret = f->state[scanout];
	(void)pthread_mutex_unlock(&f->lock);
}

static void get_stats(void *data, uint32_t scanout, struct scanout_stats *ret) {
	*ret = (struct scanout_stats){1, 2, 3, 4, 5, 6, 7, 8, scanout, 10};
}

static const struct server_backend backend = {
	.set_viewers = set_viewers,
	.request_idr = request_idr,
	.set_bitrate = set_bitrate,
	.enable = enable,
	.disable = disable,
	.get_state = get_state,
	.get_stats = get_stats,
};

static int handle_stop(sd_event_source *source, int fd, uint32_t events, void *data) {
	return sd_event_exit(data, 0);
}

static void *run(void *data) {
	struct fixture *f = data;
	(void)sd_event_loop(f->loop);
	return NULL;
}

void fixture_start(struct fixture *f, unsigned max_clients) {
	fixture_start_with(f, max_clients, &(struct access_config){0});
}

void fixture_start_with(
	struct fixture *f, unsigned max_clients, const struct access_config *access) {
	struct server_config config = {
		.access = *access,
		.address = "127.0.0.1",
		.max_clients = max_clients,
		.queue_ms = 200,
		.n_scanouts = SCANOUTS_MAX,
		.has_console = true,
	};
	*f = (struct fixture){0};
	(void)pthread_mutex_init(&f->lock, NULL);
	check_ok(sd_event_new(&f->loop));
	check_ok(server_create(f->loop, &config, &backend, f, &f->server));
	f->port = server_port(f->server);
	f->stop_fd = eventfd(0, EFD_CLOEXEC);
	check_ok(sd_event_add_io(f->loop, NULL, f->stop_fd, EPOLLIN, handle_stop, f->loop));
	check_int(pthread_create(&f->thread, NULL, run, f), ==, 0);
}

void fixture_stop(struct fixture *f) {
	static const uint64_t one = 1;
	check_int(write(f->stop_fd, &one, sizeof(one)), ==, sizeof(one));
	check_int(pthread_join(f->thread, NULL), ==, 0);
	server_destroy(f->server);
	sd_event_unref(f->loop);
	(void)close_fd(f->stop_fd);
	for (unsigned i = 0; i < SCANOUTS_MAX; i++) {
		check_int(f->watching[i], ==, 0);
		check_int(f->ready[i], ==, 0);
	}
}

static uint8_t unit_byte(uint32_t scanout, uint64_t sequence, size_t i) {
	return (uint8_t)(scanout * 31 + sequence * 7 + i + i / 251);
}

void fixture_post(struct fixture *f, uint32_t scanout, bool keyframe, size_t size) {
	struct access_unit *au = access_unit_create(size);
	check(au);
	/* Posted under the lock: numbers are in order, whoever posts. */
	(void)pthread_mutex_lock(&f->lock);
	au->sequence = ++f->sequence[scanout];
	au->scanout_id = scanout;
	au->keyframe = keyframe;
	au->width = 1920;
	au->height = 1080;
	au->pts_ns = au->sequence * PTS_STEP_NS;
	au->flip_ns = now_ns();
	au->encoded_ns = au->flip_ns + 1;
	au->dirty_mbs = 9;
	au->damage = (struct rect){16, 32, 48, 64};
	for (size_t i = 0; i < size; i++) {
		au->data[i] = unit_byte(scanout, au->sequence, i);
	}
	server_post_access_unit(f->server, au);
	(void)pthread_mutex_unlock(&f->lock);
}

bool fixture_unit_is_right(uint32_t scanout, uint64_t sequence, const uint8_t *data, size_t size) {
	for (size_t i = 0; i < size; i++) {
		if (data[i] != unit_byte(scanout, sequence, i)) {
			return false;
		}
	}
	return true;
}

static unsigned locked(struct fixture *f, const unsigned *value) {
	(void)pthread_mutex_lock(&f->lock);
	unsigned v = *value;
	(void)pthread_mutex_unlock(&f->lock);
	return v;
}

unsigned fixture_n_idr(struct fixture *f, uint32_t scanout) {
	return locked(f, &f->n_idr[scanout]);
}

unsigned fixture_ready(struct fixture *f, uint32_t scanout) {
	return locked(f, &f->ready[scanout]);
}

unsigned fixture_watching(struct fixture *f, uint32_t scanout) {
	return locked(f, &f->watching[scanout]);
}

void fixture_await(struct fixture *f, unsigned (*get)(struct fixture *, uint32_t), uint32_t scanout,
	unsigned value) {
	for (unsigned i = 0; i < 1000; i++) {
		if (get(f, scanout) == value) {
			return;
		}
		sleep_ms(5);
	}
	fail("scanout %u: %u, awaited %u", scanout, get(f, scanout), value);
}

int peer_connect(const struct fixture *f, int rcvbuf) {
	static const int one = 1;
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_port = htons(f->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct timeval limit = {.tv_sec = 5};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	check_int(fd, >=, 0);
	if (rcvbuf) {
		check_int(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf)), ==, 0);
	}
	check_int(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), ==, 0);
	check_int(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)), ==, 0);
	check_int(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)), ==, 0);
	check_int(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), ==, 0);
	return fd;
}

void peer_send(int fd, const void *bytes, size_t size) {
	check_int(send(fd, bytes, size, MSG_NOSIGNAL), ==, size);
}

void peer_send_header(int fd, uint8_t type, uint16_t session, uint32_t payload_size) {
	uint8_t buf[HXFR_HEADER_SIZE];
	struct hxfr_header h = {.type = type, .session_id = session, .payload_size = payload_size};
	check_ok(hxfr_encode_header(buf, sizeof(buf), &h));
	peer_send(fd, buf, sizeof(buf));
}

void peer_send_id(int fd, enum hxfr_type type, uint32_t scanout) {
	uint8_t buf[HXFR_HEADER_SIZE + 4];
	check_ok(hxfr_encode_scanout_id(buf, sizeof(buf), type, (uint16_t)scanout, scanout));
	peer_send(fd, buf, sizeof(buf));
}

void peer_hello(int fd, uint32_t features) {
	uint8_t buf[HXFR_HEADER_SIZE + HXFR_HELLO_SIZE];
	struct hxfr_hello msg = {.version = 1, .features = features};
	check_ok(hxfr_encode_hello(buf, sizeof(buf), &msg));
	peer_send(fd, buf, sizeof(buf));
	struct message m;
	peer_expect(fd, HXFR_HELLO_RESP, HXFR_HELLO_RESP_SIZE, &m);
}

static bool receive_all(int fd, uint8_t *p, size_t size) {
	while (size > 0) {
		ssize_t n = recv(fd, p, size, 0);
		if (n < 0 && errno == EAGAIN) {
			fail("nothing came for 5 s");
		}
		if (n <= 0) {
			return false;
		}
		p += n;
		size -= (size_t)n;
	}
	return true;
}

bool peer_receive(int fd, struct message *ret) {
	static uint8_t payload[MESSAGE_MAX];
	uint8_t head[HXFR_HEADER_SIZE];
	if (!receive_all(fd, head, sizeof(head))) {
		return false;
	}
	check_int(hxfr_decode_header(head, sizeof(head), &ret->header), ==, HXFR_HEADER_SIZE);
	check_int(ret->header.payload_size, <=, MESSAGE_MAX);
	ret->payload = payload;
	return receive_all(fd, payload, ret->header.payload_size);
}

void peer_expect(int fd, enum hxfr_type type, uint32_t payload_size, struct message *ret) {
	check(peer_receive(fd, ret));
	check_int(ret->header.type, ==, type);
	check_int(ret->header.payload_size, ==, payload_size);
	check_int(ret->header.flags, ==, 0);
}

void peer_subscribe(int fd, uint32_t scanout) {
	struct message m;
	struct hxfr_subscribe_resp resp;
	peer_send_id(fd, HXFR_SUBSCRIBE, scanout);
	peer_expect(fd, HXFR_SUBSCRIBE_RESP, HXFR_SUBSCRIBE_RESP_SIZE, &m);
	check_ok(hxfr_decode_subscribe_resp(m.payload, HXFR_SUBSCRIBE_RESP_SIZE, &resp));
	check_int(resp.scanout_id, ==, scanout);
	check_int(resp.success, ==, 1);
	check_int(m.header.session_id, ==, scanout);
}

uint64_t peer_expect_unit(int fd, uint32_t scanout, bool *ret_keyframe) {
	struct message m;
	struct hxfr_frame_response frame;
	const uint8_t *data;
	size_t size;
	check(peer_receive(fd, &m));
	check_int(m.header.type, ==, HXFR_FRAME_RESPONSE);
	check_int(m.header.session_id, ==, scanout);
	check_int(m.header.payload_size, >=, HXFR_FRAME_PREFIX_SIZE);
	check_ok(hxfr_decode_frame_response(m.payload, m.header.payload_size, &frame));
	check_int(frame.nal_count, ==, 1);
	check_int(frame.dts, ==, frame.pts);
	check(memcmp(m.payload + 17, "\0\0\0", 3) == 0);
	check_int(hxfr_decode_blob(m.payload + 24, m.header.payload_size - 24, &data, &size), ==,
		m.header.payload_size - 24);
	uint64_t sequence = (uint64_t)frame.pts / PTS_STEP_NS;
	check(fixture_unit_is_right(scanout, sequence, data, size));
	if (ret_keyframe) {
		*ret_keyframe = frame.is_keyframe;
	}
	return sequence;
}

void peer_expect_silence(int fd, unsigned ms) {
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int n = poll(&p, 1, (int)ms);
	if (n != 0) {
		struct message m;
		fail("%s came", peer_receive(fd, &m) ? "a message" : "the end");
	}
}

void peer_expect_end(int fd) {
	uint8_t byte;
	ssize_t n = recv(fd, &byte, 1, 0);
	if (n > 0 || (n < 0 && errno != ECONNRESET)) {
		fail("the connection is still open (%zd)", n);
	}
	(void)close_fd(fd);
}
