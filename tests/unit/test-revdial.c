/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The lines and paths of RevDial, golden as docs/protocol/revdial.md has them. */
#include "proto/revdial.h"
#include "test.h"
#include "util.h"

#define DIALER  "0123456789abcdef0123456789abcdef"
#define REQUEST "fedcba9876543210fedcba9876543210"
#define PATH    "/revdial?revdial.dialer=" DIALER "&revdial.req=" REQUEST

static void check_golden(const struct revdial_message *m, const char *line) {
	char buf[REVDIAL_LINE_MAX];
	struct revdial_message back;
	size_t n = strlen(line);
	check_int(revdial_encode(buf, sizeof(buf), m), ==, n);
	check(memcmp(buf, line, n) == 0);
	for (size_t i = 0; i < n; i++) {
		check_int(revdial_decode(line, i, &back), ==, 0);
		check_int(revdial_encode(buf, i, m), ==, -ENOBUFS);
	}
	check_int(revdial_decode(line, n, &back), ==, n);
	check(back.command == m->command);
	check_str(back.path, m->path);
	check_str(back.err, m->err);
}

TEST(golden_lines) {
	struct revdial_message alive = {.command = REVDIAL_KEEP_ALIVE};
	struct revdial_message ready = {.command = REVDIAL_CONN_READY, .path = PATH};
	struct revdial_message failed = {
		.command = REVDIAL_PICKUP_FAILED, .path = "/revdial?x", .err = "no \"way\"\n"};
	check_golden(&alive, "{\"command\":\"keep-alive\"}\n");
	check_golden(&ready, "{\"command\":\"conn-ready\",\"connPath\":\"" PATH "\"}\n");
	check_golden(&failed,
		"{\"command\":\"pickup-failed\",\"connPath\":\"/revdial?x\","
		"\"err\":\"no \\\"way\\\"\\n\"}\n");
}

TEST(what_others_send) {
	struct revdial_message m;
	static const char old[] = " { \"connPath\" : \"/revdial?revdial.dialer=" DIALER "\", "
				  "\"extra\": [1, {}], \"command\": \"conn-ready\" }\r\n{\"comm";
	check_int(revdial_decode(old, sizeof(old) - 1, &m), ==, sizeof(old) - 1 - 6);
	check_int(m.command, ==, REVDIAL_CONN_READY);
	check_str(m.path, "/revdial?revdial.dialer=" DIALER);
	static const char unknown[] = "{\"command\":\"dance\"}\n";
	check_int(revdial_decode(unknown, sizeof(unknown) - 1, &m), >, 0);
	check_int(m.command, ==, REVDIAL_UNKNOWN);
	char line[2048];
	int n = snprintf(
		line, sizeof(line), "{\"command\":\"pickup-failed\",\"err\":\"%01000d\"}\n", 0);
	check_int(revdial_decode(line, (size_t)n, &m), ==, n);
	check_int(strlen(m.err), ==, REVDIAL_ERR_MAX - 1);
}

TEST(bad_lines) {
	static const char *const bad[] = {"\n", "x\n", "{}\n", "[]\n", "null\n",
		"{\"command\":1}\n", "{\"command\":\"conn-ready\"}\n",
		"{\"command\":\"conn-ready\",\"connPath\":\"\"}\n",
		"{\"command\":\"conn-ready\",\"connPath\":5}\n",
		"{\"command\":\"keep-alive\"} {}\n", "{\"command\":\"a\",\"command\":\"b\"}\n",
		"{\"command\":\"a\\u0000\"}\n", "{\"command\":\"\xff\"}\n"};
	char line[REVDIAL_LINE_MAX + 64];
	struct revdial_message m;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (revdial_decode(bad[i], strlen(bad[i]), &m) != -EBADMSG) {
			fail("%s", bad[i]);
		}
	}
	memset(line, ' ', sizeof(line));
	check_int(revdial_decode(line, REVDIAL_LINE_MAX - 1, &m), ==, 0);
	check_int(revdial_decode(line, REVDIAL_LINE_MAX, &m), ==, -EBADMSG);
	line[REVDIAL_LINE_MAX] = '\n';
	check_int(revdial_decode(line, sizeof(line), &m), ==, -EBADMSG);
	int n = snprintf(
		line, sizeof(line), "{\"command\":\"conn-ready\",\"connPath\":\"/%0300d\"}\n", 0);
	check_int(revdial_decode(line, (size_t)n, &m), ==, -EBADMSG);
}

TEST(paths) {
	char path[REVDIAL_PATH_MAX], dial[REVDIAL_PATH_MAX], longest[REVDIAL_PATH_MAX];
	revdial_format_path(path, DIALER, REQUEST);
	check_str(path, PATH);
	check_ok(revdial_dial_path(path, dial));
	check_str(dial, "/api/v1" PATH);
	check_ok(revdial_dial_path("/revdial", dial));
	static const char *const bad[] = {"", "/", "revdial", "/revdialx", "/other?x",
		"/revdial?a b", "/revdial?\r\nX: y", "//revdial", "/revdial?\xc3\xa9"};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		check_int(revdial_dial_path(bad[i], dial), ==, -EBADMSG);
	}
	(void)snprintf(longest, sizeof(longest), "/revdial?%0246d", 0);
	check_int(revdial_dial_path(longest, dial), ==, -EBADMSG);
}

TEST(ids) {
	check(revdial_id_is_valid(DIALER));
	check(!revdial_id_is_valid(""));
	check(!revdial_id_is_valid(DIALER "0"));
	check(!revdial_id_is_valid("0123456789abcdef0123456789abcde"));
	check(!revdial_id_is_valid("0123456789ABCDEF0123456789abcdef"));
	check(revdial_runner_is_valid("desktop-1"));
	check(revdial_runner_is_valid("desktop-desktop-1"));
	check(revdial_runner_is_valid("desktop-a.b_C-9"));
	static const char *const bad[] = {"", "desktop-", "desktop", "hydra-1", "desktop-.",
		"desktop--a", "desktop-..", "desktop-a/b", "desktop-a b", "desktop-a\n",
		"desktop-\xc3\xa9"};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		check(!revdial_runner_is_valid(bad[i]));
	}
	char longest[REVDIAL_RUNNER_MAX + 2];
	memset(longest, 'x', sizeof(longest));
	memcpy(longest, REVDIAL_RUNNER_PREFIX, strlen(REVDIAL_RUNNER_PREFIX));
	longest[REVDIAL_RUNNER_MAX] = '\0';
	check(revdial_runner_is_valid(longest));
	longest[REVDIAL_RUNNER_MAX] = 'x';
	longest[REVDIAL_RUNNER_MAX + 1] = '\0';
	check(!revdial_runner_is_valid(longest));
}
