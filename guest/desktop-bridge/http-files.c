/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "http-files.h"
#include "util.h"

const char *file_type(const char *path) {
	static const struct {
		const char *suffix, *type;
	} types[] = {
		{".html", "text/html; charset=utf-8"},
		{".js", "text/javascript; charset=utf-8"},
		{".mjs", "text/javascript; charset=utf-8"},
		{".css", "text/css; charset=utf-8"},
		{".json", "application/json"},
		{".map", "application/json"},
		{".webmanifest", "application/manifest+json"},
		{".svg", "image/svg+xml"},
		{".png", "image/png"},
		{".ico", "image/x-icon"},
		{".wasm", "application/wasm"},
		{".txt", "text/plain; charset=utf-8"},
	};
	size_t n = strlen(path);
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		size_t k = strlen(types[i].suffix);
		if (n > k && strcasecmp(path + n - k, types[i].suffix) == 0) {
			return types[i].type;
		}
	}
	return "application/octet-stream";
}

/* The next component of the path behind `*at`; 0: there is none, -ENOENT: not one that is served. */
static int next_component(const char **at, char *ret, size_t size) {
	*at += strspn(*at, "/");
	size_t n = strcspn(*at, "/");
	if (n >= size || (*at)[0] == '.') {
		return -ENOENT;
	}
	memcpy(ret, *at, n);
	ret[n] = '\0';
	*at += n;
	return (int)n;
}

int file_open_below(
	const char *root, const char *path, uint64_t *ret_size, uint64_t *ret_mtime_ns) {
	char name[NAME_MAX + 1];
	struct stat st;
	CLEANUP_CLOSE int fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (int n = 0; fd >= 0;) {
		if (fstat(fd, &st) < 0) {
			return -errno;
		}
		n = next_component(&path, name, sizeof(name));
		if (n < 0 || (n > 0 && !S_ISDIR(st.st_mode))) {
			return -ENOENT;
		}
		if (n == 0 && !S_ISDIR(st.st_mode)) {
			break;
		}
		int inner = openat(fd, n ? name : "index.html",
			O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (inner < 0) {
			return -errno;
		}
		(void)close_fd(fd);
		fd = inner;
	}
	if (fd < 0) {
		return -errno;
	}
	if (!S_ISREG(st.st_mode)) {
		return -ENOENT;
	}
	*ret_size = (uint64_t)st.st_size;
	*ret_mtime_ns = (uint64_t)st.st_mtim.tv_sec * NSEC_PER_SEC + (uint64_t)st.st_mtim.tv_nsec;
	return take_fd(&fd);
}

void http_serve_file(struct http_request *rq, const char *root) {
	uint64_t size, mtime_ns;
	const char *path = http_path(rq), *known = http_header(rq, MHD_HTTP_HEADER_IF_NONE_MATCH);
	size_t n = strlen(path);
	int fd = root ? file_open_below(root, path, &size, &mtime_ns) : -ENOENT;
	if (fd < 0) {
		http_reply_text(rq, MHD_HTTP_NOT_FOUND, "not found\n");
		return;
	}
	char etag[48];
	(void)snprintf(etag, sizeof(etag), "\"%" PRIx64 "-%" PRIx64 "\"", mtime_ns, size);
	if (known && strcmp(known, etag) == 0) {
		(void)close_fd(fd);
		http_reply(rq, MHD_HTTP_NOT_MODIFIED, file_type(path), "", 0);
		return;
	}
	http_reply_file(rq,
		n == 0 || path[n - 1] == '/' ? "text/html; charset=utf-8" : file_type(path), fd,
		size, etag);
}
