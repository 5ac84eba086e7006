/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "files.h"
#include "proto/lease.h"
#include "util.h"

#define DIR_MODE  0755
#define FILE_MODE 0644

/* The format of a database entry (wire format of the tag `seat`, current and for good). */
#define UDEV_ENTRY "G:seat\nQ:seat\nV:1\n"

static int join(char *ret, size_t size, const char *dir, const char *name) {
	int n = snprintf(ret, size, "%s/%s", dir, name);
	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

int file_write(const char *dir, const char *name, mode_t mode, const char *text) {
	char path[PATH_MAX], temporary[PATH_MAX + 8];
	int r = join(path, sizeof(path), dir, name);
	if (r < 0) {
		return r;
	}
	(void)snprintf(temporary, sizeof(temporary), "%s.new", path);
	(void)unlink(temporary);
	int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0) {
		return -errno;
	}
	ssize_t size = (ssize_t)strlen(text);
	/* Whatever the umask. */
	if (fchmod(fd, mode) < 0) {
		r = -errno;
	}
	if (r == 0) {
		ssize_t n = write(fd, text, (size_t)size);
		r = n < 0 ? -errno : n < size ? -ENOSPC : 0;
	}
	(void)close_fd(fd);
	if (r == 0 && rename(temporary, path) < 0) {
		r = -errno;
	}
	if (r < 0) {
		(void)unlink(temporary);
	}
	return r;
}

static void file_remove(const char *dir, const char *name) {
	char path[PATH_MAX];
	if (join(path, sizeof(path), dir, name) == 0) {
		(void)unlink(path);
	}
}

int lease_files_write(const char *dir, const struct lease_ext_reply *about, bool extended) {
	char text[2 * LEASE_TOKEN_SIZE + 1];
	(void)snprintf(text, sizeof(text), "%" PRIu32, about->scanout);
	int r = file_write(dir, FILE_SCANOUT_ID, 0644, text);
	if (!extended) {
		/* Of another lease, if there are any. */
		file_remove(dir, FILE_LEASE_TOKEN);
		file_remove(dir, FILE_EXPORTER);
		return r;
	}
	if (r == 0) {
		lease_token_to_string(about->token, text);
		r = file_write(dir, FILE_LEASE_TOKEN, 0600, text);
	}
	if (r == 0 && about->exporter[0]) {
		r = file_write(dir, FILE_EXPORTER, 0644, about->exporter);
	}
	return r;
}

void lease_files_remove(const char *dir) {
	file_remove(dir, FILE_SCANOUT_ID);
	file_remove(dir, FILE_LEASE_TOKEN);
	file_remove(dir, FILE_EXPORTER);
}

/* With the directories above it, up to `dir`. */
static int make_file(const char *dir, const char *name, const char *text, bool *ret_made) {
	char path[PATH_MAX];
	int r = join(path, sizeof(path), dir, name);
	if (r < 0) {
		return r;
	}
	if (access(path, F_OK) == 0) {
		return 0;
	}
	for (char *slash = path + strlen(dir); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		bool failed = mkdir(path, DIR_MODE) < 0 && errno != EEXIST;
		r = failed ? -errno : 0;
		*slash = '/';
		if (failed) {
			return r;
		}
	}
	r = file_write(dir, name, FILE_MODE, text);
	*ret_made = r == 0;
	return r;
}

int udev_files_make(const char *dir, dev_t card, struct udev_files *ret) {
	char data[64], tag[64];
	*ret = (struct udev_files){0};
	if ((size_t)snprintf(ret->dir, sizeof(ret->dir), "%s", dir) >= sizeof(ret->dir)) {
		return -ENAMETOOLONG;
	}
	(void)snprintf(ret->device, sizeof(ret->device), "c%u:%u", major(card), minor(card));
	(void)snprintf(data, sizeof(data), "data/%s", ret->device);
	(void)snprintf(tag, sizeof(tag), "tags/seat/%s", ret->device);
	int r = make_file(dir, data, UDEV_ENTRY, &ret->made_entry);
	if (r == 0) {
		r = make_file(dir, tag, "", &ret->made_tag);
	}
	if (r == 0) {
		r = make_file(dir, "control", "", &ret->made_control);
	}
	return r;
}

void udev_files_remove(struct udev_files *files) {
	char name[64];
	if (files->made_entry) {
		(void)snprintf(name, sizeof(name), "data/%s", files->device);
		file_remove(files->dir, name);
	}
	if (files->made_tag) {
		(void)snprintf(name, sizeof(name), "tags/seat/%s", files->device);
		file_remove(files->dir, name);
	}
	if (files->made_control) {
		file_remove(files->dir, "control");
	}
	*files = (struct udev_files){0};
}
