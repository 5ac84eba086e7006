/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * helix-frame-export: joins the parts.
 *
 *   main thread      signals, HXFR server, link to QEMU
 *   device thread    vhost-user socket, virtqueues, virtio-gpu
 *   encoder threads  one for each scanout that is watched (capture.c)
 *
 * They meet in mailboxes: capture's (flips), the server's (access units, events), the device's
 * (tokens) and the small one here (guest resets, which the link to QEMU must hear of).
 */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

#include "capture/capture.h"
#include "capture/pattern.h"
#include "device/device.h"
#include "edid.h"
#include "encode/avcodec.h"
#include "encode/fallback.h"
#include "encode/probe.h"
#include "export-options.h"
#include "log.h"
#include "loop.h"
#include "qemu/hotplug.h"
#include "server/server.h"
#include "util.h"

LOG_MODULE("main");

/* What an ENABLE without size or refresh gets. */
#define DEFAULT_WIDTH   1920u
#define DEFAULT_HEIGHT  1080u
#define DEFAULT_REFRESH 60u

#define HEAP_BLOCK_MAX (1024 * 1024) /* bytes; see bound_heaps() */

struct exporter {
	struct export_options options;
	sd_event *loop;
	struct server *server;
	struct hotplug *hotplug; // NULL without a way to QEMU
	struct pattern *pattern; // NULL unless it is the source
	struct capture *captures[SCANOUTS_MAX];
	const struct encoder_ops *hardware; // NULL: all is encoded by x264
	char render_node[PROBE_NODE_MAX];
	struct fallback fallbacks[SCANOUTS_MAX];

	/* With the pattern as the source no front end is let in, and it only keeps the outputs. */
	struct device *device;
	sd_event *device_loop;
	pthread_t device_thread;
	bool device_running;
	int device_stop_fd; /* readable: the device thread ends */

	int events_fd; /* readable: some of these happened */
	atomic_bool guest_was_reset, disconnected;
};

static void raise_event(struct exporter *e, atomic_bool *which) {
	atomic_store(which, true);
	(void)!write(e->events_fd, &(uint64_t){1}, sizeof(uint64_t));
}

/* What the server asks for. Main thread. */

static void backend_set_viewers(void *data, uint32_t scanout, unsigned watching, unsigned ready) {
	struct exporter *e = data;
	capture_set_viewers(e->captures[scanout], watching, ready);
	if (ready > 0) {
		device_refresh(e->device, scanout);
	}
	if (e->pattern) {
		pattern_wake(e->pattern);
	}
}

static void backend_request_idr(void *data, uint32_t scanout) {
	struct exporter *e = data;
	capture_request_idr(e->captures[scanout]);
}

static void backend_set_bitrate(void *data, uint32_t scanout, uint32_t bits_per_second) {
	struct exporter *e = data;
	capture_set_bitrate(e->captures[scanout], bits_per_second);
}

/* Turns an output on, resizes it, or turns it off. */
static int set_output(struct exporter *e, uint32_t scanout, const struct gpu_output *output) {
	uint32_t width = output->enabled ? output->width : 0;
	uint32_t height = output->enabled ? output->height : 0;
	if (e->pattern) {
		int r = pattern_set_output(e->pattern, scanout, width, height);
		if (r < 0) {
			return r;
		}
	} else if (!e->hotplug) {
		return -EOPNOTSUPP;
	}
	/* Before the guest is made to ask. */
	device_set_output(e->device, scanout, output);
	if (e->hotplug) {
		hotplug_set_output(e->hotplug, scanout, width, height);
	}
	server_post_scanout_state(e->server, scanout);
	return 0;
}

static int backend_enable(
	void *data, uint32_t scanout, uint32_t width, uint32_t height, uint32_t hz) {
	struct gpu_output output = {
		.enabled = true,
		.width = width ? width : DEFAULT_WIDTH,
		.height = height ? height : DEFAULT_HEIGHT,
		.refresh = hz ? hz : DEFAULT_REFRESH,
	};
	if (!edid_valid(
		    &(struct edid_monitor){output.width, output.height, output.refresh, scanout})) {
		return -EINVAL;
	}
	return set_output(data, scanout, &output);
}

static int backend_disable(void *data, uint32_t scanout) {
	return set_output(data, scanout, &(struct gpu_output){0});
}

static void backend_get_state(void *data, uint32_t scanout, struct scanout_state *ret) {
	struct exporter *e = data;
	struct gpu_output output;
	device_get_output(e->device, scanout, &output);
	*ret = (struct scanout_state){
		.enabled = output.enabled,
		.lost = device_scanout_lost(e->device, scanout),
		.refresh = output.refresh,
		.generation = device_generation(e->device),
	};
	capture_get_size(e->captures[scanout], &ret->width, &ret->height);
}

static void backend_get_stats(void *data, uint32_t scanout, struct scanout_stats *ret) {
	struct exporter *e = data;
	struct capture_stats s;
	const struct fallback *f = &e->fallbacks[scanout];
	const struct encoder_ops *encoder = atomic_load(&f->current);
	capture_get_stats(e->captures[scanout], &s);
	*ret = (struct scanout_stats){
		.flips = s.flips,
		.captured = s.captured,
		.superseded = s.superseded,
		.torn = s.torn,
		.encoded = s.encoded,
		.keyframes = s.keyframes,
		.encoded_bytes = s.encoded_bytes,
		.dirty_mbs = s.dirty_mbs,
		.convert_ns = s.convert_ns,
		.encode_ns = s.encode_ns,
		.encoder = encoder ? encoder->name : "",
		.encoder_lost = atomic_load_explicit(&f->lost, memory_order_relaxed),
		.encoder_recovered = atomic_load_explicit(&f->recovered, memory_order_relaxed),
	};
}

static const struct server_backend backend = {
	.set_viewers = backend_set_viewers,
	.request_idr = backend_request_idr,
	.set_bitrate = backend_set_bitrate,
	.enable = backend_enable,
	.disable = backend_disable,
	.get_state = backend_get_state,
	.get_stats = backend_get_stats,
};

/* What the device and the encoders tell. Their threads. */

static void handle_access_unit(void *data, struct access_unit *au) {
	struct exporter *e = data;
	server_post_access_unit(e->server, au);
}

static void handle_scanout_changed(void *data, uint32_t scanout) {
	struct exporter *e = data;
	if (e->server) { /* not if its port was taken */
		server_post_scanout_state(e->server, scanout);
	}
}

static void handle_cursor_defined(
	void *data, uint32_t scanout, struct cursor_image *image, uint32_t x, uint32_t y) {
	struct exporter *e = data;
	if (e->server) {
		server_post_cursor(e->server, scanout, image, x, y);
	} else {
		cursor_image_unref(image);
	}
}

static void handle_cursor_moved(void *data, uint32_t scanout, uint32_t x, uint32_t y) {
	struct exporter *e = data;
	server_post_cursor_position(e->server, scanout, x, y);
}

static void handle_guest_reset(void *data) {
	struct exporter *e = data;
	raise_event(e, &e->guest_was_reset);
}

static void handle_disconnected(void *data) {
	struct exporter *e = data;
	raise_event(e, &e->disconnected);
}

/* Main thread. */
static int handle_events(sd_event_source *source, int fd, uint32_t revents, void *data) {
	struct exporter *e = data;
	uint64_t value;
	(void)source;
	(void)revents;
	(void)!read(fd, &value, sizeof(value));
	if (atomic_exchange(&e->guest_was_reset, false)) {
		if (e->hotplug) {
			hotplug_reset(e->hotplug);
		}
		for (unsigned i = 0; i < e->options.max_outputs; i++) {
			server_post_scanout_state(e->server, i);
		}
	}
	if (atomic_exchange(&e->disconnected, false)) {
		log_info("the front end on --fd is gone: nothing left to do");
		return sd_event_exit(e->loop, 0);
	}
	return 0;
}

static void *run_device(void *data) {
	struct exporter *e = data;
	(void)pthread_setname_np(pthread_self(), "device");
	int r = sd_event_loop(e->device_loop);
	if (r < 0) {
		log_err_errno(r, "device loop");
	}
	return NULL;
}

static int handle_device_stop(sd_event_source *source, int fd, uint32_t revents, void *data) {
	(void)fd;
	(void)revents;
	(void)data;
	return sd_event_exit(sd_event_source_get_event(source), 0);
}

static bool guest_knows_outputs(void *data) {
	const struct exporter *e = data;
	return device_outputs_known(e->device);
}

static int create_captures(struct exporter *e) {
	const struct export_options *o = &e->options;
	avcodec_set_max_sessions(o->hardware_sessions);
	for (unsigned i = 0; i < o->max_outputs; i++) {
		e->fallbacks[i].scanout_id = i;
		e->fallbacks[i].primary = e->hardware;
		struct capture_config config = {
			.scanout_id = i,
			.encoder = &encoder_fallback,
			.encoder_config =
				{
					.fps = o->fps_cap,
					.bitrate = o->bitrate,
					.quality = (uint8_t)o->quality,
					.threads = (uint8_t)o->encoder_threads,
					.use_damage = o->use_damage,
					.render_node = e->render_node[0] ? e->render_node : NULL,
					.fallback = &e->fallbacks[i],
				},
			.shared = e->hardware && e->hardware->imports,
			.fps_cap = o->fps_cap,
			.post = handle_access_unit,
			.post_data = e,
			.done = device_done,
			.settle = o->source == SOURCE_DEVICE ? device_settle : NULL,
			.source_data = e->device,
		};
		int r = capture_create(&config, &e->captures[i]);
		if (r < 0) {
			return r;
		}
	}
	return 0;
}

static int create_device(struct exporter *e) {
	const struct export_options *o = &e->options;
	struct gl_config gl = o->gl;
	gl.direct = e->hardware && e->hardware->imports;
	struct device_config config = {
		.n_scanouts = o->max_outputs,
		.memory_budget = o->memory_budget,
		.captures = e->captures,
		.first = o->first,
		.gl = o->gl_mode != GL_OFF && o->source == SOURCE_DEVICE ? &gl : NULL,
		.ops =
			{
				.scanout_changed = handle_scanout_changed,
				.cursor_defined = handle_cursor_defined,
				.cursor_moved = handle_cursor_moved,
				.guest_reset = handle_guest_reset,
				.disconnected = handle_disconnected,
				.data = e,
			},
	};
	int r = sd_event_new(&e->device_loop);
	if (r >= 0) {
		r = device_create(e->device_loop, &config, &e->device);
	}
	if (r < 0 && config.gl && o->gl_mode == GL_AUTO) {
		log_warn_errno(r, "no 3D for the guest");
		config.gl = NULL;
		r = device_create(e->device_loop, &config, &e->device);
	}
	if (r >= 0) {
		r = sd_event_add_io(
			e->device_loop, NULL, e->device_stop_fd, EPOLLIN, handle_device_stop, NULL);
	}
	return r;
}

static int open_device(struct exporter *e) {
	const struct export_options *o = &e->options;
	int r = o->socket_path ? device_listen(e->device, o->socket_path)
			       : device_adopt(e->device, o->fd);
	if (r < 0) {
		log_err_errno(r, "cannot use %s for the front end",
			o->socket_path ? o->socket_path : "--fd");
	}
	return r;
}

static int start_device(struct exporter *e) {
	const struct export_options *o = &e->options;
	int r = open_device(e);
	if (r >= 0 && (o->qmp_path || o->bus_address)) {
		struct hotplug_config config = {
			.qmp_path = o->qmp_path,
			.bus_address = o->bus_address,
			.device_id = o->device_id,
			.n_scanouts = o->max_outputs,
		};
		r = hotplug_create(e->loop, &config, &e->hotplug);
		if (r >= 0) {
			hotplug_set_known_handler(e->hotplug, guest_knows_outputs, e);
		}
	}
	if (r >= 0) {
		r = -pthread_create(&e->device_thread, NULL, run_device, e);
		e->device_running = r == 0;
	}
	return r;
}

static int start_pattern(struct exporter *e) {
	const struct export_options *o = &e->options;
	for (unsigned i = 0; i < o->max_outputs; i++) {
		device_set_output(e->device, i, &o->first);
	}
	return pattern_create(o->max_outputs, e->captures, o->first.width, o->first.height,
		o->first.refresh, &e->pattern);
}

static int create_server(struct exporter *e) {
	const struct export_options *o = &e->options;
	struct server_config config = {
		.address = o->listen_address,
		.port = o->listen_port,
		.max_clients = o->max_clients,
		.queue_ms = o->queue_ms,
		.n_scanouts = o->max_outputs,
		.has_console = o->first.enabled,
		.access = o->access,
	};
	int r = server_create(e->loop, &config, &backend, e, &e->server);
	if (r < 0) {
		log_err_errno(r, "cannot listen on %s port %u", o->listen_address, o->listen_port);
		return r;
	}
	log_info("HXFR on %s port %u", o->listen_address, server_port(e->server));
	return 0;
}

static int create_loop(struct exporter *e) {
	int r = loop_create(NULL, NULL, &e->loop);
	if (r >= 0) {
		e->events_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		e->device_stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		r = e->events_fd < 0 || e->device_stop_fd < 0 ? -errno : 0;
	}
	if (r >= 0) {
		r = sd_event_add_io(e->loop, NULL, e->events_fd, EPOLLIN, handle_events, e);
	}
	return r;
}

static int run(struct exporter *e) {
	int r = create_loop(e);
	if (r >= 0) {
		r = create_device(e);
	}
	if (r >= 0) {
		r = create_captures(e);
	}
	if (r >= 0) {
		r = create_server(e);
	}
	if (r >= 0) {
		r = e->options.source == SOURCE_PATTERN ? start_pattern(e) : start_device(e);
	}
	if (r < 0) {
		log_err_errno(r, "cannot start");
		return r;
	}
	(void)sd_notify(0, "READY=1");
	r = sd_event_loop(e->loop);
	(void)sd_notify(0, "STOPPING=1");
	return r;
}

/* Threads first; then what they spoke to: device and server still tell captures of their end. */
static void finish(struct exporter *e) {
	if (e->device_running) {
		(void)!write(e->device_stop_fd, &(uint64_t){1}, sizeof(uint64_t));
		pthread_join(e->device_thread, NULL);
	}
	pattern_destroy(e->pattern);
	e->pattern = NULL;
	for (unsigned i = 0; i < e->options.max_outputs; i++) {
		capture_stop(e->captures[i]);
	}
	device_destroy(e->device);
	hotplug_destroy(e->hotplug);
	server_destroy(e->server);
	for (unsigned i = 0; i < e->options.max_outputs; i++) {
		capture_destroy(e->captures[i]);
	}
	sd_event_unref(e->device_loop);
	sd_event_unref(e->loop);
	(void)close_fd(e->device_stop_fd);
	(void)close_fd(e->events_fd);
}

/* A guest with 3D can make use of some thousand: buffers that its programs share, and renderers. */
static void raise_limits(void) {
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/*
 * What is large, such as an encoder's pictures, has mappings of its own and is gone when it is freed.
 * Else glibc puts it into its heaps after some time, x264 has these made of huge pages, and the kernel
 * fills the holes that are left in them (docs/decisions/idle-outputs.md).
 */
static void bound_heaps(void) {
	(void)mallopt(M_MMAP_THRESHOLD, HEAP_BLOCK_MAX);
}

int main(int argc, char *argv[]) {
	struct exporter e = {.device_stop_fd = -1, .events_fd = -1};
	switch (export_options_parse(argc, argv, &e.options)) {
	case OPTIONS_ERROR:
		return 2;
	case OPTIONS_EXIT:
		return 0;
	case OPTIONS_RUN:
		break;
	}
	if (e.options.print_capabilities) {
		/* QEMU's docs/interop/vhost-user.json, VHostUserBackendCapabilities. */
		puts("{\"type\": \"gpu\", \"features\": []}");
		return 0;
	}
	raise_limits();
	bound_heaps();
	/* It forks, so before any thread starts. */
	if (strcmp(e.options.encoder, encoder_x264.name) != 0) {
		e.hardware = probe_select(e.options.encoder, e.options.render_node, e.render_node);
	}
	int r = run(&e);
	finish(&e);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
