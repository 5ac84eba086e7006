/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <jansson.h>
#include <microhttpd.h>
#include <stdio.h>

#include "bridge.h"
#include "http-resize.h"
#include "parse.h"
#include "resize.h"

/* What a display's description can tell (src/proto/edid.h), and what a desktop can be used in. */
#define SIDE_MAX   8192
#define WIDTH_MIN  320
#define HEIGHT_MIN 200

static void reply_size(struct http_request *rq, uint32_t width, uint32_t height) {
	char text[64];
	int n = snprintf(text, sizeof(text), "{\"width\":%u,\"height\":%u}", width, height);
	http_reply(rq, MHD_HTTP_OK, "application/json", text, (size_t)n);
}

static void reply_why(
	struct http_request *rq, unsigned status, const char *begin, const char *text) {
	char line[640];
	(void)snprintf(line, sizeof(line), "%s%s\n", begin, text);
	http_reply_text(rq, status, line);
}

static void handle_done(enum resize_result result, const char *text, void *data) {
	struct http_request *rq = data;
	uint32_t width, height, hz = 0;
	switch (result) {
	case RESIZE_DONE:
		if (parse_mode(text, &width, &height, &hz) < 0) {
			reply_why(rq, MHD_HTTP_INTERNAL_SERVER_ERROR,
				"the launcher's answer makes no sense", "");
			return;
		}
		reply_size(rq, width, height);
		break;
	case RESIZE_SUPERSEDED:
		reply_why(rq, MHD_HTTP_CONFLICT, text, "");
		break;
	case RESIZE_UNABLE:
		reply_why(rq, MHD_HTTP_NOT_IMPLEMENTED,
			"this desktop does not change its size: ", text);
		break;
	case RESIZE_FAILED:
		reply_why(rq, MHD_HTTP_INTERNAL_SERVER_ERROR, text, "");
		break;
	case RESIZE_ENDING:
		reply_why(rq, MHD_HTTP_SERVICE_UNAVAILABLE, "shutting down", "");
		break;
	}
}

/* Pictures are 4:2:0, which wants even sides. */
static bool take_side(const json_t *o, const char *key, json_int_t min, uint32_t *ret) {
	const json_t *side = json_object_get(o, key);
	json_int_t n = json_integer_value(side);
	if (!json_is_integer(side) || n < min || n > SIDE_MAX) {
		return false;
	}
	*ret = (uint32_t)n & ~1u;
	return true;
}

void http_resize(struct http_request *rq, void *data) {
	struct bridge *b = data;
	size_t size;
	uint32_t width, height, now_width, now_height;
	const uint8_t *body = http_body(rq, &size);
	json_t *o =
		body ? json_loadb((const char *)body, size, JSON_REJECT_DUPLICATES, NULL) : NULL;
	bool good = take_side(o, "width", WIDTH_MIN, &width) &&
		take_side(o, "height", HEIGHT_MIN, &height);
	json_decref(o);
	if (!good) {
		http_reply_text(rq, MHD_HTTP_BAD_REQUEST,
			"wanted: {\"width\":W,\"height\":H}, 320 to 8192 by 200 to 8192\n");
		return;
	}
	source_size(b->source, &now_width, &now_height);
	if (width == now_width && height == now_height &&
		resizer_settled(b->resizer, width, height)) {
		reply_size(rq, width, height);
		return;
	}
	resizer_ask(b->resizer, width, height, handle_done, rq);
}
