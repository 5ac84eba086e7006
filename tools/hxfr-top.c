/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A live table of all scanouts of a server, from its statistics: rates are differences of two
 * replies over the time between them, by the server's clock.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <helix/hxfr-client.h>

#include "loop.h"
#include "options.h"
#include "parse.h"
#include "util.h"

#define CONNECT_TIMEOUT_MS 5000
#define ROWS_MAX           64u

/* ECMA-48: cursor home, erase to the end; hide and show the cursor. */
#define TERM_HOME   "\033[H"
#define TERM_ERASE  "\033[J"
#define TERM_CLEAR  "\033[2J"
#define TERM_EOL    "\033[K"
#define TERM_HIDE   "\033[?25l"
#define TERM_SHOW   "\033[?25h"
#define TERM_BOLD   "\033[1m"
#define TERM_NORMAL "\033[0m"

struct config {
	char host[256];
	uint16_t port;
	bool once;
	uint32_t interval_ms;
};

struct row {
	struct hxfr_scanout_state state;
	struct hxfr_stats before, now;
};

struct top {
	struct config config;
	sd_event *loop;
	sd_event_source *timer;
	struct hxfr_client *client;
	uint32_t n_rows;
	struct row rows[ROWS_MAX];
	uint64_t before_ns, now_ns; /* of the statistics; 0: none yet */
	bool terminal;
	bool failed;
};

static int set_connect(const char *value, void *data) {
	struct config *c = data;
	return parse_host_port(value, c->host, sizeof(c->host), &c->port);
}

static int set_once(const char *value, void *data) {
	((struct config *)data)->once = true;
	return 0;
}

static int set_interval(const char *value, void *data) {
	return parse_u32(value, 50, 3600000, &((struct config *)data)->interval_ms);
}

static const struct option_spec options[] = {
	{"connect", 'c', "HOST:PORT", "the server (default 127.0.0.1:15937)", set_connect},
	{"interval", 'i', "MS", "milliseconds between two tables (default 1000)", set_interval},
	{"once", '1', NULL, "print one table, over one interval, and exit", set_once},
	{0},
};

static const struct program_spec program = {
	.name = "hxfr-top",
	.summary = "Shows what a frame export server does with each scanout.",
	.options = options,
};

static double per_second(uint64_t now, uint64_t before, double seconds) {
	return now > before && seconds > 0 ? (double)(now - before) / seconds : 0;
}

/* Mean of a time, in µs, over the events of the interval. */
static double mean_us(uint64_t ns, uint64_t ns_before, uint64_t n, uint64_t n_before) {
	return n > n_before ? (double)(ns - ns_before) / 1000 / (double)(n - n_before) : 0;
}

static const char *state_name(uint32_t flags) {
	return flags & HXFR_STATE_LOST ? "3D!" : flags & HXFR_STATE_ENABLED ? "on" : "off";
}

static void print_row(const struct top *t, const struct row *r, double seconds) {
	const struct hxfr_stats *a = &r->before, *b = &r->now;
	char size[32] = "-", viewers[32];
	if (r->state.width && r->state.height) {
		(void)snprintf(size, sizeof(size), "%" PRIu32 "x%" PRIu32, r->state.width,
			r->state.height);
	}
	(void)snprintf(viewers, sizeof(viewers), "%" PRIu32 "/%" PRIu32, b->ready, b->watching);
	printf("%2" PRIu32 " %-3s %-9s %3" PRIu32 " %7.1f %7.1f %7.1f %8.0f %5" PRIu64 " %5" PRIu64
	       " %7.0f %7.0f %7s %7" PRIu64 " %-8s %4" PRIu64 "%s\n",
		b->scanout_id, state_name(r->state.flags), size, r->state.refresh,
		per_second(b->flips, a->flips, seconds),
		per_second(b->captured, a->captured, seconds),
		per_second(b->encoded, a->encoded, seconds),
		per_second(b->encoded_bytes, a->encoded_bytes, seconds) * 8 / 1000, b->keyframes,
		b->torn, mean_us(b->convert_ns, a->convert_ns, b->captured, a->captured),
		mean_us(b->encode_ns, a->encode_ns, b->encoded, a->encoded), viewers,
		b->dropped_units, b->encoder[0] ? b->encoder : "-", b->encoder_lost,
		t->terminal ? TERM_EOL : "");
}

static void print_table(const struct top *t) {
	double seconds = (double)(t->now_ns - t->before_ns) / 1e9;
	if (t->terminal) {
		printf(TERM_HOME TERM_BOLD);
	}
	printf("%2s %-3s %-9s %3s %7s %7s %7s %8s %5s %5s %7s %7s %7s %7s %-8s %4s%s\n", "id", "",
		"size", "Hz", "flip/s", "capt/s", "enc/s", "kbit/s", "idrs", "torn", "conv us",
		"enc us", "viewers", "drops", "encoder", "lost",
		t->terminal ? TERM_EOL TERM_NORMAL : "");
	for (uint32_t i = 0; i < t->n_rows; i++) {
		print_row(t, &t->rows[i], seconds);
	}
	printf("%s", t->terminal ? TERM_ERASE : "\n");
	(void)fflush(stdout);
}

static void give_up(struct top *t, const char *what, int error) {
	if (t->terminal) {
		printf(TERM_SHOW);
		(void)fflush(stdout);
	}
	fprintf(stderr, "hxfr-top: %s%s%s\n", what, error ? ": " : "",
		error ? strerror(-error) : "");
	t->failed = true;
	(void)sd_event_exit(t->loop, 0);
}

static void handle_connected(void *data) {
	struct top *t = data;
	(void)hxfr_client_hello(t->client, HXFR_FEATURE_STATE | HXFR_FEATURE_STATS);
	/* A server that does not know HELLO says nothing; PONG comes from all of them. */
	(void)hxfr_client_ping(t->client);
}

static void handle_pong(void *data) {
	struct top *t = data;
	if (t->n_rows == 0) {
		give_up(t, "this server has no statistics", 0);
	}
}

static void handle_closed(int error, void *data) {
	give_up(data, error ? "connection lost" : "the server closed the connection", error);
}

static void handle_hello(const struct hxfr_hello_resp *msg, void *data) {
	struct top *t = data;
	if (!(msg->features & HXFR_FEATURE_STATS)) {
		give_up(t, "this server has no statistics", 0);
		return;
	}
	t->n_rows = MIN(msg->n_scanouts, ROWS_MAX);
	if (t->terminal) {
		printf(TERM_HIDE TERM_CLEAR);
	}
	(void)hxfr_client_request_stats(t->client, HXFR_STATS_ALL);
}

static void handle_state(const struct hxfr_scanout_state *msg, void *data) {
	struct top *t = data;
	if (msg->scanout_id < t->n_rows) {
		t->rows[msg->scanout_id].state = *msg;
	}
}

static void handle_stats(const struct hxfr_stats *msg, uint64_t stats_ns, bool last, void *data) {
	struct top *t = data;
	if (msg->scanout_id < t->n_rows) {
		struct row *r = &t->rows[msg->scanout_id];
		r->before = r->now;
		r->now = *msg;
	}
	if (!last) {
		return;
	}
	bool first = t->now_ns == 0;
	t->before_ns = t->now_ns;
	t->now_ns = stats_ns;
	if (!first) {
		print_table(t);
		if (t->config.once) {
			(void)sd_event_exit(t->loop, 0);
			return;
		}
	}
	(void)sd_event_source_set_time_relative(t->timer, t->config.interval_ms * UINT64_C(1000));
	(void)sd_event_source_set_enabled(t->timer, SD_EVENT_ONESHOT);
}

static const struct hxfr_client_handler handler = {
	.connected = handle_connected,
	.closed = handle_closed,
	.hello = handle_hello,
	.state = handle_state,
	.stats = handle_stats,
	.pong = handle_pong,
};

static int handle_timer(sd_event_source *source, uint64_t usec, void *data) {
	(void)hxfr_client_request_stats(((struct top *)data)->client, HXFR_STATS_ALL);
	return 0;
}

static int set_up(struct top *t) {
	int r = sd_event_new(&t->loop);
	if (r >= 0) {
		r = loop_handle_end(t->loop, NULL, NULL);
	}
	if (r >= 0) {
		r = sd_event_add_time(
			t->loop, &t->timer, CLOCK_MONOTONIC, UINT64_MAX, 1000, handle_timer, t);
	}
	if (r >= 0) {
		r = sd_event_source_set_enabled(t->timer, SD_EVENT_OFF);
	}
	if (r >= 0) {
		r = hxfr_client_create(t->loop, t->config.host, t->config.port, CONNECT_TIMEOUT_MS,
			&handler, t, &t->client);
	}
	return r;
}

int main(int argc, char *argv[]) {
	struct top t = {
		.config = {.host = "127.0.0.1", .port = HXFR_PORT_DEFAULT, .interval_ms = 1000},
		.terminal = isatty(STDOUT_FILENO) == 1,
	};
	int index;
	switch (options_parse(&program, argc, argv, &t.config, &index)) {
	case OPTIONS_EXIT:
		return 0;
	case OPTIONS_ERROR:
		return 2;
	case OPTIONS_RUN:
		break;
	}
	t.terminal = t.terminal && !t.config.once;
	int r = set_up(&t);
	if (r < 0) {
		fprintf(stderr, "hxfr-top: %s:%u: %s\n", t.config.host, (unsigned)t.config.port,
			strerror(-r));
		t.failed = true;
	} else {
		(void)sd_event_loop(t.loop);
		if (t.terminal && !t.failed) {
			printf(TERM_SHOW "\n");
		}
	}
	hxfr_client_destroy(t.client);
	sd_event_source_disable_unref(t.timer);
	sd_event_unref(t.loop);
	return t.failed ? 1 : 0;
}
