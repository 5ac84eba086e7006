/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The test runner: TEST(name) { … } registers itself; the program prints TAP. Every test runs in a
 * child process of its own, with a time limit, and fails if it leaves more file descriptors open
 * than it found. `PROGRAM [-l] [NAME…]` lists, or runs only the tests named.
 *
 * check(…) ends the test at the first failure; skip("why") ends it as skipped.
 */
#ifndef HELIX_TEST_H
#define HELIX_TEST_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

struct test {
	const char *name;
	void (*run)(void);
	unsigned timeout_s;
	struct test *next;
};

void test_register(struct test *test);
_Noreturn void test_fail(const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
_Noreturn void test_skip(const char *why);

/* The last bytes of a log, at most `max`: where the reason is. fail() has room for some 400. */
const char *test_log_end(const char *log, size_t max);

/* The children that a process has, whichever of its threads started them. */
#define TEST_CHILDREN_MAX 80u
unsigned test_children_of(pid_t parent, pid_t ret[TEST_CHILDREN_MAX]);
/* By SIGKILL; fails without any. */
void test_kill_children(pid_t parent);
/* How many descriptors a process has; of one's own, one more. */
unsigned test_fds_of(pid_t pid);
/* What is open now may stay open: a library keeps it for as long as the process lives. */
void test_keep_fds(void);

/* Path of a file under tests/data. The string lives as long as the program. */
const char *test_data_path(const char *name);

#define TEST_TIMEOUT(id, seconds)                                           \
	static void test_run_##id(void);                                    \
	static struct test test_entry_##id = {                              \
		.name = #id, .run = test_run_##id, .timeout_s = (seconds)}; \
	__attribute__((constructor)) static void test_register_##id(void) { \
		test_register(&test_entry_##id);                            \
	}                                                                   \
	static void test_run_##id(void)

#define TEST(id) TEST_TIMEOUT(id, 60)

#define skip(why) test_skip(why)
#define fail(...) test_fail(__FILE__, __LINE__, __VA_ARGS__)

#define check(cond)                        \
	do {                               \
		if (!(cond)) {             \
			fail("%s", #cond); \
		}                          \
	} while (0)

/* Integers of any type up to 64 bits, compared and printed as signed. */
#define check_int(a, op, b)                                                                  \
	do {                                                                                 \
		int64_t check_a = (int64_t)(a), check_b = (int64_t)(b);                      \
		if (!(check_a op check_b)) {                                                 \
			fail("%s %s %s: %" PRId64 " against %" PRId64, #a, #op, #b, check_a, \
				check_b);                                                    \
		}                                                                            \
	} while (0)

#define check_str(a, b)                                                                \
	do {                                                                           \
		const char *check_a = (a), *check_b = (b);                             \
		if (!check_a || !check_b || strcmp(check_a, check_b) != 0) {           \
			fail("%s is '%s', not '%s'", #a, check_a ? check_a : "(null)", \
				check_b ? check_b : "(null)");                         \
		}                                                                      \
	} while (0)

/* 0 or positive, as functions that return -errno mean success. */
#define check_ok(expr)                                                  \
	do {                                                            \
		int64_t check_r = (int64_t)(expr);                      \
		if (check_r < 0) {                                      \
			fail("%s: %s", #expr, strerror((int)-check_r)); \
		}                                                       \
	} while (0)

#endif
