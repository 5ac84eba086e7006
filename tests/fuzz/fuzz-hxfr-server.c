/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The server's side of a connection, on a socket pair. The input is a script: a byte below 0xE0
 * says how many of the bytes that follow the client sends in one piece; others make the backend
 * post something, or the client read, or time pass.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <helix/hxfr.h>

#include "log.h"
#include "server-private.h"
#include "util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	OP_POST_DELTA = 0xE0, /* … 0xE7: on scanout 0 … 7 */
	OP_POST_IDR = 0xE8,   /* … 0xEF */
	OP_CURSOR = 0xF0,
	OP_CURSOR_MOVE = 0xF1,
	OP_CURSOR_HIDE = 0xF2,
	OP_STATE = 0xF3,
	OP_READ = 0xF4, /* the client takes what there is */
	OP_READ_BYTE = 0xF5,
	OP_HALF_CLOSE = 0xF6,
	OP_POST_LARGE = 0xF7, /* more than a socket takes */
	OP_FLOOD = 0xF8,      /* more units than the mailbox takes */
};

static sd_event *loop;
static struct server *server;
static uint64_t sequence;

static void set_viewers(void *data, uint32_t scanout, unsigned watching, unsigned ready) {
	if (scanout >= SCANOUTS_MAX || ready > watching || watching > 1) {
		abort();
	}
}

static void request_idr(void *data, uint32_t scanout) {
}

static void set_bitrate(void *data, uint32_t scanout, uint32_t bits_per_second) {
	if (scanout >= SCANOUTS_MAX || bits_per_second == 0) {
		abort();
	}
}

static int enable(void *data, uint32_t scanout, uint32_t width, uint32_t height, uint32_t hz) {
	if (scanout == 0 || scanout >= SCANOUTS_MAX || width - 1 >= PICTURE_MAX_SIDE ||
		height - 1 >= PICTURE_MAX_SIDE || hz == 0) {
		abort();
	}
	return scanout % 2 ? 0 : -EIO;
}

static int disable(void *data, uint32_t scanout) {
	if (scanout == 0 || scanout >= SCANOUTS_MAX) {
		abort();
	}
	return 0;
}

static void get_state(void *data, uint32_t scanout, struct scanout_state *ret) {
	*ret = (struct scanout_state){true, 640, 480, 60, 1};
}

static void get_stats(void *data, uint32_t scanout, struct scanout_stats *ret) {
	*ret = (struct scanout_stats){1, 2, 3, 4, 5, 6, 7, 8, 9};
}

static const struct server_backend backend = {
	.set_viewers = set_viewers,
	.request_idr = request_idr,
	.set_bitrate = set_bitrate,
	.enable = enable,
	.disable = disable,
	.get_state = get_state,
	.get_stats = get_stats,
};

static void set_up(void) {
	static const struct server_config config = {
		.address = "127.0.0.1",
		.max_clients = 4,
		.queue_ms = 200,
		.n_scanouts = SCANOUTS_MAX,
		.has_console = true,
	};
	log_set_level(LOG_LEVEL_ERROR);
	if (sd_event_new(&loop) < 0 || server_create(loop, &config, &backend, NULL, &server) < 0) {
		abort();
	}
}

static void run_loop(void) {
	while (sd_event_run(loop, 0) > 0) {
	}
}

static void post(uint32_t scanout, bool keyframe, size_t size) {
	struct access_unit *au = access_unit_create(size);
	if (au) {
		au->scanout_id = scanout;
		au->keyframe = keyframe;
		au->sequence = ++sequence;
		au->pts_ns = sequence * 50 * NSEC_PER_MSEC;
		server_post_access_unit(server, au);
	}
}

static void read_some(int fd, size_t size) {
	static uint8_t buf[65536];
	while (recv(fd, buf, MIN(size, sizeof(buf)), MSG_DONTWAIT) > 0 && size > 1) {
	}
}

static void run_op(int fd, uint8_t op) {
	switch (op) {
	case OP_CURSOR: {
		struct cursor_image *image = cursor_image_create(8, 8);
		if (image) {
			server_post_cursor(server, 1, image, op, op);
		}
		break;
	}
	case OP_CURSOR_MOVE:
		server_post_cursor_position(server, 1, op, op);
		break;
	case OP_CURSOR_HIDE:
		server_post_cursor(server, 1, NULL, op, op);
		break;
	case OP_STATE:
		server_post_scanout_state(server, 1);
		break;
	case OP_READ:
		read_some(fd, SIZE_MAX);
		break;
	case OP_READ_BYTE:
		read_some(fd, 1);
		break;
	case OP_HALF_CLOSE:
		(void)shutdown(fd, SHUT_WR);
		break;
	case OP_POST_LARGE:
		post(1, true, 300000);
		break;
	case OP_FLOOD:
		for (unsigned i = 0; i < MAILBOX_UNITS + 1; i++) {
			post(1, false, 1);
		}
		break;
	default:
		if (op < OP_CURSOR) {
			post(op % 8, op >= OP_POST_IDR, op);
		}
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	int fds[2];
	if (!server) {
		set_up();
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0) {
		abort();
	}
	(void)server_add_client(server, fds[1], "fuzzer");
	for (size_t at = 0; at < size;) {
		uint8_t op = data[at++];
		if (op < OP_POST_DELTA) {
			size_t n = MIN((size_t)op, size - at);
			(void)send(fds[0], data + at, n, MSG_NOSIGNAL | MSG_DONTWAIT);
			at += n;
		} else {
			run_op(fds[0], op);
		}
		run_loop();
	}
	(void)close(fds[0]);
	run_loop();
	if (server->n_clients != 0 || !list_empty(&server->dead)) {
		abort();
	}
	return 0;
}
