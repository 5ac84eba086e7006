/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>

#include "proto/http.h"
#include "util.h"

#define VERSION      "HTTP/1."
#define VERSION_SIZE (sizeof(VERSION) - 1)
#define STATUS_MAX   599 /* RFC 9110 section 15 */

static bool is_digit(char c) {
	return c >= '0' && c <= '9';
}

static char lower(char c) {
	return c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
}

/* tchar of RFC 9110 section 5.6.2. */
static bool is_token_char(char c) {
	return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'z') ||
		(c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_token(struct http_text t) {
	for (size_t i = 0; i < t.n; i++) {
		if (!is_token_char(t.p[i])) {
			return false;
		}
	}
	return t.n > 0;
}

/* No control characters; blanks only if asked for. Bytes above 0x7f are let through in values. */
static bool is_printable(struct http_text t, bool blanks) {
	for (size_t i = 0; i < t.n; i++) {
		unsigned char c = (unsigned char)t.p[i];
		bool blank = c == ' ' || c == '\t';
		if (c == 0x7f || (c <= ' ' && !(blanks && blank)) || (!blanks && c > 0x7f)) {
			return false;
		}
	}
	return true;
}

static struct http_text trim(struct http_text t) {
	while (t.n > 0 && (t.p[0] == ' ' || t.p[0] == '\t')) {
		t.p++;
		t.n--;
	}
	while (t.n > 0 && (t.p[t.n - 1] == ' ' || t.p[t.n - 1] == '\t')) {
		t.n--;
	}
	return t;
}

/* What is before `c`, which must be there; `*t` becomes what is after it. */
static int cut(struct http_text *t, char c, struct http_text *ret) {
	const char *found = t->n > 0 ? memchr(t->p, c, t->n) : NULL;
	if (!found) {
		return -EBADMSG;
	}
	*ret = (struct http_text){t->p, (size_t)(found - t->p)};
	t->n -= ret->n + 1;
	t->p = found + 1;
	return 0;
}

/* The next line without its CRLF: its size with it, 0 if it is not all there yet. */
static ssize_t next_line(const char *p, size_t len, struct http_text *ret) {
	const char *end = len > 0 ? memchr(p, '\n', len) : NULL;
	if (!end) {
		return 0;
	}
	if (end == p || end[-1] != '\r') {
		return -EBADMSG;
	}
	*ret = (struct http_text){p, (size_t)(end - 1 - p)};
	return end + 1 - p;
}

static int parse_version(struct http_text t, unsigned *ret_minor) {
	if (t.n != VERSION_SIZE + 1 || memcmp(t.p, "HTTP/", 5) != 0) {
		return -EBADMSG;
	}
	char minor = t.p[VERSION_SIZE];
	if (memcmp(t.p, VERSION, VERSION_SIZE) != 0 || (minor != '0' && minor != '1')) {
		return -EPROTONOSUPPORT;
	}
	*ret_minor = (unsigned)(minor - '0');
	return 0;
}

static int parse_request_line(struct http_text line, struct http_head *ret) {
	if (cut(&line, ' ', &ret->method) < 0 || cut(&line, ' ', &ret->target) < 0 ||
		!is_token(ret->method) || ret->target.n == 0 || !is_printable(ret->target, false)) {
		return -EBADMSG;
	}
	return parse_version(line, &ret->minor);
}

static int parse_status_line(struct http_text line, struct http_head *ret) {
	struct http_text version;
	if (cut(&line, ' ', &version) < 0 || line.n < 3 || (line.n > 3 && line.p[3] != ' ')) {
		return -EBADMSG;
	}
	for (size_t i = 0; i < 3; i++) {
		if (!is_digit(line.p[i])) {
			return -EBADMSG;
		}
		ret->status = ret->status * 10 + (unsigned)(line.p[i] - '0');
	}
	ret->reason = (struct http_text){line.p + MIN(line.n, 4), line.n - MIN(line.n, 4)};
	if (ret->status < 100 || ret->status > STATUS_MAX || !is_printable(ret->reason, true)) {
		return -EBADMSG;
	}
	return parse_version(version, &ret->minor);
}

static int parse_header(struct http_text line, struct http_head *ret) {
	struct http_text name;
	if (cut(&line, ':', &name) < 0 || !is_token(name) || !is_printable(line, true)) {
		return -EBADMSG;
	}
	if (ret->n_headers == HTTP_HEADERS_MAX) {
		return -E2BIG;
	}
	ret->headers[ret->n_headers++] = (struct http_header){name, trim(line)};
	return 0;
}

static ssize_t parse_head(const char *p, size_t len,
	int (*parse_first)(struct http_text line, struct http_head *ret), struct http_head *ret) {
	size_t at = 0;
	bool first = true;
	*ret = (struct http_head){0};
	for (;;) {
		struct http_text line;
		ssize_t n = next_line(p + at, len - at, &line);
		if (n <= 0) {
			return n;
		}
		at += (size_t)n;
		if (line.n == 0 && !first) {
			return (ssize_t)at;
		}
		int r = first ? parse_first(line, ret) : parse_header(line, ret);
		if (r < 0) {
			return r;
		}
		first = false;
	}
}

ssize_t http_parse_request(const char *p, size_t len, struct http_head *ret) {
	return parse_head(p, len, parse_request_line, ret);
}

ssize_t http_parse_response(const char *p, size_t len, struct http_head *ret) {
	return parse_head(p, len, parse_status_line, ret);
}

bool http_text_is(struct http_text text, const char *string) {
	return text.n == strlen(string) && (text.n == 0 || memcmp(text.p, string, text.n) == 0);
}

bool http_text_is_caseless(struct http_text text, const char *string) {
	if (text.n != strlen(string)) {
		return false;
	}
	for (size_t i = 0; i < text.n; i++) {
		if (lower(text.p[i]) != lower(string[i])) {
			return false;
		}
	}
	return true;
}

int http_text_copy(struct http_text text, char *to, size_t size) {
	if (text.n >= size) {
		return -ENAMETOOLONG;
	}
	if (text.n > 0) {
		memcpy(to, text.p, text.n);
	}
	to[text.n] = '\0';
	return 0;
}

int http_get(const struct http_head *head, const char *name, struct http_text *ret) {
	for (unsigned i = 0; i < head->n_headers; i++) {
		if (http_text_is_caseless(head->headers[i].name, name)) {
			*ret = head->headers[i].value;
			return 0;
		}
	}
	return -ENOENT;
}

unsigned http_count(const struct http_head *head, const char *name) {
	unsigned n = 0;
	for (unsigned i = 0; i < head->n_headers; i++) {
		n += http_text_is_caseless(head->headers[i].name, name);
	}
	return n;
}

/* Takes the next item off a list. */
static bool next_item(struct http_text *list, char separator, struct http_text *ret) {
	if (list->n == 0) {
		return false;
	}
	if (cut(list, separator, ret) < 0) {
		*ret = *list;
		list->n = 0;
	}
	return true;
}

bool http_has_token(const struct http_head *head, const char *name, const char *token) {
	for (unsigned i = 0; i < head->n_headers; i++) {
		struct http_text list = head->headers[i].value, item;
		if (!http_text_is_caseless(head->headers[i].name, name)) {
			continue;
		}
		while (next_item(&list, ',', &item)) {
			if (http_text_is_caseless(trim(item), token)) {
				return true;
			}
		}
	}
	return false;
}

int http_content_length(const struct http_head *head, uint64_t *ret) {
	struct http_text text;
	unsigned count = http_count(head, "Content-Length");
	if (count == 0) {
		return -ENOENT;
	}
	/* Two of them are how one request is smuggled inside another. 18 digits cannot overflow. */
	if (count > 1 || http_get(head, "Content-Length", &text) < 0 || text.n == 0 ||
		text.n > 18) {
		return -EBADMSG;
	}
	uint64_t v = 0;
	for (size_t i = 0; i < text.n; i++) {
		if (!is_digit(text.p[i])) {
			return -EBADMSG;
		}
		v = v * 10 + (uint64_t)(text.p[i] - '0');
	}
	*ret = v;
	return 0;
}

void http_split_target(
	struct http_text target, struct http_text *ret_path, struct http_text *ret_query) {
	struct http_text rest = target;
	if (cut(&rest, '?', ret_path) < 0) {
		*ret_path = target;
		rest = (struct http_text){"", 0};
	}
	*ret_query = rest;
}

static int hex_digit(char c) {
	if (is_digit(c)) {
		return c - '0';
	}
	c = lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int http_unescape(struct http_text text, bool plus, char *to, size_t size) {
	size_t n = 0;
	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];
		if (c == '+' && plus) {
			c = ' ';
		} else if (c == '%') {
			int high = text.n - i > 2 ? hex_digit(text.p[i + 1]) : -1;
			int low = high >= 0 ? hex_digit(text.p[i + 2]) : -1;
			if (low < 0) {
				return -EBADMSG;
			}
			c = (char)(high * 16 + low);
			i += 2;
		}
		if ((unsigned char)c < ' ' || c == 0x7f) {
			return -EBADMSG;
		}
		if (n + 1 >= size) {
			return -ENAMETOOLONG;
		}
		to[n++] = c;
	}
	if (n >= size) {
		return -ENAMETOOLONG;
	}
	to[n] = '\0';
	return 0;
}

int http_query(struct http_text query, const char *name, char *to, size_t size) {
	struct http_text item;
	while (next_item(&query, '&', &item)) {
		struct http_text key;
		if (cut(&item, '=', &key) < 0) {
			key = item;
			item.n = 0;
		}
		if (http_text_is(key, name)) {
			return http_unescape(item, true, to, size);
		}
	}
	return -ENOENT;
}

int http_cookie(const struct http_head *head, const char *name, char *to, size_t size) {
	for (unsigned i = 0; i < head->n_headers; i++) {
		struct http_text list = head->headers[i].value, item;
		if (!http_text_is_caseless(head->headers[i].name, "Cookie")) {
			continue;
		}
		while (next_item(&list, ';', &item)) {
			struct http_text key, value = trim(item);
			if (cut(&value, '=', &key) == 0 && http_text_is(key, name)) {
				return http_text_copy(value, to, size);
			}
		}
	}
	return -ENOENT;
}
