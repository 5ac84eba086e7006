/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "log.h"

/* Longer lines are cut: a log line must never need an allocation. */
#define LINE_MAX_BYTES 1024

static atomic_int max_level = LOG_LEVEL_INFO;

static const struct {
	const char *name;
	int syslog_priority; /* syslog(3), as sd-daemon(3) wants it in front of a line */
} levels[_LOG_LEVEL_MAX] = {
	[LOG_LEVEL_ERROR] = {"error", 3},
	[LOG_LEVEL_WARN] = {"warn", 4},
	[LOG_LEVEL_INFO] = {"info", 6},
	[LOG_LEVEL_DEBUG] = {"debug", 7},
};

void log_set_level(enum log_level level) {
	atomic_store_explicit(&max_level, level, memory_order_relaxed);
}

bool log_enabled(enum log_level level) {
	return (int)level <= atomic_load_explicit(&max_level, memory_order_relaxed);
}

int log_level_from_string(const char *name) {
	for (int i = 0; i < _LOG_LEVEL_MAX; i++) {
		if (strcmp(levels[i].name, name) == 0) {
			return i;
		}
	}
	return -EINVAL;
}

const char *log_level_to_string(enum log_level level) {
	return level < _LOG_LEVEL_MAX ? levels[level].name : "?";
}

void log_write(enum log_level level, const char *module, int error, const char *fmt, ...) {
	if (!log_enabled(level)) {
		return;
	}
	int saved = errno;
	char line[LINE_MAX_BYTES];
	size_t used = 0;
	int n;

	if (getenv("JOURNAL_STREAM")) {
		n = snprintf(line, sizeof(line), "<%d>%s: ", levels[level].syslog_priority, module);
	} else {
		n = snprintf(line, sizeof(line), "%s: %s: ", levels[level].name, module);
	}
	used = MIN((size_t)MAX(n, 0), sizeof(line) - 2);

	va_list args;
	va_start(args, fmt);
	n = vsnprintf(line + used, sizeof(line) - 1 - used, fmt, args);
	va_end(args);
	used = MIN(used + (size_t)MAX(n, 0), sizeof(line) - 2);

	if (error) {
		char text[128];
		n = snprintf(line + used, sizeof(line) - 1 - used, ": %s",
			strerror_r(error < 0 ? -error : error, text, sizeof(text)));
		used = MIN(used + (size_t)MAX(n, 0), sizeof(line) - 2);
	}
	line[used++] = '\n';
	(void)!write(STDERR_FILENO, line, used);
	errno = saved;
}
