/* SPDX-License-Identifier: GPL-2.0-or-later */
/* /resize: docs/protocol/http.md, section 2.3. */
#ifndef HELIX_BRIDGE_HTTP_RESIZE_H
#define HELIX_BRIDGE_HTTP_RESIZE_H

#include "http-server.h"

#define HTTP_RESIZE_BODY_MAX 1024u

void http_resize(struct http_request *rq, void *data);

#endif
