/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <limits.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "parse.h"
#include "uevent.h"
#include "util.h"

/* Multicast groups of NETLINK_KOBJECT_UEVENT: 1 is the kernel's, 2 udev's. */
#define GROUP_KERNEL 1u
/* The kernel's own limit is 2 KiB. */
#define MESSAGE_MAX 8192u
/* Many outputs plugged at once must not overflow it; one message takes less than 1 KiB. */
#define RECEIVE_BUFFER (512 * 1024)

struct uevent_monitor {
	int fd;
	sd_event_source *io;
	uevent_hotplug_func hotplug;
	void *data;
};

int uevent_parse(const char *text, size_t size, unsigned *ret_minor) {
	bool drm = false, hotplug = false;
	uint32_t minor = UINT32_MAX;
	for (size_t at = 0; at < size; at += strlen(text + at) + 1) {
		const char *field = text + at;
		drm = drm || strcmp(field, "SUBSYSTEM=drm") == 0;
		/* Not LEASE=1, which our own revocations cause. */
		hotplug = hotplug || strcmp(field, "HOTPLUG=1") == 0;
		if (strncmp(field, "MINOR=", 6) == 0) {
			(void)parse_u32(field + 6, 0, UINT32_MAX - 1, &minor);
		}
	}
	if (!drm || !hotplug || minor == UINT32_MAX) {
		return -ENOMSG;
	}
	*ret_minor = minor;
	return 0;
}

static int handle_io(sd_event_source *source, int fd, uint32_t events, void *data) {
	struct uevent_monitor *m = data;
	char text[MESSAGE_MAX + 1];
	for (;;) {
		struct sockaddr_nl from = {0};
		socklen_t from_size = sizeof(from);
		ssize_t n = recvfrom(
			fd, text, MESSAGE_MAX, MSG_DONTWAIT, (struct sockaddr *)&from, &from_size);
		if (n < 0 && errno == ENOBUFS) {
			m->hotplug(UINT_MAX, m->data);
			continue;
		}
		if (n < 0) {
			return 0;
		}
		unsigned minor;
		text[n] = '\0';
		/* Root can send to the group as well; only the kernel has port 0. */
		if (from.nl_pid == 0 && uevent_parse(text, (size_t)n, &minor) == 0) {
			m->hotplug(minor, m->data);
		}
	}
}

int uevent_monitor_create(
	sd_event *loop, uevent_hotplug_func hotplug, void *data, struct uevent_monitor **ret) {
	struct uevent_monitor *m = calloc(1, sizeof(*m));
	if (!m) {
		return -ENOMEM;
	}
	m->hotplug = hotplug;
	m->data = data;
	m->fd = socket(
		AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
	struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = GROUP_KERNEL};
	int r = m->fd < 0 ? -errno : 0;
	if (r == 0) {
		static const int size = RECEIVE_BUFFER;
		(void)setsockopt(m->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
		r = bind(m->fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
	}
	if (r == 0) {
		r = sd_event_add_io(loop, &m->io, m->fd, EPOLLIN, handle_io, m);
	}
	if (r < 0) {
		uevent_monitor_destroy(m);
		return r;
	}
	*ret = m;
	return 0;
}

void uevent_monitor_destroy(struct uevent_monitor *m) {
	if (!m) {
		return;
	}
	sd_event_source_disable_unref(m->io);
	(void)close_fd(m->fd);
	free(m);
}
