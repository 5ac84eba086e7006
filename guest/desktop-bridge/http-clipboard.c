/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The clipboard as clients of HTTP know it: JSON with a kind and a text or base64. */
#include <jansson.h>
#include <microhttpd.h>
#include <nettle/base64.h>
#include <stdio.h>
#include <string.h>

#include "bridge.h"
#include "http-clipboard.h"
#include "http-upgrade.h"
#include "util.h"

#define NO_WAY "there is no way to this desktop's clipboard: its compositor has none for others\n"

/* What clients know of an empty clipboard, and of one that cannot be had. */
static void reply_empty(struct http_request *rq) {
	static const char empty[] = "{\"type\":\"text\",\"data\":\"\"}";
	http_reply(rq, MHD_HTTP_OK, "application/json", empty, sizeof(empty) - 1);
}

static char *make_text(const struct clipboard_content *content, size_t *ret_size) {
	json_t *root = json_pack("{s:s, s:s%}", "type", "text", "data",
		content->size ? (const char *)content->data : "", content->size);
	char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
	json_decref(root);
	*ret_size = text ? strlen(text) : 0;
	return text;
}

static char *make_image(const struct clipboard_content *content, size_t *ret_size) {
	static const char head[] = "{\"type\":\"image\",\"data\":\"", tail[] = "\"}";
	size_t at = sizeof(head) - 1, n = BASE64_ENCODE_RAW_LENGTH(content->size);
	char *text = malloc(at + n + sizeof(tail));
	if (text) {
		memcpy(text, head, at);
		base64_encode_raw(text + at, content->size, content->data);
		memcpy(text + at + n, tail, sizeof(tail));
		*ret_size = at + n + sizeof(tail) - 1;
	}
	return text;
}

static void handle_read(void *data, int error, struct clipboard_content *content) {
	struct http_request *rq = data;
	size_t size = 0;
	if (error == -EBUSY) {
		http_reply_text(rq, MHD_HTTP_SERVICE_UNAVAILABLE, "busy\n");
		return;
	}
	if (error < 0) {
		http_set_header(rq, "Helix-Clipboard-Error",
			error == -ENOTSUP             ? "no way to it"
				: error == -ETIMEDOUT ? "the program did not give it in time"
				: error == -EFBIG     ? "too large"
				: error == -EBADMSG   ? "not what the program said"
						      : "failed");
		reply_empty(rq);
		return;
	}
	if (!content) {
		reply_empty(rq);
		return;
	}
	char *text = content->kind == CLIPBOARD_TEXT ? make_text(content, &size)
						     : make_image(content, &size);
	if (text) {
		http_reply_buffer(rq, MHD_HTTP_OK, "application/json", text, size);
	} else {
		http_reply_text(rq, MHD_HTTP_INTERNAL_SERVER_ERROR, "out of memory\n");
	}
}

static void handle_set(void *data, int error) {
	struct http_request *rq = data;
	if (error == 0) {
		http_reply(rq, MHD_HTTP_OK, "application/json", "{}", 2);
	} else if (error == -ENOTSUP) {
		http_reply_text(rq, MHD_HTTP_NOT_IMPLEMENTED, NO_WAY);
	} else {
		http_reply_text(rq, MHD_HTTP_BAD_GATEWAY, "the compositor did not take it\n");
	}
}

/* -EBADMSG: it is no base64. */
static int decode_image(const char *text, size_t n, struct clipboard_content **ret) {
	struct base64_decode_ctx ctx;
	size_t size = BASE64_DECODE_LENGTH(n);
	uint8_t *data = malloc(size);
	if (!data) {
		return -ENOMEM;
	}
	base64_decode_init(&ctx);
	if (!base64_decode_update(&ctx, &size, data, n, text) || !base64_decode_final(&ctx)) {
		free(data);
		return -EBADMSG;
	}
	return clipboard_content_create(CLIPBOARD_IMAGE, data, size, ret);
}

static int decode_text(const char *text, size_t n, struct clipboard_content **ret) {
	uint8_t *data = n > 0 ? malloc(n) : NULL;
	if (n > 0 && !data) {
		return -ENOMEM;
	}
	if (n > 0) {
		memcpy(data, text, n);
	}
	return clipboard_content_create(CLIPBOARD_TEXT, data, n, ret);
}

int clipboard_parse(const char *body, size_t size, struct clipboard_content **ret) {
	json_t *root = json_loadb(body, size, 0, NULL);
	const char *type = json_string_value(json_object_get(root, "type"));
	const json_t *value = json_object_get(root, "data");
	const char *data = json_string_value(value);
	int r = -EBADMSG;
	if (type && data && strcmp(type, "text") == 0) {
		r = decode_text(data, json_string_length(value), ret);
	} else if (type && data && strcmp(type, "image") == 0) {
		r = decode_image(data, json_string_length(value), ret);
	}
	json_decref(root);
	return r;
}

static void handle_post(struct http_request *rq, struct bridge *b) {
	struct clipboard_content *content;
	struct clipboard_state state;
	size_t size;
	/* Any page can make a browser send this, though not read an answer. */
	if (!http_origin_allowed(http_header(rq, "Origin"), http_header(rq, "Host"),
		    b->config.origins, b->config.n_origins)) {
		http_reply_text(rq, MHD_HTTP_FORBIDDEN, "pages of this origin may not\n");
		return;
	}
	clipboard_get_state(b->clipboard, &state);
	if (!state.available) {
		http_reply_text(rq, MHD_HTTP_NOT_IMPLEMENTED, NO_WAY);
		return;
	}
	const uint8_t *body = http_body(rq, &size);
	int r = body ? clipboard_parse((const char *)body, size, &content) : -EBADMSG;
	if (r == -EFBIG) {
		http_reply_text(rq, MHD_HTTP_CONTENT_TOO_LARGE, "too large\n");
	} else if (r == -EBADMSG) {
		http_reply_text(rq, MHD_HTTP_BAD_REQUEST,
			"a JSON object is wanted: type \"text\" and data, or type \"image\" and "
			"data, a PNG in base64\n");
	} else if (r < 0) {
		http_reply_text(rq, MHD_HTTP_INTERNAL_SERVER_ERROR, "out of memory\n");
	} else {
		clipboard_set(b->clipboard, content, handle_set, rq);
		clipboard_content_unref(content);
	}
}

void http_clipboard(struct http_request *rq, void *data) {
	struct bridge *b = data;
	if (http_is_get(rq)) {
		clipboard_read(b->clipboard, handle_read, rq);
	} else {
		handle_post(rq, b);
	}
}
