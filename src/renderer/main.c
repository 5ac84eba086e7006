/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helix-renderer: the process that runs guests' GL commands. helix-frame-export starts it. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "log.h"
#include "options.h"
#include "parse.h"
#include "renderer.h"
#include "sandbox.h"
#include "util.h"

LOG_MODULE("renderer");

struct render_options {
	int socket, ring;
	const char *render_node;
};

static int set_descriptor(const char *value, int *ret) {
	uint32_t fd;
	int r = parse_u32(value, 0, 1023, &fd);
	*ret = r < 0 ? -1 : (int)fd;
	return r;
}

static int set_socket(const char *value, void *data) {
	return set_descriptor(value, &((struct render_options *)data)->socket);
}

static int set_ring(const char *value, void *data) {
	return set_descriptor(value, &((struct render_options *)data)->ring);
}

static int set_render_node(const char *value, void *data) {
	((struct render_options *)data)->render_node = value;
	return value[0] ? 0 : -EINVAL;
}

static const struct option_spec options[] = {
	{"socket", 0, "FD", "inherited socket to the exporter", set_socket},
	{"ring", 0, "FD", "inherited memory with what is too large for messages", set_ring},
	{"render-node", 0, "PATH", "draw with this device (default: what EGL finds without one)",
		set_render_node},
	{"log-level", 0, "LEVEL", "error, warn, info or debug (default info)",
		options_set_log_level},
	{0},
};

static int run(struct renderer *r, int socket) {
	struct pollfd fds[] = {{socket, POLLIN, 0}, {renderer_poll_fd(r), POLLIN, 0}};
	for (;;) {
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR) {
			return -errno;
		}
		int result = fds[1].revents ? renderer_poll(r) : 0;
		if (result >= 0 && fds[0].revents) {
			struct render_message m;
			int received[RENDER_MAX_FDS];
			unsigned n = 0;
			result = render_receive(socket, &m, received, &n);
			if (result == 0) {
				return 0;
			}
			if (result > 0) {
				result = renderer_handle(r, &m, (size_t)result, received, n);
			}
		}
		if (result == -EPIPE || result == -ECONNRESET) {
			return 0; /* the exporter is gone */
		}
		if (result < 0) {
			return result;
		}
	}
}

int main(int argc, char *argv[]) {
	static const struct program_spec program = {
		.name = "helix-renderer",
		.summary = "Runs the GL commands of a virtual machine for helix-frame-export.",
		.options = options,
	};
	struct render_options o = {.socket = -1, .ring = -1};
	int index;
	switch (options_parse(&program, argc, argv, &o, &index)) {
	case OPTIONS_ERROR:
		return 2;
	case OPTIONS_EXIT:
		return 0;
	case OPTIONS_RUN:
		break;
	}
	if (o.socket < 0 || o.ring < 0) {
		fprintf(stderr,
			"helix-renderer: --socket and --ring are needed; "
			"helix-frame-export starts this program\n");
		return 2;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* Shaders are guests' secrets, and the cache is nobody's that we know. */
	(void)setenv("MESA_SHADER_CACHE_DISABLE", "true", 1);

	/*
	 * virglrenderer and drivers print what guests make them print, without a limit. Ours and a
	 * sanitizer's lines go to the descriptor.
	 */
	FILE *nowhere = log_enabled(LOG_LEVEL_DEBUG) ? NULL : fopen("/dev/null", "we");
	stderr = nowhere ? nowhere : stderr;

	int r = sandbox_enter();
	if (r < 0) {
		log_err_errno(r, "sandbox");
		return EXIT_FAILURE;
	}
	struct renderer_config config = {o.socket, o.ring, o.render_node};
	struct renderer *renderer;
	r = renderer_create(&config, &renderer);
	if (r >= 0) {
		r = renderer_say_hello(renderer);
	}
	if (r < 0) {
		log_err_errno(r, "no GL%s%s", o.render_node ? " on " : "",
			o.render_node ? o.render_node : "");
		return EXIT_FAILURE;
	}
	r = run(renderer, o.socket);
	if (r < 0) {
		log_err_errno(r, "stopped");
	}
	/*
	 * Nothing is torn down: a driver that hangs would hang that, too, and the kernel takes back all
	 * that a process has.
	 */
	_exit(r < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}
