/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "list.h"
#include "log.h"
#include "reaper.h"
#include "render.h"
#include "spawn-renderer.h"
#include "util.h"

LOG_MODULE("render");

/* A renderer's start, GL driver and all; only the first is waited for. */
#define START_LIMIT_NS (20 * NSEC_PER_SEC)
/* The patience with one that others are hurt by. */
#define HURRY_NS NSEC_PER_SEC
/* How far behind one may be: commands, and their payloads that the ring has no room for. */
#define ITEMS_MAX        16384u
#define QUEUED_BYTES_MAX ((size_t)16 << 20)

/* A command that is not done. */
struct item {
	struct render_message m;
	struct render_extra extra;
	uint64_t tag;
	uint64_t ring_start; /* in bytes since the ring began; its place until done */
	struct render *render;
	struct item *after;    // not sent before that one is done; NULL: no such
	struct list followers; // struct item.follow: not sent before this one is done
	struct list follow;
	struct list link; // render.queued or render.sent, oldest first
};

struct render {
	struct render_config config;
	sd_event *loop;
	pid_t pid; /* 0: it is gone */
	int socket;
	sd_event_source *source, *watchdog;
	bool wants_write, ready, hurried;
	uint64_t progress_ns; /* when the oldest command sent became that */
	uint64_t begun_ns;    /* when there was something to do again */
	uint64_t last_sequence;
	struct list queued, sent; // struct item.link
	unsigned n_items;         /* of both */
	size_t queued_bytes;      /* of payload, on the heap */

	int ring_fd;
	uint8_t *ring;
	uint64_t ring_head; /* bytes ever written, gaps included */

	struct render_capsets *capsets; // that the hello's are wanted in; NULL: nobody asks
};

static void pump(struct render *r);

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

static void item_free(struct item *item) {
	item->render->n_items--;
	list_remove(&item->link);
	list_remove(&item->follow);
	while (!list_empty(&item->followers)) {
		struct item *follower = list_first(&item->followers, struct item, follow);
		follower->after = NULL;
		list_remove(&follower->follow);
		pump(follower->render);
	}
	extra_finish(&item->extra);
	free(item);
}

/* The process. */

static uint64_t patience(const struct render *r) {
	if (!r->ready) {
		return START_LIMIT_NS;
	}
	return r->hurried ? MIN(HURRY_NS, r->config.patience_ns) : r->config.patience_ns;
}

static void arm_watchdog(struct render *r) {
	if (list_empty(&r->sent) || r->pid == 0) {
		(void)sd_event_source_set_enabled(r->watchdog, SD_EVENT_OFF);
		return;
	}
	uint64_t at = r->progress_ns + patience(r);
	(void)sd_event_source_set_time(r->watchdog, at / NSEC_PER_USEC + 1);
	(void)sd_event_source_set_enabled(r->watchdog, SD_EVENT_ONESHOT);
}

static void end_process(struct render *r) {
	if (r->pid == 0) {
		return;
	}
	r->source = sd_event_source_disable_unref(r->source);
	r->socket = close_fd(r->socket);
	(void)kill(r->pid, SIGKILL);
	r->pid = 0;
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
		item_free(item);
		if (tag) {
			r->config.done(r->config.data, tag, -EIO);
		}
	}
}

static int handle_watchdog(sd_event_source *source, uint64_t usec, void *data) {
	struct render *r = data;
	(void)source;
	(void)usec;
	if (list_empty(&r->sent)) {
		return 0;
	}
	if (now_ns() - r->progress_ns < patience(r)) {
		arm_watchdog(r);
		return 0;
	}
	const struct item *oldest = list_first(&r->sent, struct item, link);
	log_err("context %u made no progress for %.1f s (%s%s): its renderer is killed, all in it "
		"is lost",
		oldest->m.context, (double)patience(r) / (double)NSEC_PER_SEC,
		render_type_name(oldest->m.type),
		oldest->m.flags & RENDER_FLAG_FENCE ? ", fenced" : "");
	fail(r);
	return 0;
}

/* The ring: commands are done nearly in order, so it is one. */

static bool ring_place(struct render *r, size_t size, uint64_t *ret) {
	uint64_t tail = UINT64_MAX;
	struct item *item;
	list_for_each(item, &r->sent, link) {
		if (item->m.payload_size > 0) {
			tail = item->ring_start;
			break;
		}
	}
	uint64_t start = ALIGN_UP(r->ring_head, UINT64_C(8));
	if (tail == UINT64_MAX) {
		/* Empty: from the beginning, for memory that was never written is not there. */
		tail = start = ALIGN_UP(start, (uint64_t)RENDER_RING_SIZE);
	}
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
	r->queued_bytes -= item->m.payload_size;
	extra_finish(&item->extra);
	return 1;
}

/* A socket that broke is seen by the loop, which ends the renderer: not from within a command. */
static void pump(struct render *r) {
	bool was_empty = list_empty(&r->sent);
	int result = 1;
	if (r->pid == 0) {
		return;
	}
	r->wants_write = false;
	while (result > 0 && !list_empty(&r->queued)) {
		struct item *item = list_first(&r->queued, struct item, link);
		result = item->after ? 0 : send_item(r, item);
	}
	(void)sd_event_source_set_io_events(
		r->source, EPOLLIN | (r->wants_write ? (uint32_t)EPOLLOUT : 0));
	if (was_empty && !list_empty(&r->sent)) {
		arm_watchdog(r);
	}
}

/* Replies. */

static int take_hello(struct render *r, const struct render_message *m, int fd) {
	struct render_capsets *to = r->capsets;
	struct stat st;
	size_t total = 0;
	r->ready = true;
	r->progress_ns = now_ns();
	arm_watchdog(r);
	if (!to) {
		return 0; /* all have the same driver, and guests know the first one's */
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
		to->data[i] = malloc(MAX(size, (size_t)1));
		if (!to->data[i] || pread(fd, to->data[i], size, at) != (ssize_t)size) {
			return -ENOMEM;
		}
		at += (off_t)size;
	}
	to->hello = m->u.hello;
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
	item_free(found);
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
	int result = 1;
	(void)source;
	(void)fd;
	(void)revents;
	/* What `done` starts may come back to us: so many, then the others' turn. */
	for (unsigned i = 0; i < 64 && result > 0 && r->pid != 0; i++) {
		result = receive(r);
	}
	if (r->pid == 0) {
		return 0;
	}
	if (result < 0) {
		log_err_errno(result, "a renderer is gone, and all in it");
		fail(r);
		return 0;
	}
	pump(r);
	arm_watchdog(r);
	return 0;
}

/* Starting. */

static int start(struct render *r) {
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		return -errno;
	}
	/* Above the numbers that the child has them as. */
	CLEANUP_CLOSE int theirs = fcntl(pair[1], F_DUPFD_CLOEXEC, 10);
	(void)close_fd(pair[1]);
	r->socket = pair[0];
	(void)fcntl(r->socket, F_SETFL, O_NONBLOCK);
	int result = theirs < 0 ? -errno
				: spawn_renderer(r->config.program, r->config.render_node, theirs,
					  r->ring_fd, &r->pid);
	if (result >= 0) {
		result = reaper_watch(r->config.reaper, r->pid);
	}
	if (result >= 0) {
		result = sd_event_add_io(r->loop, &r->source, r->socket, EPOLLIN, handle_socket, r);
	}
	if (result < 0) {
		log_err_errno(result, "cannot start %s", r->config.program);
	}
	r->progress_ns = now_ns();
	return result;
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
	int result = make_ring(r);
	if (result >= 0) {
		result = sd_event_add_time(
			loop, &r->watchdog, CLOCK_MONOTONIC, 0, 0, handle_watchdog, r);
	}
	if (result >= 0) {
		(void)sd_event_source_set_enabled(r->watchdog, SD_EVENT_OFF);
		result = start(r);
	}
	if (result < 0) {
		render_destroy(r);
		return result;
	}
	*ret = r;
	return 0;
}

int render_wait(struct render *r, struct render_capsets *ret) {
	uint64_t until = now_ns() + START_LIMIT_NS;
	int result = 1;
	*ret = (struct render_capsets){0};
	r->capsets = ret;
	while (result > 0 && ret->hello.n_capsets == 0) {
		struct pollfd fd = {r->socket, POLLIN, 0};
		int left = ms_until(until);
		if (left == 0 || poll(&fd, 1, left) == 0) {
			result = -ETIMEDOUT;
			break;
		}
		result = receive(r) < 0 ? -ENOTSUP : 1;
	}
	r->capsets = NULL;
	return MIN(result, 0);
}

void render_capsets_finish(struct render_capsets *c) {
	for (unsigned i = 0; i < RENDER_MAX_CAPSETS; i++) {
		free(c->data[i]);
	}
	*c = (struct render_capsets){0};
}

void render_destroy(struct render *r) {
	if (!r) {
		return;
	}
	end_process(r);
	while (!list_empty(&r->sent)) {
		item_free(list_first(&r->sent, struct item, link));
	}
	while (!list_empty(&r->queued)) {
		item_free(list_first(&r->queued, struct item, link));
	}
	sd_event_source_disable_unref(r->source);
	sd_event_source_disable_unref(r->watchdog);
	if (r->ring) {
		(void)munmap(r->ring, RENDER_RING_SIZE);
	}
	(void)close_fd(r->socket);
	(void)close_fd(r->ring_fd);
	sd_event_unref(r->loop);
	free(r);
}

bool render_alive(const struct render *r) {
	return r->pid != 0;
}

unsigned render_backlog(const struct render *r) {
	return r->n_items;
}

uint64_t render_stuck_since(const struct render *r) {
	if (!list_empty(&r->sent)) {
		return r->progress_ns;
	}
	return r->n_items > 0 ? MAX(r->begun_ns, r->progress_ns) : UINT64_MAX;
}

void render_hurry(struct render *r, bool on) {
	if (r->hurried != on) {
		r->hurried = on;
		arm_watchdog(r);
	}
}

void render_give_up(struct render *r) {
	r->hurried = true;
	r->progress_ns = 0;
	arm_watchdog(r);
}

static struct item *find_tag(struct render *r, uint64_t tag) {
	struct item *item;
	list_for_each(item, &r->sent, link) {
		if (item->tag == tag) {
			return item;
		}
	}
	list_for_each(item, &r->queued, link) {
		if (item->tag == tag) {
			return item;
		}
	}
	return NULL;
}

int render_command(struct render *r, const struct render_message *m, struct render_extra *extra,
	uint64_t tag) {
	struct render_extra none = {0};
	extra = extra ? extra : &none;
	size_t size = 0;
	for (unsigned i = 0; i < extra->n_iov; i++) {
		size += extra->iov[i].iov_len;
	}
	bool room = size <= RENDER_MAX_PAYLOAD && r->queued_bytes + size <= QUEUED_BYTES_MAX &&
		r->n_items < ITEMS_MAX;
	struct item *item = r->pid && room ? calloc(1, sizeof(*item)) : NULL;
	if (!item) {
		extra_finish(extra);
		return r->pid ? -ENOMEM : -EIO;
	}
	item->m = *m;
	item->m.payload_offset = 0;
	item->m.payload_size = (uint32_t)size;
	item->extra = *extra;
	*extra = none;
	item->tag = tag;
	item->render = r;
	list_init(&item->followers);
	list_init(&item->follow);
	item->after = item->extra.after ? find_tag(item->extra.after, item->extra.after_tag) : NULL;
	if (item->after) {
		list_append(&item->after->followers, &item->follow);
	}
	list_append(&r->queued, &item->link);
	r->begun_ns = r->n_items == 0 ? now_ns() : r->begun_ns;
	r->n_items++;
	r->queued_bytes += size;
	/* The renderer ends at the first thing that it must not be sent. */
	int result = render_request_check(&item->m, sizeof(item->m), item->extra.n_fds);
	if (result < 0) {
		r->queued_bytes -= size;
		item_free(item);
		return -EINVAL;
	}
	pump(r);
	return 0;
}
