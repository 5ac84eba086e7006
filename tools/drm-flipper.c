/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Flips pages on the outputs of a DRM card, for tests and measurements of what lies behind it. One
 * process serves any number of outputs, since only one can be master of the card; with --follow it
 * also behaves as a desktop does when monitors come, go and change.
 */
#include <linux/netlink.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

#include "flipper-kms.h"
#include "options.h"
#include "parse.h"

struct config {
	const char *device;
	int lease_fd;
	const char *connectors[OUTPUTS_MAX]; /* names or ids; none: all */
	size_t n_connectors;
	double rate; /* flips a second; 0: as fast as they go */
	uint32_t seconds;
	uint64_t frames;
	uint32_t wait_s;
	bool list, follow, modeset_only, progress;
	struct show show;
};

struct flipper {
	struct config config;
	struct card card;
	int signals;
	int uevents;                        /* -1: not wanted */
	struct output outputs[OUTPUTS_MAX]; /* each ever started keeps its place and counts */
	size_t n_outputs;
	uint64_t start_ns, progress_ns;
	uint64_t progress_flips[OUTPUTS_MAX];
	bool stop;
};

/*
 * Options
 */
static int set_device(const char *value, void *data) {
	((struct config *)data)->device = value;
	return 0;
}

static int set_lease_fd(const char *value, void *data) {
	return parse_fd(value, &((struct config *)data)->lease_fd);
}

static int set_connector(const char *value, void *data) {
	struct config *c = data;
	if (strcmp(value, "all") == 0) {
		c->n_connectors = 0;
		return 0;
	}
	if (c->n_connectors == ARRAY_SIZE(c->connectors)) {
		return -ERANGE;
	}
	c->connectors[c->n_connectors++] = value;
	return 0;
}

static int set_mode(const char *value, void *data) {
	struct show *s = &((struct config *)data)->show;
	return parse_mode(value, &s->width, &s->height, &s->hz);
}

static int set_pattern(const char *value, void *data) {
	struct show *s = &((struct config *)data)->show;
	static const char *const names[_PATTERN_MAX] = {"solid", "bars", "onechar", "static"};
	s->dirty = strcmp(value, "dirtyfb") == 0;
	if (s->dirty) {
		s->pattern = PATTERN_ONECHAR;
		return 0;
	}
	for (int i = 0; i < _PATTERN_MAX; i++) {
		if (strcmp(value, names[i]) == 0) {
			s->pattern = (enum pattern)i;
			return 0;
		}
	}
	return -EINVAL;
}

static int set_rate(const char *value, void *data) {
	char *end;
	double rate = strtod(value, &end);
	if (end == value || *end || !(rate >= 0)) {
		return -EINVAL;
	}
	if (rate > 100000) {
		return -ERANGE;
	}
	((struct config *)data)->rate = rate;
	return 0;
}

static int set_seconds(const char *value, void *data) {
	return parse_u32(value, 0, UINT32_MAX, &((struct config *)data)->seconds);
}

static int set_frames(const char *value, void *data) {
	return parse_u64(value, 0, UINT32_MAX, &((struct config *)data)->frames);
}

static int set_buffers(const char *value, void *data) {
	return parse_u32(value, 2, BUFFERS_MAX, &((struct config *)data)->show.n_buffers);
}

static int set_format(const char *value, void *data) {
	const struct pixel_layout *layout = pixel_layout_from_string(value);
	if (layout) {
		((struct config *)data)->show.layout = layout;
	}
	return layout ? 0 : -EINVAL;
}

static int set_wait(const char *value, void *data) {
	return parse_u32(value, 0, UINT32_MAX / 1000, &((struct config *)data)->wait_s);
}

static int set_counter(const char *value, void *data) {
	((struct config *)data)->show.counter = true;
	return 0;
}

static int set_cursor(const char *value, void *data) {
	((struct config *)data)->show.cursor = true;
	return 0;
}

static int set_list(const char *value, void *data) {
	((struct config *)data)->list = true;
	return 0;
}

static int set_follow(const char *value, void *data) {
	((struct config *)data)->follow = true;
	return 0;
}

static int set_modeset_only(const char *value, void *data) {
	((struct config *)data)->modeset_only = true;
	return 0;
}

static int set_print(const char *value, void *data) {
	((struct config *)data)->progress = true;
	return 0;
}

static const struct option_spec options[] = {
	{"device", 'd', "PATH", "card to use; default: the first with connectors", set_device},
	{"lease-fd", 0, "N", "use the DRM lease in file descriptor N instead", set_lease_fd},
	{"list", 'l', NULL, "print connectors and their modes, and exit", set_list},
	{"connector", 'c', "NAME|ID|all", "output, such as Virtual-3; may be repeated; default all",
		set_connector},
	{"mode", 'm', "WxH[@HZ]", "video mode; default: the preferred one", set_mode},
	{"pattern", 'p', "NAME", "solid, bars, onechar, static or dirtyfb; default bars",
		set_pattern},
	{"modeset-only", 0, NULL, "show the first picture and never flip", set_modeset_only},
	{"rate", 'r', "FPS", "flips per second of each output, 0: no limit; default 60", set_rate},
	{"seconds", 's', "N", "stop after so long; default 0: never", set_seconds},
	{"frames", 'n', "N", "stop an output after so many flips; default 0: never", set_frames},
	{"buffers", 'b', "N", "buffers to flip between, 2 to 4; default 2", set_buffers},
	{"format", 0, "FOURCC", "pixel format; default XR24", set_format},
	{"counter", 0, NULL, "draw the frame counter in any pattern, not only in bars",
		set_counter},
	{"cursor", 0, NULL, "show a hardware cursor and move it", set_cursor},
	{"wait-connected", 'w', "SECONDS", "wait so long for an output to be plugged in", set_wait},
	{"follow", 'f', NULL, "start, stop and resize outputs as they are plugged", set_follow},
	{"print", 0, NULL, "print flips per second every second, not only at the end", set_print},
	{0},
};

static const struct program_spec program = {
	.name = "drm-flipper",
	.summary = "Flips pages on the outputs of a DRM card.",
	.options = options,
};

/*
 * Outputs
 */
static bool wanted(const struct config *config, const char *name, uint32_t id) {
	for (size_t i = 0; i < config->n_connectors; i++) {
		uint32_t number;
		if (strcmp(config->connectors[i], name) == 0 ||
			(parse_u32(config->connectors[i], 1, UINT32_MAX, &number) == 0 &&
				number == id)) {
			return true;
		}
	}
	return config->n_connectors == 0;
}

static struct output *find_output(struct flipper *f, const char *name) {
	for (size_t i = 0; i < f->n_outputs; i++) {
		if (strcmp(f->outputs[i].name, name) == 0) {
			return &f->outputs[i];
		}
	}
	if (f->n_outputs == ARRAY_SIZE(f->outputs)) {
		return NULL;
	}
	struct output *o = &f->outputs[f->n_outputs++];
	*o = (struct output){.card = &f->card, .show = &f->config.show};
	(void)snprintf(o->name, sizeof(o->name), "%s", name);
	return o;
}

static int update_output(struct flipper *f, const drmModeConnector *c, const char *name) {
	bool connected = c->connection == DRM_MODE_CONNECTED && c->count_modes > 0;
	struct output *o = connected ? find_output(f, name) : NULL;
	for (size_t i = 0; !connected && i < f->n_outputs; i++) {
		o = strcmp(f->outputs[i].name, name) == 0 ? &f->outputs[i] : o;
	}
	if (!o) {
		return 0;
	}
	if (o->running && (!connected || output_mode_changed(o, c))) {
		output_stop(o);
		if (!connected) {
			printf("%s: unplugged\n", name);
			(void)fflush(stdout);
		}
	}
	bool ended = f->config.frames && o->flips >= f->config.frames;
	return connected && !o->running && !ended ? output_start(o, c, f->outputs, f->n_outputs)
						  : 0;
}

/*
 * Probes the wanted connectors, and starts and stops outputs to match. Returns how many are
 * running; -errno if one cannot be started.
 */
static int update_outputs(struct flipper *f) {
	drmModeRes *res = drmModeGetResources(f->card.fd);
	int r = res ? 0 : -errno, running = 0;
	for (int i = 0; res && i < res->count_connectors && r == 0; i++) {
		drmModeConnector *c = drmModeGetConnectorCurrent(f->card.fd, res->connectors[i]);
		char name[32] = "";
		if (c) {
			connector_name(c, name, sizeof(name));
		}
		drmModeFreeConnector(c);
		/* The full probe only where it is needed: it asks the device. */
		c = wanted(&f->config, name, res->connectors[i])
			? drmModeGetConnector(f->card.fd, res->connectors[i])
			: NULL;
		if (c) {
			r = update_output(f, c, name);
		}
		drmModeFreeConnector(c);
	}
	drmModeFreeResources(res);
	for (size_t i = 0; i < f->n_outputs; i++) {
		running += f->outputs[i].running;
	}
	return r < 0 ? r : running;
}

/*
 * Events
 */
static int open_uevents(void) {
	struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = 1};
	int fd = socket(
		AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
	if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		return close_fd(fd);
	}
	return fd;
}

/* Reads all that wait; returns whether one of them was about a DRM device. */
static bool read_uevents(int fd) {
	char text[8192];
	struct sockaddr_nl from;
	socklen_t size = sizeof(from);
	bool drm = false;
	ssize_t n;
	while ((n = recvfrom(fd, text, sizeof(text) - 1, 0, (struct sockaddr *)&from, &size)) > 0) {
		text[n] = '\0';
		/* Strings one after the other; only the kernel's own count. */
		for (ssize_t at = 0; from.nl_pid == 0 && at < n;
			at += (ssize_t)strlen(text + at) + 1) {
			drm = drm || strcmp(text + at, "SUBSYSTEM=drm") == 0;
		}
		size = sizeof(from);
	}
	/* Some were lost: one may have been ours. */
	return drm || (n < 0 && errno == ENOBUFS);
}

static void handle_flip(
	int fd, unsigned sequence, unsigned sec, unsigned usec, unsigned crtc, void *data) {
	output_flipped(data);
}

/*
 * Running
 */
static int flip_due(struct flipper *f, uint64_t now, uint64_t *next) {
	const struct config *c = &f->config;
	uint64_t period = c->rate > 0 ? (uint64_t)(1e9 / c->rate) : 0;
	for (size_t i = 0; i < f->n_outputs && !c->modeset_only; i++) {
		struct output *o = &f->outputs[i];
		if (o->running && !o->pending && c->frames && o->flips >= c->frames) {
			output_stop(o);
		}
		if (!o->running || o->pending) {
			continue;
		}
		if (now >= o->next_ns) {
			int r = output_show_next(o);
			if (r < 0) {
				(void)fprintf(stderr, "drm-flipper: %s: %s%s\n", o->name,
					strerror(-r),
					r == -EACCES || r == -EPERM ? " (not master, or the lease "
								      "was revoked)"
								    : "");
				return r;
			}
			/* What was missed is not made up for. */
			o->next_ns =
				now - o->next_ns > 2 * period ? now + period : o->next_ns + period;
		}
		if (!o->pending) {
			*next = MIN(*next, o->next_ns);
		}
	}
	return 0;
}

static bool finished(const struct flipper *f) {
	if (f->config.follow) {
		return false;
	}
	for (size_t i = 0; i < f->n_outputs; i++) {
		if (f->outputs[i].running) {
			return false;
		}
	}
	return true;
}

static void print_progress(struct flipper *f, uint64_t now) {
	double seconds = (double)(now - f->progress_ns) / 1e9;
	for (size_t i = 0; i < f->n_outputs; i++) {
		const struct output *o = &f->outputs[i];
		if (o->running) {
			printf("%s: %.1f flips/s, frame %u\n", o->name,
				(double)(o->flips - f->progress_flips[i]) / seconds, o->frame);
		}
		f->progress_flips[i] = o->flips;
	}
	(void)fflush(stdout);
	f->progress_ns = now;
}

static void print_results(const struct flipper *f) {
	for (size_t i = 0; i < f->n_outputs; i++) {
		const struct output *o = &f->outputs[i];
		if (o->started_ns == 0) {
			continue;
		}
		double seconds = (double)o->running_ns / 1e9;
		printf("%s: %llu flips in %.2f s, %.1f flips/s\n", o->name,
			(unsigned long long)o->flips, seconds,
			seconds > 0 ? (double)o->flips / seconds : 0);
	}
	(void)fflush(stdout);
}

/* Waits for the next event, `until` at the latest, and handles what came. */
static int wait_events(struct flipper *f, uint64_t until) {
	struct pollfd fds[3] = {
		{.fd = f->card.fd, .events = POLLIN},
		{.fd = f->signals, .events = POLLIN},
		{.fd = f->uevents, .events = POLLIN},
	};
	uint64_t now = now_ns();
	uint64_t left = until > now ? until - now : 0;
	struct timespec ts = {(time_t)(left / NSEC_PER_SEC), (long)(left % NSEC_PER_SEC)};
	if (ppoll(fds, ARRAY_SIZE(fds), until == UINT64_MAX ? NULL : &ts, NULL) < 0) {
		return errno == EINTR ? 0 : -errno;
	}
	if (fds[1].revents) {
		f->stop = true;
	}
	if (fds[0].revents & POLLIN) {
		drmEventContext context = {.version = 3, .page_flip_handler2 = handle_flip};
		(void)drmHandleEvent(f->card.fd, &context);
	} else if (fds[0].revents) {
		(void)fprintf(stderr, "drm-flipper: the card is gone\n");
		return -ENODEV;
	}
	if (fds[2].revents && read_uevents(f->uevents)) {
		int r = update_outputs(f);
		return MIN(r, 0);
	}
	return 0;
}

static int run(struct flipper *f) {
	const struct config *c = &f->config;
	uint64_t end = c->seconds ? now_ns() + c->seconds * NSEC_PER_SEC : UINT64_MAX;
	f->start_ns = f->progress_ns = now_ns();
	while (!f->stop && !finished(f)) {
		uint64_t now = now_ns(), next = end;
		if (now >= end) {
			break;
		}
		if (c->progress && now >= f->progress_ns + NSEC_PER_SEC) {
			print_progress(f, now);
		}
		if (c->progress) {
			next = MIN(next, f->progress_ns + NSEC_PER_SEC);
		}
		int r = flip_due(f, now, &next);
		if (r == 0 && !finished(f)) {
			r = wait_events(f, next);
		}
		if (r < 0) {
			return r;
		}
	}
	return 0;
}

/* Until what was asked for is plugged in; all of it, if it was named. */
static int wait_connected(struct flipper *f) {
	const struct config *c = &f->config;
	int needed = (int)MAX(c->n_connectors, 1u);
	uint64_t end = now_ns() + c->wait_s * NSEC_PER_SEC;
	int r = update_outputs(f);
	while (r >= 0 && r < needed && !c->follow && !f->stop) {
		if (now_ns() >= end) {
			(void)fprintf(stderr, "drm-flipper: %s not connected\n",
				c->n_connectors == 0 ? "no output is"
						     : (c->n_connectors == 1 ? c->connectors[0]
									     : "some outputs are"));
			return -ENOTCONN;
		}
		int e = wait_events(f, end);
		r = 0;
		for (size_t i = 0; i < f->n_outputs; i++) {
			r += f->outputs[i].running;
		}
		r = e < 0 ? e : r;
	}
	return MIN(r, 0);
}

static int flip(struct flipper *f) {
	if (!f->card.master) {
		(void)fprintf(stderr, "drm-flipper: another program holds the card\n");
		return -EBUSY;
	}
	int r = wait_connected(f);
	if (r == 0) {
		r = run(f);
	}
	for (size_t i = 0; i < f->n_outputs; i++) {
		output_stop(&f->outputs[i]);
	}
	print_results(f);
	return r;
}

int main(int argc, char *argv[]) {
	static struct flipper f;
	int index;
	f.config = (struct config){
		.lease_fd = -1, .rate = 60, .show = {.pattern = PATTERN_BARS, .n_buffers = 2}};
	f.config.show.layout = pixel_layout_from_string("XR24");
	enum options_result parsed = options_parse(&program, argc, argv, &f.config, &index);
	if (parsed != OPTIONS_RUN) {
		return parsed == OPTIONS_EXIT ? 0 : 2;
	}
	if (f.config.show.dirty) {
		f.config.show.n_buffers = 1;
	}

	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	f.signals = signalfd(-1, &set, SFD_CLOEXEC);
	/* Before the first probe, so that nothing is missed between the two. */
	f.uevents = f.config.follow || f.config.wait_s ? open_uevents() : -1;

	int r = card_open(&f.card, f.config.device, f.config.lease_fd);
	if (r == 0) {
		r = f.config.list ? card_list(&f.card) : flip(&f);
		card_close(&f.card);
	}
	(void)close_fd(f.uevents);
	(void)close_fd(f.signals);
	return r < 0 ? 1 : 0;
}
