/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <linux/virtio_gpu.h>
#include <string.h>
#include <sys/socket.h>

#include "log-rate.h"
#include "util.h"
#include "vhost.h"

LOG_MODULE("vhost");

/* Lines a second about what the front end and, through it, the guest do. */
#define PEER_LOG_LINES 10

#define BIT(n) (UINT64_C(1) << (n))

/*
 * What we offer. QEMU's vhost-user-gpu passes no RESOURCE_BLOB on to the guest; other front ends
 * may.
 */
#define FEATURES                                                        \
	(BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_RING_F_INDIRECT_DESC) |   \
		BIT(VIRTIO_RING_F_EVENT_IDX) | BIT(VIRTIO_GPU_F_EDID) | \
		BIT(VIRTIO_GPU_F_RESOURCE_BLOB) | BIT(VHOST_USER_F_PROTOCOL_FEATURES))
/* 3D: QEMU passes VIRGL on, but no CONTEXT_INIT. */
#define GL_FEATURES BIT(VIRTIO_GPU_F_VIRGL)
#define PROTOCOL_FEATURES                                                       \
	(BIT(VHOST_USER_PROTOCOL_F_MQ) | BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK) | \
		BIT(VHOST_USER_PROTOCOL_F_CONFIG) | BIT(VHOST_USER_PROTOCOL_F_RESET_DEVICE))

struct vhost {
	struct gpu *gpu;
	struct vhost_ops ops;
	sd_event *loop;
	int fd;
	sd_event_source *source;
	sd_event_source *kicks[GPU_N_QUEUES];
	struct guest_memory *memory; // NULL until SET_MEM_TABLE
	uint64_t features, protocol_features;
	/*
	 * vhost-user-gpu's own channel. All that it could tell us we answer ourselves, and QEMU's
	 * window shows nothing, so it is only kept open: QEMU takes its end for a failure.
	 */
	int gpu_socket;

	/* The message being received. */
	struct vhost_user_header header;
	union {
		uint8_t bytes[VHOST_USER_PAYLOAD_MAX];
		uint64_t u64;
		struct vhost_user_memory_table table;
		struct vhost_user_vring_state state;
		struct vhost_user_vring_addr addr;
		struct vhost_user_config config;
	} payload;
	size_t received; /* of header and payload */
	int fds[VHOST_USER_FDS_MAX];
	unsigned n_fds;
	struct log_rate log_rate; /* see may_log */
};

static bool may_log(struct vhost *v) {
	return log_rate_allows(&v->log_rate, PEER_LOG_LINES, log_module);
}

static void close_fds(struct vhost *v) {
	while (v->n_fds > 0) {
		(void)close_fd(v->fds[--v->n_fds]);
	}
}

static int reply(struct vhost *v, const void *payload, size_t size) {
	uint8_t message[sizeof(struct vhost_user_header) + VHOST_USER_PAYLOAD_MAX];
	struct vhost_user_header header = {
		.request = v->header.request,
		.flags = VHOST_USER_VERSION | VHOST_USER_FLAG_REPLY,
		.size = (uint32_t)size,
	};
	memcpy(message, &header, sizeof(header));
	memcpy(message + sizeof(header), payload, size);
	/*
	 * The front end waits for this reply and sent nothing else: a socket buffer that cannot take
	 * a few hundred bytes is a front end that does not read.
	 */
	ssize_t n = send(v->fd, message, sizeof(header) + size, MSG_NOSIGNAL | MSG_DONTWAIT);
	return n == (ssize_t)(sizeof(header) + size) ? 0 : -EPIPE;
}

static int reply_u64(struct vhost *v, uint64_t value) {
	return reply(v, &value, sizeof(value));
}

/* Rings. */

static struct virtqueue *queue_at(struct vhost *v, uint32_t index) {
	return index < GPU_N_QUEUES ? &v->gpu->queues[index] : NULL;
}

static int handle_kick(sd_event_source *source, int fd, uint32_t revents, void *data) {
	struct vhost *v = data;
	uint64_t value;
	(void)revents;
	ssize_t n = read(fd, &value, sizeof(value));
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		/* Not an eventfd: it would be readable for ever. */
		if (may_log(v)) {
			log_warn("the kick fd of a ring is of no use; it is not looked at again");
		}
		return sd_event_source_set_enabled(source, SD_EVENT_OFF);
	}
	for (unsigned i = 0; i < GPU_N_QUEUES; i++) {
		if (v->kicks[i] == source) {
			v->ops.kicked(v->ops.data, i);
			break;
		}
	}
	return 0;
}

static void stop_queue(struct vhost *v, unsigned index) {
	v->kicks[index] = sd_event_source_disable_unref(v->kicks[index]);
	if (virtqueue_running(&v->gpu->queues[index])) {
		gpu_flush_requests(v->gpu);
		(void)virtqueue_stop(&v->gpu->queues[index]);
	}
}

static int start_queue(struct vhost *v, unsigned index) {
	struct virtqueue *vq = &v->gpu->queues[index];
	if (!v->memory) {
		return -EINVAL;
	}
	int r = virtqueue_start(vq, v->memory, v->features);
	if (r < 0) {
		if (may_log(v)) {
			log_warn("ring %u: size %u or addresses not valid", index, vq->size);
		}
		return r;
	}
	if (!(v->features & BIT(VHOST_USER_F_PROTOCOL_FEATURES))) {
		vq->enabled =
			true; /* "Ring states": without protocol features there is no ENABLE */
	}
	if (vq->kick_fd >= 0) {
		r = sd_event_add_io(
			v->loop, &v->kicks[index], vq->kick_fd, EPOLLIN, handle_kick, v);
		if (r < 0) {
			(void)virtqueue_stop(vq);
			return r;
		}
	}
	/* What came while we were not looking. */
	v->ops.kicked(v->ops.data, index);
	return 0;
}

/* Messages. Each returns 0, a positive value if it replied itself, -errno to refuse. */

static uint64_t offered(const struct vhost *v) {
	return FEATURES | (v->gpu->gl ? GL_FEATURES : 0);
}

static int msg_get_features(struct vhost *v) {
	return reply_u64(v, offered(v)) < 0 ? -EPIPE : 1;
}

static int msg_set_features(struct vhost *v) {
	if (v->payload.u64 & ~offered(v)) {
		log_debug("features 0x%llx that we did not offer are ignored",
			(unsigned long long)(v->payload.u64 & ~offered(v)));
	}
	v->features = v->payload.u64;
	return 0;
}

static int msg_get_protocol_features(struct vhost *v) {
	return reply_u64(v, PROTOCOL_FEATURES) < 0 ? -EPIPE : 1;
}

static int msg_set_protocol_features(struct vhost *v) {
	v->protocol_features = v->payload.u64 & PROTOCOL_FEATURES;
	return 0;
}

static int msg_get_queue_num(struct vhost *v) {
	return reply_u64(v, GPU_N_QUEUES) < 0 ? -EPIPE : 1;
}

static int msg_nothing(struct vhost *v) {
	(void)v;
	return 0;
}

static int msg_set_mem_table(struct vhost *v) {
	const struct vhost_user_memory_table *t = &v->payload.table;
	struct guest_memory *memory;
	if (t->n_regions == 0 || t->n_regions > VHOST_USER_FDS_MAX || t->n_regions != v->n_fds ||
		v->header.size < offsetof(struct vhost_user_memory_table, regions) +
				t->n_regions * sizeof(t->regions[0])) {
		return -EINVAL;
	}
	unsigned n = v->n_fds;
	v->n_fds = 0;
	int r = guest_memory_create(t->regions, v->fds, n, &memory);
	if (r < 0) {
		return r;
	}
	/* Answers that are held point into the old mapping. */
	gpu_flush_requests(v->gpu);
	guest_memory_unref(v->memory);
	v->memory = memory;
	for (unsigned i = 0; i < GPU_N_QUEUES; i++) {
		struct virtqueue *vq = &v->gpu->queues[i];
		if (virtqueue_running(vq)) {
			(void)virtqueue_stop(vq);
			if (virtqueue_start(vq, memory, v->features) < 0) {
				stop_queue(v, i);
				r = -EINVAL;
			}
		}
	}
	return r;
}

static int msg_set_vring_num(struct vhost *v) {
	struct virtqueue *vq = queue_at(v, v->payload.state.index);
	uint32_t n = v->payload.state.num;
	if (!vq || virtqueue_running(vq) || n == 0 || n > VIRTQUEUE_MAX_SIZE ||
		(n & (n - 1)) != 0) {
		return -EINVAL;
	}
	vq->size = n;
	return 0;
}

static int msg_set_vring_addr(struct vhost *v) {
	const struct vhost_user_vring_addr *a = &v->payload.addr;
	struct virtqueue *vq = queue_at(v, a->index);
	if (!vq || virtqueue_running(vq)) {
		return -EINVAL;
	}
	vq->desc_address = a->descriptor;
	vq->avail_address = a->available;
	vq->used_address = a->used;
	return 0;
}

static int msg_set_vring_base(struct vhost *v) {
	struct virtqueue *vq = queue_at(v, v->payload.state.index);
	if (!vq || virtqueue_running(vq) || v->payload.state.num > UINT16_MAX) {
		return -EINVAL;
	}
	vq->last_avail = (uint16_t)v->payload.state.num;
	return 0;
}

static int msg_get_vring_base(struct vhost *v) {
	uint32_t index = v->payload.state.index;
	struct virtqueue *vq = queue_at(v, index);
	if (!vq) {
		return -EINVAL;
	}
	stop_queue(v, index);
	vq->enabled = false;
	vq->kick_fd = close_fd(vq->kick_fd);
	struct vhost_user_vring_state state = {.index = index, .num = vq->last_avail};
	return reply(v, &state, sizeof(state)) < 0 ? -EPIPE : 1;
}

/* The fd of SET_VRING_KICK, _CALL or _ERR: -1 if the message says that there is none. */
static int take_vring_fd(struct vhost *v, int *ret) {
	bool none = v->payload.u64 & VHOST_USER_VRING_NO_FD;
	if (v->n_fds != (none ? 0u : 1u)) {
		return -EINVAL;
	}
	*ret = none ? -1 : v->fds[0];
	v->n_fds = 0;
	if (*ret >= 0) {
		/* We must not block on it, whatever it is. */
		int flags = fcntl(*ret, F_GETFL);
		(void)fcntl(*ret, F_SETFL, flags | O_NONBLOCK);
	}
	return 0;
}

static int msg_set_vring_kick(struct vhost *v) {
	uint32_t index = v->payload.u64 & VHOST_USER_VRING_INDEX_MASK;
	struct virtqueue *vq = queue_at(v, index);
	int fd;
	if (!vq || take_vring_fd(v, &fd) < 0) {
		return -EINVAL;
	}
	stop_queue(v, index);
	(void)close_fd(vq->kick_fd);
	vq->kick_fd = fd;
	return start_queue(v, index);
}

static int msg_set_vring_call(struct vhost *v) {
	struct virtqueue *vq = queue_at(v, v->payload.u64 & VHOST_USER_VRING_INDEX_MASK);
	int fd;
	if (!vq || take_vring_fd(v, &fd) < 0) {
		return -EINVAL;
	}
	(void)close_fd(vq->call_fd);
	vq->call_fd = fd;
	/* An interrupt raised on the old fd just now may have been lost with it. */
	virtqueue_notify(vq);
	return 0;
}

static int msg_set_vring_err(struct vhost *v) {
	int fd;
	if (take_vring_fd(v, &fd) < 0) {
		return -EINVAL;
	}
	(void)close_fd(fd);
	return 0;
}

static int msg_set_vring_enable(struct vhost *v) {
	struct virtqueue *vq = queue_at(v, v->payload.state.index);
	if (!vq) {
		return -EINVAL;
	}
	vq->enabled = v->payload.state.num != 0;
	if (vq->enabled && virtqueue_running(vq)) {
		v->ops.kicked(v->ops.data, v->payload.state.index);
	}
	return 0;
}

static int msg_get_config(struct vhost *v) {
	/* Virtio 1.2, 5.7.4. Events and the number of scanouts QEMU fills in itself. */
	struct virtio_gpu_config config = {
		.num_scanouts = v->gpu->config.n_scanouts,
		.num_capsets = v->gpu->gl ? gl_n_capsets(v->gpu->gl) : 0,
	};
	struct vhost_user_config *c = &v->payload.config;
	uint8_t *out = v->payload.bytes + sizeof(*c);
	if (c->size > VHOST_USER_CONFIG_MAX || v->header.size < sizeof(*c) + c->size) {
		return -EINVAL;
	}
	memset(out, 0, c->size);
	if (c->offset < sizeof(config)) {
		memcpy(out, (const uint8_t *)&config + c->offset,
			MIN((size_t)c->size, sizeof(config) - c->offset));
	}
	return reply(v, v->payload.bytes, sizeof(*c) + c->size) < 0 ? -EPIPE : 1;
}

static int msg_gpu_set_socket(struct vhost *v) {
	if (v->n_fds != 1) {
		return -EINVAL;
	}
	(void)close_fd(v->gpu_socket);
	v->gpu_socket = v->fds[0];
	v->n_fds = 0;
	return 0;
}

static int msg_reset_device(struct vhost *v) {
	v->ops.reset(v->ops.data);
	return 0;
}

/* One row per message: the least payload it has, the handler. All fds not taken are closed. */
static const struct message {
	uint32_t request;
	uint32_t size;
	int (*handle)(struct vhost *v);
} messages[] = {
	{VHOST_USER_GET_FEATURES, 0, msg_get_features},
	{VHOST_USER_SET_FEATURES, 8, msg_set_features},
	{VHOST_USER_SET_OWNER, 0, msg_nothing},
	{VHOST_USER_RESET_OWNER, 0, msg_reset_device},
	{VHOST_USER_SET_MEM_TABLE, 8, msg_set_mem_table},
	{VHOST_USER_SET_VRING_NUM, sizeof(struct vhost_user_vring_state), msg_set_vring_num},
	{VHOST_USER_SET_VRING_ADDR, sizeof(struct vhost_user_vring_addr), msg_set_vring_addr},
	{VHOST_USER_SET_VRING_BASE, sizeof(struct vhost_user_vring_state), msg_set_vring_base},
	{VHOST_USER_GET_VRING_BASE, sizeof(struct vhost_user_vring_state), msg_get_vring_base},
	{VHOST_USER_SET_VRING_KICK, 8, msg_set_vring_kick},
	{VHOST_USER_SET_VRING_CALL, 8, msg_set_vring_call},
	{VHOST_USER_SET_VRING_ERR, 8, msg_set_vring_err},
	{VHOST_USER_GET_PROTOCOL_FEATURES, 0, msg_get_protocol_features},
	{VHOST_USER_SET_PROTOCOL_FEATURES, 8, msg_set_protocol_features},
	{VHOST_USER_GET_QUEUE_NUM, 0, msg_get_queue_num},
	{VHOST_USER_SET_VRING_ENABLE, sizeof(struct vhost_user_vring_state), msg_set_vring_enable},
	{VHOST_USER_GET_CONFIG, sizeof(struct vhost_user_config), msg_get_config},
	/* The driver clears events with it; those are QEMU's. */
	{VHOST_USER_SET_CONFIG, 0, msg_nothing},
	{VHOST_USER_GPU_SET_SOCKET, 0, msg_gpu_set_socket},
	{VHOST_USER_RESET_DEVICE, 0, msg_reset_device},
};

static int dispatch(struct vhost *v) {
	const struct message *m = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(messages); i++) {
		if (messages[i].request == v->header.request) {
			m = &messages[i];
		}
	}
	int r = -EOPNOTSUPP;
	if (m) {
		r = v->header.size >= m->size ? m->handle(v) : -EBADMSG;
	}
	close_fds(v);
	if (r < 0 && may_log(v)) {
		log_warn_errno(r, "message %u refused", v->header.request);
	}
	if (r == -EPIPE) {
		return r;
	}
	/*
	 * Also where nothing was negotiated: on the connection that replaces one whose exporter died,
	 * QEMU goes on with what it agreed on then, and would wait for ever.
	 */
	bool acknowledge = v->header.flags & VHOST_USER_FLAG_NEED_REPLY;
	if (r <= 0 && acknowledge) {
		return reply_u64(v, r < 0);
	}
	/* Without an acknowledgement the front end would go on as if all were well. */
	return r < 0 ? r : 0;
}

/* Receives what there is of the header or payload, and fds with it. 1: some; 0: none; -errno. */
static int receive(struct vhost *v) {
	size_t want = v->received < sizeof(v->header) ? sizeof(v->header)
						      : sizeof(v->header) + v->header.size;
	uint8_t *at = v->received < sizeof(v->header)
		? (uint8_t *)&v->header + v->received
		: v->payload.bytes + v->received - sizeof(v->header);
	struct iovec iov = {at, want - v->received};
	union {
		char bytes[CMSG_SPACE(sizeof(int) * VHOST_USER_FDS_MAX)];
		struct cmsghdr align;
	} control;
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t n = recvmsg(v->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0) {
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	}
	bool overflow = msg.msg_flags & MSG_CTRUNC;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
			continue;
		}
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			if (v->n_fds < VHOST_USER_FDS_MAX) {
				v->fds[v->n_fds++] = fd;
			} else {
				(void)close_fd(fd);
				overflow = true;
			}
		}
	}
	if (n == 0) {
		return -ECONNRESET;
	}
	v->received += (size_t)n;
	return overflow ? -EBADMSG : 1;
}

/* At most one message a call: the loop serves its other sources in between. */
static int handle_socket(sd_event_source *source, int fd, uint32_t revents, void *data) {
	struct vhost *v = data;
	int r;
	(void)source;
	(void)fd;
	(void)revents;
	for (;;) {
		if (v->received >= sizeof(v->header)) {
			if (v->header.size > VHOST_USER_PAYLOAD_MAX ||
				(v->header.flags & VHOST_USER_VERSION_MASK) != VHOST_USER_VERSION) {
				r = -EBADMSG;
				break;
			}
			if (v->received == sizeof(v->header) + v->header.size) {
				v->received = 0;
				r = dispatch(v);
				if (r < 0) {
					break;
				}
				return 0;
			}
		}
		r = receive(v);
		if (r == 0) {
			return 0;
		}
		if (r < 0) {
			break;
		}
	}
	if (r == -ECONNRESET) {
		log_info("front end closed the connection");
	} else {
		log_err_errno(r, "front end broke the protocol; connection closed");
	}
	v->ops.closed(v->ops.data);
	return 0;
}

int vhost_create(
	sd_event *loop, int fd, struct gpu *gpu, const struct vhost_ops *ops, struct vhost **ret) {
	struct vhost *v = calloc(1, sizeof(*v));
	if (!v) {
		(void)close_fd(fd);
		return -ENOMEM;
	}
	v->loop = sd_event_ref(loop);
	v->gpu = gpu;
	v->ops = *ops;
	v->fd = fd;
	v->gpu_socket = -1;
	int r = sd_event_add_io(loop, &v->source, fd, EPOLLIN, handle_socket, v);
	if (r < 0) {
		vhost_destroy(v);
		return r;
	}
	*ret = v;
	return 0;
}

void vhost_destroy(struct vhost *v) {
	if (!v) {
		return;
	}
	for (unsigned i = 0; i < GPU_N_QUEUES; i++) {
		stop_queue(v, i);
		virtqueue_finish(&v->gpu->queues[i]);
		virtqueue_init(&v->gpu->queues[i]);
	}
	sd_event_source_disable_unref(v->source);
	guest_memory_unref(v->memory);
	close_fds(v);
	(void)close_fd(v->gpu_socket);
	(void)close_fd(v->fd);
	sd_event_unref(v->loop);
	free(v);
}
