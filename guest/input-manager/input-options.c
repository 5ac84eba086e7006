/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "input-options.h"
#include "parse.h"

static struct manager_config *config_of(void *data) {
	return data;
}

static int set_socket(const char *value, void *data) {
	config_of(data)->socket = value;
	return value[0] ? 0 : -EINVAL;
}

static int set_allow_uid(const char *value, void *data) {
	return policy_add_uid(&config_of(data)->policy, value);
}

static int set_allow_gid(const char *value, void *data) {
	return policy_add_gid(&config_of(data)->policy, value);
}

static int set_max_sets(const char *value, void *data) {
	return parse_u32(value, 1, 256, &config_of(data)->max_sets);
}

static int set_max_peer_sets(const char *value, void *data) {
	return parse_u32(value, 1, 256, &config_of(data)->max_peer_sets);
}

static int set_max_connections(const char *value, void *data) {
	return parse_u32(value, 1, 65536, &config_of(data)->max_connections);
}

static int set_max_peer_connections(const char *value, void *data) {
	return parse_u32(value, 1, 65536, &config_of(data)->max_peer_connections);
}

static int set_read_timeout(const char *value, void *data) {
	uint64_t ms;
	int r = parse_u64(value, 1, 3600 * 1000, &ms);
	if (r == 0) {
		config_of(data)->read_timeout_ns = ms * NSEC_PER_MSEC;
	}
	return r;
}

static int set_node_timeout(const char *value, void *data) {
	return parse_u32(value, 1, 3600 * 1000, &config_of(data)->node_timeout_ms);
}

static const struct option_spec options[] = {
	{"socket", 's', "PATH", "listen here (default " INPUT_SOCKET_DEFAULT ")", set_socket},
	{"allow-uid", 0, "UID", "serve this user; repeatable (default: everybody)", set_allow_uid},
	{"allow-gid", 0, "GID", "serve this group; repeatable (default: everybody)", set_allow_gid},
	{"max-desktops", 0, "N", "desktops in all (default 64)", set_max_sets},
	{"max-peer-desktops", 0, "N", "desktops of one container or user (default 16)",
		set_max_peer_sets},
	{"max-connections", 0, "N", "connections in all (default 512)", set_max_connections},
	{"max-peer-connections", 0, "N", "connections of one container or user (default 64)",
		set_max_peer_connections},
	{"read-timeout", 0, "MS", "time limit for a request to arrive (default 2000)",
		set_read_timeout},
	{"node-timeout", 0, "MS", "time limit for a device's node to appear (default 5000)",
		set_node_timeout},
	{"log-level", 0, "LEVEL", "error, warn, info or debug (default info)",
		options_set_log_level},
	{0},
};

enum options_result input_options_parse(int argc, char *argv[], struct manager_config *ret) {
	static const struct program_spec program = {
		.name = "helix-input-manager",
		.summary = "Makes each desktop's keyboard, pointer and touch screen.",
		.options = options,
	};
	int index;
	*ret = (struct manager_config){
		.socket = INPUT_SOCKET_DEFAULT,
		.max_connections = 512,
		.max_peer_connections = 64,
		.max_sets = 64,
		.max_peer_sets = 16,
		.read_timeout_ns = 2000 * NSEC_PER_MSEC,
		.node_timeout_ms = 5000,
	};
	return options_parse(&program, argc, argv, ret, &index);
}
