/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line of helix-frame-export. */
#ifndef HELIX_FRAME_EXPORT_EXPORT_OPTIONS_H
#define HELIX_FRAME_EXPORT_EXPORT_OPTIONS_H

#include "device/gpu.h"
#include "options.h"
#include "server/server.h"

enum source_kind {
	SOURCE_DEVICE,  /* the vhost-user-gpu device */
	SOURCE_PATTERN, /* synthetic pictures, no VM */
};

struct export_options {
	enum source_kind source;
	const char *socket_path; // NULL: not given
	int fd;                  /* -1: not given */
	const char *qmp_path;
	const char *bus_address; /* of QEMU's display */
	const char *device_id;   // NULL: outputs cannot be hot-plugged
	char listen_address[64];
	uint16_t listen_port;
	unsigned max_outputs;
	unsigned max_clients;
	unsigned queue_ms;
	struct access_config access;
	unsigned fps_cap;
	const char *encoder;        /* "auto", or a name that encoder_by_name knows */
	const char *render_node;    // NULL: the one that is found
	unsigned hardware_sessions; /* most hardware encoders at once */
	uint32_t bitrate;           /* bits/s; 0: none */
	unsigned quality, encoder_threads;
	bool use_damage;
	size_t memory_budget; /* bytes */
	enum gl_mode {
		GL_OFF,
		GL_AUTO,
		GL_ON,
	} gl_mode;
	struct gl_config gl;
	struct gpu_output first; /* not enabled: there is no console */
	bool print_capabilities;
};

/* Fills in the defaults, then what argv says. */
enum options_result export_options_parse(int argc, char *argv[], struct export_options *ret);

#endif
