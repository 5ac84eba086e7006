/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>

#include "bridge.h"
#include "http-clipboard.h"
#include "http-files.h"
#include "http-resize.h"
#include "http-routes.h"
#include "http-status.h"
#include "parse.h"
#include "util.h"
#include "viewer.h"
#include "ws-input.h"

#define QUALITY_DEFAULT 70u /* of JPEG */
/* A picture in base64, and the JSON around it. */
#define CLIPBOARD_BODY_MAX (CLIPBOARD_IMAGE_MAX / 3 * 4 + 4096)

static void handle_health(struct http_request *rq, void *data) {
	http_reply_text(rq, MHD_HTTP_OK, "OK");
}

static void handle_screenshot_done(void *data, int error, uint8_t *file, size_t size) {
	struct http_request *rq = data;
	if (error == 0) {
		http_reply_buffer(rq, MHD_HTTP_OK,
			size > 1 && file[0] == 0xFF ? "image/jpeg" : "image/png", file, size);
	} else if (error == -EBUSY || error == -ECANCELED) {
		http_reply_text(rq, MHD_HTTP_SERVICE_UNAVAILABLE, "busy\n");
	} else {
		http_reply_text(rq, MHD_HTTP_INTERNAL_SERVER_ERROR,
			error == -ETIMEDOUT ? "there is no picture\n" : "capture failed\n");
	}
}

static bool is_false(const char *value) {
	return value && (strcmp(value, "false") == 0 || strcmp(value, "0") == 0);
}

static void handle_screenshot(struct http_request *rq, void *data) {
	const struct bridge *b = data;
	const char *format = http_argument(rq, "format"), *quality = http_argument(rq, "quality");
	uint32_t q = QUALITY_DEFAULT;
	if ((format && strcmp(format, "jpeg") != 0 && strcmp(format, "png") != 0) ||
		(quality && parse_u32(quality, 1, 100, &q) < 0)) {
		http_reply_text(
			rq, MHD_HTTP_BAD_REQUEST, "format is jpeg or png, quality is 1 to 100\n");
		return;
	}
	struct still_wish wish = {
		.format = format && strcmp(format, "png") == 0 ? PICTURE_PNG : PICTURE_JPEG,
		.quality = q,
		.cursor = !is_false(http_argument(rq, "include_cursor")),
	};
	still_request(b->still, &wish, handle_screenshot_done, rq);
}

static void handle_not_here(struct http_request *rq, void *data) {
	http_reply_text(rq, MHD_HTTP_NOT_IMPLEMENTED,
		"not implemented: this bridge shows and controls a desktop, it does not manage its "
		"files\n");
}

static void handle_file(struct http_request *rq, void *data) {
	const struct bridge *b = data;
	http_serve_file(rq, b->config.web_root);
}

static int handle_stream(
	const struct ws_socket *socket, const uint8_t *early, size_t early_size, void *data) {
	return viewer_create(data, socket, early, early_size);
}

static int handle_input(
	const struct ws_socket *socket, const uint8_t *early, size_t early_size, void *data) {
	return ws_input_create(data, socket, early, early_size);
}

static bool has_room(void *data) {
	const struct bridge *b = data;
	return b->n_viewers + b->n_inputs < b->config.max_viewers;
}

const struct http_route bridge_routes[] = {
	{.path = "/ws/stream", .methods = "GET", .upgraded = handle_stream, .has_room = has_room},
	{.path = "/ws/input", .methods = "GET", .upgraded = handle_input, .has_room = has_room},
	{.path = "/health", .handle = handle_health},
	{.path = "/screenshot", .methods = "GET, HEAD", .handle = handle_screenshot},
	{.path = "/clipboard",
		.methods = "GET, HEAD, POST",
		.body_max = CLIPBOARD_BODY_MAX,
		.handle = http_clipboard},
	{.path = "/resize",
		.methods = "POST",
		.body_max = HTTP_RESIZE_BODY_MAX,
		.handle = http_resize},
	{.path = "/clients", .methods = "GET, HEAD", .handle = http_clients},
	{.path = "/video/stats", .methods = "GET, HEAD", .handle = http_video_stats},
	{.path = "/metrics", .methods = "GET, HEAD", .handle = http_metrics},
	{.path = "/upload", .handle = handle_not_here},
	{.path = "/file", .handle = handle_not_here},
	{.path = "/exec", .handle = handle_not_here},
	{.path = "/mcp", .handle = handle_not_here},
	{.path = "/workspaces", .handle = handle_not_here},
	{.path = "/workspace/review", .handle = handle_not_here},
	{.path = "/workspace/files", .handle = handle_not_here},
	{.path = "/workspace/file", .handle = handle_not_here},
	{.path = "/workspace/checkpoints/capture", .handle = handle_not_here},
	{.path = "/workspace/checkpoints/diff", .handle = handle_not_here},
	{.path = "/workspace/status", .handle = handle_not_here},
	{.path = "/workspace/commit-and-push", .handle = handle_not_here},
	{.methods = "GET, HEAD", .handle = handle_file},
};
