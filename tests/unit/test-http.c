/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Heads of HTTP messages, and what is in them. */
#include "proto/http.h"
#include "test.h"
#include "util.h"

static struct http_text text(const char *s) {
	return (struct http_text){s, strlen(s)};
}

static ssize_t parse(const char *s, struct http_head *head) {
	return http_parse_request(s, strlen(s), head);
}

#define HOST "Host: x\r\n"

TEST(requests) {
	static const char request[] = "GET /a?b=c HTTP/1.1\r\nHost: gw.example:80\r\n"
				      "Connection: keep-alive, Upgrade\r\nX-Empty:\r\n"
				      "cookie: a=b; helix_session=v.w\r\n\r\nbody";
	struct http_head head;
	struct http_text value, path, query;
	char cookie[16];
	ssize_t size = (ssize_t)(sizeof(request) - 1 - 4);
	for (size_t n = 0; n < (size_t)size; n++) {
		check_int(http_parse_request(request, n, &head), ==, 0);
	}
	check_int(parse(request, &head), ==, size);
	check(http_text_is(head.method, "GET") && http_text_is(head.target, "/a?b=c"));
	check_int(head.minor, ==, 1);
	check_int(head.n_headers, ==, 4);
	check_ok(http_get(&head, "HOST", &value));
	check(http_text_is(value, "gw.example:80"));
	check_ok(http_get(&head, "x-empty", &value));
	check_int(value.n, ==, 0);
	check_int(http_get(&head, "none", &value), ==, -ENOENT);
	check(http_has_token(&head, "connection", "upgrade"));
	check(!http_has_token(&head, "connection", "up"));
	check_ok(http_cookie(&head, "helix_session", cookie, sizeof(cookie)));
	check_str(cookie, "v.w");
	check_int(http_cookie(&head, "session", cookie, sizeof(cookie)), ==, -ENOENT);
	check_int(http_cookie(&head, "helix_session", cookie, 3), ==, -ENAMETOOLONG);
	http_split_target(head.target, &path, &query);
	check(http_text_is(path, "/a") && http_text_is(query, "b=c"));
}

TEST(no_requests) {
	static const struct {
		const char *request;
		int error;
	} bad[] = {
		{"\r\n\r\n", -EBADMSG},
		{"GET /\r\n\r\n", -EBADMSG},
		{"GET  / HTTP/1.1\r\n\r\n", -EBADMSG},
		{"GET / HTTP/1.1 \r\n\r\n", -EBADMSG},
		{"GET / http/1.1\r\n\r\n", -EBADMSG},
		{"GET / HTTP/1.2\r\n\r\n", -EPROTONOSUPPORT},
		{"GET / HTTP/2.0\r\n\r\n", -EPROTONOSUPPORT},
		{"GET / HTTP/1.1\n\n", -EBADMSG},
		{"GET / HTTP/1.1\r\nA: b\n\r\n", -EBADMSG},
		{"GET /\x01 HTTP/1.1\r\n\r\n", -EBADMSG},
		{"GET /\xc3\xa9 HTTP/1.1\r\n\r\n", -EBADMSG},
		{"G(T / HTTP/1.1\r\n\r\n", -EBADMSG},
		{"GET / HTTP/1.1\r\nA b\r\n\r\n", -EBADMSG},
		{"GET / HTTP/1.1\r\nA : b\r\n\r\n", -EBADMSG},
		{"GET / HTTP/1.1\r\n: b\r\n\r\n", -EBADMSG},
		{"GET / HTTP/1.1\r\n folded\r\n\r\n", -EBADMSG},
		{"GET / HTTP/1.1\r\nA: b\rc\r\n\r\n", -EBADMSG},
		{"GET / HTTP/1.1\r\nA: b\x7f\r\n\r\n", -EBADMSG},
	};
	struct http_head head;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (parse(bad[i].request, &head) != bad[i].error) {
			fail("%s: %zd", bad[i].request, parse(bad[i].request, &head));
		}
	}
	check_int(http_parse_request("GET / HTTP/1.1\r\nA: \0\r\n\r\n", 24, &head), ==, -EBADMSG);
}

TEST(so_many_headers) {
	char request[4096];
	for (unsigned n = HTTP_HEADERS_MAX; n <= HTTP_HEADERS_MAX + 1; n++) {
		int at = snprintf(request, sizeof(request), "GET / HTTP/1.0\r\n");
		for (unsigned i = 0; i < n; i++) {
			at += snprintf(request + at, sizeof(request) - (size_t)at, "A: %u\r\n", i);
		}
		(void)snprintf(request + at, sizeof(request) - (size_t)at, "\r\n");
		struct http_head head;
		ssize_t r = parse(request, &head);
		check(n == HTTP_HEADERS_MAX ? r > 0 : r == -E2BIG);
	}
}

TEST(responses) {
	struct http_head head;
	static const char good[] = "HTTP/1.0 404 Not here\r\nContent-Length: 5\r\n\r\n";
	check_int(http_parse_response(good, sizeof(good) - 1, &head), ==, sizeof(good) - 1);
	check(head.status == 404 && head.minor == 0 && http_text_is(head.reason, "Not here"));
	static const char *const terse[] = {"HTTP/1.1 200\r\n\r\n", "HTTP/1.1 200 \r\n\r\n"};
	for (size_t i = 0; i < ARRAY_SIZE(terse); i++) {
		check_int(http_parse_response(terse[i], strlen(terse[i]), &head), ==,
			strlen(terse[i]));
		check(head.status == 200 && head.reason.n == 0);
	}
	static const char *const bad[] = {"HTTP/1.1\r\n\r\n", "HTTP/1.1 20\r\n\r\n",
		"HTTP/1.1 2000\r\n\r\n", "HTTP/1.1 099 x\r\n\r\n", "HTTP/1.1 600 x\r\n\r\n",
		"HTTP/1.1 20x x\r\n\r\n", "XTTP/1.1 200 x\r\n\r\n"};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		check_int(http_parse_response(bad[i], strlen(bad[i]), &head), ==, -EBADMSG);
	}
}

static int length_of(const char *headers, uint64_t *ret) {
	char request[512];
	struct http_head head;
	(void)snprintf(request, sizeof(request), "GET / HTTP/1.1\r\n%s\r\n", headers);
	check_int(parse(request, &head), >, 0);
	return http_content_length(&head, ret);
}

TEST(content_lengths) {
	uint64_t n = 7;
	check_int(length_of(HOST, &n), ==, -ENOENT);
	check_int(n, ==, 7);
	check_ok(length_of("Content-Length: 0123\r\n", &n));
	check_int(n, ==, 123);
	check_ok(length_of("Content-Length: 999999999999999999\r\n", &n));
	static const char *const bad[] = {"Content-Length:\r\n", "Content-Length: -1\r\n",
		"Content-Length: +1\r\n", "Content-Length: 1 1\r\n", "Content-Length: 0x1\r\n",
		"Content-Length: 1, 1\r\n", "Content-Length: 1\r\nContent-Length: 1\r\n",
		"Content-Length: 1000000000000000000\r\n"};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		check_int(length_of(bad[i], &n), ==, -EBADMSG);
	}
}

TEST(escapes) {
	char to[16];
	check_ok(http_unescape(text("/a%20b%2F%c3%A9+"), false, to, sizeof(to)));
	check_str(to, "/a b/\xc3\xa9+");
	check_ok(http_unescape(text("a+b"), true, to, sizeof(to)));
	check_str(to, "a b");
	static const char *const bad[] = {"%", "%2", "a%2", "%zz", "%2x", "%00", "%0a", "%7f"};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		check_int(http_unescape(text(bad[i]), false, to, sizeof(to)), ==, -EBADMSG);
	}
	check_ok(http_unescape(text("012345678901234"), false, to, sizeof(to)));
	check_int(
		http_unescape(text("0123456789012345"), false, to, sizeof(to)), ==, -ENAMETOOLONG);
	check_int(http_unescape(text(""), false, to, 0), ==, -ENAMETOOLONG);
}

TEST(queries) {
	char to[16];
	struct http_text q = text("a=1&&b&revdial.req=%41%2b+c&a=2&empty=");
	check_ok(http_query(q, "a", to, sizeof(to)));
	check_str(to, "1");
	check_ok(http_query(q, "revdial.req", to, sizeof(to)));
	check_str(to, "A+ c");
	check_ok(http_query(q, "b", to, sizeof(to)));
	check_str(to, "");
	check_ok(http_query(q, "empty", to, sizeof(to)));
	check_int(http_query(q, "c", to, sizeof(to)), ==, -ENOENT);
	check_int(http_query(text(""), "c", to, sizeof(to)), ==, -ENOENT);
	check_int(http_query(text("a=%0a"), "a", to, sizeof(to)), ==, -EBADMSG);
}
