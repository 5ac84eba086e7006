/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Logging to stderr: for people "level: module: text", under systemd with the journal's <N>
 * prefix. Programs log where a decision is made; libraries and src/proto return and never log.
 * Every call keeps errno, so "log, then return -errno" is safe. Thread-safe (one write per line).
 *
 * Each .c file that logs says once, at its top: LOG_MODULE("server");
 */
#ifndef HELIX_COMMON_LOG_H
#define HELIX_COMMON_LOG_H

#include "util.h"

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARN,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
	_LOG_LEVEL_MAX,
};

#define LOG_MODULE(name) static const char *const log_module __attribute__((unused)) = name

/* Highest level that is still printed; LOG_LEVEL_INFO at start. */
void log_set_level(enum log_level level);
/* "error", "warn", "info" or "debug" to a level; -EINVAL for anything else. */
int log_level_from_string(const char *name);
const char *log_level_to_string(enum log_level level);

bool log_enabled(enum log_level level);
void log_write(enum log_level level, const char *module, int error, const char *fmt, ...)
	PRINTF_LIKE(4, 5);

#define log_err(...)  log_write(LOG_LEVEL_ERROR, log_module, 0, __VA_ARGS__)
#define log_warn(...) log_write(LOG_LEVEL_WARN, log_module, 0, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, log_module, 0, __VA_ARGS__)
#define log_debug(...)                                                          \
	do {                                                                    \
		if (log_enabled(LOG_LEVEL_DEBUG)) {                             \
			log_write(LOG_LEVEL_DEBUG, log_module, 0, __VA_ARGS__); \
		}                                                               \
	} while (0)

/* As above with ": strerror" of `r`, a negative errno, appended. */
#define log_err_errno(r, ...)  log_write(LOG_LEVEL_ERROR, log_module, (r), __VA_ARGS__)
#define log_warn_errno(r, ...) log_write(LOG_LEVEL_WARN, log_module, (r), __VA_ARGS__)

#endif
