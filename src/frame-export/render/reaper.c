/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "list.h"
#include "log.h"
#include "reaper.h"
#include "util.h"

LOG_MODULE("render");

#define CHILD_WAIT_MS 1000

struct reaper {
	sd_event *loop;
	struct list children; // struct child.link
};

struct child {
	pid_t pid;
	int fd; /* pidfd */
	sd_event_source *source;
	struct list link; // reaper.children
};

static void child_free(struct child *child) {
	sd_event_source_disable_unref(child->source);
	(void)close_fd(child->fd);
	list_remove(&child->link);
	free(child);
}

static int handle_child(sd_event_source *source, int fd, uint32_t revents, void *data) {
	struct child *child = data;
	int status = 0;
	(void)source;
	(void)fd;
	(void)revents;
	if (waitpid(child->pid, &status, WNOHANG) == child->pid && WIFSIGNALED(status) &&
		WTERMSIG(status) != SIGKILL) {
		log_warn("the renderer died of signal %d (%s)", WTERMSIG(status),
			strsignal(WTERMSIG(status)));
	}
	child_free(child);
	return 0;
}

int reaper_watch(struct reaper *r, pid_t pid) {
	struct child *child = calloc(1, sizeof(*child));
	if (!child) {
		return -ENOMEM;
	}
	child->pid = pid;
	child->fd = (int)syscall(SYS_pidfd_open, pid, 0);
	list_init(&child->link);
	int result = child->fd < 0 ? -errno : 0;
	if (result >= 0) {
		result = sd_event_add_io(
			r->loop, &child->source, child->fd, EPOLLIN, handle_child, child);
	}
	if (result < 0) {
		child_free(child);
		return result;
	}
	list_append(&r->children, &child->link);
	return 0;
}

int reaper_create(sd_event *loop, struct reaper **ret) {
	struct reaper *r = calloc(1, sizeof(*r));
	if (!r) {
		return -ENOMEM;
	}
	r->loop = sd_event_ref(loop);
	list_init(&r->children);
	*ret = r;
	return 0;
}

void reaper_destroy(struct reaper *r) {
	if (!r) {
		return;
	}
	while (!list_empty(&r->children)) {
		struct child *child = list_first(&r->children, struct child, link);
		(void)poll(&(struct pollfd){child->fd, POLLIN, 0}, 1, CHILD_WAIT_MS);
		(void)waitpid(child->pid, NULL, WNOHANG);
		child_free(child);
	}
	sd_event_unref(r->loop);
	free(r);
}
