/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "launcher.h"
#include "list.h"
#include "log.h"
#include "parse.h"
#include "util.h"

LOG_MODULE("control");

#define CLIENTS_MAX 16u
#define LINE_SIZE   128u
#define ANSWER_S    30 /* a resize takes as long as the exporter and the guest's kernel do */

struct control {
	struct launcher *launcher;
	int fd;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	sd_event_source *io;
	struct list clients; // struct client.link
	unsigned n_clients;
};

/* One request at a time: what comes meanwhile stays in the socket. */
struct client {
	struct list link; // control.clients
	struct control *control;
	int fd;
	sd_event_source *io;
	char line[LINE_SIZE];
	size_t used;
	bool resizing;
};

static void client_destroy(struct client *c) {
	list_remove(&c->link);
	c->control->n_clients--;
	if (c->resizing) {
		keeper_forget_resize(c->control->launcher->keeper, c);
	}
	sd_event_source_disable_unref(c->io);
	(void)close_fd(c->fd);
	free(c);
}

/* An answer is short and the buffer empty: one that cannot take it is no client of ours. */
static void answer(struct client *c, const char *text) {
	(void)send(c->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void handle_resized(int r, const char *text, void *data) {
	struct client *c = data;
	struct launcher *l = c->control->launcher;
	char line[LEASE_ERROR_SIZE + 32];
	c->resizing = false;
	if (r < 0) {
		(void)snprintf(line, sizeof(line), "error %s\n", text[0] ? text : strerror(-r));
	} else {
		const struct lease_ext_reply *a = &keeper_lease(l->keeper)->about;
		log_info("resized to %ux%u@%u", a->width, a->height, a->refresh);
		services_resized(l);
		(void)snprintf(
			line, sizeof(line), "ok %ux%u@%u\n", a->width, a->height, a->refresh);
	}
	answer(c, line);
	(void)sd_event_source_set_enabled(c->io, SD_EVENT_ON);
}

/* Behind the size, "now": or not at all. */
static void resize(struct client *c, const char *words) {
	struct launcher *l = c->control->launcher;
	uint32_t width, height, refresh = 0;
	char size[LINE_SIZE];
	size_t n = strcspn(words, " ");
	bool now = strcmp(words + n, " now") == 0;
	(void)snprintf(size, sizeof(size), "%.*s", (int)n, words);
	if ((words[n] && !now) || parse_mode(size, &width, &height, &refresh) < 0) {
		answer(c, "error a size is WxH or WxH@HZ\n");
		return;
	}
	if (now && l->preset && l->preset->keeps_mode) {
		char line[128];
		(void)snprintf(line, sizeof(line),
			"unable %s takes another size only when it is started again\n",
			l->preset->name);
		answer(c, line);
		return;
	}
	int r = l->keeper ? keeper_resize(l->keeper, width, height, refresh, handle_resized, c)
			  : -ENOTCONN;
	if (r < 0) {
		answer(c,
			r == -EBUSY                ? "error a resize is under way\n"
				: r == -EOPNOTSUPP ? "error the DRM manager is too old for this\n"
						   : "error there is no lease now\n");
		return;
	}
	c->resizing = true;
	(void)sd_event_source_set_enabled(c->io, SD_EVENT_OFF);
}

static json_t *steps_to_json(const struct launcher *l) {
	json_t *steps = json_array();
	for (unsigned i = 0; i < _STEP_MAX; i++) {
		const struct step *s = &l->steps[i];
		json_t *o = json_pack("{s:s, s:s, s:i, s:i}", "name", s->spec->name, "state",
			step_state_to_string(s->state), "pid", (int)s->pid, "restarts",
			(int)s->restarts);
		if (s->first_ready_ns > 0) {
			(void)json_object_set_new(o, "started_ms",
				json_real((double)(s->first_started_ns - l->started_ns) / 1e6));
			(void)json_object_set_new(o, "ready_ms",
				json_real((double)(s->first_ready_ns - l->started_ns) / 1e6));
		}
		(void)json_array_append_new(steps, o);
	}
	return steps;
}

static void status(struct client *c) {
	const struct launcher *l = c->control->launcher;
	const char *state = l->ending ? "ending" : l->all_ready_ns > 0 ? "ready" : "starting";
	json_t *o = json_pack("{s:s, s:s, s:s, s:o}", "state", state, "compositor",
		l->config.compositor, "display", l->display, "steps", steps_to_json(l));
	if (o && l->keeper && keeper_lease(l->keeper)->fd >= 0) {
		const struct lease_ext_reply *a = &keeper_lease(l->keeper)->about;
		(void)json_object_set_new(o, "lease",
			json_pack("{s:i, s:s, s:i, s:i, s:i, s:s}", "scanout", (int)a->scanout,
				"connector", a->connector, "width", (int)a->width, "height",
				(int)a->height, "refresh", (int)a->refresh, "card", l->card));
	}
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	answer(c, text ? text : "{}");
	answer(c, "\n");
	free(text);
	json_decref(o);
}

static void handle_request(struct client *c, const char *line) {
	if (strncmp(line, "resize ", 7) == 0) {
		resize(c, line + 7);
	} else if (strcmp(line, "status") == 0) {
		status(c);
	} else {
		answer(c, "error there are: resize WxH[@HZ] [now], status\n");
	}
}

/* Whether there was a whole line. */
static bool take_line(struct client *c) {
	char line[LINE_SIZE];
	char *end = memchr(c->line, '\n', c->used);
	if (!end) {
		return false;
	}
	size_t n = (size_t)(end - c->line);
	memcpy(line, c->line, n);
	line[n] = '\0';
	c->used -= n + 1;
	memmove(c->line, end + 1, c->used);
	handle_request(c, line);
	return true;
}

static int handle_client(sd_event_source *source, int fd, uint32_t events, void *data) {
	struct client *c = data;
	ssize_t n = recv(fd, c->line + c->used, sizeof(c->line) - c->used, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		return 0;
	}
	c->used += n > 0 ? (size_t)n : 0;
	while (!c->resizing && take_line(c)) {
	}
	/* The end of what it says, or more than a request may be. */
	if (n <= 0 || (!c->resizing && c->used == sizeof(c->line))) {
		client_destroy(c);
	}
	return 0;
}

static int handle_listener(sd_event_source *source, int fd, uint32_t events, void *data) {
	struct control *control = data;
	int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct client *c =
		peer >= 0 && control->n_clients < CLIENTS_MAX ? calloc(1, sizeof(*c)) : NULL;
	if (!c) {
		(void)close_fd(peer);
		return 0;
	}
	*c = (struct client){.control = control, .fd = peer};
	list_append(&control->clients, &c->link);
	control->n_clients++;
	if (sd_event_add_io(control->launcher->loop, &c->io, peer, EPOLLIN, handle_client, c) < 0) {
		client_destroy(c);
	}
	return 0;
}

static int set_address(struct sockaddr_un *a, const char *dir) {
	*a = (struct sockaddr_un){.sun_family = AF_UNIX};
	int n = snprintf(a->sun_path, sizeof(a->sun_path), "%s/%s", dir, CONTROL_SOCKET);
	return n < 0 || (size_t)n >= sizeof(a->sun_path) ? -ENAMETOOLONG : 0;
}

int control_create(struct launcher *l, struct control **ret) {
	struct sockaddr_un address;
	struct control *c = calloc(1, sizeof(*c));
	if (!c) {
		return -ENOMEM;
	}
	*c = (struct control){.launcher = l, .fd = -1};
	list_init(&c->clients);
	int r = set_address(&address, l->runtime_dir);
	if (r == 0 && socket_answers(address.sun_path)) {
		log_err("another launcher runs in %s", l->runtime_dir);
		r = -EADDRINUSE;
	}
	if (r == 0) {
		(void)unlink(address.sun_path);
		c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		/* The directory is closed to others; the mode only says so once more. */
		r = c->fd < 0 || bind(c->fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
				chmod(address.sun_path, 0600) < 0 || listen(c->fd, 8) < 0
			? -errno
			: 0;
	}
	if (r == 0) {
		(void)snprintf(c->path, sizeof(c->path), "%s", address.sun_path);
		r = sd_event_add_io(l->loop, &c->io, c->fd, EPOLLIN, handle_listener, c);
	}
	if (r < 0) {
		control_destroy(c);
		return r;
	}
	*ret = c;
	return 0;
}

void control_destroy(struct control *c) {
	if (!c) {
		return;
	}
	struct client *client, *next;
	list_for_each_safe(client, next, &c->clients, link) {
		client_destroy(client);
	}
	sd_event_source_disable_unref(c->io);
	(void)close_fd(c->fd);
	if (c->path[0]) {
		(void)unlink(c->path);
	}
	free(c);
}

int control_ask(const char *dir, const char *line) {
	struct sockaddr_un address;
	struct timeval limit = {.tv_sec = ANSWER_S};
	char text[4096];
	size_t used = 0;
	int r = set_address(&address, dir);
	if (r < 0) {
		return r;
	}
	CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
		connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		r = -errno;
		(void)fprintf(
			stderr, "mutter-lease-launcher: %s: %s\n", address.sun_path, strerror(-r));
		return r;
	}
	if (send(fd, line, strlen(line), MSG_NOSIGNAL) < 0) {
		return -errno;
	}
	while (used < sizeof(text) - 1 && !memchr(text, '\n', used)) {
		ssize_t n = recv(fd, text + used, sizeof(text) - 1 - used, 0);
		if (n <= 0) {
			(void)fprintf(stderr, "mutter-lease-launcher: no answer\n");
			return n < 0 ? -errno : -ECONNRESET;
		}
		used += (size_t)n;
	}
	text[used] = '\0';
	(void)fputs(text, strncmp(text, "error", 5) == 0 ? stderr : stdout);
	return strncmp(text, "error", 5) == 0 ? -EREMOTEIO : 0;
}
