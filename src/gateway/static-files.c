/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "static-files.h"

#define PATH_SIZE  1024
#define FILE_MAX   (64ull * 1024 * 1024)
#define ETAG_SIZE  64
#define INDEX_FILE "index.html"

static const char *type_of(const char *path) {
	static const struct {
		const char *suffix, *type;
	} types[] = {
		{"html", "text/html; charset=utf-8"},
		{"js", "text/javascript; charset=utf-8"},
		{"mjs", "text/javascript; charset=utf-8"},
		{"css", "text/css; charset=utf-8"},
		{"json", "application/json"},
		{"map", "application/json"},
		{"webmanifest", "application/manifest+json"},
		{"svg", "image/svg+xml"},
		{"png", "image/png"},
		{"jpg", "image/jpeg"},
		{"webp", "image/webp"},
		{"ico", "image/x-icon"},
		{"woff2", "font/woff2"},
		{"wasm", "application/wasm"},
		{"txt", "text/plain; charset=utf-8"},
	};
	const char *dot = strrchr(path, '.');
	for (size_t i = 0; dot && i < ARRAY_SIZE(types); i++) {
		if (strcmp(dot + 1, types[i].suffix) == 0) {
			return types[i].type;
		}
	}
	return "application/octet-stream";
}

/*
 * Opens a file below the directory `root`, one name after the other: no name begins with a dot, and
 * no link is followed, so nothing outside can be reached. -ENOENT for all that is not there.
 */
static int open_below(int root, char *path, struct stat *ret) {
	CLEANUP_CLOSE int dir = -1;
	char *save;
	char *name = strtok_r(path, "/", &save);
	for (;;) {
		if (!name || name[0] == '.') {
			return -ENOENT;
		}
		char *next = strtok_r(NULL, "/", &save);
		int flags =
			O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | (next ? O_DIRECTORY : 0);
		int fd = openat(dir >= 0 ? dir : root, name, flags);
		if (fd < 0) {
			return errno == EMFILE || errno == ENFILE ? -errno : -ENOENT;
		}
		(void)close_fd(dir);
		dir = fd;
		if (!next) {
			break;
		}
		name = next;
	}
	if (fstat(dir, ret) < 0 || !S_ISREG(ret->st_mode) || (uint64_t)ret->st_size > FILE_MAX) {
		return -ENOENT;
	}
	return take_fd(&dir);
}

static bool is_unchanged(const struct conn *c, const char *etag) {
	struct http_text text;
	return http_get(&c->head, "If-None-Match", &text) == 0 && http_text_is(text, etag);
}

void static_files_answer(struct conn *c, struct http_text escaped) {
	char path[PATH_SIZE + sizeof(INDEX_FILE)], etag[ETAG_SIZE], headers[128 + ETAG_SIZE];
	struct stat st;
	int r = http_unescape(escaped, false, path, PATH_SIZE);
	if (r < 0 || path[0] != '/') {
		conn_answer_text(c, 400, "That is no path.\n");
		return;
	}
	size_t n = strlen(path);
	if (path[n - 1] == '/') {
		(void)snprintf(path + n, sizeof(path) - n, INDEX_FILE);
	}
	const char *type = type_of(path);
	int fd = c->gateway->web_root >= 0 ? open_below(c->gateway->web_root, path, &st) : -ENOENT;
	if (fd < 0) {
		conn_answer_text(c, fd == -ENOENT ? 404 : 503, "There is no such file.\n");
		return;
	}
	/* Asked for again each time, and then mostly not sent: an update is never half an update. */
	(void)snprintf(etag, sizeof(etag), "\"%llx-%llx-%llx\"", (unsigned long long)st.st_ino,
		(unsigned long long)st.st_size,
		(unsigned long long)st.st_mtim.tv_sec * NSEC_PER_SEC +
			(unsigned long long)st.st_mtim.tv_nsec);
	(void)snprintf(headers, sizeof(headers), "Cache-Control: no-cache\r\nETag: %s\r\n", etag);
	if (is_unchanged(c, etag)) {
		(void)close_fd(fd);
		conn_answer(c, 304, NULL, headers, NULL, 0);
		return;
	}
	conn_answer_file(c, type, headers, fd, (uint64_t)st.st_size);
}
