/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Subscribes to one scanout and reports what came: rate, sizes, regularity, latency, and whether
 * the pictures are whole and in order.
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <helix/hxfr-client.h>

#include "counter-check.h"
#include "loop.h"
#include "options.h"
#include "parse.h"
#include "stream-report.h"
#include "util.h"

#define CONNECT_TIMEOUT_MS 5000
#define DEFAULT_SECONDS    5
/* With --read-rate the socket is read so often. */
#define READ_TICK_US (50 * UINT64_C(1000))
/* And the kernel is told to keep little for us. */
#define READ_BUFFER 16384
/* Clocks closer than this at HELLO are taken for one clock of one machine. */
#define SAME_CLOCK_NS NSEC_PER_SEC

struct config {
	char host[256];
	uint16_t port;
	uint32_t scanout;
	uint32_t seconds;
	uint64_t frames; /* 0: no limit */
	bool hello, check_counter, json;
	const char *dump_path;
	uint32_t bitrate;           /* 0: leave it */
	uint32_t width, height, hz; /* width 0: do not enable */
	uint32_t read_rate;         /* bytes/s; 0: no limit */
};

struct test {
	struct config config;
	sd_event *loop;
	struct hxfr_client *client;
	struct counter_check *counter; // NULL without --check-counter
	FILE *dump;                    // NULL without --dump
	struct report report;
	uint64_t subscribed_ns;
	uint64_t last_received_ns, last_flip_ns, last_sequence;
	bool same_clock;
	bool failed;
};

static int set_connect(const char *value, void *data) {
	struct config *c = data;
	return parse_host_port(value, c->host, sizeof(c->host), &c->port);
}

static int set_scanout(const char *value, void *data) {
	return parse_u32(value, 0, UINT32_MAX, &((struct config *)data)->scanout);
}

static int set_seconds(const char *value, void *data) {
	return parse_u32(value, 1, 1000000, &((struct config *)data)->seconds);
}

static int set_frames(const char *value, void *data) {
	return parse_u64(value, 1, UINT64_MAX, &((struct config *)data)->frames);
}

static int set_hello(const char *value, void *data) {
	((struct config *)data)->hello = true;
	return 0;
}

static int set_dump(const char *value, void *data) {
	((struct config *)data)->dump_path = value;
	return 0;
}

static int set_check_counter(const char *value, void *data) {
	((struct config *)data)->check_counter = true;
	return 0;
}

static int set_bitrate(const char *value, void *data) {
	return parse_u32(value, 1, INT32_MAX, &((struct config *)data)->bitrate);
}

static int set_enable(const char *value, void *data) {
	struct config *c = data;
	return parse_mode(value, &c->width, &c->height, &c->hz);
}

static int set_read_rate(const char *value, void *data) {
	return parse_u32(value, 1, INT32_MAX, &((struct config *)data)->read_rate);
}

static int set_json(const char *value, void *data) {
	((struct config *)data)->json = true;
	return 0;
}

static const struct option_spec options[] = {
	{"connect", 'c', "HOST:PORT", "the server (default 127.0.0.1:15937)", set_connect},
	{"scanout", 's', "N", "scanout to watch (default 0)", set_scanout},
	{"seconds", 't', "N", "stop after N seconds (default 5, or never with --frames)",
		set_seconds},
	{"frames", 'n', "N", "stop after N frames", set_frames},
	{"hello", 'e', NULL, "ask for flip times: adds latency and losses to the report",
		set_hello},
	{"dump", 'o', "FILE", "write the H.264 stream to FILE", set_dump},
	{"check-counter", 'k', NULL, "decode; the pictures' frame counters must be whole and rise",
		set_check_counter},
	{"bitrate", 'b', "BITS/S", "ask for this bitrate", set_bitrate},
	{"enable", 0, "WxH[@HZ]", "plug the scanout in first, with this mode", set_enable},
	{"read-rate", 0, "BYTES/S", "read no faster than this, as a slow client", set_read_rate},
	{"json", 'j', NULL, "report as JSON", set_json},
	{0},
};

static const struct program_spec program = {
	.name = "scanout-stream-test",
	.summary = "Watches one scanout and reports how its stream arrives.",
	.options = options,
};

/* Ends the test, as failed. */
static void give_up(struct test *t, const char *what, int error) {
	fprintf(stderr, "scanout-stream-test: %s%s%s\n", what, error ? ": " : "",
		error ? strerror(-error) : "");
	t->failed = true;
	(void)sd_event_exit(t->loop, 0);
}

static void subscribe(struct test *t) {
	t->subscribed_ns = now_ns();
	(void)hxfr_client_subscribe(t->client, t->config.scanout);
	if (t->config.bitrate) {
		(void)hxfr_client_set_bitrate(t->client, t->config.bitrate);
	}
}

static void handle_connected(void *data) {
	struct test *t = data;
	if (t->config.read_rate) {
		static const int size = READ_BUFFER;
		(void)setsockopt(
			hxfr_client_fd(t->client), SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
		hxfr_client_set_read_budget(t->client, 0);
	}
	if (t->config.hello) {
		(void)hxfr_client_hello(t->client, HXFR_FEATURE_FLIP_INFO);
	}
	if (t->config.width) {
		struct hxfr_enable_scanout msg = {
			t->config.scanout, t->config.width, t->config.height, t->config.hz};
		(void)hxfr_client_enable(t->client, &msg);
	} else {
		subscribe(t);
	}
}

static void handle_closed(int error, void *data) {
	give_up(data, error ? "connection lost" : "the server closed the connection", error);
}

static void handle_hello(const struct hxfr_hello_resp *msg, void *data) {
	struct test *t = data;
	uint64_t now = now_ns();
	uint64_t difference = now > msg->now_ns ? now - msg->now_ns : msg->now_ns - now;
	t->same_clock = difference < SAME_CLOCK_NS;
}

static void handle_scanout(const struct hxfr_scanout_resp *msg, void *data) {
	if (!msg->success) {
		give_up(data, "the server refused to enable the scanout", 0);
	} else {
		subscribe(data);
	}
}

static void handle_subscribed(const struct hxfr_subscribe_resp *msg, void *data) {
	if (!msg->success) {
		give_up(data, "the server has no such scanout", 0);
	}
}

static void handle_error(const struct hxfr_error *msg, void *data) {
	fprintf(stderr, "scanout-stream-test: error %d from the server: %s\n", (int)msg->code,
		msg->message);
}

static void count_flip(struct test *t, const struct hxfr_frame *frame) {
	const struct hxfr_flip_info *flip = frame->flip;
	struct report *r = &t->report;
	if (t->last_sequence && flip->sequence > t->last_sequence + 1) {
		r->missed += flip->sequence - t->last_sequence - 1;
	}
	r->dropped = flip->dropped;
	r->refinements += flip->refine > 0;
	/*
	 * What shows new content is timed; the first frame, an IDR for somebody else and refinement
	 * are of a flip that may be long past.
	 */
	if (t->last_sequence && flip->flip_ns > t->last_flip_ns && t->same_clock &&
		frame->received_ns > flip->flip_ns) {
		(void)samples_add(
			&r->latency_us, (frame->received_ns - flip->flip_ns) / NSEC_PER_USEC);
	}
	t->last_sequence = flip->sequence;
	t->last_flip_ns = flip->flip_ns;
	r->width = flip->width;
	r->height = flip->height;
}

static void handle_frame(const struct hxfr_frame *frame, void *data) {
	struct test *t = data;
	struct report *r = &t->report;
	if (r->frames == 0) {
		r->first_frame_us = (frame->received_ns - t->subscribed_ns) / NSEC_PER_USEC;
	} else {
		(void)samples_add(&r->interval_us,
			(frame->received_ns - t->last_received_ns) / NSEC_PER_USEC);
	}
	t->last_received_ns = frame->received_ns;
	r->frames++;
	r->keyframes += frame->keyframe;
	(void)samples_add(&r->size, frame->size);
	if (frame->flip) {
		count_flip(t, frame);
	}
	if (t->dump && fwrite(frame->data, 1, frame->size, t->dump) != frame->size) {
		give_up(t, t->config.dump_path, -errno);
	}
	if (t->counter) {
		counter_check_frame(t->counter, frame->data, frame->size);
	}
	if (r->frames == t->config.frames) {
		(void)sd_event_exit(t->loop, 0);
	}
}

static const struct hxfr_client_handler handler = {
	.connected = handle_connected,
	.closed = handle_closed,
	.hello = handle_hello,
	.subscribed = handle_subscribed,
	.frame = handle_frame,
	.scanout = handle_scanout,
	.error = handle_error,
};

static int handle_time_up(sd_event_source *source, uint64_t usec, void *data) {
	return sd_event_exit(((struct test *)data)->loop, 0);
}

static int handle_read_tick(sd_event_source *source, uint64_t usec, void *data) {
	struct test *t = data;
	uint64_t bytes = MAX(t->config.read_rate * READ_TICK_US / 1000000, UINT64_C(1));
	uint64_t tick = MAX(READ_TICK_US, 1000000 / (uint64_t)t->config.read_rate);
	hxfr_client_set_read_budget(t->client, (size_t)bytes);
	(void)sd_event_source_set_time_relative(source, tick);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int set_up_loop(struct test *t) {
	int r = sd_event_new(&t->loop);
	if (r >= 0) {
		r = loop_handle_end(t->loop, NULL, NULL);
	}
	if (r >= 0 && t->config.seconds) {
		r = sd_event_add_time_relative(t->loop, NULL, CLOCK_MONOTONIC,
			t->config.seconds * UINT64_C(1000000), 1000, handle_time_up, t);
	}
	if (r >= 0 && t->config.read_rate) {
		r = sd_event_add_time_relative(
			t->loop, NULL, CLOCK_MONOTONIC, READ_TICK_US, 1000, handle_read_tick, t);
	}
	return r;
}

static int set_up(struct test *t) {
	int r;
	if (t->config.check_counter) {
		r = counter_check_create(&t->counter);
		if (r < 0) {
			fprintf(stderr,
				"scanout-stream-test: --check-counter: no H.264 decoder: %s\n",
				strerror(-r));
			return r;
		}
	}
	if (t->config.dump_path) {
		t->dump = fopen(t->config.dump_path, "we");
		if (!t->dump) {
			perror(t->config.dump_path);
			return -errno;
		}
	}
	r = set_up_loop(t);
	if (r >= 0) {
		r = hxfr_client_create(t->loop, t->config.host, t->config.port, CONNECT_TIMEOUT_MS,
			&handler, t, &t->client);
	}
	if (r < 0) {
		fprintf(stderr, "scanout-stream-test: %s:%u: %s\n", t->config.host,
			(unsigned)t->config.port, strerror(-r));
	}
	return r;
}

static bool finish(struct test *t, uint64_t start_ns) {
	struct report *r = &t->report;
	r->duration_us = (now_ns() - start_ns) / NSEC_PER_USEC;
	r->scanout = t->config.scanout;
	r->hello = t->config.hello;
	r->same_clock = t->same_clock;
	bool good = !t->failed && r->frames > 0;
	if (r->frames == 0 && !t->failed) {
		fprintf(stderr, "scanout-stream-test: no frame came\n");
	}
	struct counter_report counter;
	if (t->counter) {
		counter_check_get_report(t->counter, &counter);
		good = good && counter_report_is_good(&counter);
	}
	report_print(r, t->counter ? &counter : NULL, good, t->config.json);
	return good;
}

static void tear_down(struct test *t) {
	hxfr_client_destroy(t->client);
	counter_check_destroy(t->counter);
	if (t->dump && fclose(t->dump) != 0) {
		perror(t->config.dump_path);
		t->failed = true;
	}
	report_finish(&t->report);
	sd_event_unref(t->loop);
}

int main(int argc, char *argv[]) {
	struct test t = {
		.config = {.host = "127.0.0.1", .port = HXFR_PORT_DEFAULT, .hz = 60},
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
	if (!t.config.seconds && !t.config.frames) {
		t.config.seconds = DEFAULT_SECONDS;
	}
	uint64_t start_ns = now_ns();
	bool good = false;
	if (set_up(&t) >= 0) {
		good = sd_event_loop(t.loop) >= 0;
		good = finish(&t, start_ns) && good;
	}
	tear_down(&t);
	return good && !t.failed ? 0 : 1;
}
