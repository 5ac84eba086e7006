/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include <helix/hxfr-client.h>

#include "clock.h"
#include "log.h"
#include "parse.h"
#include "proto/lease.h"
#include "upstream.h"
#include "util.h"

LOG_MODULE("upstream");

#define CONNECT_TIMEOUT_MS 5000
#define RETRY_MIN_NS       (250 * NSEC_PER_MSEC)
#define RETRY_MAX_NS       (8 * NSEC_PER_SEC)
/* The clocks of host and guest drift; asked again so often while connected. */
#define CLOCK_EVERY_NS (60 * NSEC_PER_SEC)
#define FEATURES \
	(HXFR_FEATURE_FLIP_INFO | HXFR_FEATURE_CURSOR | HXFR_FEATURE_STATE | HXFR_FEATURE_TOKENS)
/* The host, as a guest of QEMU's user network sees it. */
#define FALLBACK_HOST "10.0.2.2"

struct upstream {
	sd_event *loop;
	const struct upstream_config *config;
	const struct upstream_handler *handler;
	void *data;
	struct hxfr_client *client; // may be NULL
	sd_event_source *retry;
	uint64_t retry_ns; /* the last back-off */
	bool wanted, subscribed, complained;
	uint32_t scanout;
	int64_t known_scanout;
	uint32_t bitrate; /* 0: nobody asked */
	uint64_t connects;

	/* Server's clock minus ours, by the fastest of the exchanges so far. */
	uint64_t hello_ns, hello_rtt_ns;
	int64_t clock_offset_ns;
	bool has_offset;
	uint64_t last_pts_us;
	uint32_t last_sequence, last_dropped;
	bool has_sequence;
};

static void start(struct upstream *u);

static int handle_retry(sd_event_source *source, uint64_t usec, void *data) {
	struct upstream *u = data;
	if (u->wanted && !u->client) {
		start(u);
	}
	return 0;
}

/* Full jitter over the upper half, so that the bridges of a restarted exporter do not come at once. */
static void schedule_retry(struct upstream *u) {
	uint32_t noise = 0;
	(void)!getrandom(&noise, sizeof(noise), 0);
	u->retry_ns = MIN(MAX(2 * u->retry_ns, RETRY_MIN_NS), RETRY_MAX_NS);
	uint64_t wait = u->retry_ns / 2 + u->retry_ns / 2 * (noise % 1024) / 1024;
	(void)sd_event_source_set_time(u->retry, (now_ns() + wait) / NSEC_PER_USEC);
	(void)sd_event_source_set_enabled(u->retry, SD_EVENT_ONESHOT);
}

static void fail(struct upstream *u, const char *why) {
	hxfr_client_destroy(u->client);
	u->client = NULL;
	u->subscribed = false;
	if (!u->complained) {
		log_warn("%s; trying again", why);
		u->complained = true;
	}
	if (u->wanted) {
		schedule_retry(u);
	}
	u->handler->lost(why, u->data);
}

static void handle_closed(int error, void *data) {
	struct upstream *u = data;
	char why[128];
	(void)snprintf(why, sizeof(why), "no connection to the exporter: %s",
		error ? strerror(-error) : "it closed the connection");
	fail(u, why);
}

/* The greeting goes out now: what it took to connect is no part of its way. */
static void handle_connected(void *data) {
	struct upstream *u = data;
	u->hello_ns = now_ns();
}

static void handle_hello(const struct hxfr_hello_resp *msg, void *data) {
	struct upstream *u = data;
	uint64_t now = now_ns(), rtt = now - u->hello_ns;
	if (!u->has_offset || rtt <= 2 * u->hello_rtt_ns) {
		u->clock_offset_ns = (int64_t)(msg->now_ns - (u->hello_ns + rtt / 2));
		u->hello_rtt_ns = u->has_offset ? MIN(rtt, u->hello_rtt_ns) : rtt;
		/* On one machine both clocks are the same: what is left is the error of measuring. */
		if (llabs(u->clock_offset_ns) <= (int64_t)rtt) {
			u->clock_offset_ns = 0;
		}
		u->has_offset = true;
	}
}

static void handle_subscribed(const struct hxfr_subscribe_resp *msg, void *data) {
	struct upstream *u = data;
	if (!msg->success) {
		char why[128];
		(void)snprintf(why, sizeof(why),
			"the exporter refuses scanout %u: there is none, or the token is not its",
			u->scanout);
		fail(u, why);
		return;
	}
	u->subscribed = true;
	if (u->bitrate) {
		(void)hxfr_client_set_bitrate(u->client, u->bitrate);
	}
}

static uint64_t local_time(const struct upstream *u, uint64_t server_ns, uint64_t now) {
	int64_t t = (int64_t)server_ns - u->clock_offset_ns;
	return t <= 0 || (uint64_t)t > now ? now : (uint64_t)t;
}

static void set_times(struct upstream *u, struct unit *unit, const struct hxfr_flip_info *flip) {
	uint64_t now = unit->received_ns;
	if (flip && u->has_offset) {
		unit->flip_ns = local_time(u, flip->flip_ns, now);
		unit->encoded_ns = local_time(u, flip->encoded_ns, now);
	} else {
		unit->flip_ns = unit->encoded_ns = now;
	}
	uint64_t pts = clock_wire_us(unit->flip_ns);
	unit->pts_us = MAX(pts, u->last_pts_us + 1);
	u->last_pts_us = unit->pts_us;
}

/* Units that the exporter dropped on the way to us: what follows can be decoded only from an IDR. */
static bool is_gap(struct upstream *u, const struct hxfr_flip_info *flip) {
	bool gap = flip && flip->dropped != u->last_dropped;
	u->last_dropped = flip ? flip->dropped : 0;
	return gap;
}

static void handle_frame(const struct hxfr_frame *frame, void *data) {
	struct upstream *u = data;
	const struct hxfr_flip_info *flip = frame->flip;
	uint64_t now = now_ns();
	struct unit *unit = unit_create(frame->data, frame->size, frame->keyframe);
	if (!unit) {
		fail(u, "no memory for a frame");
		return;
	}
	unit->received_ns = frame->received_ns;
	if (flip) {
		unit->sequence = (uint32_t)flip->sequence;
		unit->width = flip->width;
		unit->height = flip->height;
	} else {
		unit->sequence = ++u->last_sequence;
	}
	set_times(u, unit, flip);
	u->retry_ns = 0;
	u->complained = false;
	u->handler->unit(unit, is_gap(u, flip), u->data);
	unit_unref(unit);
	if (u->client && u->has_offset && now - u->hello_ns > CLOCK_EVERY_NS) {
		u->hello_ns = now;
		(void)hxfr_client_hello(u->client, FEATURES);
	}
}

static void handle_cursor_image(
	const struct hxfr_cursor_image *msg, const uint8_t *bgra, void *data) {
	struct upstream *u = data;
	u->handler->cursor_image(msg, bgra, u->data);
}

static void handle_cursor_position(const struct hxfr_cursor_position *msg, void *data) {
	struct upstream *u = data;
	u->handler->cursor_position(msg, u->data);
}

static void handle_state(const struct hxfr_scanout_state *msg, void *data) {
	struct upstream *u = data;
	if (msg->scanout_id == u->scanout) {
		u->handler->size(msg->width, msg->height, u->data);
	}
}

/* The first word of a small file; -ENOENT and the like. */
static int read_word(const char *dir, const char *name, char *ret, size_t size) {
	char path[512];
	if (!dir || snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path)) {
		return -ENOENT;
	}
	CLEANUP_CLOSE int fd = open(dir[0] ? path : name, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		return -errno;
	}
	ssize_t n = read(fd, ret, size - 1);
	if (n < 0) {
		return -errno;
	}
	ret[n] = '\0';
	ret[strcspn(ret, " \t\r\n")] = '\0';
	return ret[0] ? 0 : -ENODATA;
}

/* Section 2.6 of what peers expect: argument, environment, file. */
static int find_scanout(struct upstream *u) {
	char text[32];
	const char *env = getenv("HELIX_SCANOUT_ID");
	if (u->config->scanout >= 0) {
		u->scanout = (uint32_t)u->config->scanout;
		return 0;
	}
	if (env && parse_u32(env, 1, UINT32_MAX - 1, &u->scanout) == 0) {
		return 0;
	}
	int r = read_word(u->config->runtime_dir, "helix-scanout-id", text, sizeof(text));
	return r < 0 ? r : parse_u32(text, 1, UINT32_MAX - 1, &u->scanout);
}

static int find_exporter(struct upstream *u, char host[UPSTREAM_HOST_SIZE], uint16_t *ret_port) {
	const struct upstream_config *c = u->config;
	char text[UPSTREAM_HOST_SIZE + 8];
	if (c->host[0]) {
		(void)snprintf(host, UPSTREAM_HOST_SIZE, "%s", c->host);
		*ret_port = c->port;
		return 0;
	}
	(void)snprintf(host, UPSTREAM_HOST_SIZE, "%s", FALLBACK_HOST);
	if (read_word(c->runtime_dir, "helix-exporter", text, sizeof(text)) == 0) {
		return parse_host_port(text, host, UPSTREAM_HOST_SIZE, ret_port);
	}
	*ret_port = c->fallback_port;
	return 0;
}

/* 0: none is there, so none is shown. A broken one is an error. */
static int find_token(struct upstream *u, uint8_t token[HXFR_TOKEN_SIZE]) {
	const struct upstream_config *c = u->config;
	char text[2 * HXFR_TOKEN_SIZE + 2];
	int r = c->token_path ? read_word("", c->token_path, text, sizeof(text))
			      : read_word(c->runtime_dir, "helix-lease-token", text, sizeof(text));
	if (r == -ENOENT && !c->token_path) {
		return 0;
	}
	if (r == 0) {
		r = lease_token_from_string(text, token);
	}
	explicit_bzero(text, sizeof(text));
	return r < 0 ? r : 1;
}

static const struct hxfr_client_handler client_handler = {
	.connected = handle_connected,
	.closed = handle_closed,
	.hello = handle_hello,
	.subscribed = handle_subscribed,
	.frame = handle_frame,
	.cursor_image = handle_cursor_image,
	.cursor_position = handle_cursor_position,
	.state = handle_state,
};

static int connect_exporter(struct upstream *u, char *ret_why, size_t why_size) {
	char host[UPSTREAM_HOST_SIZE];
	uint8_t token[HXFR_TOKEN_SIZE];
	uint16_t port = 0;
	int has_token = 0;
	const char *what = "cannot tell which scanout is this desktop's";
	int r = find_scanout(u);
	if (r == 0) {
		what = "the exporter's address cannot be read";
		r = find_exporter(u, host, &port);
	}
	if (r == 0) {
		what = "the lease's token cannot be read";
		r = has_token = find_token(u, token);
	}
	if (r >= 0) {
		what = "no connection to the exporter";
		u->known_scanout = u->scanout;
		r = hxfr_client_create(
			u->loop, host, port, CONNECT_TIMEOUT_MS, &client_handler, u, &u->client);
	}
	if (r >= 0) {
		u->hello_ns = now_ns();
		r = hxfr_client_hello(u->client, FEATURES);
	}
	if (r >= 0 && has_token) {
		r = hxfr_client_show_token(u->client, u->scanout, token);
	}
	if (r >= 0) {
		r = hxfr_client_subscribe(u->client, u->scanout);
	}
	explicit_bzero(token, sizeof(token));
	if (r < 0) {
		(void)snprintf(ret_why, why_size, "%s: %s", what, strerror(-r));
	}
	return r;
}

static void start(struct upstream *u) {
	char why[256];
	u->connects++;
	u->has_offset = false;
	u->last_dropped = 0;
	if (connect_exporter(u, why, sizeof(why)) < 0) {
		fail(u, why);
	}
}

int upstream_create(sd_event *loop, const struct upstream_config *config,
	const struct upstream_handler *handler, void *data, struct upstream **ret) {
	struct upstream *u = calloc(1, sizeof(*u));
	if (!u) {
		return -ENOMEM;
	}
	u->loop = sd_event_ref(loop);
	u->config = config;
	u->handler = handler;
	u->data = data;
	u->known_scanout = config->scanout;
	int r = sd_event_add_time(loop, &u->retry, CLOCK_MONOTONIC, 0, 0, handle_retry, u);
	if (r >= 0) {
		r = sd_event_source_set_enabled(u->retry, SD_EVENT_OFF);
	}
	if (r < 0) {
		upstream_destroy(u);
		return r;
	}
	*ret = u;
	return 0;
}

void upstream_destroy(struct upstream *u) {
	if (!u) {
		return;
	}
	hxfr_client_destroy(u->client);
	sd_event_source_disable_unref(u->retry);
	sd_event_unref(u->loop);
	free(u);
}

void upstream_want(struct upstream *u, bool wanted) {
	if (wanted == u->wanted) {
		return;
	}
	u->wanted = wanted;
	u->retry_ns = 0;
	u->complained = false;
	(void)sd_event_source_set_enabled(u->retry, SD_EVENT_OFF);
	if (wanted) {
		/* From the loop, not from within the caller's handler. */
		(void)sd_event_source_set_time(u->retry, 0);
		(void)sd_event_source_set_enabled(u->retry, SD_EVENT_ONESHOT);
	} else {
		hxfr_client_destroy(u->client);
		u->client = NULL;
		u->subscribed = false;
	}
}

enum upstream_state upstream_state(const struct upstream *u) {
	return !u->wanted       ? UPSTREAM_IDLE
		: u->subscribed ? UPSTREAM_SUBSCRIBED
				: UPSTREAM_CONNECTING;
}

void upstream_request_keyframe(struct upstream *u) {
	if (u->subscribed) {
		(void)hxfr_client_request_keyframe(u->client);
	}
}

void upstream_set_bitrate(struct upstream *u, uint32_t bits_per_second) {
	u->bitrate = bits_per_second;
	if (u->subscribed && bits_per_second) {
		(void)hxfr_client_set_bitrate(u->client, bits_per_second);
	}
}

int64_t upstream_scanout(const struct upstream *u) {
	return u->known_scanout;
}

uint64_t upstream_connects(const struct upstream *u) {
	return u->connects;
}
