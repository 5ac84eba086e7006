/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "device.h"
#include "log-rate.h"
#include "util.h"
#include "vhost.h"

LOG_MODULE("device");

/* Lines a second about what guest and front ends do. */
#define PEER_LOG_LINES 10

/*
 * Tokens that wait for the device thread. Each flip has one and at most two a scanout are under
 * way, so more than this are not outstanding; if they were, the answer limit still holds.
 */
#define TOKENS_MAX 256u

/* How long an encoder thread waits for the device thread at most: a bound, not an expectation. */
#define SETTLE_LIMIT_NS (20 * NSEC_PER_MSEC)

struct device {
	struct device_config config;
	sd_event *loop;
	struct gpu gpu;
	struct vhost *vhost; // NULL: no front end
	int listen_fd;
	char *listen_path; // to be unlinked; may be NULL
	sd_event_source *listen_source;
	sd_event_source *closed_source; /* drops the session outside its own callbacks */
	sd_event_source *mail_source;
	sd_event_source *timer;
	bool reports_disconnect;
	struct log_rate log_rate; /* of the device thread; see may_log */
	unsigned more;            /* bit n: queue n is to be looked at again */

	pthread_mutex_t lock;
	pthread_cond_t settled_cond;
	/* Under the lock. */
	struct gpu_output outputs[SCANOUTS_MAX];
	bool edid_due[SCANOUTS_MAX], info_due; /* set, but the guest was not given it yet */
	uint32_t generation;
	uint64_t tokens[TOKENS_MAX];
	unsigned n_tokens;
	uint64_t settle_wanted, settle_done;
	uint32_t refresh; /* bit n: device_refresh of scanout n */
	uint32_t blank;   /* bit n: scanout n was unplugged */

	int mail_fd;
};

static bool may_log(struct device *d) {
	return log_rate_allows(&d->log_rate, PEER_LOG_LINES, log_module);
}

static void wake(void *data) {
	struct device *d = data;
	(void)!write(d->mail_fd, &(uint64_t){1}, sizeof(uint64_t));
}

/* The gpu's view of us. */

static void get_outputs(void *data, struct gpu_output *ret, unsigned n) {
	struct device *d = data;
	pthread_mutex_lock(&d->lock);
	memcpy(ret, d->outputs, n * sizeof(*ret));
	pthread_mutex_unlock(&d->lock);
}

static void outputs_told(void *data, int scanout) {
	struct device *d = data;
	pthread_mutex_lock(&d->lock);
	if (scanout < 0) {
		d->info_due = false;
	} else {
		d->edid_due[scanout] = false;
	}
	pthread_mutex_unlock(&d->lock);
}

static void scanout_changed(void *data, uint32_t scanout) {
	struct device *d = data;
	d->config.ops.scanout_changed(d->config.ops.data, scanout);
}

static void cursor_defined(
	void *data, uint32_t scanout, struct cursor_image *image, uint32_t x, uint32_t y) {
	struct device *d = data;
	d->config.ops.cursor_defined(d->config.ops.data, scanout, image, x, y);
}

static void cursor_moved(void *data, uint32_t scanout, uint32_t x, uint32_t y) {
	struct device *d = data;
	d->config.ops.cursor_moved(d->config.ops.data, scanout, x, y);
}

/* Held answers have a deadline; the timer is set for the oldest. */
static void arm_timer(struct device *d) {
	uint64_t next = gpu_expire(&d->gpu, now_ns());
	if (next == UINT64_MAX) {
		(void)sd_event_source_set_enabled(d->timer, SD_EVENT_OFF);
		return;
	}
	(void)sd_event_source_set_time(d->timer, next / NSEC_PER_USEC + 1);
	(void)sd_event_source_set_enabled(d->timer, SD_EVENT_ONESHOT);
}

static int handle_timer(sd_event_source *source, uint64_t usec, void *data) {
	(void)source;
	(void)usec;
	arm_timer(data);
	return 0;
}

static void process(struct device *d, unsigned queue) {
	struct virtqueue *vq = &d->gpu.queues[queue];
	bool was_broken = vq->broken;
	int r = gpu_process_queue(&d->gpu, queue);
	if (r < 0) {
		if (!was_broken && may_log(d)) {
			log_err("the guest's driver broke ring %u; it is not read again until a reset",
				queue);
		}
	} else if (r > 0) {
		d->more |= 1u << queue;
		wake(d);
	}
	if (!list_empty(&d->gpu.requests)) {
		arm_timer(d);
	}
}

static void handle_kicked(void *data, unsigned queue) {
	process(data, queue);
}

static int handle_mail(sd_event_source *source, int fd, uint32_t revents, void *data) {
	struct device *d = data;
	uint64_t value, tokens[TOKENS_MAX];
	(void)source;
	(void)revents;
	(void)!read(fd, &value, sizeof(value));

	/* Flips that the guest sent before somebody asked to settle are told before it is done. */
	pthread_mutex_lock(&d->lock);
	uint64_t wanted = d->settle_wanted;
	bool settle = wanted != d->settle_done;
	unsigned n = d->n_tokens;
	memcpy(tokens, d->tokens, n * sizeof(tokens[0]));
	d->n_tokens = 0;
	uint32_t refresh = d->refresh, blank = d->blank;
	d->refresh = d->blank = 0;
	pthread_mutex_unlock(&d->lock);

	for (uint32_t i = 0; i < d->config.n_scanouts; i++) {
		if (blank & 1u << i) {
			gpu_blank(&d->gpu, i);
		}
	}

	unsigned more = d->more;
	d->more = 0;
	for (unsigned i = 0; i < GPU_N_QUEUES; i++) {
		if (more & 1u << i || (settle && i == GPU_QUEUE_CONTROL)) {
			process(d, i);
		}
	}
	if (settle) {
		pthread_mutex_lock(&d->lock);
		d->settle_done = wanted;
		pthread_cond_broadcast(&d->settled_cond);
		pthread_mutex_unlock(&d->lock);
	}
	for (unsigned i = 0; i < n; i++) {
		gpu_complete(&d->gpu, tokens[i]);
	}
	gpu_reap(&d->gpu);
	if (!list_empty(&d->gpu.requests) || d->gpu.blocking) {
		arm_timer(d);
	}
	for (uint32_t i = 0; d->gpu.gl && i < d->config.n_scanouts; i++) {
		if (refresh & 1u << i) {
			gl_refresh(d->gpu.gl, i);
		}
	}
	return 0;
}

/* Guest and front end come and go. */

static void handle_reset(void *data) {
	struct device *d = data;
	/*
	 * QEMU resets the device at power-on and when a driver starts, too: only what a guest has
	 * used is a new boot of it.
	 */
	if (!d->gpu.used) {
		return;
	}
	gpu_flush_requests(&d->gpu);
	gpu_reset(&d->gpu);
	pthread_mutex_lock(&d->lock);
	d->generation++;
	for (unsigned i = d->config.first.enabled ? 1 : 0; i < d->config.n_scanouts; i++) {
		d->outputs[i].enabled = false;
		d->edid_due[i] = false;
	}
	pthread_mutex_unlock(&d->lock);
	if (may_log(d)) {
		log_info("guest reset");
	}
	d->config.ops.guest_reset(d->config.ops.data);
}

/* Not from within the session's own callback, which still has it on the stack. */
static int handle_closed_deferred(sd_event_source *source, void *data) {
	struct device *d = data;
	(void)source;
	vhost_destroy(d->vhost);
	d->vhost = NULL;
	handle_reset(d);
	if (d->reports_disconnect) {
		d->config.ops.disconnected(d->config.ops.data);
	}
	return 0;
}

static void handle_closed(void *data) {
	struct device *d = data;
	(void)sd_event_source_set_enabled(d->closed_source, SD_EVENT_ONESHOT);
}

static int connect_front_end(struct device *d, int fd) {
	static const struct vhost_ops ops = {
		.kicked = handle_kicked,
		.reset = handle_reset,
		.closed = handle_closed,
	};
	struct vhost_ops mine = ops;
	mine.data = d;
	return vhost_create(d->loop, fd, &d->gpu, &mine, &d->vhost);
}

static int handle_listen(sd_event_source *source, int listen_fd, uint32_t revents, void *data) {
	struct device *d = data;
	(void)source;
	(void)revents;
	int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0) {
		return 0;
	}
	if (d->vhost) {
		if (may_log(d)) {
			log_warn("a second front end was turned away: one is connected");
		}
		(void)close_fd(fd);
		return 0;
	}
	int r = connect_front_end(d, fd);
	if (r < 0) {
		log_err_errno(r, "front end");
	} else {
		log_info("front end connected");
	}
	return 0;
}

static int listen_on(struct device *d, int fd) {
	d->listen_fd = fd;
	int r = sd_event_add_io(d->loop, &d->listen_source, fd, EPOLLIN, handle_listen, d);
	if (r < 0) {
		return r;
	}
	/* The end of a front end is seen before the connection of the next, however close. */
	return sd_event_source_set_priority(d->listen_source, SD_EVENT_PRIORITY_IDLE);
}

/* A socket that nobody listens on any more is a leftover; anything else is not ours to remove. */
static int remove_stale(const struct sockaddr_un *addr) {
	struct stat st;
	if (lstat(addr->sun_path, &st) < 0) {
		return errno == ENOENT ? 0 : -errno;
	}
	if (!S_ISSOCK(st.st_mode)) {
		return -EEXIST;
	}
	CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		return -errno;
	}
	if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0 ||
		errno != ECONNREFUSED) {
		return -EADDRINUSE;
	}
	return unlink(addr->sun_path) < 0 ? -errno : 0;
}

/* What is bound can be connected to only once it listens, so it gets its name when it does. */
#define NOT_YET ".new"

int device_listen(struct device *d, const char *path) {
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	size_t length = strlen(path);
	if (length + sizeof(NOT_YET) > sizeof(addr.sun_path)) {
		return -ENAMETOOLONG;
	}
	memcpy(addr.sun_path, path, length + 1);
	int r = remove_stale(&addr);
	if (r < 0) {
		return r;
	}
	CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		return -errno;
	}
	memcpy(addr.sun_path + length, NOT_YET, sizeof(NOT_YET));
	(void)unlink(addr.sun_path);
	/* Who can connect can read and write all that the guest shows: the owner alone. */
	mode_t mask = umask(0177);
	r = bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ? -errno : 0;
	(void)umask(mask);
	if (r < 0) {
		return r;
	}
	d->listen_path = strdup(path);
	r = !d->listen_path                       ? -ENOMEM
		: listen(fd, 1) < 0               ? -errno
		: rename(addr.sun_path, path) < 0 ? -errno
						  : 0;
	if (r < 0) {
		(void)unlink(addr.sun_path);
		return r;
	}
	return listen_on(d, take_fd(&fd));
}

int device_adopt(struct device *d, int fd) {
	int listening = 0;
	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &(socklen_t){sizeof(listening)}) <
		0) {
		int r = -errno;
		(void)close_fd(fd);
		return r;
	}
	if (listening) {
		return listen_on(d, fd);
	}
	d->reports_disconnect = true;
	return connect_front_end(d, fd);
}

/* From any thread. */

void device_set_output(struct device *d, uint32_t id, const struct gpu_output *output) {
	pthread_mutex_lock(&d->lock);
	d->outputs[id] = *output;
	d->edid_due[id] = output->enabled;
	d->info_due = true;
	d->blank |= output->enabled ? 0 : 1u << id;
	pthread_mutex_unlock(&d->lock);
	wake(d);
}

bool device_outputs_known(struct device *d) {
	pthread_mutex_lock(&d->lock);
	bool known = !d->info_due;
	for (unsigned i = 0; i < d->config.n_scanouts; i++) {
		known = known && !d->edid_due[i];
	}
	pthread_mutex_unlock(&d->lock);
	return known;
}

void device_get_output(struct device *d, uint32_t id, struct gpu_output *ret) {
	pthread_mutex_lock(&d->lock);
	*ret = d->outputs[id];
	pthread_mutex_unlock(&d->lock);
}

uint32_t device_generation(struct device *d) {
	pthread_mutex_lock(&d->lock);
	uint32_t generation = d->generation;
	pthread_mutex_unlock(&d->lock);
	return generation;
}

bool device_scanout_lost(struct device *d, uint32_t scanout) {
	return atomic_load(&d->gpu.lost) & 1u << scanout;
}

void device_done(void *data, uint64_t token) {
	struct device *d = data;
	pthread_mutex_lock(&d->lock);
	if (d->n_tokens < TOKENS_MAX) {
		d->tokens[d->n_tokens++] = token;
	}
	pthread_mutex_unlock(&d->lock);
	wake(d);
}

void device_refresh(struct device *d, uint32_t scanout) {
	pthread_mutex_lock(&d->lock);
	d->refresh |= 1u << scanout;
	pthread_mutex_unlock(&d->lock);
	wake(d);
}

bool device_settle(void *data) {
	struct device *d = data;
	uint64_t until = now_ns() + SETTLE_LIMIT_NS;
	struct timespec ts = {
		.tv_sec = (time_t)(until / NSEC_PER_SEC),
		.tv_nsec = (long)(until % NSEC_PER_SEC),
	};
	pthread_mutex_lock(&d->lock);
	uint64_t ticket = ++d->settle_wanted;
	wake(d);
	int r = 0;
	while (d->settle_done < ticket && r == 0) {
		r = pthread_cond_timedwait(&d->settled_cond, &d->lock, &ts);
	}
	bool settled = d->settle_done >= ticket;
	pthread_mutex_unlock(&d->lock);
	return settled;
}

int device_create(sd_event *loop, const struct device_config *config, struct device **ret) {
	struct device *d = calloc(1, sizeof(*d));
	if (!d) {
		return -ENOMEM;
	}
	struct gpu_config gpu = {
		.n_scanouts = config->n_scanouts,
		.memory_budget = config->memory_budget,
		.captures = config->captures,
		.ops = {get_outputs, outputs_told, scanout_changed, cursor_defined, cursor_moved,
			wake, d},
	};
	int r = gpu_init(&d->gpu, &gpu);
	if (r < 0) {
		free(d);
		return r;
	}
	d->config = *config;
	d->loop = sd_event_ref(loop);
	d->listen_fd = -1;
	d->generation = 1;
	d->outputs[0] = config->first;
	pthread_mutex_init(&d->lock, NULL);
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&d->settled_cond, &attr);
	pthread_condattr_destroy(&attr);
	d->mail_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = d->mail_fd >= 0 ? 0 : -errno;
	if (r >= 0) {
		r = sd_event_add_io(loop, &d->mail_source, d->mail_fd, EPOLLIN, handle_mail, d);
	}
	if (r >= 0) {
		r = sd_event_add_time(loop, &d->timer, CLOCK_MONOTONIC, 0, 1000, handle_timer, d);
	}
	if (r >= 0) {
		r = sd_event_add_defer(loop, &d->closed_source, handle_closed_deferred, d);
	}
	if (r >= 0 && config->gl) {
		r = gl_create(loop, config->gl, &d->gpu, &d->gpu.gl);
	}
	if (r < 0) {
		device_destroy(d);
		return r;
	}
	(void)sd_event_source_set_enabled(d->timer, SD_EVENT_OFF);
	(void)sd_event_source_set_enabled(d->closed_source, SD_EVENT_OFF);
	/* Before anything new is read from the session that is to go. */
	(void)sd_event_source_set_priority(d->closed_source, SD_EVENT_PRIORITY_IMPORTANT);
	*ret = d;
	return 0;
}

void device_destroy(struct device *d) {
	if (!d) {
		return;
	}
	vhost_destroy(d->vhost);
	gpu_flush_requests(&d->gpu);
	gl_destroy(d->gpu.gl);
	d->gpu.gl = NULL;
	gpu_finish(&d->gpu);
	sd_event_source_disable_unref(d->listen_source);
	sd_event_source_disable_unref(d->closed_source);
	sd_event_source_disable_unref(d->mail_source);
	sd_event_source_disable_unref(d->timer);
	if (d->listen_path) {
		(void)unlink(d->listen_path);
		free(d->listen_path);
	}
	(void)close_fd(d->listen_fd);
	(void)close_fd(d->mail_fd);
	pthread_cond_destroy(&d->settled_cond);
	pthread_mutex_destroy(&d->lock);
	sd_event_unref(d->loop);
	free(d);
}
