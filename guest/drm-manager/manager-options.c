/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <helix/hxfr.h>

#include "manager-options.h"
#include "parse.h"
#include "proto/lease.h"

/* The host, as a guest of QEMU's user network sees it. */
#define EXPORTER_HOST "10.0.2.2"

#define KEY_CREDENTIAL "helix.manager-key"

struct options {
	struct manager_config *config;
	bool device_given, exporter_given, socket_given; /* these replace the environment's */
};

static struct manager_config *config_of(void *data) {
	return ((struct options *)data)->config;
}

static int set_device(const char *value, void *data) {
	struct options *o = data;
	struct manager_config *c = o->config;
	c->n_devices = o->device_given ? c->n_devices : 0;
	o->device_given = true;
	if (c->n_devices == CARDS_MAX) {
		return -ERANGE;
	}
	c->devices[c->n_devices++] = value;
	return value[0] ? 0 : -EINVAL;
}

static int add_exporter(struct manager_config *c, const char *value) {
	struct exporter_config *e = &c->exporters[c->n_exporters];
	if (c->n_exporters == CARDS_MAX) {
		return -ERANGE;
	}
	(void)snprintf(e->host, sizeof(e->host), "%s", EXPORTER_HOST);
	int r = parse_host_port(value, e->host, sizeof(e->host), &e->port);
	c->n_exporters += r == 0;
	return r;
}

static int set_exporter(const char *value, void *data) {
	struct options *o = data;
	o->config->n_exporters = o->exporter_given ? o->config->n_exporters : 0;
	o->exporter_given = true;
	return add_exporter(o->config, value);
}

static int set_socket(const char *value, void *data) {
	struct options *o = data;
	struct manager_config *c = o->config;
	c->n_sockets = o->socket_given ? c->n_sockets : 0;
	o->socket_given = true;
	if (c->n_sockets == LISTENERS_MAX) {
		return -ERANGE;
	}
	c->sockets[c->n_sockets++] = value;
	return value[0] ? 0 : -EINVAL;
}

static int set_allow_uid(const char *value, void *data) {
	return policy_add_uid(&config_of(data)->policy, value);
}

static int set_allow_gid(const char *value, void *data) {
	return policy_add_gid(&config_of(data)->policy, value);
}

static int set_max_leases(const char *value, void *data) {
	return parse_u32(value, 1, OUTPUTS_MAX, &config_of(data)->max_peer_leases);
}

static int set_max_connections(const char *value, void *data) {
	return parse_u32(value, 1, 65536, &config_of(data)->max_connections);
}

static int set_max_peer_connections(const char *value, void *data) {
	return parse_u32(value, 1, 65536, &config_of(data)->max_peer_connections);
}

static int set_ms(const char *value, uint64_t *ret) {
	uint64_t ms;
	int r = parse_u64(value, 1, 3600 * 1000, &ms);
	if (r == 0) {
		*ret = ms * NSEC_PER_MSEC;
	}
	return r;
}

static int set_timeout(const char *value, void *data) {
	return set_ms(value, &config_of(data)->request_timeout_ns);
}

static int set_read_timeout(const char *value, void *data) {
	return set_ms(value, &config_of(data)->read_timeout_ns);
}

static int set_grace(const char *value, void *data) {
	return set_ms(value, &config_of(data)->grace_ns);
}

/* 64 hexadecimal digits, perhaps with a line feed. A broken key is an error: never go without. */
static int set_key(const char *value, void *data) {
	struct manager_config *c = config_of(data);
	char text[2 * LEASE_TOKEN_SIZE + 2];
	int fd = open(value, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text)) : -1;
	int r = fd < 0 ? -errno : 0;
	(void)close_fd(fd);
	if (r == 0 && (n < 0 || n == (ssize_t)sizeof(text))) {
		r = -EINVAL;
	}
	if (r == 0) {
		text[n] = '\0';
		text[strcspn(text, "\n")] = '\0';
		r = lease_token_from_string(text, c->key);
	}
	if (r < 0) {
		(void)fprintf(stderr, "helix-drm-manager: %s: %s\n", value,
			r == -EINVAL ? "not a key of 64 hexadecimal digits" : strerror(-r));
		return -EINVAL;
	}
	c->has_key = true;
	return 0;
}

static const struct option_spec options[] = {
	{"device", 'd', "PATH", "card to lease outputs of; repeatable (default: all of virtio-gpu)",
		set_device},
	{"exporter", 'e', "[HOST:]PORT",
		"HXFR of a card's exporter, in their order (default 10.0.2.2:15937)", set_exporter},
	{"manager-key", 'k', "FILE", "key that exporters with --require-token want", set_key},
	{"socket", 's', "PATH", "listen here; at most twice (default " LEASE_SOCKET_DEFAULT ")",
		set_socket},
	{"allow-uid", 0, "UID", "serve this user; repeatable (default: everybody)", set_allow_uid},
	{"allow-gid", 0, "GID", "serve this group; repeatable (default: everybody)", set_allow_gid},
	{"max-leases", 0, "N", "leases of one container or user (default 64)", set_max_leases},
	{"max-connections", 0, "N", "connections in all (default 512)", set_max_connections},
	{"max-peer-connections", 0, "N", "connections of one container or user (default 64)",
		set_max_peer_connections},
	{"timeout", 't', "MS", "time limit of a request (default 5000)", set_timeout},
	{"read-timeout", 0, "MS", "time limit for a request to arrive (default 2000)",
		set_read_timeout},
	{"grace", 0, "MS", "how long holders may take to come back after a restart (default 10000)",
		set_grace},
	{"log-level", 0, "LEVEL", "error, warn, info or debug (default info)",
		options_set_log_level},
	{0},
};

/* Names that existing installations set. */
static int read_environment(struct manager_config *c) {
	const char *device = getenv("DRM_DEVICE"), *socket = getenv("DRM_SOCKET"),
		   *exporter = getenv("QEMU_ADDR");
	if (device && *device) {
		c->devices[c->n_devices++] = device;
	}
	c->sockets[c->n_sockets++] = socket && *socket ? socket : LEASE_SOCKET_DEFAULT;
	for (const char *p = exporter; p && *p;) {
		char one[sizeof(c->exporters[0].host) + 8];
		int n = (int)strcspn(p, ",");
		(void)snprintf(one, sizeof(one), "%.*s", n, p);
		if ((size_t)n >= sizeof(one) || add_exporter(c, one) < 0) {
			(void)fprintf(stderr, "helix-drm-manager: QEMU_ADDR: not valid: '%s'\n",
				exporter);
			return -EINVAL;
		}
		p += n + (p[n] == ',');
	}
	if (c->n_exporters == 0) {
		return add_exporter(c, "15937");
	}
	return 0;
}

/* systemd.exec(5): what the service was given, perhaps by the VM's firmware. */
static int read_credential(struct options *o) {
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	char path[4096];
	if (!dir || o->config->has_key) {
		return 0;
	}
	(void)snprintf(path, sizeof(path), "%s/" KEY_CREDENTIAL, dir);
	return access(path, F_OK) == 0 ? set_key(path, o) : 0;
}

enum options_result manager_options_parse(int argc, char *argv[], struct manager_config *ret) {
	static const struct program_spec program = {
		.name = "helix-drm-manager",
		.summary = "Leases each output of a virtual GPU to a container of its own.",
		.options = options,
	};
	*ret = (struct manager_config){
		.max_connections = 512,
		.max_peer_connections = 64,
		.max_peer_leases = OUTPUTS_MAX,
		.request_timeout_ns = 5000 * NSEC_PER_MSEC,
		.read_timeout_ns = 2000 * NSEC_PER_MSEC,
		.grace_ns = 10000 * NSEC_PER_MSEC,
	};
	if (read_environment(ret) < 0) {
		return OPTIONS_ERROR;
	}
	struct options data = {.config = ret};
	int index;
	enum options_result result = options_parse(&program, argc, argv, &data, &index);
	if (result == OPTIONS_RUN && read_credential(&data) < 0) {
		return OPTIONS_ERROR;
	}
	for (unsigned i = 0; i < ret->n_exporters && ret->has_key; i++) {
		ret->exporters[i].key = ret->key;
	}
	return result;
}
