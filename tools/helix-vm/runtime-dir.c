/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "log.h"
#include "runtime-dir.h"

LOG_MODULE("helix-vm");

#define LOCK_FILE "lock"

static int make_directory(struct runtime_dir *d) {
	const char *path = d->plan->dir;
	struct stat st;
	if (mkdir(path, 0700) == 0) {
		d->created = true;
		return 0;
	}
	if (errno != EEXIST || lstat(path, &st) < 0) {
		return -errno;
	}
	/* Whoever may write there could put a socket of theirs in place of ours. */
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & S_IWOTH)) {
		return -EPERM;
	}
	return 0;
}

/* The one who ends removes the file: a lock on a file that is gone is none. */
static int take_lock(struct runtime_dir *d) {
	char path[108];
	struct stat st;
	plan_socket_path(d->plan, LOCK_FILE, 0, path);
	d->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (d->lock_fd < 0) {
		return -errno;
	}
	if (flock(d->lock_fd, LOCK_EX | LOCK_NB) < 0 || fstat(d->lock_fd, &st) < 0 ||
		st.st_nlink == 0) {
		int r = errno == EWOULDBLOCK || errno == 0 ? -EBUSY : -errno;
		d->lock_fd = close_fd(d->lock_fd);
		return r;
	}
	return 0;
}

static void remove_sockets(const struct runtime_dir *d) {
	static const char *const names[] = {
		GPU_SOCKET, GPU_QMP_SOCKET, BUS_SOCKET, QMP_SOCKET, CONTROL_SOCKET, NOTIFY_SOCKET};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		for (unsigned gpu = 0; gpu < GPUS_MAX; gpu++) {
			char path[108];
			plan_socket_path(d->plan, names[i], gpu, path);
			(void)unlink(path);
		}
	}
}

int runtime_dir_init(struct runtime_dir *d, const struct plan *plan) {
	*d = (struct runtime_dir){.plan = plan, .lock_fd = -1};
	int r = make_directory(d);
	if (r >= 0) {
		errno = 0;
		r = take_lock(d);
	}
	if (r == -EBUSY) {
		log_err("%s: a VM of this name is running (another --name or --runtime-dir?)",
			plan->dir);
	} else if (r == -EPERM) {
		log_err("%s is not a directory of our own", plan->dir);
	} else if (r < 0) {
		log_err_errno(r, "%s", plan->dir);
	} else {
		/* Made by one that was killed: nobody else uses this name. */
		d->created |= !plan->options->runtime_dir;
		remove_sockets(d);
	}
	return r;
}

void runtime_dir_finish(struct runtime_dir *d) {
	char path[108];
	if (d->lock_fd >= 0) {
		remove_sockets(d);
		plan_socket_path(d->plan, LOCK_FILE, 0, path);
		(void)unlink(path);
	}
	if (d->created && d->lock_fd >= 0) {
		(void)rmdir(d->plan->dir);
	}
	d->lock_fd = close_fd(d->lock_fd);
}

static int make_socket(const struct plan *plan, const char *name, unsigned gpu, int flags,
	int (*use)(int fd, const struct sockaddr *address, socklen_t size)) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	plan_socket_path(plan, name, gpu, address.sun_path);
	CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
	if (fd < 0 || use(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		int r = -errno;
		log_err_errno(r, "%s", address.sun_path);
		return r;
	}
	return take_fd(&fd);
}

int runtime_dir_listen(const struct plan *plan, const char *name, unsigned gpu) {
	int fd = make_socket(plan, name, gpu, 0, bind);
	if (fd >= 0 && listen(fd, 1) < 0) {
		int r = -errno;
		(void)close_fd(fd);
		return r;
	}
	return fd;
}

int runtime_dir_connect(const struct plan *plan, const char *name, unsigned gpu) {
	/* A QEMU that hangs accepts nobody: that must not make us hang. */
	return make_socket(plan, name, gpu, SOCK_NONBLOCK, connect);
}
