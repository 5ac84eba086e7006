/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>

#include <helix/hxfr.h>
#include <helix/ws.h>

#include "bridge-options.h"
#include "config.h"
#include "parse.h"

static int set_exporter(const char *value, void *data) {
	struct upstream_config *c = &((struct bridge_config *)data)->source.upstream;
	(void)snprintf(c->host, sizeof(c->host), "127.0.0.1");
	return parse_host_port(value, c->host, sizeof(c->host), &c->port);
}

static int set_scanout(const char *value, void *data) {
	struct upstream_config *c = &((struct bridge_config *)data)->source.upstream;
	uint32_t id;
	int r = parse_u32(value, 0, UINT32_MAX - 1, &id);
	if (r == 0) {
		c->scanout = id;
	}
	return r;
}

static int set_token_file(const char *value, void *data) {
	((struct bridge_config *)data)->source.upstream.token_path = value;
	return value[0] ? 0 : -EINVAL;
}

static int set_listen(const char *value, void *data) {
	struct bridge_config *c = data;
	/* Port 0, "any", is for tests. */
	if (strcmp(value, "0") == 0) {
		(void)snprintf(c->listen_host, sizeof(c->listen_host), "127.0.0.1");
		c->listen_port = 0;
		return 0;
	}
	return parse_host_port(value, c->listen_host, sizeof(c->listen_host), &c->listen_port);
}

static int set_web_root(const char *value, void *data) {
	((struct bridge_config *)data)->web_root = value[0] ? value : NULL;
	return 0;
}

static int set_allow_origin(const char *value, void *data) {
	struct bridge_config *c = data;
	if (c->n_origins == BRIDGE_ORIGINS_MAX) {
		return -ERANGE;
	}
	c->origins[c->n_origins++] = value;
	return value[0] ? 0 : -EINVAL;
}

static int set_max_viewers(const char *value, void *data) {
	return parse_u32(value, 1, 64, &((struct bridge_config *)data)->max_viewers);
}

static int set_max_connections(const char *value, void *data) {
	return parse_u32(value, 2, 4096, &((struct bridge_config *)data)->max_connections);
}

static int set_time(const char *value, uint64_t max, uint64_t unit_ns, uint64_t *ret) {
	uint64_t n;
	int r = parse_u64(value, 0, max, &n);
	if (r == 0) {
		*ret = n * unit_ns;
	}
	return r;
}

static int set_grace(const char *value, void *data) {
	struct bridge_config *c = data;
	return set_time(value, 300, NSEC_PER_SEC, &c->source.grace_ns);
}

static int set_queue(const char *value, void *data) {
	return set_time(value, 10000, NSEC_PER_MSEC, &((struct bridge_config *)data)->queue_ns);
}

static int set_input(const char *value, void *data) {
	static const char *const kinds[] = {"auto", "mutter", "wlroots", "uinput", "log", "none"};
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (strcmp(value, kinds[i]) == 0) {
			((struct bridge_config *)data)->input = kinds[i];
			return 0;
		}
	}
	return -EINVAL;
}

static int set_input_socket(const char *value, void *data) {
	((struct bridge_config *)data)->input_socket = value;
	return value[0] ? 0 : -EINVAL;
}

static int set_audio(const char *value, void *data) {
	struct audio_config *c = &((struct bridge_config *)data)->audio;
	c->off = strcmp(value, "off") == 0;
	return c->off || strcmp(value, "auto") == 0 ? 0 : -EINVAL;
}

static int set_audio_bitrate(const char *value, void *data) {
	struct audio_config *c = &((struct bridge_config *)data)->audio;
	uint32_t kbits;
	int r = parse_u32(value, 16, 510, &kbits);
	if (r == 0) {
		c->bitrate = kbits * 1000;
	}
	return r;
}

static int set_gateway(const char *value, void *data) {
	((struct bridge_config *)data)->gateway = value[0] ? value : NULL;
	return 0;
}

static int set_session(const char *value, void *data) {
	((struct bridge_config *)data)->session = value;
	return value[0] ? 0 : -EINVAL;
}

static int set_gateway_ca(const char *value, void *data) {
	((struct bridge_config *)data)->gateway_ca = value;
	return value[0] ? 0 : -EINVAL;
}

static int set_gateway_insecure(const char *value, void *data) {
	((struct bridge_config *)data)->gateway_insecure = true;
	return 0;
}

static const struct option_spec options[] = {
	{"exporter", 'e', "[HOST:]PORT",
		"where the pictures come from (default: as the lease says)", set_exporter},
	{"scanout", 's', "N", "which scanout is shown (default: as the lease says)", set_scanout},
	{"token-file", 't', "FILE", "the lease's token (default: helix-lease-token at run time)",
		set_token_file},
	{"listen", 'l', "[HOST:]PORT", "serve HTTP and WebSocket here (default 0.0.0.0:9876)",
		set_listen},
	{"web-root", 'w', "DIR", "the viewer's pages, empty for none (default: as installed)",
		set_web_root},
	{"allow-origin", 0, "ORIGIN", "let this site's pages connect, * for any; repeatable",
		set_allow_origin},
	{"input", 'i', "KIND", "auto, mutter, wlroots, uinput, log or none (default auto)",
		set_input},
	{"input-socket", 0, "PATH", "of the input manager (default /run/helix-input/input.sock)",
		set_input_socket},
	{"audio", 0, "KIND", "auto or off (default auto)", set_audio},
	{"audio-bitrate", 0, "KBIT", "of the sound, 16 to 510 kbit/s (default 128)",
		set_audio_bitrate},
	{"max-viewers", 0, "N", "WebSockets at once, up to 64 (default 32)", set_max_viewers},
	{"max-connections", 0, "N", "connections at once (default 128)", set_max_connections},
	{"grace", 'g', "SECONDS", "keep the stream after the last viewer (default 5)", set_grace},
	{"queue-ms", 0, "MS", "longest queue of a viewer before it skips to an IDR (default 200)",
		set_queue},
	{"gateway", 0, "URL", "call this gateway, empty for none (default: HELIX_API_BASE_URL)",
		set_gateway},
	{"session", 0, "ID", "the desktop's name there (default: HELIX_SESSION_ID)", set_session},
	{"gateway-ca", 0, "FILE",
		"authorities of the gateway's certificate (default: the system's)", set_gateway_ca},
	{"gateway-insecure", 0, NULL, "do not look at the gateway's certificate",
		set_gateway_insecure},
	{"log-level", 0, "LEVEL", "error, warn, info or debug (default info)",
		options_set_log_level},
	{0},
};

static int complain(const char *name) {
	(void)fprintf(stderr, "desktop-bridge: %s: not valid: '%s'\n", name, getenv(name));
	return -EINVAL;
}

/* Names that existing installations set. */
static int read_environment(struct bridge_config *c) {
	const char *port = getenv("SCREENSHOT_PORT"), *export = getenv("HELIX_FRAME_EXPORT_PORT");
	const char *grace = getenv("VIDEO_GRACE_PERIOD_SECONDS");
	uint32_t n;
	if (port && *port) {
		if (parse_u32(port, 1, UINT16_MAX, &n) < 0) {
			return complain("SCREENSHOT_PORT");
		}
		c->listen_port = (uint16_t)n;
	}
	if (export && *export) {
		if (parse_u32(export, 1, UINT16_MAX, &n) < 0) {
			return complain("HELIX_FRAME_EXPORT_PORT");
		}
		c->source.upstream.fallback_port = (uint16_t)n;
	}
	if (grace && *grace && set_grace(grace, c) < 0) {
		return complain("VIDEO_GRACE_PERIOD_SECONDS");
	}
	const char *revdial = getenv("REVDIAL_ENABLED"), *url = getenv("HELIX_API_BASE_URL");
	c->gateway = url && *url && (!revdial || strcmp(revdial, "false") != 0) ? url : NULL;
	c->session = getenv("HELIX_SESSION_ID");
	c->gateway_token = getenv("USER_API_TOKEN");
	return 0;
}

enum options_result bridge_options_parse(int argc, char *argv[], struct bridge_config *ret) {
	static const struct program_spec program = {
		.name = "desktop-bridge",
		.summary = "Shows a desktop to browsers, and brings their input into it.",
		.options = options,
	};
	const char *runtime_dir = getenv("XDG_RUNTIME_DIR");
	*ret = (struct bridge_config){
		.source =
			{
				.upstream =
					{
						.fallback_port = HXFR_PORT_DEFAULT,
						.scanout = -1,
						.runtime_dir = runtime_dir,
					},
				.grace_ns = 5 * NSEC_PER_SEC,
			},
		.listen_host = "0.0.0.0",
		.listen_port = BRIDGE_PORT_DEFAULT,
		.web_root = HELIX_WEB_ROOT,
		.max_viewers = 32,
		.max_connections = 128,
		.queue_ns = 200 * NSEC_PER_MSEC,
		.input = "auto",
		.audio = {.bitrate = 128000},
		.input_socket = "/run/helix-input/input.sock",
		.runtime_dir = runtime_dir,
	};
	if (read_environment(ret) < 0) {
		return OPTIONS_ERROR;
	}
	int index;
	return options_parse(&program, argc, argv, ret, &index);
}
