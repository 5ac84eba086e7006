/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Leases an output and runs a program with it. The program inherits the lease and its connection,
 * so the lease lasts as long as the program (and what it leaves behind with these descriptors),
 * whatever way it ends; nobody has to watch over it.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include <helix/lease-client.h>

#include "options.h"
#include "parse.h"
#include "proto/lease.h"
#include "util.h"

/* Where the program finds them. */
#define LEASE_FD      3
#define CONNECTION_FD 4
#define FD_ABOVE      10 /* out of the way of both */

enum action {
	ACTION_RUN,
	ACTION_HOLD,
	ACTION_RECLAIM,
	ACTION_LIST,
	ACTION_RELEASE,
	ACTION_RESIZE,
};

struct config {
	enum action action;
	struct lease_wish wish;
	uint8_t token[LEASE_TOKEN_SIZE];
	bool has_token, print;
};

static int set_socket(const char *value, void *data) {
	((struct config *)data)->wish.socket = value;
	return value[0] ? 0 : -EINVAL;
}

static int set_size(const char *value, void *data) {
	struct lease_wish *w = &((struct config *)data)->wish;
	return parse_mode(value, &w->width, &w->height, &w->refresh);
}

static int set_name(const char *value, void *data) {
	((struct config *)data)->wish.name = value;
	return strlen(value) < LEASE_NAME_SIZE ? 0 : -ERANGE;
}

static int set_scanout(const char *value, void *data) {
	return parse_u32(value, 1, 255, &((struct config *)data)->wish.scanout);
}

static int set_wait(const char *value, void *data) {
	uint32_t seconds;
	int r = parse_u32(value, 0, 86400, &seconds);
	((struct config *)data)->wish.wait_ms = r < 0 ? 0 : seconds * 1000;
	return r;
}

static int set_timeout(const char *value, void *data) {
	return parse_u32(value, 1, 3600000, &((struct config *)data)->wish.timeout_ms);
}

static int set_token(const char *value, void *data) {
	struct config *c = data;
	c->has_token = true;
	return lease_token_from_string(value, c->token);
}

static int set_list(const char *value, void *data) {
	((struct config *)data)->action = ACTION_LIST;
	return 0;
}

static int set_release(const char *value, void *data) {
	((struct config *)data)->action = ACTION_RELEASE;
	return 0;
}

static int set_resize(const char *value, void *data) {
	((struct config *)data)->action = ACTION_RESIZE;
	return set_size(value, data);
}

static int set_hold(const char *value, void *data) {
	((struct config *)data)->action = ACTION_HOLD;
	return 0;
}

static int set_reclaim(const char *value, void *data) {
	((struct config *)data)->action = ACTION_RECLAIM;
	return 0;
}

static int set_print(const char *value, void *data) {
	((struct config *)data)->print = true;
	return 0;
}

static const struct option_spec options[] = {
	{"size", 'm', "WxH[@HZ]", "size to plug the output in with; default: the manager's",
		set_size},
	{"name", 'n', "NAME", "of the desktop, for those who list leases", set_name},
	{"scanout", 'c', "N", "this output and no other", set_scanout},
	{"wait", 'w', "SECONDS", "wait so long for an output to become free; default 0", set_wait},
	{"timeout", 't', "MS", "wait so long for the manager's answer; default 10000", set_timeout},
	{"socket", 's', "PATH", "the manager's socket; default " LEASE_SOCKET_DEFAULT, set_socket},
	{"print", 'p', NULL, "print what was leased", set_print},
	{"hold", 0, NULL, "run nothing: hold the lease until the manager takes it, or a signal",
		set_hold},
	{"reclaim", 0, NULL, "hold the lease with the token again, after its connection was lost",
		set_reclaim},
	{"list", 'l', NULL, "print all outputs and who holds them", set_list},
	{"release", 0, NULL, "give the lease with the token back", set_release},
	{"resize", 0, "WxH[@HZ]", "change the size of the lease with the token", set_resize},
	{"token", 0, "HEX", "of the lease; default: $HELIX_LEASE_TOKEN", set_token},
	{0},
};

static const struct program_spec program = {
	.name = "helix-lease",
	.summary = "Leases an output of the virtual GPU and runs COMMAND with it.",
	.arguments = "[--] [COMMAND [ARG]...]",
	.options = options,
};

static int print_list(const struct config *c) {
	char error[LEASE_ERROR_SIZE] = "";
	struct lease_ext_entry *entries;
	size_t n;
	int r = lease_list(c->wish.socket, c->wish.timeout_ms, &entries, &n, error);
	if (r < 0) {
		(void)fprintf(stderr, "helix-lease: %s\n", error);
		return r;
	}
	printf("%-8s %-9s %-14s %6s %8s %6s %s\n", "SCANOUT", "STATE", "SIZE", "AGE", "PID", "UID",
		"NAME");
	for (size_t i = 0; i < n; i++) {
		const struct lease_ext_entry *e = &entries[i];
		char size[40] = "-";
		if (e->state != LEASE_STATE_FREE) {
			(void)snprintf(
				size, sizeof(size), "%ux%u@%u", e->width, e->height, e->refresh);
		}
		printf("%-8u %-9s %-14s %5us %8u %6u %s%s%s%s\n", e->scanout,
			lease_state_to_string(e->state), size, e->age_s, e->pid, e->uid, e->name,
			e->peer[0] ? " (" : "", e->peer, e->peer[0] ? ")" : "");
	}
	free(entries);
	return 0;
}

static void print_lease(const struct lease *lease) {
	const struct lease_ext_reply *a = &lease->about;
	printf("scanout %u: %s", a->scanout, a->connector);
	if (lease->extended) {
		char token[2 * LEASE_TOKEN_SIZE + 1];
		lease_token_to_string(a->token, token);
		printf(" %ux%u@%u connector %u crtc %u primary %u cursor %u exporter %s/%u token "
		       "%s",
			a->width, a->height, a->refresh, a->connector_id, a->crtc_id,
			a->primary_plane_id, a->cursor_plane_id, a->exporter, a->export_id, token);
	}
	printf("\n");
	(void)fflush(stdout);
}

static int set_environment(const struct lease *lease, const char *socket) {
	char number[16], token[2 * LEASE_TOKEN_SIZE + 1];
	int r = 0;
	(void)snprintf(number, sizeof(number), "%d", LEASE_FD);
	r |= setenv("HELIX_LEASE_FD", number, 1);
	(void)snprintf(number, sizeof(number), "%u", lease->about.scanout);
	r |= setenv("HELIX_SCANOUT_ID", number, 1);
	if (lease->extended) {
		lease_token_to_string(lease->about.token, token);
		r |= setenv("HELIX_LEASE_TOKEN", token, 1);
	}
	if (socket) {
		r |= setenv("HELIX_LEASE_SOCKET", socket, 1);
	}
	return r ? -ENOMEM : 0;
}

/* To the numbers where the program expects them, inherited from there. */
static int place_fds(struct lease *lease) {
	int fd = fcntl(lease->fd, F_DUPFD_CLOEXEC, FD_ABOVE);
	int connection = fcntl(lease->connection, F_DUPFD_CLOEXEC, FD_ABOVE);
	lease_finish(lease);
	if (fd < 0 || connection < 0 || dup2(fd, LEASE_FD) < 0 ||
		dup2(connection, CONNECTION_FD) < 0) {
		return -errno;
	}
	(void)close_fd(fd);
	(void)close_fd(connection);
	return 0;
}

static int run(const struct config *c, char *argv[]) {
	char error[LEASE_ERROR_SIZE] = "";
	struct lease lease;
	int r = c->action == ACTION_RECLAIM
		? lease_reclaim(c->wish.socket, c->token, c->wish.timeout_ms, &lease, error)
		: lease_acquire(&c->wish, &lease, error);
	if (r < 0) {
		(void)fprintf(stderr, "helix-lease: %s\n", error);
		return r;
	}
	if (c->print || c->action != ACTION_RUN) {
		print_lease(&lease);
	}
	if (c->action != ACTION_RUN) {
		struct pollfd p = {.fd = lease.connection, .events = POLLIN};
		while (poll(&p, 1, -1) < 0 && errno == EINTR) {
		}
		(void)fprintf(stderr, "helix-lease: the manager took the lease back\n");
		lease_finish(&lease);
		return -ECONNRESET;
	}
	r = set_environment(&lease, c->wish.socket);
	if (r == 0) {
		r = place_fds(&lease);
	}
	if (r == 0) {
		(void)execvp(argv[0], argv);
		r = -errno;
	}
	(void)fprintf(stderr, "helix-lease: %s: %s\n", argv[0], strerror(-r));
	return r;
}

static int use_token(struct config *c) {
	char error[LEASE_ERROR_SIZE] = "";
	const struct lease_wish *w = &c->wish;
	int r = c->action == ACTION_RELEASE
		? lease_release(w->socket, c->token, w->timeout_ms, error)
		: lease_resize(w->socket, c->token, w->width, w->height, w->refresh, w->timeout_ms,
			  error);
	if (r < 0) {
		(void)fprintf(stderr, "helix-lease: %s\n", error);
	}
	return r;
}

static int usage(const char *text) {
	(void)fprintf(stderr, "helix-lease: %s\nTry 'helix-lease --help'.\n", text);
	return 2;
}

int main(int argc, char *argv[]) {
	struct config c = {.wish.socket = getenv("HELIX_LEASE_SOCKET")};
	int index, r;
	enum options_result parsed = options_parse(&program, argc, argv, &c, &index);
	if (parsed != OPTIONS_RUN) {
		return parsed == OPTIONS_EXIT ? 0 : 2;
	}
	if (c.action != ACTION_RUN && index < argc) {
		return usage("a COMMAND does not go with this action");
	}
	const char *token = getenv("HELIX_LEASE_TOKEN");
	switch (c.action) {
	case ACTION_LIST:
		r = print_list(&c);
		break;
	case ACTION_RECLAIM:
	case ACTION_RELEASE:
	case ACTION_RESIZE:
		if (!c.has_token && (!token || lease_token_from_string(token, c.token) < 0)) {
			return usage("--token or $HELIX_LEASE_TOKEN is needed");
		}
		r = c.action == ACTION_RECLAIM ? run(&c, NULL) : use_token(&c);
		break;
	default:
		if (c.action == ACTION_RUN && index == argc) {
			return usage("a COMMAND is needed, or one of --hold, --list, …");
		}
		r = run(&c, argv + index);
		break;
	}
	return r < 0 ? 1 : 0;
}
