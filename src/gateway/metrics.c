/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <stdio.h>

#include "desktop.h"
#include "metrics.h"

static void put(FILE *f, const char *name, const char *type, const char *help, uint64_t value) {
	fprintf(f, "# HELP helix_gateway_%s %s\n# TYPE helix_gateway_%s %s\n", name, help, name,
		type);
	fprintf(f, "helix_gateway_%s %" PRIu64 "\n", name, value);
}

static void put_desktops(FILE *f, const struct gateway *g) {
	const struct desktop *d;
	uint64_t n[DESKTOP_OFFLINE + 1] = {0}, viewers = 0;
	list_for_each(d, &g->desktops, link) {
		n[d->state]++;
		viewers += d->viewers;
	}
	fprintf(f,
		"# HELP helix_gateway_desktops Desktops by state.\n"
		"# TYPE helix_gateway_desktops gauge\n");
	for (unsigned i = 0; i <= DESKTOP_OFFLINE; i++) {
		fprintf(f, "helix_gateway_desktops{state=\"%s\"} %" PRIu64 "\n",
			desktop_state_to_string((enum desktop_state)i), n[i]);
	}
	put(f, "viewers", "gauge", "WebSockets that show a desktop.", viewers);
}

static void put_answers(FILE *f, const struct gateway_stats *s) {
	fprintf(f,
		"# HELP helix_gateway_answers_total Answers by class of status.\n"
		"# TYPE helix_gateway_answers_total counter\n");
	for (unsigned i = 1; i < ARRAY_SIZE(s->answers); i++) {
		fprintf(f, "helix_gateway_answers_total{class=\"%uxx\"} %" PRIu64 "\n", i,
			s->answers[i]);
	}
}

char *metrics_format(const struct gateway *g) {
	const struct gateway_stats *s = &g->stats;
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	if (!f) {
		return NULL;
	}
	put(f, "connections", "gauge", "Connections now.", g->n_connections);
	put_desktops(f, g);
	put_answers(f, s);
	const struct {
		const char *name, *help;
		uint64_t value;
	} counters[] = {
		{"accepted_total", "Connections accepted.", s->accepted},
		{"refused_total", "Connections refused for want of room.", s->refused},
		{"requests_total", "Requests.", s->requests},
		{"unauthorized_total", "Requests answered with 401 or 403.", s->unauthorized},
		{"timeouts_total", "Connections closed because they took too long.", s->timeouts},
		{"upgrades_total", "WebSockets joined with a bridge.", s->upgrades},
		{"superseded_total", "WebSockets closed with 4000.", s->superseded},
		{"broken_total", "WebSockets closed with 1012.", s->broken},
		{"filtered_total", "Messages of viewers without control left out.", s->filtered},
		{"to_viewers_bytes_total", "Bytes passed to viewers.", s->bytes_to_viewers},
		{"from_viewers_bytes_total", "Bytes passed from viewers.", s->bytes_from_viewers},
		{"thumbnails_total", "Thumbnails fetched.", s->thumbnails},
		{"thumbnails_failed_total", "Thumbnails that could not be had.",
			s->thumbnails_failed},
		{"dials_total", "Connections to bridges asked for by viewers.", s->dials},
		{"dials_failed_total", "Those that failed.", s->dials_failed},
	};
	for (size_t i = 0; i < ARRAY_SIZE(counters); i++) {
		put(f, counters[i].name, "counter", counters[i].help, counters[i].value);
	}
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}
