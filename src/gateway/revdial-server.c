/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "net/crypto.h"
#include "net/ws-stream.h"
#include "proto/revdial.h"
#include "revdial-server.h"

LOG_MODULE("revdial");

#define RUNNERS_MAX 1024u
/* A line in each direction, and some. */
#define IN_SIZE  REVDIAL_LINE_MAX
#define OUT_SIZE (8 * REVDIAL_LINE_MAX)
#define TICK_MS  (REVDIAL_PING_MS / 5)

/* A bridge that connected; for some time also one that is gone. Owns its place among the desktops. */
struct runner {
	struct gateway *gateway;
	struct desktop *desktop;
	struct control *control; // NULL: gone, for now
	struct identity *who;
	char dialer[REVDIAL_ID_SIZE];
	struct list pickups; // struct pickup.link
	unsigned n_pickups;
	sd_event_source *grace;
};

/* A control connection. */
struct control {
	struct list link; // gateway.controls
	struct runner *runner;
	struct stream *stream;
	bool frames; /* a WebSocket; else the raw variant */
	struct buffer in, out;
	sd_event_source *timer;
	uint64_t said_ns, pinged_ns,
		blocked_ns; /* blocked: since when `out` is not empty, 0: it is */
};

/* A data connection that is asked for. */
struct pickup {
	struct list link;      // runner.pickups
	struct runner *runner; // NULL: it is gone, and the callback is due
	char request[REVDIAL_ID_SIZE];
	sd_event_source *timer;
	int error; /* when the timer fires */
	pickup_fn done;
	void *data;
};

static void control_lost(struct control *c, const char *why);

static void pickup_finish(struct pickup *p, struct stream *stream, int error) {
	pickup_fn done = p->done;
	void *data = p->data;
	pickup_destroy(p);
	done(data, stream, error);
}

void pickup_destroy(struct pickup *p) {
	if (!p) {
		return;
	}
	if (p->runner) {
		p->runner->n_pickups--;
	}
	list_remove(&p->link);
	sd_event_source_disable_unref(p->timer);
	free(p);
}

static int handle_pickup_timer(sd_event_source *source, uint64_t usec, void *data) {
	struct pickup *p = data;
	pickup_finish(p, NULL, p->error);
	return 0;
}

static void set_pickup_timer(struct pickup *p, unsigned ms, int error) {
	p->error = error;
	(void)sd_event_source_set_time_relative(p->timer, ms * UINT64_C(1000));
	(void)sd_event_source_set_enabled(p->timer, SD_EVENT_ONESHOT);
}

static int control_flush(struct control *c) {
	while (buffer_filled(&c->out) > 0) {
		ssize_t n = stream_write(c->stream, buffer_front(&c->out), buffer_filled(&c->out));
		if (n < 0 && n != -EAGAIN) {
			return (int)n;
		}
		if (n < 0) {
			c->blocked_ns = c->blocked_ns ? c->blocked_ns : now_ns();
			return 0;
		}
		buffer_take(&c->out, (size_t)n);
	}
	c->blocked_ns = 0;
	return 0;
}

/* What does not fit is lost, and its pickup times out. */
static void control_say(struct control *c, enum revdial_command command, const char *request) {
	struct revdial_message m = {.command = command};
	char line[REVDIAL_LINE_MAX];
	if (request) {
		revdial_format_path(m.path, c->runner->dialer, request);
	}
	ssize_t n = revdial_encode(line, sizeof(line), &m);
	if (n > 0) {
		(void)buffer_put(&c->out, line, (size_t)n);
	}
	c->said_ns = now_ns();
	(void)stream_want(c->stream, true, true);
}

static void tell_pickup(struct control *c, struct pickup *p) {
	control_say(c, REVDIAL_CONN_READY, p->request);
	control_say(c, REVDIAL_KEEP_ALIVE, NULL);
	set_pickup_timer(p, REVDIAL_PICKUP_MS, -ETIMEDOUT);
}

int pickup_create(struct runner *r, pickup_fn done, void *data, struct pickup **ret) {
	uint8_t id[(REVDIAL_ID_SIZE - 1) / 2];
	if (r->n_pickups >= REVDIAL_QUEUED_DIALS) {
		return -EBUSY;
	}
	struct pickup *p = calloc(1, sizeof(*p));
	if (!p) {
		return -ENOMEM;
	}
	p->done = done;
	p->data = data;
	list_init(&p->link);
	int error = random_bytes(id, sizeof(id));
	if (error >= 0) {
		/* A runner that does not come back fails it at the end of its grace. */
		error = sd_event_add_time_relative(r->gateway->loop, &p->timer, CLOCK_MONOTONIC,
			REVDIAL_GRACE_MS * UINT64_C(1000), 0, handle_pickup_timer, p);
	}
	if (error < 0) {
		pickup_destroy(p);
		return error;
	}
	p->error = -EHOSTUNREACH;
	hex_encode(id, sizeof(id), p->request);
	p->runner = r;
	r->n_pickups++;
	list_append(&r->pickups, &p->link);
	if (r->control) {
		tell_pickup(r->control, p);
	}
	*ret = p;
	return 0;
}

static struct pickup *pickup_find(struct runner *r, const char *request) {
	struct pickup *p;
	list_for_each(p, &r->pickups, link) {
		if (same_bytes(p->request, request, REVDIAL_ID_SIZE)) {
			return p;
		}
	}
	return NULL;
}

static void control_destroy(struct control *c) {
	if (!c) {
		return;
	}
	if (c->runner) {
		c->runner->control = NULL;
	}
	list_remove(&c->link);
	sd_event_source_disable_unref(c->timer);
	stream_destroy(c->stream);
	buffer_finish(&c->in);
	buffer_finish(&c->out);
	free(c);
}

static void runner_destroy(struct runner *r) {
	control_destroy(r->control);
	sd_event_source_disable_unref(r->grace);
	/* Those who wait are told from the loop: this may be called from anywhere. */
	while (!list_empty(&r->pickups)) {
		struct pickup *p = list_first(&r->pickups, struct pickup, link);
		list_remove(&p->link);
		p->runner = NULL;
		set_pickup_timer(p, 0, -EHOSTUNREACH);
	}
	r->desktop->runner = NULL;
	desktop_remove(r->desktop);
	identity_unref(r->who);
	free(r);
}

static int handle_grace(sd_event_source *source, uint64_t usec, void *data) {
	struct runner *r = data;
	log_info("%s did not come back", r->desktop->name);
	runner_destroy(r);
	return 0;
}

static void control_lost(struct control *c, const char *why) {
	struct runner *r = c->runner;
	log_info("%s: %s", r->desktop->name, why);
	control_destroy(c);
	desktop_set_state(r->desktop, DESKTOP_RECONNECTING);
	(void)sd_event_source_set_time_relative(r->grace, REVDIAL_GRACE_MS * UINT64_C(1000));
	(void)sd_event_source_set_enabled(r->grace, SD_EVENT_ONESHOT);
}

static void take_message(struct control *c, const struct revdial_message *m) {
	char dialer[REVDIAL_ID_SIZE], request[REVDIAL_ID_SIZE];
	const char *query = strchr(m->path, '?');
	if (m->command != REVDIAL_PICKUP_FAILED || !query) {
		return;
	}
	struct http_text text = {query + 1, strlen(query + 1)};
	if (http_query(text, "revdial.dialer", dialer, sizeof(dialer)) < 0 ||
		http_query(text, "revdial.req", request, sizeof(request)) < 0 ||
		!revdial_id_is_valid(request) || strcmp(dialer, c->runner->dialer) != 0) {
		return;
	}
	if (gateway_may_log(c->runner->gateway)) {
		char why[REVDIAL_ERR_MAX];
		for (size_t i = 0; i < sizeof(why); i++) {
			bool printable = m->err[i] >= ' ' && m->err[i] < 0x7f;
			why[i] = printable || m->err[i] == '\0' ? m->err[i] : '?';
		}
		log_warn("%s: no data connection: %s", c->runner->desktop->name, why);
	}
	struct pickup *p = pickup_find(c->runner, request);
	if (p) {
		/* Not from here: the callback may end anything. */
		set_pickup_timer(p, 0, -ECONNREFUSED);
	}
}

/* 0 or -errno; -ECONNRESET at the end. */
static int control_read(struct control *c) {
	for (;;) {
		struct revdial_message m;
		ssize_t n = revdial_decode(
			(const char *)buffer_front(&c->in), buffer_filled(&c->in), &m);
		if (n < 0) {
			return (int)n;
		}
		if (n > 0) {
			buffer_take(&c->in, (size_t)n);
			take_message(c, &m);
			continue;
		}
		uint8_t *end = buffer_end(&c->in);
		n = stream_read(c->stream, end, buffer_room(&c->in));
		if (n <= 0) {
			return n == 0 ? -ECONNRESET : n == -EAGAIN ? 0 : (int)n;
		}
		buffer_add(&c->in, (size_t)n);
	}
}

static void handle_control(void *data) {
	struct control *c = data;
	int r = control_read(c);
	if (r >= 0) {
		r = control_flush(c);
	}
	if (r < 0) {
		control_lost(c, r == -ECONNRESET ? "disconnected" : strerror(-r));
		return;
	}
	(void)stream_want(c->stream, true, buffer_filled(&c->out) > 0);
}

static int handle_tick(sd_event_source *source, uint64_t usec, void *data) {
	struct control *c = data;
	uint64_t now = now_ns();
	bool deaf = c->blocked_ns && now - c->blocked_ns > REVDIAL_WRITE_MS * NSEC_PER_MSEC;
	bool silent = c->frames &&
		now - ws_stream_heard_ns(c->stream) > REVDIAL_SILENCE_MS * NSEC_PER_MSEC;
	if (deaf || silent) {
		control_lost(c, deaf ? "takes nothing" : "silent");
		return 0;
	}
	if (c->frames && now - c->pinged_ns >= REVDIAL_PING_MS * NSEC_PER_MSEC) {
		c->pinged_ns = now;
		(void)ws_stream_ping(c->stream);
	}
	if (now - c->said_ns >= REVDIAL_QUIET_MS * NSEC_PER_MSEC) {
		control_say(c, REVDIAL_KEEP_ALIVE, NULL);
	}
	(void)sd_event_source_set_time_relative(source, TICK_MS * UINT64_C(1000));
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static struct runner *runner_of(struct gateway *g, const char *name) {
	struct desktop *d = desktop_find(g, name);
	return d ? d->runner : NULL;
}

static int runner_create(struct gateway *g, const char *name, struct runner **ret) {
	uint8_t id[(REVDIAL_ID_SIZE - 1) / 2];
	struct runner *r = calloc(1, sizeof(*r));
	if (!r) {
		return -ENOMEM;
	}
	r->gateway = g;
	list_init(&r->pickups);
	int error = random_bytes(id, sizeof(id));
	if (error >= 0) {
		hex_encode(id, sizeof(id), r->dialer);
		error = sd_event_add_time(
			g->loop, &r->grace, CLOCK_MONOTONIC, UINT64_MAX, 0, handle_grace, r);
	}
	if (error >= 0) {
		error = sd_event_source_set_enabled(r->grace, SD_EVENT_OFF);
	}
	if (error >= 0) {
		error = desktop_add(g, name, &r->desktop);
	}
	if (error < 0) {
		sd_event_source_disable_unref(r->grace);
		free(r);
		return error;
	}
	r->desktop->runner = r;
	*ret = r;
	return 0;
}

/* The newest control connection is the one that counts. */
static void runner_set_control(struct runner *r, struct control *c, struct identity *who) {
	struct pickup *p;
	control_destroy(r->control);
	r->control = c;
	c->runner = r;
	identity_unref(r->who);
	r->who = identity_ref(who);
	(void)sd_event_source_set_enabled(r->grace, SD_EVENT_OFF);
	desktop_set_state(r->desktop, DESKTOP_ONLINE);
	log_info("%s is connected%s", r->desktop->name, c->frames ? "" : ", without WebSocket");
	control_say(c, REVDIAL_KEEP_ALIVE, NULL);
	/* Also those that the last connection was told: it may not have got through. */
	list_for_each(p, &r->pickups, link) {
		tell_pickup(c, p);
	}
}

static bool is_websocket(const struct conn *c) {
	return http_has_token(&c->head, "Upgrade", "websocket");
}

/* The conn's stream as what it is after its handshake; NULL: no memory. */
static struct stream *take_stream(struct conn *c, const void *early, size_t n) {
	struct stream *stream = NULL, *base = conn_take_stream(c);
	if (!is_websocket(c)) {
		return base;
	}
	if (ws_stream_create(c->gateway->loop, base, false, early, n, &stream) < 0) {
		stream_destroy(base);
		return NULL;
	}
	return stream;
}

static void query_of(const struct conn *c, const char *name, char *to, size_t size) {
	struct http_text path, query;
	http_split_target(c->head.target, &path, &query);
	if (http_query(query, name, to, size) < 0) {
		to[0] = '\0';
	}
}

static struct control *control_create(struct conn *conn) {
	size_t n;
	const void *early = conn_early(conn, &n);
	struct control *c = calloc(1, sizeof(*c));
	if (!c) {
		return NULL;
	}
	list_append(&conn->gateway->controls, &c->link);
	c->frames = is_websocket(conn);
	c->pinged_ns = now_ns();
	int r = buffer_init(&c->in, IN_SIZE);
	if (r >= 0) {
		r = buffer_init(&c->out, OUT_SIZE);
	}
	if (r >= 0 && !c->frames) {
		r = buffer_put(&c->in, early, n);
	}
	if (r >= 0) {
		r = sd_event_add_time_relative(conn->gateway->loop, &c->timer, CLOCK_MONOTONIC,
			TICK_MS * UINT64_C(1000), 0, handle_tick, c);
	}
	if (r >= 0) {
		c->stream = take_stream(conn, early, n);
	}
	if (!c->stream) {
		control_destroy(c);
		return NULL;
	}
	stream_set_handler(c->stream, handle_control, c);
	return c;
}

static void handle_control_upgraded(struct conn *conn) {
	char id[REVDIAL_RUNNER_MAX + 1];
	query_of(conn, "runnerid", id, sizeof(id));
	const char *name = id + strlen(REVDIAL_RUNNER_PREFIX);
	struct runner *r = runner_of(conn->gateway, name);
	struct control *c = control_create(conn);
	if (c && (r || runner_create(conn->gateway, name, &r) >= 0)) {
		runner_set_control(r, c, conn->who);
	} else {
		control_destroy(c);
	}
}

static struct runner *runner_of_dialer(struct gateway *g, const char *dialer) {
	struct desktop *d;
	list_for_each(d, &g->desktops, link) {
		if (d->runner && same_bytes(d->runner->dialer, dialer, REVDIAL_ID_SIZE)) {
			return d->runner;
		}
	}
	return NULL;
}

/* A request that is unknown, expired or already answered: the connection is closed. */
static void handle_data_upgraded(struct conn *conn) {
	char dialer[REVDIAL_ID_SIZE], request[REVDIAL_ID_SIZE];
	size_t n;
	const void *early = conn_early(conn, &n);
	query_of(conn, "revdial.dialer", dialer, sizeof(dialer));
	query_of(conn, "revdial.req", request, sizeof(request));
	struct runner *r = runner_of_dialer(conn->gateway, dialer);
	struct pickup *p = r && revdial_id_is_valid(request) ? pickup_find(r, request) : NULL;
	/* Without WebSocket the bridge has nothing to say before it is asked. */
	if (!p || (n > 0 && !is_websocket(conn))) {
		return;
	}
	struct stream *stream = take_stream(conn, early, n);
	if (stream) {
		pickup_finish(p, stream, 0);
	}
}

static void upgrade(struct conn *c, void (*upgraded)(struct conn *c)) {
	char head[256], accept[WS_ACCEPT_SIZE], key[WS_KEY_TEXT_SIZE];
	struct http_text text;
	if (!is_websocket(c)) {
		conn_upgrade(c, "HTTP/1.1 200 OK\r\n\r\n", upgraded);
		return;
	}
	if (http_get(&c->head, "Sec-WebSocket-Key", &text) < 0 ||
		http_text_copy(text, key, sizeof(key)) < 0) {
		conn_answer_text(c, 400, "That is no WebSocket handshake.\n");
		return;
	}
	ws_accept_key(key, accept);
	(void)snprintf(head, sizeof(head),
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
		"Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		accept);
	conn_upgrade(c, head, upgraded);
}

static void answer_data(struct conn *c, struct identity *who, const char *dialer) {
	struct runner *r =
		revdial_id_is_valid(dialer) ? runner_of_dialer(c->gateway, dialer) : NULL;
	if (!r) {
		conn_answer_text(c, 500, "Unknown dialer.\n");
	} else if (!identity_may_see(who, r->desktop->name)) {
		conn_answer_text(c, 403, "Forbidden.\n");
	} else {
		upgrade(c, handle_data_upgraded);
	}
}

void revdial_answer(struct conn *c, struct identity *who, struct http_text query) {
	char id[REVDIAL_RUNNER_MAX + 1], dialer[REVDIAL_ID_SIZE];
	struct gateway *g = c->gateway;
	if (!who) {
		conn_answer_text(c, 401, "A token is needed.\n");
		return;
	}
	if (who->role != ROLE_RUNNER && who != auth_everybody(g->auth)) {
		conn_answer_text(c, 403, "Forbidden.\n");
		return;
	}
	if (http_query(query, "revdial.dialer", dialer, sizeof(dialer)) == 0) {
		answer_data(c, who, dialer);
		return;
	}
	if (http_query(query, "runnerid", id, sizeof(id)) < 0 || !revdial_runner_is_valid(id)) {
		conn_answer_text(c, 400, "runnerid is missing or malformed.\n");
		return;
	}
	const char *name = id + strlen(REVDIAL_RUNNER_PREFIX);
	const struct desktop *d = desktop_find(g, name);
	if (!identity_may_see(who, name) || (d && d->direct)) {
		conn_answer_text(c, 403, "Forbidden.\n");
		return;
	}
	upgrade(c, handle_control_upgraded);
}

void revdial_check_identities(struct gateway *g) {
	struct desktop *d, *next;
	list_for_each_safe(d, next, &g->desktops, link) {
		if (d->runner && !auth_knows(g->auth, d->runner->who)) {
			log_info("%s: its token is no longer valid", d->name);
			runner_destroy(d->runner);
		}
	}
}

void revdial_finish(struct gateway *g) {
	struct desktop *d, *next;
	list_for_each_safe(d, next, &g->desktops, link) {
		if (d->runner) {
			runner_destroy(d->runner);
		}
	}
}
