/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Heads of HTTP/1.x messages (RFC 9112), for the gateway, which passes most of what it reads on to
 * somebody else: strict, so that two programs never understand one head differently. Lines end in
 * CRLF; no folded lines, no blanks before a colon, no control characters. Pure; what is parsed
 * points into the caller's buffer.
 */
#ifndef HELIX_PROTO_HTTP_H
#define HELIX_PROTO_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define HTTP_HEADERS_MAX 64u

struct http_text { /* not terminated */
	const char *p;
	size_t n;
};

struct http_header {
	struct http_text name, value;
};

struct http_head {
	struct http_text method, target; /* of a request */
	unsigned status;                 /* of a response */
	struct http_text reason;
	unsigned minor; /* HTTP/1.minor: 0 or 1 */
	struct http_header headers[HTTP_HEADERS_MAX];
	unsigned n_headers;
};

/*
 * Size of the head with its empty line; 0 if more bytes are needed; -EBADMSG for what is no head;
 * -E2BIG for too many headers; -EPROTONOSUPPORT for another version than 1.0 and 1.1.
 */
ssize_t http_parse_request(const char *p, size_t len, struct http_head *ret);
ssize_t http_parse_response(const char *p, size_t len, struct http_head *ret);

bool http_text_is(struct http_text text, const char *string);
/* Whether they are the same but for the case of ASCII letters. */
bool http_text_is_caseless(struct http_text text, const char *string);
/* Copies with a NUL: -ENAMETOOLONG if that does not fit. */
int http_text_copy(struct http_text text, char *to, size_t size);

/* The first header of that name: -ENOENT. */
int http_get(const struct http_head *head, const char *name, struct http_text *ret);
unsigned http_count(const struct http_head *head, const char *name);
/* Whether a header that is a list ("Connection: keep-alive, Upgrade") has this item. */
bool http_has_token(const struct http_head *head, const char *name, const char *token);
/* Content-Length: -ENOENT without one, -EBADMSG for more than one or no number. */
int http_content_length(const struct http_head *head, uint64_t *ret);

/* A target's path as it is, and what follows the first '?' (empty without). */
void http_split_target(
	struct http_text target, struct http_text *ret_path, struct http_text *ret_query);
/*
 * Takes %XX out. -EBADMSG for bad escapes and for control characters, -ENAMETOOLONG. `plus`: a '+'
 * is a blank, as in forms.
 */
int http_unescape(struct http_text text, bool plus, char *to, size_t size);
/* The first parameter of that name in a query or form, unescaped: -ENOENT, and as above. */
int http_query(struct http_text query, const char *name, char *to, size_t size);
/* The value of a cookie: -ENOENT, -ENAMETOOLONG. */
int http_cookie(const struct http_head *head, const char *name, char *to, size_t size);

#endif
