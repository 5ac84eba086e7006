/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <systemd/sd-daemon.h>

#include "log.h"
#include "proto/wire.h"
#include "store.h"
#include "util.h"

LOG_MODULE("store");

#define STATE_NAME "state"
/*
 * A record never crosses a page, so that a write is whole or not there at all, whenever we are
 * killed. The magic changes with the layout: what a program of another version left is not read.
 */
#define RECORD_SIZE  512u
#define RECORD_MAGIC 0x31534c48u /* "HLS1" */

/* Copies of the notification socket's name survive sd_listen_fds, which clears others. */
static bool has_service_manager(void) {
	const char *path = getenv("NOTIFY_SOCKET");
	return path && *path;
}

int store_open(struct store *s) {
	*s = (struct store){.state = -1, .kept = has_service_manager()};
	char **names = NULL;
	int n = sd_listen_fds_with_names(1, &names);
	for (int i = 0; i < n; i++) {
		int fd = SD_LISTEN_FDS_START + i;
		if (s->n_fds == STORE_FDS_MAX) {
			(void)close_fd(fd);
			continue;
		}
		struct store_fd *f = &s->fds[s->n_fds++];
		f->fd = fd;
		(void)snprintf(f->name, sizeof(f->name), "%s", names && names[i] ? names[i] : "");
	}
	for (char **name = names; name && *name; name++) {
		free(*name);
	}
	free(names);
	s->state = store_take(s, STATE_NAME);
	if (s->state < 0) {
		s->state = memfd_create("helix-drm-leases", MFD_CLOEXEC);
		if (s->state < 0) {
			return -errno;
		}
		store_put(s, STATE_NAME, s->state);
	}
	return 0;
}

void store_close(struct store *s) {
	for (size_t i = 0; i < s->n_fds; i++) {
		s->fds[i].fd = close_fd(s->fds[i].fd);
	}
	s->n_fds = 0;
	s->state = close_fd(s->state);
}

int store_take(struct store *s, const char *name) {
	for (size_t i = 0; i < s->n_fds; i++) {
		if (s->fds[i].fd >= 0 && strcmp(s->fds[i].name, name) == 0) {
			return take_fd(&s->fds[i].fd);
		}
	}
	return -1;
}

int store_take_prefix(struct store *s, const char *prefix, char ret_rest[STORE_NAME_SIZE]) {
	size_t n = strlen(prefix);
	for (size_t i = 0; i < s->n_fds; i++) {
		if (s->fds[i].fd >= 0 && strncmp(s->fds[i].name, prefix, n) == 0) {
			(void)snprintf(ret_rest, STORE_NAME_SIZE, "%s", s->fds[i].name + n);
			return take_fd(&s->fds[i].fd);
		}
	}
	return -1;
}

void store_put(struct store *s, const char *name, int fd) {
	char text[128];
	if (!s->kept) {
		return;
	}
	/* Not polled: whether a holder is gone is for us to see, also after a restart. */
	(void)snprintf(text, sizeof(text), "FDSTORE=1\nFDNAME=%s\nFDPOLL=0", name);
	int r = sd_pid_notify_with_fds(0, 0, text, &fd, 1);
	if (r < 0) {
		log_warn_errno(r, "%s is not kept over a restart", name);
	}
}

void store_remove(struct store *s, const char *name) {
	if (s->kept) {
		(void)sd_notifyf(0, "FDSTOREREMOVE=1\nFDNAME=%s", name);
	}
}

static off_t record_offset(unsigned index) {
	return (off_t)index * (off_t)RECORD_SIZE;
}

void store_write(struct store *s, unsigned index, const struct store_record *r) {
	uint8_t buf[RECORD_SIZE] = {0};
	if (r) {
		struct writer w = {.p = buf, .left = sizeof(buf)};
		write_u32(&w, RECORD_MAGIC);
		write_u32(&w, r->scanout);
		write_u32(&w, r->lessee);
		write_u32(&w, r->connector_id);
		write_u32(&w, r->width);
		write_u32(&w, r->height);
		write_u32(&w, r->refresh);
		write_u32(&w, r->extended);
		write_u32(&w, (uint32_t)r->peer.pid);
		write_u32(&w, r->peer.uid);
		write_u32(&w, r->peer.gid);
		write_u64(&w, r->since_ns);
		uint8_t *token = write_bytes(&w, sizeof(r->token));
		if (token) {
			memcpy(token, r->token, sizeof(r->token));
		}
		write_text(&w, r->card, sizeof(r->card));
		write_text(&w, r->name, sizeof(r->name));
		write_text(&w, r->peer.group, sizeof(r->peer.group));
	}
	if (pwrite(s->state, buf, sizeof(buf), record_offset(index)) != (ssize_t)sizeof(buf)) {
		log_warn_errno(errno, "a lease is not noted down");
	}
}

int store_read(const struct store *s, unsigned index, struct store_record *ret) {
	uint8_t buf[RECORD_SIZE];
	if (pread(s->state, buf, sizeof(buf), record_offset(index)) != (ssize_t)sizeof(buf)) {
		return -ENOENT;
	}
	struct reader r = {.p = buf, .left = sizeof(buf)};
	if (read_u32(&r) != RECORD_MAGIC) {
		return -ENOENT;
	}
	*ret = (struct store_record){.scanout = read_u32(&r)};
	ret->lessee = read_u32(&r);
	ret->connector_id = read_u32(&r);
	ret->width = read_u32(&r);
	ret->height = read_u32(&r);
	ret->refresh = read_u32(&r);
	ret->extended = read_u32(&r) != 0;
	ret->peer.pid = (pid_t)read_u32(&r);
	ret->peer.uid = read_u32(&r);
	ret->peer.gid = read_u32(&r);
	ret->since_ns = read_u64(&r);
	memcpy(ret->token, read_bytes(&r, sizeof(ret->token)), sizeof(ret->token));
	read_text(&r, ret->card, sizeof(ret->card));
	read_text(&r, ret->name, sizeof(ret->name));
	read_text(&r, ret->peer.group, sizeof(ret->peer.group));
	return r.missing ? -ENOENT : 0;
}
