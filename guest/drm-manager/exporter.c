/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>

#include <helix/hxfr-client.h>

#include "exporter.h"
#include "log.h"
#include "util.h"

LOG_MODULE("exporter");

/* Of the timer: sd-event takes 0 for 250 ms. */
#define TIMER_ACCURACY_US  1000
#define CONNECT_TIMEOUT_MS 3000
/* Between attempts while nobody asks; a request makes one at once. */
#define RETRY_MIN_US (100 * UINT64_C(1000))
#define RETRY_MAX_US (5 * UINT64_C(1000000))

enum link_state {
	LINK_DOWN,
	LINK_CONNECTING, /* or finding out what the server can do */
	LINK_UP,
};

/* One output: what it shall be, and how much of that was told. */
struct slot {
	bool known; /* somebody wanted something of it */
	bool on;
	bool dirty; /* is to be told */
	bool unsure; /* was told in another life; to be told again if the exporter has it otherwise */
	bool waiting; /* `enabled` is to be called */
	bool lost;    /* and `lost` was called */
	uint32_t width, height, refresh;
	uint8_t token[LEASE_TOKEN_SIZE]; /* zeroes: none yet */
	unsigned replies;                /* to come; the last one counts */
};

struct exporter {
	sd_event *loop;
	struct exporter_config config;
	char name[64];
	const struct exporter_handler *handler;
	void *data;

	struct hxfr_client *client; // NULL while the link is down
	enum link_state state;
	bool extended; /* the server answered HELLO: it answers DISABLE too */
	bool tokens;   /* and knows of tokens */
	bool was_up;   /* this connection */
	bool complained;
	sd_event_source *retry;
	uint64_t retry_us;
	struct slot slots[CARD_OUTPUTS_MAX];
};

static void start(struct exporter *e);

static void report(struct exporter *e, uint32_t id, int error, const uint8_t *token) {
	e->slots[id].waiting = false;
	e->handler->enabled(e->data, id, error, token);
}

static void tell(struct exporter *e, uint32_t id) {
	struct slot *s = &e->slots[id];
	if (e->state != LINK_UP || !s->dirty) {
		return;
	}
	int r;
	if (s->on) {
		struct hxfr_enable_lease msg = {.scanout = {.scanout_id = id,
							.width = s->width,
							.height = s->height,
							.refresh = s->refresh}};
		memcpy(msg.token, s->token, sizeof(msg.token));
		r = e->tokens ? hxfr_client_enable_lease(e->client, &msg)
			      : hxfr_client_enable(e->client, &msg.scanout);
	} else {
		r = hxfr_client_disable(e->client, id);
	}
	if (r < 0) {
		/* The connection is about to end; then all is told again. */
		log_debug("%s: output %u cannot be told: %s", e->name, id, strerror(-r));
		return;
	}
	s->dirty = s->unsure = false;
	s->replies += s->on || e->extended;
}

/* To ENABLE or DISABLE; of several under way only the last counts. */
static void handle_reply(struct exporter *e, uint32_t id, bool success, const uint8_t *token) {
	if (id >= CARD_OUTPUTS_MAX || e->slots[id].replies == 0) {
		return;
	}
	struct slot *s = &e->slots[id];
	if (--s->replies > 0 || s->dirty) {
		return;
	}
	if (!success) {
		log_warn("%s: refuses to %s output %u", e->name, s->on ? "enable" : "disable", id);
	} else if (s->on && token) {
		memcpy(s->token, token, sizeof(s->token));
	}
	if (s->on) {
		report(e, id, success ? 0 : -EREMOTEIO, token);
	}
}

static void handle_connected(void *data) {
	struct exporter *e = data;
	/* A server of ours answers both, in this order; others only the second. */
	(void)hxfr_client_hello(e->client, HXFR_FEATURE_STATE | HXFR_FEATURE_TOKENS);
	if (e->config.key) {
		(void)hxfr_client_authenticate(e->client, e->config.key);
	}
	(void)hxfr_client_ping(e->client);
}

static void handle_hello(const struct hxfr_hello_resp *msg, void *data) {
	struct exporter *e = data;
	e->extended = true;
	e->tokens = msg->features & HXFR_FEATURE_TOKENS;
}

static void handle_authenticated(bool success, void *data) {
	const struct exporter *e = data;
	if (!success) {
		log_err("%s: does not know our key", e->name);
	}
}

static void handle_lease(const struct hxfr_lease_resp *msg, void *data) {
	handle_reply(data, msg->scanout.scanout_id, msg->scanout.success != 0, msg->token);
}

static void handle_pong(void *data) {
	struct exporter *e = data;
	if (e->state != LINK_CONNECTING) {
		return;
	}
	e->state = LINK_UP;
	e->was_up = true;
	e->complained = false;
	e->retry_us = RETRY_MIN_US;
	log_info("%s: connected", e->name);
	for (uint32_t i = 0; i < CARD_OUTPUTS_MAX && e->state == LINK_UP; i++) {
		struct slot *s = &e->slots[i];
		/* One that tells states is about to do it. */
		s->dirty = s->dirty || (s->unsure && !e->extended);
		tell(e, i);
	}
}

static void handle_state(const struct hxfr_scanout_state *msg, void *data) {
	struct exporter *e = data;
	uint32_t id = msg->scanout_id;
	struct slot *s = id < CARD_OUTPUTS_MAX ? &e->slots[id] : NULL;
	if (!s) {
		return;
	}
	bool lost = msg->flags & HXFR_STATE_LOST, newly = lost && !s->lost;
	s->lost = lost;
	if (s->unsure) {
		s->unsure = false;
		s->dirty = s->on != ((msg->flags & HXFR_STATE_ENABLED) != 0);
		/* An exporter that does not know of it is another one, without what was drawn into. */
		newly = newly || (s->on && s->dirty);
		tell(e, id);
	}
	if (newly) {
		e->handler->lost(e->data, id);
	}
}

static void handle_scanout(const struct hxfr_scanout_resp *msg, void *data) {
	handle_reply(data, msg->scanout_id, msg->success != 0, NULL);
}

static void retry_later(struct exporter *e) {
	(void)sd_event_source_set_time_relative(e->retry, e->retry_us);
	(void)sd_event_source_set_enabled(e->retry, SD_EVENT_ONESHOT);
	e->retry_us = MIN(2 * e->retry_us, RETRY_MAX_US);
}

/* What was on is to be on with the next server as well, whichever that is. */
static void handle_closed(int error, void *data) {
	struct exporter *e = data;
	bool was_up = e->was_up;
	error = error ? error : -ECONNRESET;
	if (!e->complained) {
		log_warn_errno(error, "%s: %s", e->name, was_up ? "lost" : "cannot be reached");
		e->complained = !was_up;
	}
	hxfr_client_destroy(e->client);
	e->client = NULL;
	e->state = LINK_DOWN;
	e->was_up = false;
	for (uint32_t i = 0; i < CARD_OUTPUTS_MAX; i++) {
		struct slot *s = &e->slots[i];
		s->dirty = s->dirty || s->replies > 0;
		s->unsure = s->known && !s->dirty;
		s->replies = 0;
	}
	if (was_up) {
		/* Restarted, perhaps: who waits deserves one more attempt. */
		start(e);
		return;
	}
	retry_later(e);
	for (uint32_t i = 0; i < CARD_OUTPUTS_MAX; i++) {
		if (e->slots[i].waiting) {
			report(e, i, error, NULL);
		}
	}
}

static void handle_error(const struct hxfr_error *msg, void *data) {
	const struct exporter *e = data;
	log_warn("%s: says: %s", e->name, msg->message);
}

static const struct hxfr_client_handler client_handler = {
	.connected = handle_connected,
	.closed = handle_closed,
	.hello = handle_hello,
	.pong = handle_pong,
	.authenticated = handle_authenticated,
	.lease = handle_lease,
	.scanout = handle_scanout,
	.state = handle_state,
	.error = handle_error,
};

static void start(struct exporter *e) {
	e->state = LINK_CONNECTING;
	e->extended = e->tokens = false;
	(void)sd_event_source_set_enabled(e->retry, SD_EVENT_OFF);
	int r = hxfr_client_create(e->loop, e->config.host, e->config.port, CONNECT_TIMEOUT_MS,
		&client_handler, e, &e->client);
	if (r < 0) {
		handle_closed(r, e);
	}
}

static int handle_retry(sd_event_source *source, uint64_t usec, void *data) {
	start(data);
	return 0;
}

int exporter_create(sd_event *loop, const struct exporter_config *config,
	const struct exporter_handler *handler, void *data, struct exporter **ret) {
	struct exporter *e = calloc(1, sizeof(*e));
	if (!e) {
		return -ENOMEM;
	}
	e->loop = sd_event_ref(loop);
	e->config = *config;
	e->handler = handler;
	e->data = data;
	e->retry_us = RETRY_MIN_US;
	(void)snprintf(e->name, sizeof(e->name), "%s:%u", config->host, config->port);
	/* The first attempt is made when the loop runs. */
	int r = sd_event_add_time_relative(
		loop, &e->retry, CLOCK_MONOTONIC, 0, TIMER_ACCURACY_US, handle_retry, e);
	if (r < 0) {
		exporter_destroy(e);
		return r;
	}
	*ret = e;
	return 0;
}

void exporter_destroy(struct exporter *e) {
	if (!e) {
		return;
	}
	hxfr_client_destroy(e->client);
	sd_event_source_disable_unref(e->retry);
	sd_event_unref(e->loop);
	free(e);
}

void exporter_enable(struct exporter *e, uint32_t id, uint32_t width, uint32_t height,
	uint32_t refresh, const uint8_t *token) {
	struct slot *s = &e->slots[id];
	s->known = s->on = s->dirty = s->waiting = true;
	s->unsure = false;
	s->width = width;
	s->height = height;
	s->refresh = refresh;
	memset(s->token, 0, sizeof(s->token));
	if (token) {
		memcpy(s->token, token, sizeof(s->token));
	}
	if (e->state == LINK_UP) {
		tell(e, id);
	} else if (e->state == LINK_DOWN) {
		/* From the loop: the caller does not expect its answer before this returns. */
		(void)sd_event_source_set_time_relative(e->retry, 0);
		(void)sd_event_source_set_enabled(e->retry, SD_EVENT_ONESHOT);
	}
}

void exporter_disable(struct exporter *e, uint32_t id) {
	struct slot *s = &e->slots[id];
	s->known = s->dirty = true;
	s->on = s->waiting = s->unsure = false;
	memset(s->token, 0, sizeof(s->token));
	tell(e, id);
}

void exporter_assume(struct exporter *e, uint32_t id, uint32_t width, uint32_t height,
	uint32_t refresh, const uint8_t *token) {
	struct slot *s = &e->slots[id];
	s->known = s->unsure = true;
	s->on = width > 0;
	s->width = width;
	s->height = height;
	s->refresh = refresh;
	if (token) {
		memcpy(s->token, token, sizeof(s->token));
	}
}

const char *exporter_name(const struct exporter *e) {
	return e->name;
}
