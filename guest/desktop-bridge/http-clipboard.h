/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HELIX_BRIDGE_HTTP_CLIPBOARD_H
#define HELIX_BRIDGE_HTTP_CLIPBOARD_H

#include "http-server.h"

void http_clipboard(struct http_request *rq, void *data);

#endif
