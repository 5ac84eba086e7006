/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "client.h"
#include "log.h"
#include "proto/hxfr.h"
#include "server-private.h"
#include "util.h"

LOG_MODULE("server");

/* A peer that takes nothing of what is sent, or does not answer keepalive probes, for so long. */
#define TCP_GIVE_UP_MS      60000
#define TCP_KEEPALIVE_IDLE  20 /* seconds */
#define TCP_KEEPALIVE_EVERY 10
#define TCP_KEEPALIVE_COUNT 4
/* Bytes the kernel may hold unsent: what it hides from our queue; 13 ms at 10 Mbit/s. */
#define TCP_UNSENT_MAX (16 * 1024)

/* Monitors larger than this are refused; also what H.264 and our pictures can hold. */
#define MODE_SIDE_MAX   PICTURE_MAX_SIDE
#define REFRESH_DEFAULT 60u

static void set_option(int fd, int level, int name, int value) {
	/* Each is an improvement only, and none of them exists for a Unix socket. */
	(void)setsockopt(fd, level, name, &value, sizeof(value));
}

static void set_tcp_options(int fd) {
	set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set_option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, TCP_UNSENT_MAX);
	set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, TCP_KEEPALIVE_IDLE);
	set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, TCP_KEEPALIVE_EVERY);
	set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, TCP_KEEPALIVE_COUNT);
	set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, TCP_GIVE_UP_MS);
}

void client_fail(struct client *c, int error, const char *why) {
	if (c->dead) {
		return;
	}
	c->dead = true;
	if (error == 0 || error == -EPIPE || error == -ECONNRESET) {
		log_debug("%s: %s", c->peer, error ? "gone" : why);
	} else if (server_may_log(c->server)) {
		log_write(LOG_LEVEL_INFO, log_module, error, "%s: closed: %s", c->peer, why);
	}
	(void)sd_event_source_set_enabled(c->io, SD_EVENT_OFF);
	(void)sd_event_source_set_enabled(c->timer, SD_EVENT_OFF);
	list_remove(&c->link);
	c->server->n_clients--;
	list_append(&c->server->dead, &c->link);
	(void)sd_event_source_set_enabled(c->server->reap_source, SD_EVENT_ONESHOT);
}

static void watch_silence(struct client *c) {
	(void)sd_event_source_set_time(
		c->timer, (c->active_ns + c->server->silence_ns) / NSEC_PER_USEC);
	(void)sd_event_source_set_enabled(c->timer, SD_EVENT_ONESHOT);
}

static int handle_timer(sd_event_source *source, uint64_t usec, void *data) {
	struct client *c = data;
	if (c->channel) {
		client_end_rest(c);
	} else if (now_ns() - c->active_ns < c->server->silence_ns) {
		watch_silence(c);
	} else {
		client_fail(c, -ETIMEDOUT, "silent and not subscribed");
	}
	return 0;
}

static void reply(struct client *c, const uint8_t *buf, ssize_t size) {
	/* The buffers below are of the right size. */
	client_reply(c, buf, (size_t)size);
}

static void reply_error(
	struct client *c, const struct hxfr_header *h, int32_t code, const char *text) {
	uint8_t buf[HXFR_HEADER_SIZE + HXFR_ERROR_SIZE];
	reply(c, buf, hxfr_encode_error(buf, sizeof(buf), h->session_id, code, text));
}

static void unsubscribe(struct client *c) {
	struct channel *ch = c->channel;
	client_clear_units(c);
	c->cursor_dirty = 0;
	c->dropped = 0;
	c->rest_ns = 0;
	c->idr_begin_ns = 0;
	c->channel = NULL;
	c->state = CLIENT_UNSUBSCRIBED;
	if (ch) {
		channel_leave(ch, c);
	}
}

static void handle_subscribe(struct client *c, const struct hxfr_header *h, const uint8_t *p) {
	uint8_t buf[HXFR_HEADER_SIZE + HXFR_SUBSCRIBE_RESP_SIZE];
	uint32_t id;
	(void)hxfr_decode_scanout_id(p, HXFR_SUBSCRIBE_SIZE, &id);
	bool ok = id < c->server->n_scanouts &&
		access_may_watch(&c->server->access, &c->credentials, id);

	if (c->channel) {
		unsubscribe(c);
	}
	struct hxfr_subscribe_resp resp = {.scanout_id = id, .success = ok};
	reply(c, buf, hxfr_encode_subscribe_resp(buf, sizeof(buf), &resp));
	if (!ok) {
		watch_silence(c);
		return;
	}
	log_debug("%s: watches scanout %u", c->peer, id);
	(void)sd_event_source_set_enabled(c->timer, SD_EVENT_OFF);
	c->scanout_id = id;
	c->channel = &c->server->channels[id];
	c->state = CLIENT_WAITING;
	if (c->features & HXFR_FEATURE_CURSOR) {
		c->cursor_dirty = CURSOR_IMAGE_CHANGED;
	}
	channel_join(c->channel, c);
}

static void reply_scanout(struct client *c, const struct hxfr_header *h, uint32_t id, bool ok) {
	uint8_t buf[HXFR_HEADER_SIZE + HXFR_SCANOUT_RESP_SIZE];
	reply(c, buf, hxfr_encode_scanout_resp(buf, sizeof(buf), h->session_id, id, ok));
}

/* The machine's own console is always there. */
static bool may_be_switched(const struct client *c, uint32_t id) {
	return id >= c->server->first_scanout && id < c->server->n_scanouts;
}

static void log_refused(struct client *c, const char *what, uint32_t id, int error) {
	if (server_may_log(c->server)) {
		log_warn_errno(error, "%s: cannot %s scanout %u", c->peer, what, id);
	}
}

int client_enable(struct client *c, const struct hxfr_enable_scanout *m) {
	const struct server *s = c->server;
	int r = -EINVAL;
	if (!access_may_switch(&s->access, &c->credentials)) {
		r = -EACCES;
	} else if (may_be_switched(c, m->scanout_id) && m->width > 0 && m->width <= MODE_SIDE_MAX &&
		m->height > 0 && m->height <= MODE_SIDE_MAX) {
		r = s->backend->enable(s->data, m->scanout_id, m->width, m->height,
			m->refresh ? m->refresh : REFRESH_DEFAULT);
	}
	if (r < 0) {
		log_refused(c, "enable", m->scanout_id, r);
	}
	return r;
}

static void handle_enable(struct client *c, const struct hxfr_header *h, const uint8_t *p) {
	struct hxfr_enable_scanout m;
	(void)hxfr_decode_enable_scanout(p, HXFR_ENABLE_SCANOUT_SIZE, &m);
	reply_scanout(c, h, m.scanout_id, client_enable(c, &m) >= 0);
}

static void handle_disable(struct client *c, const struct hxfr_header *h, const uint8_t *p) {
	struct server *s = c->server;
	uint32_t id;
	(void)hxfr_decode_scanout_id(p, HXFR_DISABLE_SCANOUT_SIZE, &id);
	int r = -EINVAL;
	if (!access_may_switch(&s->access, &c->credentials)) {
		r = -EACCES;
	} else if (may_be_switched(c, id)) {
		r = s->backend->disable(s->data, id);
	}
	if (r < 0) {
		log_refused(c, "disable", id, r);
	} else {
		access_end(&s->access, id);
	}
	reply_scanout(c, h, id, r >= 0);
}

static void handle_config(struct client *c, const struct hxfr_header *h, const uint8_t *p) {
	struct hxfr_config_req m;
	(void)hxfr_decode_config_req(p, HXFR_CONFIG_REQ_SIZE, &m);
	if (m.bitrate > 0 && m.bitrate <= INT32_MAX &&
		access_may_watch(&c->server->access, &c->credentials, c->scanout_id)) {
		c->server->backend->set_bitrate(c->server->data, c->scanout_id, m.bitrate);
	}
}

static void handle_keyframe(struct client *c, const struct hxfr_header *h, const uint8_t *p) {
	/* One that waits for an IDR has asked for it already. */
	if (c->state == CLIENT_STREAMING &&
		access_may_watch(&c->server->access, &c->credentials, c->scanout_id)) {
		channel_want_idr(c->channel, IDR_ASKED);
	}
}

static void handle_ping(struct client *c, const struct hxfr_header *h, const uint8_t *p) {
	uint8_t buf[HXFR_HEADER_SIZE];
	struct hxfr_header pong = {.type = HXFR_PONG, .session_id = h->session_id};
	reply(c, buf, hxfr_encode_header(buf, sizeof(buf), &pong));
}

static void handle_frame_request(struct client *c, const struct hxfr_header *h, const uint8_t *p) {
	reply_error(
		c, h, HXFR_ERR_INVALID, "FRAME_REQUEST is not supported: subscribe to a scanout");
}

static void handle_hello(struct client *c, const struct hxfr_header *h, const uint8_t *p) {
	uint8_t buf[HXFR_HEADER_SIZE + HXFR_HELLO_RESP_SIZE];
	struct hxfr_hello m;
	(void)hxfr_decode_hello(p, HXFR_HELLO_SIZE, &m);
	uint32_t version = MIN(m.version, HXFR_EXTENSION_VERSION);
	uint32_t features = version > 0 ? m.features & HXFR_FEATURES_ALL : 0;
	uint32_t gained = features & ~c->features;
	c->features = features;

	struct hxfr_hello_resp resp = {
		.version = version,
		.features = features,
		.n_scanouts = c->server->n_scanouts,
		.server_id = c->server->id,
		.now_ns = now_ns(),
	};
	reply(c, buf, hxfr_encode_hello_resp(buf, sizeof(buf), h->session_id, &resp));
	if (gained & HXFR_FEATURE_STATE) {
		c->states_dirty = (1u << c->server->n_scanouts) - 1;
	} else if (!(features & HXFR_FEATURE_STATE)) {
		c->states_dirty = 0;
	}
	if ((gained & HXFR_FEATURE_CURSOR) && c->channel) {
		c->cursor_dirty = CURSOR_IMAGE_CHANGED;
	} else if (!(features & HXFR_FEATURE_CURSOR)) {
		c->cursor_dirty = 0;
	}
}

static void collect_stats(const struct server *s, uint32_t id, struct hxfr_stats *ret) {
	const struct channel *ch = &s->channels[id];
	struct scanout_stats st = {0};
	s->backend->get_stats(s->data, id, &st);
	*ret = (struct hxfr_stats){
		.scanout_id = id,
		.watching = ch->watching,
		.ready = ch->ready,
		.flips = st.flips,
		.captured = st.captured,
		.superseded = st.superseded,
		.encoded = st.encoded,
		.keyframes = st.keyframes,
		.encoded_bytes = st.encoded_bytes,
		.dirty_mbs = st.dirty_mbs,
		.convert_ns = st.convert_ns,
		.encode_ns = st.encode_ns,
		.sent_units = ch->sent_units,
		.sent_bytes = ch->sent_bytes,
		.dropped_units = ch->dropped_units,
		.torn = st.torn,
		.encoder_lost = st.encoder_lost,
		.encoder_recovered = st.encoder_recovered,
	};
	(void)snprintf(ret->encoder, sizeof(ret->encoder), "%s", st.encoder ? st.encoder : "");
}

static void handle_stats(struct client *c, const struct hxfr_header *h, const uint8_t *p) {
	const struct server *s = c->server;
	uint8_t buf[HXFR_HEADER_SIZE + HXFR_STATS_RESP_SIZE + SCANOUTS_MAX * HXFR_STATS_ENTRY_SIZE];
	struct hxfr_stats stats[SCANOUTS_MAX];
	uint32_t id, n = 0;
	if (!(c->features & HXFR_FEATURE_STATS)) {
		return;
	}
	(void)hxfr_decode_scanout_id(p, HXFR_STATS_REQ_SIZE, &id);
	for (uint32_t i = 0; i < s->n_scanouts; i++) {
		if (id == HXFR_STATS_ALL || id == i) {
			collect_stats(s, i, &stats[n++]);
		}
	}
	reply(c, buf, hxfr_encode_stats_resp(buf, sizeof(buf), h->session_id, now_ns(), stats, n));
}

/* By type; what is not here is skipped. The payload has at least min_payload bytes. */
static void (*const handlers[256])(struct client *, const struct hxfr_header *, const uint8_t *) = {
	[HXFR_FRAME_REQUEST] = handle_frame_request,
	[HXFR_KEYFRAME_REQ] = handle_keyframe,
	[HXFR_CONFIG_REQ] = handle_config,
	[HXFR_PING] = handle_ping,
	[HXFR_ENABLE_SCANOUT] = handle_enable,
	[HXFR_DISABLE_SCANOUT] = handle_disable,
	[HXFR_SUBSCRIBE] = handle_subscribe,
	[HXFR_HELLO] = handle_hello,
	[HXFR_STATS_REQ] = handle_stats,
	[HXFR_AUTHENTICATE] = client_handle_authenticate,
	[HXFR_ENABLE_LEASE] = client_handle_enable_lease,
	[HXFR_SHOW_TOKEN] = client_handle_show_token,
};

/* Bytes of payload that must be there before the message is handled. -EBADMSG: not acceptable. */
static ssize_t payload_needed(const struct hxfr_header *h) {
	uint32_t needed = handlers[h->type] ? hxfr_message_info(h->type)->min_payload : 0;
	uint64_t limit = HXFR_PAYLOAD_LIMIT - 1;
	if (h->type == HXFR_FRAME_REQUEST) {
		limit = (uint64_t)HXFR_PAYLOAD_LIMIT + HXFR_FRAME_REQUEST_SIZE;
	}
	return h->payload_size < needed || h->payload_size > limit ? -EBADMSG : (ssize_t)needed;
}

/* One message at `buf`: bytes consumed, 0 (more needed) or -EBADMSG. */
static ssize_t handle_message(struct client *c, const uint8_t *buf, size_t len) {
	struct hxfr_header h;
	ssize_t n = hxfr_decode_header(buf, len, &h);
	if (n <= 0) {
		return n;
	}
	ssize_t needed = payload_needed(&h);
	if (needed < 0) {
		return needed;
	}
	if (len - HXFR_HEADER_SIZE < (size_t)needed) {
		return 0;
	}
	c->active_ns = now_ns();
	c->skip = h.payload_size - (uint32_t)needed;
	if (handlers[h.type]) {
		handlers[h.type](c, &h, buf + HXFR_HEADER_SIZE);
	}
	return n + needed;
}

/* Handles what is in `in`, as long as there is room for replies. */
static void parse(struct client *c) {
	size_t at = 0;
	c->held = false;
	while (!c->dead && at < c->in_size) {
		if (c->skip > 0) {
			uint32_t n = (uint32_t)MIN(c->skip, c->in_size - at);
			c->skip -= n;
			at += n;
			continue;
		}
		if (!client_has_room(c)) {
			c->held = true;
			break;
		}
		ssize_t n = handle_message(c, c->in + at, c->in_size - at);
		if (n < 0) {
			client_fail(c, (int)n, "not HXFR, or a message of impossible size");
			return;
		}
		if (n == 0) {
			break;
		}
		at += (size_t)n;
	}
	c->in_size -= at;
	memmove(c->in, c->in + at, c->in_size);
}

/* One read, so that a chatty client leaves the loop to others. */
static void receive(struct client *c) {
	ssize_t n;
	if (c->skip > 0 && c->in_size == 0) {
		n = recv(c->fd, c->server->discard, MIN(c->skip, (uint32_t)DISCARD_SIZE),
			MSG_DONTWAIT);
		if (n > 0) {
			c->skip -= (uint32_t)n;
			return;
		}
	} else if (c->in_size < sizeof(c->in)) {
		n = recv(c->fd, c->in + c->in_size, sizeof(c->in) - c->in_size, MSG_DONTWAIT);
		if (n > 0) {
			c->in_size += (size_t)n;
			return;
		}
	} else {
		return;
	}
	if (n == 0) {
		/* It may have shut down only its sending side and wait for replies. */
		c->ended = true;
		if (c->channel) {
			client_fail(c, 0, "closed by the peer");
		}
	} else if (errno != EAGAIN && errno != EINTR) {
		client_fail(c, -errno, "receiving");
	}
}

static int handle_io(sd_event_source *source, int fd, uint32_t events, void *data) {
	struct client *c = data;
	if ((events & EPOLLIN) && !c->ended) {
		/* What came before an error is still there to be read, and then the error. */
		receive(c);
	} else if (events & (EPOLLERR | EPOLLHUP)) {
		int error = 0;
		socklen_t size = sizeof(error);
		(void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
		client_fail(c, -error, "connection broke");
	}
	if (!c->dead) {
		parse(c);
	}
	if (!c->dead) {
		client_flush(c);
	}
	return 0;
}

int client_create(struct server *server, int fd, const char *peer, struct client **ret) {
	struct client *c = calloc(1, sizeof(*c));
	if (!c) {
		return -ENOMEM;
	}
	c->server = server;
	c->fd = -1;
	c->active_ns = now_ns();
	list_init(&c->link);
	list_init(&c->watch);
	list_init(&c->replies);
	(void)snprintf(c->peer, sizeof(c->peer), "%s", peer);
	int r = sd_event_add_io(server->loop, &c->io, fd, EPOLLIN, handle_io, c);
	if (r >= 0) {
		r = sd_event_add_time(server->loop, &c->timer, CLOCK_MONOTONIC,
			(c->active_ns + c->server->silence_ns) / NSEC_PER_USEC, 0, handle_timer, c);
	}
	if (r < 0) {
		client_destroy(c);
		return r;
	}
	set_tcp_options(fd);
	c->fd = fd;
	*ret = c;
	return 0;
}

void client_destroy(struct client *c) {
	if (!c) {
		return;
	}
	list_remove(&c->link);
	unsubscribe(c);
	client_send_finish(c);
	sd_event_source_disable_unref(c->io);
	sd_event_source_disable_unref(c->timer);
	(void)close_fd(c->fd);
	free(c);
}
