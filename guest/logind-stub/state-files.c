/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "state-files.h"
#include "util.h"

/* Tells our entries from a real udevd's. */
#define MARK "E:HELIX_DESKTOP_INPUT=1\n"

#define ENTRY_MAX 2048u

/* Directories by which libudev finds a device. */
static const char *const directories[] = {"data", "tags", "tags/seat"};

int state_file_write(const char *path, const char *text, mode_t mode) {
	char temporary[PATH_MAX];
	size_t size = strlen(text);
	int n = snprintf(temporary, sizeof(temporary), "%s.new", path);
	if (n < 0 || (size_t)n >= sizeof(temporary)) {
		return -ENAMETOOLONG;
	}
	(void)unlink(temporary);
	int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0) {
		return -errno;
	}
	ssize_t written = write(fd, text, size);
	int r = written < 0 ? -errno : (size_t)written < size ? -ENOSPC : 0;
	(void)close_fd(fd);
	if (r == 0 && rename(temporary, path) < 0) {
		r = -errno;
	}
	if (r < 0) {
		(void)unlink(temporary);
	}
	return r;
}

static void entry_path(
	char ret[PATH_MAX], const char *dir, const char *below, uint32_t major, uint32_t minor) {
	(void)snprintf(ret, PATH_MAX, "%s/%s/c%u:%u", dir, below, (unsigned)major, (unsigned)minor);
}

static int make_directories(const char *dir) {
	char path[PATH_MAX];
	if (mkdir(dir, 0755) < 0 && errno != EEXIST) {
		return -errno;
	}
	for (size_t i = 0; i < ARRAY_SIZE(directories); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, directories[i]);
		if (mkdir(path, 0755) < 0 && errno != EEXIST) {
			return -errno;
		}
	}
	return 0;
}

/* -ENOBUFS if it does not fit; a line that is no NAME=VALUE is left out. */
static int make_entry(char *ret, size_t size, const char *properties) {
	size_t used = 0;
	int n = snprintf(ret, size, "I:%llu\n" MARK "E:ID_SEAT=seat0\n",
		(unsigned long long)(now_ns() / NSEC_PER_USEC));
	for (const char *p = properties; *p && n >= 0 && used + (size_t)n < size;) {
		size_t len = strcspn(p, "\n");
		used += (size_t)n;
		n = memchr(p, '=', len) ? snprintf(ret + used, size - used, "E:%.*s\n", (int)len, p)
					: 0;
		p += len + (p[len] == '\n');
	}
	used += (size_t)MAX(n, 0);
	n = used < size ? snprintf(ret + used, size - used, "G:seat\nQ:seat\nV:1\n") : -1;
	return n < 0 || used + (size_t)n >= size ? -ENOBUFS : 0;
}

int udev_entry_write(const char *dir, uint32_t major, uint32_t minor, const char *properties) {
	char path[PATH_MAX], entry[ENTRY_MAX];
	int r = make_entry(entry, sizeof(entry), properties);
	if (r == 0) {
		r = make_directories(dir);
	}
	if (r == 0) {
		entry_path(path, dir, "tags/seat", major, minor);
		r = state_file_write(path, "", 0644);
	}
	if (r == 0) {
		entry_path(path, dir, "data", major, minor);
		r = state_file_write(path, entry, 0644);
	}
	return r;
}

void udev_entry_remove(const char *dir, uint32_t major, uint32_t minor) {
	char path[PATH_MAX];
	entry_path(path, dir, "data", major, minor);
	(void)unlink(path);
	entry_path(path, dir, "tags/seat", major, minor);
	(void)unlink(path);
}

static bool is_ours(int dir_fd, const char *name) {
	char text[ENTRY_MAX];
	int fd CLEANUP_CLOSE = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
	text[MAX(n, 0)] = '\0';
	return strstr(text, MARK) != NULL;
}

void udev_entries_clean(const char *dir) {
	char path[PATH_MAX];
	unsigned major, minor;
	(void)snprintf(path, sizeof(path), "%s/data", dir);
	DIR *d = opendir(path);
	const struct dirent *entry;
	while (d && (entry = readdir(d))) {
		if (sscanf(entry->d_name, "c%u:%u", &major, &minor) == 2 &&
			is_ours(dirfd(d), entry->d_name)) {
			udev_entry_remove(dir, major, minor);
		}
	}
	if (d) {
		(void)closedir(d);
	}
}
