/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "frontend.h"
#include "util.h"

#define RAM_DEFAULT UINT64_C(0x10000000)

/* What a Linux guest and QEMU together would take of the features offered. */
#define FEATURES_KNOWN                                                                    \
	(FEATURE(VIRTIO_GPU_F_EDID) | FEATURE(VIRTIO_GPU_F_RESOURCE_BLOB) |               \
		FEATURE(VIRTIO_RING_F_INDIRECT_DESC) | FEATURE(VIRTIO_RING_F_EVENT_IDX) | \
		FEATURE(VHOST_USER_F_PROTOCOL_FEATURES) | FEATURE(32 /* VIRTIO_F_VERSION_1 */))

static const uint32_t default_queue_size[FRONTEND_QUEUES] = {64, 16};

static bool has_protocol(const struct frontend *fe, unsigned bit) {
	return fe->protocol_features & FEATURE(bit);
}

int frontend_send(struct frontend *fe, uint32_t request, uint32_t flags, const void *payload,
	size_t size, const int *fds, unsigned n_fds) {
	struct vhost_user_header header = {request, flags, (uint32_t)size};
	struct iovec iov[2] = {{&header, sizeof(header)}, {(void *)(uintptr_t)payload, size}};
	union {
		char buf[CMSG_SPACE(64 * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = size > 0 ? 2 : 1};
	if (n_fds > 0) {
		if (n_fds > 64) {
			return -EINVAL;
		}
		memset(&control, 0, sizeof(control));
		msg.msg_control = control.buf;
		msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
	}
	ssize_t n = sendmsg(fe->fd, &msg, MSG_NOSIGNAL);
	if (n < 0) {
		return -errno;
	}
	return (size_t)n == sizeof(header) + size ? 0 : -EIO;
}

/* Reads exactly `size` bytes, which must come in time. */
static int read_all(struct frontend *fe, int fd, void *buf, size_t size) {
	size_t done = 0;
	while (done < size) {
		int r = frontend_wait(fe, fd, FRONTEND_TIMEOUT_MS);
		if (r < 0) {
			return r;
		}
		ssize_t n = recv(fd, (uint8_t *)buf + done, size - done, 0);
		if (n <= 0) {
			return n < 0 ? -errno : -ECONNRESET;
		}
		done += (size_t)n;
	}
	return 0;
}

/* Answers one request of the back end on the GPU socket, as QEMU does without a display. */
static int serve_gpu_socket(struct frontend *fe) {
	struct vhost_user_header header;
	uint8_t payload[VHOST_USER_PAYLOAD_MAX];
	ssize_t n = recv(fe->gpu_fd, &header, sizeof(header), MSG_WAITALL);
	if (n != (ssize_t)sizeof(header)) {
		fe->gpu_fd = close_fd(fe->gpu_fd);
		return n < 0 ? -errno : 0;
	}
	if (header.size > sizeof(payload) ||
		recv(fe->gpu_fd, payload, header.size, MSG_WAITALL) != (ssize_t)header.size) {
		fe->gpu_fd = close_fd(fe->gpu_fd);
		return -EBADMSG;
	}
	fe->gpu_requests++;

	struct virtio_gpu_resp_display_info info = {.hdr.type = VIRTIO_GPU_RESP_OK_DISPLAY_INFO};
	struct virtio_gpu_resp_edid edid = {.hdr.type = VIRTIO_GPU_RESP_OK_EDID, .size = 128};
	uint64_t features = 3; /* EDID, DMABUF2: vhost-user-gpu.rst, "Protocol features" */
	struct iovec iov[2] = {{&header, sizeof(header)}};
	switch (header.request) {
	case VHOST_USER_GPU_GET_PROTOCOL_FEATURES:
		iov[1] = (struct iovec){&features, sizeof(features)};
		break;
	case VHOST_USER_GPU_GET_DISPLAY_INFO:
		for (uint32_t i = 0; i < MAX(fe->options.outputs, 1u) && i < 16; i++) {
			info.pmodes[i].enabled = 1;
			info.pmodes[i].r.width = 1280;
			info.pmodes[i].r.height = 800;
		}
		iov[1] = (struct iovec){&info, sizeof(info)};
		break;
	case VHOST_USER_GPU_GET_EDID:
		iov[1] = (struct iovec){&edid, sizeof(edid)};
		break;
	default:
		return 0; /* scanouts, updates, cursors: no reply */
	}
	header.flags = VHOST_USER_GPU_FLAG_REPLY;
	header.size = (uint32_t)iov[1].iov_len;
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
	return sendmsg(fe->gpu_fd, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int frontend_wait(struct frontend *fe, int fd, unsigned timeout_ms) {
	uint64_t deadline = now_ns() + timeout_ms * NSEC_PER_MSEC;
	for (;;) {
		bool serve = fe->gpu_fd >= 0 && !fe->options.mute_gpu_socket;
		struct pollfd fds[2] = {{fd, POLLIN, 0}, {fe->gpu_fd, POLLIN, 0}};
		int n = poll(fds, serve ? 2 : 1, ms_until(deadline));
		if (n < 0 && errno != EINTR) {
			return -errno;
		}
		if (n > 0 && serve && fds[1].revents) {
			(void)serve_gpu_socket(fe);
		}
		if (n > 0 && fds[0].revents) {
			return 0;
		}
		if (n == 0) {
			return -ETIMEDOUT;
		}
	}
}

bool frontend_hung_up(struct frontend *fe, unsigned timeout_ms) {
	uint8_t byte;
	for (;;) {
		if (frontend_wait(fe, fe->fd, timeout_ms) < 0) {
			return false;
		}
		ssize_t n = recv(fe->fd, &byte, 1, MSG_DONTWAIT);
		if (n <= 0) {
			return n == 0 || errno == ECONNRESET;
		}
	}
}

int frontend_call(struct frontend *fe, uint32_t request, const void *payload, size_t size,
	void *reply, size_t reply_size) {
	int r = frontend_send(fe, request, VHOST_USER_VERSION, payload, size, NULL, 0);
	if (r < 0) {
		return r;
	}
	struct vhost_user_header header;
	r = read_all(fe, fe->fd, &header, sizeof(header));
	if (r < 0) {
		return r;
	}
	if (header.request != request || header.size > reply_size ||
		header.flags != (VHOST_USER_VERSION | VHOST_USER_FLAG_REPLY)) {
		return -EPROTO;
	}
	r = read_all(fe, fe->fd, reply, header.size);
	return r < 0 ? r : (int)header.size;
}

int frontend_ack(struct frontend *fe, uint32_t request, const void *payload, size_t size,
	const int *fds, unsigned n_fds) {
	bool ack = has_protocol(fe, VHOST_USER_PROTOCOL_F_REPLY_ACK);
	uint32_t flags = VHOST_USER_VERSION | (ack ? VHOST_USER_FLAG_NEED_REPLY : 0);
	int r = frontend_send(fe, request, flags, payload, size, fds, n_fds);
	if (r < 0 || !ack) {
		return r;
	}
	struct {
		struct vhost_user_header header;
		uint64_t result;
	} __attribute__((packed)) reply;
	r = read_all(fe, fe->fd, &reply, sizeof(reply));
	if (r < 0) {
		return r;
	}
	if (reply.header.request != request || reply.header.size != sizeof(reply.result) ||
		reply.header.flags != (VHOST_USER_VERSION | VHOST_USER_FLAG_REPLY)) {
		return -EBADMSG;
	}
	return reply.result == 0 ? 0 : -EPROTO;
}

static int get_u64(struct frontend *fe, uint32_t request, uint64_t *ret) {
	uint64_t value;
	int r = frontend_call(fe, request, NULL, 0, &value, sizeof(value));
	if (r < 0) {
		return r;
	}
	if (r != (int)sizeof(value)) {
		return -EPROTO;
	}
	*ret = value;
	return 0;
}

static int send_u64(struct frontend *fe, uint32_t request, uint64_t value, int fd) {
	return frontend_send(fe, request, VHOST_USER_VERSION, &value, sizeof(value), &fd, fd >= 0);
}

/* Event fds that nobody listens to: QEMU, too, sends early ones that it replaces later. */
static int send_early_fd(struct frontend *fe, uint32_t request, uint64_t vring) {
	CLEANUP_CLOSE int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return fd < 0 ? -errno : send_u64(fe, request, vring, fd);
}

static int send_backend_fd(struct frontend *fe) {
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		return -errno;
	}
	fe->backend_fd = pair[0];
	int r = frontend_ack(fe, VHOST_USER_SET_BACKEND_REQ_FD, NULL, 0, &pair[1], 1);
	(void)close_fd(pair[1]);
	return r;
}

static int negotiate_protocol(struct frontend *fe) {
	int r = get_u64(fe, VHOST_USER_GET_PROTOCOL_FEATURES, &fe->offered_protocol_features);
	if (r < 0) {
		return r;
	}
	fe->protocol_features = fe->offered_protocol_features & fe->options.protocol_features;
	r = send_u64(fe, VHOST_USER_SET_PROTOCOL_FEATURES, fe->protocol_features, -1);
	uint64_t n;
	if (r == 0 && has_protocol(fe, VHOST_USER_PROTOCOL_F_MQ)) {
		r = get_u64(fe, VHOST_USER_GET_QUEUE_NUM, &n);
		r = r == 0 && n < FRONTEND_QUEUES ? -EPROTO : r;
	}
	if (r == 0 && has_protocol(fe, VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS)) {
		r = get_u64(fe, VHOST_USER_GET_MAX_MEM_SLOTS, &n);
	}
	if (r == 0 && has_protocol(fe, VHOST_USER_PROTOCOL_F_BACKEND_REQ)) {
		r = send_backend_fd(fe);
	}
	return r;
}

static int send_reset(struct frontend *fe) {
	if (!has_protocol(fe, VHOST_USER_PROTOCOL_F_RESET_DEVICE)) {
		return 0;
	}
	return frontend_send(fe, VHOST_USER_RESET_DEVICE, VHOST_USER_VERSION, NULL, 0, NULL, 0);
}

int frontend_handshake(struct frontend *fe) {
	int r = get_u64(fe, VHOST_USER_GET_FEATURES, &fe->offered_features);
	if (r == 0 && fe->offered_features & FEATURE(VHOST_USER_F_PROTOCOL_FEATURES)) {
		r = negotiate_protocol(fe);
	}
	if (r == 0) {
		r = frontend_send(fe, VHOST_USER_SET_OWNER, VHOST_USER_VERSION, NULL, 0, NULL, 0);
	}
	if (r == 0) {
		r = get_u64(fe, VHOST_USER_GET_FEATURES, &fe->offered_features);
	}
	for (unsigned i = 0; r == 0 && i < FRONTEND_QUEUES; i++) {
		r = send_early_fd(fe, VHOST_USER_SET_VRING_CALL, i);
		r = r == 0 ? send_early_fd(fe, VHOST_USER_SET_VRING_ERR, i) : r;
	}
	return r == 0 ? send_reset(fe) : r;
}

static struct vhost_user_memory_region region(
	const void *user, uint64_t guest, uint64_t size, uint64_t offset) {
	return (struct vhost_user_memory_region){guest, size, (uintptr_t)user, offset};
}

int frontend_send_memory(struct frontend *fe) {
	struct vhost_user_memory_table table = {.n_regions = 2};
	int fds[3] = {fe->ram_fd, fe->ram_fd, fe->high_fd};
	table.regions[0] = region(fe->ram, 0, GUEST_LOW_END, 0);
	table.regions[1] = region(fe->ram + GUEST_MAIN_START, GUEST_MAIN_START,
		fe->ram_size - GUEST_MAIN_START, GUEST_MAIN_START);
	if (fe->high_size > 0) {
		table.regions[table.n_regions++] =
			region(fe->high, GUEST_HIGH_START, fe->high_size, 0);
	}
	if (!has_protocol(fe, VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS)) {
		size_t size = 8 + table.n_regions * sizeof(table.regions[0]);
		return frontend_ack(
			fe, VHOST_USER_SET_MEM_TABLE, &table, size, fds, table.n_regions);
	}
	int r = 0;
	for (uint32_t i = 0; r == 0 && i < table.n_regions; i++) {
		struct vhost_user_single_region one = {0, table.regions[i]};
		r = frontend_ack(fe, VHOST_USER_ADD_MEM_REG, &one, sizeof(one), &fds[i], 1);
	}
	return r;
}

int frontend_send_ring(struct frontend *fe, unsigned queue, uint16_t base) {
	struct frontend_queue *q = &fe->queues[queue];
	struct vhost_user_vring_state num = {queue, q->size}, start = {queue, base};
	struct vhost_user_vring_addr addr = {.index = queue,
		.descriptor = (uintptr_t)q->desc,
		.used = (uintptr_t)q->used,
		.available = (uintptr_t)q->avail,
		.log = q->used_address};
	const uint32_t flags = VHOST_USER_VERSION;
	int r = frontend_send(fe, VHOST_USER_SET_VRING_NUM, flags, &num, sizeof(num), NULL, 0);
	if (r == 0) {
		r = frontend_send(
			fe, VHOST_USER_SET_VRING_BASE, flags, &start, sizeof(start), NULL, 0);
	}
	if (r == 0) {
		r = frontend_send(
			fe, VHOST_USER_SET_VRING_ADDR, flags, &addr, sizeof(addr), NULL, 0);
	}
	return r == 0 ? send_u64(fe, VHOST_USER_SET_VRING_KICK, queue, q->kick_fd) : r;
}

static int send_calls(struct frontend *fe) {
	int r = 0;
	for (unsigned i = 0; r == 0 && i < FRONTEND_QUEUES; i++) {
		r = send_u64(fe, VHOST_USER_SET_VRING_CALL, i, fe->queues[i].call_fd);
	}
	return r;
}

static int send_gpu_socket(struct frontend *fe) {
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		return -errno;
	}
	fe->gpu_fd = pair[0];
	int r = frontend_send(
		fe, VHOST_USER_GPU_SET_SOCKET, VHOST_USER_VERSION, NULL, 0, &pair[1], 1);
	(void)close_fd(pair[1]);
	return r;
}

static int enable_rings(struct frontend *fe, uint32_t on) {
	int r = 0;
	for (unsigned i = 0; r == 0 && i < FRONTEND_QUEUES; i++) {
		struct vhost_user_vring_state state = {i, on};
		r = frontend_ack(fe, VHOST_USER_SET_VRING_ENABLE, &state, sizeof(state), NULL, 0);
	}
	return r;
}

/* The rings exist; `base` is where the back end goes on in each. */
static int start_rings(struct frontend *fe, const uint16_t base[FRONTEND_QUEUES], bool memory) {
	int r = send_gpu_socket(fe);
	r = r == 0 ? send_calls(fe) : r;
	r = r == 0 ? send_u64(fe, VHOST_USER_SET_FEATURES, fe->features, -1) : r;
	if (r == 0 && has_protocol(fe, VHOST_USER_PROTOCOL_F_STATUS)) {
		uint64_t status;
		r = get_u64(fe, VHOST_USER_GET_STATUS, &status);
		/* FEATURES_OK; virtio 1.2, 2.1 */
		r = r == 0 ? send_u64(fe, VHOST_USER_SET_STATUS, 8, -1) : r;
	}
	r = r == 0 && memory ? frontend_send_memory(fe) : r;
	for (unsigned i = 0; r == 0 && i < FRONTEND_QUEUES; i++) {
		r = frontend_send_ring(fe, i, base[i]);
	}
	r = r == 0 ? enable_rings(fe, 1) : r;
	r = r == 0 ? send_calls(fe) : r;
	fe->running = r == 0;
	return r;
}

int frontend_start(struct frontend *fe) {
	static const uint16_t base[FRONTEND_QUEUES];
	int r = 0;
	if (fe->running) {
		return -EBUSY;
	}
	fe->features = fe->offered_features & fe->options.features & FEATURES_KNOWN;
	/* The driver's own reset, before it looks at the device. */
	r = send_reset(fe);
	for (unsigned i = 0; r == 0 && i < FRONTEND_QUEUES; i++) {
		r = queue_setup(fe, i);
	}
	bool first =
		!fe->memory_sent || !has_protocol(fe, VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS);
	r = r == 0 ? start_rings(fe, base, first) : r;
	fe->memory_sent = fe->memory_sent || r == 0;
	return r;
}

int frontend_stop(struct frontend *fe) {
	if (!fe->running) {
		return -EINVAL;
	}
	fe->running = false;
	fe->gpu_fd = close_fd(fe->gpu_fd);
	int r = enable_rings(fe, 0), reaped = 0;
	for (unsigned i = 0; r == 0 && i < FRONTEND_QUEUES; i++) {
		struct vhost_user_vring_state state = {i, 0}, reply;
		r = frontend_call(fe, VHOST_USER_GET_VRING_BASE, &state, sizeof(state), &reply,
			sizeof(reply));
		if (r >= 0 && (r != (int)sizeof(reply) || reply.index != i)) {
			r = -EPROTO;
		}
		r = MIN(r, 0);
		fe->bases[i] = r == 0 ? (uint16_t)reply.num : 0;
		r = r == 0 ? send_early_fd(fe, VHOST_USER_SET_VRING_CALL, i) : r;
		reaped = MIN(reaped, gpu_reap(fe, i));
	}
	return r < 0 ? r : reaped;
}

int frontend_resume(struct frontend *fe) {
	bool memory = !has_protocol(fe, VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS);
	return fe->running || !fe->queues[0].desc ? -EINVAL : start_rings(fe, fe->bases, memory);
}

int frontend_reset(struct frontend *fe) {
	int r = fe->running ? frontend_stop(fe) : 0;
	/* A driver that wrote its rings by hand may have answers that nothing here knows of. */
	r = r == -EBADMSG ? 0 : r;
	for (unsigned i = 0; i < FRONTEND_QUEUES; i++) {
		queue_forget(fe, i);
	}
	return r == 0 ? send_reset(fe) : r;
}

int frontend_get_config(struct frontend *fe, struct virtio_gpu_config *ret) {
	struct {
		struct vhost_user_config header;
		struct virtio_gpu_config config;
	} __attribute__((packed)) m = {{0, sizeof(m.config), 0}, {0}};
	int r = frontend_call(fe, VHOST_USER_GET_CONFIG, &m, sizeof(m), &m, sizeof(m));
	if (r < 0) {
		return r;
	}
	if (r != (int)sizeof(m) || m.header.size != sizeof(m.config)) {
		return -EPROTO;
	}
	*ret = m.config;
	return 0;
}

static int map_file(const char *name, uint64_t size, int *ret_fd, uint8_t **ret) {
	*ret_fd = memfd_create(name, MFD_CLOEXEC);
	if (*ret_fd < 0 || ftruncate(*ret_fd, (off_t)size) < 0) {
		return -errno;
	}
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, *ret_fd, 0);
	if (p == MAP_FAILED) {
		return -errno;
	}
	*ret = p;
	return 0;
}

static int create(int fd, const struct frontend_options *options, struct frontend **ret) {
	struct frontend *fe = calloc(1, sizeof(*fe));
	if (!fe) {
		(void)close_fd(fd);
		return -ENOMEM;
	}
	if (options) {
		fe->options = *options;
	}
	fe->fd = fd;
	fe->gpu_fd = fe->backend_fd = fe->ram_fd = fe->high_fd = -1;
	fe->next_resource_id = 1;
	fe->options.features = fe->options.features ? fe->options.features : FRONTEND_FEATURES_ALL;
	if (!fe->options.protocol_features) {
		fe->options.protocol_features = FRONTEND_PROTOCOL_QEMU;
	}
	for (unsigned i = 0; i < FRONTEND_QUEUES; i++) {
		uint32_t size = fe->options.queue_size[i];
		fe->queues[i] = (struct frontend_queue){
			.size = size ? size : default_queue_size[i], .kick_fd = -1, .call_fd = -1};
	}
	uint64_t size = fe->options.ram_size ? fe->options.ram_size : RAM_DEFAULT;
	int r = map_file("guest-ram", size, &fe->ram_fd, &fe->ram);
	fe->ram_size = r == 0 ? size : 0;
	if (r == 0 && fe->options.high_ram_size) {
		r = map_file("guest-ram-high", fe->options.high_ram_size, &fe->high_fd, &fe->high);
		fe->high_size = r == 0 ? fe->options.high_ram_size : 0;
	}
	fe->n_pages = fe->ram_size / GUEST_PAGE;
	fe->page_used = calloc(MAX(fe->n_pages, 1u), 1);
	fe->page_hint = GUEST_MAIN_START / GUEST_PAGE;
	if (r < 0 || !fe->page_used) {
		frontend_destroy(fe);
		return r < 0 ? r : -ENOMEM;
	}
	fe->pages_free = fe->n_pages - fe->page_hint;
	*ret = fe;
	return 0;
}

int frontend_adopt(int fd, const struct frontend_options *options, struct frontend **ret) {
	struct frontend *fe;
	int r = create(fd, options, &fe);
	if (r < 0) {
		return r;
	}
	r = frontend_handshake(fe);
	if (r < 0) {
		frontend_destroy(fe);
		return r;
	}
	*ret = fe;
	return 0;
}

static int connect_unix(const char *path) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(address.sun_path)) {
		return -ENAMETOOLONG;
	}
	memcpy(address.sun_path, path, strlen(path));
	CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		return -errno;
	}
	return take_fd(&fd);
}

int frontend_connect_silent(
	const char *path, const struct frontend_options *options, struct frontend **ret) {
	int fd = connect_unix(path);
	return fd < 0 ? fd : create(fd, options, ret);
}

int frontend_connect(
	const char *path, const struct frontend_options *options, struct frontend **ret) {
	int fd = connect_unix(path);
	return fd < 0 ? fd : frontend_adopt(fd, options, ret);
}

void frontend_destroy(struct frontend *fe) {
	if (!fe) {
		return;
	}
	(void)close_fd(fe->fd);
	(void)close_fd(fe->gpu_fd);
	(void)close_fd(fe->backend_fd);
	for (unsigned i = 0; fe->page_used && i < FRONTEND_QUEUES; i++) {
		queue_forget(fe, i);
	}
	if (fe->ram) {
		(void)munmap(fe->ram, fe->ram_size);
	}
	if (fe->high) {
		(void)munmap(fe->high, fe->high_size);
	}
	(void)close_fd(fe->ram_fd);
	(void)close_fd(fe->high_fd);
	free(fe->page_used);
	free(fe);
}
