/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One client. It sends a request, gets its reply, and if that is a lease the connection is the
 * lease from then on. Replies fit into any socket's buffer, so each is sent at once or never.
 */
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "log.h"
#include "manager.h"
#include "proto/lease.h"
#include "send-fds.h"

LOG_MODULE("conn");

#define WIDTH_DEFAULT   1920u
#define HEIGHT_DEFAULT  1080u
#define REFRESH_DEFAULT 60u
/* No wish for a free output waits longer. */
#define WAIT_MAX_NS (24 * UINT64_C(3600) * NSEC_PER_SEC)

static void log_peer(struct conn *c, const char *what) {
	reception_log(&c->manager->reception, log_module, &c->peer, what);
}

static void set_timer(struct conn *c, uint64_t ns) {
	(void)sd_event_source_set_time_relative(c->timer, DIV_ROUND_UP(ns, NSEC_PER_USEC));
	(void)sd_event_source_set_enabled(c->timer, SD_EVENT_ONESHOT);
}

static void stop_timer(struct conn *c) {
	(void)sd_event_source_set_enabled(c->timer, SD_EVENT_OFF);
}

/* All of it, with a descriptor unless that is -1, in one message. */
static bool send_message(struct conn *c, const uint8_t *buf, size_t size, int fd) {
	return send_with_fds(c->fd, buf, size, &fd, fd >= 0 ? 1 : 0);
}

static void fill_reply(const struct output *o, struct lease_ext_reply *ret) {
	const struct card_output *ids = &output_card(o)->outputs[o->index];
	*ret = (struct lease_ext_reply){
		.scanout = o->scanout,
		.width = o->width,
		.height = o->height,
		.refresh = o->refresh,
		.connector_id = ids->connector_id,
		.crtc_id = ids->crtc_id,
		.primary_plane_id = ids->primary_id,
		.cursor_plane_id = ids->cursor_id,
		.export_id = o->index,
	};
	memcpy(ret->token, o->token, sizeof(ret->token));
	(void)snprintf(ret->connector, sizeof(ret->connector), "%s", ids->name);
	(void)snprintf(ret->exporter, sizeof(ret->exporter), "%s",
		exporter_name(o->manager->cards[o->card].exporter));
}

/* A reply of the extension about the lease of `o`, or an error. */
static bool reply_extended(
	struct conn *c, const struct output *o, enum lease_code code, const char *text, int fd) {
	uint8_t buf[LEASE_REQUEST_SIZE + LEASE_EXT_REPLY_SIZE];
	struct lease_ext_reply reply = {0};
	if (code == LEASE_OK && o) {
		fill_reply(o, &reply);
	}
	reply.code = code;
	(void)snprintf(reply.text, sizeof(reply.text), "%s", text);
	ssize_t n = lease_encode_ext_reply(buf, sizeof(buf), c->command, &reply);
	return n > 0 && send_message(c, buf, (size_t)n, fd);
}

static bool reply_plain(
	struct conn *c, uint8_t status, uint32_t scanout, const char *text, int fd) {
	uint8_t buf[LEASE_RESPONSE_SIZE];
	struct lease_response reply = {.status = status, .scanout = scanout};
	(void)snprintf(reply.text, sizeof(reply.text), "%s", text);
	ssize_t n = lease_encode_response(buf, sizeof(buf), &reply);
	return n > 0 && send_message(c, buf, (size_t)n, fd);
}

/* Freed when the loop comes round: callers up the stack still look at it. */
static void end(struct conn *c) {
	(void)sd_event_source_set_enabled(c->io, SD_EVENT_OFF);
	set_timer(c, 0);
	c->in_size = 0;
	c->ended = true;
}

bool conn_granted(struct conn *c, int lease_fd) {
	struct output *o = c->output;
	char name[LEASE_TEXT_SIZE];
	(void)snprintf(name, sizeof(name), "Virtual-%u", o->scanout + 1);
	bool sent = c->extended ? reply_extended(c, o, LEASE_OK, "", lease_fd)
				: reply_plain(c, LEASE_STATUS_OK, o->scanout, name, lease_fd);
	(void)close_fd(lease_fd);
	c->holding = true;
	stop_timer(c);
	if (!sent) {
		log_peer(c, "did not take its lease");
		pool_release(o, "its holder did not take it");
		c->holding = false;
		end(c);
	}
	return sent;
}

void conn_refused(struct conn *c, enum lease_code code, const char *text) {
	log_peer(c, text);
	if (c->extended) {
		(void)reply_extended(c, NULL, code, text, -1);
	} else {
		(void)reply_plain(c, LEASE_STATUS_ERROR, 0, text, -1);
	}
	end(c);
}

void conn_resized(struct output *o, enum lease_code code, const char *text) {
	struct conn *c = o->resizer;
	if (!c) {
		return;
	}
	o->resizer = NULL;
	c->resizing = NULL;
	stop_timer(c);
	(void)reply_extended(c, o, code, text, -1);
	if (!c->holding) {
		end(c);
	}
}

void conn_replaced(struct conn *c) {
	log_peer(c, "another connection has shown the token of its lease");
	end(c);
}

/*
 * Requests
 */
static void request_lease(struct conn *c, const struct wish *asked) {
	struct manager *m = c->manager;
	struct wish wish = *asked;
	wish.width = wish.width ? wish.width : WIDTH_DEFAULT;
	wish.height = wish.height ? wish.height : HEIGHT_DEFAULT;
	wish.refresh = wish.refresh ? wish.refresh : REFRESH_DEFAULT;
	wish.wait_ns = MIN(wish.wait_ns, WAIT_MAX_NS);
	if (pool_count_leases(m, &c->peer) >= m->config.max_peer_leases) {
		conn_refused(c, LEASE_LIMIT, "too many leases");
	} else {
		c->asked_ns = now_ns();
		set_timer(c, m->config.request_timeout_ns + wish.wait_ns);
		pool_request(m, c, &wish);
	}
}

/* By the index alone: only for the process that holds it. Never answered. */
static void release_by_scanout(struct conn *c, uint32_t scanout) {
	struct manager *m = c->manager;
	for (unsigned i = 0; i < m->n_outputs; i++) {
		struct output *o = &m->outputs[i];
		if (o->scanout == scanout && o->state == OUTPUT_LEASED && o->conn &&
			o->peer.pid == c->peer.pid && peer_same(&o->peer, &c->peer)) {
			conn_release(o->conn, "its holder asked for that");
			end(c);
			return;
		}
	}
	log_peer(c, "wants to release what it does not hold");
	end(c);
}

void conn_release(struct conn *holder, const char *why) {
	struct output *o = holder->output;
	holder->holding = false;
	pool_release(o, why);
	end(holder);
}

static void handle_plain(struct conn *c, const struct lease_request *m) {
	c->extended = false;
	switch (m->command) {
	case LEASE_CMD_LEASE:
		request_lease(c, &(struct wish){.width = m->a, .height = m->b});
		break;
	case LEASE_CMD_RELEASE:
		release_by_scanout(c, m->a);
		break;
	default:
		conn_refused(c, LEASE_UNSUPPORTED, "unknown command");
		break;
	}
}

static void handle_lease(struct conn *c, const uint8_t *p, size_t len) {
	struct lease_ext_lease m;
	(void)lease_decode_ext_lease(p, len, &m);
	struct wish wish = {.width = m.width,
		.height = m.height,
		.refresh = m.refresh,
		.scanout = m.scanout,
		.wait_ns = m.wait_ms * NSEC_PER_MSEC,
		.extended = true};
	(void)snprintf(wish.name, sizeof(wish.name), "%s", m.name);
	for (char *s = wish.name; *s; s++) {
		*s = (unsigned char)*s < ' ' || *s == 0x7f ? '?' : *s;
	}
	request_lease(c, &wish);
}

/* Zeroes stand for the lease of this connection. */
static struct output *find_lease(struct conn *c, const uint8_t token[LEASE_TOKEN_SIZE]) {
	struct output *o = lease_token_is_zero(token) && c->holding
		? c->output
		: pool_find_token(c->manager, token);
	if (!o) {
		log_peer(c, "shows a token that belongs to no lease");
	}
	return o;
}

/* Ends the connection, unless it is a lease. */
static void refuse_token(struct conn *c) {
	(void)reply_extended(c, NULL, LEASE_NO_LEASE, "no such lease", -1);
	if (!c->holding) {
		end(c);
	}
}

static void handle_reclaim(struct conn *c, const uint8_t *p, size_t len) {
	uint8_t token[LEASE_TOKEN_SIZE];
	(void)lease_decode_ext_token(p, len, token);
	struct output *o = c->holding ? NULL : find_lease(c, token);
	if (!o) {
		refuse_token(c);
		return;
	}
	pool_adopt(o, c);
	output_store(o);
	stop_timer(c);
	log_info("scanout %u: its holder came back: pid %d", o->scanout, (int)c->peer.pid);
	(void)reply_extended(c, o, LEASE_OK, "", -1);
}

static void handle_release(struct conn *c, const uint8_t *p, size_t len) {
	uint8_t token[LEASE_TOKEN_SIZE];
	(void)lease_decode_ext_token(p, len, token);
	struct output *o = find_lease(c, token);
	if (!o) {
		refuse_token(c);
		return;
	}
	struct conn *holder = o->conn;
	if (holder) {
		holder->holding = false;
	}
	pool_release(o, "its holder asked for that");
	(void)reply_extended(c, NULL, LEASE_OK, "", -1);
	if (holder && holder != c) {
		end(holder);
	}
	end(c);
}

static void handle_resize(struct conn *c, const uint8_t *p, size_t len) {
	struct lease_ext_resize m;
	(void)lease_decode_ext_resize(p, len, &m);
	struct output *o = find_lease(c, m.token);
	if (!o || o->state != OUTPUT_LEASED) {
		refuse_token(c);
		return;
	}
	if (m.width == 0 || m.height == 0 || o->resizing) {
		(void)reply_extended(c, NULL, LEASE_INVALID,
			o->resizing ? "it is being resized already" : "no size given", -1);
		if (!c->holding) {
			end(c);
		}
		return;
	}
	set_timer(c, c->manager->config.request_timeout_ns);
	pool_resize(o, c, m.width, m.height, m.refresh ? m.refresh : o->refresh);
}

static void handle_list(struct conn *c) {
	static uint8_t buf[LEASE_REQUEST_SIZE + LEASE_EXT_LIST_REPLY_SIZE +
		OUTPUTS_MAX * LEASE_EXT_ENTRY_SIZE];
	static struct lease_ext_entry entries[OUTPUTS_MAX];
	static const enum lease_state states[] = {
		[OUTPUT_FREE] = LEASE_STATE_FREE,
		[OUTPUT_ENABLING] = LEASE_STATE_STARTING,
		[OUTPUT_PLUGGING] = LEASE_STATE_STARTING,
		[OUTPUT_LEASED] = LEASE_STATE_LEASED,
		[OUTPUT_ORPHANED] = LEASE_STATE_ORPHANED,
	};
	const struct manager *m = c->manager;
	for (unsigned i = 0; i < m->n_outputs; i++) {
		const struct output *o = &m->outputs[i];
		struct lease_ext_entry *e = &entries[i];
		*e = (struct lease_ext_entry){.scanout = o->scanout, .state = states[o->state]};
		if (o->state == OUTPUT_FREE) {
			continue;
		}
		e->width = o->width;
		e->height = o->height;
		e->refresh = o->refresh;
		e->uid = o->peer.uid;
		e->pid = (uint32_t)o->peer.pid;
		e->age_s = (uint32_t)((now_ns() - o->since_ns) / NSEC_PER_SEC);
		e->lessee = o->lessee;
		(void)snprintf(e->name, sizeof(e->name), "%s", o->name);
		(void)snprintf(e->peer, sizeof(e->peer), "%s", o->peer.group);
	}
	ssize_t n = lease_encode_ext_list_reply(buf, sizeof(buf), entries, m->n_outputs);
	if (n > 0) {
		(void)send_message(c, buf, (size_t)n, -1);
	}
	if (!c->holding) {
		end(c);
	}
}

static void handle_extended(struct conn *c, uint8_t command, const uint8_t *p, size_t len) {
	c->extended = true;
	c->command = command;
	switch (command) {
	case LEASE_EXT_LEASE:
		handle_lease(c, p, len);
		break;
	case LEASE_EXT_RECLAIM:
		handle_reclaim(c, p, len);
		break;
	case LEASE_EXT_RESIZE:
		handle_resize(c, p, len);
		break;
	case LEASE_EXT_RELEASE:
		handle_release(c, p, len);
		break;
	case LEASE_EXT_LIST:
		handle_list(c);
		break;
	default:
		break;
	}
}

/* Ends the connection, and a lease with it. */
static void fail_conn(struct conn *c, const char *why) {
	if (c->holding) {
		conn_release(c, why);
		return;
	}
	if (c->in_size > 0 || c->output) {
		log_peer(c, why);
	}
	pool_cancel(c);
	end(c);
}

/* The request in `in`, if it is whole: bytes consumed, 0 (more needed) or -EBADMSG. */
static ssize_t handle_request(struct conn *c) {
	struct lease_request m;
	uint32_t size = 0;
	ssize_t n = lease_decode_request(c->in, c->in_size, &m);
	if (n <= 0) {
		return n;
	}
	if (!c->holding && !policy_allows(&c->manager->config.policy, &c->peer, c->fd)) {
		c->extended = lease_is_extended(&m, &size);
		c->command = m.command;
		conn_refused(c, LEASE_DENIED, "permission denied");
		return n;
	}
	if (!lease_is_extended(&m, &size)) {
		/* To a holder of the extension as well, any byte but a request is an end. */
		if (c->holding) {
			return -EBADMSG;
		}
		handle_plain(c, &m);
		return n;
	}
	int min = lease_ext_min_payload(m.command);
	if (min < 0) {
		c->extended = true;
		c->command = m.command;
		if (c->holding) {
			(void)reply_extended(c, NULL, LEASE_UNSUPPORTED, "unknown command", -1);
			return -EBADMSG;
		}
		conn_refused(c, LEASE_UNSUPPORTED, "unknown command");
		return n;
	}
	if (size < (uint32_t)min || size > LEASE_EXT_REQUEST_MAX ||
		(c->holding && m.command == LEASE_EXT_LEASE)) {
		return -EBADMSG;
	}
	if (c->in_size < (size_t)n + size) {
		return 0;
	}
	handle_extended(c, m.command, c->in + n, size);
	return n + (ssize_t)size;
}

/* True while a request waits for its answer: then nothing may come. */
static bool is_busy(const struct conn *c) {
	return !c->holding && (c->output || c->resizing || !list_empty(&c->wait_link));
}

static void receive(struct conn *c) {
	struct iovec iov = {c->in + c->in_size, sizeof(c->in) - c->in_size};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n = recvmsg(c->fd, &msg, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		return;
	}
	if (n <= 0) {
		fail_conn(c, "the connection ended");
		return;
	}
	if (msg.msg_flags & MSG_CTRUNC) {
		/* The kernel has closed them. */
		fail_conn(c, "sent file descriptors");
		return;
	}
	if ((c->holding && !c->extended) || is_busy(c)) {
		fail_conn(c, "sent something instead of holding the lease");
		return;
	}
	c->in_size += (size_t)n;
	while (!c->ended && c->in_size > 0 && !is_busy(c)) {
		ssize_t used = handle_request(c);
		if (used < 0) {
			fail_conn(c, "sent what is not a request");
		}
		if (used <= 0 || c->ended) {
			break;
		}
		c->in_size -= (size_t)used;
		memmove(c->in, c->in + used, c->in_size);
	}
	if (!c->ended && c->in_size > 0 && ((c->holding && !c->extended) || is_busy(c))) {
		fail_conn(c, "sent more than a request");
	}
}

static int handle_io(sd_event_source *source, int fd, uint32_t events, void *data) {
	receive(data);
	return 0;
}

static int handle_timer(sd_event_source *source, uint64_t usec, void *data) {
	struct conn *c = data;
	if (c->ended) {
		conn_destroy(c);
	} else if (c->resizing) {
		pool_resize_failed(
			c->resizing, LEASE_TIMEOUT, "the new size did not come up in time");
	} else if (!list_empty(&c->wait_link)) {
		list_remove(&c->wait_link);
		conn_refused(
			c, LEASE_NO_OUTPUT, "no scanouts available (none became free in time)");
	} else if (c->output) {
		struct output *o = c->output;
		char text[LEASE_TEXT_SIZE];
		bool told = o->state == OUTPUT_PLUGGING;
		if (told) {
			(void)snprintf(
				text, sizeof(text), "%s did not come up in time", output_name(o));
		} else {
			(void)snprintf(text, sizeof(text), "QEMU enable failed: no answer in time");
		}
		o->conn = NULL;
		c->output = NULL;
		conn_refused(c, told ? LEASE_TIMEOUT : LEASE_EXPORTER, text);
		pool_release(o, NULL);
	} else {
		log_peer(c, "sent no whole request in time");
		end(c);
	}
	return 0;
}

static int create(struct manager *m, int fd, uint64_t timeout_ns, struct conn **ret) {
	struct conn *c = calloc(1, sizeof(*c));
	if (!c) {
		(void)close_fd(fd);
		return -ENOMEM;
	}
	c->manager = m;
	c->fd = fd;
	list_init(&c->wait_link);
	list_append(&m->conns, &c->link);
	m->n_conns++;
	int r = sd_event_add_io(m->loop, &c->io, fd, EPOLLIN, handle_io, c);
	if (r >= 0) {
		r = sd_event_add_time_relative(m->loop, &c->timer, CLOCK_MONOTONIC,
			timeout_ns / NSEC_PER_USEC, TIMER_ACCURACY_US, handle_timer, c);
	}
	if (r < 0) {
		conn_destroy(c);
		return r;
	}
	*ret = c;
	return 0;
}

int conn_create(struct manager *m, int fd, const struct peer *peer, struct conn **ret) {
	int r = create(m, fd, m->config.read_timeout_ns, ret);
	if (r >= 0) {
		(*ret)->peer = *peer;
	}
	return r;
}

int conn_revive(struct manager *m, int fd, struct output *o, bool extended) {
	struct conn *c;
	int r = create(m, fd, m->config.read_timeout_ns, &c);
	if (r < 0) {
		return r;
	}
	stop_timer(c);
	c->peer = o->peer;
	c->extended = extended;
	pool_adopt(o, c);
	return 0;
}

void conn_destroy(struct conn *c) {
	if (!c) {
		return;
	}
	list_remove(&c->wait_link);
	list_remove(&c->link);
	c->manager->n_conns--;
	if (c->resizing) {
		struct output *o = c->resizing;
		o->resizer = NULL;
		pool_resize_failed(o, LEASE_NO_LEASE, "");
	}
	sd_event_source_disable_unref(c->io);
	sd_event_source_disable_unref(c->timer);
	(void)close_fd(c->fd);
	free(c);
}
