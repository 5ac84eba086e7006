/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The DRM manager's parts against a fake libdrm, and a real HXFR server whose outputs come up when
 * the test says so.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <xf86drmMode.h>

#include "fake-libdrm.h"
#include "manager.h"
#include "proto/lease.h"
#include "server-fixture.h"
#include "test.h"
#include "util.h"

/* server-fixture.h has them in its header for outputs of another kind. */
#define LEASABLE 3u

struct setup {
	struct manager m;
	struct fake_card cards[2];
	unsigned n_cards;
	struct fixture exporters[2];
	char dir[64], socket[96];
	unsigned plugged; /* ENABLEs that were followed by a hot-plug */
};

static void open_manager(struct setup *s) {
	struct manager *m = &s->m;
	check_ok(sd_event_new(&m->loop));
	list_init(&m->conns);
	pool_init(m);
	for (unsigned i = 0; i < LISTENERS_MAX; i++) {
		m->listeners[i] = (struct listener){.fd = -1, .lock_fd = -1};
	}
	for (unsigned i = 0; i < s->n_cards; i++) {
		struct managed_card *c = &m->cards[i];
		struct exporter_config config = {.host = "127.0.0.1", .port = s->exporters[i].port};
		*c = (struct managed_card){.manager = m, .index = i};
		check_ok(card_open(&c->card, s->cards[i].path, "virtio_gpu"));
		c->card.minor = i;
		check_ok(
			exporter_create(m->loop, &config, &pool_exporter_handler, c, &c->exporter));
		m->n_cards++;
	}
	for (unsigned i = 0; i < s->n_cards; i++) {
		pool_add_card(m, i);
	}
	revive(m);
	check_ok(listen_start(m));
}

static void close_manager(struct setup *s) {
	struct manager *m = &s->m;
	listen_finish(m);
	pool_finish(m);
	for (unsigned i = 0; i < m->n_cards; i++) {
		exporter_destroy(m->cards[i].exporter);
		card_close(&m->cards[i].card);
	}
	sd_event_unref(m->loop);
}

static struct manager_config config_of(const struct setup *s) {
	return (struct manager_config){
		.sockets = {s->socket},
		.n_sockets = 1,
		.max_connections = 20,
		.max_peer_connections = 10,
		.max_peer_leases = OUTPUTS_MAX,
		.request_timeout_ns = 1000 * NSEC_PER_MSEC,
		.read_timeout_ns = 300 * NSEC_PER_MSEC,
		.grace_ns = 300 * NSEC_PER_MSEC,
	};
}

static void start(struct setup *s, unsigned n_cards, unsigned n_outputs) {
	*s = (struct setup){.n_cards = n_cards, .dir = "/tmp/helix-lease-XXXXXX"};
	check(mkdtemp(s->dir));
	(void)snprintf(s->socket, sizeof(s->socket), "%s/drm.sock", s->dir);
	for (unsigned i = 0; i < n_cards; i++) {
		fake_card_init(&s->cards[i], n_outputs, 1 + i * n_outputs);
		fixture_start(&s->exporters[i], 64);
	}
	s->m.config = config_of(s);
	s->m.store = (struct store){.state = memfd_create("test", MFD_CLOEXEC)};
	open_manager(s);
}

static void stop(struct setup *s) {
	char lock[128];
	close_manager(s);
	store_close(&s->m.store);
	for (unsigned i = 0; i < s->n_cards; i++) {
		fake_card_finish(&s->cards[i]);
		fixture_stop(&s->exporters[i]);
	}
	(void)snprintf(lock, sizeof(lock), "%s.lock", s->socket);
	(void)unlink(lock);
	(void)unlink(s->socket);
	(void)rmdir(s->dir);
}

/* The guest's kernel notices what the exporter was asked for. */
static void plug(struct setup *s) {
	for (unsigned k = 0; k < s->n_cards; k++) {
		for (unsigned i = 0; i < s->m.n_outputs; i++) {
			const struct output *o = &s->m.outputs[i];
			struct fake_output *f = &s->cards[o->card].outputs[o->index];
			struct fixture *e = &s->exporters[k];
			if (o->card != k) {
				continue;
			}
			(void)pthread_mutex_lock(&e->lock);
			e->state[o->index].enabled = o->state != OUTPUT_FREE;
			(void)pthread_mutex_unlock(&e->lock);
			if (o->state == OUTPUT_PLUGGING) {
				f->connected = true;
				f->width = o->width;
				f->height = o->height;
				pool_handle_hotplug(k, &s->m);
				s->plugged++;
			} else if (o->state == OUTPUT_FREE) {
				f->connected = false;
			}
		}
	}
}

/* Runs the loop until `fd` is readable, `ms` at most; outputs come up meanwhile. */
static bool run_until(struct setup *s, int fd, unsigned ms, bool plugging) {
	uint64_t deadline = now_ns() + ms * NSEC_PER_MSEC;
	struct pollfd p = {.fd = fd, .events = POLLIN};
	while (now_ns() < deadline) {
		check_ok(sd_event_run(s->m.loop, 2000));
		if (plugging) {
			plug(s);
		}
		if (fd >= 0 && poll(&p, 1, 0) > 0) {
			return true;
		}
	}
	return false;
}

static int dial(const struct setup *s) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", s->socket);
	check(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	return fd;
}

/* One recvmsg, as the reference's client has it: data and room for one descriptor. */
static ssize_t take(int fd, uint8_t *buf, size_t size, int *ret_fd) {
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {buf, size};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space)};
	ssize_t n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	*ret_fd = -1;
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	if (n > 0 && c) {
		check(!(msg.msg_flags & MSG_CTRUNC));
		memcpy(ret_fd, CMSG_DATA(c), sizeof(int));
	}
	return n;
}

static void ask(int fd, uint8_t command, uint32_t a, uint32_t b) {
	uint8_t buf[LEASE_REQUEST_SIZE];
	struct lease_request m = {command, a, b};
	check_int(lease_encode_request(buf, sizeof(buf), &m), ==, sizeof(buf));
	check_int(send(fd, buf, sizeof(buf), MSG_NOSIGNAL), ==, sizeof(buf));
}

/* A plain lease: its connection; the scanout. */
static int lease(struct setup *s, uint32_t *ret_scanout) {
	uint8_t buf[LEASE_RESPONSE_SIZE + 1];
	struct lease_response r;
	int lease_fd, fd = dial(s);
	ask(fd, LEASE_CMD_LEASE, 800, 600);
	check(run_until(s, fd, 2000, true));
	check_int(take(fd, buf, sizeof(buf), &lease_fd), ==, LEASE_RESPONSE_SIZE);
	(void)lease_decode_response(buf, LEASE_RESPONSE_SIZE, &r);
	if (r.status != LEASE_STATUS_OK) {
		fail("%s", r.text);
	}
	check(lease_fd >= 0);
	(void)close(lease_fd);
	*ret_scanout = r.scanout;
	return fd;
}

static void expect_error(struct setup *s, int fd, const char *text) {
	uint8_t buf[LEASE_RESPONSE_SIZE + 1];
	struct lease_response r;
	int lease_fd;
	check(run_until(s, fd, 3000, false));
	check_int(take(fd, buf, sizeof(buf), &lease_fd), ==, LEASE_RESPONSE_SIZE);
	check_int(lease_fd, ==, -1);
	(void)lease_decode_response(buf, LEASE_RESPONSE_SIZE, &r);
	check_int(r.status, ==, LEASE_STATUS_ERROR);
	check_int(r.scanout, ==, 0);
	if (strncmp(r.text, text, strlen(text)) != 0) {
		fail("'%s' is not '%s'", r.text, text);
	}
	/* And then the connection ends. */
	check(run_until(s, fd, 1000, false));
	check_int(recv(fd, buf, sizeof(buf), MSG_DONTWAIT), ==, 0);
	(void)close(fd);
}

static void ask_extended(int fd, const struct lease_ext_lease *m) {
	uint8_t buf[LEASE_REQUEST_SIZE + LEASE_EXT_LEASE_SIZE];
	check_int(lease_encode_ext_lease(buf, sizeof(buf), m), ==, sizeof(buf));
	check_int(send(fd, buf, sizeof(buf), MSG_NOSIGNAL), ==, sizeof(buf));
}

static void expect_extended(
	struct setup *s, int fd, uint8_t command, struct lease_ext_reply *ret, int *ret_fd) {
	uint8_t buf[LEASE_REQUEST_SIZE + LEASE_EXT_REPLY_SIZE];
	uint32_t size;
	check(run_until(s, fd, 3000, true));
	check_int(take(fd, buf, sizeof(buf), ret_fd), ==, sizeof(buf));
	check_int(lease_decode_ext_reply_header(buf, sizeof(buf), command, &size), >, 0);
	check_int(lease_decode_ext_reply(buf + LEASE_REQUEST_SIZE, size, ret), >, 0);
}

static unsigned count_state(const struct setup *s, enum output_state state) {
	unsigned n = 0;
	for (unsigned i = 0; i < s->m.n_outputs; i++) {
		n += s->m.outputs[i].state == state;
	}
	return n;
}

/* Scenario: ids have no order. Expected: each lease holds what belongs together, and only that. */
TEST(objects_are_enumerated) {
	struct setup s;
	uint32_t scanout;
	start(&s, 1, LEASABLE + 1);
	check_int(s.m.n_outputs, ==, LEASABLE);
	int fd = lease(&s, &scanout);
	check_int(scanout, ==, 1);
	const struct fake_output *o = &s.cards[0].outputs[1];
	const struct fake_lease *l = fake_card_lease_of(&s.cards[0], o->connector);
	check(l && l->n_objects == 4);
	check(l->objects[1] == o->crtc && l->objects[2] == o->primary &&
		l->objects[3] == o->cursor);
	/* Only that one connector was ever probed. */
	check_int(s.cards[0].last_probed, ==, o->connector);
	check_int(s.cards[0].probes, ==, s.plugged);
	(void)close(fd);
	stop(&s);
}

TEST(all_outputs_then_the_error_of_the_reference) {
	struct setup s;
	uint32_t scanout;
	int fds[LEASABLE];
	start(&s, 1, LEASABLE + 1);
	for (unsigned i = 0; i < LEASABLE; i++) {
		fds[i] = lease(&s, &scanout);
		check_int(scanout, ==, i + 1);
	}
	int fd = dial(&s);
	ask(fd, LEASE_CMD_LEASE, 0, 0);
	expect_error(&s, fd, "no scanouts available (all 3 in use)");
	/* First in, first out: the one that was released first comes next. */
	(void)close(fds[1]);
	(void)run_until(&s, -1, 50, false);
	(void)close(fds[0]);
	(void)run_until(&s, -1, 50, false);
	check_int(fake_card_leases(&s.cards[0]), ==, 1);
	fds[0] = lease(&s, &scanout);
	check_int(scanout, ==, 2);
	(void)close(fds[0]);
	(void)close(fds[2]);
	(void)run_until(&s, -1, 50, false);
	check_int(fake_card_leases(&s.cards[0]), ==, 0);
	stop(&s);
}

TEST(any_byte_releases) {
	struct setup s;
	uint32_t scanout;
	start(&s, 1, LEASABLE + 1);
	int fd = lease(&s, &scanout);
	check_int(send(fd, "", 1, 0), ==, 1);
	check(run_until(&s, fd, 1000, false));
	check_int(fake_card_leases(&s.cards[0]), ==, 0);
	check_int(count_state(&s, OUTPUT_FREE), ==, LEASABLE);
	(void)close(fd);
	stop(&s);
}

/* Scenario: cmd 2 with somebody else's scanout. Expected: nothing; with one's own: released. */
TEST(release_is_bound_to_the_holder) {
	struct setup s;
	uint32_t scanout;
	char byte;
	start(&s, 1, LEASABLE + 1);
	int fd = lease(&s, &scanout);
	pid_t pid = fork();
	if (pid == 0) {
		int other = dial(&s);
		ask(other, LEASE_CMD_RELEASE, scanout, 0);
		(void)recv(other, &byte, 1, 0);
		_exit(0);
	}
	while (waitpid(pid, NULL, WNOHANG) == 0) {
		(void)run_until(&s, -1, 10, false);
	}
	check_int(fake_card_leases(&s.cards[0]), ==, 1);

	int own = dial(&s);
	ask(own, LEASE_CMD_RELEASE, scanout, 0);
	check(run_until(&s, own, 1000, false));
	check_int(recv(own, &byte, 1, MSG_DONTWAIT), ==, 0);
	check_int(fake_card_leases(&s.cards[0]), ==, 0);
	check(run_until(&s, fd, 1000, false));
	(void)close(own);
	(void)close(fd);
	stop(&s);
}

TEST(what_goes_wrong_is_said) {
	struct setup s;
	start(&s, 1, LEASABLE + 1);
	int fd = dial(&s);
	ask(fd, 7, 0, 0);
	expect_error(&s, fd, "unknown command");

	/* The output never comes up. */
	fd = dial(&s);
	ask(fd, LEASE_CMD_LEASE, 0, 0);
	expect_error(&s, fd, "Virtual-2 did not come up in time");
	check_int(count_state(&s, OUTPUT_FREE), ==, LEASABLE);

	s.exporters[0].switch_result = -EINVAL;
	fd = dial(&s);
	ask(fd, LEASE_CMD_LEASE, 0, 0);
	expect_error(&s, fd, "QEMU enable failed: refused");
	s.exporters[0].switch_result = 0;

	s.cards[0].lease_error = ENOSPC;
	fd = dial(&s);
	ask(fd, LEASE_CMD_LEASE, 0, 0);
	check(run_until(&s, fd, 1000, true));
	expect_error(&s, fd, "DRM lease failed: No space left on device");
	check_int(count_state(&s, OUTPUT_FREE), ==, LEASABLE);
	check_int(fake_card_leases(&s.cards[0]), ==, 0);
	stop(&s);
}

/* Else the holder would draw on, and nobody see it. */
TEST(loss_ends_the_lease) {
	struct setup s;
	uint32_t first, second, again;
	start(&s, 1, LEASABLE + 1);
	struct fixture *e = &s.exporters[0];
	int fd = lease(&s, &first), other = lease(&s, &second);
	e->state[first].lost = true;
	server_post_scanout_state(e->server, first);
	check(run_until(&s, fd, 2000, false));
	check_int(recv(fd, &again, 1, MSG_DONTWAIT), ==, 0);
	check_int(count_state(&s, OUTPUT_LEASED), ==, 1);
	check_int(fake_card_leases(&s.cards[0]), ==, 1);
	(void)close(fd);
	/* It is told once: who comes next has nothing to do with it. */
	(void)close(lease(&s, &again));
	fd = lease(&s, &again);
	server_post_scanout_state(e->server, first);
	check(!run_until(&s, other, 100, false));
	check(!run_until(&s, fd, 100, false));
	(void)close(fd);
	(void)close(other);
	stop(&s);
}

/* Scenario: half a request, and one in single bytes. */
TEST(requests_in_pieces) {
	struct setup s;
	uint8_t buf[LEASE_RESPONSE_SIZE];
	int lease_fd;
	start(&s, 1, LEASABLE + 1);
	int half = dial(&s), fd = dial(&s);
	check_int(send(half, "\001", 1, 0), ==, 1);
	static const uint8_t request[] = {1, 0x20, 3, 0, 0, 0x58, 2, 0, 0};
	for (size_t i = 0; i < sizeof(request); i++) {
		check_int(send(fd, request + i, 1, 0), ==, 1);
		(void)run_until(&s, -1, 5, true);
	}
	check(run_until(&s, fd, 1000, true));
	check_int(take(fd, buf, sizeof(buf), &lease_fd), ==, LEASE_RESPONSE_SIZE);
	check(lease_fd >= 0);
	(void)close(lease_fd);
	/* The half one is closed without a word, after its time. */
	check(run_until(&s, half, 1000, true));
	check_int(recv(half, buf, 1, MSG_DONTWAIT), ==, 0);
	(void)close(half);
	(void)close(fd);
	stop(&s);
}

/* Scenario: somebody who is not on the list. Expected: no lease, and no list either. */
TEST(strangers_are_refused) {
	struct setup s;
	struct lease_ext_reply r;
	uint8_t buf[LEASE_REQUEST_SIZE];
	int lease_fd;
	start(&s, 1, LEASABLE + 1);
	s.m.config.policy.uids[s.m.config.policy.n_uids++] = getuid() + 1;
	int fd = dial(&s);
	ask(fd, LEASE_CMD_LEASE, 0, 0);
	expect_error(&s, fd, "permission denied");
	fd = dial(&s);
	(void)lease_encode_ext_list(buf, sizeof(buf));
	check_int(send(fd, buf, sizeof(buf), 0), ==, sizeof(buf));
	expect_extended(&s, fd, LEASE_EXT_LIST, &r, &lease_fd);
	check_int(r.code, ==, LEASE_DENIED);
	(void)close(fd);
	stop(&s);
}

TEST(too_many_connections_of_one_peer) {
	struct setup s;
	int fds[12];
	char byte;
	start(&s, 1, LEASABLE + 1);
	for (unsigned i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = dial(&s);
	}
	(void)run_until(&s, -1, 50, false);
	check_int(s.m.n_conns, ==, 10);
	check_int(recv(fds[11], &byte, 1, MSG_DONTWAIT), ==, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(fds); i++) {
		(void)close(fds[i]);
	}
	(void)run_until(&s, -1, 50, false);
	check_int(s.m.n_conns, ==, 0);
	stop(&s);
}

/* Scenario: a wish for one output that is leased. Expected: it waits, and gets it on release. */
TEST(waiting_for_an_output) {
	struct setup s;
	struct lease_ext_reply r;
	uint32_t scanout;
	int lease_fd;
	start(&s, 1, LEASABLE + 1);
	int first = lease(&s, &scanout), fd = dial(&s), late = dial(&s);
	ask_extended(fd,
		&(struct lease_ext_lease){
			.width = 640, .height = 480, .scanout = 1, .wait_ms = 5000});
	ask_extended(late, &(struct lease_ext_lease){.scanout = 1, .wait_ms = 1});
	check(!run_until(&s, fd, 100, true));
	(void)close(first);
	expect_extended(&s, fd, LEASE_EXT_LEASE, &r, &lease_fd);
	check(r.code == LEASE_OK && r.scanout == 1 && r.export_id == 1);
	check(r.width == 640 && r.height == 480 && r.refresh == 60);
	check_str(r.connector, "Virtual-2");
	check(!lease_token_is_zero(r.token));
	(void)close(lease_fd);
	expect_extended(&s, late, LEASE_EXT_LEASE, &r, &lease_fd);
	check_int(r.code, ==, LEASE_NO_OUTPUT);
	(void)close(late);
	(void)close(fd);
	stop(&s);
}

TEST(two_cards_are_one_pool) {
	struct setup s;
	uint32_t scanout;
	int fds[31];
	start(&s, 2, 16);
	check_int(s.m.n_outputs, ==, 31);
	s.m.reception.max_peer_connections = s.m.reception.max_connections = 64;
	for (unsigned i = 0; i < ARRAY_SIZE(fds); i++) {
		/* Output 0 of the second card: the server refuses to switch it; it is on. */
		s.cards[1].outputs[0].connected = true;
		fds[i] = lease(&s, &scanout);
		check_int(scanout, ==, i + 1);
	}
	check_int(fake_card_leases(&s.cards[0]), ==, 15);
	check_int(fake_card_leases(&s.cards[1]), ==, 16);
	for (unsigned i = 0; i < ARRAY_SIZE(fds); i++) {
		(void)close(fds[i]);
	}
	(void)run_until(&s, -1, 50, false);
	check_int(fake_card_leases(&s.cards[0]) + fake_card_leases(&s.cards[1]), ==, 0);
	stop(&s);
}

/* Another process of it; the service manager has kept the connection of the first output's holder. */
static void restart_manager(struct setup *s) {
	struct store store = {.state = s->m.store.state, .n_fds = 1};
	const struct output *o = &s->m.outputs[0];
	store.fds[0].fd = fcntl(o->conn->fd, F_DUPFD_CLOEXEC, 3);
	(void)snprintf(store.fds[0].name, sizeof(store.fds[0].name), "holder-%u", o->scanout);
	close_manager(s);
	s->m = (struct manager){.config = config_of(s), .store = store};
	open_manager(s);
}

/* One that was started again has nothing of what the guest drew into. */
TEST(exporter_that_forgot_ends_the_lease) {
	struct setup s;
	struct lease_ext_reply about;
	int lease_fd;
	start(&s, 1, LEASABLE + 1);
	for (unsigned i = 0; i < 2; i++) {
		bool forgot = i == 1;
		int fd = dial(&s);
		ask_extended(
			fd, &(struct lease_ext_lease){.width = 640, .height = 480, .scanout = 1});
		expect_extended(&s, fd, LEASE_EXT_LEASE, &about, &lease_fd);
		(void)close(lease_fd);
		s.exporters[0].state[1].enabled = !forgot;
		restart_manager(&s);
		check_int(count_state(&s, OUTPUT_LEASED), ==, 1);
		check(run_until(&s, fd, 500, false) == forgot);
		check_int(count_state(&s, OUTPUT_LEASED), ==, !forgot);
		check_int(fake_card_leases(&s.cards[0]), ==, !forgot);
		(void)close(fd);
		(void)run_until(&s, -1, 100, false);
	}
	stop(&s);
}

/*
 * Scenario: three leases; the process dies; one holder's connection was kept, one comes back with
 * its token, one does not; and the kernel has a lease that nobody knows.
 */
TEST(leases_outlive_the_process) {
	struct setup s;
	struct lease_ext_reply about[3], r;
	int fds[3], lease_fd;
	uint32_t stray;
	start(&s, 1, LEASABLE + 2);
	for (unsigned i = 0; i < 3; i++) {
		fds[i] = dial(&s);
		ask_extended(fds[i], &(struct lease_ext_lease){.width = 640, .height = 480});
		expect_extended(&s, fds[i], LEASE_EXT_LEASE, &about[i], &lease_fd);
		(void)close(lease_fd);
	}
	uint32_t objects[] = {s.cards[0].outputs[4].connector};
	(void)close(drmModeCreateLease(s.m.cards[0].card.fd, objects, 1, O_CLOEXEC, &stray));
	check_int(fake_card_leases(&s.cards[0]), ==, 4);

	restart_manager(&s);
	check_int(fake_card_leases(&s.cards[0]), ==, 3);
	check_int(count_state(&s, OUTPUT_LEASED), ==, 1);
	check_int(count_state(&s, OUTPUT_ORPHANED), ==, 2);

	uint8_t buf[LEASE_REQUEST_SIZE + LEASE_TOKEN_SIZE];
	int fd = dial(&s);
	(void)lease_encode_ext_token(buf, sizeof(buf), LEASE_EXT_RECLAIM, about[1].token);
	check_int(send(fd, buf, sizeof(buf), 0), ==, sizeof(buf));
	expect_extended(&s, fd, LEASE_EXT_RECLAIM, &r, &lease_fd);
	check(r.code == LEASE_OK && r.scanout == about[1].scanout && lease_fd == -1);
	check(memcmp(&r, &about[1], sizeof(r)) == 0);
	(void)run_until(&s, -1, 500, false);
	check_int(fake_card_leases(&s.cards[0]), ==, 2);
	check(!fake_card_lease_of(&s.cards[0], about[2].connector_id));

	/* Nothing was plugged anew by all that: only the one that ended was told to the exporter. */
	check_int(s.exporters[0].n_enabled, ==, 3);
	(void)close(fds[0]);
	(void)close(fd);
	(void)run_until(&s, -1, 100, false);
	check_int(fake_card_leases(&s.cards[0]), ==, 0);
	(void)close(fds[1]);
	(void)close(fds[2]);
	stop(&s);
}

TEST(policy_of_users_and_groups) {
	int pair[2];
	struct peer peer;
	struct policy policy = {0};
	check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	check_ok(peer_read(pair[0], &peer));
	check_int(peer.pid, ==, getpid());
	check(policy_allows(&policy, &peer, pair[0]));
	policy.uids[policy.n_uids++] = peer.uid + 1;
	check(!policy_allows(&policy, &peer, pair[0]));
	policy.gids[policy.n_gids++] = peer.gid + 1;
	check(!policy_allows(&policy, &peer, pair[0]));
	policy.gids[policy.n_gids++] = peer.gid;
	check(policy_allows(&policy, &peer, pair[0]));
	(void)close(pair[0]);
	(void)close(pair[1]);
}

TEST(names_of_control_groups) {
	char name[64];
	policy_group_name("0::/system.slice/docker-"
			  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
			  ".scope\n",
		name, sizeof(name));
	check_str(name, "0123456789ab");
	policy_group_name("0::/user.slice/session-1.scope\n", name, sizeof(name));
	check_str(name, "/user.slice/session-1.scope");
	policy_group_name("", name, sizeof(name));
	check_str(name, "");
	policy_group_name("0::/a\033b\n", name, sizeof(name));
	check_str(name, "/a?b");
}

TEST(hotplug_messages) {
	static const char good[] = "change@/devices/x\0ACTION=change\0SUBSYSTEM=drm\0HOTPLUG=1\0"
				   "MAJOR=226\0MINOR=3\0";
	static const char leased[] = "change@/devices/x\0SUBSYSTEM=drm\0LEASE=1\0MINOR=3\0";
	static const char other[] = "change@/devices/x\0SUBSYSTEM=net\0HOTPLUG=1\0MINOR=3\0";
	unsigned minor = 0;
	check_ok(uevent_parse(good, sizeof(good) - 1, &minor));
	check_int(minor, ==, 3);
	check(uevent_parse(leased, sizeof(leased) - 1, &minor) < 0);
	check(uevent_parse(other, sizeof(other) - 1, &minor) < 0);
	check(uevent_parse("", 0, &minor) < 0);
}
