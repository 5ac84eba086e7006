/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "list.h"
#include "log.h"
#include "render.h"
#include "spawn-renderer.h"
#include "util.h"

LOG_MODULE("render");

/* A renderer's start, GL driver and all; only the first is waited for. */
#define START_LIMIT_NS (20 * NSEC_PER_SEC)
/* A guest that kills renderers is given a new one no more often than this. */
#define RESTART_INTERVAL_NS NSEC_PER_SEC
#define CHILD_WAIT_MS       1000

/* A command that is not done. */
struct item {
	struct render_message m;
	struct render_extra extra;
	uint64_t tag;
	uint64_t ring_start; /* in bytes since the ring began; its place until done */
	struct list link;    // render.queued or render.sent, oldest first
};

/* A process that was started, until it was waited for. */
struct child {
	pid_t pid;
	int fd; /* pidfd */
	sd_event_source *source;
	struct list link; // render.children
};

struct render {
	struct render_config config;
	sd_event *loop;
	char program[PATH_MAX];
	uint32_t generation, last_generation;
	pid_t pid; /* 0: none runs */
	int socket;
	sd_event_source *source, *watchdog;
	bool wants_write, ready;
	uint64_t started_ns, progress_ns; /* of the oldest command sent */
	uint64_t last_sequence;
	struct list queued, sent;   // struct item.link
	unsigned n_items, n_fences; /* of both */
	struct list children;       // struct child.link

	int ring_fd;
	uint8_t *ring;
	uint64_t ring_head; /* bytes ever written, gaps included */

	struct render_hello hello;
	uint8_t *capsets[RENDER_MAX_CAPSETS];
};

static void extra_finish(struct render_extra *e) {
	free(e->iov);
	if (e->release) {
		e->release(e->owner);
	}
	for (unsigned i = 0; i < e->n_fds; i++) {
		(void)close_fd(e->fds[i]);
	}
	*e = (struct render_extra){0};
}

static void item_free(struct render *r, struct item *item) {
	r->n_items--;
	r->n_fences -= item->m.flags & RENDER_FLAG_FENCE ? 1 : 0;
	list_remove(&item->link);
	extra_finish(&item->extra);
	free(item);
}

static void child_free(struct child *child) {
	sd_event_source_disable_unref(child->source);
	(void)close_fd(child->fd);
	list_remove(&child->link);
	free(child);
}

/* The process. */

static void arm_watchdog(struct render *r) {
	if (list_empty(&r->sent)) {
		(void)sd_event_source_set_enabled(r->watchdog, SD_EVENT_OFF);
		return;
	}
	uint64_t at = r->progress_ns + (r->ready ? r->config.patience_ns : START_LIMIT_NS);
	(void)sd_event_source_set_time(r->watchdog, at / NSEC_PER_USEC + 1);
	(void)sd_event_source_set_enabled(r->watchdog, SD_EVENT_ONESHOT);
}

/* Its end is an event like others: a driver may keep a killed process for a while. */
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

static int watch_child(struct render *r, pid_t pid) {
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

static void end_process(struct render *r) {
	if (r->pid == 0) {
		return;
	}
	r->source = sd_event_source_disable_unref(r->source);
	r->socket = close_fd(r->socket);
	(void)kill(r->pid, SIGKILL);
	r->pid = 0;
	r->generation = 0;
	r->ready = false;
	(void)sd_event_source_set_enabled(r->watchdog, SD_EVENT_OFF);
}

static void fail(struct render *r) {
	struct list all;
	end_process(r);
	list_init(&all);
	while (!list_empty(&r->sent) || !list_empty(&r->queued)) {
		struct item *item =
			list_first(list_empty(&r->sent) ? &r->queued : &r->sent, struct item, link);
		list_remove(&item->link);
		list_append(&all, &item->link);
	}
	r->config.lost(r->config.data);
	while (!list_empty(&all)) {
		struct item *item = list_first(&all, struct item, link);
		uint64_t tag = item->tag;
		item_free(r, item);
		if (tag) {
			r->config.done(r->config.data, tag, -EIO);
		}
	}
}

void render_stop(struct render *r) {
	end_process(r);
	while (!list_empty(&r->sent)) {
		item_free(r, list_first(&r->sent, struct item, link));
	}
	while (!list_empty(&r->queued)) {
		item_free(r, list_first(&r->queued, struct item, link));
	}
}

static int handle_watchdog(sd_event_source *source, uint64_t usec, void *data) {
	struct render *r = data;
	(void)source;
	(void)usec;
	if (list_empty(&r->sent)) {
		return 0;
	}
	uint64_t patience = r->ready ? r->config.patience_ns : START_LIMIT_NS;
	if (now_ns() - r->progress_ns < patience) {
		arm_watchdog(r);
		return 0;
	}
	const struct item *oldest = list_first(&r->sent, struct item, link);
	log_err("context %u made no progress for %.1f s (%s%s): the renderer is killed, all 3D "
		"contexts are lost",
		oldest->m.context, (double)patience / (double)NSEC_PER_SEC,
		render_type_name(oldest->m.type),
		oldest->m.flags & RENDER_FLAG_FENCE ? ", fenced" : "");
	fail(r);
	return 0;
}

/* The ring: commands are done nearly in order, so it is one. */

static bool ring_place(struct render *r, size_t size, uint64_t *ret) {
	uint64_t tail = r->ring_head;
	struct item *item;
	list_for_each(item, &r->sent, link) {
		if (item->m.payload_size > 0) {
			tail = item->ring_start;
			break;
		}
	}
	uint64_t start = ALIGN_UP(r->ring_head, UINT64_C(8));
	if (start % RENDER_RING_SIZE + size > RENDER_RING_SIZE) {
		start = ALIGN_UP(start, (uint64_t)RENDER_RING_SIZE);
	}
	if (start + size - tail > RENDER_RING_SIZE) {
		return false;
	}
	*ret = start;
	return true;
}

static void copy_payload(struct render *r, struct item *item) {
	uint8_t *at = r->ring + item->m.payload_offset;
	size_t left = item->m.payload_size;
	for (unsigned i = 0; i < item->extra.n_iov && left > 0; i++) {
		size_t part = MIN(left, item->extra.iov[i].iov_len);
		memcpy(at, item->extra.iov[i].iov_base, part);
		at += part;
		left -= part;
	}
}

/* 1: sent; 0: not now; -errno. */
static int send_item(struct render *r, struct item *item) {
	uint64_t start = 0;
	if (item->m.payload_size > 0) {
		if (!ring_place(r, item->m.payload_size, &start)) {
			return 0;
		}
		item->m.payload_offset = (uint32_t)(start % RENDER_RING_SIZE);
		copy_payload(r, item);
	}
	item->m.sequence = r->last_sequence + 1;
	int result = render_send(r->socket, &item->m, item->extra.fds, item->extra.n_fds);
	if (result == -EAGAIN) {
		r->wants_write = true;
		return 0;
	}
	if (result < 0) {
		return result;
	}
	r->last_sequence++;
	if (item->m.payload_size > 0) {
		item->ring_start = start;
		r->ring_head = start + item->m.payload_size;
	}
	if (list_empty(&r->sent)) {
		r->progress_ns = now_ns();
	}
	list_remove(&item->link);
	list_append(&r->sent, &item->link);
	extra_finish(&item->extra);
	return 1;
}

/* A socket that broke is seen by the loop, which ends the renderer: not from within a command. */
static void pump(struct render *r) {
	bool was_empty = list_empty(&r->sent);
	int result = 1;
	r->wants_write = false;
	while (result > 0 && !list_empty(&r->queued)) {
		result = send_item(r, list_first(&r->queued, struct item, link));
	}
	(void)sd_event_source_set_io_events(
		r->source, EPOLLIN | (r->wants_write ? (uint32_t)EPOLLOUT : 0));
	if (was_empty && !list_empty(&r->sent)) {
		arm_watchdog(r);
	}
}

/* Replies. */

static int take_hello(struct render *r, const struct render_message *m, int fd) {
	struct stat st;
	size_t total = 0;
	r->ready = true;
	r->progress_ns = now_ns();
	arm_watchdog(r);
	if (r->hello.n_capsets > 0) {
		return 0; /* a later one has the same driver, and guests know the first one's */
	}
	for (uint32_t i = 0; i < m->u.hello.n_capsets; i++) {
		total += m->u.hello.capsets[i].size;
	}
	if (fstat(fd, &st) < 0 || st.st_size < (off_t)total) {
		return -EBADMSG;
	}
	off_t at = 0;
	for (uint32_t i = 0; i < m->u.hello.n_capsets; i++) {
		size_t size = m->u.hello.capsets[i].size;
		r->capsets[i] = malloc(MAX(size, (size_t)1));
		if (!r->capsets[i] || pread(fd, r->capsets[i], size, at) != (ssize_t)size) {
			return -ENOMEM;
		}
		at += (off_t)size;
	}
	r->hello = m->u.hello;
	return 0;
}

static int take_done(struct render *r, const struct render_message *m) {
	struct item *item, *found = NULL;
	list_for_each(item, &r->sent, link) {
		if (item->m.sequence == m->sequence) {
			found = item;
			break;
		}
	}
	if (!found) {
		return -EBADMSG;
	}
	if (&found->link == r->sent.next) {
		r->progress_ns = now_ns();
	}
	uint64_t tag = found->tag;
	bool refused = found->m.type == RENDER_SUBMIT && m->u.done.error != 0;
	uint32_t context = found->m.context;
	item_free(r, found);
	if (refused) {
		r->config.refused(r->config.data, context);
	}
	if (tag) {
		r->config.done(r->config.data, tag, m->u.done.error);
	}
	return 0;
}

/* One message. 1: handled; 0: there is none; -errno: the renderer is of no use any more. */
static int receive(struct render *r) {
	struct render_message m;
	int fds[RENDER_MAX_FDS];
	unsigned n_fds = 0;
	int n = render_receive(r->socket, &m, fds, &n_fds);
	if (n == -EAGAIN) {
		return 0;
	}
	int result = n > 0 ? render_reply_check(&m, (size_t)n, n_fds) : n < 0 ? n : -ECONNRESET;
	if (result >= 0) {
		result = m.type == RENDER_HELLO ? take_hello(r, &m, fds[0]) : take_done(r, &m);
	}
	for (unsigned i = 0; n > 0 && i < n_fds; i++) {
		(void)close_fd(fds[i]);
	}
	return result < 0 ? result : 1;
}

static int handle_socket(sd_event_source *source, int fd, uint32_t revents, void *data) {
	struct render *r = data;
	uint32_t generation = r->generation;
	int result = 1;
	(void)source;
	(void)fd;
	(void)revents;
	/* What `done` starts may come back to us, or stop it: so many, then the others' turn. */
	for (unsigned i = 0; i < 64 && result > 0 && r->generation == generation; i++) {
		result = receive(r);
	}
	if (r->generation != generation) {
		return 0;
	}
	if (result < 0) {
		log_err_errno(result, "the renderer is gone, and all 3D contexts with it");
		fail(r);
		return 0;
	}
	pump(r);
	arm_watchdog(r);
	return 0;
}

/* Starting. */

int render_start(struct render *r) {
	int pair[2];
	uint64_t now = now_ns();
	if (r->pid != 0) {
		return 0;
	}
	if (r->started_ns != 0 && now - r->started_ns < RESTART_INTERVAL_NS) {
		return -EAGAIN;
	}
	r->started_ns = now;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		return -errno;
	}
	/* Above the numbers that the child has them as. */
	CLEANUP_CLOSE int theirs = fcntl(pair[1], F_DUPFD_CLOEXEC, 10);
	(void)close_fd(pair[1]);
	r->socket = pair[0];
	(void)fcntl(r->socket, F_SETFL, O_NONBLOCK);
	int result = theirs < 0
		? -errno
		: spawn_renderer(r->program, r->config.render_node, theirs, r->ring_fd, &r->pid);
	if (result >= 0) {
		result = watch_child(r, r->pid);
	}
	if (result >= 0) {
		result = sd_event_add_io(r->loop, &r->source, r->socket, EPOLLIN, handle_socket, r);
	}
	if (result < 0) {
		log_err_errno(result, "cannot start %s", r->program);
		end_process(r);
		r->socket = close_fd(r->socket);
		return result;
	}
	r->generation = ++r->last_generation;
	r->ring_head = 0;
	r->progress_ns = now;
	return 0;
}

static int make_ring(struct render *r) {
	CLEANUP_CLOSE int fd = memfd_create("helix-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || ftruncate(fd, RENDER_RING_SIZE) < 0) {
		return -errno;
	}
	void *p = mmap(NULL, RENDER_RING_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED) {
		return -errno;
	}
	r->ring = p;
	/* The renderer may read it and nothing else. */
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE) < 0) {
		return -errno;
	}
	r->ring_fd = fcntl(fd, F_DUPFD_CLOEXEC, 10);
	return r->ring_fd < 0 ? -errno : 0;
}

/* The first one: whether there is 3D at all is to be known before a guest asks. */
static int wait_hello(struct render *r) {
	uint64_t until = now_ns() + START_LIMIT_NS;
	while (r->hello.n_capsets == 0) {
		uint64_t now = now_ns();
		struct pollfd fd = {r->socket, POLLIN, 0};
		if (now >= until || poll(&fd, 1, (int)((until - now) / NSEC_PER_MSEC)) == 0) {
			return -ETIMEDOUT;
		}
		int result = receive(r);
		if (result < 0) {
			return result == -ECONNRESET ? -ENOTSUP : result;
		}
	}
	return 0;
}

int render_create(sd_event *loop, const struct render_config *config, struct render **ret) {
	struct render *r = calloc(1, sizeof(*r));
	if (!r) {
		return -ENOMEM;
	}
	r->config = *config;
	r->loop = sd_event_ref(loop);
	r->socket = r->ring_fd = -1;
	list_init(&r->queued);
	list_init(&r->sent);
	list_init(&r->children);
	int result = spawn_find_program(config->program, r->program, sizeof(r->program));
	if (result >= 0) {
		result = make_ring(r);
	}
	if (result >= 0) {
		result = sd_event_add_time(
			loop, &r->watchdog, CLOCK_MONOTONIC, 0, 0, handle_watchdog, r);
	}
	if (result >= 0) {
		(void)sd_event_source_set_enabled(r->watchdog, SD_EVENT_OFF);
		result = render_start(r);
	}
	if (result >= 0) {
		result = wait_hello(r);
	}
	if (result < 0) {
		render_destroy(r);
		return result;
	}
	*ret = r;
	return 0;
}

void render_destroy(struct render *r) {
	if (!r) {
		return;
	}
	render_stop(r);
	while (!list_empty(&r->children)) {
		struct child *child = list_first(&r->children, struct child, link);
		/* They were killed; one that a driver holds on to is init's. */
		(void)poll(&(struct pollfd){child->fd, POLLIN, 0}, 1, CHILD_WAIT_MS);
		(void)waitpid(child->pid, NULL, WNOHANG);
		child_free(child);
	}
	sd_event_source_disable_unref(r->watchdog);
	for (unsigned i = 0; i < RENDER_MAX_CAPSETS; i++) {
		free(r->capsets[i]);
	}
	if (r->ring) {
		(void)munmap(r->ring, RENDER_RING_SIZE);
	}
	(void)close_fd(r->ring_fd);
	sd_event_unref(r->loop);
	free(r);
}

unsigned render_n_capsets(const struct render *r) {
	return r->hello.n_capsets;
}

const struct render_capset *render_capset(const struct render *r, unsigned i, const void **ret) {
	*ret = r->capsets[i];
	return &r->hello.capsets[i];
}

uint32_t render_features(const struct render *r) {
	return r->hello.features;
}

uint32_t render_generation(const struct render *r) {
	return r->generation;
}

unsigned render_backlog(const struct render *r) {
	return r->n_items;
}

bool render_busy(const struct render *r) {
	return r->n_fences > 0;
}

int render_command(struct render *r, const struct render_message *m, struct render_extra *extra,
	uint64_t tag) {
	struct render_extra none = {0};
	extra = extra ? extra : &none;
	struct item *item = r->pid ? calloc(1, sizeof(*item)) : NULL;
	if (!item) {
		extra_finish(extra);
		return r->pid ? -ENOMEM : -EIO;
	}
	size_t size = 0;
	for (unsigned i = 0; i < extra->n_iov; i++) {
		size += extra->iov[i].iov_len;
	}
	item->m = *m;
	item->m.payload_offset = 0;
	item->m.payload_size = (uint32_t)MIN(size, (size_t)UINT32_MAX);
	item->extra = *extra;
	*extra = none;
	item->tag = tag;
	list_append(&r->queued, &item->link);
	r->n_items++;
	r->n_fences += m->flags & RENDER_FLAG_FENCE ? 1 : 0;
	/* The renderer ends at the first thing that it must not be sent. */
	int result = render_request_check(&item->m, sizeof(item->m), item->extra.n_fds);
	if (result < 0) {
		item_free(r, item);
		return -EINVAL;
	}
	pump(r);
	return 0;
}
