/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Routes of HTTP, refusals, screenshots; and input as the desktop gets it. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "proto/ws-messages.h"
#include "rig.h"
#include "test.h"
#include "util.h"

static char text[1 << 21];

static void expect(struct rig *r, const char *path, int status, const char *has) {
	size_t n;
	int got = http_get(r->port, path, text, sizeof(text), &n);
	if (got != status) {
		fail("%s: %d, not %d", path, got, status);
	}
	if (has && !memmem(text, n, has, strlen(has))) {
		fail("%s: no '%s' in it", path, has);
	}
}

static void write_file(const struct rig *r, const char *name, const char *content) {
	char path[256];
	(void)snprintf(path, sizeof(path), "%s/%s", r->dir, name);
	FILE *f = fopen(path, "we");
	check(f && fputs(content, f) >= 0 && fclose(f) == 0);
}

TEST(routes) {
	struct rig r;
	size_t n;
	rig_start(&r, SHOW_STILL, NULL);
	write_file(&r, "index.html", "<title>viewer</title>");
	write_file(&r, "a.js", "export {};");
	expect(&r, "/health", 200, "\r\n\r\nOK");
	expect(&r, "/", 200, "<title>viewer</title>");
	expect(&r, "/a.js", 200, "Content-Type: text/javascript");
	expect(&r, "/nothing", 404, NULL);
	expect(&r, "/exec", 501, "not implemented");
	expect(&r, "/workspace/files?workspace=x", 501, NULL);
	expect(&r, "/clients", 200, "\"clients\":[]");
	expect(&r, "/video/stats", 200, "\"sources\":[{");
	expect(&r, "/metrics", 200, "\ndesktop_bridge_viewers 0\n");
	expect(&r, "/ws/stream", 426, "Upgrade: websocket");
	expect(&r, "/screenshot?format=gif", 400, NULL);
	expect(&r, "/screenshot?quality=101", 400, NULL);
	static const char *const outside[] = {"/../log", "/..%2flog", "/%2e%2e/log", "/./../log",
		"//../log", "/a.js/../../log", "/%2e%2e%2f%2e%2e%2fetc/passwd", "/..\\log"};
	for (size_t i = 0; i < ARRAY_SIZE(outside); i++) {
		expect(&r, outside[i], 404, NULL);
	}
	check_int(http_ask(r.port,
			  "POST /screenshot HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n"
			  "Connection: close\r\n\r\n",
			  text, sizeof(text), &n),
		==, 405);
	check_int(http_ask(r.port, "HEAD /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
			  text, sizeof(text), &n),
		==, 200);
	check(strstr(text, "\r\n\r\n") && strstr(text, "\r\n\r\n")[4] == '\0');
	rig_stop(&r);
}

TEST_TIMEOUT(bad_requests, 180) {
	struct rig r;
	size_t n;
	char *big = malloc(40000);
	check(big);
	rig_start(&r, SHOW_STILL, NULL);
	int at = snprintf(big, 40000, "GET /health HTTP/1.1\r\nHost: x\r\nX-Long: ");
	memset(big + at, 'a', 30000);
	memcpy(big + at + 30000, "\r\n\r\n", 5);
	int status = http_ask(r.port, big, text, sizeof(text), &n);
	/* 0: it was closed with bytes unread, which takes the answer away. */
	check(status == 431 || status == 413 || status == 414 || status == 0);
	/* With its sending side open it gets the answer, and soon. */
	struct ws_client c = {.fd = tcp_open(r.port, 0)};
	uint64_t begin = now_ns();
	ws_send_raw(&c, big, strlen(big));
	char line[13] = "";
	check_int(recv(c.fd, line, 12, MSG_WAITALL), ==, 12);
	check_str(line, "HTTP/1.1 431");
	check_int(now_ns() - begin, <, 9 * NSEC_PER_SEC);
	ws_close(&c);
	at = snprintf(big, 40000, "GET /");
	memset(big + at, 'a', 30000);
	(void)snprintf(big + at + 30000, 9000, " HTTP/1.1\r\nHost: x\r\n\r\n");
	status = http_ask(r.port, big, text, sizeof(text), &n);
	check(status == 431 || status == 413 || status == 414 || status == 0);
	(void)http_ask(
		r.port, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", text, sizeof(text), &n);
	(void)http_ask(r.port, "GET\r\n\r\n", text, sizeof(text), &n);
	expect(&r, "/health", 200, "OK");
	free(big);
	rig_stop(&r);
}

static int upgrade(struct rig *r, const char *headers) {
	struct ws_client c;
	(void)ws_open(&c, r->port, "/ws/stream", headers);
	int status = c.status;
	ws_close(&c);
	return status;
}

static int upgrade_by_hand(struct rig *r, const char *headers) {
	char request[512];
	size_t n;
	(void)snprintf(request, sizeof(request),
		"GET /ws/stream HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n%s\r\n", headers);
	return http_ask(r->port, request, text, sizeof(text), &n);
}

TEST(handshakes_and_origins) {
	static const char *const options[] = {"--allow-origin", "https://view.example", NULL};
	struct rig r;
	char own[64];
	rig_start(&r, SHOW_STILL, options);
	(void)snprintf(own, sizeof(own), "Origin: http://127.0.0.1:%u\r\n", r.port);
	check_int(upgrade(&r, NULL), ==, 101);
	check_int(upgrade(&r, own), ==, 101);
	check_int(upgrade(&r, "Origin: https://view.example\r\n"), ==, 101);
	check_int(upgrade(&r, "Origin: https://evil.example\r\n"), ==, 403);
	check_int(upgrade(&r, "Origin: null\r\n"), ==, 403);
	check_int(upgrade_by_hand(&r,
			  "Upgrade: websocket\r\nSec-WebSocket-Version: 8\r\n"
			  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"),
		==, 426);
	check_int(upgrade_by_hand(&r,
			  "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
			  "Sec-WebSocket-Key: short\r\n"),
		==, 400);
	check_int(upgrade_by_hand(&r, "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"), ==,
		400);
	check_int(upgrade_by_hand(&r,
			  "Upgrade: h2c\r\nSec-WebSocket-Version: 13\r\n"
			  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"),
		==, 426);
	rig_stop(&r);
}

/* One of each, without a viewer: nobody else is needed for a picture. */
TEST_TIMEOUT(screenshots, 120) {
	struct rig r;
	rig_start(&r, SHOW_COUNTER, NULL);
	expect(&r, "/screenshot", 200, "Content-Type: image/jpeg");
	check(memmem(text, sizeof(text), "\r\n\r\n\xff\xd8\xff", 7));
	expect(&r, "/screenshot?format=png&include_cursor=0", 200, "Content-Type: image/png");
	check(memmem(text, sizeof(text), "\r\n\r\n\x89PNG\r\n", 10));
	double keyframes = rig_metric(&r, "keyframes_total");
	for (unsigned i = 0; i < 10; i++) {
		expect(&r, "/screenshot?quality=30", 200, NULL);
	}
	check(rig_metric(&r, "keyframes_total") <= keyframes + 1); /* who polls costs no more */
	rig_stop(&r);
}

static int post_clipboard(struct rig *r, const char *headers) {
	char request[512];
	size_t n;
	(void)snprintf(request, sizeof(request),
		"POST /clipboard HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s"
		"Content-Length: 26\r\n\r\n{\"type\":\"text\",\"data\":\"a\"}",
		headers);
	return http_ask(r->port, request, text, sizeof(text), &n);
}

/* Where the compositor has none for others, and viewers are told so. */
TEST(no_way_to_the_clipboard) {
	struct rig r;
	struct watch w;
	struct ws_message m;
	struct ws_clipboard msg = {.flags = 0xFF};
	rig_start(&r, SHOW_STILL, NULL);
	expect(&r, "/clipboard", 200, "{\"type\":\"text\",\"data\":\"\"}");
	check_int(post_clipboard(&r, ""), ==, 501);
	check(strstr(text, "no way to this desktop's clipboard"));
	check_int(post_clipboard(&r, "Origin: https://evil.example\r\n"), ==, 403);
	watch_open(&w, &r, "\"extensions\":[\"clipboard\"]");
	ws_expect(&w.ws, WS_CLIPBOARD, &m, 5000);
	check_int(ws_decode_clipboard(m.data, m.size, &msg), ==, WS_CLIPBOARD_SIZE);
	check_int(msg.flags, ==, 0);
	watch_close(&w);
	rig_stop(&r);
}

TEST(no_screenshot_without_a_scanout) {
	struct rig r;
	rig_start(&r, 77, NULL);
	expect(&r, "/screenshot", 500, "there is no picture");
	rig_stop(&r);
}

/* Waits until the log of input ends like this. */
static void expect_input(struct rig *r, const char *end) {
	char *log = NULL;
	for (unsigned ms = 0;; ms += 20) {
		log = rig_read(r->out_path);
		size_t n = strlen(log), k = strlen(end);
		if (n >= k && strcmp(log + n - k, end) == 0) {
			break;
		}
		if (ms > 5000) {
			fail("input is '%s'", log);
		}
		free(log);
		sleep_ms(20);
	}
	free(log);
}

TEST(input_arrives_and_is_released) {
	struct rig r;
	struct ws_client c;
	rig_start(&r, SHOW_STILL, NULL);
	check(ws_open(&c, r.port, "/ws/stream", NULL));
	ws_send_init(&c, NULL);
	ws_send(&c, OP_BINARY, "\x10\x00\x01\x00\x00\x1d", 6);
	ws_send(&c, OP_BINARY, "\x12\x01\x08\x00\x04\x00\x10\x00\x10\x00", 10);
	ws_send(&c, OP_BINARY, "\x11\x02\x01\x01", 4);
	expect_input(&r, "key 29 down\nabsolute 0.5000 0.2500\nbutton 272 down\n");
	ws_close(&c); /* without a word */
	expect_input(&r, "button 272 down\nkey 29 up\nbutton 272 up\n");
	check(ws_open(&c, r.port, "/ws/input", NULL));
	ws_send(&c, OP_BINARY, "\x01\x00\x01\x00\x00\x1e", 6);
	ws_send_text(&c, "ignored");
	ws_send(&c, OP_BINARY, "\x05\x01\x00\x00\x00\x00\x00\x00\x00\x80\x3f", 11);
	expect_input(&r, "key 30 down\nscroll 0.00 -4.00 wheel\n");
	ws_send(&c, OP_CLOSE, "\x03\xe8", 2);
	check_int(ws_expect_close(&c, 5000), ==, 1000);
	ws_close(&c);
	expect_input(&r, "key 30 up\n");
	rig_stop(&r);
}

TEST(input_by_lines) {
	static const char lines[] = "{\"type\":\"key\",\"keycode\":30,\"state\":true}\n\nrubbish\n"
				    "{\"type\":\"scroll\",\"dx\":0,\"dy\":1}\n{\"type\":\"key\",";
	struct rig r;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	rig_start(&r, SHOW_STILL, NULL);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/helix-input.sock", r.dir);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	check(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	for (size_t i = 0; i < sizeof(lines) - 1; i++) {
		check_int(send(fd, lines + i, 1, MSG_NOSIGNAL), ==, 1);
	}
	expect_input(&r, "key 30 down\nscroll 0.00 15.00 wheel\n");
	(void)close_fd(fd);
	expect_input(&r, "key 30 up\n");
	rig_stop(&r);
}
