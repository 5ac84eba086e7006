/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <microhttpd.h>

#include "http-clipboard.h"

/* There is no way to the desktop's clipboard yet: an empty one is what clients know of failures. */
void http_clipboard(struct http_request *rq, void *data) {
	static const char empty[] = "{\"type\":\"text\",\"data\":\"\"}";
	if (http_is_get(rq)) {
		http_reply(rq, MHD_HTTP_OK, "application/json", empty, sizeof(empty) - 1);
	} else {
		http_reply_text(
			rq, MHD_HTTP_NOT_IMPLEMENTED, "this desktop's clipboard cannot be set\n");
	}
}
