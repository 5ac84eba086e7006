/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "link.h"
#include "log.h"
#include "qmp.h"

LOG_MODULE("qemu");

#define RETRY_MIN_USEC (100 * 1000)
#define RETRY_MAX_USEC (2000 * 1000)
/* A stopped or very busy QEMU may take long; one that lost an answer must not hold us forever. */
#define SETUP_MAX_USEC (30 * 1000 * 1000)
/* QEMU serves one QMP client at a time and lets others wait without a word. */
#define GREETING_WARN_USEC (5 * 1000 * 1000)
/* A link that broke sooner than this does not reset the back-off. */
#define STABLE_USEC (5 * 1000 * 1000)

#define NOT_THERE_MASK \
	(IN_CREATE | IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

/* Our end's name among QEMU's descriptors, for as long as it takes from getfd to add_client. */
#define FD_NAME "helix-display"

struct qemu_link {
	sd_event *loop;
	char *where; /* path of the QMP socket, or address of the bus */
	bool shared; /* it is a bus */
	const struct qemu_link_handler *handler;
	void *data;

	sd_event_source *timer; // next attempt, greeting warning or set-up deadline
	sd_event_source *watch; // the socket's directory; NULL while it is not needed
	uint64_t retry_usec;
	uint64_t settled_at; // 0: not settled

	struct qmp *qmp; // NULL: not connected, or not needed any more
	int bus_fd;      // our end of the pair until sd-bus has it, else -1
	sd_bus *bus;     // NULL before add_client has succeeded
	sd_bus_slot *disconnected;
	sd_bus_slot *owner_changed; // of QEMU's name; only on a bus

	char reason[256]; // of the last failure, so that it is logged once
};

static void attempt(struct qemu_link *l);

static int set_timer(struct qemu_link *l, uint64_t usec, sd_event_time_handler_t handler) {
	sd_event_source_disable_unref(l->timer);
	l->timer = NULL;
	/* A tenth of leeway lets the kernel join wake-ups. */
	int r = sd_event_add_time_relative(
		l->loop, &l->timer, CLOCK_MONOTONIC, usec, usec / 10, handler, l);
	if (r < 0) {
		log_err_errno(r, "no timer: the link to QEMU will not come up again");
	}
	return r;
}

static void clear_timer(struct qemu_link *l) {
	l->timer = sd_event_source_disable_unref(l->timer);
}

static void clear_watch(struct qemu_link *l) {
	l->watch = sd_event_source_disable_unref(l->watch);
}

/* Back to nothing; the handler hears of it if it had been told of the bus. */
static void disconnect(struct qemu_link *l) {
	clear_timer(l);
	qmp_destroy(l->qmp);
	l->qmp = NULL;
	l->bus_fd = close_fd(l->bus_fd);
	l->disconnected = sd_bus_slot_unref(l->disconnected);
	l->owner_changed = sd_bus_slot_unref(l->owner_changed);
	if (l->bus) {
		l->handler->closed(l->data);
		l->bus = sd_bus_close_unref(l->bus);
	}
}

static int handle_retry(sd_event_source *source, uint64_t usec, void *data) {
	attempt(data);
	return 0;
}

static void retry_later(struct qemu_link *l) {
	(void)set_timer(l, l->retry_usec, handle_retry);
	l->retry_usec = MIN(2 * l->retry_usec, (uint64_t)RETRY_MAX_USEC);
}

static void fail_with(struct qemu_link *l, const char *reason) {
	uint64_t now = now_ns() / NSEC_PER_USEC;
	if (l->settled_at && now - l->settled_at > STABLE_USEC) {
		l->retry_usec = RETRY_MIN_USEC;
	}
	l->settled_at = 0;
	if (strcmp(l->reason, reason) != 0) {
		log_warn("%s: %s; trying again", l->where, reason);
		(void)snprintf(l->reason, sizeof(l->reason), "%s", reason);
	}
	disconnect(l);
	retry_later(l);
}

void qemu_link_fail(struct qemu_link *l, const char *fmt, ...) {
	char reason[sizeof(l->reason)];
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(reason, sizeof(reason), fmt, args);
	va_end(args);
	fail_with(l, reason);
}

void qemu_link_settled(struct qemu_link *l) {
	l->settled_at = now_ns() / NSEC_PER_USEC;
	l->reason[0] = '\0';
	clear_timer(l);
	qmp_destroy(l->qmp);
	l->qmp = NULL;
}

static int handle_disconnected(sd_bus_message *m, void *data, sd_bus_error *error) {
	qemu_link_fail(data, "QEMU closed the D-Bus connection");
	return 0;
}

static int handle_owner_changed(sd_bus_message *m, void *data, sd_bus_error *error) {
	const char *name, *from, *to;
	int r = sd_bus_message_read(m, "sss", &name, &from, &to);
	if (r >= 0 && strcmp(name, QEMU_BUS_NAME) == 0 && from[0]) {
		qemu_link_fail(data, "QEMU left the bus");
	}
	return 0;
}

static int set_up_shared(struct qemu_link *l) {
	int r = sd_bus_set_address(l->bus, l->where);
	return r < 0 ? r : sd_bus_set_bus_client(l->bus, true);
}

static int set_up_private(struct qemu_link *l) {
	int r = sd_bus_set_fd(l->bus, l->bus_fd, l->bus_fd);
	if (r >= 0) {
		l->bus_fd = -1;
	}
	return r;
}

static int open_bus(struct qemu_link *l) {
	int r = sd_bus_new(&l->bus);
	if (r < 0) {
		return r;
	}
	sd_bus *bus = l->bus;
	r = l->shared ? set_up_shared(l) : set_up_private(l);
	if (r < 0) {
		return r;
	}
	(void)sd_bus_set_description(bus, "qemu");
	r = sd_bus_match_signal(bus, &l->disconnected, NULL, "/org/freedesktop/DBus/Local",
		"org.freedesktop.DBus.Local", "Disconnected", handle_disconnected, l);
	if (r < 0) {
		return r;
	}
	r = sd_bus_start(bus);
	if (r < 0) {
		return r;
	}
	if (l->shared) {
		r = sd_bus_match_signal_async(bus, &l->owner_changed, "org.freedesktop.DBus",
			"/org/freedesktop/DBus", "org.freedesktop.DBus", "NameOwnerChanged",
			handle_owner_changed, NULL, l);
		if (r < 0) {
			return r;
		}
	}
	return sd_bus_attach_event(bus, l->loop, SD_EVENT_PRIORITY_NORMAL);
}

static void handle_client_added(const char *error, void *data) {
	struct qemu_link *l = data;
	if (error) {
		qemu_link_fail(l, "add_client: %s (needs -display dbus,p2p=yes)", error);
		return;
	}
	int r = open_bus(l);
	if (r < 0) {
		qemu_link_fail(l, "no D-Bus connection: %s", strerror(-r));
		return;
	}
	l->handler->opened(l->bus, l->data);
}

static void handle_fd_passed(const char *error, void *data) {
	struct qemu_link *l = data;
	if (error) {
		qemu_link_fail(l, "getfd: %s", error);
		return;
	}
	json_t *arguments = json_pack("{s:s, s:s}", "protocol", "@dbus-display", "fdname", FD_NAME);
	int r = arguments ? qmp_execute(l->qmp, "add_client", arguments, -1, handle_client_added, l)
			  : -ENOMEM;
	if (r < 0) {
		qemu_link_fail(l, "add_client: %s", strerror(-r));
	}
}

static int handle_deadline(sd_event_source *source, uint64_t usec, void *data) {
	qemu_link_fail(data, "QEMU does not answer");
	return 0;
}

static void handle_qmp_ready(void *data) {
	struct qemu_link *l = data;
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
		qemu_link_fail(l, "socketpair: %s", strerror(errno));
		return;
	}
	(void)set_timer(l, SETUP_MAX_USEC, handle_deadline);
	l->bus_fd = pair[0];
	json_t *arguments = json_pack("{s:s}", "fdname", FD_NAME);
	int r = arguments ? qmp_execute(l->qmp, "getfd", arguments, pair[1], handle_fd_passed, l)
			  : -ENOMEM;
	if (!arguments) {
		(void)close_fd(pair[1]);
	}
	if (r < 0) {
		qemu_link_fail(l, "getfd: %s", strerror(-r));
	}
}

static void handle_qmp_closed(int error, void *data) {
	qemu_link_fail(data, "QMP: %s", strerror(-error));
}

static const struct qmp_handler qmp_handler = {
	.ready = handle_qmp_ready,
	.closed = handle_qmp_closed,
};

static int handle_no_greeting(sd_event_source *source, uint64_t usec, void *data) {
	const struct qemu_link *l = data;
	log_warn("%s: no greeting yet: another QMP client holds the socket, or QEMU is stopped",
		l->where);
	return 0;
}

static int handle_directory(
	sd_event_source *source, const struct inotify_event *event, void *data) {
	struct qemu_link *l = data;
	const char *slash = strrchr(l->where, '/');
	const char *name = slash ? slash + 1 : l->where;
	if (event->mask & (IN_IGNORED | IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT)) {
		clear_watch(l);
		retry_later(l);
	} else if ((event->mask & IN_Q_OVERFLOW) ||
		(event->len && strcmp(event->name, name) == 0)) {
		l->retry_usec = RETRY_MIN_USEC;
		attempt(l);
	}
	return 0;
}

static int watch_directory(struct qemu_link *l) {
	char dir[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	const char *slash = strrchr(l->where, '/');
	if (!slash) {
		(void)snprintf(dir, sizeof(dir), ".");
	} else {
		int n = (int)MAX(slash - l->where, 1);
		(void)snprintf(dir, sizeof(dir), "%.*s", n, l->where);
	}
	return sd_event_add_inotify(l->loop, &l->watch, dir, NOT_THERE_MASK, handle_directory, l);
}

static void attempt_shared(struct qemu_link *l) {
	int r = open_bus(l);
	if (r < 0) {
		qemu_link_fail(l, "no bus: %s", strerror(-r));
		return;
	}
	(void)set_timer(l, SETUP_MAX_USEC, handle_deadline);
	l->handler->opened(l->bus, l->data);
}

static void attempt(struct qemu_link *l) {
	clear_timer(l);
	if (l->shared) {
		attempt_shared(l);
		return;
	}
	/* Watch first: a socket that appears between the two would go unseen. */
	int watched = l->watch ? 0 : watch_directory(l);
	int r = qmp_connect(l->loop, l->where, &qmp_handler, l, &l->qmp);
	if (r == 0) {
		clear_watch(l);
		(void)set_timer(l, GREETING_WARN_USEC, handle_no_greeting);
		return;
	}
	if (r == -ENOENT && watched >= 0) {
		return; // the directory tells when to go on
	}
	retry_later(l);
}

int qemu_link_create(sd_event *loop, const char *qmp_path, const char *bus_address,
	const struct qemu_link_handler *handler, void *data, struct qemu_link **ret) {
	if (!bus_address && strlen(qmp_path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path)) {
		return -ENAMETOOLONG;
	}
	struct qemu_link *l = calloc(1, sizeof(*l));
	if (!l) {
		return -ENOMEM;
	}
	l->loop = sd_event_ref(loop);
	l->handler = handler;
	l->data = data;
	l->bus_fd = -1;
	l->retry_usec = RETRY_MIN_USEC;
	l->shared = bus_address != NULL;
	l->where = strdup(l->shared ? bus_address : qmp_path);
	int r = l->where ? set_timer(l, 0, handle_retry) : -ENOMEM;
	if (r < 0) {
		qemu_link_destroy(l);
		return r;
	}
	*ret = l;
	return 0;
}

void qemu_link_destroy(struct qemu_link *l) {
	if (!l) {
		return;
	}
	disconnect(l);
	clear_watch(l);
	sd_event_unref(l->loop);
	free(l->where);
	free(l);
}
