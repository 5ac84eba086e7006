/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Another size of the desktop: /resize, with the test as the launcher. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "rig.h"
#include "test.h"
#include "util.h"

#define TIMEOUT_MS 10000

static char text[4096];

static int launcher_open(const struct rig *r) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	(void)snprintf(
		address.sun_path, sizeof(address.sun_path), "%s/helix-launcher.sock", r->dir);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	check(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
		listen(fd, 8) == 0);
	return fd;
}

/* The bridge's next connection, which must ask for this. */
static int launcher_expect(int listener, const char *line) {
	char got[128];
	size_t n = 0;
	struct pollfd p = {listener, POLLIN, 0};
	check_int(poll(&p, 1, TIMEOUT_MS), ==, 1);
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	check(fd >= 0);
	while (n == 0 || got[n - 1] != '\n') {
		check_int(recv(fd, got + n, 1, 0), ==, 1);
		n++;
		check_int(n, <, sizeof(got));
	}
	got[n] = '\0';
	check_str(got, line);
	return fd;
}

static void launcher_say(int fd, const char *answer) {
	check_int(send(fd, answer, strlen(answer), MSG_NOSIGNAL), ==, (ssize_t)strlen(answer));
	(void)close(fd);
}

static bool is_quiet(int fd) {
	struct pollfd p = {fd, POLLIN, 0};
	return poll(&p, 1, 100) == 0;
}

/* A request that is under way. */
static int post(const struct rig *r, const char *headers, const char *body) {
	char request[2048];
	struct ws_client c = {.fd = tcp_open(r->port, 0)};
	(void)snprintf(request, sizeof(request),
		"POST /resize HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nConnection: close\r\n"
		"%sContent-Length: %zu\r\n\r\n%s",
		r->port, headers, strlen(body), body);
	ws_send_raw(&c, request, strlen(request));
	return c.fd;
}

static void expect(int fd, int status, const char *has) {
	size_t n = 0;
	int got = 0;
	for (;;) {
		struct pollfd p = {fd, POLLIN, 0};
		check_int(poll(&p, 1, TIMEOUT_MS), ==, 1);
		ssize_t k = recv(fd, text + n, sizeof(text) - 1 - n, 0);
		if (k <= 0) {
			break;
		}
		n += (size_t)k;
	}
	(void)close(fd);
	text[n] = '\0';
	(void)sscanf(text, "HTTP/1.1 %d ", &got);
	if (got != status || !strstr(text, has)) {
		fail("not %d with '%s' but: %s", status, has, text);
	}
}

TEST(sizes_are_checked) {
	static const char *const wrong[] = {"", "{}", "[800,600]", "{\"width\":800}",
		"{\"width\":800,\"height\":\"600\"}", "{\"width\":800,\"height\":600.5}",
		"{\"width\":319,\"height\":600}", "{\"width\":800,\"height\":199}",
		"{\"width\":8193,\"height\":600}", "{\"width\":-800,\"height\":-600}",
		"{\"width\":99999999999999999999,\"height\":600}",
		"{\"width\":800,\"height\":600}x", "{\"width\":800,\"width\":800,\"height\":600}",
		"width=800&height=600"};
	struct rig r;
	char big[1200];
	size_t n;
	rig_start(&r, SHOW_STILL, NULL);
	int launcher = launcher_open(&r);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		expect(post(&r, "", wrong[i]), 400, "wanted: {\"width\":W,\"height\":H}");
	}
	memset(big, ' ', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	expect(post(&r, "", big), 413, "too large");
	expect(post(&r, "Origin: https://evil.example\r\n", "{\"width\":800,\"height\":600}"), 403,
		"other sites");
	check_int(http_get(r.port, "/resize", text, sizeof(text), &n), ==, 405);
	check(is_quiet(launcher));
	(void)close(launcher);
	rig_stop(&r);
}

TEST(the_launcher_is_asked) {
	struct rig r;
	rig_start(&r, SHOW_STILL, NULL);
	expect(post(&r, "", "{\"width\":800,\"height\":600}"), 501,
		"this desktop does not change its size: no mutter-lease-launcher runs");
	int launcher = launcher_open(&r);

	/* The answer in pieces, of a size that is not the one asked for. */
	int client =
		post(&r, "Content-Type: application/json\r\n", "{\"height\":601,\"width\":801}");
	int fd = launcher_expect(launcher, "resize 800x600 now\n");
	check_int(send(fd, "ok 790", 6, MSG_NOSIGNAL), ==, 6);
	check(is_quiet(client));
	launcher_say(fd, "x590@60\n");
	expect(client, 200, "\r\n\r\n{\"width\":790,\"height\":590}");

	static const struct {
		const char *answer;
		int status;
		const char *has;
	} bad[] = {
		{"unable weston takes it later\n", 501, "its size: weston takes it later\n"},
		{"error a resize is under way\n", 500, "\r\n\r\na resize is under way\n"},
		{"ok big\n", 500, "makes no sense"},
		{"what\n", 500, "makes no sense"},
		{"ok 800", 500, "gave no answer"},
		{"", 500, "gave no answer"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		client = post(&r, "", "{\"width\":800,\"height\":600}");
		launcher_say(launcher_expect(launcher, "resize 800x600 now\n"), bad[i].answer);
		expect(client, bad[i].status, bad[i].has);
	}
	/* One that talks without end. */
	client = post(&r, "", "{\"width\":800,\"height\":600}");
	fd = launcher_expect(launcher, "resize 800x600 now\n");
	memset(text, 'x', 1000);
	(void)send(fd, text, 1000, MSG_NOSIGNAL);
	expect(client, 500, "gave no answer");
	(void)close(fd);
	(void)close(launcher);
	/* A socket that nobody listens at. */
	expect(post(&r, "", "{\"width\":800,\"height\":600}"), 501, "no mutter-lease-launcher");
	rig_stop(&r);
}

TEST(one_at_a_time_and_the_newest_next) {
	struct rig r;
	rig_start(&r, SHOW_STILL, NULL);
	int launcher = launcher_open(&r);
	int first = post(&r, "", "{\"width\":800,\"height\":600}");
	int fd = launcher_expect(launcher, "resize 800x600 now\n");
	int second = post(&r, "", "{\"width\":810,\"height\":600}");
	check(is_quiet(launcher));
	int third = post(&r, "", "{\"width\":820,\"height\":600}");
	expect(second, 409, "a newer size was asked for");
	check(is_quiet(launcher));
	uint64_t answered_ns = now_ns();
	launcher_say(fd, "ok 800x600@60\n");
	expect(first, 200, "\"width\":800");
	fd = launcher_expect(launcher, "resize 820x600 now\n");
	check_int(now_ns() - answered_ns, >=, 200 * NSEC_PER_MSEC);
	launcher_say(fd, "ok 820x600@60\n");
	expect(third, 200, "\"width\":820");

	/* Who went away meanwhile is no trouble, and neither is the end. */
	first = post(&r, "", "{\"width\":800,\"height\":600}");
	fd = launcher_expect(launcher, "resize 800x600 now\n");
	(void)close(first);
	second = post(&r, "", "{\"width\":840,\"height\":600}");
	launcher_say(fd, "ok 800x600@60\n");
	fd = launcher_expect(launcher, "resize 840x600 now\n");
	third = post(&r, "", "{\"width\":850,\"height\":600}");
	rig_stop_bridge(&r);
	(void)close(fd);
	(void)close(second);
	(void)close(third);
	(void)close(launcher);
	rig_stop(&r);
}

/* The size that it has already is not asked for, as long as nothing else was. */
TEST(a_desktop_that_has_the_size) {
	struct rig r;
	struct watch w;
	rig_start(&r, SHOW_STILL, NULL);
	int launcher = launcher_open(&r);
	watch_open(&w, &r, NULL);
	check(watch_frame(&w, TIMEOUT_MS));
	expect(post(&r, "", "{\"width\":640,\"height\":480}"), 200,
		"{\"width\":640,\"height\":480}");
	check(is_quiet(launcher));
	int client = post(&r, "", "{\"width\":800,\"height\":600}");
	launcher_say(launcher_expect(launcher, "resize 800x600 now\n"), "ok 800x600@60\n");
	expect(client, 200, "800");
	/* Its picture is 640x480 yet, but not for long. */
	client = post(&r, "", "{\"width\":640,\"height\":480}");
	launcher_say(launcher_expect(launcher, "resize 640x480 now\n"), "ok 640x480@60\n");
	expect(client, 200, "640");
	watch_close(&w);
	(void)close(launcher);
	rig_stop(&r);
}
