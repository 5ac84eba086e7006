/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Heads of HTTP messages on every input: the first byte chooses request or response. All that is
 * found lies within the input, and one that is cut short is not complete.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(int ok) {
	if (!ok) {
		abort();
	}
}

static void check_within(struct http_text text, const char *p, size_t n) {
	expect(text.n == 0 || (text.p >= p && text.p + text.n <= p + n));
	expect(text.n == 0 || (!memchr(text.p, '\n', text.n) && !memchr(text.p, '\0', text.n)));
}

static void check_contents(const struct http_head *head) {
	static const char *const names[] = {"Host", "Cookie", "Connection", "revdial.req"};
	char buf[64];
	uint64_t length;
	struct http_text value, path, query;
	http_split_target(head->target, &path, &query);
	expect(path.n + query.n + (path.n < head->target.n) == head->target.n);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		expect(http_get(head, names[i], &value) == 0 || http_count(head, names[i]) == 0);
		(void)http_has_token(head, names[i], "upgrade");
		if (http_cookie(head, names[i], buf, sizeof(buf)) == 0) {
			expect(strlen(buf) < sizeof(buf));
		}
		if (http_query(query, names[i], buf, sizeof(buf)) == 0) {
			expect(!strpbrk(buf, "\r\n"));
		}
	}
	if (http_unescape(path, false, buf, sizeof(buf)) == 0) {
		expect(strlen(buf) <= path.n);
	}
	(void)http_content_length(head, &length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct http_head head;
	if (size == 0) {
		return 0;
	}
	/* A copy of exactly this size: reading beyond it is noticed. */
	size_t n = size - 1;
	char *p = malloc(n ? n : 1);
	expect(p != NULL);
	memcpy(p, data + 1, n);
	ssize_t (*parse)(const char *, size_t, struct http_head *) =
		data[0] & 1 ? http_parse_response : http_parse_request;
	ssize_t r = parse(p, n, &head);
	expect(r <= (ssize_t)n);
	if (r > 0) {
		expect(head.n_headers <= HTTP_HEADERS_MAX && head.minor <= 1);
		check_within(head.method, p, n);
		check_within(head.target, p, n);
		check_within(head.reason, p, n);
		for (unsigned i = 0; i < head.n_headers; i++) {
			check_within(head.headers[i].name, p, n);
			check_within(head.headers[i].value, p, n);
		}
		check_contents(&head);
		struct http_head part;
		expect(parse(p, (size_t)r - 1, &part) == 0);
	}
	free(p);
	return 0;
}
