/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "edid.h"
#include "encode/probe.h"
#include "export-options.h"
#include "parse.h"
#include "util.h"

#define MIB (UINT64_C(1) << 20)

static int set_socket_path(const char *value, void *data) {
	((struct export_options *)data)->socket_path = value;
	return value[0] ? 0 : -EINVAL;
}

static int set_fd(const char *value, void *data) {
	return parse_fd(value, &((struct export_options *)data)->fd);
}

static int set_qmp(const char *value, void *data) {
	((struct export_options *)data)->qmp_path = value;
	return value[0] ? 0 : -EINVAL;
}

static int set_display_bus(const char *value, void *data) {
	((struct export_options *)data)->bus_address = value;
	return value[0] ? 0 : -EINVAL;
}

static int set_device_id(const char *value, void *data) {
	((struct export_options *)data)->device_id = value;
	return value[0] ? 0 : -EINVAL;
}

static int set_listen(const char *value, void *data) {
	struct export_options *o = data;
	/* Port 0, "any", is for tests. */
	if (strcmp(value, "0") == 0) {
		o->listen_port = 0;
		return 0;
	}
	return parse_host_port(
		value, o->listen_address, sizeof(o->listen_address), &o->listen_port);
}

static int set_max_outputs(const char *value, void *data) {
	return parse_u32(value, 1, SCANOUTS_MAX, &((struct export_options *)data)->max_outputs);
}

static int set_max_clients(const char *value, void *data) {
	return parse_u32(value, 1, 4096, &((struct export_options *)data)->max_clients);
}

static int set_queue_ms(const char *value, void *data) {
	return parse_u32(value, 10, 10000, &((struct export_options *)data)->queue_ms);
}

static int set_fps_cap(const char *value, void *data) {
	return parse_u32(value, 0, 1000, &((struct export_options *)data)->fps_cap);
}

static int set_encoder(const char *value, void *data) {
	((struct export_options *)data)->encoder = value;
	return strcmp(value, "auto") == 0 || encoder_by_name(value) ? 0 : -EINVAL;
}

static int set_render_node(const char *value, void *data) {
	struct export_options *o = data;
	o->render_node = o->gl.render_node = value;
	return value[0] == '/' && strlen(value) < PROBE_NODE_MAX ? 0 : -EINVAL;
}

static int set_hardware_sessions(const char *value, void *data) {
	return parse_u32(
		value, 0, SCANOUTS_MAX, &((struct export_options *)data)->hardware_sessions);
}

static int set_bitrate(const char *value, void *data) {
	return parse_u32(value, 0, INT32_MAX, &((struct export_options *)data)->bitrate);
}

static int set_quality(const char *value, void *data) {
	return parse_u32(value, 1, 51, &((struct export_options *)data)->quality);
}

static int set_encoder_threads(const char *value, void *data) {
	return parse_u32(value, 1, 16, &((struct export_options *)data)->encoder_threads);
}

static int set_no_damage(const char *value, void *data) {
	(void)value;
	((struct export_options *)data)->use_damage = false;
	return 0;
}

static int set_memory_budget(const char *value, void *data) {
	uint32_t mib;
	int r = parse_u32(value, 1, 65536, &mib);
	if (r >= 0) {
		((struct export_options *)data)->memory_budget = mib * MIB;
	}
	return r;
}

/* Which of the names it is, or -EINVAL. */
static int choice(const char *value, const char *const *names, size_t n) {
	for (size_t i = 0; i < n; i++) {
		if (strcmp(value, names[i]) == 0) {
			return (int)i;
		}
	}
	return -EINVAL;
}

static int set_gl(const char *value, void *data) {
	static const char *const modes[] = {[GL_OFF] = "off", [GL_AUTO] = "auto", [GL_ON] = "on"};
	int r = choice(value, modes, ARRAY_SIZE(modes));
	((struct export_options *)data)->gl_mode = (enum gl_mode)MAX(r, 0);
	return MIN(r, 0);
}

static int set_gl_capture(const char *value, void *data) {
	static const char *const ways[] = {
		[GL_CAPTURE_AUTO] = "auto", [GL_CAPTURE_GPU] = "gpu", [GL_CAPTURE_CPU] = "cpu"};
	int r = choice(value, ways, ARRAY_SIZE(ways));
	((struct export_options *)data)->gl.capture = (enum gl_capture)MAX(r, 0);
	return MIN(r, 0);
}

static int set_gl_isolate(const char *value, void *data) {
	static const char *const ways[] = {
		[GL_ISOLATE_AUTO] = "auto", [GL_ISOLATE_ON] = "on", [GL_ISOLATE_OFF] = "off"};
	int r = choice(value, ways, ARRAY_SIZE(ways));
	((struct export_options *)data)->gl.isolate = (enum gl_isolate)MAX(r, 0);
	return MIN(r, 0);
}

static int set_renderer(const char *value, void *data) {
	((struct export_options *)data)->gl.program = value;
	return value[0] ? 0 : -EINVAL;
}

static int set_gl_budget(const char *value, void *data) {
	uint32_t mib;
	int r = parse_u32(value, 1, 1u << 20, &mib);
	if (r >= 0) {
		((struct export_options *)data)->gl.budget = mib * MIB;
	}
	return r;
}

static int set_gl_patience(const char *value, void *data) {
	uint32_t seconds;
	int r = parse_u32(value, 1, 3600, &seconds);
	if (r >= 0) {
		((struct export_options *)data)->gl.patience_ns = seconds * NSEC_PER_SEC;
	}
	return r;
}

static int set_mode(const char *value, void *data) {
	struct gpu_output *o = &((struct export_options *)data)->first;
	int r = parse_mode(value, &o->width, &o->height, &o->refresh);
	if (r < 0) {
		return r;
	}
	bool fits = o->width >= EDID_MIN_SIDE && o->width <= EDID_MAX_SIDE &&
		o->height >= EDID_MIN_SIDE && o->height <= EDID_MAX_SIDE;
	return fits ? 0 : -ERANGE;
}

static int set_no_console(const char *value, void *data) {
	(void)value;
	((struct export_options *)data)->first.enabled = false;
	return 0;
}

/* 64 hexadecimal digits, as `openssl rand -hex 32` prints them. */
static int set_manager_key(const char *value, void *data) {
	struct access_config *a = &((struct export_options *)data)->access;
	FILE *f = fopen(value, "re");
	bool good = f != NULL;
	for (size_t i = 0; good && i < sizeof(a->key); i++) {
		unsigned byte;
		good = fscanf(f, "%2x", &byte) == 1;
		a->key[i] = good ? (uint8_t)byte : 0;
	}
	if (f) {
		int rest;
		good = good && ((rest = fgetc(f)) == EOF || rest == '\n');
		(void)fclose(f);
	}
	a->has_key = good;
	return good ? 0 : -EINVAL;
}

static int set_require_token(const char *value, void *data) {
	(void)value;
	((struct export_options *)data)->access.require_token = true;
	return 0;
}

static int set_source(const char *value, void *data) {
	struct export_options *o = data;
	if (strcmp(value, "device") == 0) {
		o->source = SOURCE_DEVICE;
	} else if (strcmp(value, "pattern") == 0) {
		o->source = SOURCE_PATTERN;
	} else {
		return -EINVAL;
	}
	return 0;
}

static int set_print_capabilities(const char *value, void *data) {
	(void)value;
	((struct export_options *)data)->print_capabilities = true;
	return 0;
}

static const struct option_spec options[] = {
	{"socket-path", 's', "PATH", "listen on this Unix socket for QEMU's vhost-user-gpu device",
		set_socket_path},
	{"fd", 0, "N", "use this inherited socket, listening or connected, instead", set_fd},
	{"qmp", 'q', "PATH", "QEMU's QMP socket, through which outputs are plugged in", set_qmp},
	{"display-bus", 0, "ADDRESS",
		"D-Bus bus that QEMU's display is on, instead of --qmp: for VMs with several GPUs",
		set_display_bus},
	{"device-id", 0, "ID", "id of our device in QEMU (default: the one that fits best)",
		set_device_id},
	{"listen", 'l', "[HOST:]PORT", "serve HXFR here (default 127.0.0.1:15937)", set_listen},
	{"max-outputs", 'n', "N", "number of outputs, as the device's max_outputs (default 16)",
		set_max_outputs},
	{"mode", 'm', "WxH[@HZ]", "of output 0, which is always on (default 1280x800@60)",
		set_mode},
	{"no-console", 0, NULL, "plug output 0 like the others: this GPU has no console",
		set_no_console},
	{"fps-cap", 'f', "N", "most frames a second of one output, 0 for no cap (default 60)",
		set_fps_cap},
	{"encoder", 'e', "NAME",
		"x264, vaapi, nvenc, qsv, v4l2m2m, videotoolbox, or auto (default x264)",
		set_encoder},
	{"render-node", 0, "PATH", "GPU that encodes and draws, such as /dev/dri/renderD128",
		set_render_node},
	{"hardware-sessions", 0, "N", "most outputs that hardware encodes at once (default 16)",
		set_hardware_sessions},
	{"quality", 0, "QP", "quantiser of new content, 1 (best) to 51 (default 23)", set_quality},
	{"bitrate", 'b', "BITS", "most bits a second of one output, 0 for no bound (default 0)",
		set_bitrate},
	{"encoder-threads", 0, "N", "threads of each encoder (default 1)", set_encoder_threads},
	{"no-damage", 0, NULL, "do not tell the encoder what changed (to see what it saves)",
		set_no_damage},
	{"max-clients", 0, "N", "most clients at once (default 64)", set_max_clients},
	{"queue-ms", 0, "MS", "longest queue of a client before it skips to an IDR (default 200)",
		set_queue_ms},
	{"manager-key", 0, "FILE", "key that the DRM manager shows, 64 hexadecimal digits",
		set_manager_key},
	{"require-token", 0, NULL, "let only a lease's holder watch, only the manager plug",
		set_require_token},
	{"memory-budget", 0, "MIB", "host memory that the guest's resources may take (default 256)",
		set_memory_budget},
	{"gl", 0, "MODE", "3D for the guest: off, on, or auto: if there is GL (default off)",
		set_gl},
	{"gl-budget", 0, "MIB", "memory that the guest's textures may take (default 2048)",
		set_gl_budget},
	{"gl-patience", 0, "S",
		"kill a renderer that gets on with nothing for so long (default 15)",
		set_gl_patience},
	{"gl-isolate", 0, "MODE",
		"a process for each 3D context: off, on, or auto: if CPUs draw (default auto)",
		set_gl_isolate},
	{"gl-capture", 0, "WHERE",
		"make pictures of 3D with the gpu, the cpu, or auto: gpu if there is one "
		"(default auto)",
		set_gl_capture},
	{"renderer", 0, "PATH", "program that draws (default: helix-renderer, beside this one)",
		set_renderer},
	{"source", 0, "KIND", "device, or pattern: moving pictures without a VM (default device)",
		set_source},
	{"log-level", 0, "LEVEL", "error, warn, info or debug (default info)",
		options_set_log_level},
	{"print-capabilities", 0, NULL,
		"print what vhost-user management asks for, as JSON, and exit",
		set_print_capabilities},
	{0},
};

enum options_result export_options_parse(int argc, char *argv[], struct export_options *ret) {
	static const struct program_spec program = {
		.name = "helix-frame-export",
		.summary = "A virtual GPU for QEMU that streams each of its outputs as H.264.",
		.options = options,
	};
	*ret = (struct export_options){
		.fd = -1,
		.listen_address = "127.0.0.1",
		.listen_port = 15937,
		.max_outputs = SCANOUTS_MAX,
		.max_clients = 64,
		.queue_ms = 200,
		.fps_cap = 60,
		.encoder = "x264",
		.hardware_sessions = SCANOUTS_MAX,
		.quality = ENCODER_QUALITY_DEFAULT,
		.encoder_threads = 1,
		.use_damage = true,
		.memory_budget = 256 * MIB,
		.gl_mode = GL_OFF,
		.gl = {.budget = 2048 * MIB, .patience_ns = 15 * NSEC_PER_SEC},
		.first = {.enabled = true, .width = 1280, .height = 800, .refresh = 60},
	};
	int index;
	enum options_result result = options_parse(&program, argc, argv, ret, &index);
	if (result != OPTIONS_RUN || ret->print_capabilities) {
		return result;
	}
	const char *error = NULL;
	if (ret->source == SOURCE_DEVICE && !ret->socket_path && ret->fd < 0) {
		error = "one of --socket-path, --fd or --source=pattern is needed";
	} else if (ret->socket_path && ret->fd >= 0) {
		error = "--socket-path and --fd exclude each other";
	} else if (ret->source == SOURCE_PATTERN &&
		(ret->socket_path || ret->fd >= 0 || ret->qmp_path || ret->bus_address)) {
		error = "--source=pattern takes no --socket-path, --fd, --qmp or --display-bus";
	} else if (ret->qmp_path && ret->bus_address) {
		error = "--qmp and --display-bus exclude each other";
	} else if (ret->source == SOURCE_PATTERN && !ret->first.enabled) {
		error = "--source=pattern takes no --no-console";
	}
	if (ret->access.require_token && !ret->access.has_key) {
		error = "--require-token needs --manager-key: else nobody could plug an output";
	}
	if (error) {
		fprintf(stderr, "%s: %s\n", program.name, error);
		return OPTIONS_ERROR;
	}
	return OPTIONS_RUN;
}
