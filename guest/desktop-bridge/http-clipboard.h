/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HELIX_BRIDGE_HTTP_CLIPBOARD_H
#define HELIX_BRIDGE_HTTP_CLIPBOARD_H

#include "clipboard/content.h"
#include "http-server.h"

void http_clipboard(struct http_request *rq, void *data);
/* What a client sent. -EBADMSG: it makes no sense; -EFBIG. */
int clipboard_parse(const char *body, size_t size, struct clipboard_content **ret);

#endif
