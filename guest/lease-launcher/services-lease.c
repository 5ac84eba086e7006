/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "log.h"
#include "services.h"
#include "util.h"

LOG_MODULE("launcher");

#define LEASE_FD   3 /* of the stub */
#define CONTROL_FD 4

/* How often, and how often at most, it is looked whether the compositor draws after a resize. */
#define NUDGE_USEC 500000u
#define NUDGES_MAX 240u

static const char *stub_message(struct launcher *l, char command, int fd) {
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {.header = {.cmsg_level = SOL_SOCKET,
			     .cmsg_type = SCM_RIGHTS,
			     .cmsg_len = CMSG_LEN(sizeof(int))}};
	struct iovec iov = {&command, 1};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	if (l->stub_control < 0) {
		return NULL;
	}
	if (fd >= 0) {
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
		msg.msg_control = control.space;
		msg.msg_controllen = sizeof(control.space);
	}
	return sendmsg(l->stub_control, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? strerror(errno)
									       : NULL;
}

static void tell_stub(struct launcher *l, char command, int fd) {
	const char *problem = stub_message(l, command, fd);
	if (problem) {
		log_warn("the stub cannot be told of the lease: %s", problem);
	}
}

/* Checks it and leaves word of it. Whether the desktop can go on. */
static bool take_over_lease(struct launcher *l) {
	const struct lease *lease = keeper_lease(l->keeper);
	const struct lease_ext_reply *a = &lease->about;
	struct report *r = &l->report;
	bool needs_udev = !l->preset || l->preset->needs_udev;
	struct lease_facts facts = {0};
	struct stat st;
	if (fstat(lease->fd, &st) < 0) {
		log_err("the lease: %s", strerror(errno));
		return false;
	}
	log_info("scanout %u: %s %ux%u@%u", a->scanout, a->connector, a->width, a->height,
		a->refresh);
	check_lease(r, lease_probe(lease->fd, &facts), &facts);
	check_card(r, l->config.card, st.st_rdev, l->card, sizeof(l->card));
	l->has_3d = facts.has_3d;
	check_3d(r, &facts);
	udev_files_remove(&l->udev);
	int made = udev_files_make(l->config.udev_dir, st.st_rdev, &l->udev);
	check_udev(r, l->config.udev_dir, st.st_rdev, made, needs_udev);
	int written = lease_files_write(l->runtime_dir, a, lease->extended);
	if (written < 0) {
		report_problem(
			r, "is there space left?", "%s: %s", l->runtime_dir, strerror(-written));
	}
	return r->problems == 0 || l->config.force || l->config.action == ACTION_CHECK;
}

static void handle_keeper(enum keeper_event event, const char *text, void *data) {
	struct launcher *l = data;
	struct step *s = &l->steps[STEP_LEASE];
	switch (event) {
	case KEEPER_ACQUIRED:
	case KEEPER_REPLACED:
		if (!take_over_lease(l)) {
			steps_end(l, 1);
			return;
		}
		if (event == KEEPER_REPLACED) {
			tell_stub(l, 'R', keeper_lease(l->keeper)->fd);
		}
		step_met(s, UNTIL_LEASE);
		break;
	case KEEPER_RECLAIMED:
		log_info("the manager is back, and the lease is as it was");
		break;
	case KEEPER_REVOKED:
		log_warn("the lease is gone (%s): asking for another one", text);
		tell_stub(l, 'P', -1);
		step_unready(s, UNTIL_LEASE);
		break;
	case KEEPER_FAILED:
		report_problem(&l->report, NULL, "no lease: %s", text);
		steps_end(l, 1);
		break;
	}
}

static void nudge(struct launcher *l);

static int handle_nudge(sd_event_source *source, uint64_t usec, void *data) {
	struct launcher *l = data;
	l->nudge = sd_event_source_disable_unref(l->nudge);
	nudge(l);
	return 0;
}

/*
 * A compositor that has not set its first mode yet would not come back from this, and of that mode
 * no event tells us.
 */
static void nudge(struct launcher *l) {
	const struct step *s = &l->steps[STEP_COMPOSITOR];
	struct lease_facts facts = {0};
	if (l->nudges_left == 0 || !l->keeper || keeper_lease(l->keeper)->fd < 0) {
		return;
	}
	l->nudges_left--;
	(void)lease_probe(keeper_lease(l->keeper)->fd, &facts);
	if (s->state == STEP_READY && facts.drawing) {
		tell_stub(l, 'P', -1);
		tell_stub(l, 'R', keeper_lease(l->keeper)->fd);
		l->nudges_left = 0;
		return;
	}
	(void)sd_event_add_time_relative(
		l->loop, &l->nudge, CLOCK_MONOTONIC, NUDGE_USEC, NUDGE_USEC / 10, handle_nudge, l);
}

/*
 * A container without a udevd hears of no hot-plug, so a compositor that waits for one would keep
 * the old mode. To leave the session and come back makes it look at its outputs anew.
 */
void services_resized(struct launcher *l) {
	l->nudges_left = l->preset && l->preset->needs_udev ? NUDGES_MAX : 0;
	l->nudge = sd_event_source_disable_unref(l->nudge);
	nudge(l);
}

int start_lease(struct launcher *l, struct step *s) {
	s->pending = UNTIL_LEASE;
	int r = keeper_create(l->loop, &l->config.wish, handle_keeper, l, &l->keeper);
	return r < 0 ? r : keeper_start(l->keeper);
}

void lease_stopped(struct launcher *l, struct step *s) {
	l->nudge = sd_event_source_disable_unref(l->nudge);
	if (l->keeper) {
		lease_files_remove(l->runtime_dir);
		udev_files_remove(&l->udev);
		keeper_destroy(l->keeper);
		l->keeper = NULL;
	}
}

static void handle_login_checked(const char *problem, void *data) {
	struct step *s = data;
	struct launcher *l = s->launcher;
	bus_errand_destroy(s->errand);
	s->errand = NULL;
	if (problem && (!l->preset || l->preset->needs_udev)) {
		report_problem(&l->report, "is this the logind-stub that came with the launcher?",
			"the login stub: %s", problem);
		if (!l->config.force && l->config.action != ACTION_CHECK) {
			steps_end(l, 1);
			return;
		}
	} else if (problem) {
		report_warning(&l->report, NULL, "the login stub: %s", problem);
	} else {
		report_fine(&l->report, "the login stub answers as it should");
	}
	step_met(s, UNTIL_CHECKED);
}

void services_handle_ready(pid_t pid, void *data) {
	struct launcher *l = data;
	struct step *s = &l->steps[STEP_STUB];
	if (pid != s->pid || !(s->pending & UNTIL_NOTIFY)) {
		return;
	}
	s->pending |= UNTIL_CHECKED;
	step_met(s, UNTIL_NOTIFY);
	int r = bus_check_login(
		l->loop, getenv("DBUS_SYSTEM_BUS_ADDRESS"), handle_login_checked, s, &s->errand);
	if (r < 0) {
		handle_login_checked(strerror(-r), s);
	}
}

int start_stub(struct launcher *l, struct step *s) {
	char seatd[PATH_MAX], input[PATH_MAX], card[PATH_MAX + 16], udev[PATH_MAX], path[PATH_MAX];
	char notify[PATH_MAX + 32];
	int pair[2];
	(void)snprintf(
		seatd, sizeof(seatd), "--seatd-socket=%s", in_runtime_dir(l, SEATD_SOCKET, path));
	(void)snprintf(input, sizeof(input), "--input-socket=%s", l->config.input_socket);
	(void)snprintf(card, sizeof(card), "--card=%s", l->card);
	(void)snprintf(udev, sizeof(udev), "--udev-dir=%s", l->config.udev_dir);
	(void)snprintf(
		notify, sizeof(notify), "NOTIFY_SOCKET=%s", in_runtime_dir(l, NOTIFY_SOCKET, path));
	char *const argv[] = {(char *)"logind-stub", (char *)"--lease-fd=3",
		(char *)"--control-fd=4", seatd, input, card, udev, NULL};
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		return -errno;
	}
	struct process_spec spec = {
		.env = {notify},
		.fds = {{keeper_lease(l->keeper)->fd, LEASE_FD}, {pair[1], CONTROL_FD}},
		.n_fds = 2,
	};
	int r = spawn(s, l->config.stub, argv, &spec);
	(void)close_fd(pair[1]);
	if (r < 0) {
		(void)close_fd(pair[0]);
		return r;
	}
	l->stub_control = pair[0];
	s->pending = UNTIL_NOTIFY;
	return 0;
}

void stub_stopped(struct launcher *l, struct step *s) {
	l->stub_control = close_fd(l->stub_control);
}
